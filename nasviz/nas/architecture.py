"""Architecture parameters on any network: put in as switches, read in training, derived from at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace, by_edge, by_node
from nasviz.graph.cells.genotypes import Derivation, derive
from nasviz.graph.cells.insertions import branches, places
from nasviz.graph.segments import modules_like
from nasviz.nas.latency import LatencyPenalty
from nasviz.nas.latency_table import measure_operations
from nasviz.settings import DECISIVE
from nasviz.subnet import Subnetwork, construct
from nasviz.subnet.construct import size_of
from nasviz.switches import Switched, add_switches, fold_switches, set_switches_, settle_switches
from nasviz.trace import TracedNetwork

__all__ = [
    "OVER",
    "Architecture",
    "Decidedness",
    "Derived",
    "construct_derived",
    "decidedness",
    "derived_network",
    "with_architecture",
]

OVER = ("auto", "edge", "node")


def with_architecture(
    net: TracedNetwork,
    space: SearchSpace,
    *,
    kind: str = "softmax",
    over: str = "auto",
    cells: Iterable[str] | None = None,
    generator: Generator | None = None,
) -> Switched:
    """Weigh the operations of a network by architecture parameters, or softmaxes of them (DARTS, equation 2).

    The result shares weights with `net`, which is left as it was.

    Args:
        net: A traced network.
        space: Its search space.
        kind: `softmax`, or `plain`: the parameters are the weights themselves, and begin at 1 (SparseNAS).
        over: `edge`: one softmax for the candidates of each edge; `node`: one for all that comes into a
            joint; `auto`: `edge` where edges with several candidates meet at a node, as in cells.
        cells: Classes or paths of cells. Operations at the same place of cells of one type share their
            parameters, and only what is summed inside of cells is searched, as in DARTS: neither the
            concatenation of their nodes nor what is between them. When left out, all modules whose class is
            called `...Cell` and occurs more than once.
        generator: Draws the parameters, of the order of 0.001; all zero when left out.

    Raises:
        InvalidSettingError: `over` is none of those that there are.
        GraphError: The network has no operations to choose between.
        UnknownVertexError: A cell names no module.
    """
    if over not in OVER:
        raise InvalidSettingError(f"over={over!r}: choose one of {', '.join(OVER)}")
    chosen = tuple(_cells(space) if cells is None else cells)
    trial = add_switches(net, space, kind="softmax", over="edge").space
    where: str | list[str] = "all"
    if chosen:
        where = _in_cells(space, chosen) or "all"
    if over == "auto":
        over = "edge" if _is_cellular(trial) else "node"
    if kind == "plain":
        return add_switches(net, space, where=where, cells=chosen)
    return add_switches(net, space, kind=kind, over=over, where=where, cells=chosen, generator=generator)


def _cells(space: SearchSpace) -> list[str]:
    classes = list(space.trace.modules.values())
    return sorted({c for c in classes if c.endswith("Cell") and classes.count(c) > 1})


def _in_cells(space: SearchSpace, cells: Iterable[str]) -> list[str]:
    """Names, for `add_switches`, of the operations that sums inside of cells read."""
    paths, trace = modules_like(space.trace, cells, "search"), space.trace
    return [
        place.key
        for place in places(space, frozenset({"add", "sub"}))
        if all(reader in trace and paths.intersection(trace[reader].scope) for reader in place.readers)
    ]


def _is_cellular(space: SearchSpace) -> bool:
    """Return whether some node is fed by several edges of several candidates each."""
    crowded = {edge for edge, members in by_edge(space.switches).items() if len(members) > 1}
    return any(
        len({switch.edge for switch in members} & crowded) > 1 for members in by_node(space.switches).values()
    )


class Architecture:
    """The architecture parameters of a network with switches, all at a time.

    Args:
        net: The network.
        space: Its search space; `space.switches` says what the parameters weigh.

    Raises:
        InvalidSettingError: The network has no switches.
    """

    def __init__(self, net: nn.Module, space: SearchSpace) -> None:
        if not space.switches:
            raise InvalidSettingError("this network has no architecture parameters; add switches first")
        self.space = space
        names = list(dict.fromkeys(switch.parameter for switch in space.switches))
        self.parameters: list[nn.Parameter] = [net.get_parameter(name) for name in names]
        """Each once, in the order in which the network first reads them."""
        places = {name: index for index, name in enumerate(names)}
        self._rows = [places[switch.parameter] for switch in space.switches]
        self._columns = [switch.index or 0 for switch in space.switches]
        self._is_softmax = torch.tensor([switch.index is not None for switch in space.switches])
        self.structure_ids = tuple(sorted({switch.structure for switch in space.switches}))
        """Structures that a switch silences."""
        at = {structure: place for place, structure in enumerate(self.structure_ids)}
        self._at = torch.tensor([at[switch.structure] for switch in space.switches])

    @torch.no_grad()
    def weights(self) -> Tensor:
        """Return what each switch is worth now, in the order of `space.switches`; on the device."""
        flat = [p.detach().reshape(-1) for p in self.parameters]
        padded = pad_sequence(flat, batch_first=True, padding_value=float("-inf"))
        rows, columns = (torch.tensor(x, device=padded.device) for x in (self._rows, self._columns))
        shares = padded.softmax(dim=1)[rows, columns]
        plain = padded[rows, columns]
        return torch.where(self._is_softmax.to(padded.device), shares, plain)

    def by_structure(self) -> Tensor:
        """The weight of each structure of `structure_ids`; the largest where several switches silence it."""
        weights = self.weights()
        made = weights.new_full((len(self.structure_ids),), float("-inf"))
        return made.scatter_reduce(0, self._at.to(weights.device), weights, "amax")

    def latency_penalty(self, net: TracedNetwork, inputs: tuple[Any, ...], **settings: Any) -> LatencyPenalty:
        """P of the latencies that the candidates have on the device where `inputs` are, in milliseconds.

        Tied cells count once each: their operations add up.

        Args:
            net: The network, on the device.
            inputs: Its arguments, there.
            **settings: Those of `measure_operations`.
        """
        operations = branches(self.space)
        ordered = [operations[switch.vertex] for switch in self.space.switches]
        taken = measure_operations(net, inputs, ordered, **settings).to(torch.float32)
        table = [torch.zeros(parameter.numel()) for parameter in self.parameters]
        for row, column, value in zip(self._rows, self._columns, taken, strict=True):
            table[row][column] += value
        return LatencyPenalty(table)


@dataclass(frozen=True, slots=True)
class Decidedness:
    """How clearly the softmaxes of a search prefer one operation."""

    num_choices: int
    """Number of softmaxes; those of tied cells count once."""
    num_decided: int
    """Number of those whose largest share is at least `DECISIVE` times the next."""
    largest: float
    """Largest share of all softmaxes."""
    even: float
    """Share of each operation in that softmax before the search."""

    @property
    def is_decided(self) -> bool:
        """Whether every choice is decided."""
        return self.num_decided == self.num_choices

    def __str__(self) -> str:
        found = f"{self.num_decided} of {self.num_choices} choices are decided"
        return f"{found}; the largest share is {self.largest:.3f}, an even one is {self.even:.3f}"


def decidedness(space: SearchSpace, weights: Sequence[float]) -> Decidedness | None:
    """Return how decided a search with softmaxes is; None for one without.

    Args:
        space: The space with switches.
        weights: Share of each switch, in the order of `space.switches`.
    """
    shares: dict[str, dict[int, float]] = {}
    for switch, weight in zip(space.switches, weights, strict=True):
        if switch.index is not None:
            shares.setdefault(switch.parameter, {})[switch.index] = weight
    choices = [sorted(found.values(), reverse=True) for found in shares.values() if len(found) > 1]
    if not choices:
        return None
    largest = max(choices, key=lambda found: found[0])
    num_decided = sum(found[0] >= DECISIVE * found[1] for found in choices)
    return Decidedness(len(choices), num_decided, largest[0], 1 / len(largest))


@dataclass(frozen=True)
class Derived:
    """A network in which every switch is 1 or 0, and what that leaves."""

    network: TracedNetwork
    space: SearchSpace
    derivation: Derivation

    @cached_property
    def erased(self) -> tuple[int, ...]:
        """Ids of the structures that go."""
        return self.derivation.erased


def derived_network(net: TracedNetwork, space: SearchSpace, *, edges_per_node: int = 2) -> Derived:
    """Choose what stays by the weights of now; what stays counts fully, the rest not at all.

    The weights are shared with `net`, the switches are not: they are let go of their softmaxes and ties, and
    what could not go, though it was not chosen, stays at its weight.

    Args:
        net: The network with switches.
        space: Its search space.
        edges_per_node: How many softmaxes each node keeps an operation of; 0 for all.
    """
    weights = Architecture(net, space).weights().tolist()
    settled = settle_switches(net, space)
    found = derive(space, weights, settled.space, edges_per_node=edges_per_node)
    erased, kept = set(found.erased), {switch.vertex for switch in found.kept}
    values = {s.vertex: 0.0 for s in settled.space.switches if s.structure in erased}
    values |= dict.fromkeys(kept, 1.0)
    set_switches_(settled.network, settled.space, values)
    return Derived(settled.network, settled.space, found)


def construct_derived(derived: Derived) -> Subnetwork:
    """The exact sub-network of what was derived, with the switches that are 1 folded away.

    Raises:
        ConstructionError: It does not compute what `derived.network` computes.
    """
    sub = construct(derived.network, derived.space, derived.erased)
    folded = fold_switches(sub.module)
    params = sum(parameter.numel() for parameter in folded.parameters())
    report = replace(sub.report, params_after=params, bytes_after=size_of(folded))
    return replace(sub, module=folded, report=report)
