"""Genotypes: what is chosen, what kind of paths it is, and the text of each paper's form."""

import ast

import pytest

from nasviz.graph.cells.genotypes import (
    CellEdge,
    CellGraph,
    ChosenCell,
    alive,
    genotype_json,
    genotype_text,
    strongest,
    without,
)

NAMES = ("none", "skip_connect", "sep_conv_3x3")


def cell(num_inputs: int = 2, num_nodes: int = 2, kind: str = "normal") -> CellGraph:
    """Every node reads every state before it, by each operation; the structure of edge i is i."""
    reads = [(s, n, name) for n in range(num_nodes) for s in range(num_inputs + n) for name in NAMES]
    edges = tuple(CellEdge(s, n, name, f"v{i}", i) for i, (s, n, name) in enumerate(reads))
    return CellGraph("cells.0", "Cell", kind, num_inputs, num_nodes, edges, tuple(range(num_nodes)))


def pairs(edges: tuple[CellEdge, ...]) -> list[tuple[str, int, int]]:
    return [(edge.operation, edge.source, edge.node) for edge in edges]


def test_darts_keeps_the_best_operation_but_none_of_the_two_strongest_edges() -> None:
    whole = cell()
    # Edges of node 0: states 0 and 1; of node 1: states 0, 1 and 2. `none` is always the strongest.
    weights = dict(enumerate([9, 1, 2, 9, 3, 1, 9, 1, 2, 9, 5, 1, 9, 1, 4]))
    kept = strongest(whole, weights)
    assert pairs(kept) == [
        ("sep_conv_3x3", 0, 0),
        ("skip_connect", 1, 0),
        ("skip_connect", 1, 1),
        ("sep_conv_3x3", 2, 1),
    ]
    assert len(strongest(whole, weights, edges_per_node=0)) == 5
    chosen = ChosenCell("normal", whole, kept, weights)
    assert chosen.paths == "single-path"
    text = genotype_text([chosen])
    assert text == (
        "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('skip_connect', 1),"
        " ('sep_conv_3x3', 2)], normal_concat=[2, 3])"
    )
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert [keyword.arg for keyword in call.keywords] == ["normal", "normal_concat"]


def test_a_dead_node_is_left_out_of_what_is_concatenated_and_paths_are_mixed() -> None:
    whole = cell()
    kept = alive(whole, {i: float(i in (1, 2)) for i in range(15)})
    chosen = ChosenCell("normal", whole, kept, {})
    assert pairs(kept) == [("skip_connect", 0, 0), ("sep_conv_3x3", 0, 0)]
    assert chosen.paths == "mixed-path"
    assert genotype_text([chosen]).endswith(
        "normal=[[('skip_connect', 0), ('sep_conv_3x3', 0)], []], normal_concat=[2])"
    )


@pytest.mark.parametrize(
    ("erased", "paths"),
    [
        ((), "multi-path"),
        ((1, 4, 7, 10, 13), "single-path"),
        ((1,), "mixed-path"),
        (range(15), "empty"),
    ],
)
def test_paths_are_single_multi_or_mixed(erased: tuple[int, ...], paths: str) -> None:
    whole = cell()
    assert ChosenCell("normal", whole, without(whole, erased), {}).paths == paths


def test_nas_bench_201_has_a_string_of_its_own_and_data_hold_every_operation() -> None:
    whole = cell(num_inputs=1, kind="cell")
    kept = strongest(whole, {1: 0.1, 2: 0.4, 4: 0.2, 5: 0.1, 8: 0.7, 7: 0.1}, edges_per_node=0)
    chosen = ChosenCell("cell", whole, kept, {2: 0.4}, 15)
    assert genotype_text([chosen]) == "|sep_conv_3x3~0|+|skip_connect~0|sep_conv_3x3~1|"
    found = genotype_json([chosen])["cells"][0]
    assert (found["num_cells"], len(found["edges"])) == (15, 9)
    assert [edge["weight"] for edge in found["edges"] if edge["kept"]] == [0.4, None, None]


def test_states_are_called_as_in_the_papers() -> None:
    assert [cell().state(i) for i in range(4)] == ["c_{k-2}", "c_{k-1}", "0", "1"]
    assert [cell(num_inputs=1).state(i) for i in range(2)] == ["x", "0"]
