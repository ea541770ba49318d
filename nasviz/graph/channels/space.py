"""Channel groups: what can only be cut together inside operators (OTOv2's zero-invariant groups).

A channel group is one index of every tensor that has a row or column for the same channel: the filter that
makes it, its bias, its row of every norm, the columns that read it. With all rows at zero the channel is
exactly zero wherever it is read, so it can be cut. Groups that touch the same dimensions of the same tensors
form a channel structure; each operator keeps at least one of its channels.

A channel is silent where it is exactly zero wherever it is read, however that came about: a filter and its
bias at zero make a silent channel, and so do scale and shift of a norm behind any filter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from math import gcd, lcm
from typing import Any

from nasviz.errors import InvalidSparsityError, UnknownVertexError
from nasviz.graph.channels.flow import ChannelFlow, Part, Touch
from nasviz.graph.channels.heads import axes_before, convolved, heads_in
from nasviz.graph.selection import frozen_reason, is_frozen_reason
from nasviz.graph.trace_graph import Slice, TraceGraph

__all__ = [
    "ChannelMember",
    "ChannelSpace",
    "ChannelStructure",
    "Floor",
    "ZeroRows",
    "channel_structures",
    "max_groups",
    "select",
    "silent_labels",
]


@dataclass(frozen=True, slots=True)
class ChannelMember:
    """What one dimension of a tensor gives to the groups of a structure."""

    vertex: str
    """The vertex that reads the tensor."""
    tensor: str
    """Name of a parameter or buffer."""
    dim: int
    rows: tuple[int, ...]
    """Indices along `dim`, group by group, the same number for each."""
    part: Part
    """`stem`: makes the channels; `accessory`: has a row for each; `reader`: reads them as columns."""
    is_zeroed: bool
    """Whether the rows are zero when a group is; what is not zeroed is only cut."""


@dataclass(frozen=True, slots=True)
class ChannelStructure:
    """Channel groups that touch the same dimensions of the same tensors."""

    id: int
    name: str
    """The operators that make its channels."""
    width: int
    """How many groups it has."""
    first: int
    """Id of its first group; the others follow. -1 where its channels stay for another reason than a frozen
    parameter: ids are the same whatever is frozen."""
    members: tuple[ChannelMember, ...]
    reason: str | None
    """Why its channels stay, in words; `None` where they can go."""
    unit: str = "channel"
    """What one of its groups is: `channel`, or `head` of an attention."""
    owner: str = ""
    """What its groups are called after: the attention of heads, or the operators that make channels."""

    def name_of(self, group: int) -> str:
        """Return what a person calls a group.

        Examples:
            >>> ChannelStructure(0, "layer1.attn.qkv", 4, 8, (), None, "head", "layer1.attn").name_of(11)
            'head 3 of layer1.attn'
        """
        return f"{self.unit} {group - self.first} of {self.owner or self.name}"

    @property
    def is_slimmable(self) -> bool:
        """Whether its groups count."""
        return self.reason is None

    @property
    def groups(self) -> range:
        """Ids of its groups; none where its channels stay."""
        return range(self.first, self.first + self.width) if self.is_slimmable else range(0)

    @property
    def places(self) -> range:
        """Ids that are kept for its groups, also where they cannot go for a frozen parameter."""
        return range(self.first, self.first + self.width) if self.first >= 0 else range(0)

    @property
    def stems(self) -> tuple[str, ...]:
        """The vertices that make its channels."""
        return tuple(dict.fromkeys(m.vertex for m in self.members if m.part == "stem"))

    def rows(self, member: ChannelMember, group: int) -> tuple[int, ...]:
        """The rows that a member gives to one group."""
        count = len(member.rows) // self.width
        place = (group - self.first) * count
        return member.rows[place : place + count]

    def step(self, divisible: int) -> int:
        """Return how many groups make a number of channels that `divisible` divides, in each operator."""
        counts = (len(m.rows) // self.width for m in self.members if m.part == "stem")
        return min(lcm(*(divisible // gcd(divisible, count) for count in counts)), self.width)


@dataclass(frozen=True, slots=True)
class Floor:
    """Structures of which at least one group stays, for some axis has no other channels."""

    structures: tuple[int, ...]
    vertex: str
    """A vertex whose axis that is."""


def channel_structures(
    flow: ChannelFlow, frozen: Collection[str] = ()
) -> tuple[tuple[ChannelStructure, ...], tuple[Floor, ...]]:
    """Return all channel structures of a network by its flow, in order; costs the sum of all widths.

    Args:
        flow: The labels of the network.
        frozen: Parameters that nothing may write to.
    """
    return _Sorting(flow, frozen).result()


class _Sorting:
    """Sorts labels into groups, and groups into structures."""

    def __init__(self, flow: ChannelFlow, frozen: Collection[str]) -> None:
        self.flow, self.frozen = flow, frozen
        self.axes: dict[tuple[int, ...], list[Touch]] = {}
        """Touches by what they are labelled with; also axes that no tensor has."""
        self.vertices: list[str] = []
        """For each axis a vertex that has it."""
        for touch in flow.touches:
            self._at(touch.labels, touch.vertex).append(touch)
        for vertex_id, value in flow.values.items():
            if value is not None:
                self._at(value.labels, vertex_id)
        self.roots = flow.labels.roots()
        split = set(flow.split.values())
        self.heads = {number for number, labels in enumerate(self.axes) if labels in split}
        """Axes whose indices are heads."""

    def result(self) -> tuple[tuple[ChannelStructure, ...], tuple[Floor, ...]]:
        structures: list[ChannelStructure] = []
        users: dict[int, list[int]] = {}
        first = 0
        touches = list(self.axes.values())
        for (reason, width), rows in zip(*self._families(), strict=True):
            for axis in rows:
                users.setdefault(axis, []).append(len(structures))
            members = tuple(
                ChannelMember(t.vertex, t.tensor, t.dim, found, t.part, t.is_zeroed)
                for axis, found in rows.items()
                for t in touches[axis]
            )
            structures.append(
                ChannelStructure(
                    id=len(structures),
                    name=self._name(members),
                    width=width,
                    first=-1 if reason else first,
                    members=members,
                    reason=reason or self._frozen(members),
                    **self._unit(members, rows.keys()),
                )
            )
            first += 0 if reason else width
        kept = {s.id for s in structures if not s.is_slimmable}
        floors = (floor for floor in self._floors(users) if kept.isdisjoint(floor.structures))
        return tuple(structures), tuple(floors)

    def _frozen(self, members: tuple[ChannelMember, ...]) -> str | None:
        """Return why channels stay: zeroing them would write to a frozen parameter."""
        names = (m.tensor for m in members if m.is_zeroed and m.tensor in self.frozen)
        return next((frozen_reason(name) for name in names), None)

    def _unit(self, members: tuple[ChannelMember, ...], axes: Collection[int]) -> dict[str, str]:
        """Return what a person calls the groups at some axes, and what they belong to."""
        if self.heads.isdisjoint(axes):
            return {}
        names = [self.flow.trace[m.vertex].name.split(".") for m in members if m.part == "stem"]
        shared = [parts[0] for parts in zip(*names, strict=False) if len(set(parts)) == 1]
        inner = shared[:-1] if len(shared) == min(map(len, names), default=0) else shared
        return {"unit": "head", "owner": ".".join(inner)}

    def _at(self, labels: tuple[int, ...], vertex: str) -> list[Touch]:
        if labels not in self.axes:
            self.vertices.append(vertex)
        return self.axes.setdefault(labels, [])

    def _families(self) -> tuple[list[tuple[str | None, int]], list[dict[int, tuple[int, ...]]]]:
        """Groups that occur at the same axes, as often each: why they stay, how many; their rows by axis."""
        made = {n for n, touches in enumerate(self.axes.values()) if any(t.part == "stem" for t in touches)}
        kinds = self._kinds()
        families: dict[tuple[int, str | None], int] = {}
        homes: dict[int, tuple[int, int]] = {}
        """For each group its family and its place there."""
        widths: list[int] = []
        for number, labels in enumerate(self.axes):
            for label in labels if number in made else ():
                root = self.roots[label]
                if root not in homes:
                    key = kinds[root], self.flow.labels.reason(root)
                    family = families.setdefault(key, len(families))
                    widths += [0] * (family == len(widths))
                    homes[root] = family, widths[family]
                    widths[family] += 1
        rows = self._rows(homes, len(widths))
        return [(reason, width) for (_, reason), width in zip(families, widths, strict=True)], rows

    def _kinds(self) -> dict[int, int]:
        """A number for each group, the same for those that occur at the same axes, as often each."""
        kinds: dict[int, int] = {}
        names: dict[tuple[int, int], int] = {}
        for number, labels in enumerate(self.axes):
            for label in labels:
                root = self.roots[label]
                kinds[root] = names.setdefault((kinds.get(root, -1), number), len(names))
        return kinds

    def _rows(self, homes: dict[int, tuple[int, int]], count: int) -> list[dict[int, tuple[int, ...]]]:
        """Rows of each family by axis, in the order of its groups."""
        found: list[dict[int, list[int]]] = [{} for _ in range(count)]
        for number, labels in enumerate(self.axes):
            for row, label in enumerate(labels):
                home = homes.get(self.roots[label])
                if home is not None:  # one number for place and row: pairs would busy the garbage collector
                    found[home[0]].setdefault(number, []).append(home[1] << 32 | row)
        return [
            {axis: tuple(code & 0xFFFFFFFF for code in sorted(codes)) for axis, codes in of.items()}
            for of in found
        ]

    def _name(self, members: tuple[ChannelMember, ...]) -> str:
        stems = dict.fromkeys(m.vertex for m in members if m.part == "stem")
        names = [self.flow.trace[vertex].name for vertex in stems]
        return ", ".join(names) if len(names) <= 2 else f"{names[0]} and {len(names) - 1} more"

    def _floors(self, users: dict[int, list[int]]) -> tuple[Floor, ...]:
        """One for each axis that could lose all its channels; those that follow from others are left out."""
        axes = list(self.axes)
        found: dict[tuple[int, ...], str] = {}
        for axis, ids in users.items():
            if not any(self.flow.labels.reason(label) for label in axes[axis]):
                found.setdefault(tuple(ids), self.vertices[axis])
        alone = {ids[0] for ids in found if len(ids) == 1}
        return tuple(
            Floor(ids, vertex) for ids, vertex in found.items() if len(ids) == 1 or alone.isdisjoint(ids)
        )


ZeroRows = Mapping[tuple[str, int], Sequence[bool]]
"""For each tensor and dimension that channels have rows in, which of its rows are zero."""


def silent_labels(flow: ChannelFlow, zero_rows: ZeroRows) -> frozenset[int]:
    """Return the root labels of all channels that are zero wherever they are read."""
    touches: dict[str, list[Touch]] = {}
    for touch in flow.touches:
        touches.setdefault(touch.vertex, []).append(touch)
    roots = flow.labels.roots()

    def silent_rows(labels: Sequence[int], is_zero: Iterable[bool]) -> frozenset[int]:
        zero: set[int] = set()
        loud: set[int] = set()
        for label, silent in zip(labels, is_zero, strict=True):
            (zero if silent else loud).add(roots[label])
        return frozenset(zero - loud)

    def silenced(held: Sequence[Touch]) -> frozenset[int]:
        """Return the labels for which all of these tensors of a vertex are zero."""
        found = [silent_rows(t.labels, zero_rows[t.tensor, t.dim]) for t in held if t.is_zeroed]
        return frozenset.intersection(*found) if found else frozenset()

    made = {vertex: silenced(held) for vertex, held in touches.items()}
    candidates = frozenset().union(*made.values())
    if not candidates:
        return candidates
    carried: dict[str, frozenset[int]] = {}
    silent: dict[str, frozenset[int]] = {}
    for name, value in flow.values.items():
        carried[name] = (
            candidates.intersection(roots[label] for label in value.labels) if value else frozenset()
        )
    loud: set[int] = set()
    for vertex in flow.trace:
        held = touches.get(vertex.id, [])
        is_stem = any(t.part == "stem" for t in held)
        reads = [(carried[u], carried[u] - silent.get(u, frozenset())) for u in vertex.inputs]
        heard = frozenset().union(*(noise for _, noise in reads))
        own = carried[vertex.id]
        if is_stem:
            loud |= heard
            silent[vertex.id] = made[vertex.id] & own
        else:
            loud |= heard - own  # what ends here is read here
            needed = [touch for touch in held if touch.is_needed]
            quiet = own - heard
            quiet = (quiet & silenced(needed)) if needed else quiet
            for source in vertex.annihilating_inputs:  # a factor at zero is enough
                quiet |= silent.get(source, frozenset()) & own
            if vertex.annihilates:  # maybe without a tensor that has a row for each channel
                quiet |= made.get(vertex.id, frozenset()) & own
            silent[vertex.id] = quiet
    return candidates - loud


def max_groups(structures: Sequence[ChannelStructure], floors: Sequence[Floor], divisible: int) -> int:
    """Return how many groups can surely go together: the most where no axis serves several structures."""
    kept = _witness(structures, floors)
    return sum(s.width - (s.step(divisible) if s.id in kept else 0) for s in structures)


def select(
    structures: Sequence[ChannelStructure],
    floors: Sequence[Floor],
    saliency: Mapping[int, float],
    k: int,
    divisible: int,
) -> tuple[int, ...]:
    """The groups that go, by id; `k` of them, or fewer where widths are rounded up."""
    home = {group: s for s in structures for group in s.groups}
    order = sorted(home, key=lambda group: (saliency[group], group))
    chosen = _greedy(home, floors, order, k)
    if len(chosen) < k:  # some axis with channels of several structures was emptied down to an unlucky rest
        chosen = _greedy(home, _alone(_witness(structures, floors), floors), order, k)
    return tuple(sorted(_rounded(structures, chosen, divisible)))


def _greedy(
    home: Mapping[int, ChannelStructure], floors: Sequence[Floor], order: Sequence[int], k: int
) -> list[int]:
    """One after the other, each that leaves every floor something."""
    width = {s.id: s.width for s in home.values()}
    left = [sum(width.get(i, 0) for i in floor.structures) for floor in floors]
    watched: dict[int, list[int]] = {}
    for number, floor in enumerate(floors):
        for i in floor.structures:
            watched.setdefault(i, []).append(number)
    chosen: list[int] = []
    for group in order:
        if len(chosen) == k:
            break
        mine = watched.get(home[group].id, [])
        if all(left[number] > 1 for number in mine):
            chosen.append(group)
            for number in mine:
                left[number] -= 1
    return chosen


def _witness(structures: Sequence[ChannelStructure], floors: Sequence[Floor]) -> set[int]:
    """Structures that satisfy all floors if each of them keeps something: a small set, found greedily."""
    alive = {s.id for s in structures}
    kept = {floor.structures[0] for floor in floors if len(floor.structures) == 1} & alive
    for floor in floors:
        candidates = alive.intersection(floor.structures)
        if candidates and kept.isdisjoint(candidates):
            kept.add(min(candidates))
    return kept


def _alone(kept: Collection[int], floors: Sequence[Floor]) -> list[Floor]:
    vertices = {i: floor.vertex for floor in floors for i in floor.structures}
    return [Floor((i,), vertices[i]) for i in sorted(kept)]


def _rounded(structures: Sequence[ChannelStructure], chosen: Sequence[int], divisible: int) -> list[int]:
    """Give the best of the chosen back until each structure keeps a multiple of its step, or all."""
    if divisible == 1:
        return list(chosen)
    place = {group: number for number, group in enumerate(chosen)}
    found: list[int] = []
    for s in structures:
        mine = sorted(place[group] for group in s.groups if group in place)
        step = s.step(divisible)
        kept = -(-(s.width - len(mine)) // step) * step
        found += [chosen[number] for number in mine[: max(0, s.width - kept)]]
    return found


@dataclass(frozen=True)
class ChannelSpace:
    """All channel structures of a network.

    Args:
        trace: The network.
        protected: Vertices whose channels must stay.
        frozen: Parameters that nothing may write to; channels with a row of one stay.
        has_heads: Whether heads of attention go whole where they can, or equal dimensions of all of them.

    Examples:
        >>> from nasviz.graph.trace_graph import Input, Output, Vertex
        >>> wide = {"groups": 1}
        >>> graph = TraceGraph(
        ...     "two",
        ...     (Input("x", (-1, 3, 8, 8)),),
        ...     (
        ...         Vertex("a", "a", "conv2d", ("x",), (-1, 4, 8, 8), module="a", parameters=("a.w",)),
        ...         Vertex("b", "b", "conv2d", ("a",), (-1, 2, 8, 8), module="b", parameters=("b.w",)),
        ...     ),
        ...     (Output("output", "b"),),
        ...     parameter_shapes={"a.w": (4, 3, 1, 1), "b.w": (2, 4, 1, 1)},
        ... )
        >>> channels = ChannelSpace(graph)
        >>> len(channels), channels.max_groups(), channels.why_not("b")
        (4, 3, 'they leave the network as an output')
        >>> channels.select({0: 0.3, 1: 0.1, 2: 0.4, 3: 0.2}, 2)
        (1, 3)
        >>> [(s.tensor, s.dim, s.rows) for s in channels.slices([1, 3])]
        [('a.w', 0, (1, 3))]
    """

    trace: TraceGraph
    protected: Collection[str] = ()
    frozen: Collection[str] = ()
    has_heads: bool = True

    def __repr__(self) -> str:
        return f"ChannelSpace({self.trace.name}: {len(self)} channel groups)"

    def __len__(self) -> int:
        """Return how many groups can go, each by itself."""
        return sum(len(s.groups) for s in self.structures)

    @cached_property
    def structures(self) -> tuple[ChannelStructure, ...]:
        """All channel structures, also those whose channels stay and say why, by id."""
        return self._sorted[0]

    @cached_property
    def slimmable(self) -> tuple[ChannelStructure, ...]:
        """The structures whose groups count."""
        return tuple(s for s in self.structures if s.is_slimmable)

    @cached_property
    def floors(self) -> tuple[Floor, ...]:
        """Of which structures something must stay."""
        return self._sorted[1]

    def of(self, group: int) -> ChannelStructure:
        """The structure of a group.

        Raises:
            UnknownVertexError: There is no such group.
        """
        if group in self._home:
            return self.structures[self._home[group]]
        if (frozen := next((s for s in self.structures if group in s.places), None)) is not None:
            raise UnknownVertexError(f"channel group {group} of {frozen.name} cannot go: {frozen.reason}")
        raise UnknownVertexError(f"no channel group {group}: there are {len(self)}, counted from 0")

    def why_not(self, vertex_id: str) -> str | None:
        """Return why channels of a vertex stay, in words that follow "because"; `None` where all can go."""
        return self._flow.reason(self.trace[vertex_id].id) or self._frozen_at.get(vertex_id)

    def max_groups(self, divisible: int = 1, erased: Collection[str] = ()) -> int:
        """Return how many groups can surely go together; `erased` are vertices that go anyway."""
        return max_groups(self._alive(erased), self.floors, divisible)

    def select(
        self,
        saliency: Mapping[int, float],
        k: int,
        *,
        divisible: int = 1,
        erased: Collection[str] = (),
    ) -> tuple[int, ...]:
        """The `k` groups of lowest saliency that may go together, by id (OTOv2's DHSPG, with floors).

        Each operator keeps a channel at least. With `divisible` above 1 the number that an operator keeps is
        rounded up to a multiple of it, so that fewer than `k` may go.

        Args:
            saliency: A score for each group.
            k: How many are to go.
            divisible: What the widths that are left shall be multiples of.
            erased: Vertices that go with removal structures; groups made there alone are left out.

        Raises:
            InvalidSparsityError: `k` is below 0 or above what can go.
            UnknownVertexError: A group has no score.
        """
        alive = self._alive(erased)
        if lost := [i for s in alive for i in s.groups if i not in saliency]:
            raise UnknownVertexError(f"saliency must score each channel group; look at {lost[:10]}")
        most = max_groups(alive, self.floors, 1)
        if not 0 <= k <= most:
            raise InvalidSparsityError(
                f"{k} channel groups were asked to go, but only 0 to {most} of {len(self)} can before an"
                f" operator has no channel left{self.frozen_too()}"
            )
        return select(alive, self.floors, saliency, k, divisible)

    def frozen_too(self) -> str:
        """Return how many groups are frozen, to follow a message that says how many can go."""
        count = sum(s.width for s in self.structures if is_frozen_reason(s.reason))
        return f" ({count} more are frozen)" if count else ""

    def check(self, groups: Iterable[int]) -> tuple[int, ...]:
        """The groups in order, each once, after a check that they may go together.

        Raises:
            InvalidSparsityError: Some operator would keep no channel.
            UnknownVertexError: There is no such group.
        """
        ids = tuple(sorted(set(groups)))
        gone = {s.id: len(own) for s, own in self._by_structure(ids)}
        for floor in self.floors:
            if all(gone.get(i) == self.structures[i].width for i in floor.structures):
                name = self.trace[floor.vertex].name
                raise InvalidSparsityError(f"{name} would keep no channel; leave one of its groups at least")
        return ids

    def leave_something(self, groups: Iterable[int]) -> tuple[int, ...]:
        """The groups, but for the first of an operator that would lose all its channels."""
        ids = set(groups)
        for floor in self.floors:
            if all(ids.issuperset(self.structures[i].groups) for i in floor.structures):
                ids.discard(self.structures[floor.structures[0]].first)
        return tuple(sorted(ids))

    @property
    def rows(self) -> frozenset[tuple[str, int]]:
        """The tensors whose rows make channels silent, each with its dimension."""
        return frozenset((touch.tensor, touch.dim) for touch in self._flow.touches if touch.is_zeroed)

    def silent(self, zero_rows: ZeroRows, erased: Collection[str] = ()) -> tuple[int, ...]:
        """Return the groups that can go because their channels are exactly zero wherever they are read.

        Args:
            zero_rows: For each of `rows`, which of its entries are zero.
            erased: Vertices that go anyway; groups inside of them do not count.
        """
        roots = silent_labels(self._flow, zero_rows)
        return self.leave_something(
            group
            for structure in self._alive(erased)
            for group in structure.groups
            if self._roots[group] in roots
        )

    def name_of(self, group: int) -> str:
        """Return what a person calls a group, such as `head 3 of layer1.attn`."""
        return self.of(group).name_of(group)

    def slices(self, groups: Iterable[int]) -> tuple[Slice, ...]:
        """The rows that are zero when these groups are."""
        return tuple(
            Slice(member.tensor, member.dim, rows, member.vertex)
            for structure, own in self._by_structure(groups)
            for member in structure.members
            if member.is_zeroed
            for rows in [tuple(sorted(r for i in own for r in structure.rows(member, i)))]
        )

    def narrowed(self, groups: Iterable[int]) -> dict[str, tuple[int, ...]]:
        """Return for each operator that makes channels: those that it makes no more."""
        flow, found = self._flow, {}
        roots = {self._roots[group] for group in groups}
        for vertex in dict.fromkeys(v for s, _ in self._by_structure(groups) for v in s.stems):
            value = flow.values[vertex]
            lines = enumerate(value.labels if value else ())
            if rows := tuple(row for row, label in lines if flow.labels.find(label) in roots):
                found[vertex] = rows
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return {"structures": [asdict(s) for s in self.structures]}

    @cached_property
    def _flow(self) -> ChannelFlow:
        heads = axes_before(self.trace, heads_in) if self.has_heads else {}
        read = axes_before(self.trace, convolved)
        flow = ChannelFlow(self.trace, self.protected, heads, read)
        # Where no whole head can go, equal dimensions of all heads may.
        stay = {v for v, labels in flow.split.items() if all(map(flow.labels.reason, labels))}
        if not stay:
            return flow
        return ChannelFlow(
            self.trace, self.protected, {v: axes for v, axes in heads.items() if v not in stay}
        )

    @cached_property
    def _sorted(self) -> tuple[tuple[ChannelStructure, ...], tuple[Floor, ...]]:
        return channel_structures(self._flow, self.frozen)

    @cached_property
    def _roots(self) -> dict[int, int]:
        """For each group the label that stands for its channels."""
        labels = {(t.vertex, t.tensor, t.dim): t.labels for t in self._flow.touches}
        found: dict[int, int] = {}
        for structure in self.slimmable:
            member = next(m for m in structure.members if m.part == "stem")
            line = labels[member.vertex, member.tensor, member.dim]
            for group in structure.groups:
                found[group] = self._flow.labels.find(line[structure.rows(member, group)[0]])
        return found

    @cached_property
    def _home(self) -> dict[int, int]:
        return {group: s.id for s in self.structures for group in s.groups}

    @cached_property
    def _frozen_at(self) -> dict[str, str]:
        """Why channels stay that a frozen parameter has rows of, by the vertices that have rows for them."""
        held = [s for s in self.structures if is_frozen_reason(s.reason)]
        return {m.vertex: s.reason or "" for s in held for m in s.members if m.part != "reader"}

    def _by_structure(self, groups: Iterable[int]) -> list[tuple[ChannelStructure, list[int]]]:
        found: dict[int, list[int]] = {}
        for group in sorted(set(groups)):
            found.setdefault(self.of(group).id, []).append(group)
        return [(self.structures[i], own) for i, own in found.items()]

    def _alive(self, erased: Collection[str]) -> tuple[ChannelStructure, ...]:
        return tuple(s for s in self.slimmable if not set(s.stems).issubset(erased))
