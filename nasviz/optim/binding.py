"""From names to tensors: the structures of a search space as groups of a network's parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError, InvalidSparsityError
from nasviz.graph import ChannelStructure, SearchSpace, Slice
from nasviz.optim.groups import Rows, TensorGroup
from nasviz.optim.selection import Selection
from nasviz.saliency.rows import RowIndex

__all__ = ["SpaceBinding", "count_of", "tensors_of", "trained_space"]


class SpaceBinding:
    """A search space tied to the parameters of the network it was generated from.

    Raises:
        InvalidSettingError: The space names parameters that the network does not hold.
    """

    def __init__(self, net: nn.Module, space: SearchSpace) -> None:
        self.space = space
        self._parameters: dict[str, Tensor] = dict(net.named_parameters(remove_duplicate=False))
        self.groups: dict[int, TensorGroup] = {
            s.id: self._group(s.parameter_names, ()) for s in space.removable
        }
        """What each removable structure owns."""

    def members(self) -> dict[int, TensorGroup]:
        """What each removable structure owns and entails."""
        return {s.id: self._group(s.parameter_names, s.entailed) for s in self.space.removable}

    def whole_group(self, erased: Iterable[int]) -> TensorGroup:
        """Everything that must be zero when these structures go, what they orphan included.

        Raises:
            InvalidSparsityError: They may not go together.
        """
        whole = self.space.group(erased)
        return self._group(whole.tensors, whole.rows)

    def select(
        self, scores: Mapping[int, float], k: int, *, count: int | None = None, hierarchical: bool = True
    ) -> Selection:
        """The structures of lowest score that go, with all that goes to zero with them.

        Args:
            scores: Of each removable structure.
            k: How many are to go in the end.
            count: How many of them go now, leaving room for the rest; all `k` when left out.
            hierarchical: Whether what is left must stay connected. Where it does not, nothing follows the
                selected structures to zero, because nothing is left to be constructed.
        """
        selected = self.space.select(scores, k, hierarchical=hierarchical)[:count]
        is_valid = hierarchical or self.space.is_valid(selected)
        gone = self.space.closure(selected) if is_valid else frozenset(selected)
        orphaned = tuple(sorted(gone.intersection(self.groups).difference(selected)))
        found = (self.space.structure(i) for i in (*selected, *orphaned))
        members = {s.id: self._group(s.parameter_names, s.entailed) for s in found}
        if not is_valid:
            return Selection(selected, orphaned, members, is_valid=False)
        taken = {id(tensor) for member in members.values() for tensor in member.tensors}
        whole = self.space.group(selected)
        group = self._group(whole.tensors, whole.rows)
        left = tuple(tensor for tensor in group.tensors if id(tensor) not in taken)
        return Selection(selected, orphaned, members, TensorGroup(left, group.rows))

    def channel_index(self, structures: Iterable[ChannelStructure] | None = None) -> RowIndex:
        """The channel groups as rows of the network's parameters; those of some channel structures alone."""
        chosen = self.space.channels.slimmable if structures is None else tuple(structures)
        owners: dict[tuple[str, int], list[int]] = {}
        for structure in chosen:
            for member in structure.members:
                if member.is_zeroed:
                    length = self.space.trace.parameter_shapes[member.tensor][member.dim]
                    line = owners.setdefault((member.tensor, member.dim), [-1] * length)
                    count = len(member.rows) // structure.width
                    for place, row in enumerate(member.rows):
                        line[row] = structure.first + place // count
        rows = [(self._parameter(name), dim, line) for (name, dim), line in owners.items()]
        return RowIndex([group for structure in chosen for group in structure.groups], rows)

    def select_channels(
        self, scores: Mapping[int, float], gone: Collection[int], *, slim: int | float, divisible: int
    ) -> tuple[int, ...]:
        """The channel groups of lowest score that can go.

        Args:
            scores: Of each channel group.
            gone: Structures that go; groups inside of them do not count.
            slim: How many groups go: an int counts them, a float is the share of those that are left.
            divisible: What the widths that are left shall be multiples of.
        """
        selected = tuple(gone)
        closure = self.space.closure(selected) if self.space.is_valid(selected) else frozenset(selected)
        erased = {v for i in closure for v in self.space.segments[i].vertices}
        channels = self.space.channels
        left = sum(s.width for s in channels.slimmable if not erased.issuperset(s.stems))
        k = min(count_of(slim, left, "slim", "channel groups"), channels.max_groups(erased=erased))
        return channels.select(scores, k, divisible=divisible, erased=erased)

    def _group(self, names: Iterable[str], slices: Iterable[Slice]) -> TensorGroup:
        return TensorGroup(
            tuple(self._parameter(name) for name in names),
            tuple(Rows(self._parameter(s.tensor), s.dim, torch.tensor(s.rows)) for s in slices),
        )

    def _parameter(self, name: str) -> Tensor:
        if name not in self._parameters:
            raise InvalidSettingError(
                f"the search space names the parameter {name!r}, which this network does not hold;"
                " pass the network from which the space was generated"
            )
        return self._parameters[name]


def trained_space(net: nn.Module, space: SearchSpace, held: Iterable[Tensor]) -> SearchSpace:
    """Return the space in which all that an optimizer of the tensors `held` does not train is frozen.

    These are the parameters of `net` that are not held, and those that require no gradients now.
    """
    trained = {id(tensor) for tensor in held if tensor.requires_grad}
    return space.freezing([name for name, p in net.named_parameters() if id(p) not in trained])


def tensors_of(optimizer: Optimizer) -> list[Any]:
    """Return all tensors that an optimizer holds, in its order."""
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]


def count_of(
    target_sparsity: int | float,
    num_structures: int,
    name: str = "target_sparsity",
    of_what: str = "removal structures",
) -> int:
    """K as a count: a whole number counts structures, a float in [0, 1) is their share, rounded down.

    Raises:
        InvalidSparsityError: A float outside of [0, 1).

    Examples:
        >>> count_of(3, 20), count_of(0.3, 20), count_of(0.0, 20)
        (3, 6, 0)
    """
    if isinstance(target_sparsity, int):
        return int(target_sparsity)
    if not 0 <= target_sparsity < 1:
        raise InvalidSparsityError(
            f"{name}={target_sparsity}: a float is a share of the {num_structures} {of_what}, from 0.0 to"
            " below 1.0; pass an int to count them"
        )
    # 0.999: HESSO's cap, so that some structure always stays; 1e-9: 0.29 * 100 is 28.999...
    return floor(num_structures * min(target_sparsity, 0.999) + 1e-9)
