"""Discretisation: which operations a search leaves, by the weights of its switches (DARTS, section 2.4).

Of each softmax the strongest operation stays; of these each node keeps the strongest few. In a cell a softmax
weighs the candidates of one edge, so each node keeps its strongest edges with their best operations. Where
one softmax weighs all operands of a joint, its strongest operand stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasviz.errors import InvalidSettingError
from nasviz.graph.structures.switches import Switch, by_node

if TYPE_CHECKING:
    from nasviz.graph.space import SearchSpace

__all__ = ["NONE", "Derivation", "derive", "erase_what_can"]

NONE = "none"
"""Name of the operation that DARTS never keeps."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """What is left of a search space."""

    kept: tuple[Switch, ...]
    """What was chosen."""
    erased: tuple[int, ...]
    """Ids of the structures that go."""
    spared: Mapping[int, str]
    """Structures that were not chosen and stay all the same, with the reason in words."""


def derive(
    space: SearchSpace,
    weights: Sequence[float],
    settled: SearchSpace,
    *,
    edges_per_node: int = 2,
    never: Collection[str] = (NONE,),
) -> Derivation:
    """Choose what stays.

    Structures go from the weakest on; one that cannot go any more without cutting the network apart stays.

    Args:
        space: A search space with switches.
        weights: What each switch is worth, in the order of `space.switches`; equal ones go by that order.
        settled: The same space after `settle_switches`, where each operation can go by itself.
        edges_per_node: How many softmaxes each node keeps an operation of; 0 for all.
        never: Operations that are not chosen: last components of the paths of modules, or names.

    Raises:
        InvalidSettingError: There is not one weight for each switch, or there are no switches.
    """
    switches = space.switches
    if len(weights) != len(switches) or not switches or edges_per_node < 0:
        raise InvalidSettingError(
            f"{len(weights)} weights for {len(switches)} switches, edges_per_node={edges_per_node}: give one"
            " weight for each switch, of which there must be one, and edges_per_node from 0 on"
        )
    value = {switch.vertex: float(weight) for switch, weight in zip(switches, weights, strict=True)}
    kept: list[Switch] = []
    for members in by_node(switches).values():
        softmaxes: dict[str, list[Switch]] = {}
        for switch in members:
            softmaxes.setdefault(_choice(switch), []).append(switch)
        best = [
            max(found, key=lambda s: value[s.vertex])
            for candidates in softmaxes.values()
            if (found := [s for s in candidates if not _is_called(space, s, never)])
        ]
        best.sort(key=lambda s: -value[s.vertex])
        kept += best[: edges_per_node or None]
    stays = {switch.vertex for switch in kept}
    order = {switch.vertex: place for place, switch in enumerate(switches)}
    kept.sort(key=lambda s: order[s.vertex])
    goes = sorted((s for s in switches if s.vertex not in stays), key=lambda s: value[s.vertex])
    erased, spared = erase_what_can(settled, goes)
    return Derivation(tuple(kept), erased, spared)


def _choice(switch: Switch) -> str:
    """What a switch competes in: its softmax at its edge; one without a softmax stands for itself."""
    return switch.vertex if switch.index is None else switch.parameter


def _is_called(space: SearchSpace, switch: Switch, names: Collection[str]) -> bool:
    if switch.name in names:
        return True
    if switch.source not in space.trace:
        return False
    source = space.trace[switch.source]
    return any(path.rpartition(".")[2] in names for path in (*source.scope, source.module))


def erase_what_can(space: SearchSpace, goes: Sequence[Switch]) -> tuple[tuple[int, ...], dict[int, str]]:
    """Ids of as many structures as can go together, in the order given, and why the others stay."""
    removable = {s.id for s in space.removable}
    reasons = {s.id: s.reason or "" for s in space.structures if not s.is_removable}
    ids = list(dict.fromkeys(switch.structure for switch in goes))
    spared = {i: reasons.get(i, "nothing can be erased here") for i in ids if i not in removable}
    wanted = [i for i in ids if i in removable]
    if space.is_valid(wanted):
        return tuple(sorted(wanted)), spared
    erased: list[int] = []
    for i in wanted:
        if space.is_valid([*erased, i]):
            erased.append(i)
        else:
            spared[i] = "without it an output would be cut off"
    return tuple(sorted(erased)), spared
