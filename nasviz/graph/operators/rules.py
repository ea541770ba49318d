"""Operator rules: all that nasviz knows about an operator, in one declaration.

A rule tells what an operator is in a dependency graph, when its result is zero, how the axes of its operands
map to those of its result, and what becomes of a channel that holds one number. Following zeros
(construction) and following labels (channel groups) interpret the same rules. An operator without a rule is
legal: nothing is assumed about it, and construction feeds it whole values, which is always exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nasviz.graph.operators.zeros import Zeros
    from nasviz.graph.trace_graph import Vertex

__all__ = [
    "BUFFER",
    "INPUT",
    "INPUTS",
    "KEEPS",
    "MEASURED",
    "NOTHING",
    "OTHER",
    "PARAMETER",
    "UNKNOWN",
    "ZERO",
    "AxisMap",
    "AxisNames",
    "Behaviour",
    "Move",
    "OperatorRule",
    "Role",
    "addcmul",
    "apart",
    "attention",
    "axis_names",
    "broadcast",
    "convolution",
    "einsum",
    "factors_of",
    "group_norm",
    "linear",
    "product_at_zero",
    "quotient",
    "sum_at_zero",
    "terms",
]

Shape = tuple[int, ...]
INPUTS = "inputs"
"""Formula of an operator whose result is zero where all that it reads is zero."""
MEASURED = "measured"
"""Formula of an operator that is evaluated at zero when a network is traced: its literals decide."""


class Role(StrEnum):
    """What an operator is in a dependency graph; the joints only where two operands depend on the input."""

    STEM = "stem"
    """Mixes channels with its own weights: it can change their number."""
    NORM = "norm"
    """Normalises, then scales and shifts each channel."""
    ACCESSORY = "accessory"
    """Acts on each channel by itself."""
    SHAPE = "shape"
    """Moves values without changing them."""
    ADDITIVE = "additive"
    """A joint where a zero operand is neutral."""
    CONCATENATING = "concatenating"
    """A joint that puts its operands side by side."""
    MULTIPLICATIVE = "multiplicative"
    """A joint where a zero operand annihilates, or that feeds a softmax."""
    SELECTING = "selecting"
    """A joint that picks among values: no general rule."""
    UNKNOWN = "unknown"
    """No rule."""


@dataclass(frozen=True, slots=True)
class AxisMap:
    """Where the indices along one axis of an operand are in the result."""

    axis: int
    """Axis of the result."""
    sources: tuple[tuple[int, ...], ...] | None = None
    """For each index along it the indices of the operand that can only be cut together with it; `None` where
    each index keeps its place."""


class Move(Protocol):
    """One call of an operator that moves values about, with its literals resolved."""

    def maps(self, axis: int, shape: Shape) -> Sequence[AxisMap] | str:
        """Return the maps that an axis may take, the preferred one first, or why there is none."""

    def literals(self, before: Zeros, after: Zeros | None) -> dict[str, int | float] | None:
        """Return the new literals of a call on fewer channels; `None` where it cannot run on them."""


@dataclass(frozen=True, slots=True)
class AxisNames:
    """Names of the axes of operands, tensors and result; axes of one name correspond index by index.

    A name that is missing in the result is summed over. An empty name stands for an axis of its own.
    """

    operands: tuple[tuple[str, ...], ...]
    tensors: Mapping[str, tuple[str, ...]]
    """By argument."""
    result: tuple[str, ...]
    ties: Mapping[str, AxisMap] = field(default_factory=dict)
    """For a name of an operand: the axis of the result whose indices go together with its own."""
    sizes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Settings that count an axis: its name, and how many of its indices make one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRule:
    """What is known of one operator; every part that is left out is not known."""

    role: Role = Role.UNKNOWN
    arguments: tuple[str, ...] = ()
    """Names of its tensor arguments, in the order of its schema."""
    zero: str | Callable[[Mapping[str, Any]], str] | None = None
    """When its result is zero: a sum of products of its arguments, such as `input * weight + bias`, `INPUTS`,
    or `MEASURED`; a function makes the formula from the arguments of the call."""
    axes: str | Callable[[Vertex, Sequence[Shape], Mapping[str, Shape]], AxisNames | str] | None = None
    """How the axes of its arguments correspond, such as `... i, o i, o -> ... o`; a function says so, or why
    there is no rule, from the shapes of operands and tensors."""
    move: Callable[[Vertex, Shape], Move | str] | None = None
    """For an operator of one operand that moves values: the move, or why there is no rule."""
    acts_on: str = ""
    """`numbers`: acts on each number by itself; `channels`: acts on each index of axis 1 by itself."""
    value: Callable[[float, Mapping[str, Any]], float | None] | None = None
    """What it makes of a channel that holds one number, from its literals."""
    combine: Callable[[Sequence[float], Mapping[str, Any]], float] | None = None
    """What it makes of one number from each operand."""
    sizes: Mapping[str, str] = field(default_factory=dict)
    """Settings of its module, or arguments of the call, that count the indices of a named axis."""
    literals: frozenset[str] = frozenset()
    """Those of `sizes` that are arguments of a call."""
    takes_piece: bool = False
    """Whether it takes one piece of what its operand was cut into."""
    weight: str = "weight"
    """The argument that multiplies its input."""
    macs: Callable[[Shape, Shape, Shape], int] | None = None
    """Multiply-accumulates, from the shapes of result, input and weight."""
    folds: Callable[[Vertex], bool] | None = None
    """Whether the bias of a call can stand for channels that hold one number."""
    on_sum: Callable[[Vertex, int], dict[str, int | float]] | None = None
    """New literals of a call that sums over fewer indices, from how many there were."""
    channel_axis: int | None = None
    """Where its result has its channels; `None` where its operand has them."""
    keeps_channels: str = ""
    """Why no single channel can be cut in front of it, in words with its `{name}`."""
    keeps_operands: str = ""
    """Why its operands cannot be erased, in words with its `{name}`."""

    @property
    def is_product(self) -> bool:
        """Whether one operand at zero makes its result zero."""
        return isinstance(self.zero, str) and "+" not in self.zero and "*" in self.zero

    def __post_init__(self) -> None:
        if isinstance(self.axes, str):
            _parsed(self.axes)


UNKNOWN = OperatorRule()


@lru_cache(maxsize=512)
def terms(formula: str) -> tuple[tuple[str, ...], ...]:
    """Return the terms of a formula of zeros, each with its factors; divisors are none.

    Examples:
        >>> terms("input * weight + bias"), terms("self / other")
        ((('input', 'weight'), ('bias',)), (('self',),))
    """
    products = (term.partition("/")[0] for term in formula.split("+"))
    return tuple(tuple(factor.strip() for factor in product.split("*")) for product in products)


def factors_of(formula: str) -> frozenset[str]:
    """Return all names in a formula of zeros."""
    return frozenset(name for term in terms(formula) for name in term)


@lru_cache(maxsize=512)
def _parsed(pattern: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    left, arrow, right = pattern.partition("->")
    if not arrow:
        raise ValueError(f"axes={pattern!r} has no '->' between operands and result")
    operands = tuple(tuple(part.split()) for part in left.split(","))
    for part in (*operands, tuple(right.split())):
        if sum(name in ("...", "*") for name in part) > 1:
            raise ValueError(f"axes={pattern!r}: an operand may hold one '...' or '*'")
    return operands, tuple(right.split())


def _expanded(names: tuple[str, ...], rank: int) -> tuple[str, ...] | None:
    """Give each axis its name; those under `...` are counted from the last."""
    for mark, name in (("...", "~{}"), ("*", "")):
        if mark in names:
            place = names.index(mark)
            count = rank - len(names) + 1
            if count < 0:
                return None
            middle = tuple(name.format(count - i) for i in range(count))
            return (*names[:place], *middle, *names[place + 1 :])
    return names if len(names) == rank else None


@lru_cache(maxsize=4096)
def axis_names(
    pattern: str,
    arguments: tuple[str, ...],
    operands: tuple[tuple[str, int], ...],
    tensors: tuple[tuple[str, int], ...],
    rank: int,
) -> AxisNames | None:
    """Return the names that a pattern gives to the axes of a call; `None` where the ranks do not fit.

    Args:
        pattern: Such as `... i, o i, o -> ... o`.
        arguments: The tensor arguments that the pattern describes, in order.
        operands: Arguments that depend on the input, each with its rank.
        tensors: Arguments that are parameters or buffers, each with its rank.
        rank: Of the result.

    Examples:
        >>> given = ("input", "weight", "bias")
        >>> axis_names("... i, o i, o -> ... o", given, (("input", 3),), (("weight", 2),), 3).operands
        (('~2', '~1', 'i'),)
    """
    parts, right = _parsed(pattern)
    known = dict(zip(arguments, parts, strict=False))
    ranks = {**dict(operands), **dict(tensors)}
    if not ranks.keys() <= known.keys():
        return None
    names = {argument: _expanded(known[argument], size) for argument, size in ranks.items()}
    result = _expanded(right, rank)
    if result is None or any(found is None for found in names.values()):
        return None
    return AxisNames(
        tuple(names[argument] or () for argument, _ in operands),
        {argument: names[argument] or () for argument, _ in tensors},
        result,
    )


def broadcast(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames:
    """Return the axes of an operator on pairs of numbers: counted from the last, as broadcasting does."""
    return AxisNames(
        tuple(_from_last(len(shape)) for shape in operands),
        {argument: _from_last(len(shape)) for argument, shape in tensors.items()},
        _from_last(len(vertex.shape)),
    )


@lru_cache(maxsize=64)
def _from_last(rank: int) -> tuple[str, ...]:
    return tuple(f"~{place}" for place in range(rank, 0, -1))


def linear(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a linear map, whose weight may be written with its inputs first."""
    if len(operands) != 1 or len(tensors["weight"]) != 2:
        return f"the weight of {vertex.name} is not a variable"
    ahead = _from_last(len(operands[0]))[:-1]
    weight = ("i", "o") if vertex.attributes.get("transposed") else ("o", "i")
    return AxisNames(((*ahead, "i"),), {"weight": weight, "bias": ("o",)}, (*ahead, "o"))


def convolution(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a convolution; in groups, a group's inputs and filters go together."""
    groups, is_transposed = vertex.attributes.get("groups", 1), bool(vertex.attributes.get("transposed"))
    if len(operands) != 1 or not isinstance(groups, int) or len(operands[0]) != len(vertex.shape):
        return f"the weight of {vertex.name} is not a variable"
    spatial = ("",) * (len(vertex.shape) - 2)
    before, after = ("n", "i", *spatial), ("n", "o", *spatial)
    if groups == 1:
        weight = ("i", "o", *spatial) if is_transposed else ("o", "i", *spatial)
        sizes = {"in_channels": ("i", 1), "out_channels": ("o", 1)}
        return AxisNames((before,), {"weight": weight, "bias": ("o",)}, after, sizes=sizes)
    width = operands[0][1] // groups
    return AxisNames(
        (before,),
        {"weight": ("i" if is_transposed else "o", "", *spatial), "bias": ("o",)},
        after,
        {"i": AxisMap(1, _groups(groups, width, vertex.shape[1] // groups))},
        {"in_channels": ("i", 1), "out_channels": ("o", 1), "groups": ("i", width)},
    )


def group_norm(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a norm over groups of channels: whole groups can go."""
    groups = vertex.attributes.get("num_groups")
    if not isinstance(groups, int) or groups < 2:
        return f"{vertex.name} (GroupNorm) normalises over its channels: without some the others change"
    width, rest = vertex.shape[1] // groups, ("",) * (len(vertex.shape) - 2)
    return AxisNames(
        (("n", "i", *rest),),
        dict.fromkeys(tensors, ("c",)),
        ("n", "c", *rest),
        {"i": AxisMap(1, _groups(groups, width, width))},
        {"num_channels": ("i", 1), "num_groups": ("i", width)},
    )


def addcmul(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a sum with a product, of one value and variables."""
    if len(operands) != 1:
        return f"there is no rule for {vertex.operator} ({vertex.name}) of several values"
    return broadcast(vertex, operands, tensors)


def quotient(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of a division of the input by something else."""
    if len(operands) != 1 or "self" in tensors:
        return f"{vertex.name} divides by them, where zero has no quotient"
    return broadcast(vertex, operands, tensors)


def einsum(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of an `einsum`, as its equation names them."""
    equation = str(vertex.attributes.get("equation", "")).replace(" ", "")
    left, _, right = equation.partition("->")
    parts = [tuple(part.replace("...", ".")) for part in left.split(",")]
    unknown = f"there is no rule for the equation {equation} of {vertex.name}"
    if "->" not in equation or len(parts) != len(operands) + len(tensors):
        return unknown
    shapes, given = iter(operands), []
    for place, part in enumerate(parts):
        shape = tensors.get(f"tensors.{place}") or next(shapes, ())
        names = _expanded(tuple("..." if name == "." else name for name in part), len(shape))
        if names is None or len(set(names)) < len(names):
            return unknown
        given.append(names)
    result = _expanded(tuple("..." if n == "." else n for n in right.replace("...", ".")), len(vertex.shape))
    # An upper-case letter is a name like any other here.
    lower = {name: name if name[0] == "~" else f"={name}" for names in given for name in names}
    named = [tuple(lower[name] for name in names) for names in given]
    return (
        unknown
        if result is None
        else AxisNames(
            tuple(names for place, names in enumerate(named) if f"tensors.{place}" not in tensors),
            {f"tensors.{place}": n for place, n in enumerate(named) if f"tensors.{place}" in tensors},
            tuple(lower[name] for name in result),
        )
    )


def attention(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of attention: of queries `l e`, keys `s e`, values `s d` and a mask, behind heads.

    Queries and keys are summed over the dimensions of a head; a softmax mixes the keys. A head of keys and
    values may serve several heads of queries.
    """
    mask = ("attn_mask",) * (len(operands) > 3 or "attn_mask" in tensors)
    given = dict(
        zip([n for n in ("query", "key", "value", *mask) if n not in tensors], operands, strict=False)
    )
    shapes = {**given, **tensors}
    names: dict[str, tuple[str, ...]] = {}
    for argument, last in (("query", "Le"), ("key", "Se"), ("value", "Sd"), *((m, "LS") for m in mask)):
        rank = len(shapes.get(argument, ()))
        if rank < 2:
            return f"there is no rule for {vertex.operator} ({vertex.name}) of such operands"
        names[argument] = (*(f"~{place}" for place in range(rank - 2, 0, -1)), *last)
    result = (*names["query"][:-1], "d")
    ties = dict[str, AxisMap]()
    if len(shapes["query"]) > 2 and 1 < (kept := shapes["key"][-3]) < (heads := shapes["query"][-3]):
        if shapes["value"][-3] != kept or heads % kept:
            return f"the heads of {vertex.name} do not fall into groups"
        for argument in ("key", "value"):
            names[argument] = (*names[argument][:-3], "g", *names[argument][-2:])
        ties["g"] = AxisMap(len(result) - 3, _groups(kept, 1, heads // kept))
    return AxisNames(tuple(names[a] for a in given), {a: names[a] for a in tensors}, result, ties)


def apart(vertex: Vertex, operands: Sequence[Shape], tensors: Mapping[str, Shape]) -> AxisNames | str:
    """Return the axes of an operator that normalises over some, for each index of the others by itself."""
    shape, dim = vertex.shape, vertex.attributes.get("dim")
    whole = vertex.attributes.get("normalized_shape")
    first = len(shape) - len(whole) if isinstance(whole, tuple) else 0
    if whole is None and not isinstance(dim, int):
        return f"there is no rule for {vertex.operator} ({vertex.name})"
    names = tuple(
        "C" if (axis >= first if whole is not None else axis == dim) else f"~{len(shape) - axis}"
        for axis in range(len(shape))
    )
    held = {argument: names[len(names) - len(own) :] for argument, own in tensors.items()}
    return AxisNames((names,) * len(operands), held, names)


@lru_cache(maxsize=64)
def _groups(groups: int, width: int, filters: int) -> tuple[tuple[int, ...], ...]:
    return tuple(
        tuple(range(group * width, (group + 1) * width)) for group in range(groups) for _ in range(filters)
    )


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Conditions under which the result of a call is exactly zero."""

    keeps_zero: bool = False
    annihilates: bool = False
    closes: bool = False


NOTHING = Behaviour()
KEEPS = Behaviour(keeps_zero=True, closes=True)
INPUT, PARAMETER, OTHER = KEEPS, Behaviour(annihilates=True, closes=True), NOTHING
BUFFER = Behaviour(closes=True)
"""Factors: zero with the input, with the parameters, never; zero if buffers are set to zero."""
ZERO = None
"""The factor that is always zero."""


def product_at_zero(factors: Iterable[Behaviour | None]) -> Behaviour | None:
    """Return when a product is zero: if any factor is; `ZERO` if one always is."""
    factors = list(factors)
    if ZERO in factors:
        return ZERO
    keeps, annihilates = (any(getattr(f, k) for f in factors) for k in ("keeps_zero", "annihilates"))
    return Behaviour(keeps, annihilates, keeps or annihilates or any(f.closes for f in factors if f))


def sum_at_zero(terms: Iterable[Behaviour | None]) -> Behaviour:
    """Return when a sum is zero: only if all its terms are."""
    terms = [term for term in terms if term is not None]
    return Behaviour(*(all(getattr(t, k) for t in terms) for k in ("keeps_zero", "annihilates", "closes")))
