from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nasviz.draw import Overlay, last_scores, live_frame, until
from nasviz.draw.live_frame import current
from nasviz.runs import Evaluation, Event, Tail
from nasviz.runs.records import STEP_TYPE, Vectors
from nasviz.settings import COSINES, NORMS, SALIENCY


def run(num_steps: int, num_structures: int = 6, scored: int | None = None, penalty: float = np.nan) -> Tail:
    """A run of three phases; structure 0 is selected at a tenth and zero from a fifth on."""
    steps = np.zeros(num_steps, STEP_TYPE)
    at = np.arange(num_steps)
    steps["step"] = at
    steps["phase"] = np.where(
        at < num_steps // 10, "warm-up", np.where(at < num_steps // 3, "projection", "training")
    )
    steps["loss"] = 1 / (1 + at)
    steps["accuracy"] = at / num_steps
    steps["lr"] = 0.1
    steps["examples_per_second"] = np.nan
    steps["memory_mb"] = 100
    steps["zero_groups"] = at >= num_steps // 5
    steps["penalty"] = penalty
    ids = tuple(range(num_structures))
    scored = num_steps // 10 if scored is None else scored
    scores = np.random.default_rng(0).normal(size=(scored, num_structures)).astype("f4")
    norms = np.ones((num_steps, num_structures), "f4")
    norms[num_steps // 5 :, 0] = 0
    return Tail(
        steps=steps.view(np.recarray),
        scores=Vectors(np.arange(scored), scores, ids),
        norms=Vectors(at, norms, ids),
        evaluations=(Evaluation(num_steps // 2, 0, "full", 0.5, 0.75, 100),),
        events=(Event(num_steps // 10, "selected", "selected", 0),),
        last_step=num_steps - 1,
        total_steps=num_steps,
        facts={},
    )


@pytest.mark.parametrize(("num_structures", "penalty"), [(100, np.nan), (838, np.nan), (838, 0.5)])
def test_a_frame_of_any_run_and_the_colours_of_its_graph_are_below_fifty_kilobytes(
    num_structures: int, penalty: float
) -> None:
    tail = run(50_000, num_structures, scored=5_000, penalty=penalty)
    tail.norms.values[-1] = 0  # every row has its mark
    frame = live_frame(tail)
    ids = [f"n{i}" for i in range(3 * num_structures)]
    scored, scores = ids[::3], last_scores(tail).values()
    overlay = Overlay(
        "Saliency",
        "cividis",
        {i: n % 9 for n, i in enumerate(scored)},
        ("0", "1"),
        dict.fromkeys(scored, ("selected", "zero")),
        {i: f"saliency {score:.3g}" for i, score in zip(scored, scores, strict=True)},
    )
    assert {s.state for s in frame.structures} == {"zero"}
    assert len(json.dumps(frame.payload())) + len(json.dumps(overlay.packed(ids))) < 50_000


def test_phases_follow_each_other_without_a_gap() -> None:
    frame = live_frame(run(1000))
    assert frame.phases == (("warm-up", 0, 99), ("projection", 100, 332), ("training", 333, 999))


def test_thinned_curves_keep_their_mean_their_ends_and_their_order() -> None:
    tail = run(10_000)
    curves = {c["name"]: np.array(c["points"]) for c in live_frame(tail).curves}
    assert all(len(points) <= 360 for points in curves.values())
    assert np.all(np.diff(curves["accuracy"][:, 0]) > 0)
    assert curves["accuracy"][:, 1].mean() == pytest.approx(tail.steps.accuracy.mean(), rel=0.01)
    assert curves["zero_groups"][-1].tolist() == [9999, 1]


def test_a_curve_that_is_cut_at_a_step_shows_nothing_of_later_steps_and_every_phase() -> None:
    tail = run(50_000)
    tail.steps.phase[:30] = "first"
    points = live_frame(tail).curves[1]["points"]  # the accuracy rises, so later steps would raise a mean
    for step, mean in points:
        assert mean <= step / 50_000
    changes = 1 + np.flatnonzero(tail.steps.phase[1:] != tail.steps.phase[:-1])
    ends = [step for step, _ in points]
    assert {*(changes - 1).tolist(), 49_999} <= set(ends)
    assert sum(step < 30 for step in ends) == 8


def test_the_current_measure_is_the_one_that_still_changes() -> None:
    tail = run(1000)  # scores end with the warm-up of 100 steps
    known = [SALIENCY, NORMS]
    found = [current(known, until(tail, step)) for step in (50, 99, 100, 999)]
    assert found == [SALIENCY, SALIENCY, NORMS, NORMS]


def test_a_structure_is_alive_then_selected_then_zero() -> None:
    tail = run(1000)
    states = [live_frame(until(tail, step)).structures[0].state for step in (50, 150, 999)]
    assert states == ["alive", "selected", "zero"]
    assert {s.state for s in live_frame(tail).structures[1:]} == {"alive"}


def test_a_replayed_frame_is_the_frame_of_that_moment() -> None:
    tail = run(1000)
    past = until(tail, 499)
    assert live_frame(past).step == 499
    assert live_frame(past).curves[0]["marks"] == []
    assert live_frame(tail).curves[0]["marks"] == [[500, 0.5, "full"]]
    assert live_frame(until(tail, 10_000)) == live_frame(tail)


def test_the_heat_map_has_a_byte_for_each_structure_and_column() -> None:
    frame = live_frame(run(3000, num_structures=7, scored=1000))
    bins = np.frombuffer(frame.heat, np.uint8).reshape(7, len(frame.heat_steps))
    assert len(frame.heat_steps) <= 160
    assert frame.heat_steps[-1] == 999
    assert set(np.unique(bins)) == set(range(9))


def test_what_was_not_measured_is_left_out_and_not_drawn_as_zero() -> None:
    tail = run(100, scored=10)
    tail.scores.values[:, 3] = np.nan
    tail.steps.loss[:] = np.nan
    frame = live_frame(tail)
    bins = np.frombuffer(frame.heat, np.uint8).reshape(6, -1)
    assert set(bins[3]) == {255}
    assert frame.structures[3].score is None
    assert 3 not in last_scores(tail)
    assert frame.curves[0]["points"] == []
    assert not any(math.isnan(v) for c in frame.curves for _, v in c["points"])
    json.dumps(frame.payload(), allow_nan=False)


def test_the_newest_score_counts_also_where_it_was_measured_long_ago() -> None:
    tail = run(100, scored=10)
    tail.scores.values[5:, 2] = np.nan
    assert last_scores(tail)[2] == pytest.approx(float(tail.scores.values[4, 2]))


def test_a_run_without_a_step_is_a_frame_that_waits() -> None:
    frame = live_frame(until(run(100), -1), state="created")
    assert (frame.step, frame.phase, frame.heat) == (-1, "", b"")
    json.dumps(frame.payload(), allow_nan=False)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.5, "about 25 s"), (10.0, "about 8 min"), (200.0, "about 2.8 h"), (np.nan, None)]
)
def test_a_run_at_work_tells_how_long_the_rest_takes(seconds: float, words: str | None) -> None:
    tail = replace(run(50), total_steps=100)
    tail.steps["seconds"] = seconds
    assert dict(live_frame(tail).facts).get("left") == words
    assert "left" not in dict(live_frame(tail, state="done").facts)


def test_names_of_structures_are_shown_without_what_does_not_print() -> None:
    frame = live_frame(run(100, num_structures=1), names={0: "a\u202e\x00b"})
    assert frame.structures[0].name == "ab"


def test_only_scores_tell_what_is_redundant() -> None:
    ends = {v: live_frame(run(10), vector=v).payload()["ends"] for v in (SALIENCY, COSINES, NORMS)}
    assert ends[SALIENCY] == ("redundant", "important")
    assert ends[COSINES] == ends[NORMS] == ("low", "high")


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        (
            {
                "name": "A\x00 GPU",
                "memory_used_mb": 12_595,
                "memory_total_mb": 81_920,
                "utilisation": 0.93,
            },
            "A GPU, 93% busy, 12.3 of 80 GB",
        ),
        ({"memory_used_mb": 1229, "memory_total_mb": 8192}, "- busy, 1.2 of 8 GB"),
        ({"utilisation": "<b>", "memory_used_mb": []}, "- busy"),
    ],
)
def test_a_gpu_tells_its_name_and_how_busy_it_is(gpu: dict[str, object], words: str) -> None:
    facts = dict(live_frame(replace(run(10), facts={"gpu": gpu})).facts)
    assert facts["GPU"] == words
    assert "GPU" not in dict(live_frame(run(10)).facts)
    untold = replace(run(10), facts={"device": "cuda:0"})
    assert dict(live_frame(untold).facts)["GPU"] == "-"
