"""Ways of tracing a network, best first: the first whose answers agree with the user's module is taken."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from nasviz.errors import ArgumentError, ParityError, TraceError, TrainingChangedWarning
from nasviz.trace.constants import fold_constants, free_of_shapes
from nasviz.trace.expected import as_arguments, expected_answers, first_line
from nasviz.trace.export import Program, argument_names, export_program
from nasviz.trace.free_axes import prove_free_axes
from nasviz.trace.functional import make_functional
from nasviz.trace.graph_of import graph_of
from nasviz.trace.inputs import BATCH, describe, free_axes, set_inputs_
from nasviz.trace.module_recovery import lift
from nasviz.trace.network import TracedNetwork, assemble
from nasviz.trace.origin import place_of_error
from nasviz.trace.output_structure import fit_forms, is_plain
from nasviz.trace.parity import (
    SEEDS,
    Answers,
    Parity,
    Probe,
    ask,
    ask_in_training,
    compare,
    differ,
    kept_generators,
    tolerance_of,
)
from nasviz.trace.sizes import BatchSizes, read_sizes_from_input
from nasviz.trace.state import borrowed, require_module
from nasviz.trace.symbolic import trace_symbolically

__all__ = ["RUNGS", "SYMBOLIC", "Rung", "trace", "trace_call", "trace_quietly", "warn_of_changes"]

_ONE_BATCH = "works only for batches of the size of the example inputs"
_RANDOM = (
    "in training mode the model draws random numbers (noise, a random path or depth) that the traced network"
    " does not draw"
)
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
    reads: Mapping[str, list[int]]
    """Sizes of tensors that the code of the model was handed, by mode."""

    def allows(self, rung: Rung) -> bool:
        """Whether the user's module itself runs as a rung needs it."""
        has_mode = self.expected.train is not None or not rung.train
        return has_mode and (self.expected.batch is not None or not rung.dynamic)


def trace(model: nn.Module, example_inputs: Any) -> TracedNetwork:
    """Trace `model` to one graph of operators on its own modules and parameters.

    The traced network shares the modules and parameters of `model` under their names; `model` itself is left
    as it was. The batch may have any size later on: it is the first axis of `example_inputs`, whose values
    matter only by their range. Other axes keep their size unless `parity.free_axes` names them; the traced
    network refuses inputs of other sizes. Costs one export and about ten forward passes.

    Args:
        model: Any module that `torch.export` or `torch.fx` can follow.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments.

    Raises:
        TraceError: The model does not run on `example_inputs`, or no way of tracing follows it; the message
            names the line and what to try.
        ParityError: The traced network answers differently.

    Warns:
        TrainingChangedWarning: In training mode the traced network does not compute what `model` does.

    Examples:
        >>> import torch
        >>> network = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.zeros(1, 4))
        >>> [vertex.operator for vertex in network.trace_graph]
        ['linear', 'relu']
        >>> network.parity.free_axes
        {'input': (0,)}
    """
    network = trace_quietly(model, example_inputs)
    warn_of_changes(network, stacklevel=3)
    return network


def trace_quietly(model: nn.Module, example_inputs: Any) -> TracedNetwork:
    """Trace `model` as `trace` does; whoever calls this tells what training loses (`changed_training`)."""
    if isinstance(example_inputs, nn.Module) and not isinstance(model, nn.Module):
        raise ArgumentError(
            "model and example_inputs are in the wrong order: nasviz.trace(model, example_inputs)"
        )
    require_module("model", model)
    return trace_call(model, *as_arguments(example_inputs))


def warn_of_changes(network: TracedNetwork, *, stacklevel: int) -> None:
    """Warn where a traced network trains another function than the model does."""
    if changes := network.parity.changed_training:
        warnings.warn(
            f"training {network.trace_graph.name} as traced is not training the model: {'; '.join(changes)}."
            " In evaluation mode both agree. Take what the graph cannot hold out of forward, or train the"
            " model itself; runs of nasviz need allow_changed_training=True to train it as it is",
            TrainingChangedWarning,
            stacklevel=stacklevel,
        )


def trace_call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> TracedNetwork:
    """Trace `model` on arguments by place and by name, no batch of which is one."""
    if isinstance(model, torch.jit.ScriptModule):
        raise TraceError(
            f"{model.original_name} is a TorchScript module, which torch.export does not follow; trace the"
            " Python module that it was made from"
        )
    with borrowed(model), kept_generators():
        probe = Probe.like(args, kwargs)
        task = _Task(model, args, kwargs, probe, *expected_answers(model, probe))
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
    return _checked(network, task, rung, tuple(notes))


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
    return _checked(network, task, replace(SYMBOLIC, costs=(*SYMBOLIC.costs, *notes)), ())


def _checked(network: TracedNetwork, task: _Task, rung: Rung, notes: tuple[str, ...]) -> TracedNetwork:
    """`network` with its parity; from here on it takes only what it was found to answer rightly.

    Raises:
        ParityError: It answers differently; in training mode that is a warning where it was not traced in it.
    """
    tolerance, expected = tolerance_of(task.model), task.expected
    batch = rung.dynamic and expected.batch is not None
    found = ask(network, task.model, task.probe, batch=batch, train=expected.train is not None)
    changes = list(notes)
    try:
        if expected.train is None:
            changes.append("in training mode the model does not run on the example inputs: not checked")
        elif not rung.train:
            compare(Answers(None, train=expected.train, buffers=expected.buffers), found, tolerance)
        changes += _lost_draws(network, task, found, tolerance)
    except ParityError as error:
        if rung.train:
            raise
        changes += [_draws_nothing(network, task, tolerance) or f"in training mode {error}"]
        found = replace(found, train=None, buffers={})
    errors = compare(expected, found, tolerance)
    described = _described(network, task, tolerance, is_batched=batch)
    costs = [cost for cost in rung.costs if changes or cost != _ONE_MODE]
    network.parity = Parity(
        errors,
        rung.name,
        (*costs, *changes),
        tuple(changes),
        {place: tuple(axes) for place, axes in free_axes(described).items()},
    )
    set_inputs_(network.graph, described)
    network.recompile()
    network.train(task.model.training)
    return network


def _lost_draws(network: TracedNetwork, task: _Task, found: Answers, tolerance: float) -> list[str]:
    """Return which random numbers of training mode the traced network does not draw.

    Both answered alike to the first seed. A path that Python's generator drew was the same by chance, and a
    branch that is left out once in a hundred times was there: so other seeds are tried, more of them where
    the model has drawn what the traced network has not.

    Raises:
        ParityError: The network was traced in training mode, with one random path for good.
    """
    expected = task.expected
    if expected.train is None or found.draws is None or expected.draws is None:
        return []
    is_same = torch.equal(expected.draws.torch, found.draws.torch) and not expected.draws.has_others
    for seed in SEEDS[1:2] if is_same else SEEDS[1:]:
        theirs = ask_in_training(task.model, task.model, task.probe, seed=seed)
        if is_same and not differ(expected.train, theirs.train, 0.0):
            return []  # nothing is drawn
        ours = ask_in_training(network, task.model, task.probe, seed=seed)
        if differ(theirs.train, ours.train, tolerance):
            raise ParityError(_RANDOM)
    return []


def _draws_nothing(network: TracedNetwork, task: _Task, tolerance: float) -> str | None:
    """In words that the model draws random numbers in training mode and the traced network does not."""
    answers = [
        [ask_in_training(net, task.model, task.probe, seed=seed).train for seed in SEEDS[:2]]
        for net in (task.model, network)
    ]
    is_random = [differ(one, other, tolerance) for one, other in answers]
    return _RANDOM if is_random == [True, False] else None


def _described(network: TracedNetwork, task: _Task, tolerance: float, *, is_batched: bool) -> dict[str, Any]:
    """Return what `network` takes, by the names of its arguments."""
    names = argument_names(task.model, len(task.args))
    arguments = dict(zip(names, task.args, strict=True)) | task.kwargs
    proven = prove_free_axes(network, task.model, task.probe, task.reads, tolerance)
    given = pytree.tree_leaves((task.args, task.kwargs))
    numbers = {id(leaf): number for number, leaf in enumerate(given)}
    batch = next((leaf.shape[:1] for leaf in given if isinstance(leaf, Tensor)), ()) if is_batched else ()
    labels: dict[tuple[Any, ...], dict[int, str]] = {}
    for path, leaf in pytree.tree_flatten_with_path(arguments)[0]:
        if isinstance(leaf, Tensor):
            axes = {axis: label for (i, axis), label in proven.items() if i == numbers[id(leaf)]}
            if batch and leaf.shape[:1] == batch:
                axes = {0: BATCH} | axes
            labels[tuple(_key(step) for step in path)] = axes
    return {name: describe(value, labels, (name,)) for name, value in arguments.items()}


def _key(step: Any) -> Any:
    """Return the key, index or attribute of one step of a pytree's path."""
    return next(getattr(step, name) for name in ("key", "idx", "name") if hasattr(step, name))


def _scripted(model: nn.Module) -> str:
    """Return a remedy if the network has TorchScript parts, else an empty text."""
    parts = [name for name, part in model.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    words = f"; {', '.join(parts[:5])} {'is' if len(parts) == 1 else 'are'} TorchScript"
    return f"{words}: put the Python modules in their places" if parts else ""


def _refusal(model: nn.Module, failures: list[tuple[Rung, Exception]]) -> TraceError:
    """The error of the best way, with what the others said."""
    _, first = failures[0]
    others = "; ".join(f"{rung.name}: {first_line(error)}" for rung, error in failures[1:])
    return TraceError(
        f"{type(model).__name__} cannot be traced: {first_line(first)}"
        + place_of_error(first, model)
        + _scripted(model)
        + (f". Other ways failed too: {others}" if others else "")
        + ". Try to take control flow that depends on values out of forward, or trace a sub-module only, such"
        " as model.backbone"
    )
