"""Tracing strategies, best first: the first whose outputs agree with the user's module is used."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from nasviz.errors import ArgumentError, ParityError, TraceError, TrainingChangedWarning
from nasviz.extensions import load_extensions
from nasviz.trace.export import (
    InputSizes,
    Program,
    argument_names,
    export_program,
    fold_constants,
    follows_batch,
    make_functional,
    read_sizes_from_input,
    remove_shape_operands,
)
from nasviz.trace.free_axes import (
    Axis,
    agrees_at_other_sizes,
    as_arguments,
    expected_outputs,
    first_line,
    prove_free_axes,
    proven_from,
    reason_of_images,
    symbolic_axes,
    takes_single,
)
from nasviz.trace.graph_of import graph_of
from nasviz.trace.module_recovery import error_location, recover_modules
from nasviz.trace.network import (
    BATCH,
    TracedNetwork,
    assemble,
    describe,
    described_tensors,
    fit_output_forms,
    free_axes,
    is_plain,
    set_inputs_,
)
from nasviz.trace.parity import (
    SEEDS,
    ModelOutputs,
    Parity,
    ParityInputs,
    compare,
    compute_outputs,
    compute_training_outputs,
    differ,
    preserve_generators,
    preserve_state,
    require_module,
    tolerance_of,
)
from nasviz.trace.symbolic import trace_symbolically

__all__ = ["STRATEGIES", "SYMBOLIC", "Strategy", "trace", "trace_call", "trace_quietly", "warn_of_changes"]

_ONE_BATCH = "works only for batches of the size of the example inputs"
_RANDOM = (
    "in training mode the model draws random numbers (noise, a random path or depth) that the traced network"
    " does not draw"
)
_MOST_OPERATORS = 500
"""Operators of a network of images up to which a second export, with symbols for sizes, is tried."""
_NO_GRADIENT = "in training mode the model writes results into tensors of its own, without gradients"
_ONE_MODE = "what the network does in training mode only (auxiliary heads, noise) is not in the graph"


_SINGLE_REFUSED = (BATCH, 2, None, 1)
_NO_SINGLE = "for a batch of one the code of the model computes something else: such batches are refused"


class _NoGradientError(TraceError):
    """A traced network computes what the model does, but cannot be trained."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way of tracing a network."""

    name: str
    train: bool
    dynamic: bool
    costs: tuple[str, ...] = ()


STRATEGIES = (
    Strategy("export, training mode, any batch size", train=True, dynamic=True),
    Strategy("export, training mode, fixed batch size", train=True, dynamic=False, costs=(_ONE_BATCH,)),
    Strategy("export, evaluation mode, any batch size", train=False, dynamic=True, costs=(_ONE_MODE,)),
    Strategy(
        "export, evaluation mode, fixed batch size", train=False, dynamic=False, costs=(_ONE_MODE, _ONE_BATCH)
    ),
)
SYMBOLIC = Strategy(
    "torch.fx",
    train=False,
    dynamic=True,
    costs=(_ONE_MODE, "functions and modules that torch.fx does not trace into are unknown operators"),
)


@dataclass(frozen=True)
class _Task:
    """The network to trace, and its expected outputs."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    probe: ParityInputs
    expected: ModelOutputs
    reads: Mapping[str, list[int]]
    """Tensor sizes that the code of the model read, by mode."""
    batch_axis: int = 0
    lost: tuple[str, ...] = ()
    """What a graph of training mode would have computed, and could not be trained with."""

    def allows(self, strategy: Strategy) -> bool:
        """Return whether the user's module itself runs in the mode and batch sizes of a strategy."""
        has_mode = self.expected.train is not None or not strategy.train
        return has_mode and (self.expected.batch is not None or not strategy.dynamic)

    @property
    def has_images(self) -> bool:
        """Return whether an input has a height and a width, which cost an export much time as symbols."""
        leaves = pytree.tree_leaves((self.args, self.kwargs))
        return any(isinstance(leaf, Tensor) and leaf.dim() >= 4 for leaf in leaves)


def trace(model: nn.Module, example_inputs: Any, *, batch_axis: int = 0) -> TracedNetwork:
    """Trace `model` to one graph of operators on its own modules and parameters.

    The traced network shares the modules and parameters of `model` under their names; `model` itself is left
    unchanged. The batch may have any size later on, and so may every other axis that torch can leave free,
    such as the length of a text or the height and width of an image: `parity.free_axes` lists them, each
    proven at a second size, and `parity.fixed_axes` says why the others are fixed. The traced network rejects
    inputs of other sizes. The values of `example_inputs` matter only by their range. Costs one or two exports
    and about ten forward passes.

    Args:
        model: Any module that `torch.export` or `torch.fx` can follow, or a program of `torch.export`, which
            computes the same in training and evaluation mode.
        example_inputs: A tensor, a tuple of arguments, or a dict of keyword arguments.
        batch_axis: Axis of the batch in every input; 1 for networks that take sequences first.

    Raises:
        TraceError: The model does not run on `example_inputs`, or no strategy can trace it; the message
            names the line and a remedy.
        ParityError: The outputs of the traced network differ.

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
    network = trace_quietly(model, example_inputs, batch_axis=batch_axis)
    warn_of_changes(network, stacklevel=3)
    return network


def trace_quietly(model: nn.Module, example_inputs: Any, *, batch_axis: int = 0) -> TracedNetwork:
    """Trace `model` as `trace` does, without the warning: callers report `parity.changed_training`."""
    if isinstance(example_inputs, nn.Module) and not isinstance(model, nn.Module):
        raise ArgumentError(
            "model and example_inputs are in the wrong order: nasviz.trace(model, example_inputs)"
        )
    if isinstance(model, torch.export.ExportedProgram):
        # Its checks of the inputs stay: at sizes that it was not exported for it would answer wrongly.
        checked = model.module()
        model = fx.GraphModule(checked, checked.graph, model.graph_module.__class__.__name__)
    require_module("model", model)
    return trace_call(model, *as_arguments(example_inputs, batch_axis), batch_axis=batch_axis)


def warn_of_changes(network: TracedNetwork, *, stacklevel: int) -> None:
    """Warn if training the traced network differs from training the model."""
    if changes := network.parity.changed_training:
        warnings.warn(
            f"training {network.trace_graph.name} as traced is not training the model: {'; '.join(changes)}."
            " In evaluation mode both agree. Move what the graph cannot hold out of forward, or train the"
            " model itself; runs of nasviz need allow_changed_training=True to train it anyway",
            TrainingChangedWarning,
            stacklevel=stacklevel,
        )


def trace_call(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *, batch_axis: int = 0
) -> TracedNetwork:
    """Trace `model` on positional and keyword arguments, whose batch must be larger than one."""
    if isinstance(model, torch.jit.ScriptModule):
        raise TraceError(
            f"{model.original_name} is a TorchScript module, which torch.export cannot trace; trace the"
            " Python module that it was made from"
        )
    tensors = [*model.parameters(), *model.buffers(), *pytree.tree_leaves((args, kwargs))]
    if any(isinstance(tensor, Tensor) and tensor.is_meta for tensor in tensors):
        raise TraceError(
            f"{type(model).__name__} or its inputs are on the meta device, where tensors have no values; a"
            " trace compares values: give the network weights first, by model.to_empty(device='cpu') and a"
            " checkpoint or an initialization, and pass inputs with values"
        )
    load_extensions(operators=True)
    with preserve_state(model), preserve_generators():
        probe = ParityInputs.like(args, kwargs, batch_axis)
        task = _Task(model, args, kwargs, probe, *expected_outputs(model, probe), batch_axis)
        failures: list[tuple[Strategy, Exception]] = []
        for strategy in STRATEGIES:
            if not task.allows(strategy):
                continue
            other = None
            if (strategy.dynamic or task.expected.batch is None) and not task.has_images:
                with suppress(Exception):  # of torch.export and the user's code: numbers for sizes come next
                    other = _exported(task, strategy, free=True)
            if other is not None and other.parity.strategy == strategy.name:
                return other
            try:
                network = _exported(task, strategy)
                return _with_free_images(network, task, strategy) if task.has_images else network
            except Exception as error:  # the user's code and torch.export may raise anything
                if other is not None:  # with a batch of one size
                    return other
                failures.append((strategy, error))
                if isinstance(error, _NoGradientError):
                    task = replace(task, lost=(str(error),))
        differing = [error for _, error in failures if isinstance(error, ParityError)]
        if differing:
            raise differing[0]
        try:
            return _followed(task)
        except Exception as error:
            failures.append((SYMBOLIC, error))
            raise _trace_error(model, failures) from failures[0][1]


def _exported(task: _Task, strategy: Strategy, *, free: bool = False) -> TracedNetwork:
    """Trace by `torch.export`, and verify; with `free`, every size is a symbol at first."""
    program = export_program(
        task.model,
        task.args,
        task.kwargs,
        train=strategy.train,
        dynamic=strategy.dynamic,
        free=free,
        batch_axis=task.batch_axis,
    )
    if strategy.dynamic and free and not program.batch:
        strategy = STRATEGIES[STRATEGIES.index(strategy) + 1]
    network = _lifted(program, task)
    notes = fit_output_forms(network, task.model, task.probe, task.expected)
    return _checked(network, task, strategy, tuple(notes), program if free else None)


def _with_free_images(network: TracedNetwork, task: _Task, strategy: Strategy) -> TracedNetwork:
    """Return `network`, or one by an export with symbols where the model takes images of other sizes."""
    fixed = network.parity.fixed_axes
    sizes = [axis for axes in fixed.values() for axis in axes if axis >= 2]
    if not sizes:
        return network
    reason = reason_of_images(task.model, task.probe)
    if reason is None and len(network.trace_graph) > _MOST_OPERATORS:
        reason = f"sizes of images are followed through up to {_MOST_OPERATORS} operators"
    if reason is None:
        try:
            other = _exported(task, strategy, free=True)
        except Exception as error:  # of torch.export and the user's code: the sizes stay fixed
            reason = f"with a symbol for each size it cannot be exported: {first_line(error)}"
        else:
            had, has = (sum(map(len, net.parity.free_axes.values())) for net in (network, other))
            if has > had:
                return other
            more = other.parity.fixed_axes
            fixed = {place: {**axes, **more.get(place, {})} for place, axes in fixed.items()}
    if reason is not None:
        fixed = {
            place: {axis: reason if axis >= 2 else known for axis, known in axes.items()}
            for place, axes in fixed.items()
        }
    network.parity = replace(network.parity, fixed_axes=fixed)
    return network


def _lifted(program: Program, task: _Task) -> TracedNetwork:
    """Rewrite an exported program, recover its module calls, and attach its trace graph."""
    sizes = InputSizes(program)
    make_functional(program, sizes)
    read_sizes_from_input(program, sizes)
    remove_shape_operands(program, sizes)
    sizes.sort()
    fold_constants(program)
    recovered = recover_modules(program, task.model)
    forms = [program.form, task.expected.eval, task.expected.train]
    plain = all(form is None or is_plain(form) for form in forms)
    network, ids = assemble(recovered, plain=plain)
    network.trace_graph = graph_of(recovered, network, ids)
    return network


def _followed(task: _Task) -> TracedNetwork:
    """Trace by `torch.fx`, and verify."""
    network, whole = trace_symbolically(task.model, task.probe)
    notes = [f"torch.fx does not trace into {', '.join(whole)}"] if whole else []
    return _checked(network, task, replace(SYMBOLIC, costs=(*SYMBOLIC.costs, *notes)), ())


def _checked(
    network: TracedNetwork,
    task: _Task,
    strategy: Strategy,
    notes: tuple[str, ...],
    program: Program | None = None,
) -> TracedNetwork:
    """Return `network` with its parity, restricted to the inputs that were verified.

    `program` is that of an export with symbols for sizes.

    Raises:
        ParityError: The outputs differ; differences in training mode are warnings if it was traced in
            evaluation mode.
    """
    tolerance, expected = tolerance_of(task.model), task.expected
    batch = strategy.dynamic and expected.batch is not None
    found = compute_outputs(network, task.model, task.probe, batch=batch, train=expected.train is not None)
    _run_with_gradients(network, task, strategy)
    changes = [*notes, *task.lost]
    try:
        if expected.train is None:
            changes.append("in training mode the model does not run on the example inputs: not checked")
        elif not strategy.train:
            compare(ModelOutputs(None, train=expected.train, buffers=expected.buffers), found, tolerance)
        changes += _missing_draws(network, task, found, tolerance)
    except ParityError as error:
        if strategy.train:
            raise
        changes += [_explain_missing_draws(network, task, tolerance) or f"in training mode {error}"]
        found = replace(found, train=None, buffers={})
    errors = compare(expected, found, tolerance)
    described, fixed = _describe_inputs(network, task, strategy, tolerance, program, is_batched=batch)
    costs = [cost for cost in strategy.costs if changes or cost != _ONE_MODE]
    if any(_SINGLE_REFUSED in sizes for _, (_, sizes) in described_tensors(described)):
        costs.append(_NO_SINGLE)
    network.parity = Parity(
        errors,
        strategy.name,
        (*costs, *changes),
        tuple(changes),
        {place: tuple(axes) for place, axes in free_axes(described).items()},
        fixed,
    )
    set_inputs_(network.graph, described)
    network.recompile()
    network.train(task.model.training)
    return network


def _run_with_gradients(network: TracedNetwork, task: _Task, strategy: Strategy) -> None:
    """Run `network` as in training, if it writes into tensors that it is given (`out=`).

    A graph does not keep `torch.no_grad`, and these operators refuse tensors that require gradients. One of
    them is the power iteration of spectral norms, which no comparison of values sees once it has converged.
    """
    overloads = [node.target for node in network.graph.nodes if isinstance(node.target, OpOverload)]
    if any(argument.is_out for overload in overloads for argument in overload._schema.arguments):
        with torch.enable_grad(), preserve_state(network), preserve_state(task.model):
            try:
                network.train(strategy.train)(*task.probe.args, **task.probe.kwargs)
            except RuntimeError as error:
                raise _NoGradientError(f"{_NO_GRADIENT}: {first_line(error)}") from error


def _missing_draws(network: TracedNetwork, task: _Task, found: ModelOutputs, tolerance: float) -> list[str]:
    """Return which random numbers of training mode the traced network does not draw.

    Both agree for the first seed. By chance a path drawn by Python's generator may be the same, or a rarely
    skipped branch may be present, so other seeds are tried: more of them if the model has drawn numbers that
    the traced network has not.

    Raises:
        ParityError: The network was traced in training mode, with one fixed random path.
    """
    expected = task.expected
    if expected.train is None or found.draws is None or expected.draws is None:
        return []
    is_same = torch.equal(expected.draws.torch, found.draws.torch) and not expected.draws.has_others
    for seed in SEEDS[1:2] if is_same else SEEDS[1:]:
        theirs = compute_training_outputs(task.model, task.model, task.probe, seed=seed)
        if is_same and not differ(expected.train, theirs.train, 0.0):
            return []  # nothing is drawn
        ours = compute_training_outputs(network, task.model, task.probe, seed=seed)
        if differ(theirs.train, ours.train, tolerance):
            raise ParityError(_RANDOM)
    return []


def _explain_missing_draws(network: TracedNetwork, task: _Task, tolerance: float) -> str | None:
    """Return a message if the model draws random numbers in training mode and the traced network does not."""
    outputs = [
        [compute_training_outputs(net, task.model, task.probe, seed=seed).train for seed in SEEDS[:2]]
        for net in (task.model, network)
    ]
    is_random = [differ(one, other, tolerance) for one, other in outputs]
    return _RANDOM if is_random == [True, False] else None


def _describe_inputs(
    network: TracedNetwork,
    task: _Task,
    strategy: Strategy,
    tolerance: float,
    program: Program | None,
    *,
    is_batched: bool,
) -> tuple[dict[str, Any], dict[str, dict[int, str]]]:
    """Return the description of the inputs of `network` by argument name, and why axes are fixed."""
    names = argument_names(task.model, len(task.args))
    arguments = dict(zip(names, task.args, strict=True)) | task.kwargs
    free, reasons = _free_axes(network, task, strategy, tolerance, program, is_batched=is_batched)
    numbers = {id(leaf): number for number, leaf in enumerate(pytree.tree_leaves((task.args, task.kwargs)))}
    labels: dict[tuple[Any, ...], dict[int, Any]] = {}
    ordered: list[dict[int, str]] = []
    for path, leaf in pytree.tree_flatten_with_path(arguments)[0]:
        if isinstance(leaf, Tensor):
            number = numbers[id(leaf)]
            places = [(number, axis) for axis in range(leaf.dim())]
            labels[tuple(_key(step) for step in path)] = {p[1]: free[p] for p in places if p in free}
            ordered.append({p[1]: reasons.get(p, "") for p in places if p not in free})
    described = {name: describe(value, labels, (name,)) for name, value in arguments.items()}
    named = dict(zip(free_axes(described), ordered, strict=False))
    first = _first_readers(network)
    fixed = {
        place: {
            axis: why or first.get(place, "its code or an operator needs the size")
            for axis, why in axes.items()
        }
        for place, axes in named.items()
        if axes
    }
    return described, fixed


def _free_axes(
    network: TracedNetwork,
    task: _Task,
    strategy: Strategy,
    tolerance: float,
    program: Program | None,
    *,
    is_batched: bool,
) -> tuple[dict[Axis, Any], dict[Axis, str]]:
    """Return the labels of the free axes, and what fixes the others as far as it is known."""
    given = pytree.tree_leaves((task.args, task.kwargs))
    tensors = [leaf for leaf in given if isinstance(leaf, Tensor)]
    train = strategy.train and task.expected.train is not None
    free: dict[Axis, Any] = {}
    reasons: dict[Axis, str] = {}
    if program is not None:
        symbols, reasons = symbolic_axes(program)
        batches = {place: label for place, label in symbols.items() if label == BATCH}
        others = {place: label for place, label in symbols.items() if label != BATCH}
        proven = agrees_at_other_sizes(network, task.model, task.probe, others, tolerance, train=train)
        reasons |= dict.fromkeys(others.keys() - proven, "at another size it differs from the model")
        free = batches | proven_from(network, task.model, task.probe, proven, tolerance, train=train)
    elif is_batched:
        free = {
            (number, task.batch_axis): BATCH
            for number, leaf in enumerate(given)
            if follows_batch(leaf, tensors, task.batch_axis)
        }
    more = prove_free_axes(network, task.model, task.probe, task.reads, tolerance, free)
    if program is not None and more:
        others = {place: label for place, label in free.items() if label != BATCH} | more
        both = agrees_at_other_sizes(network, task.model, task.probe, others, tolerance, train=train)
        more = more if both.keys() >= others.keys() else {}
    batches = {place: label for place, label in free.items() if label == BATCH}
    if not takes_single(network, task.model, task.probe, batches, task.reads, tolerance, train=train):
        free |= dict.fromkeys(batches, _SINGLE_REFUSED)
    return free | more, {place: why for place, why in reasons.items() if place not in more}


def _first_readers(network: TracedNetwork) -> dict[str, str]:
    """Return the first vertex that reads each input, with its line: its weights usually fix the sizes."""
    found: dict[str, str] = {}
    for vertex in network.trace_graph.vertices:
        for source in vertex.inputs:
            line = f" ({vertex.source})" if vertex.source else ""
            found.setdefault(source, f"{vertex.name}{line} was traced with this size")
    return {item.id: found[item.id] for item in network.trace_graph.inputs if item.id in found}


def _key(step: Any) -> Any:
    """Return the key, index or attribute of one step of a pytree's path."""
    return next(getattr(step, name) for name in ("key", "idx", "name") if hasattr(step, name))


def _script_remedy(model: nn.Module) -> str:
    """Return a remedy if the network has TorchScript parts, else an empty text."""
    parts = [name for name, part in model.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    words = f"; {', '.join(parts[:5])} {'is' if len(parts) == 1 else 'are'} TorchScript"
    return f"{words}: replace them by their Python modules" if parts else ""


def _remedy(error: Exception) -> str:
    """Return how to change the code at the place of an error."""
    text, rest = first_line(error), "out of forward, or trace a sub-module only, such as model.backbone"
    if "data-dependent" not in text:
        return f"Move control flow that depends on values {rest}"
    if "extract specialized integer" in text:
        return (
            "This is a size computed from values, such as int(lengths.max()): use a size of the input,"
            f" such as x.shape[1], and mask what is beyond the values; or move it {rest}"
        )
    return (
        "This is control flow on a value: compute both results and choose by torch.where(condition, a, b); or"
        f" move it {rest}"
    )


def _trace_error(model: nn.Module, failures: list[tuple[Strategy, Exception]]) -> TraceError:
    """Return the error of the best strategy, with the errors of the others as far as they differ."""
    _, first = failures[0]
    reasons = {first_line(error): strategy.name for strategy, error in reversed(failures)}
    others = "; ".join(
        f"{name}: {text}" for text, name in reversed(reasons.items()) if text != first_line(first)
    )
    return TraceError(
        f"{type(model).__name__} cannot be traced: {first_line(first)}"
        + error_location(first, model)
        + _script_remedy(model)
        + (f". Other strategies failed too: {others}" if others else "")
        + f". {_remedy(first)}"
    )
