"""What every search method declares as data: phases, vectors, and goals that it cannot reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.settings import METHODS, RunSettings


def run_of(method: str, **values: object) -> RunSettings:
    return RunSettings.of(network="demonet", method=method, **values)


@pytest.mark.parametrize("method", METHODS)
def test_phases_add_up_to_the_run(method: str) -> None:
    settings = run_of(method, epochs=10)
    schedule = settings.schedule(1000)
    phases = settings.method.phases(schedule)
    assert sum(phase.num_steps for phase in phases) == schedule.total_steps
    assert all(phase.num_steps > 0 and phase.purpose for phase in phases)
    planned = settings.planned(schedule)
    assert all(isinstance(planned.values.get(n, 1), int) for n in ("warmup_steps", "projection_steps"))
    known = {name: value for name, value in planned.values.items() if name not in ("over", "mu")}
    assert "auto" not in map(str, known.values()), "mu depends on the network"


@pytest.mark.parametrize("method", METHODS)
def test_vectors_are_tables_of_the_store_with_labels_of_their_own(method: str) -> None:
    vectors = METHODS[method]().vectors(2)
    assert {vector.table for vector in vectors} <= {"scores", "norms", "cosines"}
    assert (
        len({vector.label for vector in vectors}) == len({vector.table for vector in vectors}) == len(vectors)
    )


@pytest.mark.parametrize(
    ("method", "low", "high"),
    [
        ("gsparsity", {"lr": 0.05, "pruning": "threshold"}, {"lr": 0.05}),
        ("gsparsity", {"lr": 0.05, "pruning": "threshold"}, {"lr": 0.9, "pruning": "threshold"}),
        ("gsparsity", {"threshold": 0.0, "pruning": "threshold"}, {"lr": 0.9}),
        ("gsparsity", {"update": "subgradient"}, {"update": "subgradient", "threshold": 0.1}),
        (
            "gsparsity",
            {"update": "hard_threshold", "coupling": 40.0},
            {"coupling": 39.0, "update": "hard_threshold"},
        ),
        ("gsparsity", {"update": "soft_threshold", "coupling": 40.0}, {"update": "soft_threshold"}),
        ("darts", {"architecture_lr": 3e-4}, {}),
        ("milenas", {"architecture_lr": 3e-4}, {}),
        ("rarts", {"auxiliary_weight": 1.0, "coupling": 1.0}, {}),
        ("rarts", {"coupling": 25.0, "lr": 0.05}, {"coupling": 1.6, "auxiliary_weight": 0.6}),
        ("rarts_width", {"coupling": 1.5}, {}),
        ("hspg", {"regularization": 1e-3}, {}),
        ("sparsenas", {"epochs": 30, "penalty_step": 0.0}, {"epochs": 30, "penalty_step": 0.1}),
        ("sparsenas", {"epochs": 1}, {"epochs": 30}),
        ("sparsenas", {"epochs": 16}, {"epochs": 20}),
    ],
)
def test_settings_that_cannot_reach_their_goal_are_named(method: str, low: dict, high: dict) -> None:
    for values, is_reached in ((low, False), (high, True)):
        settings = run_of(method, **({"epochs": 10} | values))
        reasons = settings.method.check(settings.schedule(1000))
        assert (reasons == []) is is_reached, reasons


def test_the_number_of_steps_that_is_named_is_enough() -> None:
    settings = run_of("gsparsity", lr=0.5, pruning="threshold")
    schedule = settings.schedule(1000)
    (reason,) = settings.method.check(replace(schedule, projection_steps=19))
    assert 0.5**20 < 1e-6 < 0.5**19
    assert "needs 20 " in reason
    assert settings.method.check(replace(schedule, projection_steps=20)) == []


def test_a_note_beside_the_threshold_says_how_many_steps_it_needs() -> None:
    settings = run_of("gsparsity", epochs=4)
    schedule = settings.schedule(1438)  # the digits
    assert (schedule.projection_steps, settings.method.num_steps_to_threshold) == (53, 270)
    note = settings.method.notes(schedule)["threshold"]
    assert all(word in note for word in ("270 steps", "53", "0.066", "set to zero"))


@pytest.mark.parametrize(("epochs", "rate"), [(1, 0.1), (4, 0.1), (16, 3e-4 * 19_500 / 158), (5000, 3e-4)])
@pytest.mark.parametrize("method", ["darts", "milenas", "rarts"])
def test_the_architecture_rate_goes_by_the_steps_that_there_are(
    method: str, epochs: int, rate: float
) -> None:
    settings = run_of(method, epochs=epochs)
    schedule = settings.schedule(1438)
    assert settings.planned(schedule).values["architecture_lr"] == pytest.approx(rate)
    assert f"{rate:.3g} over" in settings.method.notes(schedule)["architecture_lr"]
    assert run_of(method, epochs=epochs, architecture_lr=0.02).method.rate(schedule) == 0.02


def test_lambda_rises_as_published_where_there_are_enough_epochs() -> None:
    for epochs, step in ((4, 1 / 2), (16, 1 / 11), (150, 0.01)):
        settings = run_of("sparsenas", epochs=epochs)
        schedule = settings.schedule(1438)
        planned = settings.planned(schedule)
        assert planned.values["penalty_step"] == pytest.approx(step)
        assert sum(phase.num_steps for phase in planned.phases(schedule)) == schedule.total_steps
    literal = run_of("sparsenas", epochs=16, target_zeros=0.0, warmup_steps=0)
    assert [p.name for p in literal.method.phases(literal.schedule(1438))] == ["search"]


def test_the_rate_schedule_is_that_of_the_method_unless_one_is_chosen() -> None:
    assert [run_of(name).rate_schedule for name in ("gsparsity", "h2spg")] == ["constant", "cosine"]
    assert run_of("gsparsity", lr_schedule="cosine").rate_schedule == "cosine"
    with pytest.raises(InvalidSettingError, match="lr_periods"):
        run_of("gsparsity", lr_periods=2)
    assert run_of("h2spg", lr_periods=2).changed(lr_schedule="cosine").lr_periods == 2
