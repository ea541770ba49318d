"""Cells of DARTS (Liu et al., 2019, section 2.1): of a super-network, and of what was derived from one.

A cell reads the outputs of the two cells before it, brings both to C channels, computes its nodes one after
the other, each from all before it, and concatenates them. In a super-network each edge sums all its
operations; there are no architecture weights, unless some are handed to `forward`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add

import torch
from torch import Tensor, nn

from nasviz.errors import InvalidSettingError
from nasviz.models.operations import OPERATIONS, FactorizedReduce, Norms, relu_conv_norm

__all__ = ["Cell", "DerivedCell", "Genotype", "MixedOperation", "Place", "SearchCell", "edges_of", "spread"]

Node = tuple[tuple[str, int], ...]
"""What a derived node sums: operations, each with the number of the state it reads (0 and 1: the inputs)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell stands in its network."""

    before_last: int
    """Channels of the cell before the last one."""
    last: int
    """Channels of the last cell."""
    channels: int
    """C of this cell; its output has C for every node."""
    is_reduction: bool = False
    """Whether it halves height and width."""
    follows_reduction: bool = False
    """Whether the last cell did, so that the one before it is twice as large."""


@dataclass(frozen=True, slots=True)
class Genotype:
    """Which operations a search has left, cell by cell; any number of them for each node.

    Examples:
        >>> chain = Genotype(normal=((("sep_conv_3x3", 1),),), reduce=((("max_pool_3x3", 1),),))
        >>> chain.normal[0]
        (('sep_conv_3x3', 1),)
    """

    normal: tuple[Node, ...]
    reduce: tuple[Node, ...]


def edges_of(num_nodes: int, num_inputs: int = 2) -> tuple[tuple[int, int], ...]:
    """Edges of a full cell: pairs (state that is read, node that reads it), in the order of DARTS.

    States count the inputs first, then the nodes; nodes count from 0.

    Examples:
        >>> edges_of(2)
        ((0, 0), (1, 0), (0, 1), (1, 1), (2, 1))
    """
    return tuple((state, node) for node in range(num_nodes) for state in range(num_inputs + node))


def total(values: Iterable[Tensor]) -> Tensor:
    """The plain sum, from left to right; `sum` would begin with a zero of its own."""
    return reduce(add, values)


class MixedOperation(nn.Module):
    """All operations of one edge, summed.

    Args:
        operations: Their names.
        channels: Channels of what comes in and goes out.
        stride: 1 or 2.
        norms: The form of their norms.
    """

    def __init__(self, operations: Sequence[str], channels: int, stride: int, norms: Norms) -> None:
        super().__init__()
        self.operations = nn.ModuleDict(
            {name: OPERATIONS[name](channels, stride, norms) for name in operations}
        )

    def forward(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """The sum; with `weights`, one for each operation, the weighted sum."""
        results = [operation(x) for operation in self.operations.values()]
        if weights is not None:
            results = [weight * result for weight, result in zip(weights, results, strict=True)]
        return total(results)


class _Entry(nn.Module):
    """What every cell begins with: both inputs, brought to C channels and one size."""

    def __init__(self, place: Place, norms: Norms) -> None:
        super().__init__()
        if place.follows_reduction:
            self.first: nn.Module = FactorizedReduce(place.before_last, place.channels, norms)
        else:
            self.first = relu_conv_norm(place.before_last, place.channels, norms=norms)
        self.second = relu_conv_norm(place.last, place.channels, norms=norms)

    def forward(self, before_last: Tensor, last: Tensor) -> list[Tensor]:
        """The first two states of the cell."""
        return [self.first(before_last), self.second(last)]


class Cell(nn.Module):
    """What stands at a place of a cell network: takes the outputs of the two cells before it."""

    out_channels: int


class SearchCell(Cell):
    """A cell of a super-network: every edge carries all its operations.

    Args:
        place: Its channels, and whether it reduces.
        operations: Names for all edges alike, or one sequence of names for each edge, in the order of
            `edges_of`, as in the spaces S1 to S4 of RobustDARTS.
        num_nodes: How many nodes it computes and concatenates.
        norms: The form of its norms.

    Shapes:
        Two of `(N, C', H, W)` to `(N, num_nodes * C, H, W)`, half of H and W where it reduces.
    """

    def __init__(
        self,
        place: Place,
        operations: Sequence[str] | Sequence[Sequence[str]],
        num_nodes: int = 4,
        norms: Norms | None = None,
    ) -> None:
        super().__init__()
        norms = norms or Norms()
        self.num_nodes = num_nodes
        self.out_channels = num_nodes * place.channels
        self.entry = _Entry(place, norms)
        edges = edges_of(num_nodes)
        self.edges = nn.ModuleList(
            MixedOperation(names, place.channels, 2 if place.is_reduction and state < 2 else 1, norms)
            for (state, _), names in zip(edges, spread(operations, len(edges)), strict=True)
        )

    def forward(self, before_last: Tensor, last: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Its nodes, side by side; `weights` holds one vector for each edge, over its operations."""
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
    """A cell with the operations that a search has left. A node that reads nothing is left out.

    Args:
        place: Its channels, and whether it reduces.
        genotype: Of the network; its `reduce` counts where `place` reduces, else its `normal`.
        norms: The form of its norms.
    """

    def __init__(self, place: Place, genotype: Genotype, norms: Norms | None = None) -> None:
        super().__init__()
        norms = norms or Norms()
        self.nodes = genotype.reduce if place.is_reduction else genotype.normal
        self.out_channels = place.channels * sum(bool(node) for node in self.nodes)
        self.entry = _Entry(place, norms)
        self.operations = nn.ModuleList(
            OPERATIONS[name](place.channels, 2 if place.is_reduction and state < 2 else 1, norms)
            for node in self.nodes
            for name, state in node
        )

    def forward(self, before_last: Tensor, last: Tensor) -> Tensor:
        """Its nodes, side by side."""
        states: list[Tensor | None] = [*self.entry(before_last, last)]
        operations = iter(self.operations)
        for node in self.nodes:
            results = []
            for _, state in node:
                x = states[state]
                assert x is not None, "a node reads another one that reads nothing"
                results.append(next(operations)(x))
            states.append(total(results) if results else None)
        return torch.cat([state for state in states[2:] if state is not None], dim=1)


def spread(operations: Sequence[str] | Sequence[Sequence[str]], num_edges: int) -> list[tuple[str, ...]]:
    """The names of each edge.

    Raises:
        InvalidSettingError: A name is unknown, or there are names for another number of edges.

    Examples:
        >>> spread(["none", "skip_connect"], 2)
        [('none', 'skip_connect'), ('none', 'skip_connect')]
    """
    if all(isinstance(name, str) for name in operations):
        found = [tuple(str(name) for name in operations)] * num_edges
    else:
        found = [tuple(names) for names in operations]
    if unknown := sorted({name for names in found for name in names} - OPERATIONS.keys()):
        raise InvalidSettingError(
            f"no operation is called {', '.join(map(repr, unknown))}; known: {', '.join(OPERATIONS)}"
        )
    if len(found) != num_edges or not all(found):
        raise InvalidSettingError(
            f"operations were given for {len(found)} edges, {sum(map(bool, found))} of them with any; this"
            f" cell has {num_edges} edges, and each needs one operation or more, such as 'none'"
        )
    return found
