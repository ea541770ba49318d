"""What every search method declares as data: phases, vectors, and goals that it cannot reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
    assert "auto" not in set(map(str, planned.values.values())) - {str(planned.values.get("over"))}


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
        ("gsparsity", {"lr": 0.05}, {"lr": 0.9}),
        ("gsparsity", {"threshold": 0.0}, {"lr": 0.9}),
        ("darts", {}, {"architecture_lr": 0.05}),
        ("sparsenas", {"penalty_step": 0.0}, {"penalty_step": 0.1}),
        ("sparsenas", {"epochs": 1}, {"epochs": 10}),
    ],
)
def test_settings_that_cannot_reach_their_goal_are_named(method: str, low: dict, high: dict) -> None:
    for values, is_reached in ((low, False), (high, True)):
        settings = run_of(method, **({"epochs": 10} | values))
        reasons = settings.method.check(settings.schedule(1000))
        assert (reasons == []) is is_reached, reasons


def test_the_number_of_steps_that_is_named_is_enough() -> None:
    settings = run_of("gsparsity", lr=0.5)
    schedule = settings.schedule(1000)
    (reason,) = settings.method.check(replace(schedule, projection_steps=27))
    assert "28" in reason  # (1 - 0.5)^28 < 1e-6 by ln(1e6) / 0.5 = 27.6
    assert settings.method.check(replace(schedule, projection_steps=28)) == []
