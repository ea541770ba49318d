"""Output structure of the user's network in each mode, found by comparing values."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError
from nasviz.trace.leaves import OutputForm, Position
from nasviz.trace.network import TracedNetwork
from nasviz.trace.parity import ModelOutputs, ParityInputs, compute_outputs, relative_error, tolerance_of

__all__ = ["fit_output_forms", "is_plain"]


def is_plain(output: Any) -> bool:
    """Return whether an output is one tensor."""
    return isinstance(output, Tensor | Position)


def fit_output_forms(
    network: TracedNetwork, model: nn.Module, probe: ParityInputs, expected: ModelOutputs
) -> list[str]:
    """Make the output form of `network` return in each mode what `model` returns; list what it cannot.

    Raises:
        ParityError: No tensor of the network equals an output of `model` in evaluation mode.
    """
    form = next((m for m in network.children() if isinstance(m, OutputForm)), None)
    if form is None:
        return []
    exported = form.train_form
    positions = [leaf for leaf in pytree.tree_leaves(exported) if isinstance(leaf, Position)]
    everything = tuple(Position(i) for i in range(len(positions)))
    form.train_form = form.eval_form = everything
    found = compute_outputs(network, model, probe, batch=False, train=expected.train is not None)
    form.train_form = form.eval_form = exported
    tolerance = tolerance_of(model)
    form.eval_form = _matched(expected.eval, found.eval, tolerance)
    if expected.train is not None:
        try:
            form.train_form = _matched(expected.train, found.train, tolerance)
        except ParityError:
            form.train_form = form.eval_form
            return ["in training mode it returns the outputs of evaluation mode"]
    else:
        form.train_form = form.eval_form
    return []


def _matched(expected: Any, tensors: tuple[Tensor, ...], tolerance: float) -> Any:
    """Return `expected` with each tensor replaced by the position of an equal one of `tensors`."""
    leaves, spec = pytree.tree_flatten(expected)
    marks: list[Any] = []
    for place, leaf in enumerate(leaves):
        if not isinstance(leaf, Tensor):
            marks.append(leaf)
            continue
        order = sorted(range(len(tensors)), key=lambda i: (i != place, i))
        errors = {i: relative_error(leaf, tensors[i]) for i in order}
        match = next((i for i in order if errors[i] <= tolerance), None)
        if match is None:
            closest = min(errors.values(), default=float("inf"))
            raise ParityError(
                f"the traced network computes no tensor that equals output {place} of the model: the closest"
                f" of {len(tensors)} has relative error {closest:.3g}, allowed {tolerance:.1g}"
            )
        marks.append(Position(match))
    return pytree.tree_unflatten(marks, spec)
