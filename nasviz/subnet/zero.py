"""Project the groups of removal structures to zero, and read from the weights which groups are zero.

A group holds the own parameters of everything that goes (whole tensors) and the rows of later norms and
biases that must be zero with it; `SearchSpace.group` names them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError
from nasviz.graph import SearchSpace

__all__ = ["named_tensors", "project_to_zero_", "with_lively_group", "zero_structures"]


def named_tensors(net: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers under every name they have."""
    parameters: dict[str, Tensor] = dict(net.named_parameters(remove_duplicate=False))
    return parameters | dict(net.named_buffers(remove_duplicate=False))


@torch.no_grad()
def project_to_zero_(
    net: nn.Module, space: SearchSpace, erased: Iterable[int], gates: Iterable[int] = ()
) -> None:
    """Set all that must be zero when `erased` goes to zero, in place: the groups of its closure.

    Args:
        net: The traced network, or the user's module that it was traced from.
        space: Its search space.
        erased: Ids of removal structures.
        gates: Ids of gates, which then hold their value at zero.

    Raises:
        InvalidSparsityError: The structures may not go together.
        ConstructionError: `net` lacks a parameter of the group.
    """
    group = space.group(erased, gates)
    tensors = named_tensors(net)
    if lost := [name for name in (*group.tensors, *(r.tensor for r in group.rows)) if name not in tensors]:
        raise ConstructionError(
            f"the network has no parameter {lost[0]!r}, which the search space names; "
            "was the space made from another network?"
        )
    for name in group.tensors:
        tensors[name].zero_()
    for row in group.rows:
        tensor = tensors[row.tensor]
        tensor.index_fill_(row.dim, torch.tensor(row.rows, device=tensor.device), 0)


@torch.no_grad()
def with_lively_group(
    net: fx.GraphModule,
    space: SearchSpace,
    erased: Iterable[int],
    gates: Iterable[int] = (),
    *,
    seed: int = 0,
) -> fx.GraphModule:
    """`net` itself, or a copy with weights drawn for a group that training has already silenced.

    How much outputs move when a group goes to zero tells whether agreement afterwards means anything. A
    group that is zero already, or switched off, moves nothing: what is zero is drawn anew to measure that.
    """
    erased, gates = tuple(erased), tuple(gates)
    group, tensors = space.group(erased, gates), named_tensors(net)
    silent = {name for name in group.tensors if not tensors[name].any()}
    is_off = bool(erased) and not gates and set(erased).issubset(zero_structures(net, space))
    if not group.tensors or not (is_off or len(silent) == len(group.tensors)):
        return net
    lively = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in named_tensors(lively).items():
        if name in silent:
            fan_in = max(1, tensor[0].numel() if tensor.dim() > 1 else 1)
            drawn = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            tensor.copy_(drawn * fan_in**-0.5)
    _forget_statistics_(lively, group.tensors)
    return lively


def _forget_statistics_(net: fx.GraphModule, names: Iterable[str]) -> None:
    """Norms that saw zeros for long divide by nothing: several in a row would blow drawn weights up."""
    tensors = named_tensors(net)
    for path in {name.rpartition(".")[0] for name in names}:
        for statistic, value in (("running_mean", 0.0), ("running_var", 1.0)):
            if f"{path}.{statistic}" in tensors:
                tensors[f"{path}.{statistic}"].fill_(value)


@torch.no_grad()
def zero_structures(net: nn.Module, space: SearchSpace) -> tuple[int, ...]:
    """Ids of the removable structures whose switch, or whose own parameters all, are exactly zero."""
    tensors = named_tensors(net)
    return tuple(
        s.id
        for s in space.removable
        if (s.switch is not None and not tensors[s.switch].any())
        or not any(bool(tensors[name].any()) for name in s.parameter_names)
    )
