"""Cells of DARTS (Liu et al., 2019, section 2.1), of super-networks and derived networks.

A cell reads the outputs of the two previous cells, maps both to C channels, computes its nodes in order, each
from all before it, and concatenates them. In a super-network each edge sums all its operations, without
architecture weights unless they are passed to `forward`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add

import torch
from torch import Tensor, nn

from nasviz.catalog.genotype import Genotype
from nasviz.errors import InvalidSettingError
from nasviz.models.operations import OPERATIONS, FactorizedReduce, Norms, relu_conv_norm
from nasviz.subnet.stochastic_depth import StochasticDepth

__all__ = [
    "Cell",
    "CellConfig",
    "DerivedCell",
    "MixedOperation",
    "SearchCell",
    "edge_operations",
    "edges_of",
]


@dataclass(frozen=True, slots=True)
class CellConfig:
    """Channels and strides of a cell within its network."""

    before_last: int
    """Channels of the cell before the previous one."""
    last: int
    """Channels of the previous cell."""
    channels: int
    """C of this cell; its output has C channels per node."""
    is_reduction: bool = False
    """Whether it halves height and width."""
    follows_reduction: bool = False
    """Whether the previous cell did, so that the input from the one before is twice as large."""


def edges_of(num_nodes: int, num_inputs: int = 2) -> tuple[tuple[int, int], ...]:
    """Return the edges of a full cell: pairs of (state, node that reads it), in the order of DARTS.

    States count the cell inputs first, then the nodes; nodes count from 0.

    Examples:
        >>> edges_of(2)
        ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))
    """
    return tuple((state, node) for node in range(num_nodes) for state in range(num_inputs + node))


def total(values: Iterable[Tensor]) -> Tensor:
    """Return the sum from left to right, without the initial zero of `sum`."""
    return reduce(add, values)


class MixedOperation(nn.Module):
    """Sum of all operations of one edge.

    Args:
        operations: Names of the operations.
        channels: Channels of input and output.
        stride: 1 or 2.
        norms: Configuration of the norms.
    """

    def __init__(self, operations: Sequence[str], channels: int, stride: int, norms: Norms) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {name: OPERATIONS[name](channels, stride, norms) for name in operations}
        )

    def forward(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the sum, weighted by `weights` (one per operation) if given."""
        results = [operation(x) for operation in self.operations.values()]
        if weights is not None:
            results = [weight * result for weight, result in zip(weights, results, strict=True)]
        return total(results)


class _Preprocessing(nn.Module):
    """Preprocessing of a cell: both inputs are mapped to C channels and one size."""

    def __init__(self, config: CellConfig, norms: Norms) -> None:
        super().__init__()
        if config.follows_reduction:
            self.first: nn.Module = FactorizedReduce(config.before_last, config.channels, norms)
        else:
            self.first = relu_conv_norm(config.before_last, config.channels, norms=norms)
        self.second = relu_conv_norm(config.last, config.channels, norms=norms)

    def forward(self, before_last: Tensor, last: Tensor) -> list[Tensor]:
        """Return the first two states of the cell."""
        return [self.first(before_last), self.second(last)]


class Cell(nn.Module):
    """A cell of a cell network, which reads the outputs of the two previous cells."""

    out_channels: int


class SearchCell(Cell):
    """A cell of a super-network: every edge carries all its operations.

    Args:
        config: Configuration of the cell.
        operations: Names for all edges, or one sequence of names per edge, in the order of
            `edges_of`, as in the spaces S1 to S4 of RobustDARTS.
        num_nodes: Number of nodes to compute and concatenate.
        norms: Configuration of the norms.

    Shapes:
        Two of `(N, C', H, W)` to `(N, num_nodes * C, H, W)`, with H and W halved in a reduction cell.
    """

    def __init__(
        self,
        config: CellConfig,
        operations: Sequence[str] | Sequence[Sequence[str]],
        num_nodes: int = 4,
        norms: Norms | None = None,
    ) -> None:
        super().__init__()
        norms = norms or Norms()
        self.num_nodes = num_nodes
        self.out_channels = num_nodes * config.channels
        self.entry = _Preprocessing(config, norms)
        edges = edges_of(num_nodes)
        self.edges = nn.ModuleList(
            MixedOperation(names, config.channels, 2 if config.is_reduction and state < 2 else 1, norms)
            for (state, _), names in zip(edges, edge_operations(operations, len(edges)), strict=True)
        )

    def forward(self, before_last: Tensor, last: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Return the concatenated nodes; `weights` holds one vector per edge, over its operations."""
        states: list[Tensor] = self.entry(before_last, last)
        starts = [0, *(len(edges_of(n + 1)) for n in range(self.num_nodes))]
        for start, end in pairwise(starts):
            reads = [
                self.edges[e](states[e - start], None if weights is None else weights[e])
                for e in range(start, end)
            ]
            states.append(total(reads))
        return torch.cat(states[2:], dim=1)


class DerivedCell(Cell):
    """A cell with the operations that a search has kept. Nodes without inputs are left out.

    Args:
        config: Configuration of the cell.
        genotype: Genotype of the network; reduction cells use `reduce`, others `normal`.
        norms: Configuration of the norms.
        drop_path: Probability with which training drops an operation other than an identity, per sample
            (ScheduledDropPath; Zoph et al., 2018).
    """

    def __init__(
        self, config: CellConfig, genotype: Genotype, norms: Norms | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        norms = norms or Norms()
        choice = genotype.cell("reduce" if config.is_reduction else "normal")
        self.nodes, self.concat = choice.nodes, choice.concat
        self.out_channels = config.channels * len(self.concat)
        self.entry = _Preprocessing(config, norms)
        self.operations = nn.ModuleList(
            OPERATIONS[name](config.channels, 2 if config.is_reduction and state < 2 else 1, norms)
            for node in self.nodes
            for name, state in node
        )
        if drop_path:
            self.drops = nn.ModuleList(
                nn.Identity() if isinstance(operation, nn.Identity) else StochasticDepth(drop_path)
                for operation in self.operations
            )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        """Return the concatenated nodes."""
        states: list[Tensor | None] = [*self.entry(before_last, last)]
        drops = self.drops if hasattr(self, "drops") else [nn.Identity()] * len(self.operations)
        operations = iter(zip(self.operations, drops, strict=True))
        for node in self.nodes:
            results = []
            for _, state in node:
                x = states[state]
                assert x is not None, "no node reads a node without inputs"
                operation, drop = next(operations)
                results.append(drop(operation(x)))
            states.append(total(results) if results else None)
        return torch.cat([states[state] for state in self.concat], dim=1)  # type: ignore[misc]


def edge_operations(
    operations: Sequence[str] | Sequence[Sequence[str]], num_edges: int
) -> list[tuple[str, ...]]:
    """Return the operation names of each edge.

    Raises:
        InvalidSettingError: A name is unknown, or the number of edges differs.

    Examples:
        >>> edge_operations(["none", "skip_connect"], 2)
        [('none', 'skip_connect'), ('none', 'skip_connect')]
    """
    if all(isinstance(name, str) for name in operations):
        found = [tuple(str(name) for name in operations)] * num_edges
    else:
        found = [tuple(names) for names in operations]
    if unknown := sorted({name for names in found for name in names} - OPERATIONS.keys()):
        raise InvalidSettingError(
            f"unknown operation {', '.join(map(repr, unknown))}; choose from {', '.join(OPERATIONS)}"
        )
    if len(found) != num_edges or not all(found):
        raise InvalidSettingError(
            f"operations are given for {len(found)} edges, {sum(map(bool, found))} of them nonempty; this"
            f" cell has {num_edges} edges, and each needs at least one operation, such as 'none'"
        )
    return found
