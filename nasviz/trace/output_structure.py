"""Which tensors the user's network returns in each mode, found by their values."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError
from nasviz.trace.leaves import OutputForm, Position
from nasviz.trace.network import TracedNetwork
from nasviz.trace.parity import Answers, Probe, ask, relative_error, tolerance_of

__all__ = ["fit_forms", "is_plain"]


def is_plain(output: Any) -> bool:
    """Whether an output is one tensor."""
    return isinstance(output, Tensor | Position)


def fit_forms(network: TracedNetwork, model: nn.Module, probe: Probe, expected: Answers) -> list[str]:
    """Let the output form of `network` return in each mode what `model` returns; say what cannot be returned.

    Raises:
        ParityError: The network computes no tensor that equals an output of `model` in evaluation mode.
    """
    form = next((m for m in network.children() if isinstance(m, OutputForm)), None)
    if form is None:
        return []
    exported = form.train_form
    positions = [leaf for leaf in pytree.tree_leaves(exported) if isinstance(leaf, Position)]
    everything = tuple(Position(i) for i in range(len(positions)))
    form.train_form = form.eval_form = everything
    found = ask(network, model, probe, batch=False, train=expected.train is not None)
    form.train_form = form.eval_form = exported
    tolerance = tolerance_of(model)
    form.eval_form = _matched(expected.eval, found.eval, tolerance)
    if expected.train is not None:
        try:
            form.train_form = _matched(expected.train, found.train, tolerance)
        except ParityError:
            form.train_form = form.eval_form
            return ["returns in training mode what it returns in evaluation mode"]
    else:
        form.train_form = form.eval_form
    return []


def _matched(expected: Any, tensors: tuple[Tensor, ...], tolerance: float) -> Any:
    """`expected` with the position of the equal one of `tensors` in the place of each tensor."""
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
