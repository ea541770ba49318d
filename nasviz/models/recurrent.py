"""Recurrent cell of DARTS (Liu et al., 2019, section 3.1.2), also searched by SparseNAS.

The network is one time step: it maps a symbol and the previous state to scores of the next symbol and the new
state. A text is processed by repeating this step, so all weights are shared over time, and one cell is
traced, searched and sliced instead of its copies.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasviz.catalog.genotype import Genotype

__all__ = ["ACTIVATIONS", "Highway", "RecurrentCell", "RecurrentStep"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
"""The four of DARTS; its fifth, `none`, adds nothing to a plain sum."""
_MODULES: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
SPREAD = 0.04
"""Weights are initialized uniformly in [-SPREAD, SPREAD] (public code of DARTS)."""


class Highway(nn.Module):
    """One operation: s + c (phi(h) - s), with a gate c and a value h that are linear in s.

    Args:
        activation: phi, one of `ACTIVATIONS`, or `none`.

    Shapes:
        `(N, hidden)`, in and out.
    """

    def __init__(self, activation: str) -> None:
        super().__init__()
        self.phi = None if activation == "none" else _MODULES[activation]()

    def forward(self, state: Tensor, gate: nn.Linear, value: nn.Linear) -> Tensor:
        """Apply the operation; `gate` and `value` belong to the node and are shared by its operations."""
        if self.phi is None:
            return state * 0.0
        return torch.lerp(state, self.phi(value(state)), gate(state).sigmoid())


class _Node(nn.Module):
    """A state from all before it: the sum of every operation on each, and a norm without variables."""

    def __init__(self, hidden: int, edges: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.gate, self.value = (nn.Linear(hidden, hidden, bias=False) for _ in range(2))
        self.edges = nn.ModuleList(
            nn.ModuleDict({name: Highway(name) for name in operations}) for operations in edges
        )
        self.norm = nn.BatchNorm1d(hidden, affine=False)

    def forward(self, states: list[Tensor]) -> Tensor:
        total: Tensor | None = None
        for state, edge in zip(states, self.edges, strict=True):
            for operation in edge.values():  # type: ignore[operator]
                value = operation(state, self.gate, self.value)
                total = value if total is None else total + value
        normed: Tensor = self.norm(total)
        return normed


class RecurrentCell(nn.Module):
    """Nodes in order, each computed from all previous states; their mean is the new state.

    Args:
        hidden: Width of a state.
        nodes: For each node the operations on each state before it; a node without operations is left out.
        outputs: Nodes whose mean is the new state.

    Shapes:
        `(N, hidden)`, in and out.
    """

    def __init__(self, hidden: int, nodes: Sequence[Sequence[Sequence[str]]], outputs: Sequence[int]) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(_Node(hidden, edges) if any(edges) else nn.Identity() for edges in nodes)
        self.outputs = tuple(outputs)

    def forward(self, first: Tensor) -> Tensor:
        """Return the new state; `first` combines the symbol and the previous state."""
        states = [first]
        for node in self.nodes:
            # The place of a node that is left out is taken by the first state, which nothing reads there.
            states.append(first if isinstance(node, nn.Identity) else node(states))
        # A mean over a stack, because a sum would be another joint with operations to search.
        return torch.stack([states[1 + node] for node in self.outputs]).mean(0)


class RecurrentEntry(nn.Module):
    """First state of a step: s_0 = h' + c (tanh(h) - h'), with c and h linear in symbol and state h'."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gate, self.value = (nn.Linear(2 * hidden, hidden, bias=False) for _ in range(2))
        self.norm = nn.BatchNorm1d(hidden, affine=False)

    def forward(self, symbol: Tensor, state: Tensor) -> Tensor:
        """Return the first state of the cell."""
        both = torch.cat([symbol, state], dim=1)
        first = torch.lerp(state, torch.tanh(self.value(both)), self.gate(both).sigmoid())
        normed: Tensor = self.norm(first)
        return normed


class RecurrentStep(nn.Module):
    """One step of a language model: embedding, cell, scores of all symbols.

    Args:
        num_classes: Size of the vocabulary.
        hidden: Width of embeddings and states.
        nodes: Nodes of the cell; 8 in DARTS.
        none: Whether every edge also carries `none`.
        genotype: Operations that a search has kept; None for the network to search in.

    Shapes:
        Symbols `(N,)`, int64, and the previous state `(N, hidden)`; scores `(N, num_classes)` and the new
        state.
    """

    def __init__(
        self,
        num_classes: int,
        hidden: int = 32,
        nodes: int = 8,
        none: bool = False,
        genotype: Genotype | None = None,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        operations = ("none", *ACTIVATIONS) if none else ACTIVATIONS
        chosen: list[list[Sequence[str]]] = [[operations] * (number + 1) for number in range(nodes)]
        outputs: Sequence[int] = range(nodes)
        if genotype is not None:
            kept = genotype.cells[0]
            chosen = [
                [[name for name, read in node if read == state] for state in range(number + 1)]
                for number, node in enumerate(kept.nodes)
            ]
            outputs = [state - 1 for state in kept.concat]
        self.embedding = nn.Embedding(num_classes, hidden)
        self.entry = RecurrentEntry(hidden)
        self.cell = RecurrentCell(hidden, chosen, outputs)
        self.decoder = nn.Linear(hidden, num_classes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -SPREAD, SPREAD)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, symbols: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores of the next symbol, before the softmax, and the new state."""
        after = self.cell(self.entry(self.embedding(symbols), state))
        return self.decoder(after), after
