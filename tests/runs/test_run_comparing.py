"""Comparisons of runs, and the record of what they were made with."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from nasviz.runs import Run, RunSettings, differing_settings, pareto_front, record_environment

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12)


@given(points)
def test_the_pareto_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    def beats(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    expected = {i for i, p in enumerate(pairs) if not any(beats(q, p) for q in pairs)}

    assert set(pareto_front([p[0] for p in pairs], [p[1] for p in pairs])) == expected


def test_only_settings_that_differ_are_compared(settings: RunSettings) -> None:
    other = settings.changed(seed=3)
    assert differing_settings({"a": settings, "b": other}) == {"seed": {"a": 0, "b": 3}}
    assert differing_settings({"a": settings, "b": settings}) == {}


def test_every_start_leaves_its_versions_and_device(run: Run) -> None:
    record_environment(run.folder, device="cpu")
    record_environment(run.folder, device="cuda:0")

    assert [start["device"] for start in run.environments] == ["cpu", "cuda:0"]
    assert run.environments[0]["packages"]["numpy"]
    assert run.environments[0]["python"].startswith(f"{sys.version_info.major}.")
