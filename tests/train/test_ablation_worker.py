"""The ablation in a folder: it can be stopped and continued, trains nothing twice, and has one worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasviz import jobs
from nasviz.errors import RunBusyError, RunStateError
from nasviz.runs.ablation import TRAININGS_PER_SEED
from nasviz.runs.ablation_folder import AblationFolder
from nasviz.train import ablation
from nasviz.train.ablation_worker import work_through


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"strengths": (1e-3, 1e-2), "compared": (("hapg", "sgl"), ("sgd", "sgl"))}
    known = ablation.digits_ablation.__kwdefaults__
    monkeypatch.setattr(ablation.digits_ablation, "__kwdefaults__", {**known, **own})


def test_it_stops_when_asked_and_goes_on_where_it_was(tmp_path: Path) -> None:
    place = AblationFolder.of(tmp_path, 1)
    steps = work_through(place, 1, 1)
    first = [next(steps)]
    assert place.is_active
    with pytest.raises(RunBusyError):
        next(work_through(place, 1, 1))
    place.ask_to_stop()
    first += list(steps)
    assert (len(first), len(place.points)) == (1, 2)
    assert not place.is_active
    rest = list(work_through(place, 1, 1))
    assert len(rest) == 3
    straight = AblationFolder.of(tmp_path / "other", 1)
    assert [*first, *rest] == list(work_through(straight, 1, 1))
    assert place.points == straight.points
    assert list(work_through(place, 1, 1)) == []
    with pytest.raises(RunStateError, match="has no worker"):
        place.ask_to_stop()


def test_another_seed_adds_to_the_table(tmp_path: Path) -> None:
    place = AblationFolder.of(tmp_path, 1)
    assert len(list(work_through(place, 1, 1))) == 4
    assert [point.seed for point in work_through(place, 2, 1)] == [1] * 4
    assert len(place.points) == 16


def test_a_seed_takes_as_many_trainings_as_the_page_says() -> None:
    assert len(ablation.COMPARED) * len(ablation.STRENGTHS) == TRAININGS_PER_SEED


def test_a_worker_is_not_started_beside_another(tmp_path: Path) -> None:
    place = AblationFolder.of(tmp_path, 1)
    with place, pytest.raises(RunBusyError, match="stop it first"):
        jobs.start_ablation(place, 1, 1)
