"""Scores of channels: one factor for all that a channel group makes, trained beside the weights.

RARTS's width search multiplies every channel by a score, SiDT every dimension of a transformer's heads and
hidden layers (dissertation, sections 2.5 and 4.2). On a search space both are the same: the rows that make
or scale a channel group are multiplied by its score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn

from nasviz.errors import InvalidSettingError
from nasviz.graph import ChannelMember, ChannelStructure, SearchSpace
from nasviz.graph.operators.rules import Role
from nasviz.saliency.reductions import RowIndex

__all__ = ["ChannelScores", "attention_pairs"]


class ChannelScores:
    """A score for each channel group of some structures, and the rows that it multiplies.

    Where a norm follows directly, its rows are multiplied and what is before it is not: the norm would undo
    that. So a channel, as those see it who read it, is its score times what it was, as long as activations in
    between keep factors (ReLU). In an attention queries, keys and values are multiplied each (SiDT).

    Args:
        net: The network.
        space: Its search space.
        structures: Channel structures whose groups are scored; all that can lose channels when left out.
        pairs: Structures of equal width whose groups share their scores, such as queries and values.

    Raises:
        InvalidSettingError: There is nothing to score.
    """

    def __init__(
        self,
        net: nn.Module,
        space: SearchSpace,
        structures: Iterable[ChannelStructure] | None = None,
        pairs: Mapping[int, int] | None = None,
    ) -> None:
        chosen = tuple(space.channels.slimmable if structures is None else structures)
        if not chosen:
            raise InvalidSettingError(
                f"{space.trace.name} has no channels that can be scored and cut;"
                " `space.channels.why_not(vertex)` says why"
            )
        self.space, self.structures = space, chosen
        by_id, partners = {s.id: s for s in chosen}, dict(pairs or {})
        homes = {
            group: by_id[partners.get(s.id, s.id)].first + place
            for s in chosen
            for place, group in enumerate(s.groups)
        }
        self.home: dict[int, int] = homes
        """The group whose score each group has."""
        self.ids = tuple(dict.fromkeys(homes.values()))
        """Of the groups with scores of their own."""
        self.index = _rows(net, space, chosen, homes, self.ids)
        first = self.index.tensors[0]
        self.values = nn.Parameter(torch.ones(len(self.ids), dtype=first.dtype, device=first.device))
        """The scores, 1 at first."""

    def __len__(self) -> int:
        return len(self.ids)

    def scaled(self, tensors: Sequence[Tensor], values: Tensor) -> list[Tensor]:
        """Tensors in the places of `index.tensors`, their rows multiplied by these scores."""
        return [x * factor for x, factor in zip(tensors, self.index.factors(values), strict=True)]

    def sizes(self) -> dict[int, float]:
        """|score| of each group; the host waits for the device."""
        found = dict(zip(self.ids, self.values.detach().abs().tolist(), strict=True))
        return {group: found[home] for group, home in self.home.items()}

    @torch.no_grad()
    def without(self, groups: Iterable[int]) -> Tensor:
        """The scores, but 0 for these groups."""
        gone = {self.home[group] for group in groups}
        keeps = torch.tensor([i not in gone for i in self.ids], device=self.values.device)
        return torch.where(keeps, self.values, 0.0)

    def together(self, groups: Iterable[int]) -> tuple[int, ...]:
        """These groups, and those that share a score with them."""
        homes = {self.home[group] for group in groups}
        return tuple(group for group, home in self.home.items() if home in homes)


def attention_pairs(space: SearchSpace, structures: Iterable[ChannelStructure]) -> dict[int, int]:
    """Values with their queries and keys, where these are layers of their own: SiDT gives them one score.

    A packed layer makes one structure of all three by itself.
    """
    found: dict[int, int] = {}
    chosen = tuple(structures)
    queries = {(_parent(s), s.width): s.id for s in chosen if {m.part for m in s.members} == {"stem"}}
    for structure in chosen:
        partner = queries.get((_parent(structure), structure.width))
        if partner is not None and partner != structure.id:
            found[structure.id] = partner
    return found


def _parent(structure: ChannelStructure) -> str:
    tensors = {m.tensor.rpartition(".")[0].rpartition(".")[0] for m in structure.members if m.part == "stem"}
    return tensors.pop() if len(tensors) == 1 else f"structure {structure.id}"


def _rows(
    net: nn.Module,
    space: SearchSpace,
    structures: Sequence[ChannelStructure],
    homes: Mapping[int, int],
    ids: Sequence[int],
) -> RowIndex:
    parameters = dict(net.named_parameters(remove_duplicate=False))
    owners: dict[tuple[str, int], list[int]] = {}
    for structure in structures:
        for member in _multiplied(space, structure):
            length = space.trace.parameter_shapes[member.tensor][member.dim]
            line = owners.setdefault((member.tensor, member.dim), [-1] * length)
            count = len(member.rows) // structure.width
            for place, row in enumerate(member.rows):
                line[row] = homes[structure.first + place // count]
    return RowIndex(ids, [(parameters[name], dim, line) for (name, dim), line in owners.items()])


def _multiplied(space: SearchSpace, structure: ChannelStructure) -> list[ChannelMember]:
    """The members whose rows take the score."""
    trace = space.trace
    members = [m for m in structure.members if m.is_zeroed and m.tensor in trace.parameter_shapes]
    norms = {m.vertex for m in members if trace[m.vertex].role is Role.NORM}
    found = []
    for member in members:
        readers = trace.consumers[member.vertex]
        is_undone = bool(readers) and norms.issuperset(readers)
        is_stem = member.part == "stem" or member.vertex in norms
        # A depthwise convolution and a factor hand the score on; biases and other summands have to take it.
        shape = trace.parameter_shapes[member.tensor]
        is_summand = prod(shape) == shape[member.dim] and trace[member.vertex].role is not Role.MULTIPLICATIVE
        if not is_undone and (is_stem or is_summand):
            found.append(member)
    return found
