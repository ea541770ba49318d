"""Literal arguments of a call that slicing and cost rules need, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import Tensor, fx

from nasviz.graph.operators.table import rule
from nasviz.graph.trace_graph import Attribute
from nasviz.trace.calls import arguments, operator_name, value_of

__all__ = ["attributes_of", "factor_attributes", "macs_of", "shape_at_batch_one", "shape_of"]

_REDUCTIONS = ("mean", "sum", "amax", "amin", "prod", "var", "std", "linalg_vector_norm", "logsumexp")
_ON_ONE_AXIS = (
    "softmax log_softmax chunk split split_with_sizes unbind select slice unsqueeze stack cumsum glu "
    "index_select"
).split()
_LITERALS = (
    "start end step index min max negative_slope lambd alpha beta p value exponent other scale input_scale "
    "threshold min_val max_val approximate rounding_mode mode"
).split()


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of the value, with -1 for sizes that depend on the batch.

    A list of tensors has the shape of its operand.
    """
    value = value_of(node)
    if not isinstance(value, Tensor):
        operand = next((n for n in node.all_input_nodes if isinstance(value_of(n), Tensor)), None)
        return shape_of(operand) if operand is not None else ()
    return tuple(size if isinstance(size, int) else -1 for size in value.shape)


def shape_at_batch_one(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of the value for a batch of one."""
    value = value_of(node)
    sizes = []
    for size in value.shape if isinstance(value, Tensor) else ():
        if not isinstance(size, int):
            expression = size.node.expr
            size = int(expression.subs(dict.fromkeys(expression.free_symbols, 1)))
        sizes.append(size)
    return tuple(sizes)


def attributes_of(node: fx.Node) -> dict[str, Attribute]:
    """Return the literals of a call by name, with axes counted from the front."""
    name, given = operator_name(node), arguments(node)
    operand = next((n for n in node.all_input_nodes if isinstance(value_of(n), Tensor)), None)
    ndim = len(shape_of(operand)) if operand is not None else 0
    if name.startswith("conv"):
        return _convolution(name, given)
    if name == "linear" or name == "addmm":
        return _linear(name, given)
    if name == "batch_norm":
        return {"num_features": shape_of(given["input"])[1]}
    if name == "layer_norm":
        return {"normalized_shape": tuple(given["normalized_shape"])}
    if name == "group_norm":
        return {"num_groups": given["num_groups"]}
    if name == "prelu":
        return {"num_parameters": shape_of(given["weight"])[0]}
    if name == "embedding":
        rows, width = shape_of(given["weight"])
        return {"num_embeddings": rows, "embedding_dim": width}
    if name in ("add", "sub", "rsub"):
        return {"alpha": given.get("alpha", 1), **_literals(given, ("other",))}
    if name == "flatten":
        return {"start_dim": given["start_dim"] % ndim, "end_dim": given["end_dim"] % ndim}
    if name in ("view", "reshape", "squeeze", "unflatten"):
        return _merged(shape_of(operand), shape_of(node)) if operand is not None else {}
    if name == "permute":
        return {"dims": tuple(dim % ndim for dim in given["dims"])}
    if name in ("transpose", "swapaxes"):
        dims = [given["dim0"], given["dim1"]] if "dim0" in given else [given["axis0"], given["axis1"]]
        return {"dim0": dims[0] % ndim, "dim1": dims[1] % ndim}
    if name in _REDUCTIONS:
        return _reduction(given, ndim)
    if name == "cat":
        return {"dim": given["dim"] % ndim}
    found = _literals(given, (*_LITERALS, "keepdim", "split_size", "chunks", "groups"))
    if name in _ON_ONE_AXIS and isinstance(given.get("dim"), int):
        found["dim"] = given["dim"] % (ndim + (name in ("unsqueeze", "stack")))
    for key in ("split_sizes", "pad"):
        sizes = given.get(key)
        if isinstance(sizes, list | tuple) and all(isinstance(size, int) for size in sizes):
            found[key] = tuple(sizes)
    if name in ("roll", "flip"):
        found["dims"] = tuple(dim % ndim for dim in given["dims"])
    if name.startswith("avg_pool"):
        found["padding"] = _per_axis(given["padding"], int(name[-2]))
    if name == "getitem" and isinstance(given["index"], int):
        found["index"] = given["index"]
    return found


def factor_attributes(factor: fx.Node) -> dict[str, Attribute]:
    """Return the shape of a factor that is made of parameters alone, or its index in a softmax."""
    if factor.op == "get_attr":
        return {"factor_shape": shape_of(factor)}
    given = arguments(factor) if operator_name(factor) == "select" else {}
    weights, index = given.get("self"), given.get("index")
    if not (isinstance(weights, fx.Node) and operator_name(weights) == "softmax" and isinstance(index, int)):
        return {}
    logits = arguments(weights)["self"]
    is_flat = isinstance(logits, fx.Node) and logits.op == "get_attr" and len(shape_of(logits)) == 1
    return {"factor_shape": (), "relation": "softmax", "index": index} if is_flat else {}


def macs_of(node: fx.Node, weight: fx.Node | None) -> int:
    """Return the multiply-accumulates of a call for a batch of one; 0 where its rule counts none."""
    count = rule(operator_name(node)).macs
    if weight is None or count is None:
        return 0
    operand = next(n for n in node.all_input_nodes if isinstance(value_of(n), Tensor))
    return count(shape_at_batch_one(node), shape_at_batch_one(operand), shape_at_batch_one(weight))


def _convolution(name: str, given: Mapping[str, Any]) -> dict[str, Attribute]:
    weight, groups, is_transposed = shape_of(given["weight"]), given["groups"], "transpose" in name
    axes = len(weight) - 2
    ins, outs = (weight[0], weight[1] * groups) if is_transposed else (weight[1] * groups, weight[0])
    padding = given["padding"]
    return {
        "in_channels": ins,
        "out_channels": outs,
        "groups": groups,
        "kernel_size": weight[2:],
        "stride": _per_axis(given["stride"], axes),
        "padding": padding if isinstance(padding, str) else _per_axis(padding, axes),
        "dilation": _per_axis(given["dilation"], axes),
        "transposed": is_transposed,
    }


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    numbers = list(value) if isinstance(value, list | tuple) else [value]
    return tuple(numbers * axes if len(numbers) == 1 else numbers)


def _linear(name: str, given: Mapping[str, Any]) -> dict[str, Attribute]:
    weight = shape_of(given["weight" if name == "linear" else "mat2"])
    outs, ins = weight if name == "linear" else weight[::-1]
    return {"in_features": ins, "out_features": outs}


def _reduction(given: Mapping[str, Any], ndim: int) -> dict[str, Attribute]:
    dims = given.get("dim")
    axes = [dims] if isinstance(dims, int) else list(dims or range(ndim))
    return {"dims": tuple(axis % ndim for axis in axes if ndim), "keepdim": bool(given.get("keepdim", False))}


def _merged(before: tuple[int, ...], after: tuple[int, ...]) -> dict[str, Attribute]:
    """Return `start_dim` and `end_dim` if a reshape only merges neighbouring axes, else nothing."""
    merged = len(before) - len(after)
    if merged < 0:
        return {}
    for start in range(len(after)):
        end = start + merged
        is_same = before[:start] == after[:start] and before[end + 1 :] == after[start + 1 :]
        if is_same and -1 not in before[start : end + 1] and prod(before[start : end + 1]) == after[start]:
            return {"start_dim": start, "end_dim": end}
    return {}


def _literals(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Attribute]:
    return {n: given[n] for n in names if isinstance(given.get(n), bool | int | float | str)}
