"""Operators that move values: what becomes of the indices along one axis of their operand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import gcd, prod
from typing import TYPE_CHECKING

from nasviz.graph.operators.rules import AxisMap, Move, Shape

if TYPE_CHECKING:
    from nasviz.graph.operators.zeros import Zeros
    from nasviz.graph.trace_graph import Vertex

__all__ = [
    "LONGEST",
    "AxisGroup",
    "Copied",
    "Cut",
    "Dropped",
    "Local",
    "PixelShuffled",
    "Repeated",
    "Reshaped",
    "Shuffled",
    "Turned",
    "Window",
    "aligned",
    "copied",
    "cut",
    "expanded",
    "local",
    "padded",
    "piece",
    "piece_index",
    "pixel_shuffled",
    "reduced",
    "repeated",
    "reshaped",
    "selected",
    "shuffled",
    "sources_of",
    "turned",
    "window",
]

LONGEST = 1 << 22
"""A group of more numbers than this is not followed: its indices are listed one by one."""
_LONGEST_KEPT = 1 << 16
"""Maps of longer groups are made again each time, rather than kept in memory."""


@dataclass(frozen=True, slots=True)
class AxisGroup:
    """Neighbouring axes before and after a reshape that hold the same numbers in the same order."""

    size: int
    """Length of the axis that is followed."""
    stride: int
    """Numbers from one index along it to the next."""
    length: int
    """Numbers in the group."""
    after: dict[int, tuple[int, int]]
    """Size and stride of each axis after the reshape; the batch is none of them."""


def sources_of(group: AxisGroup, axis: int) -> tuple[tuple[int, ...], ...]:
    """Return for each index along `axis`, after the reshape, the indices of the followed axis that it meets.

    Examples:
        >>> group = aligned(1, (-1, 4), (-1, 2, 2))
        >>> sources_of(group, 1), sources_of(group, 2)
        (((0, 1), (2, 3)), ((0, 2), (1, 3)))
        >>> sources_of(aligned(1, (-1, 3, 2, 2), (-1, 12)), 1)[4:9]
        ((1,), (1,), (1,), (1,), (2,))
    """
    size, stride = group.after[axis]
    made = _sources.__wrapped__ if group.length > _LONGEST_KEPT else _sources
    return made(group.size, group.stride, size, stride, group.length)


@lru_cache(maxsize=256)
def _sources(
    size: int, stride: int, after_size: int, after_stride: int, length: int
) -> tuple[tuple[int, ...], ...]:
    step = gcd(stride, after_stride)  # both axes are constant along that many numbers
    stride, after_stride = stride // step, after_stride // step
    found: list[dict[int, None]] = [{} for _ in range(after_size)]
    for n in range(length // step):
        found[n // after_stride % after_size][n // stride % size] = None
    return tuple(tuple(indices) for indices in found)


def aligned(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> AxisGroup | None:
    """The smallest group that holds `axis`; `None` where there is none."""
    left, right = len(before) - 1, len(after) - 1
    while left >= 0 and right >= 0:
        old, new = [left], [right]
        ours, theirs = before[left], after[right]
        while ours != theirs and min(ours, theirs) > 0:
            axes, shape = (old, before) if ours < theirs else (new, after)
            if axes[-1] == 0:
                return None
            if shape[axes[-1] - 1] < 1:  # the batch: it takes in, or hands out, the front of the group
                return _group(axis, before, after, old, new, max(ours, theirs), min(ours, theirs))
            axes.append(axes[-1] - 1)
            ours, theirs = prod(before[i] for i in old), prod(after[i] for i in new)
        if ours != theirs:
            return None
        if axis in old:
            return _group(axis, before, after, old, new, ours, ours)
        left, right = old[-1] - 1, new[-1] - 1
    return None


def _group(
    axis: int,
    before: tuple[int, ...],
    after: tuple[int, ...],
    old: list[int],
    new: list[int],
    length: int,
    shorter: int,
) -> AxisGroup | None:
    if axis not in old or shorter < 1 or length % shorter:
        return None
    sizes = {i: (after[i], prod(after[k] for k in new if k > i)) for i in reversed(new)}
    return AxisGroup(before[axis], prod(before[i] for i in old if i > axis), length, sizes)


Literals = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class _Move:
    """A move whose call stays as it is when channels are cut."""

    name: str
    """The call, in reasons."""

    def literals(self, before: Zeros, after: Zeros | None) -> Literals | None:
        """See `Move`."""
        return {}


@dataclass(frozen=True, slots=True)
class Copied(_Move):
    """The same values."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        return (AxisMap(axis),)


def copied(vertex: Vertex, shape: Shape) -> Copied:
    """Return the move of a `clone`, `contiguous` and the like."""
    return Copied(vertex.name)


@dataclass(frozen=True, slots=True)
class Local(_Move):
    """Values change places, or are copied, along some axes; along others each index stays."""

    axes: frozenset[int]
    why: str

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        return self.why if axis in self.axes else (AxisMap(axis),)


def local(vertex: Vertex, shape: Shape) -> Local | str:
    """Return the move of a `roll` or `flip`."""
    dims = _dims(vertex)
    # Without axes, all of them are rolled as one.
    return Local(vertex.name, frozenset(dims), f"{vertex.name} moves them along their axis") if dims else ""


def padded(vertex: Vertex, shape: Shape) -> Local | str:
    """Return the move of a `pad`."""
    widths = vertex.attributes.get("pad")
    if not isinstance(widths, tuple):
        return f"{vertex.name} pads their axis"
    rank = len(vertex.shape)
    # Widths are listed from the last axis on.
    axes = frozenset(axis for axis in range(rank) if any(widths[2 * (rank - 1 - axis) :][:2]))
    return Local(vertex.name, axes, f"{vertex.name} pads their axis")


@dataclass(frozen=True, slots=True)
class Turned(_Move):
    """Axes in another order."""

    order: tuple[int | None, ...]

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        return (AxisMap(self.order.index(axis)),) if axis in self.order else ""


def turned(vertex: Vertex, shape: Shape) -> Turned | str:
    """Return the move of a `permute` or `transpose`."""
    dims = vertex.attributes.get("dims")
    if isinstance(dims, tuple):
        return Turned(vertex.name, dims)
    if vertex.operator in ("t", "numpy_T"):
        return Turned(vertex.name, tuple(reversed(range(len(shape)))))
    is_last = vertex.operator == "mT"
    first, second = (-2, -1) if is_last else (vertex.attributes.get(name) for name in ("dim0", "dim1"))
    if not isinstance(first, int) or not isinstance(second, int):
        return ""
    swap = {first % len(shape): second % len(shape), second % len(shape): first % len(shape)}
    return Turned(vertex.name, tuple(swap.get(axis, axis) for axis in range(len(shape))))


@dataclass(frozen=True, slots=True)
class Reshaped(_Move):
    """The same values in the same order under another shape."""

    shape: Shape
    has_sizes: bool = False
    """Whether the call lists the sizes."""
    squeezes: bool = False
    """Whether an axis of length one disappears."""
    start: int | None = None
    """First of the axes that a `flatten` merges."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        return self.split_maps(axis, shape, 1)

    def split_maps(self, axis: int, shape: Shape, period: int) -> Sequence[AxisMap] | str:
        """Return the maps of an axis; one that holds the batch may hold `period` indices within it.

        Examples:
            >>> Reshaped("view", (-1, 5, 2)).split_maps(1, (-1, 3, 5, 2), 1)[0].axis
            0
            >>> Reshaped("view", (-1, 3, 5, 2)).split_maps(0, (-1, 5, 2), 3)[0].axis
            1
        """
        if shape[axis] < 1:
            shape, axis = (*shape[: axis + 1], period, *shape[axis + 1 :]), axis + 1
        after, batch = self.shape, -1
        if shape.count(-1) == after.count(-1) == 1:
            # What the batch of the result holds besides the batch follows from the other sizes.
            inside, rest = divmod(-prod(shape), max(-prod(after), 1))
            if inside > 1 and not rest:
                batch = after.index(-1)
                after = (*after[: batch + 1], inside, *after[batch + 1 :])
        group = aligned(axis, shape, after)
        if group is None or group.length > LONGEST:
            return f"{self.name} mixes their axis with one that is not known"
        whole = (group.size, group.stride) if group.length == group.size * group.stride else None
        found = tuple(
            AxisMap(
                place - (place > batch >= 0),
                None if spread == whole and place != batch + 1 else sources_of(group, place),
            )
            for place, spread in group.after.items()
        )
        return found or f"{self.name} leaves no axis for them"

    def period_before(self, shape: Shape) -> int:
        """Return how many indices the batch of an operand holds besides the batch."""
        if shape.count(-1) != 1 or self.shape.count(-1) != 1:
            return 1
        period, rest = divmod(-prod(self.shape), max(-prod(shape), 1))
        return 1 if rest else max(period, 1)

    def literals(self, before: Zeros, after: Zeros | None) -> Literals | None:
        """See `Move`."""
        if self.squeezes and before.size - len(before.rows) == 1:
            return None  # it would squeeze the one channel that is left
        if not self.has_sizes or after is None:
            return {}
        # A size that counts the batch too is left to torch.
        left = after.size - len(after.rows) if self.shape[after.axis] > 0 else -1
        return {f"size:{after.axis}": left}


def reshaped(
    vertex: Vertex, shape: Shape, *, has_sizes: bool = False, squeezes: bool = False, merges: bool = False
) -> Reshaped:
    """Return the move of a `view`, `flatten`, `squeeze` and the like."""
    start = vertex.attributes.get("start_dim") if merges else None
    return Reshaped(
        f"{vertex.name} ({vertex.operator})",
        vertex.shape,
        has_sizes=has_sizes,
        squeezes=squeezes,
        start=start if isinstance(start, int) else None,
    )


@dataclass(frozen=True, slots=True)
class Repeated(_Move):
    """Values that are written several times, one after the other or as a whole."""

    shape: Shape
    spread: Mapping[int, tuple[int, bool]]
    """For each axis that grows: how often, and whether its indices stay neighbours of their copies."""
    has_sizes: bool = False
    """Whether the call lists the sizes."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        after = axis + len(self.shape) - len(shape)
        if axis not in self.spread:
            return (AxisMap(after),)
        count, is_each = self.spread[axis]
        size = shape[axis]
        return (AxisMap(after, tuple((i // count if is_each else i % size,) for i in range(size * count))),)

    def literals(self, before: Zeros, after: Zeros | None) -> Literals | None:
        """See `Move`."""
        if not self.has_sizes or after is None:
            return {}
        return {f"size:{after.axis}": after.size - len(after.rows)}


def expanded(vertex: Vertex, shape: Shape) -> Repeated | str:
    """Return the move of an `expand`."""
    late = vertex.shape[len(vertex.shape) - len(shape) :]
    grown = {axis: (size, True) for axis, size in enumerate(late) if size != shape[axis]}
    if any(size < 1 for size, _ in grown.values()):
        return f"{vertex.name} ({vertex.operator}) spreads them over the batch"
    return Repeated(vertex.name, vertex.shape, grown, has_sizes=vertex.operator == "expand")


def repeated(vertex: Vertex, shape: Shape) -> Repeated | str:
    """Return the move of a `repeat` or `repeat_interleave`."""
    dim, count, counts = (vertex.attributes.get(name) for name in ("dim", "repeats", "counts"))
    if isinstance(dim, int) and isinstance(count, int):
        return Repeated(vertex.name, vertex.shape, {dim: (count, True)})
    if isinstance(counts, tuple):
        late = counts[len(counts) - len(shape) :]
        return Repeated(vertex.name, vertex.shape, {i: (n or 0, False) for i, n in enumerate(late) if n != 1})
    return ""


@dataclass(frozen=True, slots=True)
class Dropped(_Move):
    """Axes that disappear: reduced, or of which one index is selected."""

    axes: tuple[int, ...]
    keepdim: bool
    why: str
    index: int | None = None
    """Which index is selected."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        if axis in self.axes:
            return self.why
        return (AxisMap(axis if self.keepdim else axis - sum(gone < axis for gone in self.axes)),)


def selected(vertex: Vertex, shape: Shape) -> Dropped | str:
    """Return the move of a `select`."""
    dim, index = vertex.attributes.get("dim"), vertex.attributes.get("index")
    why = f"{vertex.name} picks one of them by its place"
    if not isinstance(dim, int):
        return why
    return Dropped(vertex.name, (dim,), False, why, index if isinstance(index, int) else None)


def reduced(vertex: Vertex, shape: Shape) -> Dropped | str:
    """Return the move of a reduction such as `mean`."""
    dims = _dims(vertex)
    why = f"{vertex.name} ({vertex.operator}) reduces over them: one less changes the result"
    return Dropped(vertex.name, dims, bool(vertex.attributes.get("keepdim")), why) if dims else why


@dataclass(frozen=True, slots=True)
class PixelShuffled(_Move):
    """Blocks of neighbouring channels become one channel, or one becomes a block."""

    before: int
    after: int

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        if len(shape) != 4 or axis != 1:
            return ""
        return (AxisMap(1, _blocks(self.before, self.after)),)


def pixel_shuffled(vertex: Vertex, shape: Shape) -> PixelShuffled:
    """Return the move of a `pixel_shuffle` or `pixel_unshuffle`."""
    return PixelShuffled(vertex.name, shape[1], vertex.shape[1])


@dataclass(frozen=True, slots=True)
class Shuffled(_Move):
    """Channels are dealt out in turns; the same place of every group can only go together."""

    groups: int

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        if axis != 1:
            return ""
        length = shape[1] // self.groups
        same = [tuple(place + length * group for group in range(self.groups)) for place in range(length)]
        return (AxisMap(1, tuple(places for places in same for _ in range(self.groups))),)


def shuffled(vertex: Vertex, shape: Shape) -> Shuffled | str:
    """Return the move of a `channel_shuffle`."""
    groups = vertex.attributes.get("groups")
    return Shuffled(vertex.name, groups) if isinstance(groups, int) else ""


@dataclass(frozen=True, slots=True)
class Cut(_Move):
    """An axis in pieces; the value is a list, and stands for all of it."""

    axis: int
    bounds: tuple[tuple[int, int], ...]
    drops: bool
    """Whether the axis disappears in the pieces (`unbind`)."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        return (AxisMap(axis),) if axis != self.axis or self.bounds else ""

    def literals(self, before: Zeros, after: Zeros | None) -> Literals | None:
        """See `Move`."""
        if before.axis != self.axis:
            return {}
        left = [last - first - sum(first <= row < last for row in before.rows) for first, last in self.bounds]
        if not left or min(left) < 1:
            return None
        return {f"piece:{number}": length for number, length in enumerate(left)}

    def piece(self, index: int) -> Piece | str:
        """Return the move to one of the pieces."""
        if self.bounds and not -len(self.bounds) <= index < len(self.bounds):
            return ""
        return Piece(self.name, self.axis, self.bounds[index] if self.bounds else (0, 0), self.drops)


@dataclass(frozen=True, slots=True)
class Piece(_Move):
    """One piece of an axis."""

    axis: int
    bounds: tuple[int, int]
    drops: bool

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        if axis != self.axis:
            return (AxisMap(axis - (self.drops and self.axis < axis)),)
        if self.drops:
            return f"{self.name} picks one of them by its place"
        return (AxisMap(axis, tuple((index,) for index in range(*self.bounds))),)


def cut(vertex: Vertex, shape: Shape, *, drops: bool = False) -> Cut | str:
    """Return the move of a `chunk`, `split` or `unbind`."""
    dim = vertex.attributes.get("dim")
    if not isinstance(dim, int):
        return ""
    return Cut(vertex.name, dim, tuple(_pieces(vertex, shape[dim])), drops)


def piece(vertex: Vertex, whole: Move | str | None) -> Piece | str:
    """Return the move of a `getitem`, from that of the call whose result it takes a piece of."""
    index = vertex.attributes.get("index")
    return whole.piece(index) if isinstance(whole, Cut) and isinstance(index, int) else ""


def piece_index(vertex: Vertex, count: int) -> int | None:
    """Return which of so many pieces a `getitem` takes."""
    index = vertex.attributes.get("index") if vertex.rule.takes_piece else None
    return index if isinstance(index, int) and -count <= index < count else None


@dataclass(frozen=True, slots=True)
class Window(_Move):
    """A run of neighbours along one axis."""

    axis: int
    first: int
    last: int
    step: int | None

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """See `Move`."""
        if axis != self.axis:
            return (AxisMap(axis),)
        if self.step not in (None, 1):
            return f"{self.name} takes every n-th of them"
        return (AxisMap(axis, tuple((index,) for index in range(self.first, self.last))),)

    def literals(self, before: Zeros, after: Zeros | None) -> Literals | None:
        """See `Move`."""
        if before.axis != self.axis:
            return {}
        if after is not None and len(after.rows) == after.size:
            return None  # nothing of it is left
        # It starts and ends at other live channels.
        live = [sum(row < bound for row in before.rows) for bound in (self.first, self.last)]
        return {"slice_start": self.first - live[0], "slice_end": self.last - live[1]}


def window(vertex: Vertex, shape: Shape) -> Window | Local:
    """Return the move of a `slice`."""
    dim, step = vertex.attributes.get("dim"), vertex.attributes.get("step")
    if not isinstance(dim, int):
        return Local(vertex.name, frozenset(), "")
    start, end = vertex.attributes.get("start"), vertex.attributes.get("end")
    size = shape[dim]
    bounds = (start if isinstance(start, int) else 0, end if isinstance(end, int) else size)
    first, last = (min(max(bound + size if bound < 0 else bound, 0), size) for bound in bounds)
    return Window(vertex.name, dim, first, last, step if isinstance(step, int) else None)


def _dims(vertex: Vertex) -> tuple[int, ...]:
    dims = vertex.attributes.get("dims")
    return tuple(dim for dim in dims if dim is not None) if isinstance(dims, tuple) else ()


@lru_cache(maxsize=64)
def _blocks(before: int, after: int) -> tuple[tuple[int, ...], ...]:
    if before >= after:
        block = before // after
        return tuple(tuple(range(row * block, (row + 1) * block)) for row in range(after))
    return tuple((row // (after // before),) for row in range(after))


def _pieces(vertex: Vertex, size: int) -> list[tuple[int, int]]:
    """Return where each piece of an axis starts and ends."""
    sizes, count = vertex.attributes.get("split_sizes"), vertex.attributes.get("chunks")
    if isinstance(sizes, tuple):
        edges = list(accumulate((length or 0 for length in sizes), initial=0))
        return list(pairwise(edges)) if edges[-1] == size else []
    step = -(-size // count) if isinstance(count, int) else vertex.attributes.get("split_size")
    if not isinstance(step, int) or step < 1:
        return []
    return [(start, min(start + step, size)) for start in range(0, size, step)]
