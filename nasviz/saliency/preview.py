"""Scores of a network as it stands, outside of training: what would go now?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from nasviz.errors import DataError, InvalidSettingError
from nasviz.saliency.reductions import Reductions, StructureIndex
from nasviz.saliency.scores import Saliency, find

__all__ = ["own_tensors", "score"]

Loss = Callable[[Any, Any], Tensor]


class Structure(Protocol):
    """What scoring needs to know of a removal structure."""

    @property
    def id(self) -> int: ...
    @property
    def parameter_names(self) -> tuple[str, ...]: ...


class Space(Protocol):
    """What scoring needs to know of a search space."""

    @property
    def removable(self) -> Sequence[Structure]: ...


def own_tensors(net: nn.Module, space: Space) -> dict[int, list[Tensor]]:
    """The own parameters of each removable structure, found in `net` by name.

    Raises:
        InvalidSettingError: The space names a parameter that `net` does not hold.
    """
    named = dict(net.named_parameters(remove_duplicate=False))
    if lost := [name for s in space.removable for name in s.parameter_names if name not in named]:
        raise InvalidSettingError(
            f"the search space names parameters that this network does not hold: {lost[:5]};"
            " pass the network from which the space was generated"
        )
    return {s.id: [named[name] for name in s.parameter_names] for s in space.removable}


def score(
    name: str | Saliency | Callable[[Reductions], Tensor],
    net: nn.Module,
    space: Space,
    batches: Iterable[tuple[Any, Any]] = (),
    generator: Generator | None = None,
    *,
    loss: Loss | None = None,
) -> dict[int, float]:
    """Mean saliency score of each removable structure over some batches; the network is left as it was.

    The network runs in training mode, as in the warm-up; its gradients, buffers, modes and the random state
    are what they were afterwards. As no optimizer is at work, the direction d is the raw gradient.

    Args:
        name: A name in `SALIENCIES`, or a function of `Reductions`.
        net: The traced network.
        space: Its search space.
        batches: Pairs of input and target, on the device of the network; the input may be a tuple of tensors.
            May be empty for scores that need no gradient.
        generator: Where `random` draws from.
        loss: Of output and target; cross-entropy of the first output when left out.

    Raises:
        DataError: There is no batch, and the score needs gradients.
    """
    saliency = find(name)
    index = StructureIndex(own_tensors(net, space))
    values = [tensor.detach() for tensor in index.tensors]
    if not saliency.needs_gradient:
        nothing: list[Tensor | None] = [None] * len(values)
        sample = saliency.score(Reductions(index, values, nothing, nothing), generator)
        return dict(zip(index.ids, sample.tolist(), strict=True))
    samples = []
    with _untouched(net, index.device):
        for inputs, target in batches:
            found = _gradients(net, index.tensors, inputs, target, loss or _cross_entropy)
            samples.append(saliency.score(Reductions(index, values, found, found), generator))
    if not samples:
        raise DataError(f"saliency {saliency.name!r} needs gradients: pass at least one batch")
    return dict(zip(index.ids, torch.stack(samples).mean(dim=0).tolist(), strict=True))


def _gradients(
    net: nn.Module, tensors: Sequence[Tensor], inputs: Any, target: Any, loss: Loss
) -> list[Tensor | None]:
    """Gradients at these tensors, leaving their `.grad` alone."""
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    with torch.enable_grad():
        output = net(*inputs) if isinstance(inputs, tuple | list) else net(inputs)
        value = loss(output, target)
        found = torch.autograd.grad(value, wanted, allow_unused=True) if wanted else ()
    by_id = {id(tensor): grad for tensor, grad in zip(wanted, found, strict=True)}
    return [by_id.get(id(tensor)) for tensor in tensors]


def _cross_entropy(output: Any, target: Any) -> Tensor:
    while not isinstance(output, Tensor):
        output = next(iter(output.values() if isinstance(output, Mapping) else output))
    return nn.functional.cross_entropy(output, target)


@contextmanager
def _untouched(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Training mode inside; modes, buffers and random state as before afterwards."""
    modes = {module: module.training for module in net.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in net.buffers()]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        net.train()
        try:
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)
