"""Structures on their way to zero, and which of them are zero already.

What the half-space test decides stays on the device: a structure that has left its half-space is multiplied
by zero there, step after step, and nobody waits for the answer until it is read. On the CPU reading costs
nothing, so it is done at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from nasviz.optim.directions import ParameterHistory
from nasviz.optim.groups import GroupScaler, TensorGroup, merge
from nasviz.optim.halfspace import has_left_halfspace
from nasviz.saliency import StructureIndex

__all__ = ["RedundantGroups"]


class RedundantGroups:
    """Structures with all that goes to zero with them.

    Args:
        members: For each structure its own tensors, and the rows that it entails.
        remainder: What becomes zero with the last of them.

    Examples:
        >>> x = torch.tensor([3.0, 4.0])
        >>> redundant = RedundantGroups({7: TensorGroup((x,))})
        >>> before = redundant.history.start()
        >>> x -= torch.tensor([2.0, 6.0])
        >>> redundant.judge(before, epsilon=0.0, step=3)
        >>> redundant.read()
        {7: 3}
    """

    def __init__(self, members: Mapping[int, TensorGroup], remainder: TensorGroup | None = None) -> None:
        self.index = StructureIndex({i: group.tensors for i, group in members.items()})
        self.is_lazy: bool = self.index.device.type != "cpu"
        """Whether reading a decision would make the host wait."""
        self._groups = [*members.values(), remainder or TensorGroup()]
        self._scaler = GroupScaler(merge(self._groups if members else []))
        self.history = ParameterHistory(self.index.tensors)
        self._zero_since: Tensor | None = None
        """Step at which each structure left its half-space, on the device; -1 where it has not."""

    def __bool__(self) -> bool:
        return bool(self.index.ids)

    @property
    def num_zero(self) -> Tensor:
        """How many of the structures are zero, on the device."""
        if self._zero_since is None:
            return torch.zeros((), dtype=torch.int64, device=self.index.device)
        return (self._zero_since >= 0).sum()

    @torch.no_grad()
    def judge(self, before: Sequence[Tensor], epsilon: float, step: int = 0) -> None:
        """Note which structures have left at this step the half-space of the point they came from."""
        if not self:
            return
        dot = self.index.dot(self.index.tensors, before)
        if epsilon or self.is_lazy or bool((dot == 0).any()):
            square = self.index.dot(before, before)
        else:  # <trial, x> != 0, so x is not zero; and its length plays no part
            square = torch.ones_like(dot)
        has_left = has_left_halfspace(dot, square, epsilon)
        since = torch.full_like(dot, -1, dtype=torch.int64) if self._zero_since is None else self._zero_since
        self._zero_since = torch.where(has_left & (since < 0), step, since)

    @torch.no_grad()
    def zero_(self) -> None:
        """Multiply by zero what has been judged to be zero."""
        if self._zero_since is None:
            return
        is_zero = self._zero_since >= 0
        is_zero = torch.cat([is_zero, is_zero.all().reshape(1)])  # the remainder goes with the last structure
        whole, rows = self._prepared
        if whole.tensors:
            keeps = whole.filled(whole.per_tensor(1 - is_zero.to(whole.dtype)))
            torch._foreach_mul_(whole.tensors, keeps)
        rows.zero_(is_zero)

    def scale_(self, factor: float) -> None:
        """Multiply everything by `factor`."""
        self._scaler.scale_(factor)

    def read(self) -> dict[int, int]:
        """The structures that have been judged to be zero, with the step; the host waits for the device."""
        if self._zero_since is None:
            return {}
        found = zip(self.index.ids, self._zero_since.tolist(), strict=True)
        return {structure: step for structure, step in found if step >= 0}

    @cached_property
    def _prepared(self) -> tuple[StructureIndex, _OwnedRows]:
        """Whole tensors and rows by owner, arranged when they are first needed."""
        taken: set[int] = set()
        whole: dict[int, list[Tensor]] = {}
        for number, group in enumerate(self._groups):
            whole[number] = [tensor for tensor in group.tensors if id(tensor) not in taken]
            taken.update(map(id, group.tensors))
        return StructureIndex(whole), _OwnedRows(self._groups, self.index.device)


class _OwnedRows:
    """Rows of tensors, each zero as soon as one of its owners is."""

    def __init__(self, groups: Sequence[TensorGroup], device: torch.device) -> None:
        lines: dict[tuple[int, int], tuple[Tensor, int, int]] = {}
        slots: list[int] = []
        owners: list[int] = []
        length = 0
        for owner, group in enumerate(groups):
            for rows in group.rows:
                key = (id(rows.tensor), rows.dim)
                if key not in lines:
                    lines[key] = rows.tensor, rows.dim, length
                    length += rows.tensor.shape[rows.dim]
                slots += [lines[key][2] + row for row in rows.index.tolist()]
                owners += [owner] * len(rows.index)
        self._tensors = [tensor for tensor, _, _ in lines.values()]
        self._shapes = [
            [-1 if d == dim else 1 for d in range(tensor.dim())] for tensor, dim, _ in lines.values()
        ]
        self._lengths = [tensor.shape[dim] for tensor, dim, _ in lines.values()]
        self._slots = torch.tensor(slots, dtype=torch.int64, device=device)
        self._owners = torch.tensor(owners, dtype=torch.int64, device=device)

    def zero_(self, is_zero: Tensor) -> None:
        """Zero the rows whose owner is zero."""
        if not self._tensors:
            return
        keep = torch.ones(sum(self._lengths), device=is_zero.device)
        keep.scatter_reduce_(0, self._slots, 1 - is_zero.float()[self._owners], "amin")
        pieces = torch.split(keep, self._lengths)
        # One tensor may have rows along several dimensions: it is multiplied by each in turn.
        for tensor, piece, shape in zip(self._tensors, pieces, self._shapes, strict=True):
            tensor.mul_(piece.view(shape).to(tensor.dtype))
