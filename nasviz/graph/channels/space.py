"""The channel groups of a network, and the questions one asks about cutting them (OTOv2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from nasviz.errors import InvalidSparsityError, UnknownVertexError
from nasviz.graph.channels import selection as channel_selection
from nasviz.graph.channels.flow import ChannelFlow
from nasviz.graph.channels.groups import ChannelStructure, Floor, channel_structures
from nasviz.graph.channels.silence import ZeroRows, silent_labels
from nasviz.graph.frozen import is_frozen_reason
from nasviz.graph.trace_graph import Slice, TraceGraph

__all__ = ["ChannelSpace"]


@dataclass(frozen=True)
class ChannelSpace:
    """All channel structures of a network.

    Args:
        trace: The network.
        protected: Vertices whose channels must stay.
        frozen: Parameters that nothing may write to; channels with a row of one stay.

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

    def __len__(self) -> int:
        """How many groups can go, each by itself."""
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
        """Why channels of a vertex stay, in words that follow "because"; `None` where all of them can go."""
        return self._flow.reason(self.trace[vertex_id].id) or self._frozen_at.get(vertex_id)

    def max_groups(self, divisible: int = 1, erased: Collection[str] = ()) -> int:
        """How many groups can surely go together; `erased` are vertices that go anyway."""
        return channel_selection.max_groups(self._alive(erased), self.floors, divisible)

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
        most = channel_selection.max_groups(alive, self.floors, 1)
        if not 0 <= k <= most:
            raise InvalidSparsityError(
                f"{k} channel groups were asked to go, but only 0 to {most} of {len(self)} can before an"
                f" operator has no channel left{self.frozen_too()}"
            )
        return channel_selection.select(alive, self.floors, saliency, k, divisible)

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

    def silent(self, zero_rows: ZeroRows) -> tuple[int, ...]:
        """Return the groups whose channels are exactly zero wherever they are read.

        Args:
            zero_rows: For a tensor and a dimension of it, which of its rows are zero.
        """
        roots = silent_labels(self._flow, zero_rows)
        return tuple(
            group for structure in self.slimmable for group in structure.groups if self._roots[group] in roots
        )

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
        """For each operator that makes channels: those that it makes no more."""
        found: dict[str, set[int]] = {}
        for structure, own in self._by_structure(groups):
            for member in structure.members:
                if member.part == "stem":
                    rows = (r for i in own for r in structure.rows(member, i))
                    found.setdefault(member.vertex, set()).update(rows)
        return {vertex: tuple(sorted(rows)) for vertex, rows in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return {"structures": [asdict(s) for s in self.structures]}

    @cached_property
    def _flow(self) -> ChannelFlow:
        return ChannelFlow(self.trace, self.protected)

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
