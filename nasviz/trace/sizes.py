"""Computation of batch-dependent sizes from the network's input.

A size read from an intermediate value is lost once that value is erased, so each size is recomputed from the
batch of a placeholder.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import torch
from torch import Tensor, fx

from nasviz.trace.calls import insert_call, value_of
from nasviz.trace.export import Program

__all__ = ["BatchSizes", "read_sizes_from_input"]


class BatchSizes:
    """Nodes that hold the batch size, and arithmetic on it."""

    def __init__(self, graph: fx.Graph) -> None:
        self.graph = graph
        self.sources: dict[Any, fx.Node] = {}
        self.made: dict[Any, int | fx.Node] = {}
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        for node in placeholders:
            value = value_of(node)
            size = value.shape[0] if isinstance(value, Tensor) and value.dim() else None
            if isinstance(size, torch.SymInt):
                self.sources.setdefault(size.node.expr, node)
        self.first = next(n for n in graph.nodes if n.op != "placeholder")

    def node(self, size: int | torch.SymInt) -> int | fx.Node | None:
        """Return `size` as a number or node; `None` if it is not a polynomial of the batch."""
        return size if isinstance(size, int) else self._of(size.node.expr, size)

    def nodes(self, sizes: torch.Size) -> list[Any] | None:
        """Return all of `sizes`, or `None` if one cannot be expressed."""
        found = [self.node(size) for size in sizes]
        return None if any(size is None for size in found) else found

    def _of(self, expression: Any, like: torch.SymInt) -> int | fx.Node | None:
        if expression.is_Integer:
            return int(expression)
        if expression in self.made:
            return self.made[expression]
        made: Any
        if expression in self.sources:
            source = self.sources[expression]
            made = self._call(torch.ops.aten.sym_size.int, (source, 0), source, like)
        elif expression.is_Mul or expression.is_Add:
            function = operator.mul if expression.is_Mul else operator.add
            terms = [self._of(term, like) for term in expression.args]
            if any(term is None for term in terms):
                return None
            origin = next(iter(self.sources.values()))
            made = reduce(lambda a, b: self._call(function, (a, b), origin, like), terms)
        else:
            return None
        self.made[expression] = made
        return self.made[expression]

    def _call(self, target: Any, args: tuple[Any, ...], like: fx.Node, value: torch.SymInt) -> fx.Node:
        return insert_call(self.graph, self.first, target, args, like, value)


def read_sizes_from_input(program: Program, sizes: BatchSizes) -> None:
    """Replace sizes, and values computed from sizes alone, by nodes that read a placeholder, in place."""
    for node in reversed(list(program.graph.nodes)):
        value = value_of(node)
        if node.op == "call_function" and isinstance(value, torch.SymInt):
            replacement = sizes.node(value)
            if replacement is not None and replacement is not node:
                node.replace_all_uses_with(replacement)
                program.graph.erase_node(node)
