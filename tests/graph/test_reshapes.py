"""Index maps of reshapes agree with what a reshape of real numbers does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from nasviz.graph.operators.zeros import Zeros, pass_through
from nasviz.graph.trace_graph import Input, Output, TraceGraph, Vertex


def reshaped_rows(
    axis: int, rows: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, tuple[int, ...]] | None:
    vertex = Vertex("r", "r", "view", ("x",), after, keeps_zero=True, closes=True)
    trace = TraceGraph("reshape", (Input("x", before),), (vertex,), (Output("output", "r"),))
    passage = pass_through(vertex, Zeros(axis, rows, before[axis]), trace)
    assert passage is None or passage.zeros is not None
    return None if passage is None else (passage.zeros.axis, passage.zeros.rows)


FACTORS = st.lists(st.integers(1, 4), min_size=2, max_size=5)


@st.composite
def reshapes(draw) -> tuple[tuple[int, ...], tuple[int, ...], int, tuple[int, ...]]:
    """Two ways to group the same factors, and rows along an axis of the first."""
    factors = draw(FACTORS)

    def grouped() -> tuple[int, ...]:
        cuts = sorted(draw(st.sets(st.integers(1, len(factors) - 1))))
        edges = [0, *cuts, len(factors)]
        return tuple(int(np.prod(factors[a:b])) for a, b in pairwise(edges))

    before, after = grouped(), grouped()
    assume(max(before) > 1)
    axis = draw(st.sampled_from([i for i, size in enumerate(before) if size > 1]))
    rows = draw(st.sets(st.integers(0, before[axis] - 1), min_size=1, max_size=before[axis] - 1))
    return before, after, axis, tuple(sorted(rows))


@given(reshapes())
def test_rows_after_a_reshape_are_exactly_the_marked_numbers(case) -> None:
    before, after, axis, rows = case
    marks = np.zeros(before, dtype=bool)
    np.moveaxis(marks, axis, 0)[list(rows)] = True
    moved = marks.reshape(after)

    found = reshaped_rows(axis + 1, rows, (-1, *before), (-1, *after))

    expected = [
        (a, hit)
        for a in range(len(after))
        for hit in [np.flatnonzero(np.moveaxis(moved, a, 0).reshape(after[a], -1).any(1))]
        if np.moveaxis(moved, a, 0)[hit].all()
    ]
    if found is None:
        assert not expected
    else:
        assert (found[0] - 1, found[1]) in [(a, tuple(hit.tolist())) for a, hit in expected]


def test_channels_that_a_batch_takes_in_are_found_in_it() -> None:
    assert reshaped_rows(1, (2,), (-1, 4, 8, 8), (-1, 4, 4, 4)) == (0, (2,))
