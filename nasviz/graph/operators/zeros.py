"""Follow channels that are zero, or another constant, through a vertex: how construction reads rules.

The answer tells which channels of the result are missing and what is cut from the tensors of the vertex, or
is `None`: no rule fits, so the vertex must be given whole values (always exact). Where an operator makes
another number of zero, that constant is carried on, and a linear map takes it into its bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nasviz.graph.operators.binding import Bound, bind, move_of, number_after, owner_objection
from nasviz.graph.operators.propagation import Fold, Passage, Zeros
from nasviz.graph.operators.rules import AxisMap, Role
from nasviz.graph.trace_graph import Slice, TraceGraph, Vertex

__all__ = ["concatenated", "keeps_axis", "meet", "pass_through", "without_outputs"]


def pass_through(vertex: Vertex, zeros: Zeros, trace: TraceGraph) -> Passage | None:
    """Send missing channels of the only operand through a vertex."""
    shape = trace.shapes[vertex.inputs[0]]
    move = move_of(vertex, trace)
    if isinstance(move, str):
        return None
    if move is not None:
        maps = move.maps(zeros.axis, shape)
        after = None if isinstance(maps, str) else _mapped(vertex, zeros, shape, maps)
        if after is None:
            return None
        literals = move.literals(zeros, after)
        return None if literals is None else Passage(after if after.rows else None, retyped=literals)
    rule = vertex.rule
    if rule.axes is not None and (not rule.acts_on or vertex.parameters or vertex.buffers):
        bound = bind(vertex, trace)
        return None if isinstance(bound, str) else _through_tensors(bound, zeros, trace)
    if not rule.acts_on or not keeps_axis(vertex, zeros.axis, shape):
        return None
    numbers = _numbers(vertex, zeros.numbers, shape)
    return None if numbers is None else Passage(zeros.holding(numbers))


def keeps_axis(vertex: Vertex, axis: int, shape: tuple[int, ...]) -> bool:
    """Return whether an operator that acts on numbers or channels has them along this axis of its operand."""
    if len(shape) != len(vertex.shape) or vertex.shape[axis] != shape[axis]:
        return False
    return axis == 1 or vertex.rule.acts_on != "channels"


def _numbers(vertex: Vertex, numbers: Mapping[int, float], shape: tuple[int, ...]) -> dict[int, float] | None:
    """Return what an operator makes of the number at each index; `None` where one is not known."""
    made = {number: number_after(vertex, number, shape) for number in set(numbers.values())}
    found = {index: value for index, number in numbers.items() if (value := made[number]) is not None}
    return found if len(found) == len(numbers) else None


def _mapped(vertex: Vertex, zeros: Zeros, shape: tuple[int, ...], maps: Sequence[AxisMap]) -> Zeros | None:
    """Return what is missing behind a move: along the first axis where indices are missing as a whole."""
    numbers = _numbers(vertex, zeros.numbers, shape)
    if numbers is None:
        return None
    return next((z for found in maps if (z := _along(found, zeros, numbers)) is not None), None)


def _along(found: AxisMap, zeros: Zeros, numbers: Mapping[int, float]) -> Zeros | None:
    if found.sources is None:
        return replace(zeros, axis=found.axis).holding(numbers)
    after: dict[int, float] = {}
    for index, sources in enumerate(found.sources):
        met = {numbers.get(source) for source in sources}
        if len(met) > 1:
            return None
        if (number := met.pop()) is not None:
            after[index] = number
    return Zeros(found.axis, tuple(after), len(found.sources)).holding(after)


def _through_tensors(bound: Bound, zeros: Zeros, trace: TraceGraph) -> Passage | None:
    """Cut the entries of tensors that belong to missing channels."""
    vertex, names = bound.vertex, bound.names
    name = names.operands[0][zeros.axis]
    if not name or name[0].isupper():
        return None
    left = zeros.size - len(zeros.rows)
    tie = names.ties.get(name)
    if tie is None and name not in names.result:
        return _contracted(bound, zeros, name, trace)
    if tie is not None:
        if not zeros.is_zero:
            return None
        after, through = _along(tie, zeros, zeros.numbers), names.result[tie.axis]
    else:
        after, through = replace(zeros, axis=names.result.index(name)), name
    if after is None or vertex.shape[after.axis] != after.size:
        return None
    held = dict(bound.holding(through, after.size))
    silencing = bound.silencing(through, after.size, is_fed_zero=zeros.is_zero)
    if silencing is None or (held and owner_objection(vertex, trace)):
        return None
    slices = {a: Slice(bound.tensors[a], dim, after.rows, vertex.id) for a, dim in held.items()}
    counts = {name: left, through: after.size - len(after.rows)} if held else {}
    return Passage(
        replace(after, values=()),
        tuple(slices.values()),
        tuple(slices[argument] for argument in silencing),
        bound.settings(counts),
        (left, zeros.size) if vertex.rule.macs and vertex.rule.weight in held else (1, 1),
    )


def _contracted(bound: Bound, zeros: Zeros, name: str, trace: TraceGraph) -> Passage | None:
    """Sum over the channels that are left: columns go, the result is whole; constants go to the bias."""
    vertex, folds = bound.vertex, bound.vertex.rule.folds
    held = dict(bound.holding(name, zeros.size))
    if not held or owner_objection(vertex, trace):
        return None
    if not zeros.is_zero and not (folds and folds(vertex)):
        return None
    left = zeros.size - len(zeros.rows)
    return Passage(
        None,
        tuple(Slice(bound.tensors[a], dim, zeros.rows, vertex.id) for a, dim in held.items()),
        retyped=bound.settings({name: left}),
        kept=(left, zeros.size),
        fold=None if zeros.is_zero else Fold(vertex.id, zeros.rows, zeros.values),
    )


def without_outputs(
    vertex: Vertex, rows: tuple[int, ...], passage: Passage | None, trace: TraceGraph
) -> Passage:
    """Return what becomes of a linear map or convolution that makes some of its channels no more.

    Args:
        vertex: Not in groups; its tensors are read by no other.
        rows: The channels.
        passage: What channels that are missing in its operand do to it.
        trace: The graph.
    """
    bound = bind(vertex, trace)
    assert isinstance(bound, Bound)
    made = bound.made
    assert made is not None
    axis = bound.names.result.index(made)
    size = vertex.shape[axis]
    cut = tuple(Slice(bound.tensors[a], dim, rows, vertex.id) for a, dim in bound.holding(made, size))
    before = passage or Passage(None)
    left = size - len(rows)
    numerator, denominator = before.kept
    return Passage(
        Zeros(axis, rows, size),
        (*before.slices, *cut),
        before.entailed,
        before.retyped | bound.settings({made: left}),
        (numerator * left, denominator * size),
        before.fold,
    )


def meet(
    vertex: Vertex, operands: Sequence[Zeros | None], trace: TraceGraph, gone: Sequence[int] = ()
) -> Passage | None:
    """Return what is missing in a sum or product of values; `None` where there is no rule.

    Args:
        vertex: A joint, no concatenation.
        operands: What is missing in each.
        trace: The graph.
        gone: Places of operands that are erased; they are zero.
    """
    bound = None if vertex.parameters or vertex.buffers else bind(vertex, trace)
    if not isinstance(bound, Bound):
        return None
    names, shapes = bound.names, [trace.shapes[source] for source in vertex.inputs]
    places: dict[str, list[int]] = {}
    for place, zeros in enumerate(operands):
        if zeros is not None and place not in gone:
            places.setdefault(names.operands[place][zeros.axis], []).append(place)
    after: Zeros | None = None
    retyped: dict[str, int | float] = {}
    for name, missing in places.items():
        if not name or name[0].isupper():
            return None
        found = [zeros for place in missing if (zeros := operands[place]) is not None]
        first = found[0]
        if any((z.rows, z.size) != (first.rows, first.size) for z in found):
            return None
        others = [place for place in range(len(operands)) if place not in missing and place not in gone]
        if name in names.result:
            axis = names.result.index(name)
            if (
                after is not None
                or first.size != vertex.shape[axis]
                or not _is_narrow(names.operands, shapes, others, name)
            ):
                return None
            numbers = _combined(vertex, operands, missing, others)
            if numbers is None:
                return None
            after = replace(first, axis=axis).holding(numbers)
        else:
            has_all = all(name in names.operands[place] for place in missing) and not any(
                name in names.operands[place] for place in others
            )
            # What is missing in both adds nothing to a sum of their products.
            if not has_all or any(_product(found, row) for row in first.rows):
                return None
            retyped |= vertex.rule.on_sum(vertex, first.size) if vertex.rule.on_sum else {}
    return Passage(after, retyped=retyped)


def _is_narrow(
    names: Sequence[tuple[str, ...]], shapes: Sequence[tuple[int, ...]], places: Sequence[int], name: str
) -> bool:
    """Return whether operands have one entry for all indices of an axis, or none."""
    return all(name not in names[place] or shapes[place][names[place].index(name)] == 1 for place in places)


def _product(found: Sequence[Zeros], row: int) -> float:
    product = 1.0
    for zeros in found:
        product *= zeros.numbers[row]
    return product


def _combined(
    vertex: Vertex, operands: Sequence[Zeros | None], missing: Sequence[int], others: Sequence[int]
) -> dict[int, float] | None:
    """Return what a joint makes of the numbers at each missing index; `None` where that is not known."""
    known = [
        zeros.numbers if zeros is not None and i in missing else None for i, zeros in enumerate(operands)
    ]
    found = [numbers for numbers in known if numbers is not None]
    rows = found[0]
    is_zero = {row: [numbers[row] == 0 for numbers in found] for row in rows}
    if vertex.role is Role.ADDITIVE:
        if others:
            return None
        if all(map(all, is_zero.values())):
            return dict.fromkeys(rows, 0.0)
    elif others or vertex.rule.combine is None:
        return dict.fromkeys(rows, 0.0) if all(map(any, is_zero.values())) else None
    combine = vertex.rule.combine
    if combine is None or not isinstance(vertex.attributes.get("alpha", 1), int | float):
        return None
    # An operand that is erased is zero.
    return {
        row: combine([n[row] if n is not None else 0.0 for n in known], vertex.attributes) for row in rows
    }


def concatenated(parts: list[tuple[Zeros | None, int, bool]], axis: int) -> Zeros | None:
    """Return what is missing in a concatenation, from the zeros and width of each operand, or its erasure."""
    numbers: dict[int, float] = {}
    offset = 0
    for zeros, width, is_erased in parts:
        if is_erased:
            numbers |= dict.fromkeys(range(offset, offset + width), 0.0)
        elif zeros is not None:
            numbers |= {offset + row: number for row, number in zeros.numbers.items()}
        offset += width
    return Zeros(axis, tuple(numbers), offset).holding(numbers) if numbers else None
