"""Construction plans: what is erased, bypassed, sliced and filled, by the numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nasviz.graph import search_space
from tests.graph.networks import Sketch, demonet, stacked_unets
from tests.graph.random_networks import random_network


def test_demonet_without_the_published_structures_has_the_published_size() -> None:
    plan = search_space(demonet()).plan([1, 2, 10])
    assert (plan.params_before, plan.macs_before) == (817_010, 208_871_584)
    assert (plan.params_after, plan.macs_after) == (447_410, 106_813_600)
    assert set(plan.erased) == {"conv2", "bn2", "maxpool", "conv3", "bn3", "conv8", "bn8"}
    assert plan.bypassed == {"concat": "add1", "add2": "bn7"}
    assert [(s.tensor, s.dim, s.rows) for s in plan.slices] == [("conv6.weight", 1, tuple(range(176)))]
    assert plan.retyped == {"conv6": {"in_channels": 104}}
    assert plan.materialised == ()


def test_stacked_unets_lose_the_right_half_as_the_documents_draw_it() -> None:
    space = search_space(stacked_unets())
    redundant = [
        s.id for s in space.structures if s.name.startswith(("pool13", "conv50", "conv63", "relu72"))
    ]
    plan = space.plan(redundant)
    kept = {v.id for v in space.trace} - set(plan.erased)
    numbers = {
        int(name.lstrip("abcdefghijklmnopqrstuvwxyz")) for name in kept - {"gap", "flatten", "linear9"}
    }
    assert numbers == {*range(13), 20, *range(24, 30), 33, *range(34, 39), 76}
    assert set(plan.bypassed) == {"add20", "add76"}
    assert set(plan.erased.values()) == {"selected", "dead end"}


def test_norm_rows_behind_a_concatenation_are_entailed_and_cut() -> None:
    s = Sketch("dense", size=4)
    stem = s.conv("stem", "x", 4)
    norm = s.norm("norm", s.joint("cat", "cat", s.conv("branch", stem, 3), stem))
    space = search_space(s.done(s.head(s.conv("mix", s.keep("relu", "relu", norm), 5, 1))))
    (structure,) = space.removable
    assert [(e.tensor, e.rows) for e in structure.entailed] == [
        ("norm.weight", (0, 1, 2)),
        ("norm.bias", (0, 1, 2)),
    ]
    plan = space.plan([structure.id])
    assert plan.retyped == {"norm": {"num_features": 4}, "mix": {"in_channels": 4}}
    assert {s.tensor for s in plan.slices} == {
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "mix.weight",
    }


def test_columns_of_a_linear_behind_flatten_go_in_blocks() -> None:
    s = Sketch("flat", size=2)
    stem = s.conv("stem", "x", 4)
    cat = s.joint("cat", "cat", stem, s.conv("branch", stem, 3))
    flat = s.put(
        "flatten", "flatten", [cat], (-1, 28), keeps_zero=True, attributes={"start_dim": 1, "end_dim": 3}
    )
    space = search_space(s.done(s.linear("head", flat, 2)))
    plan = space.plan([space.removable[0].id])
    assert [(c.tensor, c.dim, c.rows) for c in plan.slices] == [("head.weight", 1, tuple(range(16, 28)))]


def test_an_operator_without_a_rule_gets_its_zeros_back() -> None:
    s = Sketch("shuffled", size=4)
    stem = s.conv("stem", "x", 4)
    cat = s.joint("cat", "cat", stem, s.conv("branch", stem, 4))
    odd = s.put("odd", "some_operator", [cat], s.shapes[cat])
    space = search_space(s.done(s.head(odd)))
    plan = space.plan([space.removable[0].id])
    (fill,) = plan.fills
    assert (fill.source, fill.axis, fill.rows, fill.size, fill.readers) == (
        "cat",
        1,
        (4, 5, 6, 7),
        8,
        ("odd",),
    )
    assert plan.slices == ()


def test_depthwise_rows_shrink_with_their_bias_entailed() -> None:
    s = Sketch("depthwise", size=4)
    stem = s.conv("stem", "x", 4)
    cat = s.joint("cat", "cat", stem, s.conv("branch", stem, 2))
    space = search_space(s.done(s.head(s.conv("mix", s.conv("depth", cat, 12, groups=6), 5, 1))))
    (structure,) = space.removable
    assert [(e.tensor, e.rows) for e in structure.entailed] == [("depth.bias", (8, 9, 10, 11))]
    plan = space.plan([structure.id])
    assert plan.retyped["depth"] == {"in_channels": 4, "out_channels": 8, "groups": 4}
    assert plan.retyped["mix"] == {"in_channels": 8}


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_a_plan_only_shrinks_and_touches_each_tensor_once(seed: int, shuffle) -> None:
    space = search_space(random_network(seed))
    order = [s.id for s in space.removable]
    shuffle.shuffle(order)
    for k in range(space.max_sparsity + 1):
        erased = space.select({i: float(p) for p, i in enumerate(order)}, k)
        plan = space.plan(erased)
        assert plan.params_after <= plan.params_before
        assert plan.macs_after <= plan.macs_before
        cuts = [(c.tensor, c.dim) for c in plan.slices]
        assert len(cuts) == len(set(cuts))
        assert set(plan.orphaned).isdisjoint(plan.selected)
        group = space.group(erased)
        assert {name for i in erased for name in space.structure(i).parameter_names} <= set(group.tensors)


def grouped(groups: int, width: int = 4) -> tuple[Sketch, str]:
    s = Sketch("grouped", size=4)
    stem = s.conv("stem", "x", 4)
    cat = s.joint("cat", "cat", stem, s.conv("branch", stem, width))
    return s, s.conv("mix", cat, 8, groups=groups)


def test_whole_groups_of_a_convolution_go_with_their_filters() -> None:
    s, mix = grouped(groups=2)
    space = search_space(s.done(s.head(mix)))
    plan = space.plan([space.removable[0].id])
    assert plan.retyped["mix"] == {"in_channels": 4, "out_channels": 4, "groups": 1}
    assert {(c.tensor, c.dim) for c in plan.slices} == {
        ("mix.weight", 0),
        ("mix.bias", 0),
        ("linear9.weight", 1),
    }
    assert {r.tensor for r in space.group([space.removable[0].id]).rows} == {"mix.bias"}
    assert plan.materialised == ()


def test_half_a_group_is_materialised() -> None:
    s, mix = grouped(groups=2, width=2)
    space = search_space(s.done(s.head(mix)))
    assert space.plan([space.removable[0].id]).materialised == ("mix",)


def test_a_concatenation_with_a_constant_cannot_lose_an_operand() -> None:
    s = Sketch("constant", size=4)
    stem = s.conv("stem", "x", 4)
    branch = s.conv("branch", stem, 3)
    cat = s.put("cat", "cat", [stem, branch], (-1, 9, 4, 4), attributes={"dim": 1}, keeps_zero=True)
    space = search_space(s.done(s.head(cat)))
    assert space.removable == ()
    assert "constants" in space.why_not(branch)


def test_an_addition_of_different_types_cannot_lose_an_operand() -> None:
    s = Sketch("types", size=4)
    stem = s.conv("stem", "x", 4)
    one, two = s.conv("one", stem, 4), s.conv("two", stem, 4)
    half = s.put("half", "to", [two], s.shapes[two], keeps_zero=True, closes=True, dtype="float16")
    space = search_space(s.done(s.head(s.joint("add", "add", one, half))))
    assert space.removable == ()


def test_halves_that_stay_alike_are_followed_through_a_chunk() -> None:
    s = Sketch("halves", size=4)
    stem = s.conv("stem", "x", 4)
    cat = s.joint("cat", "cat", stem, s.conv("branch", stem, 4))
    apart = s.put("apart", "view", [cat], (-1, 2, 4, 4, 4), keeps_zero=True)
    swap = {"dim0": 1, "dim1": 2}
    turned = s.put("turned", "transpose", [apart], (-1, 4, 2, 4, 4), keeps_zero=True, attributes=swap)
    flat = s.put("flat", "view", [turned], (-1, 8, 4, 4), keeps_zero=True)
    halves = s.put(
        "halves", "chunk", [flat], (-1, 8, 4, 4), keeps_zero=True, attributes={"dim": 1, "chunks": 2}
    )
    half = s.put("half", "getitem", [halves], (-1, 4, 4, 4), keeps_zero=True, attributes={"index": 1})
    space = search_space(s.done(s.head(s.conv("mix", half, 3))))
    plan = space.plan([space.removable[0].id])
    assert plan.retyped["apart"] == {"size:1": 1}
    assert plan.retyped["flat"] == {"size:1": 4}
    assert [(c.tensor, c.rows) for c in plan.slices] == [("mix.weight", (1, 3))]
    assert plan.materialised == ()
