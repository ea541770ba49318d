from __future__ import annotations

import pytest

from nasviz.graph.switches import Switch, count_paths, strongest


def switch(structure: int, edge: tuple[str, str]) -> Switch:
    origin, node = edge
    return Switch(f"v{structure}", structure, (node,), origin, f"op{structure}", origin, "switches.a", None)


SWITCHES = [switch(i, ("x", "a")) for i in (0, 1, 2)] + [switch(i, ("a", "b")) for i in (3, 4)]


@pytest.mark.parametrize(
    ("alive", "kind", "edges", "span"),
    [
        ({0, 3}, "single-path", 2, (1, 1)),
        ({0}, "single-path", 1, (1, 1)),
        ({0, 1, 3, 4}, "multi-path", 2, (2, 2)),
        ({0, 1, 2, 3}, "mixed-path", 2, (1, 3)),
        (set(), "no path", 0, (0, 0)),
    ],
)
def test_the_kind_of_paths_follows_from_the_operations_of_each_edge(
    alive: set[int], kind: str, edges: int, span: tuple[int, int]
) -> None:
    found = count_paths(SWITCHES, alive)
    assert (found.kind, found.num_edges, found.least, found.most) == (kind, edges, *span)
    assert found.num_operations == len(alive)


def test_the_strongest_operation_of_each_edge_is_found() -> None:
    assert strongest(SWITCHES, {0: 0.2, 1: 0.5, 2: 0.3, 3: 0.5, 4: 0.5}) == {1, 3}
    assert strongest(SWITCHES, {4: -1.0}) == {4}
