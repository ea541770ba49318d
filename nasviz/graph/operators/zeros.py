"""Follow channels that are zero, or another constant, through a vertex: how construction reads rules.

`bind` ties a call to its rule: which argument is which tensor, and the names of all axes. It makes no
difference how a parameter or buffer reaches an operator: as a member of a module, by itself, or as an
argument of a functional call. The answer (`Passage`) tells which channels of the result are missing and what
is cut from the tensors of the vertex, or is `None`: no rule fits, so the vertex must be given whole values
(always exact). Where an operator makes another number of zero, that constant is carried on, and a linear map
takes it into its bias.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nasviz.graph.operators.computed import Source, silencers, sources, zero_formula
from nasviz.graph.operators.moves import Dropped, Reshaped, piece
from nasviz.graph.operators.rules import (
    INPUTS,
    MEASURED,
    UNKNOWN,
    AxisMap,
    AxisNames,
    Move,
    Role,
    axis_names,
    factors_of,
    terms,
)
from nasviz.graph.operators.values import same
from nasviz.graph.trace_graph import Attribute, Slice, TraceGraph, Vertex

__all__ = [
    "Bound",
    "Fold",
    "Passage",
    "Zeros",
    "bind",
    "concatenated",
    "is_foreign",
    "keeps_axis",
    "maps_of",
    "meet",
    "move_of",
    "no_rule",
    "number_after",
    "others_reading",
    "owner_objection",
    "pass_through",
    "tensors_of",
    "through_maps",
    "value_at_zero",
    "without_outputs",
]


@dataclass(frozen=True, slots=True)
class Zeros:
    """Indices along one axis of a value at which it is exactly zero, or what an operator made of zero."""

    axis: int
    rows: tuple[int, ...]
    size: int
    """Length of the axis in the full network."""
    values: tuple[float, ...] = ()
    """What it is at each of the rows, `nan` for anything; empty where it is zero at all of them."""

    @property
    def is_zero(self) -> bool:
        """Whether all rows are zero."""
        return not self.values

    @property
    def is_known(self) -> bool:
        """Return whether all rows hold numbers; others can only be taken by a product with zero."""
        return not any(map(math.isnan, self.values))

    @property
    def freed(self) -> Zeros:
        """Return the same rows of a value that may be anything."""
        return replace(self, values=(math.nan,) * len(self.rows))

    @property
    def numbers(self) -> dict[int, float]:
        """What the value is at each row."""
        return dict(zip(self.rows, self.values or (0.0,) * len(self.rows), strict=True))

    def holding(self, numbers: Mapping[int, float]) -> Zeros:
        """The same rows with these values.

        Examples:
            >>> Zeros(1, (2, 3), 4).holding({2: 0.0, 3: 0.5}).values
            (0.0, 0.5)
        """
        values = tuple(numbers[row] for row in self.rows)
        return replace(self, values=values if any(values) else ())


@dataclass(frozen=True, slots=True)
class Fold:
    """Columns of a weight that meet a constant: what they make of it goes into the bias."""

    vertex: str
    """The linear map or convolution; it gets a bias where it has none."""
    rows: tuple[int, ...]
    """Columns of its weight, in indices of the full network."""
    values: tuple[float, ...]
    """The constant that each of them meets."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What zero channels do to one vertex."""

    zeros: Zeros | None
    """Those of its output; `None` when the output is whole again."""
    slices: tuple[Slice, ...] = ()
    """Rows to cut from its tensors."""
    entailed: tuple[Slice, ...] = ()
    """Rows that must be zero for the zeros to pass."""
    retyped: dict[str, int | float] = field(default_factory=dict)
    """New attributes of its module, or literals of its call: `size:AXIS` of a reshape, `piece:NUMBER` of a
    split, `slice_start` and `slice_end`, `scale` of attention."""
    kept: tuple[int, int] = (1, 1)
    """Share of its multiply-accumulates that stays, as a fraction."""
    fold: Fold | None = None
    """What goes into its bias."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A call whose tensors and axes are known."""

    vertex: Vertex
    names: AxisNames
    trace: TraceGraph
    tensors: Mapping[str, str]
    """Parameters, buffers and values computed from them by argument."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors, by argument."""
    operands: tuple[str, ...]
    """Arguments that depend on the input."""

    @property
    def made(self) -> str | None:
        """The axis whose indices are made here: of the result and a tensor, but of no operand."""
        taken = {name for operand in self.names.operands for name in operand}
        tied = {self.names.result[tie.axis] for tie in self.names.ties.values()}
        return next(
            (
                name
                for name in self.names.result
                if name and name not in taken | tied and any(name in t for t in self.names.tensors.values())
            ),
            None,
        )

    def holding(self, name: str, size: int) -> Iterator[tuple[str, int]]:
        """Yield the tensors that have an entry for each index of an axis, with their dimension."""
        for argument, shape in self.shapes.items():
            names = self.names.tensors.get(argument, ())
            if name in names and shape[names.index(name)] == size:
                yield argument, names.index(name)

    def holds(self, name: str) -> bool:
        """Return whether some tensor has several entries along an axis."""
        named = ((names, self.shapes[argument]) for argument, names in self.names.tensors.items())
        return any(name in names and shape[names.index(name)] > 1 for names, shape in named)

    def entries(self, name: str, size: int) -> list[tuple[str, Source]] | str:
        """Return the stored rows behind the indices of an axis, by argument, or why they cannot be cut."""
        found: list[tuple[str, Source]] = []
        for argument, dim in self.holding(name, size):
            parts = sources(self.trace, self.tensors[argument], dim)
            if parts is None:
                return f"the weight of {self.vertex.name} is computed from its variables, not one of them"
            zero = silencers(self.trace, self.tensors[argument], dim) or ()
            found += [(argument, replace(part, silences=part.tensor in zero)) for part in parts]
        return found

    def silencing(
        self, name: str, size: int, *, is_fed_zero: bool, is_made: bool = False
    ) -> frozenset[str] | None:
        """Return tensors whose rows must be zero for the result to be zero at an index of an axis.

        `None` where no entries make it zero. Other constants than zero end at a norm only, or where the axis
        is made.
        """
        vertex = self.vertex
        if is_fed_zero and vertex.keeps_zero:
            return frozenset()
        formula = self.formula
        is_closed = is_fed_zero or is_made or (vertex.annihilates and vertex.role is Role.NORM)
        if not is_closed or not isinstance(formula, str) or formula in (INPUTS, MEASURED):
            return None
        held = dict(self.holding(name, size))
        found: set[str] = set()
        for term in terms(formula):
            if is_fed_zero and not set(self.operands).isdisjoint(term):
                continue
            factors = [
                s
                for f in term
                if f in held and (s := silencers(self.trace, self.tensors[f], held[f])) is not None
            ]
            if factors:
                # A parameter can be trained to zero; a buffer is set to zero with the channel.
                found |= min(factors, key=lambda names: not names <= self.trace.parameter_shapes.keys())
            elif len(term) > 1 or term[0] in self.tensors or vertex.attributes.get(term[0]) is not None:
                return None  # an optional argument that is left out adds nothing
        return frozenset(found)

    def is_zero_with(self, places: Collection[int]) -> bool:
        """Return whether the result is zero at an index where these operands are."""
        formula = self.formula
        if not isinstance(formula, str) or formula in (INPUTS, MEASURED):
            return False
        zero = {self.operands[place] for place in places}
        return all(not zero.isdisjoint(term) for term in terms(formula))

    def zeroed(self) -> frozenset[str]:
        """Return the arguments whose entries belong to a channel: the factors of its result."""
        return factors_of(self.formula) if self.formula else frozenset()

    @property
    def formula(self) -> str | None:
        """When its result is zero."""
        return zero_formula(self.vertex.rule, self.tensors, self.operands)

    def settings(self, counts: Mapping[str, int]) -> dict[str, int | float]:
        """Return the settings that count an axis, from the new number of its indices."""
        rule = self.vertex.rule
        sizes = self.names.sizes or {setting: (name, 1) for setting, name in rule.sizes.items()}
        return {
            setting: counts[name] // width
            for setting, (name, width) in sizes.items()
            if name in counts and (self.vertex.module or setting in rule.literals)
        }


def bind(vertex: Vertex, trace: TraceGraph) -> Bound | str:
    """Return a call with the names of its axes, or why there are none."""
    rule = vertex.rule
    if rule.axes is None or (vertex.is_joint and vertex.role is Role.UNKNOWN):
        return no_rule(vertex)
    tensors = tensors_of(vertex)
    if not vertex.module and _is_computed(vertex, tensors):
        return f"there is no rule for {vertex.operator} ({vertex.name}) of values and variables"
    operands = tuple(name for name in rule.arguments if name not in tensors)[: len(vertex.inputs)]
    if len(operands) < len(vertex.inputs):
        return no_rule(vertex)
    shapes = {a: trace.tensor_shapes.get(name, ()) for a, name in tensors.items()}
    given = [trace.shapes[source] for source in vertex.inputs]
    names: AxisNames | str | None
    if isinstance(rule.axes, str):
        ranks = tuple((name, len(shape)) for name, shape in zip(operands, given, strict=True))
        names = axis_names(
            rule.axes,
            rule.arguments,
            ranks,
            tuple((name, len(shape)) for name, shape in shapes.items()),
            len(vertex.shape),
        )
    else:
        names = rule.axes(vertex, given, shapes)
    if names is None:
        return f"there is no rule for {vertex.operator} ({vertex.name}) of operands with so many axes"
    return names if isinstance(names, str) else Bound(vertex, names, trace, tensors, shapes, operands)


def tensors_of(vertex: Vertex) -> Mapping[str, str]:
    """Return parameters, buffers and values computed from them, by argument.

    Graphs of nasviz 0.1 and of `torch.fx` list those of modules and linear maps in order only.
    """
    if vertex.computed:
        return {**vertex.tensors, **vertex.computed}
    if vertex.tensors or not (vertex.module or "in_features" in vertex.attributes):
        return vertex.tensors
    rule = vertex.rule
    found = dict(zip(rule.arguments[1:], vertex.parameters, strict=False))
    for argument in rule.arguments:
        name = next((name for name in vertex.buffers if name.rpartition(".")[2] == argument), None)
        if name is not None:
            found[argument] = name
    return found


def _is_computed(vertex: Vertex, tensors: Mapping[str, str]) -> bool:
    """Return whether an operand is computed of parameters or buffers, unless that is a single number."""
    if vertex.attributes.get("factor_shape") == ():
        return False
    if vertex.attributes.get("computed"):
        return True
    return not vertex.computed and bool({*vertex.parameters, *vertex.buffers} - set(tensors.values()))


def no_rule(vertex: Vertex) -> str:
    """Return that there is no rule for a vertex, and for an operator without any how to give it one."""
    hint = "; nasviz.register_operator can give it one" if is_foreign(vertex) else ""
    return f"there is no rule for {vertex.operator} ({vertex.name}){hint}"


def is_foreign(vertex: Vertex) -> bool:
    """Return whether a vertex calls an operator of another library that was not registered."""
    return "::" in vertex.operator and vertex.rule is UNKNOWN


def owner_objection(vertex: Vertex, trace: TraceGraph) -> str | None:
    """Return why the tensors of a vertex cannot be cut; `None` where they are its own."""
    if vertex.attributes.get("undefined_at_zero"):
        return f"the weight of {vertex.name} is not defined where its variables are zero"
    if vertex.attributes.get("computed_weight") and not vertex.computed:
        return f"the weight of {vertex.name} is computed from its variables, not one of them"
    return None


def others_reading(vertex: Vertex, name: str, trace: TraceGraph) -> tuple[str, ...]:
    """Return the other vertices that read a parameter or buffer."""
    readers = trace.parameter_readers.get(name) or trace.buffer_readers.get(name, ())
    return tuple(v for v in readers if v != vertex.id) if len(readers) > 1 else ()


def _is_shared(vertex: Vertex, trace: TraceGraph) -> bool:
    return any(others_reading(vertex, name, trace) for name in vertex.parameters)


def move_of(vertex: Vertex, trace: TraceGraph) -> Move | str | None:
    """Return how a vertex moves values, or why there is no rule; `None` where it does something else."""
    rule, source = vertex.rule, vertex.inputs[0]
    if rule.takes_piece:
        whole = move_of(trace[source], trace) if source in trace else None
        return piece(vertex, whole)
    if rule.move is None or vertex.is_joint:
        return None
    return rule.move(vertex, trace.shapes[source])


def maps_of(move: Move, axis: int, shape: tuple[int, ...], size: int) -> Sequence[AxisMap] | str:
    """Return the maps of a move for an axis with so many indices, which may lie within that of the batch."""
    if shape[axis] > 0:
        return move.maps(axis, shape)
    if isinstance(move, Reshaped):
        return move.split_maps(axis, shape, size)
    maps = move.maps(axis, shape)
    is_kept = isinstance(maps, str) or all(found.sources is None for found in maps)
    return maps if is_kept else "they lie along the axis of the batch"


def number_after(vertex: Vertex, number: float, shape: tuple[int, ...] = ()) -> float | None:
    """Return what an operator makes of a channel that holds one number; `None` where that is not known.

    Args:
        vertex: Of one operand.
        number: What all of the channel is.
        shape: Of its operand.

    Examples:
        >>> number_after(Vertex("a", "a", "sigmoid", ("x",)), 0.0)
        0.5
        >>> number_after(Vertex("a", "a", "log", ("x",)), 0.0) is None
        True
    """
    value = vertex.rule.value
    if number == 0 and (vertex.keeps_zero or value is same):
        return 0.0
    if value is None or vertex.parameters or vertex.buffers or not vertex.dtype.startswith("float"):
        return None
    if math.isnan(number):
        return number if value is same else None
    given: dict[str, Attribute] = {k: v for k, v in vertex.attributes.items() if v is not None}
    if isinstance(dims := given.get("dims"), tuple) and shape:
        given["lengths"] = tuple(shape[dim] for dim in dims if dim is not None)
    try:
        after = value(number, given)
    except (KeyError, ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None
    return float(after) if isinstance(after, int | float) and math.isfinite(after) else None


def value_at_zero(vertex: Vertex) -> float | None:
    """Return what an activation that is never zero at zero makes of it; `None` for any other operator."""
    is_shifting = vertex.rule.acts_on == "numbers" and vertex.rule.zero is None
    return number_after(vertex, 0.0) if is_shifting else None


def pass_through(vertex: Vertex, zeros: Zeros, trace: TraceGraph) -> Passage | None:
    """Send missing channels of the only operand through a vertex."""
    shape = trace.shapes[vertex.inputs[0]]
    move = move_of(vertex, trace)
    if isinstance(move, str):
        return None
    if move is not None:
        maps = maps_of(move, zeros.axis, shape, zeros.size)
        if isinstance(move, Dropped) and move.index is not None and zeros.axis in move.axes:
            index = move.index % zeros.size
            left = index - sum(row < index for row in zeros.rows)
            return None if index in zeros.rows else Passage(None, retyped={"slice_index": left})
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
    if numbers is None and not zeros.is_known:
        numbers = dict.fromkeys(zeros.rows, math.nan)
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
    return None if numbers is None else through_maps(maps, zeros.holding(numbers))


def through_maps(maps: Sequence[AxisMap], zeros: Zeros) -> Zeros | None:
    """Return what is missing along the first axis where indices are missing as a whole."""
    return next((z for found in maps if (z := _along(found, zeros, zeros.numbers)) is not None), None)


def _along(found: AxisMap, zeros: Zeros, numbers: Mapping[int, float]) -> Zeros | None:
    if found.sources is None:
        return replace(zeros, axis=found.axis).holding(numbers)
    after: dict[int, float] = {}
    for index, places in enumerate(found.sources):
        met = [numbers[place] for place in places if place in numbers]
        if met and len(met) < len(places):
            return None
        if any(map(math.isnan, met)):
            after[index] = math.nan
        elif len(set(met)) > 1:
            return None
        elif met:
            after[index] = met[0]
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
    if after is None or vertex.shape[after.axis] not in (after.size, -1):
        return None
    held = bound.entries(through, after.size)
    mine = bound.entries(name, zeros.size) if tie is not None else []
    silencing = bound.silencing(through, after.size, is_fed_zero=zeros.is_zero)
    is_free = silencing is None and tie is None and name[0] == "~"
    if is_free:  # each index is computed by itself, whatever it comes to
        silencing, after = frozenset(), after.freed
    if silencing is None or isinstance(held, str) or isinstance(mine, str):
        return None
    if (held or mine) and owner_objection(vertex, trace):
        return None
    if not silencing <= {source.tensor for _, source in held}:
        return None
    slices = [*_slices(vertex, held, after.rows), *_slices(vertex, mine, zeros.rows)]
    counts = {name: left, through: after.size - len(after.rows)} if held or names.sizes else {}
    return Passage(
        after if is_free else replace(after, values=()),
        tuple(slices),
        tuple(piece for piece in slices if piece.tensor in silencing),
        bound.settings(counts),
        (left, zeros.size) if vertex.rule.macs else (1, 1),
    )


def _slices(vertex: Vertex, held: list[tuple[str, Source]], indices: tuple[int, ...]) -> list[Slice]:
    found = [Slice(s.tensor, s.dim, s.rows(indices), vertex.id) for _, s in held]
    return [piece for piece in found if piece.rows]


def _contracted(bound: Bound, zeros: Zeros, name: str, trace: TraceGraph) -> Passage | None:
    """Sum over the channels that are left: columns go, the result is whole; constants go to the bias."""
    vertex, folds = bound.vertex, bound.vertex.rule.folds
    held = bound.entries(name, zeros.size)
    if not held or isinstance(held, str) or owner_objection(vertex, trace):
        return None
    is_folded = bool(folds and folds(vertex)) and zeros.is_known and not _is_shared(vertex, trace)
    if not zeros.is_zero and not is_folded:
        return None
    left = zeros.size - len(zeros.rows)
    return Passage(
        None,
        tuple(_slices(vertex, held, zeros.rows)),
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
    held = bound.entries(made, size)
    assert not isinstance(held, str)
    cut = _slices(vertex, held, rows)
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
    bound = bind(vertex, trace)
    if not isinstance(bound, Bound):
        return None
    names, shapes = bound.names, [trace.shapes[source] for source in vertex.inputs]
    places: dict[str, list[int]] = {}
    met = list(operands)
    for place, zeros in enumerate(operands):
        if zeros is None or place in gone:
            continue
        name = names.operands[place][zeros.axis]
        if (tie := names.ties.get(name)) is not None:
            met[place] = _along(tie, zeros, zeros.numbers)
            if met[place] is None:
                return None
            name = names.result[tie.axis]
        places.setdefault(name, []).append(place)
    after: Zeros | None = None
    slices: list[Slice] = []
    retyped: dict[str, int | float] = {}
    for name, missing in places.items():
        if not name or name[0].isupper():
            return None
        found = [zeros for place in missing if (zeros := met[place]) is not None]
        first = found[0]
        if any((z.rows, z.size) != (first.rows, first.size) for z in found):
            return None
        others = [place for place in range(len(operands)) if place not in missing and place not in gone]
        if name in names.result:
            axis = names.result.index(name)
            is_tied = any(names.result[tie.axis] == name for tie in names.ties.values())
            if (
                after is not None
                or (first.size != vertex.shape[axis] and vertex.shape[axis] > 0)
                or (is_tied and others)
                or not _is_narrow(names.operands, shapes, others, name)
                or isinstance(held := bound.entries(name, first.size), str)
            ):
                return None
            numbers = _combined(bound, met, missing, others)
            after, slices = replace(first, axis=axis).holding(numbers), _slices(vertex, held, first.rows)
        else:
            has_all = all(name in names.operands[place] for place in missing) and not any(
                name in names.operands[place] for place in others
            )
            # What is missing in both adds nothing to a sum of their products.
            if not has_all or bound.holds(name) or any(_product(found, row) for row in first.rows):
                return None
            retyped |= vertex.rule.on_sum(vertex, first.size) if vertex.rule.on_sum else {}
    return Passage(after, tuple(slices), retyped=retyped)


def _is_narrow(
    names: Sequence[tuple[str, ...]], shapes: Sequence[tuple[int, ...]], places: Sequence[int], name: str
) -> bool:
    """Return whether operands have one entry for all indices of an axis, or none."""
    return all(name not in names[place] or shapes[place][names[place].index(name)] == 1 for place in places)


def _product(found: Sequence[Zeros], row: int) -> float:
    numbers = [zeros.numbers[row] for zeros in found]
    return math.prod(numbers) if all(numbers) else 0.0


def _combined(
    bound: Bound, operands: Sequence[Zeros | None], missing: Sequence[int], others: Sequence[int]
) -> dict[int, float]:
    """Return what a joint makes of the numbers at each missing index, `nan` where that is not known.

    Args:
        bound: The joint.
        operands: What is missing in each.
        missing: Places of operands in which it is missing along this axis.
        others: Places of other operands that are not erased.
    """
    vertex, combine = bound.vertex, bound.vertex.rule.combine
    gone = [i for i in range(len(operands)) if i not in missing and i not in others]  # erased ones are zero
    known = {i: zeros.numbers for i in missing if (zeros := operands[i]) is not None}
    found: dict[int, float] = {}
    for row in next(iter(known.values())):
        numbers = [known[i][row] if i in known else 0.0 for i in range(len(operands))]
        if bound.is_zero_with([*gone, *(i for i in known if numbers[i] == 0)]):
            found[row] = 0.0
        elif others or combine is None or not isinstance(vertex.attributes.get("alpha", 1), int | float):
            found[row] = math.nan
        else:
            found[row] = combine(numbers, vertex.attributes)
    return found


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
