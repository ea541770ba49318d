"""Changes of a traced graph by a plan: erase, slice, fold, gather, scatter zeros, simplify.

- Erasing disconnects nodes: operands of joints, single-operand joints, outputs. Simplifying deletes what is
  unused.
- Parameters and buffers are sliced, with the matching attributes of modules and literals of calls.
- A constant channel adds the same value to every position that a linear map, or a convolution without
  padding, computes. So its columns are removed, and their contribution is added to the bias.
- Permuted channels are selected where reshapes and transposes only reorder channels.
- Zeros are written back for readers without a slicing rule: exact for every operator, without savings there.
  A narrowed value is padded by one slice of zeros, or of each constant, and every missing index selects that
  slice: two functional operators for any batch, shared by all readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Fill, Fold, Slice, TraceGraph, Vertex
from nasviz.graph.operators.rules import Role
from nasviz.trace.leaves import OutputForm

__all__ = [
    "allow_any_layout_",
    "cut",
    "cut_tensors_",
    "delete_dead_code_",
    "drop_operands_",
    "drop_outputs_",
    "fold_constants_",
    "insert_fills_",
    "insert_gathers_",
    "return_node",
    "retype_",
    "without_unused_modules",
]

aten = torch.ops.aten


def drop_operands_(graph: fx.Graph, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Remove the lost operands of every joint, in place, and bypass joints that keep only one."""
    nodes = {node.name: node for node in graph.nodes}
    for joint, positions in plan.dropped.items():
        node, vertex = nodes[joint], trace[joint]
        if vertex.role is Role.CONCATENATING:
            kept = _without(node, vertex, positions)
            if joint in plan.bypassed:
                node.replace_all_uses_with(kept[0])
            else:
                node.args = (kept, *node.args[1:])
        elif joint in plan.scaled:
            node.replace_all_uses_with(_scaled(graph, node, node.args[1 - positions[0]], plan.scaled[joint]))
        elif vertex.role is Role.ADDITIVE and len(positions) == 1 and vertex.rule.combine:
            # What the sum makes of a one in place of the other operand: its sign and its `alpha`.
            place = 1 - positions[0]
            factor = vertex.rule.combine([int(place == 0), int(place == 1)], {"alpha": _alpha(node)})
            operand = node.args[place]
            node.replace_all_uses_with(operand if factor == 1 else _scaled(graph, node, operand, factor))
        else:
            raise ConstructionError(
                f"{vertex.name} ({vertex.operator}) loses its operands {positions}: no rule for that"
            )


def _without(node: fx.Node, vertex: Vertex, positions: tuple[int, ...]) -> list[Any]:
    """Return the operands of a concatenation without those at `positions`."""
    operands: Any = node.args[0]
    if len(operands) != len(vertex.inputs):
        raise ConstructionError(
            f"{vertex.name} concatenates {len(operands)} tensors, of which {len(vertex.inputs)} depend on the"
            " input; removing one of them next to constants is not supported"
        )
    return [operand for i, operand in enumerate(operands) if i not in positions]


def _alpha(node: fx.Node) -> Any:
    return node.kwargs.get("alpha", node.args[2] if len(node.args) > 2 else 1)


def _scaled(graph: fx.Graph, node: fx.Node, operand: Any, factor: float) -> fx.Node:
    """Return `operand` times a number, computed before `node`."""
    with graph.inserting_before(node):
        if factor == -1:
            made = graph.call_function(aten.neg.default, (operand,))
        else:
            made = graph.call_function(aten.mul.Tensor, (operand, factor))
    made.meta = dict(node.meta)
    return made


def drop_outputs_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Replace erased optional outputs by `None`, in place."""
    lost = {o.source for o in trace.outputs if o.id in plan.lost_outputs}
    node = return_node(net)
    node.args = fx.map_arg(node.args, lambda operand: None if operand.name in lost else operand)


def return_node(net: fx.GraphModule) -> fx.Node:
    """Return the node that collects the results: the `OutputForm` if there is one, else the output."""
    output: fx.Node = net.graph.output_node()
    last: Any = output.args[0]
    is_module = isinstance(last, fx.Node) and last.op == "call_module"
    has_form = is_module and isinstance(net.get_submodule(last.target), OutputForm)
    return last if has_form else output


def cut(tensor: Tensor, slices: Iterable[Slice]) -> Tensor:
    """Return `tensor` without the rows of `slices`, which are indices of `tensor`.

    Examples:
        >>> cut(torch.arange(6).view(2, 3), [Slice("weight", 1, (0, 2), "conv")])
        tensor([[1],
                [4]])
    """
    for piece in slices:
        gone = set(piece.rows)
        live = [i for i in range(tensor.shape[piece.dim]) if i not in gone]
        tensor = tensor.index_select(piece.dim, torch.tensor(live, device=tensor.device))
    return tensor


def cut_tensors_(net: nn.Module, plan: ConstructionPlan) -> None:
    """Replace every sliced parameter and buffer of `net`, under all its names."""
    places: dict[int, list[tuple[dict[str, Any], str]]] = {}
    for module in net.modules():
        tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for table in tables:
            for key, value in table.items():
                places.setdefault(id(value), []).append((table, key))
    for name in dict.fromkeys(piece.tensor for piece in plan.slices):
        path, _, attribute = name.rpartition(".")
        tensor = getattr(net.get_submodule(path), attribute)
        small = cut(tensor.detach(), [piece for piece in plan.slices if piece.tensor == name])
        if isinstance(tensor, nn.Parameter):
            small = nn.Parameter(small, requires_grad=tensor.requires_grad)
        for table, key in places[id(tensor)]:
            table[key] = small


def retype_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Set the new attributes of modules, and the new sizes among the arguments of calls, in place."""
    nodes = {node.name: node for node in net.graph.nodes}
    for vertex_id, attributes in plan.retyped.items():
        node = nodes[vertex_id]
        vertex = trace.computed.get(f"%{vertex_id}") or trace[vertex_id]
        if pieces := [int(size) for name, size in attributes.items() if name.startswith("piece:")]:
            _cut_apart(node, vertex, pieces)
        for attribute, value in attributes.items():
            kind, _, axis = attribute.partition(":")
            if kind == "size":
                _resize(node, vertex, int(axis), int(value))
            elif kind == "piece":
                continue
            elif kind == "scale":  # of attention, which may be a leaf module
                node.kwargs = {**node.kwargs, "scale": value}
            elif node.op != "call_module":
                _set_argument(node, attribute.removeprefix("slice_"), value)
            elif hasattr(module := net.get_submodule(str(node.target)), attribute):
                setattr(module, attribute, value)


def _set_argument(node: fx.Node, name: str, value: Any) -> None:
    """Give a call another argument, by its name in the schema of the operator."""
    schema = node.target._schema.arguments if isinstance(node.target, torch._ops.OpOverload) else ()
    names = [argument.name for argument in schema]
    if name not in names:
        raise ConstructionError(f"{node.name} calls {node.target}, which has no argument {name}")
    place = names.index(name)
    if schema[place].kwarg_only or name in node.kwargs:
        node.kwargs = {**node.kwargs, name: value}
        return
    defaults = [argument.default_value for argument in schema[len(node.args) : place]]
    node.args = (*node.args[:place], *defaults, value, *node.args[place + 1 :])


def _cut_apart(node: fx.Node, vertex: Vertex, lengths: list[int]) -> None:
    """Make a `chunk` or `split` return pieces of these lengths."""
    if node.kwargs.keys() - {"dim"}:
        raise ConstructionError(f"{node.name} takes {', '.join(node.kwargs)}; only dim is supported")
    node.target = torch.ops.aten.split_with_sizes.default
    node.args, node.kwargs = (node.args[0], lengths, vertex.attributes["dim"]), {}


def _resize(node: fx.Node, vertex: Vertex, axis: int, size: int) -> None:
    """Put `size` among the sizes that a `view`, `reshape` or `unflatten` has as its last argument."""
    *others, sizes = node.args
    if len(others) == 2:  # an `unflatten` lists the sizes of one axis
        axis -= others[1] % (len(vertex.shape) - len(sizes) + 1)  # type: ignore[operator, arg-type]
    if not isinstance(sizes, list | tuple) or not 0 <= axis < len(sizes):
        raise ConstructionError(f"{node.name} has the sizes {sizes}, so none for axis {axis}")
    node.args = (*others, [*sizes[:axis], size, *sizes[axis + 1 :]])


@torch.no_grad()
def fold_constants_(net: nn.Module, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Add the contribution of folded columns to biases, in place, before anything is sliced.

    A module without a bias gets one, already as narrow as its sliced weight.
    """
    for fold in plan.folds:
        module = net.get_submodule(trace[fold.vertex].module)
        if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            raise ConstructionError(
                f"{trace[fold.vertex].name} is a {type(module).__name__}, which has no bias to fold into"
            )
        shift = _shift(module.weight, fold)
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias + shift, module.bias.requires_grad)
            continue
        name = trace[fold.vertex].parameters[0]
        filters = [Slice(name, 0, s.rows, s.vertex) for s in plan.slices if s.tensor == name and s.dim == 0]
        module.bias = nn.Parameter(cut(shift, filters), module.weight.requires_grad)


def _shift(weight: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Return the sum over the folded columns for each output channel, shape `(num_outputs,)`."""
    columns = weight.index_select(1, torch.tensor(fold.rows, device=weight.device))
    sums = columns.flatten(2).sum(2) if columns.dim() > 2 else columns
    # b'_o = b_o + sum over folded channels c of (sum over kernel positions of W_oc) * value_c
    return sums @ torch.tensor(fold.values, dtype=sums.dtype, device=sums.device)


def insert_gathers_(net: fx.GraphModule, plan: ConstructionPlan) -> None:
    """Read every value that a plan gathers directly from its earlier source, in place.

    Nodes keep their names. Nodes in between become dead code unless they have other readers. Call this before
    joints are bypassed: a gather reads the joint, whichever node replaces it later.
    """
    nodes = {node.name: node for node in net.graph.nodes}
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    for gather in plan.gathers:
        node, name = nodes[gather.vertex], f"gather_{gather.vertex}"
        while hasattr(net, name):
            name += "_"
        net.register_buffer(name, torch.tensor(gather.index, device=device))
        with net.graph.inserting_before(node):
            index = net.graph.get_attr(name)
        node.op, node.target = "call_function", torch.ops.aten.index_select.default
        node.args, node.kwargs = (nodes[gather.source], gather.axis, index), {}


def insert_fills_(net: fx.GraphModule, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Widen the input of every reader that a plan names, in place.

    Call this before joints are bypassed: a fill reads the joint, whichever node replaces it later.
    """
    nodes = {node.name: node for node in net.graph.nodes}
    outputs = {o.id for o in trace.outputs}
    device = next((tensor.device for tensor in net.parameters()), torch.device("cpu"))
    for fill in plan.fills:
        source = nodes[fill.source]
        widened = _widen(net, source, fill, len(trace.shapes[fill.source]), device)
        for reader in fill.readers:
            node = return_node(net) if reader in outputs else nodes[reader]
            node.replace_input_with(source, widened)


def _widen(net: fx.GraphModule, source: fx.Node, fill: Fill, rank: int, device: torch.device) -> fx.Node:
    name = _free_name(net, f"fill_{source.name}")
    net.register_buffer(name, _index(fill, device))
    padding = [0, 0] * (rank - 1 - fill.axis) + [0, 1]
    padded = source
    for value in dict.fromkeys(fill.values or (0.0,)):
        constant: tuple[Any, ...] = ("constant", value) if value else ()
        with net.graph.inserting_after(padded):
            padded = net.graph.call_function(aten.pad.default, (padded, padding, *constant))
        padded.meta = dict(source.meta)
    with net.graph.inserting_after(padded):
        index = net.graph.get_attr(name)
    with net.graph.inserting_after(index):
        widened = net.graph.call_function(aten.index_select.default, (padded, fill.axis, index))
    widened.meta = dict(source.meta)
    return widened


def _index(fill: Fill, device: torch.device) -> Tensor:
    """Return, for each index of the full axis, its index among the kept ones or that of its constant."""
    values = fill.values or (0.0,) * len(fill.rows)
    num_live = fill.size - len(fill.rows)
    behind = {value: num_live + place for place, value in enumerate(dict.fromkeys(values))}
    places = {row: behind[value] for row, value in zip(fill.rows, values, strict=True)}
    live = iter(range(num_live))
    return torch.tensor([places[i] if i in places else next(live) for i in range(fill.size)], device=device)


def _free_name(net: fx.GraphModule, name: str) -> str:
    while hasattr(net, name):
        name += "_"
    return name


def allow_any_layout_(graph: fx.Graph) -> None:
    """Turn every `view` into a `reshape`, in place.

    A joint returns a contiguous tensor, but the operand that replaces it may be a non-contiguous slice, on
    which `view` fails.
    """
    for node in graph.find_nodes(op="call_function", target=aten.view.default):
        node.target = aten.reshape.default


def delete_dead_code_(graph: fx.Graph) -> None:
    """Delete every node that no output needs, in place; the network keeps all its arguments.

    Unused random operators (dropout, attention), which torch.fx treats as impure, are deleted too.
    """
    graph.eliminate_dead_code(is_impure_node=lambda node: node.op in ("placeholder", "output"))


def without_unused_modules(net: fx.GraphModule) -> fx.GraphModule:
    """Return a network of the same graph with only the modules and tensors that the graph reads."""
    made = fx.GraphModule(net, net.graph, class_name=type(net).__name__)
    modes = {path: module.training for path, module in net.named_modules(remove_duplicate=False)}
    for path, module in made.named_modules(remove_duplicate=False):
        module.training = modes[path]
    made.graph.lint()
    return made
