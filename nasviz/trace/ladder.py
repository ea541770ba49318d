"""Ways of tracing a network, best first: the first whose answers agree with the user's module is taken."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from nasviz.errors import ParityError, TraceError
from nasviz.trace.constants import fold_constants, free_of_shapes
from nasviz.trace.expected import as_arguments, expected_answers, first_line
from nasviz.trace.export import Program, export_program
from nasviz.trace.forms import fit_forms, is_plain
from nasviz.trace.functional import make_functional
from nasviz.trace.graph_of import graph_of
from nasviz.trace.lift import lift
from nasviz.trace.network import TracedNetwork, assemble
from nasviz.trace.origin import place_of_error
from nasviz.trace.parity import Answers, Parity, Probe, ask, compare, tolerance_of
from nasviz.trace.sizes import BatchSizes, read_sizes_from_input
from nasviz.trace.state import borrowed
from nasviz.trace.symbolic import trace_symbolically

__all__ = ["RUNGS", "SYMBOLIC", "Rung", "trace", "trace_call"]

_ONE_BATCH = "works only for batches of the size of the example inputs"
_ONE_MODE = "what the network does in training mode only (auxiliary heads, noise) is not in the graph"


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of tracing a network."""

    name: str
    train: bool
    dynamic: bool
    costs: tuple[str, ...] = ()


RUNGS = (
    Rung("export, training mode, any batch size", train=True, dynamic=True),
    Rung("export, training mode, fixed batch size", train=True, dynamic=False, costs=(_ONE_BATCH,)),
    Rung("export, evaluation mode, any batch size", train=False, dynamic=True, costs=(_ONE_MODE,)),
    Rung(
        "export, evaluation mode, fixed batch size", train=False, dynamic=False, costs=(_ONE_MODE, _ONE_BATCH)
    ),
)
SYMBOLIC = Rung(
    "torch.fx",
    train=False,
    dynamic=True,
    costs=(_ONE_MODE, "functions and modules that torch.fx does not look into are unknown operators"),
)


@dataclass(frozen=True)
class _Task:
    """What is to be traced, and what must come out."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    probe: Probe
    expected: Answers

    def allows(self, rung: Rung) -> bool:
        """Whether the user's module itself runs as a rung needs it."""
        has_mode = self.expected.train is not None or not rung.train
        return has_mode and (self.expected.batch is not None or not rung.dynamic)


def trace(model: nn.Module, example_inputs: Any) -> TracedNetwork:
    """Trace `model` to one graph of operators on its own modules and parameters.

    The traced network shares the modules and parameters of `model` under their names; `model` itself is left
    as it was. The batch may have any size later on: it is the first axis of `example_inputs`, whose values
    matter only by their range. Costs one export and ten forward passes.

    Args:
        model: Any module that `torch.export` or `torch.fx` can follow.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments.

    Raises:
        TraceError: The model does not run on `example_inputs`, or no way of tracing follows it; the message
            names the line and what to try.
        ParityError: The traced network answers differently.

    Examples:
        >>> import torch
        >>> network = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.zeros(1, 4))
        >>> [vertex.operator for vertex in network.trace_graph]
        ['linear', 'relu']
    """
    return trace_call(model, *as_arguments(example_inputs))


def trace_call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TracedNetwork:
    """Trace `model` on arguments by place and by name, no batch of which is one."""
    with borrowed(model):
        probe = Probe.like(args, kwargs)
        task = _Task(model, args, kwargs, probe, expected_answers(model, probe))
        failures: list[tuple[Rung, Exception]] = []
        for rung in RUNGS:
            if not task.allows(rung):
                continue
            try:
                return _exported(task, rung)
            except Exception as error:  # the user's code and torch.export raise whatever they like
                failures.append((rung, error))
        differing = [error for _, error in failures if isinstance(error, ParityError)]
        if differing:
            raise differing[0]
        try:
            return _followed(task)
        except Exception as error:
            failures.append((SYMBOLIC, error))
            raise _refusal(model, failures) from failures[0][1]


def _exported(task: _Task, rung: Rung) -> TracedNetwork:
    """Trace by `torch.export`, and check."""
    program = export_program(task.model, task.args, task.kwargs, train=rung.train, dynamic=rung.dynamic)
    network = _lifted(program, task)
    notes = fit_forms(network, task.model, task.probe, task.expected)
    return _checked(network, task, replace(rung, costs=(*rung.costs, *notes)))


def _lifted(program: Program, task: _Task) -> TracedNetwork:
    """Rewrite an exported program, lift it, and say what it is as data."""
    make_functional(program)
    sizes = BatchSizes(program.graph)
    read_sizes_from_input(program, sizes)
    free_of_shapes(program, sizes)
    fold_constants(program)
    lifted = lift(program, task.model)
    forms = [program.form, task.expected.eval, task.expected.train]
    plain = all(form is None or is_plain(form) for form in forms)
    network, ids = assemble(lifted, plain=plain)
    network.trace_graph = graph_of(lifted, network, ids)
    return network


def _followed(task: _Task) -> TracedNetwork:
    """Trace by `torch.fx`, and check."""
    network, whole = trace_symbolically(task.model, task.probe)
    notes = [f"torch.fx does not look into {', '.join(whole)}"] if whole else []
    return _checked(network, task, replace(SYMBOLIC, costs=(*SYMBOLIC.costs, *notes)))


def _checked(network: TracedNetwork, task: _Task, rung: Rung) -> TracedNetwork:
    """`network` with its parity.

    Raises:
        ParityError: It answers differently; in training mode that is a warning where it was not traced in it.
    """
    warnings, tolerance, expected = list(rung.costs), tolerance_of(task.model), task.expected
    batch = rung.dynamic and expected.batch is not None
    found = ask(network, task.model, task.probe, batch=batch, train=expected.train is not None)
    if expected.train is None:
        warnings.append("in training mode the model does not run on the example inputs: not checked")
    elif not rung.train:
        try:
            compare(Answers(None, train=expected.train, buffers=expected.buffers), found, tolerance)
        except ParityError as error:
            warnings.append(f"in training mode {error}")
            found = replace(found, train=None, buffers={})
    errors = compare(expected, found, tolerance)
    network.parity = Parity(errors, rung.name, tuple(warnings))
    network.train(task.model.training)
    return network


def _refusal(model: nn.Module, failures: list[tuple[Rung, Exception]]) -> TraceError:
    """The error of the best way, with what the others said."""
    _, first = failures[0]
    others = "; ".join(f"{rung.name}: {first_line(error)}" for rung, error in failures[1:])
    return TraceError(
        f"{type(model).__name__} cannot be traced: {first_line(first)}"
        + place_of_error(first, model)
        + (f". Other ways failed too: {others}" if others else "")
        + ". Try to take control flow that depends on values out of forward, or trace a sub-module only, such"
        " as model.backbone"
    )
