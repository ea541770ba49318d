"""Groups of variables that go to zero together: whole tensors, and rows of further tensors.

The rows are what a structure entails: entries of the norms and biases that read its channels behind a
concatenation. They are scaled and zeroed with their structure, but not scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["GroupScaler", "Rows", "TensorGroup", "merge"]


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
    """What an optimizer keeps for each variable of a tensor, such as momentum; not its count of steps."""
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
