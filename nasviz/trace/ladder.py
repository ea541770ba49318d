"""Ways of tracing a network, best first: the first whose answers agree with the user's module is taken."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ParityError, TraceError
from nasviz.trace.constants import fold_constants, free_of_shapes
from nasviz.trace.export import Program, export_program
from nasviz.trace.forms import fit_forms, is_plain
from nasviz.trace.functional import make_functional
from nasviz.trace.graph_of import graph_of
from nasviz.trace.lift import lift
from nasviz.trace.network import TracedNetwork, assemble
from nasviz.trace.origin import line_of_error
from nasviz.trace.parity import Answers, Parity, Probe, ask, compare, tolerance_of
from nasviz.trace.sizes import BatchSizes, read_sizes_from_input
from nasviz.trace.state import borrowed

__all__ = ["RUNGS", "Rung", "trace"]


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of exporting a network."""

    name: str
    train: bool
    dynamic: bool
    costs: tuple[str, ...] = ()


RUNGS = (
    Rung("export, training mode, any batch size", train=True, dynamic=True),
    Rung(
        "export, training mode, fixed batch size",
        train=True,
        dynamic=False,
        costs=("works only for batches of the size of the example inputs",),
    ),
    Rung(
        "export, evaluation mode, any batch size",
        train=False,
        dynamic=True,
        costs=("what the network does in training mode only (auxiliary heads, noise) is not in the graph",),
    ),
)


def trace(model: nn.Module, example_inputs: Any) -> TracedNetwork:
    """Trace `model` to one graph of operators on its own modules and parameters.

    The traced network shares the modules and parameters of `model` under their names; `model` itself is left
    as it was. The batch may have any size later on: the first axis of `example_inputs`, which are noise for
    shapes and ranges only. Costs one export and ten forward passes.

    Args:
        model: Any module that `torch.export` can follow.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments.

    Raises:
        TraceError: The model does not run on `example_inputs`, or no way of tracing follows it; the message
            names the line and what to try.
        ParityError: The traced network answers differently.

    Examples:
        >>> network = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.zeros(1, 4))
        >>> [vertex.operator for vertex in network.trace_graph]
        ['linear', 'relu']
    """
    args, kwargs = _as_arguments(example_inputs)
    args, kwargs = pytree.tree_map(_widened, (args, kwargs))
    with borrowed(model):
        probe = Probe.like(args, kwargs)
        expected = _expected(model, probe)
        failures: list[tuple[Rung, Exception]] = []
        for rung in RUNGS:
            if (rung.train and expected.train is None) or (rung.dynamic and expected.batch is None):
                continue
            try:
                return _climb(model, args, kwargs, rung, probe, expected)
            except Exception as error:  # the user's code and torch.export raise whatever they like
                failures.append((rung, error))
    raise _refusal(model, failures)


def _as_arguments(example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, tuple | list):
        return tuple(example_inputs), {}
    return (example_inputs,), {}


def _widened(leaf: Any) -> Any:
    """A batch of one is doubled: export takes a one for a constant."""
    return torch.cat([leaf, leaf]) if isinstance(leaf, Tensor) and leaf.dim() and leaf.shape[0] == 1 else leaf


def _expected(model: nn.Module, probe: Probe) -> Answers:
    """Answers of the user's module; without those at another batch size or in training mode it has not."""
    try:
        answers = ask(model, model, probe, batch=False, train=False)
    except Exception as error:
        shapes = pytree.tree_map(
            lambda leaf: tuple(leaf.shape) if isinstance(leaf, Tensor) else leaf,
            (probe.args, dict(probe.kwargs)),
        )
        given = ", ".join([*map(str, shapes[0]), *(f"{k}={v}" for k, v in shapes[1].items())])
        raise TraceError(
            f"{type(model).__name__} does not run on inputs of shape {given}: {_first_line(error)}; pass"
            " example_inputs of the shape that it was made for"
        ) from error
    with suppress(Exception):  # the user's code, at another batch size
        answers.batch = ask(model, model, probe, train=False).batch
    with suppress(Exception):  # the user's code, in training mode
        trained = ask(model, model, probe, batch=False)
        answers.train, answers.buffers = trained.train, trained.buffers
    return answers


def _climb(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    rung: Rung,
    probe: Probe,
    expected: Answers,
) -> TracedNetwork:
    """Trace in one way, and check."""
    program = export_program(model, args, kwargs, train=rung.train, dynamic=rung.dynamic)
    network = _network_of(program, model, expected)
    warnings = [*rung.costs, *fit_forms(network, model, probe, expected)]
    tolerance = tolerance_of(model)
    found = ask(network, model, probe, batch=rung.dynamic, train=expected.train is not None)
    if not rung.train and expected.train is not None:
        try:
            compare(Answers(None, train=expected.train, buffers=expected.buffers), found, tolerance)
        except ParityError as error:
            warnings.append(f"in training mode {error}")
            found.train, found.buffers = None, {}
    if expected.train is None:
        warnings.append(
            "the model does not run on the example inputs in training mode: only evaluation was checked"
        )
    errors = compare(expected, found, tolerance)
    network.parity = Parity(errors, rung.name, tuple(warnings))
    return network


def _network_of(program: Program, model: nn.Module, expected: Answers) -> TracedNetwork:
    """Rewrite an exported program, lift it, and say what it is as data."""
    make_functional(program)
    sizes = BatchSizes(program.graph)
    read_sizes_from_input(program, sizes)
    free_of_shapes(program, sizes)
    fold_constants(program)
    lifted = lift(program, model)
    plain = (
        is_plain(program.form)
        and is_plain(expected.eval)
        and (expected.train is None or is_plain(expected.train))
    )
    network, ids = assemble(lifted, plain=plain)
    network.trace_graph = graph_of(lifted, network, ids)
    return network


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _refusal(model: nn.Module, failures: list[tuple[Rung, Exception]]) -> TraceError:
    """The error of the best way, with what the others said."""
    _, first = failures[0]
    if isinstance(first, ParityError):
        return first
    line = line_of_error(first)
    others = "; ".join(f"{rung.name}: {_first_line(error)}" for rung, error in failures[1:])
    return TraceError(
        f"{type(model).__name__} cannot be traced: {_first_line(first)}"
        + (f" (at {line})" if line else "")
        + (f". Other ways failed too: {others}" if others else "")
        + ". Try to take control flow that depends on values out of forward, or trace a sub-module only, such"
        " as model.backbone"
    )
