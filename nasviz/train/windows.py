"""Networks that take one step in time, run along windows of a text."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.errors import DataError
from nasviz.subnet.parity import recorded_inputs
from nasviz.train.batches import arguments

__all__ = ["answer", "first_step", "is_text", "perplexity", "require_step"]


def is_text(batch: Any, labels: Any) -> bool:
    """Return whether a batch holds windows of symbols, each with a label of its own."""
    are_tensors = isinstance(batch, Tensor) and isinstance(labels, Tensor)
    return are_tensors and batch.dim() == labels.dim() == 2 and not batch.is_floating_point()


def answer(network: nn.Module, batch: Any, labels: Any, traced: nn.Module | None = None) -> tuple[Any, Any]:
    """Return what a network returns for a batch, and the labels to judge it by.

    A network that is one step in time reads a window symbol by symbol, from a state of zeros on; then the
    scores of all places stand one below the other, `(B * length, classes)`, with as many labels.

    Args:
        network: What is called.
        batch: Inputs: a tensor, a tuple or a dict; windows of a text are `(B, length)`.
        labels: Target.
        traced: The network that knows its inputs, where `network` is wrapped around it.

    Raises:
        InputError: The network takes other arguments.
    """
    hidden = _hidden(traced or network) if is_text(batch, labels) else None
    if hidden is None:
        return network(*arguments(traced or network, batch)), labels
    like = next(p for p in network.parameters() if p.is_floating_point())
    state = like.new_zeros(len(batch), hidden)
    scores = []
    for place in range(batch.shape[1]):
        found, state = network(batch[:, place], state)
        scores.append(found)
    return torch.stack(scores, dim=1).flatten(0, 1), labels.flatten()


def require_step(network: nn.Module) -> None:
    """Check that a network can read a text.

    Raises:
        DataError: It is no step in time.
    """
    if _hidden(network) is None:
        raise DataError(
            "a text is read symbol by symbol: the network has to take symbols (N,) and a state (N, hidden),"
            " and to return scores and the state after, as recurrent_cell does; choose it, or other data"
        )


def perplexity(loss: float) -> float:
    """The exponential of a mean cross-entropy: among how many symbols a network is in doubt.

    Examples:
        >>> round(perplexity(math.log(10.0)), 6)
        10.0
    """
    return math.exp(min(loss, 700.0))


def first_step(network: nn.Module, batch: Any) -> tuple[Any, ...]:
    """Return arguments to time a network with: a batch, or the first symbols of windows and a state."""
    hidden = _hidden(network)
    if hidden is None or not isinstance(batch, Tensor) or batch.is_floating_point():
        return arguments(network, batch)
    return batch[:, 0], torch.zeros(len(batch), hidden, device=batch.device)


def _hidden(network: nn.Module) -> int | None:
    """Width of the state that a network reads beside its symbols; None where it is no step in time."""
    inputs = recorded_inputs(network)
    is_step = inputs is not None and len(inputs) == 2 and len(inputs[1].shape) == 2
    return inputs[1].shape[1] if inputs is not None and is_step else None
