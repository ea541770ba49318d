"""The search space: structures, validity, closure, K_max, selection, protection and reasons."""

from __future__ import annotations

from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.errors import InvalidSparsityError, UnknownVertexError
from nasviz.graph import SearchSpace, search_space
from tests.graph.networks import Sketch, demonet, stacked_unets
from tests.graph.random_networks import random_network

G2, G3, G4, G5, G7, G8 = 1, 2, 5, 6, 9, 10  # the documents' names of DemoNet's structures


def valid_subsets(space: SearchSpace) -> list[int]:
    ids = [s.id for s in space.removable]
    return [sum(space.is_valid(c) for c in combinations(ids, k)) for k in range(len(ids) + 1)]


def reaches_all(space: SearchSpace, erased: set[int]) -> bool:
    """Validity by definition: networkx walks from the inputs to every required sink.

    A product is reached when all its factors are; one that is not is taken away, and the walk begins again.
    """
    graph = space.segments.to_networkx()
    graph.remove_nodes_from(erased)
    inputs = [i.id for i in space.trace.inputs]
    while True:
        reached = set().union(*(nx.descendants(graph, i) for i in inputs))
        factors = space.segments.annihilators
        lost = {i for i in reached if i in factors and not factors[i] <= reached}
        if not lost:
            return space.connectivity.sinks <= reached
        graph.remove_nodes_from(lost)


def test_demonet_has_the_published_structures() -> None:
    space = search_space(demonet())
    sizes = {s.id: s.num_parameters for s in space.structures}
    assert sizes == {G2: 25_608, G3: 25_608, G4: 3_640, G5: 30_264, G7: 238_896, G8: 26_928}
    assert space.max_sparsity == 4
    assert valid_subsets(space) == [1, 6, 14, 16, 8, 0, 0]


def test_stacked_unets_have_the_published_structures() -> None:
    space = search_space(stacked_unets())
    names = {s.name.split("-")[0] for s in space.structures}
    assert names == {"relu35", "relu72", "pool13", "conv26", "conv50", "conv63"}
    assert space.max_sparsity == 5
    assert valid_subsets(space) == [1, 6, 14, 16, 9, 2, 0]


def test_figure_3_skips_the_structure_that_would_cut_the_network() -> None:
    space = search_space(demonet())
    saliency = {G3: 0.0, G8: 1.0, G7: 2.0, G2: 3.0, G4: 4.0, G5: 5.0}
    assert space.select(saliency, 3) == (G3, G8, G2)
    fates = [(step.structure, step.is_accepted) for step in space.selection_steps(saliency, 3)]
    assert fates == [(G3, True), (G8, True), (G7, False), (G2, True)]
    assert space.select(saliency, 3, hierarchical=False) == (G3, G8, G7)
    assert not space.is_valid((G3, G8, G7))


def test_erasing_both_summands_orphans_the_sum() -> None:
    space = search_space(demonet())
    assert space.closure((G4, G5)) == {G4, G5, 8}
    assert space.group((G4,)).tensors == ("conv4.weight", "conv4.bias", "bn4.weight", "bn4.bias")


def test_partition_of_the_parameters_is_exact() -> None:
    for build in (demonet, stacked_unets):
        space = search_space(build())
        own = [name for s in space.removable for name in s.parameter_names]
        assert len(own) == len(set(own))
        assert set(own) <= set(space.trace.parameter_shapes)


def test_what_is_protected_stays_and_keeps_its_way_out() -> None:
    space = search_space(demonet(), protect=["conv4"])
    assert G4 not in {s.id for s in space.removable}
    assert space.structure(G4).reason == "you protected it"
    assert space.why_not("bn4") == "you protected it"
    assert space.max_sparsity == 4
    assert not space.is_valid([G4])
    with pytest.raises(UnknownVertexError, match="cannot protect 'nothing'"):
        search_space(demonet(), protect=["nothing"])


def test_a_product_passes_zero_on_and_a_sigmoid_blocks_removal() -> None:
    s = Sketch("gated")
    stem = s.conv("stem", "x", 4)
    gate = s.sigmoid("gate", s.conv("squeeze", stem, 4, 1))
    gated = s.joint("product", "mul", s.conv("value", stem, 4), gate)
    shifted = s.sigmoid("late", s.conv("branch", stem, 4))
    space = search_space(s.done(s.head(s.joint("sum", "add", gated, shifted))))
    assert "late (sigmoid) is not zero at zero" in str(space.why_not("branch"))
    assert {s.name: s.zero_invariant for s in space.structures} == {
        "squeeze-gate": False,
        "value": True,
        "branch-late": False,
    }
    assert [structure.name for structure in space.removable] == ["value"]
    assert space.max_sparsity == 1
    assert {v for i in space.closure([space.removable[0].id]) for v in space.segments[i].vertices} == {
        "value",
        "product",
    }


def test_shared_weights_block_removal() -> None:
    s = Sketch("shared")
    stem = s.conv("stem", "x", 4)
    one = s.conv("one", stem, 4)
    two = s.put(
        "two",
        "conv2d",
        [stem],
        s.shapes[one],
        module="one",
        parameters=("one.weight", "one.bias"),
        annihilates=True,
    )
    space = search_space(s.done(s.head(s.joint("sum", "add", one, two))))
    assert "shares the weights one.weight with two" in str(space.why_not("one"))


def test_numbers_that_cannot_be_reached_are_refused_with_the_limit() -> None:
    space = search_space(demonet())
    scores = {s.id: 0.0 for s in space.removable}
    with pytest.raises(InvalidSparsityError, match="choose at most 4"):
        space.select(scores, 5)
    with pytest.raises(InvalidSparsityError, match="from 0 to 4"):
        space.select(scores, -1)
    with pytest.raises(InvalidSparsityError, match="cuts something required off"):
        space.plan([G7, G8])
    with pytest.raises(UnknownVertexError, match="no removal structure 99"):
        space.is_valid([99])


@given(st.integers(0, 10_000), st.data())
def test_validity_is_reachability_of_every_sink(seed: int, data: st.DataObject) -> None:
    space = search_space(random_network(seed))
    ids = [s.id for s in space.removable]
    erased = data.draw(st.sets(st.sampled_from(ids))) if ids else set()
    assert space.is_valid(erased) == reaches_all(space, erased)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_lookahead_reaches_every_sparsity_up_to_the_maximum(seed: int, shuffle) -> None:
    space = search_space(random_network(seed))
    order = [s.id for s in space.removable]
    shuffle.shuffle(order)
    saliency = {i: float(place) for place, i in enumerate(order)}
    for k in range(space.max_sparsity + 1):
        chosen = space.select(saliency, k)
        literal = space.select(saliency, k, lookahead=False)
        assert len(chosen) == k
        assert space.is_valid(chosen)
        assert chosen == literal or len(literal) <= k


@given(st.integers(0, 300))
def test_the_maximum_is_the_largest_valid_set_where_one_sink_rules(seed: int) -> None:
    space = search_space(random_network(seed, depth=2, products=False))
    ids = [s.id for s in space.removable]
    if len(ids) > 12:
        return
    largest = max(k for k in range(len(ids) + 1) if any(space.is_valid(c) for c in combinations(ids, k)))
    assert space.max_sparsity == largest


@given(st.integers(0, 10_000))
def test_the_space_survives_its_json(seed: int) -> None:
    space = search_space(random_network(seed))
    again = SearchSpace.from_json(space.to_json())
    assert again.structures == space.structures
    assert again.max_sparsity == space.max_sparsity
