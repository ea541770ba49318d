"""Where the labels of channels go when axes are reshaped, permuted, reduced, split or shuffled.

The counterpart of `moves`, which asks the same of channels that are zero. Where a reshape tears an axis into
several, only rows of one of them can be cut: labels that would share such a row become one.
"""

from __future__ import annotations

from collections.abc import Callable

from nasviz.graph.operator_table import Channels
from nasviz.graph.operators.axis_rules import pads, pieces_of, window_of
from nasviz.graph.operators.labels import Labelled, Labels
from nasviz.graph.operators.reshapes import LONGEST, aligned, places_of
from nasviz.graph.trace_graph import Vertex

__all__ = ["MOVES", "MOVES_BY_OPERATOR", "part"]

Move = Callable[[Vertex, Labelled, tuple[int, ...], Labels], Labelled | str]
"""The labels of a vertex's value, from those of its operand and the shape of that; or why they end there."""


def _reshape(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    group = aligned(value.axis, shape, vertex.shape)
    if group is None or group.length > LONGEST:
        return f"{vertex.name} ({vertex.operator}) mixes their axis with one that is not known"
    choices = [(axis, places_of(group, axis)) for axis in group.after]
    if not choices:
        return f"{vertex.name} ({vertex.operator}) leaves no axis for them"
    # The last axis that can lose a row: of heads the dimensions, which attention sums over.
    sizes = {axis: _num_rows(pairs) for axis, pairs in choices}
    axis, pairs = max(choices, key=lambda choice: (sizes[choice[0]] > 1, choice[0]))
    found: dict[int, int] = {}
    for place, row in pairs:
        label = value.labels[place]
        labels.join(found.setdefault(row, label), label)
    return Labelled(axis, tuple(found[row] for row in range(vertex.shape[axis])), value.is_zero)


def _num_rows(pairs: list[tuple[int, int]]) -> int:
    """Into how many sets, which share no place and no row, the pairs fall."""
    forest = Labels()
    places = forest.new(1 + max(place for place, _ in pairs))
    rows = forest.new(1 + max(row for _, row in pairs))
    for place, row in pairs:
        forest.join(places[place], rows[row])
    return len({forest.find(label) for label in rows})


def _permute(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or value.axis not in dims:
        return _no_rule(vertex)
    return Labelled(dims.index(value.axis), value.labels, value.is_zero)


def _transpose(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    first, second = vertex.attributes.get("dim0"), vertex.attributes.get("dim1")
    if not isinstance(first, int) or not isinstance(second, int):
        return _no_rule(vertex)
    axis = {first: second, second: first}.get(value.axis, value.axis)
    return Labelled(axis, value.labels, value.is_zero)


def _reduce(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or not dims or value.axis in dims:
        return f"{vertex.name} ({vertex.operator}) reduces over them: one less changes the result"
    if not value.is_zero:
        return _no_rule(vertex)
    is_kept = vertex.attributes.get("keepdim")
    before = 0 if is_kept else sum(1 for dim in dims if dim is not None and dim < value.axis)
    return Labelled(value.axis - before, value.labels, value.is_zero)


def _pixel_shuffle(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    if len(shape) != 4 or value.axis != 1:
        return _no_rule(vertex)
    block = value.size // vertex.shape[1]
    for start in range(0, value.size, block):
        labels.join_all(value.labels[start : start + 1] * block, value.labels[start : start + block])
    return Labelled(1, value.labels[::block], value.is_zero)


def _pixel_unshuffle(
    vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels
) -> Labelled | str:
    if len(shape) != 4 or value.axis != 1:
        return _no_rule(vertex)
    block = vertex.shape[1] // value.size
    return Labelled(1, tuple(label for label in value.labels for _ in range(block)), value.is_zero)


def _channel_shuffle(
    vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels
) -> Labelled | str:
    groups = vertex.attributes.get("groups")
    if not isinstance(groups, int) or value.axis != 1:
        return _no_rule(vertex)
    length = value.size // groups
    first = value.labels[:length]
    for group in range(1, groups):
        labels.join_all(first, value.labels[group * length : (group + 1) * length])
    return Labelled(1, tuple(label for label in first for _ in range(groups)), value.is_zero)


def _pad(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    if pads(vertex, value.axis) is not False:
        return f"{vertex.name} pads their axis"
    return value if vertex.keeps_zero and value.is_zero else _no_rule(vertex)


def _split(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int) or (dim == value.axis and not pieces_of(vertex, value.size)):
        return _no_rule(vertex)
    return value


def _window(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    if vertex.attributes.get("dim") != value.axis:
        return value
    if vertex.attributes.get("step") not in (None, 1):
        return f"{vertex.name} takes every n-th of them"
    first, last = window_of(vertex, value.size)
    return Labelled(value.axis, value.labels[first:last], value.is_zero)


def _select(vertex: Vertex, value: Labelled, shape: tuple[int, ...], labels: Labels) -> Labelled | str:
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int) or dim == value.axis:
        return f"{vertex.name} picks one of them by its place"
    return Labelled(value.axis - (dim < value.axis), value.labels, value.is_zero)


def part(vertex: Vertex, value: Labelled, source: Vertex | None) -> Labelled | str:
    """Labels of one piece of what was split."""
    index = vertex.attributes.get("index")
    dim = source.attributes.get("dim") if source is not None else None
    if source is None or not isinstance(index, int) or not isinstance(dim, int):
        return _no_rule(vertex)
    if dim != value.axis:
        is_gone = source.operator == "unbind" and dim < value.axis
        return Labelled(value.axis - is_gone, value.labels, value.is_zero)
    bounds = pieces_of(source, value.size)
    if not -len(bounds) <= index < len(bounds):
        return _no_rule(vertex)
    first, last = bounds[index]
    return Labelled(value.axis, value.labels[first:last], value.is_zero)


def _no_rule(vertex: Vertex) -> str:
    return f"there is no rule for {vertex.operator} ({vertex.name})"


MOVES: dict[Channels, Move] = {
    Channels.RESHAPE: _reshape,
    Channels.PERMUTE: _permute,
    Channels.REDUCE: _reduce,
}
MOVES_BY_OPERATOR: dict[str, Move] = {
    "transpose": _transpose,
    "swapaxes": _transpose,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "pad": _pad,
    "chunk": _split,
    "split": _split,
    "split_with_sizes": _split,
    "unbind": _split,
    "slice": _window,
    "select": _select,
}
