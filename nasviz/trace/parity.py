"""Does the traced network answer as the user's: in both modes, at another batch size, in what it remembers?

Both are run on the same random inputs with the same seed, on random running statistics and with every
parameter that is all one number replaced by random ones. The user's module is given back as it was.

In training mode they must agree for more than one seed where random numbers are drawn: that a random path was
taken once and for all shows by another seed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError
from nasviz.trace.objects import understand
from nasviz.trace.state import borrowed, spread

__all__ = [
    "SEEDS",
    "Answers",
    "Draws",
    "Parity",
    "Probe",
    "ask",
    "ask_in_training",
    "compare",
    "differ",
    "kept_generators",
    "relative_error",
    "tolerance_of",
]

_SEED = 20240607
SEEDS = tuple(range(_SEED, _SEED + 6))
"""Seeds of the comparisons in training mode; the first alone where no random numbers are drawn."""


@dataclass(frozen=True)
class Parity:
    """How closely a traced network answers as the network it was traced from."""

    max_relative_error: Mapping[str, float] = field(default_factory=dict)
    """Largest difference by the largest value of the same output: "eval", "batch", "train" and "buffers"."""
    rung: str = ""
    """How it was traced."""
    warnings: tuple[str, ...] = ()
    """What this way of tracing costs."""
    changed_training: tuple[str, ...] = ()
    """In what the traced network differs from the model in training mode; empty where it was found to be
    the same."""
    free_axes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Axes of each input that may have any size; all others must be as they were traced."""

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


@dataclass(frozen=True)
class Draws:
    """Which random numbers a network has drawn."""

    torch: Tensor
    """State of torch's generator afterwards."""
    has_others: bool
    """Whether Python's or NumPy's generator was asked."""


@dataclass
class Answers:
    """What a network answers to a probe."""

    eval: Any
    batch: Any = None
    train: Any = None
    draws: Draws | None = None
    """In training mode."""
    buffers: dict[str, Tensor] = field(default_factory=dict)
    """Buffers of the user's network after one batch in training mode."""
    written: frozenset[str] = frozenset()
    """Buffers that one batch in evaluation mode changed."""
    caches: frozenset[str] = frozenset()
    """Those of them that the next batch left alone: tables that are filled when they are needed."""


def ask(
    network: nn.Module,
    model: nn.Module,
    probe: Probe,
    *,
    batch: bool = True,
    train: bool = True,
    watch: AbstractContextManager[Any] | None = None,
) -> Answers:
    """Answers of `network`, which is `model` or shares its tensors; both are left as they were.

    `watch` is entered around the run in evaluation mode.
    """
    with _spread(model, network):
        network.eval()
        with _seeded(_SEED):
            before = _buffers(model)
            with watch or nullcontext():
                output = network(*probe.args, **probe.kwargs)
            answers = Answers(_detached(output))
            after = _buffers(model)
            answers.written = _changed(before, after)
            if answers.written:
                network(*probe.args, **probe.kwargs)
                answers.caches = answers.written - _changed(after, _buffers(model))
        if batch:
            answers.batch = _detached(network(*probe.larger_args, **probe.larger_kwargs))
    if train:
        trained = ask_in_training(network, model, probe)
        answers.train, answers.buffers, answers.draws = trained.train, trained.buffers, trained.draws
    return answers


def ask_in_training(
    network: nn.Module,
    model: nn.Module,
    probe: Probe,
    *,
    seed: int = _SEED,
    watch: AbstractContextManager[Any] | None = None,
) -> Answers:
    """Answers in training mode alone, with the generators of torch, Python and NumPy at `seed`."""
    with _spread(model, network):
        network.train()
        with _seeded(seed):
            before = _other_generators()
            with watch or nullcontext():
                output = network(*probe.args, **probe.kwargs)
            draws = Draws(torch.get_rng_state(), has_others=_other_generators() != before)
            return Answers(None, train=_detached(output), buffers=_buffers(model), draws=draws)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Let the generators of Python and NumPy go on afterwards from where they were."""
    numpy = sys.modules.get("numpy")
    python, others = random.getstate(), numpy.random.get_state() if numpy else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(others)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Within, random numbers start at `seed`; afterwards all generators go on from where they were."""
    numpy = sys.modules.get("numpy")
    with kept_generators(), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        random.seed(seed)
        if numpy:
            numpy.random.seed(seed % 2**32)
        yield


def _other_generators() -> tuple[Any, ...]:
    """States of the generators that torch knows nothing of."""
    numpy = sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy else ()
    return random.getstate(), *(part.tobytes() if hasattr(part, "tobytes") else part for part in drawn)


@contextmanager
def _spread(model: nn.Module, network: nn.Module) -> Iterator[None]:
    generator = torch.Generator().manual_seed(_SEED)
    with torch.no_grad(), borrowed(network), borrowed(model), spread(model, generator):
        yield


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


def differ(one: Any, other: Any, tolerance: float) -> bool:
    """Return whether two outputs differ by more than `tolerance`, or in form.

    Examples:
        >>> differ((torch.ones(2), None), (torch.ones(2) + 1e-9, None), tolerance=1e-6)
        False
    """
    try:
        return not _error_of_outputs("train", one, other) <= tolerance
    except ParityError:
        return True


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
