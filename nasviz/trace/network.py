"""Traced network: one `fx.GraphModule` on the user's own modules, which is trained, drawn and sliced.

An exported graph holds the sizes of the example inputs as literals wherever the user's code read them. At
another size such a graph may return wrong results without an error. So `forward` of a traced network, and of
every network made from it, is wrapped by `takes`, which compares its arguments with the traced ones. The
wrapper is part of the generated code: it follows the graph through copies, construction and pickling, and
`torch.compile` and `torch.export` trace through it.

The description of an argument is a plain literal: `("floating", ("batch", 3, 32, 32))` for a tensor, where a
string marks a free axis and equal strings equal sizes; `("length", 2, 16, 1)` is a free axis of 2 to 16 (or
any number from 2 on, with None) that the last number divides; a list, a dict or `("object", {...})` for
containers; `("value", v)` for other values; and `("anything",)` for values that cannot be compared.
"""

from __future__ import annotations

import copy
import functools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.graph import CodeGen
from torch.utils import _pytree as pytree

from nasviz.errors import GraphError, InputError, ParityError, TraceError, require_type
from nasviz.extras import repr_html
from nasviz.graph.trace_graph import TraceGraph
from nasviz.trace.export import Program, eliminate_dead_code, nodes_in, output_nodes
from nasviz.trace.leaves import OutputForm, Position
from nasviz.trace.module_recovery import ORIGIN, ModuleCall, RecoveredProgram
from nasviz.trace.parity import (
    ModelOutputs,
    Parity,
    ParityInputs,
    compute_outputs,
    leaf_paths,
    relative_error,
    tolerance_of,
)

__all__ = [
    "BATCH",
    "TracedNetwork",
    "as_json",
    "assemble",
    "check_description",
    "copy_module_tree",
    "describe",
    "described_tensors",
    "fit_output_forms",
    "free_axes",
    "is_plain",
    "is_within",
    "known_description",
    "require_traced",
    "set_inputs_",
    "takes",
    "zeros_of",
]

BATCH = "batch"
"""Label of the batch axis."""

_PLAIN = (bool, int, float, str, bytes, type(None))
_NESTED_AT_MOST = 20
_REMEDY = "to use other inputs, trace the model again with them: nasviz.trace(model, inputs)"

_ALL = frozenset(value for value in vars(torch).values() if isinstance(value, torch.dtype))
_DTYPES = {
    "floating": frozenset(dtype for dtype in _ALL if dtype.is_floating_point),
    "complex": frozenset(dtype for dtype in _ALL if dtype.is_complex),
    "bool": frozenset({torch.bool}),
    "integer": frozenset(
        dtype for dtype in _ALL if not (dtype.is_floating_point or dtype.is_complex) and dtype != torch.bool
    ),
}
_KINDS = tuple(_DTYPES)

Description = Any


def _label(size: Any) -> str | None:
    """Return the label of a free axis, `None` for a size."""
    return size[0] if isinstance(size, tuple) else size if isinstance(size, str) else None


def is_within(found: int, size: Any) -> bool:
    """Return whether an axis described as `size` may have the size `found`.

    Examples:
        >>> is_within(6, ("length", 2, 16, 2)), is_within(7, ("length", 2, None, 2)), is_within(7, "length")
        (True, False, True)
    """
    if not isinstance(size, tuple):
        return isinstance(size, str) or bool(found == size)
    _, low, high, step = size
    return bool(found >= low and (high is None or found <= high) and found % step == 0)


Labels = Mapping[tuple[Any, ...], Mapping[int, str]]
"""Labels of the free axes, by the path of each tensor."""


def describe(value: Any, labels: Labels, path: tuple[Any, ...] = ()) -> Description:
    """Return the description of an argument, with the axes in `labels` free.

    Examples:
        >>> describe({"x": torch.zeros(2, 3), "scale": 2.0}, {("x",): {0: BATCH}})
        {'x': ('floating', ('batch', 3)), 'scale': ('value', 2.0)}
    """
    if isinstance(value, Tensor):
        free = labels.get(path, {})
        return _kind(value), tuple(free.get(axis, int(size)) for axis, size in enumerate(value.shape))
    if pytree.tree_is_leaf(value):
        is_plain = type(value) in _PLAIN and not (isinstance(value, float) and not math.isfinite(value))
        return ("value", value) if is_plain else ("anything",)
    if isinstance(value, Mapping):
        if not all(type(key) is str for key in value):
            return ("anything",)
        return {key: describe(part, labels, (*path, key)) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [describe(part, labels, (*path, i)) for i, part in enumerate(value)]
    steps = {way[0] for way, _ in leaf_paths(value)}
    if not all(step.is_attribute for step in steps):
        return ("anything",)
    names = dict.fromkeys(step.key for step in steps)
    return "object", {key: describe(getattr(value, key), labels, (*path, key)) for key in sorted(names)}


def _kind(tensor: Tensor) -> str:
    return next(kind for kind, dtypes in _DTYPES.items() if tensor.dtype in dtypes)


def takes(**described: Description) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that restricts `forward` of a network to these arguments.

    Examples:
        >>> class Twice(torch.nn.Module):
        ...     @takes(x=("floating", ("batch", 3)))
        ...     def forward(self, x):
        ...         return 2 * x
        >>> Twice()(torch.ones(5, 3)).shape
        torch.Size([5, 3])
        >>> Twice()(torch.ones(5, 4))
        Traceback (most recent call last):
        ...
        nasviz.errors.InputError: Twice was traced for x of shape (any, 3) and got (5, 4): axis 1 has...
    """
    names = tuple(described)
    plain = tuple(
        (
            _DTYPES[kind],
            len(sizes),
            tuple((axis, size) for axis, size in enumerate(sizes) if not isinstance(size, str)),
        )
        for kind, sizes in (d for d in described.values() if _is_tensor(d))
    )
    first_places: dict[str, tuple[int, int]] = {}
    equal: list[tuple[int, int, int, int]] = []
    for place, d in enumerate(described.values()):
        for axis, size in enumerate(d[1]) if _is_tensor(d) else ():
            if (label := _label(size)) is not None:
                start = first_places.setdefault(label, (place, axis))
                equal += [(*start, place, axis)] if start != (place, axis) else []
    is_simple = len(plain) == len(names)

    def wrap(forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
            # While torch.jit traces, sizes are tensors, and comparing them would warn.
            if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
                return forward(self, *args, **kwargs)
            if is_simple and not kwargs and len(args) == len(names):
                for value, (dtypes, rank, fixed) in zip(args, plain, strict=True):
                    if not isinstance(value, Tensor) or value.dtype not in dtypes:
                        break
                    shape = value.shape
                    if len(shape) != rank:
                        break
                    for axis, size in fixed:
                        if shape[axis] != size and not is_within(shape[axis], size):
                            _check(self, described, args, kwargs)
                else:
                    for one, its_axis, other, axis in equal:
                        if args[one].shape[its_axis] != args[other].shape[axis]:
                            _check(self, described, args, kwargs)
                    return forward(self, *args)
            _check(self, described, args, kwargs)
            return forward(self, *args, **kwargs)

        return checked

    return wrap


def _is_tensor(description: Description) -> bool:
    return isinstance(description, tuple) and description[0] in _KINDS


def _check(
    network: Any, described: Mapping[str, Description], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Reject arguments that do not match the description.

    Raises:
        InputError: An argument differs; the message names the first difference.
    """
    name = type(network).__name__
    if any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values())):
        _pass_on_check(network, described, (*args, *kwargs.values()))
        return
    if len(args) > len(described):
        raise InputError(f"{name} was traced for {_signature(described)} and got {len(args)}; {_REMEDY}")
    values = dict(zip(described, args, strict=False))
    for key, value in kwargs.items():
        if key in values:
            raise InputError(f"{name} got {key} twice, by position and by name; pass it once")
        if key not in described:
            if value is None:
                continue
            raise InputError(
                f"{name} was traced without {key!r} and got it; it takes {_signature(described)}; {_REMEDY}"
            )
        values[key] = value
    if missing := [key for key in described if key not in values]:
        raise InputError(
            f"{name} was traced for {_signature(described)} and got no {', '.join(missing)}; pass"
            f" {'it' if len(missing) == 1 else 'them'} too, or {_REMEDY}"
        )
    sizes: dict[str, tuple[str, int]] = {}
    for key, description in described.items():
        problem = _problem(key, values[key], description, sizes)
        if problem:
            raise InputError(f"{name} was traced for {problem}. {_free_text(described)}; {_REMEDY}")


def _problem(
    place: str, value: Any, description: Description, sizes: dict[str, tuple[str, int]]
) -> str | None:
    """Return the expected and the given value at `place`; `None` if they agree."""
    if isinstance(description, dict | list) or description[0] == "object":
        return _nested_problem(place, value, description, sizes)
    if description[0] == "anything":
        return None
    if description[0] == "value":
        wanted = description[1]
        is_same = type(value) in (*_PLAIN,) and value == wanted
        return None if is_same else f"{place}={wanted!r} and got {_summary(value)}"
    kind, wanted = description
    if not isinstance(value, Tensor):
        return f"{place}, a {kind} tensor of shape {_shape(wanted)}, and got {_summary(value)}"
    if _kind(value) != kind:
        return f"{place} of {kind} numbers and got {str(value.dtype).removeprefix('torch.')}"
    if len(value.shape) != len(wanted):
        return f"{place} of shape {_shape(wanted)} and got {tuple(value.shape)}: {len(value.shape)} axes" + (
            f" instead of {len(wanted)}"
        )
    for axis, size in enumerate(wanted):
        found = value.shape[axis]
        if (label := _label(size)) is not None:
            first, expected = sizes.setdefault(label, (f"axis {axis} of {place}", found))
            if found != expected:
                return (
                    f"{place} of shape {_shape(wanted)} and got {tuple(value.shape)}: axis {axis} has size"
                    f" {found}, and {first} has size {expected}, which must be equal"
                )
        if not is_within(found, size):
            return (
                f"{place} of shape {_shape(wanted)} and got {tuple(value.shape)}: axis {axis} has size"
                f" {found} instead of {_size_text(size)}"
            )
    return None


def _nested_problem(
    place: str, value: Any, description: Description, sizes: dict[str, tuple[str, int]]
) -> str | None:
    if isinstance(description, list):
        if not isinstance(value, tuple | list):
            return f"{place}, a sequence of {len(description)}, and got {_summary(value)}"
        if len(value) != len(description):
            return f"{place}, a sequence of {len(description)}, and got one of {len(value)}"
        parts: Any = [(f"{place}[{i}]", value[i], part) for i, part in enumerate(description)]
    elif isinstance(description, dict):
        if not isinstance(value, Mapping):
            return f"{place}, a dict of {', '.join(map(str, description))}, and got {_summary(value)}"
        odd = [key for key in value if key not in description and value[key] is not None]
        lost = [key for key in description if key not in value]
        if odd or lost:
            said = [f"no {key!r}" for key in lost] + [f"unexpected {key!r}" for key in odd]
            return f"{place}, a dict of {', '.join(map(str, description))}, and got {', '.join(said)}"
        parts = [(f"{place}[{key!r}]", value[key], part) for key, part in description.items()]
    else:
        if lost := [key for key in description[1] if not hasattr(value, key)]:
            return f"{place} with {', '.join(lost)}, and got {_summary(value)}, which has none"
        parts = [(f"{place}.{key}", getattr(value, key), part) for key, part in description[1].items()]
    for name, part, wanted in parts:
        if problem := _problem(name, part, wanted, sizes):
            return problem
    return None


def _summary(value: Any) -> str:
    """Return a short description of a value, without the numbers of an array."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if type(value) in _PLAIN:
        return f"{value!r:.60}"
    shape = getattr(value, "shape", None)
    if type(value).__module__.partition(".")[0] == "numpy" and shape is not None:
        return f"a NumPy array of shape {tuple(shape)} (use torch.from_numpy)"
    return f"a {type(value).__name__}"


def _size_text(size: Any) -> str:
    """Return a size of a description in words."""
    if not isinstance(size, tuple):
        return "any" if isinstance(size, str) else str(size)
    _, low, high, step = size
    span = f"{low} or more" if high is None else f"{low} to {high}"
    return span if step == 1 else f"{span} in steps of {step}"


def _shape(sizes: tuple[Any, ...]) -> str:
    words = [_size_text(size) for size in sizes]
    return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def _signature(described: Mapping[str, Description]) -> str:
    return f"{len(described)} argument{'s' * (len(described) != 1)} ({', '.join(described)})"


def free_axes(described: Mapping[str, Description]) -> dict[str, dict[int, str]]:
    """Return the free axes of every tensor, as labels by axis.

    Examples:
        >>> free_axes({"x": ("floating", ("batch", 3, "height", 8))})
        {'x': {0: 'batch', 2: 'height'}}
    """
    return {
        place: {axis: label for axis, size in enumerate(sizes) if (label := _label(size)) is not None}
        for place, (_, sizes) in described_tensors(described)
    }


def described_tensors(described: Mapping[str, Description]) -> Iterator[tuple[str, Description]]:
    """Yield the place of every tensor among the arguments, and its description."""

    def within(place: str, description: Description) -> Iterator[tuple[str, Description]]:
        if _is_tensor(description):
            yield place, description
        elif isinstance(description, list):
            for i, part in enumerate(description):
                yield from within(f"{place}[{i}]", part)
        elif isinstance(description, dict):
            for key, part in description.items():
                yield from within(f"{place}[{key!r}]", part)
        elif description[0] == "object":
            for key, part in description[1].items():
                yield from within(f"{place}.{key}", part)

    for name, description in described.items():
        yield from within(name, description)


def zeros_of(description: Description, batch: int, like: Tensor) -> Tensor:
    """Return zeros for a described tensor; free axes other than the batch have size 1.

    Examples:
        >>> zeros_of(("bool", ("batch", 3)), 2, torch.empty(0)).shape
        torch.Size([2, 3])
    """
    kind, sizes = description
    shape = [_smallest(size, batch) for size in sizes]
    dtypes = {"complex": torch.complex64, "bool": torch.bool, "integer": torch.int64}
    return torch.zeros(shape, dtype=dtypes.get(kind, like.dtype), device=like.device)


def _smallest(size: Any, batch: int) -> int:
    """Return the smallest size above zero that a description allows, and `batch` for the batch."""
    if isinstance(size, tuple):
        least = int(max(-(-size[1] // size[3]), 1) * size[3])
        return max(least, batch) if size[0] == BATCH else least
    return size if isinstance(size, int) else batch if size == BATCH else 1


def _free_text(described: Mapping[str, Description]) -> str:
    parts = []
    for place, axes in free_axes(described).items():
        words = [f"{axis} (batch)" if label == BATCH else str(axis) for axis, label in axes.items()]
        parts += [f"{', '.join(words)} of {place}"] if words else []
    return f"Only these axes are free: {', '.join(parts)}" if parts else "No axis is free"


class _Checked(CodeGen):
    """Code generator that decorates `forward` with its description."""

    def __init__(self, described: Mapping[str, Description]) -> None:
        super().__init__()
        self.described = dict(described)

    def gen_fn_def(self, *args: Any, **kwargs: Any) -> str:
        """Return the decorated head of `forward`."""
        head = super().gen_fn_def(*args, **kwargs)
        words = ", ".join(f"{name}={description!r}" for name, description in self.described.items())
        return f"@nasviz_takes({words})\n{head}"

    def additional_globals(self) -> list[tuple[str, Any]]:
        """Return the globals that the head refers to."""
        return [*super().additional_globals(), ("nasviz_takes", takes)]


def set_inputs_(graph: fx.Graph, described: Mapping[str, Description] | None) -> None:
    """Make networks that run `graph` check their arguments; call `recompile` afterwards."""
    graph.set_codegen(CodeGen() if described is None else _Checked(described))


def known_description(graph: fx.Graph) -> dict[str, Description] | None:
    """Return the inputs of networks that run `graph`; `None` if unknown."""
    generator = graph._codegen
    return dict(generator.described) if isinstance(generator, _Checked) else None


def _pass_on_check(network: Any, described: Mapping[str, Description], values: tuple[Any, ...]) -> None:
    """Pass the input check on to the graph that `torch.fx` is making of a network.

    Unpickling a `GraphModule` re-traces its code, so the check would be lost otherwise.
    """
    tracer: Any = next(value for value in values if isinstance(value, fx.Proxy)).tracer
    if getattr(tracer, "root", None) is network:
        set_inputs_(tracer.graph, described)


def as_json(described: Mapping[str, Description]) -> dict[str, Any]:
    """Return a description as JSON data; `check_description` reads it.

    Examples:
        >>> as_json({"x": [("floating", ("batch", 3))]})
        {'x': ['list', [['floating', ['batch', 3]]]]}
    """
    return {name: _as_json(part) for name, part in described.items()}


def _as_json(part: Description) -> Any:
    if isinstance(part, dict):
        return {key: _as_json(inner) for key, inner in part.items()}
    if isinstance(part, list):
        return ["list", [_as_json(inner) for inner in part]]
    if _is_tensor(part):
        return [part[0], [list(size) if isinstance(size, tuple) else size for size in part[1]]]
    if part[0] == "value" and isinstance(part[1], bytes):
        return ["anything"]
    return [part[0], _as_json(part[1])] if part[0] == "object" else list(part)


def check_description(described: Any, names: list[str]) -> dict[str, Description]:
    """Return a description read from a file, with every part checked.

    Raises:
        GraphError: It is not a description of these arguments.
    """
    if not isinstance(described, Mapping) or not set(described) <= set(names):
        raise GraphError(f"the description of the inputs does not match the arguments {', '.join(names)}")
    return {name: _checked_part(part, 0) for name, part in described.items()}


def _checked_part(part: Any, depth: int) -> Description:
    if depth > _NESTED_AT_MOST:
        raise GraphError("the description of an input is nested too deeply")
    if isinstance(part, Mapping) and all(type(key) is str and len(key) < 200 for key in part):
        return {key: _checked_part(inner, depth + 1) for key, inner in part.items()}
    if isinstance(part, list) and part and part[0] in _KINDS and len(part) == 2:
        if isinstance(part[1], list) and all(_is_size(size) for size in part[1]):
            return part[0], tuple(tuple(size) if isinstance(size, list) else size for size in part[1])
    elif isinstance(part, list) and part == ["anything"]:
        return ("anything",)
    elif isinstance(part, list) and part and part[0] == "value" and len(part) == 2:
        value = part[1]
        if type(value) in (bool, int, str, type(None)) or (isinstance(value, float) and math.isfinite(value)):
            return "value", value
    elif isinstance(part, list) and part and part[0] == "object" and len(part) == 2:
        inner = _checked_part(part[1], depth + 1)
        if isinstance(inner, dict) and all(key.isidentifier() for key in inner):
            return "object", inner
    elif isinstance(part, list) and len(part) == 2 and part[0] == "list" and isinstance(part[1], list):
        return [_checked_part(inner, depth + 1) for inner in part[1]]
    raise GraphError(f"{part!r:.80} is not the description of an input")


def _is_size(size: Any) -> bool:
    if isinstance(size, list):
        label, *bounds = size
        numbers = [bound for bound in bounds if bound is not None]
        is_bounded = len(bounds) == 3 and bounds[0] is not None and bounds[2] not in (None, 0)
        return (
            is_bounded
            and type(label) is str
            and all(type(n) is int and _is_size(n) for n in numbers)
            and (_is_size(label))
        )
    if type(size) is int:
        return 0 <= size < 1 << 31
    return type(size) is str and size.isidentifier() and size.isascii() and len(size) < 100


class TracedNetwork(fx.GraphModule):
    """A network as one graph of operators; it trains, copies and saves like the network it was traced from.

    Its modules and parameters are those of the user's network, under the same names. `graph` is the graph of
    torch.fx, and the name of a node is the id of its vertex in `trace_graph`.
    """

    trace_graph: TraceGraph
    """Vertices and edges as data."""
    parity: Parity
    """Agreement with the network it was traced from."""

    def __repr__(self) -> str:
        return f"TracedNetwork({self.trace_graph!r})"

    _repr_html_ = repr_html

    @classmethod
    def of(cls, root: nn.Module, graph: fx.Graph, name: str) -> TracedNetwork:
        """Return the network that runs `graph` on the modules and tensors of `root`, which it takes over.

        Raises:
            TraceError: A module or tensor at the top of `root` has a name that `torch.fx` reserves.
        """
        network = cls(nn.Module(), fx.Graph(), name)
        for key in [*root._parameters, *root._buffers, *root._modules]:
            if hasattr(network, key):
                raise TraceError(
                    f"{name}.{key} cannot be traced: torch.fx reserves the name {key!r}; rename it"
                )
        _copy_tensors(root, network)
        for key, module in root._modules.items():
            network.add_module(key, module)
        network.graph = graph
        return network

    def __deepcopy__(self, memo: dict[int, Any]) -> TracedNetwork:
        """Return a copy with its own parameters, the same trace graph and the same parity."""
        for key in ("trace_graph", "parity"):
            if key in vars(self):  # immutable data: shared instead of copied
                memo[id(vars(self)[key])] = vars(self)[key]
        result = super().__deepcopy__(memo)
        assert isinstance(result, TracedNetwork)
        for key, parameter in self._parameters.items():
            if key not in result._parameters:  # second name of a tied parameter
                result.register_parameter(key, copy.deepcopy(parameter, memo))
        result._non_persistent_buffers_set = set(self._non_persistent_buffers_set)  # torch 2.11 forgets
        result.__class__.__name__ = type(self).__name__
        for key in ("trace_graph", "parity"):
            if key in vars(self):
                setattr(result, key, vars(self)[key])
        return result


def require_traced(net: Any) -> None:
    """Reject anything but a traced network or a network made from one.

    Raises:
        ArgumentError: `net` is something else.
    """
    remedy = "trace the model first: net = nasviz.trace(model, example_inputs)"
    require_type("net", net, fx.GraphModule, "a traced network", remedy)


def assemble(recovered: RecoveredProgram, *, plain: bool) -> tuple[TracedNetwork, dict[fx.Node, str]]:
    """Return the network that runs a program, and the name of the node that each program node became.

    With `plain` it returns one tensor in both modes, and needs no `OutputForm`.
    """
    program, model, calls = recovered.program, recovered.model, recovered.calls
    graph = fx.Graph()
    made = _placeholders(program, graph)
    for node in program.graph.nodes:
        call = calls.get(node)
        operands = nodes_in((call.args, dict(call.kwargs)) if call else (node.args, node.kwargs))
        for operand in operands:  # read tensors where they are first used, whatever the export order
            if operand.op == "get_attr" and operand not in made:
                name = str(operand.target)
                made[operand] = graph.create_node("get_attr", name, name=_identifier(name))
        if node.op == "call_function":
            made[node] = _make_call(graph, node, call, recovered.names[node], made)
            made[node].meta[ORIGIN] = recovered.origins[node]
    root = copy_module_tree(model, {call.path: call.module for call in calls.values()})
    _add_leaves(root, calls)
    read = {str(node.target) for node in program.graph.find_nodes(op="get_attr")}
    for name in sorted(program.constants & read):
        root.register_buffer(name, program.tensors[name], persistent=False)

    outputs = tuple(made[node] for node in output_nodes(program.graph))
    if plain:
        graph.output(outputs[0])
    else:
        path = "output_form"
        while hasattr(root, path):
            path += "_"
        root.add_module(path, OutputForm(program.form, program.form))
        graph.output(graph.create_node("call_module", path, outputs, name=path))
    eliminate_dead_code(graph)
    network = TracedNetwork.of(root, graph, type(model).__name__)
    return network, {node: new.name for node, new in made.items()}


def _placeholders(program: Program, graph: fx.Graph) -> dict[fx.Node, fx.Node]:
    """Create the arguments of the user's `forward`, and unpack nested ones."""
    made: dict[fx.Node, fx.Node] = {}
    for name, value in program.arguments.items():
        argument = graph.placeholder(name)
        for path, leaf in leaf_paths(value):
            node = argument
            for step in path:
                take = getattr if step.is_attribute else operator.getitem
                node = graph.call_function(take, (node, step.key))
            made[leaf] = node
    return made


def _make_call(
    graph: fx.Graph, node: fx.Node, call: ModuleCall | None, name: str, made: Mapping[fx.Node, fx.Node]
) -> fx.Node:
    if call is None:
        args, kwargs = fx.map_arg((node.args, node.kwargs), made.__getitem__)
        return graph.create_node("call_function", node.target, args, kwargs, name=_identifier(name))
    args, kwargs = fx.map_arg((call.args, dict(call.kwargs)), made.__getitem__)
    return graph.create_node("call_module", call.path, args, kwargs, name=_identifier(name))


def _identifier(name: str) -> str:
    """Return `name` as torch.fx names nodes."""
    text = re.sub(r"\W", "_", name)
    return f"_{text}" if text[:1].isdigit() else text


def copy_module_tree(module: nn.Module, leaves: Mapping[str, nn.Module], prefix: str = "") -> nn.Module:
    """Return a copy of the module tree with `leaves` in place, plain scopes around them, and all tensors."""
    scope = nn.Module()
    _copy_tensors(module, scope)
    for key, child in module._modules.items():
        path = f"{prefix}{key}"
        if child is None:
            continue
        grown = leaves[path] if path in leaves else copy_module_tree(child, leaves, f"{path}.")
        if path in leaves or grown._modules or grown._parameters or grown._buffers:
            scope.add_module(key, grown)
    scope.training = module.training
    return scope


def _copy_tensors(source: nn.Module, target: nn.Module) -> None:
    for key, parameter in source._parameters.items():
        target.register_parameter(key, parameter)
    for key, buffer in source._buffers.items():
        target.register_buffer(key, buffer, persistent=key not in source._non_persistent_buffers_set)


def _add_leaves(root: nn.Module, calls: Mapping[fx.Node, ModuleCall]) -> None:
    """Add leaves that the user's network does not have to the tree."""
    for call in calls.values():
        *scopes, key = call.path.split(".")
        module = root
        for scope in scopes:
            if scope not in module._modules:
                module.add_module(scope, nn.Module())
            module = module.get_submodule(scope)
        if key not in module._modules:
            module.add_module(key, call.module)


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
