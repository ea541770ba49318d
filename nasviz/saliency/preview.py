"""Saliency scores of a network outside of training: a preview of what would be removed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

from nasviz.errors import DataError
from nasviz.saliency.probe import Batch, Loss, Probe, Proxy, Space, cross_entropy, derivatives, own_tensors
from nasviz.saliency.reductions import Reductions, StructureIndex
from nasviz.saliency.scores import Saliency, Score, find

__all__ = ["score"]


def score(
    name: str | Saliency | Proxy | Score,
    net: nn.Module,
    space: Space,
    batches: Iterable[Batch] = (),
    generator: Generator | None = None,
    *,
    loss: Loss | None = None,
) -> dict[int, float]:
    """Return the saliency score of each removable structure, averaged over batches; the network is restored.

    The network runs in training mode, as in the warm-up; gradients, buffers, modes and random state are
    restored. Without an optimizer, the direction d is the raw gradient. Scores that need their own passes are
    computed on a copy.

    Args:
        name: A name in `SALIENCIES`, or a function of `Reductions`.
        net: Traced network.
        space: Its search space.
        batches: Pairs of input and target, on the device of the network; the input may be a tuple of tensors.
            Optional for scores that need no gradient.
        generator: Generator for `random` and for scores that draw weights, which otherwise use a fixed seed.
        loss: Function of output and target; by default, the cross-entropy of the first output.

    Raises:
        DataError: There is no batch, but the score needs gradients.
        InvalidSettingError: The score is not defined for this network.
    """
    saliency = find(name)
    index = StructureIndex(own_tensors(net, space))
    found_batches = list(batches)
    if not found_batches and saliency.needs_batches:
        raise DataError(f"saliency {saliency.name!r} needs gradients: pass at least one batch")
    with _training_mode(net, index.device):
        if isinstance(saliency, Proxy):
            draws = generator or Generator().manual_seed(0)
            probe = Probe(copy.deepcopy(net), space, found_batches, loss or cross_entropy, draws)
            with torch.enable_grad():
                scores = saliency.function(probe)
        else:
            scores = _mean(saliency, net, index, found_batches, generator, loss or cross_entropy)
    return dict(zip(index.ids, scores.tolist(), strict=True))


def _mean(
    saliency: Saliency,
    net: nn.Module,
    index: StructureIndex,
    batches: list[Batch],
    generator: Generator | None,
    loss: Loss,
) -> Tensor:
    """Return the mean over the batches of a score that is computed from gradients."""
    values = [tensor.detach() for tensor in index.tensors]
    if not saliency.needs_gradient:
        nothing: list[Tensor | None] = [None] * len(values)
        return saliency.score(Reductions(index, values, nothing, nothing), generator)
    samples = []
    for inputs, target in batches:
        with torch.enable_grad():
            output = net(*inputs) if isinstance(inputs, tuple | list) else net(inputs)
            found = derivatives(loss(output, target), index.tensors)
        samples.append(saliency.score(Reductions(index, values, found, found), generator))
    return torch.stack(samples).mean(dim=0)


@contextmanager
def _training_mode(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Use training mode within the context, and restore modes, buffers and random state."""
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
