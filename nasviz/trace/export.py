"""Export of a network to one flat graph of functional aten operators; the only user of `torch.export`.

The exported graph is passed on in a plain form: parameters, buffers and constants are `get_attr` nodes under
their names, placeholders are the arguments of the user's `forward`, regions of `torch.no_grad()` and
`torch.autocast` are inlined, and the output is one flat tuple. Then:

- `make_functional` replaces in-place writes, also through views. Every tensor is a variable: a node, and
  every in-place call that returns it. A view is a variable with a parent. A write gives the variable a new
  value, which propagates up to the parents, each of which is rebuilt around it, and down to all other views.
- `read_sizes_from_input` recomputes each size from the axes of the placeholders, since a size that is read
  from an intermediate value is lost once that value is erased.
- `fold_constants` computes values of literals alone (index tables, attention masks, positions) once; they
  become buffers that move with the network. Operands that only lend their shape or dtype become literals, so
  that erasing them later changes nothing.

The first functions read the calls of such a graph: operator name, and arguments by name.
"""

from __future__ import annotations

import inspect
import io
import operator
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from sympy import Integer
from torch import Tensor, fx, nn
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.nn.modules import transformer
from torch.utils import _pytree as pytree

from nasviz.errors import TraceError
from nasviz.trace.leaves import Position

__all__ = [
    "OPAQUE",
    "Bounds",
    "InputSizes",
    "Program",
    "argument_names",
    "arguments",
    "eliminate_dead_code",
    "export_program",
    "fixed_size",
    "fold_constants",
    "follow_sizes",
    "follows_batch",
    "inline_regions",
    "input_dependent",
    "insert_call",
    "is_in_place",
    "is_random",
    "is_tensor",
    "is_user_file",
    "make_functional",
    "nodes_in",
    "opaque",
    "operand_nodes",
    "operator_name",
    "output_nodes",
    "random_calls",
    "read_sizes_from_input",
    "reads_no_value",
    "remove_shape_operands",
    "size_at",
    "size_bounds",
    "value_of",
    "written_operand",
]

_READ_NO_VALUE = frozenset(
    "new_full new_zeros new_ones new_empty zeros_like ones_like full_like empty_like rand_like "
    "randn_like".split()
)
"""Operators that read a tensor for its shape, dtype or device only."""


def operator_name(node: fx.Node) -> str:
    """Return the name of its rule: that of aten, without overload and without a trailing underscore.

    An operator of another library is named with it: its name alone may be one of aten.
    """
    if isinstance(node.target, torch._ops.OpOverload):
        library, _, name = node.target._schema.name.partition("::")
        if name == "opaque":
            return "stochastic_depth"
        if library not in ("aten", "prim"):
            return f"{library}::{name}"
        return name.rstrip("_") if not name.startswith("__") else name
    return str(getattr(node.target, "__name__", node.target))


def arguments(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a call by schema name, defaults included."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return dict(zip(("self", "index"), node.args, strict=False))
    schema = node.target._schema.arguments
    given = dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
    return {a.name: given.get(a.name, a.default_value) for a in schema}


def value_of(node: fx.Node) -> Any:
    """Return the value that export recorded: a fake tensor, a list of them, or a symbolic number."""
    return node.meta.get("val")


def fixed_size(size: int | torch.SymInt) -> int | None:
    """Return a size as a number if it is one; torch keeps the symbol of an axis that it has fixed."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression) if expression.is_Integer else None


_BATCH_SYMBOLS = "nasviz_batch_symbols"
"""Attribute of a `ShapeEnv`: a size alone, without its program, then tells whether it follows the batch."""


def size_at(size: int | torch.SymInt, batch: int) -> int:
    """Return a size for this batch size, with -1 for what follows the batch if `batch` is -1.

    Free axes other than the batch have the size of the example inputs.
    """
    if (number := fixed_size(size)) is not None:
        return number
    assert isinstance(size, torch.SymInt)
    expression = size.node.expr
    env: Any = size.node.shape_env
    symbols, known = expression.free_symbols, getattr(env, "backed_var_to_val", None)
    known = env.var_to_val if known is None else known  # torch 2.11
    batches = getattr(env, _BATCH_SYMBOLS, symbols)
    follows = {symbol for symbol in symbols if symbol in batches or symbol not in known}
    if follows and batch < 0:
        return -1
    values = {symbol: known[symbol] for symbol in symbols - follows} | dict.fromkeys(follows, batch)
    return int(expression.subs(values))


def is_tensor(node: fx.Node) -> bool:
    """Return whether the value is a tensor or a sequence of tensors."""
    value = value_of(node)
    return isinstance(value, Tensor) or (
        isinstance(value, list | tuple) and any(isinstance(item, Tensor) for item in value)
    )


def operand_nodes(node: fx.Node) -> Iterator[fx.Node]:
    """Yield the tensor operands in order; an operand that is read twice comes twice."""
    return (operand for operand in nodes_in((node.args, node.kwargs)) if is_tensor(operand))


def nodes_in(value: Any) -> list[fx.Node]:
    """Return the nodes in nested arguments, in order."""
    found: list[fx.Node] = []
    fx.map_arg(value, found.append)
    return found


def output_nodes(graph: fx.Graph) -> tuple[fx.Node, ...]:
    """Return the nodes that the flat output of an exported graph returns."""
    return tuple(nodes_in(graph.output_node().args))


def input_dependent(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes that depend on values (not only sizes) of the network's input."""
    dependent: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op not in ("placeholder", "call_function") or not is_tensor(node):
            continue
        if reads_no_value(node):
            continue
        if node.op == "placeholder" or any(operand in dependent for operand in operand_nodes(node)):
            dependent.add(node)
    return dependent


def reads_no_value(node: fx.Node) -> bool:
    """Return whether a call reads a tensor for its shape, dtype or device only."""
    return node.op == "call_function" and operator_name(node) in _READ_NO_VALUE


def is_random(node: fx.Node) -> bool:
    """Return whether a call draws random numbers; attention without dropout draws none."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    # Attention carries the tag even without dropout.
    draws = torch.Tag.nondeterministic_seeded in node.target.tags
    return draws and arguments(node).get("dropout_p") != 0.0


def is_in_place(node: fx.Node) -> bool:
    """Return whether a call writes to one of its operands."""
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def random_calls(graph: fx.Graph) -> frozenset[fx.Node]:
    """Return the calls that draw random numbers."""
    return frozenset(node for node in graph.nodes if is_random(node))


def written_operand(node: fx.Node) -> fx.Node:
    """Return the operand that a call writes to: the first one, or `out`."""
    assert isinstance(node.target, torch._ops.OpOverload)
    written = [a.name for a in node.target._schema.arguments if a.alias_info and a.alias_info.is_write]
    if len(written) != 1:
        raise NotImplementedError(f"{node.target} writes to {len(written)} operands")
    operand: fx.Node = arguments(node)[written[0]]
    return operand


def eliminate_dead_code(graph: fx.Graph) -> None:
    """Erase unused nodes, in place; keep placeholders and writes to a tensor of the module."""
    for node in reversed(list(graph.nodes)):
        if (
            not node.users
            and node.op in ("get_attr", "call_function", "call_module")
            and not is_in_place(node)
        ):
            graph.erase_node(node)


def insert_call(
    graph: fx.Graph,
    before: fx.Node,
    target: Callable[..., Any],
    args: tuple[Any, ...],
    like: fx.Node,
    value: Any,
) -> fx.Node:
    """Insert a call before `before`, with the origin of `like`."""
    with graph.inserting_before(before):
        node = graph.call_function(target, args)
    node.meta = {**like.meta, "val": value}
    return node


aten = torch.ops.aten


def inline_regions(module: fx.GraphModule) -> None:
    """Replace every region of `module` by its body, in place.

    Results of a region without gradient are detached, so that training is unchanged.
    """
    graph = module.graph
    for node in list(graph.nodes):
        if node.op == "call_function" and isinstance(node.target, torch._ops.HigherOrderOperator):
            _inline(module, node)


def _inline(module: fx.GraphModule, region: fx.Node) -> None:
    graph = module.graph
    position, body_node = next(
        (i, a) for i, a in enumerate(region.args) if isinstance(a, fx.Node) and a.op == "get_attr"
    )
    body = module.get_submodule(str(body_node.target))
    assert isinstance(body, fx.GraphModule)
    inline_regions(body)
    outer: dict[fx.Node, Any] = dict(
        zip(body.graph.find_nodes(op="placeholder"), region.args[position + 1 :], strict=True)
    )
    with graph.inserting_before(region):
        for node in body.graph.nodes:
            if node.op == "get_attr":
                raise NotImplementedError(f"tensor {node.target!r} inside a region of {region.target}")
            if node.op == "call_function":
                outer[node] = graph.node_copy(node, outer.__getitem__)
    results: Any = fx.map_arg(body.graph.output_node().args[0], outer.__getitem__)
    if "set_grad_enabled" in str(region.target) and region.args[0] is False:
        results = tuple(_detached(graph, region, result) for result in results)
    if isinstance(results, fx.Node):
        region.replace_all_uses_with(results)
    for user in list(region.users):
        assert user.target is operator.getitem
        user.replace_all_uses_with(results[user.args[1]])
        graph.erase_node(user)
    graph.erase_node(region)
    if not body_node.users:
        graph.erase_node(body_node)


def _detached(graph: fx.Graph, region: fx.Node, result: Any) -> Any:
    if not isinstance(result, fx.Node) or not isinstance(result.meta.get("val"), Tensor):
        return result
    if not result.meta["val"].is_floating_point():
        return result
    with graph.inserting_before(region):
        node = graph.call_function(torch.ops.aten.detach.default, (result,))
    node.meta = dict(result.meta)
    return node


OPAQUE = frozenset({"StochasticDepth", "DropPath"})
"""Classes of modules that are kept whole: they draw one number per sample and depend on the mode."""

_BOOKKEEPING = (
    "_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range sym_constrain_range_for_size"
).split()


@torch.library.custom_op("nasviz::opaque", mutates_args=())
def opaque(x: Tensor) -> Tensor:
    """Replace a module of `OPAQUE` during export."""
    return x.clone()


@opaque.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@dataclass
class Program:
    """An exported network: a flat graph and the tensors that it names."""

    graph: fx.Graph
    tensors: dict[str, Tensor]
    """Parameters and buffers of the user's module under all their names, and the constants of the graph."""
    arguments: Any
    """Arguments by name; the values are placeholders in the user's nesting."""
    form: Any
    """Output of the user's network with `Position`s in place of tensors."""
    trained: bool
    """Whether it was exported in training mode."""
    constants: set[str] = field(default_factory=set)
    """Names in `tensors` that are not the user's."""
    inputs: list[fx.Node] = field(default_factory=list)
    """Placeholders in the order of the leaves of the arguments."""
    fixed: dict[Any, str] = field(default_factory=dict)
    """Line of the user's code that fixed a size, by its symbol."""
    batch: frozenset[Any] = frozenset()
    """Symbols of the batch; empty if its size is fixed."""

    def name_constant(self, value: Tensor) -> str:
        """Store `value` under a new name, and return the name."""
        name = f"constant_{len(self.constants)}"
        while name in self.tensors:
            name += "_"
        self.tensors[name] = value.detach()
        self.constants.add(name)
        return name


def export_program(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    train: bool,
    dynamic: bool,
    free: bool = False,
    batch_axis: int = 0,
) -> Program:
    """Export `model`, which is put in training or evaluation mode and left there.

    With `dynamic`, the batch may have any size: `batch_axis` of every tensor that is as long there as the
    first tensor. With `free`, every axis is a symbol that torch fixes only where an operator or the user's
    code needs a number.

    Raises:
        TraceError: With `free`, the sizes became too complex to follow.
    """
    model.train(train)
    leaves = [leaf for leaf in pytree.tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor)]
    batch = torch.export.Dim.AUTO if free else torch.export.Dim("batch", min=1)
    shapes = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
    for leaf in leaves if dynamic or free else ():
        axes = {batch_axis: batch} if dynamic and follows_batch(leaf, leaves, batch_axis) else {}
        if free:
            axes |= {axis: torch.export.Dim.AUTO for axis in range(leaf.dim()) if axis not in axes}
        if axes:
            shapes[leaf] = axes
    given = shapes if dynamic or free else None
    chatter = redirect_stderr(io.StringIO())  # torch prints the graph that it could not finish
    with (
        _LOCK,
        warnings.catch_warnings(),
        chatter,
        torch.enable_grad(),
        _opaque_modules(model),
        follow_sizes() as fixed,
    ):
        warnings.simplefilter("ignore")
        exported = torch.export.export(model, args, dict(kwargs), dynamic_shapes=given, strict=False)
    program = _plain(exported, model, args, kwargs, train)
    program.fixed = fixed
    _mark_batch(program, leaves, batch_axis if dynamic else None)
    return program


def follows_batch(leaf: Any, leaves: list[Tensor], batch_axis: int) -> bool:
    """Return whether a tensor has the batch of the first of `leaves` on its axis `batch_axis`."""
    sizes = slice(batch_axis, batch_axis + 1)
    return (
        isinstance(leaf, Tensor) and leaf.dim() > batch_axis and leaf.shape[sizes] == leaves[0].shape[sizes]
    )


def _mark_batch(program: Program, leaves: list[Tensor], batch_axis: int | None) -> None:
    """Tell every size of `program` which symbols are those of the batch."""
    values = [value_of(node) for node in program.inputs if isinstance(value_of(node), Tensor)]
    sizes = [
        value.shape[batch_axis]
        for value, leaf in zip(values, leaves, strict=True)
        if batch_axis is not None and follows_batch(leaf, leaves, batch_axis)
    ]
    symbols: list[Any] = [None if fixed_size(size) is not None else size.node.expr for size in sizes]
    restricted = {s for guard in user_guards(program) for s in guard.expr.free_symbols}
    if all(s is not None and s.is_Symbol and s not in restricted for s in symbols):
        program.batch = frozenset(symbols)
    for size in (size for value in values for size in value.shape if isinstance(size, torch.SymInt)):
        setattr(size.node.shape_env, _BATCH_SYMBOLS, program.batch)


def user_guards(program: Program) -> list[Any]:
    """Return the conditions on sizes that Python code outside of torch has branched on.

    Conditions of torch's own checks are left out: its operators check them again at other sizes.
    """
    values = [value_of(node) for node in program.inputs]
    sizes: list[Any] = [s for value in values if isinstance(value, Tensor) for s in value.shape]
    env = next((s.node.shape_env for s in sizes if isinstance(s, torch.SymInt)), None)
    guards = [] if env is None else env.guards
    return [guard for guard in guards if is_user_file(getattr(guard.sloc.framework_loc, "filename", "<"))]


Bounds = tuple[int, int | None, int]
"""Smallest and largest size of an axis, and a number that divides it."""


def size_bounds(program: Program, symbol: Any, size: int) -> Bounds | str:
    """Return the sizes for which the user's code branches as at `size`, or a line that ties it to others.

    Conditions on computed sizes are evaluated, up to a limit.
    """
    low, high, step = 0, None, 1
    computed: list[Any] = []
    for guard in user_guards(program):
        if symbol not in guard.expr.free_symbols:
            continue
        if guard.expr.free_symbols != {symbol}:
            place = guard.sloc.framework_loc
            return f"{Path(place.filename).name}:{place.lineno}"
        left, right = guard.expr.args[:2]
        kind = type(guard.expr).__name__
        if left == symbol and right.is_Integer and kind in ("LessThan", "StrictLessThan"):
            most = int(right) - (kind == "StrictLessThan")
            high = most if high is None else min(high, most)
        elif left == symbol and right.is_Integer and kind in ("GreaterThan", "StrictGreaterThan"):
            low = max(low, int(right) + (kind == "StrictGreaterThan"))
        elif left == symbol and getattr(guard.expr, "rel_op", None) == "!=" and right in (0, 1):
            low = max(low, int(right) + 1)
        else:
            computed.append(guard.expr)
    if computed:
        last = _LARGEST_TRIED if high is None else min(high, _LARGEST_TRIED)
        allowed = {n for n in range(max(low, 1), last + 1) if _hold(computed, symbol, n)}
        low, high, step = max((_run(allowed, size, 1 << power) for power in range(8)), key=lambda r: r[0])[1]
    return low, high, step


_LARGEST_TRIED = 1024


def _hold(conditions: list[Any], symbol: Any, size: int) -> bool:
    number = {symbol: Integer(size)}
    return all(bool(condition.xreplace(number)) for condition in conditions)


def _run(allowed: set[int], size: int, step: int) -> tuple[tuple[int, int], Bounds]:
    """Return how many neighbours of `size` in this step are allowed, and their bounds."""
    low = high = size
    while low - step in allowed and size % step == 0:
        low -= step
    while high + step in allowed and size % step == 0:
        high += step
    return ((high - low) // step, -step), (low, high, step)


_TORCH = str(Path(torch.__file__).parent)
_HERE = str(Path(__file__).parent)


def is_user_file(path: str) -> bool:
    """Return whether a file of Python code lies outside of torch and this room."""
    return not path.startswith((_TORCH + "/", _HERE + "/", "<", "torch/"))


_MOST_GUARDS = 400
_MOST_TERMS = 6000
"""Limits of the conditions that one export may collect. Index arithmetic on two free axes, such as windows of
an image, makes expressions that take minutes to simplify."""


_LOCK = threading.RLock()
"""Held while functions of torch are replaced, so that two threads restore them in order."""


@contextmanager
def follow_sizes() -> Iterator[dict[Any, str]]:
    """Collect the line of the user's code that fixes a size, by its symbol; keep recurrent layers whole."""
    found: dict[Any, str] = {}
    set_replacement, log_guard = ShapeEnv._set_replacement, ShapeEnv._log_guard
    terms = [0]

    def fix(env: Any, symbol: Any, target: Any, *args: Any, **kwargs: Any) -> None:
        if symbol not in found and not target.is_Symbol:
            frame: Any = sys._getframe(1)
            while frame is not None and not is_user_file(frame.f_code.co_filename):
                frame = frame.f_back
            if frame is not None:
                found[symbol] = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        set_replacement(env, symbol, target, *args, **kwargs)

    def count(env: Any, prefix: str, guard: Any, *args: Any, **kwargs: Any) -> None:
        terms[0] += guard.count_ops() if hasattr(guard, "count_ops") else 0
        if terms[0] > _MOST_TERMS or len(env.guards) > _MOST_GUARDS:
            raise TraceError("the sizes of its values are too complex to follow")
        log_guard(env, prefix, guard, *args, **kwargs)

    detect = transformer._detect_is_causal_mask
    kernels = [(overload.py_kernels, overload.py_kernels[_COMPOSITE]) for overload in _RECURRENT]
    try:
        ShapeEnv._set_replacement, ShapeEnv._log_guard = fix, count  # type: ignore[method-assign, assignment]
        # torch would unroll them to infer shapes, which is slow and fixes the length of the sequence.
        for table, _ in kernels:
            table[_COMPOSITE] = _recurrent_shapes
        # It branches on the values of a mask; a mask that is given is used, causal or not.
        transformer._detect_is_causal_mask = lambda mask, is_causal=None, size=None: is_causal is True
        yield found
    finally:
        transformer._detect_is_causal_mask = detect
        ShapeEnv._set_replacement, ShapeEnv._log_guard = (  # type: ignore[method-assign]
            set_replacement,
            log_guard,
        )
        for table, kernel in kernels:
            table[_COMPOSITE] = kernel


_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_RECURRENT = [
    overload
    for overload in (getattr(torch.ops.aten, name).input for name in ("lstm", "gru", "rnn_tanh", "rnn_relu"))
    if _COMPOSITE in overload.py_kernels
]


def _recurrent_shapes(x: Tensor, state: Any, *args: Any) -> tuple[Tensor, ...]:
    """Return uninitialized results of a recurrent layer."""
    states = state if isinstance(state, tuple | list) else [state]
    width = states[0].shape[-1] * (2 if args[5] else 1)
    return x.new_empty((*x.shape[:-1], width)), *(torch.empty_like(part) for part in states)


@contextmanager
def _opaque_modules(model: nn.Module) -> Iterator[None]:
    """Replace each module of `OPAQUE` by one operator."""
    replaced = [m for m in model.modules() if type(m).__name__ in OPAQUE and "forward" not in vars(m)]
    for module in replaced:
        module.forward = opaque  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in replaced:
            del module.forward


def argument_names(model: nn.Module, count: int) -> list[str]:
    """Return the names of the first `count` parameters of `forward`."""
    names: list[str] = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{i}" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names[:count]


def _plain(
    exported: torch.export.ExportedProgram,
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    train: bool,
) -> Program:
    """Convert an exported program to the form that later passes read."""
    inline_regions(exported.graph_module)
    graph, signature = exported.graph_module.graph, exported.graph_signature
    tensors: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    tensors |= dict(model.named_buffers(remove_duplicate=False))
    program = Program(graph, tensors, arguments=None, form=None, trained=train)

    named = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    constants = dict(signature.inputs_to_lifted_tensor_constants)
    inputs = []
    for node in list(graph.nodes):
        if node.op != "placeholder":
            continue
        if node.name in named:
            _read_attribute(graph, node, named[node.name])
        elif node.name in constants:
            value = exported.constants[constants[node.name]]
            _read_attribute(graph, node, program.name_constant(value))
        else:
            inputs.append(node)
    flat_args, spec = pytree.tree_flatten((args, dict(kwargs)))
    assert len(flat_args) == len(inputs), "one placeholder for every leaf of the arguments"
    program.inputs = inputs
    positional, keywords = pytree.tree_unflatten(inputs, spec)
    program.arguments = dict(zip(argument_names(model, len(args)), positional, strict=True)) | keywords

    for node in list(graph.nodes):  # checks of export, and attributes that the module assigns
        name = getattr(node.target, "_schema", None) and node.target._schema.name.split("::")[-1]
        if node.op == "call_function" and (name in _BOOKKEEPING or (name == "copy_" and _replaces(node))):
            graph.erase_node(node)
    output = next(iter(reversed(graph.nodes)))
    specs = signature.output_specs
    kept = [value for value, s in zip(output.args[0], specs, strict=True) if s.kind.name == "USER_OUTPUT"]
    nodes = [value for value in kept if isinstance(value, fx.Node)]
    positions = iter(range(len(nodes)))
    marks = [Position(next(positions)) if isinstance(value, fx.Node) else value for value in kept]
    output.args = (tuple(nodes),)
    program.form = pytree.tree_unflatten(marks, exported.call_spec.out_spec)
    return program


def _replaces(node: fx.Node) -> bool:
    """Return whether a copy assigns an unused attribute a value of another shape."""
    target, source = node.args[:2]
    assert isinstance(target, fx.Node)
    assert isinstance(source, fx.Node)
    is_reshaped = target.meta["val"].shape != source.meta["val"].shape
    return target.op == "get_attr" and not node.users and is_reshaped


def _read_attribute(graph: fx.Graph, placeholder: fx.Node, name: str) -> None:
    """Replace a lifted placeholder by its attribute."""
    with graph.inserting_before(placeholder):
        node = graph.create_node("get_attr", name)
    node.meta = placeholder.meta
    placeholder.replace_all_uses_with(node)
    graph.erase_node(placeholder)


class InputSizes:
    """Nodes that hold the free sizes of the inputs, and arithmetic on them."""

    def __init__(self, program: Program) -> None:
        self.graph = program.graph
        self.sources: dict[Any, tuple[fx.Node, int]] = {}
        self.made: dict[Any, int | fx.Node] = {}
        self.calls: list[fx.Node] = []
        placeholders = [node for node in self.graph.nodes if node.op == "placeholder"]
        for node in placeholders:
            value = value_of(node)
            for axis, size in enumerate(value.shape if isinstance(value, Tensor) else ()):
                if isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                    self.sources.setdefault(size.node.expr, (node, axis))
        self.last = placeholders[-1]

    def node(self, size: int | torch.SymInt) -> int | fx.Node | None:
        """Return `size` as a number or node; `None` if it is not plain arithmetic on sizes of the inputs."""
        return size if isinstance(size, int) else self._of(size.node.expr, size)

    def nodes(self, sizes: torch.Size) -> list[Any] | None:
        """Return all of `sizes`, or `None` if one cannot be expressed."""
        found = [self.node(size) for size in sizes]
        return None if any(size is None for size in found) else found

    def sort(self) -> None:
        """Order the nodes by the inputs alone, so that a second trace gives the same."""
        places = {node: number for number, node in enumerate(self.graph.nodes) if node.op == "placeholder"}
        keys: dict[fx.Node, tuple[int, str]] = {node: (0, f"{number:05}") for node, number in places.items()}
        for node in self.calls:  # an operand was made before what reads it
            parts = [keys[a] if isinstance(a, fx.Node) else (0, str(a)) for a in node.args]
            keys[node] = max(depth for depth, _ in parts) + 1, f"{operator_name(node)}{[t for _, t in parts]}"
        last = list(places)[-1]
        for node in sorted(self.calls, key=keys.__getitem__, reverse=True):
            last.append(node)

    def _of(self, expression: Any, like: torch.SymInt) -> int | fx.Node | None:
        if expression.is_Integer:
            return int(expression)
        if expression in self.made:
            return self.made[expression]
        made: Any
        if expression in self.sources:
            source, axis = self.sources[expression]
            made = self._call(aten.sym_size.int, (source, axis), like)
        else:
            is_power = expression.is_Pow and expression.args[1].is_Integer and 1 < expression.args[1] < 5
            base = [expression.args[0]] * int(expression.args[1]) if is_power else expression.args
            function = operator.mul if is_power else self._function(expression)
            terms = [self._of(term, like) for term in base] if function is not None else [None]
            if any(term is None for term in terms):
                return None
            made = reduce(lambda a, b: self._call(function, (a, b), like), terms)
        self.made[expression] = made
        return self.made[expression]

    def _function(self, expression: Any) -> Callable[..., Any] | None:
        """Return the function of an expression; torch writes `a - b` as a sum and `a % b` as a modulus."""
        if expression.is_Mul:
            return operator.mul
        if expression.is_Add:
            return operator.add
        name = type(expression).__name__
        return {
            "FloorDiv": operator.floordiv,
            "CleanDiv": operator.floordiv,
            "Mod": operator.mod,
            "PythonMod": operator.mod,
            "Max": torch.sym_max,
            "Min": torch.sym_min,
        }.get(name)

    def _call(self, target: Any, args: tuple[Any, ...], value: torch.SymInt) -> fx.Node:
        like = next(iter(self.sources.values()))[0]
        with self.graph.inserting_after(self.last):
            made: fx.Node = self.graph.call_function(target, args)
        made.meta = {**like.meta, "val": value}
        self.last = made
        self.calls.append(made)
        return made


def read_sizes_from_input(program: Program, sizes: InputSizes) -> None:
    """Replace sizes, and values computed from sizes alone, by nodes that read a placeholder, in place."""
    made = {size for size in sizes.made.values() if isinstance(size, fx.Node)}
    for node in reversed(list(program.graph.nodes)):
        value = value_of(node)
        if node.op == "call_function" and isinstance(value, torch.SymInt) and node not in made:
            replacement = sizes.node(value)
            if replacement is not None and replacement is not node:
                _substitute(node, replacement)
                program.graph.erase_node(node)


def _substitute(node: fx.Node, replacement: int | fx.Node) -> None:
    """Make all users of `node` read a number or another node."""

    def other(operand: fx.Node) -> Any:
        return replacement if operand is node else operand

    for user in list(node.users):
        user.args, user.kwargs = fx.map_arg(user.args, other), fx.map_arg(user.kwargs, other)


_FILLS = {
    "new_zeros": 0,
    "zeros_like": 0,
    "zeros": 0,
    "new_ones": 1,
    "ones_like": 1,
    "ones": 1,
    "new_full": None,
    "full_like": None,
    "full": None,
}


_EMPTY = ("new_empty", "empty", "empty_like", "rand_like", "randn_like")


def remove_shape_operands(program: Program, sizes: InputSizes) -> None:
    """Rewrite, in place, calls that read a tensor only for its shape, dtype or device."""
    graph = program.graph
    dependent = input_dependent(graph)
    anchor = next((node for node in graph.nodes if node in dependent), None)
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(value_of(node), Tensor):
            continue
        name, value = operator_name(node), value_of(node)
        made = None
        if name in ("to", "type_as"):
            made = node.args[0]
            if value_of(made).dtype != value.dtype:
                made = insert_call(graph, node, aten.to.dtype, (made, value.dtype), node, value)
        elif name in ("expand_as", "view_as", "reshape_as"):
            target = {
                "expand_as": aten.expand.default,
                "view_as": aten.view.default,
                "reshape_as": aten.reshape.default,
            }[name]
            shape = sizes.nodes(value.shape)
            made = shape and insert_call(graph, node, target, (node.args[0], shape), node, value)
        elif name in _EMPTY and anchor is not None:
            made = _empty(graph, node, value, anchor, sizes)
        elif name in _FILLS and anchor is not None:
            fill = _FILLS[name] if _FILLS[name] is not None else arguments(node)["fill_value"]
            made = _filled(program, node, value, fill, anchor, sizes)
        elif name == "arange" and anchor is not None and fixed_size(value.shape[0]) is None:
            made = _counted(graph, node, value, anchor, sizes)
        if made is not None:
            node.replace_all_uses_with(made)
            graph.erase_node(node)


def _empty(
    graph: fx.Graph, node: fx.Node, value: Tensor, anchor: fx.Node, sizes: InputSizes
) -> fx.Node | None:
    """Return uninitialized memory on the input's device, or random numbers drawn in it."""
    shape = sizes.nodes(value.shape)
    if shape is None:
        return None
    made = insert_call(graph, node, aten.new_empty.default, (anchor, shape), node, value)
    made.kwargs = {} if value_of(anchor).dtype == value.dtype else {"dtype": value.dtype}
    if "rand" not in operator_name(node):
        return made
    assert callable(node.target)
    return insert_call(graph, node, node.target, (made,), node, value)


def _counted(
    graph: fx.Graph, node: fx.Node, value: Tensor, anchor: fx.Node, sizes: InputSizes
) -> fx.Node | None:
    """Return `arange` as a sum of ones on the input's device: the device in its call would not follow."""
    shape, given = sizes.nodes(value.shape), arguments(node)
    if shape is None:
        return None
    start, step = given.get("start", 0), given.get("step", 1)
    counts = value.new_empty(value.shape, dtype=torch.int64)

    def call(target: Any, *args: Any, result: Tensor = value) -> fx.Node:
        return insert_call(graph, node, target, args, node, result)

    ones = call(aten.new_ones.default, anchor, shape, result=counts)
    ones.kwargs = {"dtype": torch.int64}
    made = call(aten.sub.Tensor, call(aten.cumsum.default, ones, 0, result=counts), 1, result=counts)
    made = made if value.dtype == torch.int64 else call(aten.to.dtype, made, value.dtype)
    made = made if step == 1 else call(aten.mul.Tensor, made, step)
    return made if start == 0 else call(aten.add.Tensor, made, start)


def _filled(
    program: Program, node: fx.Node, value: Tensor, fill: Any, anchor: fx.Node, sizes: InputSizes
) -> fx.Node | None:
    """Return a tensor of one number: a constant, or a call if its shape depends on free sizes."""
    if all(fixed_size(size) is not None for size in value.shape):
        if isinstance(fill, fx.Node):
            return None
        device = value.device
        known = tuple(fixed_size(size) or 0 for size in value.shape)
        return _attribute(program, node, torch.full(known, fill, dtype=value.dtype, device=device))
    shape = sizes.nodes(value.shape)
    if shape is None:
        return None
    follows = value_of(anchor).dtype == value.dtype
    if value.dtype.is_floating_point and not follows:
        # A buffer follows the network's device and precision; a literal dtype would not.
        like = torch.zeros((), dtype=value.dtype, device=value.device)
        anchor, follows = _attribute(program, node, like), True
        anchor.meta["val"] = value.new_empty(())
    made = insert_call(program.graph, node, aten.new_full.default, (anchor, shape, fill), node, value)
    made.kwargs = {} if follows else {"dtype": value.dtype}
    return made


def fold_constants(program: Program) -> None:
    """Evaluate, in place, every sub-graph that reads neither the input nor the user's tensors."""
    graph = program.graph
    known: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "get_attr" and node.target in program.constants:
            known[node] = program.tensors[node.target]
        elif (
            node.op == "call_function"
            and _is_foldable(node)
            and all(n in known for n in node.all_input_nodes)
        ):
            with torch.no_grad():
                known[node] = node.target(
                    *fx.map_arg(node.args, known.__getitem__), **fx.map_arg(node.kwargs, known.__getitem__)
                )
    for node, value in known.items():
        if (
            node.op == "call_function"
            and isinstance(value, Tensor)
            and any(u not in known for u in node.users)
        ):
            made = _attribute(program, node, value)
            node.replace_all_uses_with(made, delete_user_cb=lambda user: user not in known)
    eliminate_dead_code(graph)


def _is_foldable(node: fx.Node) -> bool:
    value = value_of(node)
    tensors = [value] if isinstance(value, Tensor) else value
    if not isinstance(tensors, list | tuple) or is_random(node) or is_in_place(node):
        return False
    if operator_name(node) in ("empty", "new_empty", "empty_like"):
        return False
    return all(isinstance(t, Tensor) and all(fixed_size(s) is not None for s in t.shape) for t in tensors)


def _attribute(program: Program, before: fx.Node, value: Tensor) -> fx.Node:
    name = program.name_constant(value.clone())
    with program.graph.inserting_before(before):
        node = program.graph.create_node("get_attr", name)
    node.meta = dict(before.meta)
    return node


def make_functional(program: Program, sizes: InputSizes) -> None:
    """Rewrite `program` so that no call writes to a value of the graph.

    Writes to parameters and buffers of the user's module stay: they are part of what it computes.

    Raises:
        NotImplementedError: A write goes through a view with unknown inverse.
    """
    if not any(node.op == "call_function" and is_in_place(node) for node in program.graph.nodes):
        return
    variables = _Variables(program, sizes)
    for node in list(program.graph.nodes):
        variables.visit(node)
    for node in reversed(variables.replaced):
        program.graph.erase_node(node)
    eliminate_dead_code(program.graph)


class _Variables:
    """Current node of each variable while a graph is rewritten from first to last node."""

    def __init__(self, program: Program, sizes: InputSizes) -> None:
        self.program = program
        self.sizes = sizes
        self.variable: dict[fx.Node, fx.Node] = {}
        self.current: dict[fx.Node, fx.Node] = {}
        self.parent: dict[fx.Node, fx.Node] = {}
        self.children: dict[fx.Node, list[fx.Node]] = {}
        self.members: dict[tuple[Any, ...], fx.Node] = {}
        self.replaced: list[fx.Node] = []

    def now(self, node: fx.Node) -> fx.Node:
        """Return the node that currently holds the value of `node`."""
        variable = self.variable[node]
        return self.current[variable]

    def visit(self, node: fx.Node) -> None:
        """Rewrite one node."""
        # The operands are read before `node.args` is rewritten.
        written = written_operand(node) if node.op == "call_function" and is_in_place(node) else node
        source, made_by = _view_source(node), _made_by(node)
        node.args = fx.map_arg(node.args, self.now)
        node.kwargs = fx.map_arg(node.kwargs, self.now)
        self.variable[node] = self.current[node] = node
        if node.op != "call_function":
            return
        if made_by is not None and source is None:  # one value of several, each with memory of its own
            self.variable[node] = self.members.setdefault((made_by, node.args[1]), node)
            return
        if is_in_place(node):
            target = self.variable[written]
            if not self._is_user_tensor(target):
                self.variable[node] = target
                self.replaced.append(node)
                self.write(target, self._functional(node), node)
        elif source is not None:
            self.parent[node] = self.variable[source]
            self.children.setdefault(self.variable[source], []).append(node)

    def write(self, variable: fx.Node, value: fx.Node, before: fx.Node) -> None:
        """Set `variable` to `value` from `before` on, and update everything that shares its memory."""
        path = {variable}
        self.current[variable] = value
        while variable in self.parent:
            whole = self.current[self.parent[variable]]
            value = _scatter(self.program.graph, variable, whole, value, before, self.sizes)
            variable = self.parent[variable]
            self.current[variable] = value
            path.add(variable)
        self._refresh(variable, path, before)

    def _refresh(self, variable: fx.Node, path: set[fx.Node], before: fx.Node) -> None:
        graph = self.program.graph
        written = {made: node.args[1] for node in path if (made := _made_by(node)) is not None}
        for child in self.children.get(variable, ()):
            made_by = _made_by(child)
            if made_by is not None and written.get(made_by, child.args[1]) != child.args[1]:
                continue  # another piece of the same split: no memory in common
            if child not in path:
                args: tuple[Any, ...] = (self.current[variable], *child.args[1:])
                if made_by is not None:
                    whole = (self.current[variable], *made_by.args[1:])
                    assert callable(made_by.target)
                    again = insert_call(graph, before, made_by.target, whole, made_by, value_of(made_by))
                    again.kwargs = made_by.kwargs
                    args = (again, child.args[1])
                assert callable(child.target)
                self.current[child] = insert_call(graph, before, child.target, args, child, value_of(child))
                self.current[child].kwargs = child.kwargs
            self._refresh(child, path, before)

    def _is_user_tensor(self, variable: fx.Node) -> bool:
        """Return whether a write reaches a parameter or buffer of the user's module."""
        while variable in self.parent:
            variable = self.parent[variable]
        return variable.op == "get_attr" and variable.target not in self.program.constants

    def _functional(self, node: fx.Node) -> fx.Node:
        assert isinstance(node.target, torch._ops.OpOverload)
        name = operator_name(node)
        target: Callable[..., Any] | None
        if "out" in node.kwargs:
            raise NotImplementedError(f"{node.target} writes to a value of the network")
        if name == "detach":
            target = aten.detach.default
        elif name == "bernoulli":
            target = aten.bernoulli.p
        else:
            packet = getattr(aten, name, None)
            target = getattr(packet, node.target._overloadname, None)
        if target is None:
            raise NotImplementedError(f"aten.{node.target} has no functional form")
        call = insert_call(self.program.graph, node, target, node.args, node, value_of(node))
        call.kwargs = node.kwargs
        return call


def _view_source(node: fx.Node) -> fx.Node | None:
    """Return the tensor whose memory a result shares: the first operand of its call, or what was split."""
    if (made_by := _made_by(node)) is not None:
        return _view_source(made_by)
    first = node.args[0] if node.args else None
    if node.op != "call_function" or not isinstance(first, fx.Node):
        return None
    mine, its = _storage(value_of(node)), _storage(value_of(first))
    return first if mine is not None and mine == its else None


def _made_by(node: fx.Node) -> fx.Node | None:
    """Return the call that returned several values, of which `node` is one."""
    first = node.args[0] if node.args else None
    is_member = node.target is operator.getitem and isinstance(first, fx.Node)
    return first if is_member and isinstance(value_of(first), list | tuple) else None  # type: ignore[arg-type, return-value]


def _storage(value: Any) -> int | None:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    return value.untyped_storage()._cdata if isinstance(value, Tensor) else None


def _scatter(
    graph: fx.Graph, view: fx.Node, whole: fx.Node, part: fx.Node, before: fx.Node, sizes: InputSizes
) -> fx.Node:
    """Return `whole` with `part` written to the place that `view` selects."""
    name, value = operator_name(view), value_of(whole)
    rest: Any = tuple(view.args[1:])

    def call(target: Any, *args: Any) -> fx.Node:
        return insert_call(graph, before, target, args, part, value)

    if name == "slice":
        return call(aten.slice_scatter.default, whole, part, *rest)
    if name == "select":
        return call(aten.select_scatter.default, whole, part, *rest)
    if (split := _made_by(view)) is not None:
        dim = arguments(split).get("dim", 0)
        if operator_name(split) == "unbind":
            return call(aten.select_scatter.default, whole, part, dim, view.args[1])
        lengths = sizes.nodes(torch.Size(piece.shape[dim] for piece in value_of(split)[: view.args[1] + 1]))  # type: ignore[operator]
        if lengths is not None and all(isinstance(length, int) for length in lengths):
            start, end = sum(lengths[:-1]), sum(lengths)
            return call(aten.slice_scatter.default, whole, part, dim, start, end)
    if name == "transpose":
        return call(aten.transpose.int, part, *rest)
    if name == "t":
        return call(aten.t.default, part)
    if name == "permute":
        inverse = sorted(range(len(rest[0])), key=lambda axis: rest[0][axis] % len(rest[0]))
        return call(aten.permute.default, part, inverse)
    if name in ("alias", "detach", "to", "contiguous", "view_as", "reshape_as", "dropout", "expand_as") and (
        value_of(part).shape == value.shape
    ):
        return part
    shape = sizes.nodes(value.shape)
    if name in ("view", "reshape", "flatten", "unflatten", "unsqueeze", "squeeze") and shape is not None:
        return call(aten.reshape.default, part, shape)
    made_by = operator_name(split) if split is not None else name
    raise NotImplementedError(f"in-place write through a view made by aten.{made_by}")
