"""Does the traced network answer as the user's: in both modes, at another batch size, in what it remembers?

Both are run on the same random inputs with the same seed, on random running statistics and with every
parameter that is all one number replaced by random ones. The user's module is given back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError
from nasviz.trace.objects import understand
from nasviz.trace.state import borrowed, spread

__all__ = ["Answers", "Parity", "Probe", "ask", "compare", "relative_error", "tolerance_of"]

_SEED = 20240607


@dataclass(frozen=True)
class Parity:
    """How closely a traced network answers as the network it was traced from."""

    max_relative_error: Mapping[str, float] = field(default_factory=dict)
    """Largest difference by the largest value of the same output: "eval", "batch", "train" and "buffers"."""
    rung: str = ""
    """How it was traced."""
    warnings: tuple[str, ...] = ()
    """What this way of tracing costs."""

    @property
    def worst(self) -> float:
        """The largest of all errors."""
        return max(self.max_relative_error.values(), default=0.0)


@dataclass(frozen=True)
class Probe:
    """Arguments to ask both networks with."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    larger_args: tuple[Any, ...]
    larger_kwargs: Mapping[str, Any]

    @classmethod
    def like(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Probe:
        """Random arguments of the same shapes, and others with one example more."""
        generator = torch.Generator().manual_seed(_SEED)
        leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        batch = leaves[0].shape[0] if leaves and leaves[0].dim() else 0

        def noise(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
                return leaf
            spread_of = float(leaf.std()) if leaf.numel() > 1 else 0.0
            drawn = torch.randn(leaf.shape, generator=generator, dtype=torch.float32).to(leaf)
            return drawn * (spread_of or 1.0) + (leaf.mean() if leaf.numel() else 0.0)

        def larger(leaf: Any) -> Any:
            is_batched = isinstance(leaf, Tensor) and leaf.dim() > 0 and leaf.shape[0] == batch
            return (
                torch.cat([leaf, leaf[:1].flip(-1) if leaf.dim() > 1 else leaf[:1]]) if is_batched else leaf
            )

        args, kwargs = pytree.tree_map(noise, (args, dict(kwargs)))
        return cls(args, kwargs, *pytree.tree_map(larger, (args, kwargs)))


@dataclass
class Answers:
    """What a network answers to a probe."""

    eval: Any
    batch: Any = None
    train: Any = None
    buffers: dict[str, Tensor] = field(default_factory=dict)
    """Buffers of the user's network after one batch in training mode."""
    written: frozenset[str] = frozenset()
    """Buffers that one batch in evaluation mode changed."""
    caches: frozenset[str] = frozenset()
    """Those of them that the next batch left alone: tables that are filled when they are needed."""


def ask(
    network: nn.Module, model: nn.Module, probe: Probe, *, batch: bool = True, train: bool = True
) -> Answers:
    """Answers of `network`, which is `model` or shares its tensors; both are left as they were."""
    with _spread(model, network):
        network.eval()
        with torch.random.fork_rng(devices=_devices(model)):
            torch.manual_seed(_SEED)
            before = _buffers(model)
            answers = Answers(_detached(network(*probe.args, **probe.kwargs)))
            after = _buffers(model)
            answers.written = _changed(before, after)
            if answers.written:
                network(*probe.args, **probe.kwargs)
                answers.caches = answers.written - _changed(after, _buffers(model))
        if batch:
            answers.batch = _detached(network(*probe.larger_args, **probe.larger_kwargs))
    if train:
        with _spread(model, network):
            network.train()
            torch.manual_seed(_SEED)
            answers.train = _detached(network(*probe.args, **probe.kwargs))
            answers.buffers = _buffers(model)
    return answers


@contextmanager
def _spread(model: nn.Module, network: nn.Module) -> Iterator[None]:
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad(), borrowed(network), borrowed(model), spread(model, generator):
        yield


def _devices(model: nn.Module) -> list[int]:
    return sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


def _changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> frozenset[str]:
    return frozenset(name for name in before if not torch.equal(before[name], after[name]))


def _detached(output: Any) -> Any:
    understand(output)
    return pytree.tree_map(lambda leaf: leaf.detach().clone() if isinstance(leaf, Tensor) else leaf, output)


def compare(expected: Answers, found: Answers, tolerance: float) -> dict[str, float]:
    """Relative error of every kind of answer that both gave.

    Raises:
        ParityError: One is larger than `tolerance`, or an output has another form.
    """
    errors: dict[str, float] = {}
    odd = (expected.written ^ found.written) - expected.caches
    if expected.eval is not None and odd:
        names = ", ".join(sorted(odd))
        raise ParityError(f"in evaluation mode only one of model and traced network writes to {names}")
    for kind in ("eval", "batch", "train", "buffers"):
        mine, its = getattr(expected, kind), getattr(found, kind)
        if mine is None or its is None or its == {}:
            continue
        if kind == "buffers" and expected.caches:
            mine, its = ({k: b for k, b in x.items() if k not in expected.caches} for x in (mine, its))
        errors[kind] = _error_of_outputs(kind, mine, its)
        if not errors[kind] <= tolerance:
            raise ParityError(
                f"the traced network differs from the model ({kind}): relative error {errors[kind]:.3g},"
                f" allowed {tolerance:.1g}"
            )
    return errors


def _error_of_outputs(kind: str, expected: Any, found: Any) -> float:
    mine, my_form = pytree.tree_flatten(expected)
    its, its_form = pytree.tree_flatten(found)
    if my_form != its_form:
        raise ParityError(
            f"the traced network returns another form ({kind}): {its_form} instead of {my_form}"
        )
    pairs = [(a, b) for a, b in zip(mine, its, strict=True) if isinstance(a, Tensor) or isinstance(b, Tensor)]
    return max((relative_error(a, b) for a, b in pairs), default=0.0)


def relative_error(expected: Tensor, found: Tensor) -> float:
    """Largest difference by the largest value expected; infinite where shapes or non-finite values differ.

    Examples:
        >>> relative_error(torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.0]))
        0.25
    """
    if not isinstance(found, Tensor) or expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    a, b = (
        value.to(torch.complex128 if value.is_complex() else torch.float64) for value in (expected, found)
    )
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return float("inf")
    a, b = a[finite], b[finite]
    if not a.numel():
        return 0.0
    scale = float(a.abs().max())
    return float((a - b).abs().max()) / (scale or 1.0)


def tolerance_of(model: nn.Module) -> float:
    """Relative error that rounding alone may reach, by dtype and device."""
    tensors = [t for t in (*model.parameters(), *model.buffers()) if t.is_floating_point()]
    if any(t.dtype in (torch.float16, torch.bfloat16) for t in tensors):
        return 3e-2
    return 1e-3 if any(t.device.type == "cuda" for t in tensors) else 1e-4
