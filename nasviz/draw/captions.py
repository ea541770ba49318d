"""Captions of vertices, segments and modules: two short lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import prod

from nasviz.draw.drawing import Form
from nasviz.draw.labels import count, plain_shape, shorten
from nasviz.graph.operators.rules import Role
from nasviz.graph.trace_graph import TraceGraph, Vertex

__all__ = [
    "form_of",
    "module_lines",
    "num_parameters",
    "operator_lines",
    "plain_operator",
    "role_of",
    "segment_lines",
    "size_of",
]

_SYMBOLS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "cat": "C", "matmul": "@", "bmm": "@", "mm": "@"}
_SHOWN_MEMBERS = 3


def num_parameters(trace: TraceGraph, vertices: Sequence[str]) -> int:
    """Return the number of trainable parameters of the vertices; shared tensors count once."""
    names = {name for vertex in vertices for name in trace[vertex].parameters}
    return sum(prod(trace.parameter_shapes[name]) for name in names)


def role_of(vertex: Vertex) -> str:
    """Return the key of a vertex in `palette.ROLES`."""
    if vertex.is_joint:
        return "joint"
    return vertex.role.value if vertex.role.value in ("stem", "norm", "accessory", "shape") else "unknown"


def form_of(vertex: Vertex) -> Form:
    """Return the outline of a vertex: small for joints with a symbol, else a box."""
    if not vertex.is_joint or vertex.operator not in _SYMBOLS:
        return "box"
    return "diamond" if vertex.role is Role.CONCATENATING else "circle"


def operator_lines(trace: TraceGraph, vertex: Vertex, within: str = "") -> tuple[str, ...]:
    """Return name and size of an operator call; names are relative to the module `within`."""
    if form_of(vertex) != "box":
        return (_SYMBOLS[vertex.operator],)
    name = _relative(vertex.module, within) if vertex.module else plain_operator(vertex.operator)
    parameters = num_parameters(trace, [vertex.id])
    size = size_of(trace, vertex) or plain_shape(vertex.shape)
    return shorten(name), f"{size} · {count(parameters)}" if parameters else size


def plain_operator(name: str) -> str:
    """Return the name of an operator in words.

    Examples:
        >>> plain_operator("adaptive_avg_pool2d"), plain_operator("relu6"), plain_operator("conv2d")
        ('adaptive avg pool', 'relu6', 'conv')
    """
    return re.sub(r"(?<=[a-z])[123]d$", "", name).replace("_", " ")


def size_of(trace: TraceGraph, vertex: Vertex) -> str:
    """Return kernel, stride and width of an operator, such as `3×3 /2, 184`; empty if it has none."""
    attributes = vertex.attributes
    if vertex.role is Role.STEM and vertex.parameters:
        weight = trace.parameter_shapes[vertex.parameters[0]]
        if not vertex.operator.startswith("conv"):
            return f"{weight[-1]} → {vertex.shape[-1]}" if vertex.shape else str(weight[0])
        width = vertex.shape[1] if len(vertex.shape) > 1 else weight[0]
        groups = attributes.get("groups")
        several = f", {groups} groups" if isinstance(groups, int) and groups > 1 else ""
        if several and groups == width:
            several = ", depthwise"
        return f"{plain_shape(weight[2:])}{_stride(attributes.get('stride'))}, {width}{several}"
    kernel = attributes.get("kernel_size")
    if isinstance(kernel, tuple) and kernel:
        return "×".join(str(k) for k in kernel) + _stride(attributes.get("stride"))
    return ""


def segment_lines(
    trace: TraceGraph, vertices: Sequence[str], collapsed: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return members and sizes of a segment, such as `conv2 · bn2` and `3×3, 88 · 25.6k`.

    Collapsed modules are marked, such as `▣ reduce` and `FactorizedReduce, 4 ops`. `collapsed` maps their
    vertices to the path of the module.
    """
    collapsed = collapsed or {}
    members = [trace[vertex] for vertex in vertices]
    if len(members) == 1 and form_of(members[0]) != "box":
        return operator_lines(trace, members[0])
    modules = list(dict.fromkeys(collapsed[v] for v in vertices if v in collapsed))
    homes = [collapsed[m.id].rpartition(".")[0] if m.id in collapsed else _calling_module(m) for m in members]
    within = _common_module(homes)
    named = [
        f"▣ {_relative(collapsed[m.id], within)}" if m.id in collapsed else _child(m, within) for m in members
    ]
    names = [name for name, _ in groupby(named)]
    if len(names) > _SHOWN_MEMBERS + 1:
        names = [*names[: _SHOWN_MEMBERS - 1], "…", names[-1]]
    lead = f"{shorten(within, 24)}: " if within else ""
    sizes = [size_of(trace, m) for m in members if m.role is Role.STEM]
    parameters = num_parameters(trace, vertices)
    detail = [*([sizes[0] if len(sizes) == 1 else f"{len(sizes)} stems"] if sizes else [])]
    if len(modules) == 1 and len(names) == 1:
        detail = [f"{shorten(trace.modules.get(modules[0], ''), 28)}, {len(members)} ops"]
    detail += [count(parameters)] if parameters else [plain_shape(members[-1].shape)]
    return shorten(lead + " · ".join(names), 48), " · ".join(detail)


def module_lines(
    trace: TraceGraph, key: str, path: str, vertices: Sequence[str], within: str
) -> tuple[str, ...]:
    """Return name, and class, number of operators and parameters of a closed module."""
    parameters = num_parameters(trace, vertices)
    parts = [trace.modules.get(path, ""), f"{len(vertices)} ops", count(parameters) if parameters else ""]
    name = _relative(key, within)
    if name.isdecimal():
        # A bare number is ambiguous: show the first block of layer2 as layer2.0.
        name = ".".join(key.split(".")[-2:])
    return f"▸ {shorten(name)}", " · ".join(shorten(part) for part in parts if part)


def _stride(stride: object) -> str:
    """Return the suffix for a stride other than 1."""
    steps = stride if isinstance(stride, tuple) else (stride,)
    wide = [step for step in steps if isinstance(step, int) and step != 1]
    return f" /{wide[0]}" if wide else ""


def _relative(path: str, within: str) -> str:
    """Return a module path relative to another one."""
    return path[len(within) + 1 :] if within and path.startswith(f"{within}.") else path


def _calling_module(vertex: Vertex) -> str:
    """Return the path of the module whose code contains the call."""
    if vertex.module:
        return vertex.module.rpartition(".")[0]
    return vertex.scope[-1] if vertex.scope else ""


def _child(vertex: Vertex, within: str) -> str:
    """Return the child of module `within` that a vertex belongs to, or the name of the operator."""
    inner = _relative(vertex.module or f"{_calling_module(vertex)}.", within).lstrip(".")
    return inner.split(".")[0] or plain_operator(vertex.operator)


def _common_module(paths: Sequence[str]) -> str:
    """Return the innermost module that contains all of these; empty if there is none.

    Examples:
        >>> _common_module(["layer1.0", "layer1.0.downsample"])
        'layer1.0'
    """
    shared = []
    for names in zip(*(path.split(".") for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return ".".join(shared)
