from __future__ import annotations

import math

import numpy as np

from nasviz.draw import segment_view, trace_view
from nasviz.draw.about import POINTS, about, history
from nasviz.draw.drawing import DrawnVertex
from nasviz.draw.view import GraphView
from nasviz.graph import search_space
from nasviz.runs.records import Vectors
from tests.graph.networks import demonet


def drawn(view: GraphView, vertex: str) -> DrawnVertex:
    return view.by_id[view.id_of(vertex) or ""]


def test_a_structure_tells_its_group_and_every_slice_that_goes_with_it() -> None:
    space = search_space(demonet())
    view = trace_view(space.trace, space=space)
    told = about(drawn(view, "conv3"), space)
    fields = dict(told.fields)
    assert told.vertex == "conv3"
    assert fields["Group"].startswith("25,608 parameters: conv3.weight 88×32×3×3")
    assert fields["Removed slices"] == "conv6.weight columns 88-175"
    assert told.is_protected is False
    assert told.history == ()


def test_what_stays_has_nothing_to_protect() -> None:
    space = search_space(demonet())
    view = trace_view(space.trace, space=space)
    assert about(drawn(view, "conv1"), space).is_protected is None
    assert about(drawn(view, space.trace.inputs[0].id), space).fields == ()


def test_a_protected_structure_can_be_released() -> None:
    space = search_space(demonet(), protect=["conv3"])
    view = segment_view(space)
    told = about(drawn(view, "conv3"), space)
    assert told.is_protected is True


def test_a_history_is_thinned_and_leaves_out_what_was_not_measured() -> None:
    values = np.linspace(0, 1, 600, dtype=np.float32).reshape(300, 2)
    values[5, 1] = math.nan
    scores = Vectors(np.arange(300), values, (4, 7))
    points = history(scores, 7)
    assert len(points) <= POINTS
    assert [step for step, _ in points] == sorted({step for step, _ in points})
    assert points[-1] == (299, 1.0)
    assert 5 not in {step for step, _ in points}
    assert history(scores, 5) == ()
