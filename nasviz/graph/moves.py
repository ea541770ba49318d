"""Where zero channels go when axes are reshaped, permuted, reduced, split or shuffled."""

from __future__ import annotations

from nasviz.graph.passage import Passage, Zeros
from nasviz.graph.reshapes import reshaped_rows
from nasviz.graph.trace_graph import Attribute, Vertex

__all__ = [
    "part",
    "permute",
    "pixel_shuffle",
    "pixel_unshuffle",
    "reduce",
    "reshape",
    "split",
    "transpose",
    "window",
]


def reshape(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Where the reshape keeps an axis of zeros together, they move to it; else there is no rule."""
    left = zeros.size - len(zeros.rows)
    if vertex.operator == "squeeze" and left == 1:
        return None  # it would squeeze the one channel that is left
    moved = reshaped_rows(zeros.axis, zeros.rows, shape, vertex.shape)
    if moved is None:
        return None
    after = Zeros(*moved, vertex.shape[moved[0]])
    if vertex.operator not in ("view", "reshape", "unflatten"):
        return Passage(after)
    return Passage(after, retyped={f"size:{after.axis}": after.size - len(after.rows)})


def permute(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros move with their axis."""
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or zeros.axis not in dims:
        return None
    return Passage(Zeros(dims.index(zeros.axis), zeros.rows, zeros.size))


def reduce(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros stay zero; axes before theirs may disappear."""
    dims = vertex.attributes.get("dims")
    if not isinstance(dims, tuple) or not dims or zeros.axis in dims:
        return None
    before = (
        0 if vertex.attributes.get("keepdim") else sum(1 for d in dims if d is not None and d < zeros.axis)
    )
    return Passage(Zeros(zeros.axis - before, zeros.rows, zeros.size))


def transpose(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Zeros move with their axis."""
    first, second = vertex.attributes.get("dim0"), vertex.attributes.get("dim1")
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    axis = {first: second, second: first}.get(zeros.axis, zeros.axis)
    return Passage(Zeros(axis, zeros.rows, zeros.size))


def pixel_shuffle(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Blocks of neighbouring channels become one."""
    if len(shape) != 4 or zeros.axis != 1:
        return None
    block = zeros.size // vertex.shape[1]
    gone = tuple(dict.fromkeys(row // block for row in zeros.rows))
    return Passage(Zeros(1, gone, vertex.shape[1])) if len(gone) * block == len(zeros.rows) else None


def pixel_unshuffle(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A channel becomes a block of neighbouring ones."""
    if len(shape) != 4 or zeros.axis != 1:
        return None
    return Passage(Zeros(1, zeros.spread(vertex.shape[1] // zeros.size), vertex.shape[1]))


def split(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """Pieces along another axis, or pieces that stay as long as one another."""
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int):
        return None
    if dim != zeros.axis:
        return Passage(zeros)
    pieces = _pieces(vertex, zeros)
    if not pieces:
        return None
    left = [length - len(rows) for rows, length in pieces]
    total = zeros.size - len(zeros.rows)
    step = -(-total // len(left)) if vertex.operator == "chunk" else left[0]
    if [min(step, total - place) for place in range(0, total, step or 1)] != left:
        return None
    return Passage(zeros, retyped={"split_size": step} if vertex.operator == "split" else {})


def window(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...]) -> Passage | None:
    """A run of neighbours (`slice`): it starts and ends at other live ones; along another axis zeros stay."""
    dim, start, end, step = (vertex.attributes.get(key) for key in ("dim", "start", "end", "step"))
    if dim != zeros.axis:
        return Passage(zeros)
    first, last = (
        _from_front(bound, zeros.size) for bound in (start or 0, zeros.size if end is None else end)
    )
    gone = tuple(row - first for row in zeros.rows if first <= row < last)
    if step not in (None, 1) or len(gone) == last - first:
        return None
    live = [sum(row < bound for row in zeros.rows) for bound in (first, last)]
    after = Zeros(zeros.axis, gone, last - first) if gone else None
    return Passage(after, retyped={"slice_start": first - live[0], "slice_end": last - live[1]})


def _from_front(bound: Attribute, size: int) -> int:
    assert isinstance(bound, int)
    return min(max(bound + size if bound < 0 else bound, 0), size)


def _pieces(vertex: Vertex, zeros: Zeros) -> list[tuple[tuple[int, ...], int]]:
    """Zero rows and length of each piece along the axis of the zeros; none where that is not known."""
    count, step = vertex.attributes.get("chunks"), vertex.attributes.get("split_size")
    if vertex.operator == "chunk" and isinstance(count, int):
        step = -(-zeros.size // count)
    if not isinstance(step, int) or step < 1 or vertex.operator not in ("chunk", "split"):
        return []
    return [
        (
            tuple(row - start for row in zeros.rows if start <= row < start + step),
            min(step, zeros.size - start),
        )
        for start in range(0, zeros.size, step)
    ]


def part(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...], source: Vertex | None) -> Passage | None:
    """One piece of what was split."""
    index = vertex.attributes.get("index")
    if source is None or source.operator not in ("chunk", "split", "unbind") or not isinstance(index, int):
        return None
    dim = source.attributes.get("dim")
    if not isinstance(dim, int):
        return None
    if dim != zeros.axis:
        shift = source.operator == "unbind" and dim < zeros.axis
        return Passage(Zeros(zeros.axis - shift, zeros.rows, zeros.size))
    pieces = _pieces(source, zeros)
    if not -len(pieces) <= index < len(pieces):
        return None
    rows, length = pieces[index]
    return Passage(Zeros(zeros.axis, rows, length) if rows else None)
