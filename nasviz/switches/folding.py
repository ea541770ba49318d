"""Folding of switches into the weights before them: fewer operations, the same outputs.

A factor is moved backwards through operators that commute with it (pooling and reshapes with any factor,
rectifiers with a positive one) into the weights of a convolution, linear map or norm that nothing else reads.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, fx, nn

from nasviz.graph import is_switch_parameter
from nasviz.trace import TracedNetwork
from nasviz.trace.export import eliminate_dead_code, operator_name
from nasviz.trace.network import require_traced

__all__ = ["fold_switches"]

_COMMUTE_WITH_ANY = (
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d mean sum "
    "view reshape flatten permute transpose squeeze unsqueeze contiguous alias clone slice dropout"
).split()
_COMMUTE_WITH_POSITIVE = "relu leaky_relu max_pool1d max_pool2d max_pool3d adaptive_max_pool2d".split()
_RECTIFIERS = (nn.ReLU, nn.LeakyReLU)
_WEIGHTED = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.Linear,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.LayerNorm,
    nn.GroupNorm,
)


@torch.no_grad()
def fold_switches(net: fx.GraphModule) -> fx.GraphModule:
    """Return a copy of `net` with switches folded into the weights wherever possible.

    A plain scalar switch is folded if it is 1, or if everything between it and the weights before it commutes
    with it. Others stay: on identity and pooling edges, after norms without weights, per channel, in a
    softmax (see `settle_switches`), and zeros, which mark what `construct` erases.

    Args:
        net: A traced network with switches, or a sub-network of one. The `trace_graph` of a traced network is
            updated, so it can be passed to `search_space` again.

    Examples:
        >>> import nasviz
        >>> net = nasviz.trace(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()), torch.zeros(1, 1, 2, 2))
        >>> switched, space = nasviz.add_switches(net, nasviz.search_space(net), where=["0"], initial=2.0)
        >>> folded = fold_switches(switched)
        >>> [v.operator for v in switched.trace_graph], [v.operator for v in folded.trace_graph]
        (['conv2d', 'mul', 'relu'], ['conv2d', 'relu'])
    """
    require_traced(net)
    made = copy.deepcopy(net)
    uses = _uses(made)
    gone = {}
    for node in list(made.graph.nodes):
        value = _factor(made, node)
        if value is None or value == 0 or not _fold(made, node, value, uses):
            continue
        gone[node.name] = node.args[0].name
        node.replace_all_uses_with(node.args[0])
        made.graph.erase_node(node)
    eliminate_dead_code(made.graph)
    _delete_unused(made)
    made.recompile()
    if isinstance(made, TracedNetwork):
        _update_trace(made, gone)
    return made


def _factor(net: fx.GraphModule, node: fx.Node) -> float | None:
    """Return the value of a node that is a plain scalar switch, else `None`."""
    if node.op != "call_function" or operator_name(node) != "mul" or len(node.args) != 2:
        return None
    factor = node.args[1]
    if not (
        isinstance(factor, fx.Node) and factor.op == "get_attr" and is_switch_parameter(str(factor.target))
    ):
        return None
    value = net.get_parameter(str(factor.target))
    return float(value) if value.dim() == 0 else None


def _fold(net: fx.GraphModule, node: fx.Node, value: float, uses: Mapping[int, int]) -> bool:
    """Multiply the weights before a switch by its value if equivalent; return whether it was done."""
    if value == 1:
        return True
    place = node.args[0]
    while isinstance(place, fx.Node) and len(place.users) == 1:
        if place.op == "call_module":
            module = net.get_submodule(str(place.target))
            if isinstance(module, _WEIGHTED):
                return _scale(module, value, uses)
            passes = isinstance(module, nn.Dropout) or (isinstance(module, _RECTIFIERS) and value > 0)
        else:
            is_call = place.op == "call_function"
            name = operator_name(place) if is_call else ""
            passes = name in _COMMUTE_WITH_ANY or (name in _COMMUTE_WITH_POSITIVE and value > 0)
        if not passes:
            return False
        place = place.args[0]
    return False


def _scale(module: nn.Module, value: float, uses: Mapping[int, int]) -> bool:
    tensors = [t for t in (module.weight, module.bias) if isinstance(t, Tensor)]
    if not isinstance(module.weight, Tensor) or any(uses[id(tensor)] > 1 for tensor in tensors):
        return False
    torch._foreach_mul_(tensors, value)
    return True


def _uses(net: fx.GraphModule) -> dict[int, int]:
    """Return how often each tensor is read, by identity."""
    tensors = dict(net.named_parameters(remove_duplicate=False))
    uses: dict[int, int] = {}
    for node in net.graph.nodes:
        if node.op == "get_attr":
            read = [tensors[str(node.target)]] if str(node.target) in tensors else []
        else:
            read = list(net.get_submodule(str(node.target)).parameters()) if node.op == "call_module" else []
        for tensor in read:
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    return uses


def _delete_unused(net: fx.GraphModule) -> None:
    """Delete switches that nothing reads any more, and their module if it is empty."""
    read = {str(node.target) for node in net.graph.find_nodes(op="get_attr")}
    for name in [n for n, _ in net.named_parameters(remove_duplicate=False) if is_switch_parameter(n)]:
        scope, _, key = name.partition(".")
        if name not in read:
            delattr(net.get_submodule(scope), key)
        if not net.get_submodule(scope)._parameters:
            delattr(net, scope)


def _update_trace(net: TracedNetwork, gone: Mapping[str, str]) -> None:
    """Remove folded switches from the trace graph."""
    trace = net.trace_graph
    left = {name for name, _ in net.named_parameters()}
    net.trace_graph = replace(
        trace,
        vertices=tuple(
            replace(v, inputs=tuple(gone.get(source, source) for source in v.inputs))
            for v in trace
            if v.id not in gone
        ),
        outputs=tuple(replace(o, source=gone.get(o.source, o.source)) for o in trace.outputs),
        parameter_shapes={n: s for n, s in trace.parameter_shapes.items() if n in left},
    )
