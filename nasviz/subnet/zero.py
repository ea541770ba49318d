"""Projection of the groups of removal structures to zero, and detection of zero groups.

A group holds the parameters of everything that is removed (whole tensors) and the rows of later norms and
biases that must be zero with it, as given by `SearchSpace.group`.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Group, SearchSpace, Slice
from nasviz.graph.space import require_space
from nasviz.trace.parity import require_module

__all__ = [
    "deepcopy_memo",
    "named_tensors",
    "project_to_zero_",
    "random_weights",
    "randomize_zero_group",
    "shallow_copy",
    "unshare_tensors_",
    "zero_channels",
    "zero_structures",
    "zero_tensors",
]


def named_tensors(net: nn.Module) -> dict[str, Tensor]:
    """Return all parameters and buffers under all their names."""
    parameters: dict[str, Tensor] = dict(net.named_parameters(remove_duplicate=False))
    return parameters | dict(net.named_buffers(remove_duplicate=False))


@torch.no_grad()
def project_to_zero_(
    net: nn.Module,
    space: SearchSpace,
    erased: Iterable[int],
    gates: Iterable[int] = (),
    channels: Iterable[int] = (),
) -> None:
    """Set the groups of the closure of `erased` to zero, in place.

    Args:
        net: Traced network, or the user's module that it was traced from.
        space: Its search space.
        erased: Ids of removal structures.
        gates: Ids of gates, which then hold their value at zero.
        channels: Ids of channel groups.

    Raises:
        InvalidSparsityError: The structures or channels cannot be removed together.
        ConstructionError: `net` lacks a parameter of the group.
    """
    require_module("net", net)
    require_space(space)
    group = space.group(erased, gates, channels)
    tensors = _tensors_of(group, net)
    for name in group.tensors:
        tensors[name].zero_()
    _zero_rows_(tensors, group.rows)


@torch.no_grad()
def zero_tensors(net: nn.Module, group: Group) -> dict[str, Tensor]:
    """Return replacements for the tensors of `group`, by name, with the group at zero.

    Whole tensors of zeros are expanded from a single zero, so they must not be written to.

    Raises:
        ConstructionError: `net` lacks a parameter of the group.
    """
    tensors = _tensors_of(group, net)
    fresh = {name: tensors[name].new_zeros(()).expand(tensors[name].shape) for name in group.tensors}
    fresh |= {name: tensors[name].detach().clone() for name in {row.tensor for row in group.rows}}
    _zero_rows_(fresh, group.rows)
    return fresh


def deepcopy_memo(tensors: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[int, Any]:
    """Return a memo for `copy.deepcopy` that shares `tensors`, except for the replacements in `fresh`."""
    memo: dict[int, Any] = {id(tensor): tensor for tensor in tensors.values()}
    for name, value in fresh.items():
        tensor = tensors[name]
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(value, tensor.requires_grad) if is_parameter else value
    return memo


def shallow_copy(net: fx.GraphModule, fresh: Mapping[str, Tensor] | None = None) -> fx.GraphModule:
    """Return a network with its own modules and graph that shares its tensors with `net`, except `fresh`."""
    return copy.deepcopy(net, deepcopy_memo(named_tensors(net), fresh or {}))


def unshare_tensors_(net: nn.Module, other: nn.Module) -> None:
    """Copy the tensors that `net` shares with `other` or expands, in place; tied tensors stay tied."""
    shared = {id(tensor) for tensor in named_tensors(other).values()}
    memo: dict[int, Any] = {}
    for module in net.modules():
        tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for table in tables:
            table.update({k: copy.deepcopy(t, memo) for k, t in table.items() if id(t) in shared})
            table.update({k: _dense(t, memo) for k, t in table.items() if t is not None and _is_expanded(t)})
        # RNN modules keep a second list of their weights.
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


def _is_expanded(tensor: Tensor) -> bool:
    """Return whether several values share one place in memory, as after `expand`."""
    return tensor.layout == torch.strided and any(
        stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)
    )


def _dense(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(tensor) not in memo:
        own = tensor.detach().clone(memory_format=torch.contiguous_format)
        is_parameter = isinstance(tensor, nn.Parameter)
        memo[id(tensor)] = nn.Parameter(own, tensor.requires_grad) if is_parameter else own
    found: Tensor = memo[id(tensor)]
    return found


def _tensors_of(group: Group, net: nn.Module) -> dict[str, Tensor]:
    """Return all tensors of `net`, after a check that those of the group exist."""
    tensors = named_tensors(net)
    if lost := [name for name in (*group.tensors, *(r.tensor for r in group.rows)) if name not in tensors]:
        raise ConstructionError(
            f"the network has no parameter {lost[0]!r}, which the search space contains; "
            "was the space made from another network?"
        )
    return tensors


def _zero_rows_(tensors: Mapping[str, Tensor], rows: Iterable[Slice]) -> None:
    for row in rows:
        tensor = tensors[row.tensor]
        tensor.index_fill_(row.dim, torch.tensor(row.rows, device=tensor.device), 0)


@torch.no_grad()
def randomize_zero_group(
    net: fx.GraphModule, group: Group, space: SearchSpace, plan: ConstructionPlan, *, seed: int = 0
) -> fx.GraphModule:
    """Return `net`, or a copy with random weights for a group that training has already zeroed.

    Agreement is meaningful only if the outputs move when the group goes to zero. A group that is already
    zero, or switched off, moves nothing, so it gets random weights.
    """
    tensors = named_tensors(net)
    silent = {name for name in group.tensors if _is_zero(tensors[name])}
    rows = [] if group.tensors else [row for row in group.rows if not _rows_of(tensors, row).any()]
    is_switched = bool(plan.selected) and not plan.gates
    is_off = is_switched and set(plan.selected).issubset(zero_structures(net, space))
    is_zero = len(silent) == len(group.tensors) if group.tensors else len(rows) == len(group.rows) > 0
    if not (is_zero or (is_off and group.tensors)):
        return net
    randomized = copy.deepcopy(net)
    generator = torch.Generator().manual_seed(seed)
    tensors = named_tensors(randomized)
    for name, tensor in tensors.items():
        if name in silent:
            tensor.copy_(_random_like(tensor, generator))
    for row in rows:
        tensor = tensors[row.tensor]
        index = torch.tensor(row.rows, device=tensor.device)
        tensor.index_copy_(row.dim, index, _random_like(tensor, generator).index_select(row.dim, index))
    _reset_statistics_(randomized, group.tensors)
    _reset_rows_(randomized, rows)
    return randomized


def random_weights(net: nn.Module, touched: Collection[str], seed: int) -> dict[str, Tensor]:
    """Return random replacements for every zero weight that is not in `touched`, by name.

    Only weights multiply what a network computes; zeros that are added, such as a class token, hide nothing.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        name: _random_like(parameter, generator)
        for name, parameter in net.named_parameters()
        if name.endswith("weight") and parameter.dim() > 1 and name not in touched and _is_zero(parameter)
    }


def _random_like(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return random numbers that preserve the scale of what a weight of this shape multiplies."""
    fan_in = max(1, like[0].numel() if like.dim() > 1 else 1)
    drawn = torch.randn(like.shape, generator=generator, dtype=torch.float32)
    return drawn.mul_(fan_in**-0.5).to(like)


def _rows_of(tensors: Mapping[str, Tensor], row: Slice) -> Tensor:
    tensor = tensors[row.tensor]
    return tensor.index_select(row.dim, torch.tensor(row.rows, device=tensor.device))


def _reset_statistics_(net: fx.GraphModule, names: Iterable[str]) -> None:
    """Reset norms: tiny variances after training at zero would amplify random weights in every norm."""
    tensors = named_tensors(net)
    for path in {name.rpartition(".")[0] for name in names}:
        for statistic, value in (("running_mean", 0.0), ("running_var", 1.0)):
            if f"{path}.{statistic}" in tensors:
                tensors[f"{path}.{statistic}"].fill_(value)


def _reset_rows_(net: fx.GraphModule, rows: Iterable[Slice]) -> None:
    """Reset the statistics of some channels of norms."""
    tensors = named_tensors(net)
    for row in rows:
        path = row.tensor.rpartition(".")[0]
        for statistic, value in (("running_mean", 0.0), ("running_var", 1.0)):
            if (kept := tensors.get(f"{path}.{statistic}")) is not None:
                kept.index_fill_(0, torch.tensor(row.rows, device=kept.device), value)


@torch.no_grad()
def zero_structures(net: nn.Module, space: SearchSpace) -> tuple[int, ...]:
    """Return the ids of removable structures whose switch, or all of whose parameters, are exactly zero."""
    tensors = named_tensors(net)
    return tuple(
        s.id
        for s in space.removable
        if (s.switch is not None and _is_zero(tensors[s.switch]))
        or all(_is_zero(tensors[name]) for name in s.parameter_names)
    )


def _which_are_zero(tensor: Tensor, dim: int) -> list[bool]:
    """Return for each index along a dimension whether all entries there are zero."""
    lines = tensor.movedim(dim, 0)
    found: list[bool] = (~lines.reshape(len(lines), -1).any(1)).tolist()
    return found


def _is_zero(tensor: Tensor) -> bool:
    """Return whether a tensor is zero; its first row usually decides, which saves a full pass."""
    return not bool(tensor[:1].any()) and not bool(tensor.any()) if tensor.dim() else not bool(tensor)


@torch.no_grad()
def zero_channels(net: nn.Module, space: SearchSpace, erased: Iterable[int] = ()) -> tuple[int, ...]:
    """Return the ids of channel groups that are exactly zero wherever they are read, outside of `erased`.

    Either all rows of a group are zero, or just enough of them: the filter and its bias if no norm follows,
    scale and shift of the norm after it. If an operator would lose all its channels, its first group is kept.
    """
    tensors, channels = named_tensors(net), space.channels
    zero_rows = {(name, dim): _which_are_zero(tensors[name], dim) for name, dim in channels.rows}
    return channels.silent(zero_rows, set(space.segments.vertices_of(space.closure(erased))))
