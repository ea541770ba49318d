"""Values of switches, and the parameters that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nasviz.errors import ConstructionError
from nasviz.graph import SearchSpace, Switch, is_switch_parameter

__all__ = ["set_switches_", "split_parameters", "switch_values"]


@torch.no_grad()
def switch_values(net: nn.Module, switches: Sequence[Switch]) -> Tensor:
    """Return the factor of each switch, shape `(num_switches,)`; per channel, the mean absolute value.

    Args:
        net: Switched network.
        switches: Switches in the order of `space.switches`.

    Raises:
        ConstructionError: `net` lacks one of them.
    """
    found: dict[str, Tensor] = {}
    parameters = dict(net.named_parameters(remove_duplicate=False))
    for name in dict.fromkeys(switch.parameter for switch in switches):
        if name not in parameters:
            raise ConstructionError(f"the network has no switch {name}; pass that of this search space")
        found[name] = parameters[name].detach()
    softmaxes = {s.parameter for s in switches if s.index is not None}
    weights = {n: t.softmax(0) if n in softmaxes else t for n, t in found.items()}
    values = [
        weights[s.parameter][s.index]
        if s.index is not None
        else weights[s.parameter]
        if weights[s.parameter].dim() == 0
        else weights[s.parameter].abs().mean()
        for s in switches
    ]
    return torch.stack(values) if values else torch.empty(0)


@torch.no_grad()
def set_switches_(net: nn.Module, space: SearchSpace, values: Mapping[str, float]) -> None:
    """Set plain switches, given by vertex, to these values, in place; switches that share parameters follow.

    Raises:
        ConstructionError: There is no such switch, or its factor is part of a softmax.
    """
    by_vertex = {switch.vertex: switch for switch in space.switches}
    for vertex, value in values.items():
        switch = by_vertex.get(vertex)
        if switch is None or switch.index is not None:
            why = "has no such switch" if switch is None else "weighs it by a softmax; settle it first"
            raise ConstructionError(f"cannot set the switch {vertex!r}: the network {why}")
        net.get_parameter(switch.parameter).fill_(value)


def split_parameters(net: nn.Module) -> tuple[dict[str, nn.Parameter], dict[str, nn.Parameter]]:
    """Return the weights and the architecture variables of a network, by name."""
    weights: dict[str, nn.Parameter] = {}
    architecture: dict[str, nn.Parameter] = {}
    for name, parameter in net.named_parameters():
        (architecture if is_switch_parameter(name) else weights)[name] = parameter
    return weights, architecture
