"""Operations without variables are listed, and only those."""

from __future__ import annotations

from nasviz.graph import count_switchable, search_space
from tests.graph.networks import Sketch, demonet


def test_a_pooling_branch_and_an_identity_edge_are_switchable() -> None:
    s = Sketch("edges")
    stem = s.conv("stem", "x", 4)
    pool = s.keep("pool", "max_pool2d", stem)
    first = s.joint("first", "add", s.conv("branch", stem, 4), pool)
    last = s.joint("last", "add", s.conv("after", first, 4), first)
    space = search_space(s.done(s.head(last)))
    assert [(o.name, o.source, o.joints, o.vertices) for o in space.switchable] == [
        ("pool", "pool", ("first",), ("pool",)),
        ("identity first → last", "first", ("last",), ()),
    ]
    assert {structure.name for structure in space.structures} == {"branch", "after"}
    counted = count_switchable(space)
    assert (len(space.removable), space.max_sparsity) == (2, 2)
    assert (len(counted.removable), counted.max_sparsity) == (4, 2)  # an edge stays into each of two sums
    assert len([s for s in counted.removable if s.switch]) == 2


def test_a_joint_that_only_feeds_the_next_is_wiring_and_not_an_operation() -> None:
    space = search_space(demonet())
    assert space.switchable == ()
    assert count_switchable(space) is space
