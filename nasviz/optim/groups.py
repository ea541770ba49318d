"""Groups of variables that go to zero together, and how the structures of a search space become such groups.

A group holds whole tensors, and rows of further tensors. The rows are what a structure entails: entries of
the norms and biases that read its channels behind a concatenation. They are scaled and zeroed with their
structure, but not scored. `SpaceBinding` makes groups from the names in a search space.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError, InvalidSparsityError
from nasviz.graph import ChannelStructure, SearchSpace, Slice
from nasviz.saliency.reductions import RowIndex

__all__ = [
    "GroupScaler",
    "Rows",
    "Select",
    "Selection",
    "SpaceBinding",
    "TensorGroup",
    "count_of",
    "merge",
    "tensors_of",
    "trained_space",
]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some indices along one dimension of a tensor."""

    tensor: Tensor
    dim: int
    index: Tensor
    """Shape `(num_rows,)`, integers."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorGroup:
    """Whole tensors, and rows of others."""

    tensors: tuple[Tensor, ...] = ()
    rows: tuple[Rows, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tensors or self.rows)


def merge(groups: Iterable[TensorGroup]) -> TensorGroup:
    """The union of groups: each tensor once, and no row of a tensor that is in it as a whole.

    Examples:
        >>> scale, weight = torch.ones(4), torch.ones(2, 2)
        >>> first = TensorGroup((weight,), (Rows(scale, 0, torch.tensor([0, 1])),))
        >>> union = merge([first, TensorGroup((), (Rows(scale, 0, torch.tensor([1, 3])),))])
        >>> len(union.tensors), [rows.index.tolist() for rows in union.rows]
        (1, [[0, 1, 3]])
    """
    groups = list(groups)
    whole = {id(tensor): tensor for group in groups for tensor in group.tensors}
    found: dict[tuple[int, int], list[Rows]] = {}
    for group in groups:
        for rows in group.rows:
            if id(rows.tensor) not in whole:
                found.setdefault((id(rows.tensor), rows.dim), []).append(rows)
    return TensorGroup(
        tuple(whole.values()),
        tuple(
            Rows(same[0].tensor, dim, torch.tensor(sorted({i for rows in same for i in rows.index.tolist()})))
            for (_, dim), same in found.items()
        ),
    )


class GroupScaler:
    """A group prepared for being scaled, zeroed and masked at every step, all tensors at a time."""

    def __init__(self, group: TensorGroup) -> None:
        self.group: TensorGroup = merge([group])
        self._tensors = list(self.group.tensors)
        self._factor = _number_like(self._tensors)
        self._row_tensors = list({id(rows.tensor): rows.tensor for rows in self.group.rows}.values())
        self._others = [_others(tensor, self.group.rows) for tensor in self._row_tensors]
        self._chosen = [1 - others for others in self._others]

    @torch.no_grad()
    def scale_(self, factor: float) -> None:
        """Multiply every variable of the group by `factor`, and no other."""
        if self._tensors:
            torch._foreach_mul_(self._tensors, factor if self._factor is None else self._factor.fill_(factor))
        if self._row_tensors:
            factors = torch._foreach_mul(self._chosen, factor)
            torch._foreach_add_(factors, self._others)
            torch._foreach_mul_(self._row_tensors, factors)

    @torch.no_grad()
    def zero_(self) -> None:
        """Set every variable of the group to zero; cheap enough for every step."""
        if self._tensors:
            torch._foreach_zero_(self._tensors)
        if self._row_tensors:
            torch._foreach_mul_(self._row_tensors, self._others)

    @torch.no_grad()
    def drop_gradients_(self) -> None:
        """Take away the gradient of whole tensors, so that they are passed over; zero that of rows."""
        for tensor in self._tensors:
            tensor.grad = None
        pairs = [
            (tensor.grad, others)
            for tensor, others in zip(self._row_tensors, self._others, strict=True)
            if tensor.grad is not None
        ]
        if pairs:
            torch._foreach_mul_([grad for grad, _ in pairs], [others for _, others in pairs])


@torch.no_grad()
def zero_(group: TensorGroup, state: dict[Tensor, dict[str, object]]) -> None:
    """Set a group to zero once and for all, with the buffers that an optimizer keeps for it in `state`."""
    for tensor in group.tensors:
        tensor.zero_()
        for buffer in _buffers(tensor, state):
            buffer.zero_()
    for rows in group.rows:
        index = rows.index.to(rows.tensor.device)
        rows.tensor.index_fill_(rows.dim, index, 0)
        for buffer in _buffers(rows.tensor, state):
            buffer.index_fill_(rows.dim, index.to(buffer.device), 0)


def _buffers(tensor: Tensor, state: dict[Tensor, dict[str, object]]) -> list[Tensor]:
    """Return what an optimizer keeps for each variable of a tensor, such as momentum; no step counts."""
    kept = state[tensor].items() if tensor in state else ()
    return [b for name, b in kept if isinstance(b, Tensor) and b.shape == tensor.shape and name != "step"]


def _number_like(tensors: Sequence[Tensor]) -> Tensor | None:
    """Room for a factor: on the CPU torch makes a plain number a tensor anew each time it multiplies."""
    kinds = {(tensor.dtype, tensor.device.type) for tensor in tensors}
    # Coarser types are multiplied in single precision, and would round a factor of their own type.
    is_exact = len(kinds) == 1 and kinds <= {(torch.float32, "cpu"), (torch.float64, "cpu")}
    return torch.ones((), dtype=tensors[0].dtype) if is_exact else None


def _others(tensor: Tensor, rows: Iterable[Rows]) -> Tensor:
    """0 at those rows that lie in this tensor, 1 elsewhere; broadcasts against the tensor."""
    others = tensor.new_ones([1] * tensor.dim())
    for mine in rows:
        if mine.tensor is tensor:
            line = tensor.new_ones(tensor.shape[mine.dim])
            line[mine.index.to(tensor.device)] = 0
            others = others * line.view([-1 if dim == mine.dim else 1 for dim in range(tensor.dim())])
    return others


@dataclass(frozen=True, slots=True)
class Selection:
    """Redundant structures, and everything that must be zero with them."""

    selected: tuple[int, ...]
    """Chosen structures: these count towards K."""
    orphaned: tuple[int, ...] = ()
    """Structures that get no input any more once the selected ones are gone."""
    members: Mapping[int, TensorGroup] = field(default_factory=dict)
    """For each of both: what goes to zero with it."""
    remainder: TensorGroup = field(default_factory=TensorGroup)
    """What belongs to no single structure, but must be zero once all of them are."""
    is_valid: bool = True
    """Whether what is left stays connected; only a selection without hierarchy can lose that."""

    def __post_init__(self) -> None:
        named = {*self.selected, *self.orphaned}
        if len(named) < len(self.selected) + len(self.orphaned) or named != set(self.members):
            raise InvalidSettingError(
                f"a selection names each structure once, with its tensors: got selected {self.selected},"
                f" orphaned {self.orphaned} and tensors of {tuple(self.members)}"
            )

    @property
    def group(self) -> TensorGroup:
        """Everything that must be zero in the end."""
        return merge([*self.members.values(), self.remainder])


Select = Callable[[Mapping[int, float]], Selection]
"""Scores of all structures to the structures that go; asked when the warm-up ends.

Structures that an earlier selection has brought to zero score -inf: they must be selected again.
"""


class SpaceBinding:
    """A search space tied to the parameters of the network it was generated from.

    Raises:
        InvalidSettingError: The space names parameters that the network does not hold.
    """

    def __init__(self, net: nn.Module, space: SearchSpace) -> None:
        self.space = space
        self._parameters: dict[str, Tensor] = dict(net.named_parameters(remove_duplicate=False))
        self._buffers: dict[str, Tensor] = dict(net.named_buffers(remove_duplicate=False))
        self.groups: dict[int, TensorGroup] = {
            s.id: self._group(s.parameter_names, ()) for s in space.removable
        }
        """What each removable structure owns."""

    def members(self) -> dict[int, TensorGroup]:
        """Return what each removable structure owns and entails."""
        return {s.id: self._group(s.parameter_names, s.entailed) for s in self.space.removable}

    def whole_group(self, erased: Iterable[int]) -> TensorGroup:
        """Everything that must be zero when these structures go, what they orphan included.

        Raises:
            InvalidSparsityError: They may not go together.
        """
        whole = self.space.group(erased)
        return self._group(whole.tensors, whole.rows)

    def select(
        self,
        scores: Mapping[int, float],
        k: int,
        *,
        count: int | None = None,
        hierarchical: bool = True,
        lookahead: bool = True,
    ) -> Selection:
        """The structures of lowest score that go, with all that goes to zero with them.

        Args:
            scores: Of each removable structure.
            k: How many are to go in the end.
            count: How many of them go now, leaving room for the rest; all `k` when left out.
            hierarchical: Whether what is left must stay connected. Where it does not, nothing follows the
                selected structures to zero, because nothing is left to be constructed.
            lookahead: Whether the selection makes sure that `k` are found.
        """
        selected = self.space.select(scores, k, hierarchical, lookahead)[:count]
        is_valid = hierarchical or self.space.is_valid(selected)
        gone = self.space.closure(selected) if is_valid else frozenset(selected)
        orphaned = tuple(sorted(gone.intersection(self.groups).difference(selected)))
        found = (self.space.structure(i) for i in (*selected, *orphaned))
        members = {s.id: self._group(s.parameter_names, s.entailed) for s in found}
        if not is_valid:
            return Selection(selected, orphaned, members, is_valid=False)
        taken = {id(tensor) for member in members.values() for tensor in member.tensors}
        whole = self.space.group(selected)
        for name in whole.tensors:
            # No gradient moves a buffer to zero, such as the shift of a frozen norm: it goes at once.
            if (buffer := self._buffers.get(name)) is not None:
                buffer.zero_()
        group = self._group(whole.tensors, whole.rows)
        left = tuple(tensor for tensor in group.tensors if id(tensor) not in taken)
        return Selection(selected, orphaned, members, TensorGroup(left, group.rows))

    def channel_index(self, structures: Iterable[ChannelStructure] | None = None) -> RowIndex:
        """The channel groups as rows of the network's parameters; those of some channel structures alone."""
        chosen = self.space.channels.slimmable if structures is None else tuple(structures)
        owners: dict[tuple[str, int], list[int]] = {}
        for structure in chosen:
            for member in structure.members:
                if member.is_zeroed and member.tensor in self._parameters:
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
        """Select the channel groups of lowest score that can go; their rows of buffers are zero from now on.

        Args:
            scores: Of each channel group.
            gone: Structures that go; groups inside of them do not count.
            slim: How many groups go: an int counts them, a float is the share of those that are left.
            divisible: What the widths that are left shall be multiples of.
        """
        selected = tuple(gone)
        closure = self.space.closure(selected) if self.space.is_valid(selected) else frozenset(selected)
        erased = set(self.space.segments.vertices_of(closure))
        channels = self.space.channels
        left = sum(s.width for s in channels.slimmable if not erased.issuperset(s.stems))
        k = min(count_of(slim, left, "slim", "channel groups"), channels.max_groups(erased=erased))
        chosen = channels.select(scores, k, divisible=divisible, erased=erased)
        for rows in channels.slices(chosen):
            if (buffer := self._buffers.get(rows.tensor)) is not None:
                buffer.index_fill_(rows.dim, torch.tensor(rows.rows, device=buffer.device), 0)
        return chosen

    def _group(self, names: Iterable[str], slices: Iterable[Slice]) -> TensorGroup:
        return TensorGroup(
            tuple(self._parameter(name) for name in names if name not in self._buffers),
            tuple(
                Rows(self._parameter(s.tensor), s.dim, torch.tensor(s.rows))
                for s in slices
                if s.tensor not in self._buffers
            ),
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
