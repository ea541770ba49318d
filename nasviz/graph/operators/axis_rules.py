"""Where zero channels go when axes are reshaped, permuted, reduced, split or shuffled."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

from nasviz.graph.operators.propagation import Passage, Zeros
from nasviz.graph.operators.reshapes import reshaped_rows
from nasviz.graph.trace_graph import Attribute, Vertex

__all__ = [
    "channel_shuffle",
    "elsewhere",
    "pad",
    "pads",
    "part",
    "permute",
    "pieces_of",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reduce",
    "reshape",
    "select",
    "split",
    "transpose",
    "window",
    "window_of",
]


def reshape(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Where the reshape keeps an axis of zeros together, they move to it; else there is no rule."""
    left = zeros.size - len(zeros.rows)
    if vertex.operator == "squeeze" and left == 1:
        return None  # it would squeeze the one channel that is left
    moved = reshaped_rows(zeros.axis, zeros.rows, shape, vertex.shape)
    if moved is None:
        return None
    after = replace(zeros, axis=moved[0], rows=moved[1], size=vertex.shape[moved[0]])
    if vertex.operator not in ("view", "reshape", "unflatten"):
        return Passage(after)
    return Passage(after, retyped={f"size:{after.axis}": after.size - len(after.rows)})


def permute(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros move with their axis."""
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or zeros.axis not in dims:
        return None
    return Passage(replace(zeros, axis=dims.index(zeros.axis)))


def reduce(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros stay zero; axes before theirs may disappear."""
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or not dims or zeros.axis in dims:
        return None
    before = (
        0 if vertex.attributes.get("keepdim") else sum(1 for d in dims if d is not None and d < zeros.axis)
    )
    return Passage(replace(zeros, axis=zeros.axis - before))


def transpose(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros move with their axis."""
    first, second = vertex.attributes.get("dim0"), vertex.attributes.get("dim1")
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    axis = {first: second, second: first}.get(zeros.axis, zeros.axis)
    return Passage(replace(zeros, axis=axis))


def elsewhere(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Indices of other axes change places (`roll`, `flip`)."""
    dims = vertex.attributes.get("dims")
    is_known = isinstance(dims, tuple) and len(dims) > 0  # without axes, all of them are rolled as one
    return Passage(zeros) if is_known and zeros.axis not in dims else None  # type: ignore[operator]


def pixel_shuffle(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Blocks of neighbouring channels become one."""
    if len(shape) != 4 or zeros.axis != 1:
        return None
    block = zeros.size // vertex.shape[1]
    gone = tuple(dict.fromkeys(row // block for row in zeros.rows))
    return (
        Passage(replace(zeros, rows=gone, size=vertex.shape[1]))
        if len(gone) * block == len(zeros.rows)
        else None
    )


def pixel_unshuffle(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A channel becomes a block of neighbouring ones."""
    if len(shape) != 4 or zeros.axis != 1:
        return None
    rows = zeros.spread(vertex.shape[1] // zeros.size)
    return Passage(replace(zeros, rows=rows, size=vertex.shape[1]))


def channel_shuffle(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Places are dealt out in turns; the same place of every group has to be missing."""
    groups = vertex.attributes.get("groups")
    if not isinstance(groups, int) or zeros.axis != 1:
        return None
    length = zeros.size // groups
    gone = set(zeros.rows)
    places = sorted({row % length for row in gone})
    if len(places) * groups != len(gone):
        return None
    rows = tuple(place * groups + group for place in places for group in range(groups))
    return Passage(replace(zeros, rows=rows))


def pad(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Borders along other axes, of zeros or copied from within."""
    is_copied = vertex.attributes.get("mode") in ("reflect", "replicate", "circular")
    is_safe = is_copied or (vertex.keeps_zero and zeros.is_zero)
    return Passage(zeros) if is_safe and pads(vertex, zeros.axis) is False else None


def pads(vertex: Vertex, axis: int) -> bool | None:
    """Whether a `pad` adds to this axis; `None` where that is not known."""
    widths = vertex.attributes.get("pad")
    if not isinstance(widths, tuple):
        return None
    place = 2 * (len(vertex.shape) - 1 - axis)  # they are listed from the last axis on
    return any(widths[place : place + 2])


def split(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Pieces along another axis, or pieces each of which keeps something."""
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int):
        return None
    if dim != zeros.axis:
        return Passage(zeros)
    left = [last - first - len(_inside(zeros, first, last)) for first, last in pieces_of(vertex, zeros.size)]
    if not left or min(left) < 1:
        return None
    return Passage(zeros, retyped={f"piece:{number}": length for number, length in enumerate(left)})


def window(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A run of neighbours (`slice`): it starts and ends at other live ones; along another axis zeros stay."""
    dim, step = vertex.attributes.get("dim"), vertex.attributes.get("step")
    if dim != zeros.axis:
        return Passage(zeros)
    first, last = window_of(vertex, zeros.size)
    gone = _inside(zeros, first, last)
    if step not in (None, 1) or len(gone) == last - first:
        return None
    live = [sum(row < bound for row in zeros.rows) for bound in (first, last)]
    after = replace(zeros, rows=gone, size=last - first) if gone else None
    return Passage(after, retyped={"slice_start": first - live[0], "slice_end": last - live[1]})


def window_of(vertex: Vertex, size: int) -> tuple[int, int]:
    """Where a window along an axis of this length starts and ends."""
    start, end = vertex.attributes.get("start"), vertex.attributes.get("end")
    first, last = (_from_front(bound, size) for bound in (start or 0, size if end is None else end))
    return first, last


def select(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """One index along another axis, which disappears."""
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int) or dim == zeros.axis:
        return None
    return Passage(replace(zeros, axis=zeros.axis - (dim < zeros.axis)))


def _from_front(bound: Attribute, size: int) -> int:
    assert isinstance(bound, int)
    return min(max(bound + size if bound < 0 else bound, 0), size)


def _inside(zeros: Zeros, first: int, last: int) -> tuple[int, ...]:
    """Rows between two bounds, counted from the first of them."""
    return tuple(row - first for row in zeros.rows if first <= row < last)


def pieces_of(vertex: Vertex, size: int) -> list[tuple[int, int]]:
    """Where each piece of an axis of this length starts and ends; none where that is not known."""
    count, step = vertex.attributes.get("chunks"), vertex.attributes.get("split_size")
    sizes = vertex.attributes.get("split_sizes")
    if vertex.operator == "split_with_sizes" and isinstance(sizes, tuple) and sum(_ints(sizes)) == size:
        edges = list(accumulate(_ints(sizes), initial=0))
        return list(pairwise(edges))
    if vertex.operator == "chunk" and isinstance(count, int):
        step = -(-size // count)
    if not isinstance(step, int) or step < 1 or vertex.operator not in ("chunk", "split"):
        return []
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _ints(sizes: tuple[int | None, ...]) -> list[int]:
    return [size for size in sizes if size is not None]


def part(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...], source: Vertex | None) -> Passage | None:
    """One piece of what was split."""
    index = vertex.attributes.get("index")
    if source is None or source.operator not in _SPLITS or not isinstance(index, int):
        return None
    dim = source.attributes.get("dim")
    if not isinstance(dim, int):
        return None
    if dim != zeros.axis:
        shift = source.operator == "unbind" and dim < zeros.axis
        return Passage(replace(zeros, axis=zeros.axis - shift))
    bounds = pieces_of(source, zeros.size)
    if not -len(bounds) <= index < len(bounds):
        return None
    first, last = bounds[index]
    rows = _inside(zeros, first, last)
    return Passage(replace(zeros, rows=rows, size=last - first) if rows else None)


_SPLITS = ("chunk", "split", "split_with_sizes", "unbind")
