"""Sums: chains of additions that nobody else reads, taken together as the node of a cell that they compute.

A node of a cell is the sum of many operands (DARTS, equation 1; SparseNAS, equation 1), but a network adds
two at a time. What is between two additions only, is wiring.
"""

from __future__ import annotations

from nasviz.graph.operators.rules import Role
from nasviz.graph.trace_graph import TraceGraph

__all__ = ["sums"]


def sums(trace: TraceGraph) -> dict[str, str]:
    """For each addition of a sum: the last one, which holds all of it; O(V).

    Examples:
        >>> from nasviz.graph.trace_graph import Input, Output, Vertex
        >>> first = Vertex("add", "add", "add", ("x", "y"), (-1, 4))
        >>> last = Vertex("add_1", "add_1", "add", ("add", "z"), (-1, 4))
        >>> inputs = tuple(Input(name, (-1, 4)) for name in "xyz")
        >>> sums(TraceGraph("three", inputs, (first, last), (Output("out", "add_1"),)))
        {'add_1': 'add_1', 'add': 'add_1'}
    """
    last: dict[str, str] = {}
    for vertex in reversed(trace.vertices):
        if vertex.role is not Role.ADDITIVE:
            continue
        readers = trace.consumers[vertex.id]
        is_inner = len(readers) == 1 and readers[0] in last and trace[readers[0]].shape == vertex.shape
        last[vertex.id] = last[readers[0]] if is_inner else vertex.id
    return last
