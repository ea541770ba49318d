"""Every parameter is in exactly one part, and columns name the operand that they read."""

from __future__ import annotations

import json

import pytest

from nasviz.graph import TraceGraph, search_space
from tests.graph.networks import Sketch, demonet, stacked_unets


def origins_of(trace: TraceGraph, parameter: str) -> list[tuple[str, int, int, int, int]]:
    variable = next(v for v in search_space(trace).partition.variables if v.name == parameter)
    return [(o.source, o.dim, o.rows[0], o.rows[-1], len(o.rows)) for o in variable.origins]


@pytest.mark.parametrize("trace", [demonet(), stacked_unets()], ids=lambda t: t.name)
def test_groups_and_complement_cover_each_parameter_once(trace: TraceGraph) -> None:
    space = search_space(trace)
    partition = space.partition
    names = [v.name for group in partition.groups.values() for v in group]
    names += [v.name for v in partition.complement]
    assert sorted(names) == sorted(trace.parameter_shapes)
    assert {i: sum(v.size for v in group) for i, group in partition.groups.items()} == {
        s.id: s.num_parameters for s in space.removable
    }
    assert sum(s.num_parameters for s in space.removable) + partition.num_complement == trace.num_parameters


def test_demonet_is_divided_as_in_figure_2c() -> None:
    partition = search_space(demonet()).partition
    assert sum(v.size for group in partition.groups.values() for v in group) == 350_944
    assert partition.num_complement == 466_066
    assert origins_of(demonet(), "conv6.weight") == [
        ("bn2", 1, 0, 87, 88),
        ("bn3", 1, 88, 175, 88),
        ("add1", 1, 176, 279, 104),
    ]
    assert origins_of(demonet(), "conv7.weight") == []  # behind an addition there is no concatenation


def test_what_is_protected_belongs_to_the_complement() -> None:
    assert list(search_space(demonet(), protect=[1]).partition.groups) == [2, 5, 6, 9, 10]


def test_origins_pass_norms_flatten_and_concatenations_of_concatenations() -> None:
    s = Sketch("nested", channels=2, size=2)
    first = s.joint("cat1", "cat", s.conv("a", "x", 3), s.conv("b", "x", 1))
    both = s.norm("bn", s.joint("cat2", "cat", s.keep("relu", "relu", first), s.conv("c", "x", 2)))
    flat = s.put("flat", "flatten", [both], (-1, 24), attributes={"start_dim": 1, "end_dim": -1})
    trace = s.done(s.linear("fc", flat, 5))
    assert origins_of(trace, "bn.bias") == [("a", 0, 0, 2, 3), ("b", 0, 3, 3, 1), ("c", 0, 4, 5, 2)]
    assert origins_of(trace, "fc.weight") == [("a", 1, 0, 11, 12), ("b", 1, 12, 15, 4), ("c", 1, 16, 23, 8)]


def test_it_is_plain_data() -> None:
    document = json.loads(json.dumps(search_space(demonet()).partition.to_json()))
    assert list(document["groups"]) == ["1", "2", "5", "6", "9", "10"]
    conv6 = next(v for v in document["complement"] if v["name"] == "conv6.weight")
    assert conv6["origins"][0] == {"source": "bn2", "segment": 1, "dim": 1, "rows": [[0, 87]]}
