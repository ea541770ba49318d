"""Channel groups: what can only be cut together inside operators (OTOv2's zero-invariant groups).

A channel group is one index of every tensor that has a row or column for the same channel: the filter that
makes it, its bias, its row of every norm, the columns that read it. With all rows at zero the channel is
exactly zero wherever it is read, so it can be cut. Groups that touch the same dimensions of the same tensors
form a channel structure; each operator keeps one of its channels at least.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import gcd, lcm

from nasviz.graph.channels.flow import ChannelFlow, Part, Touch
from nasviz.graph.frozen import frozen_reason

__all__ = ["ChannelMember", "ChannelStructure", "Floor", "channel_structures"]


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
        """How many groups make a number of channels that `divisible` divides, in each operator."""
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
