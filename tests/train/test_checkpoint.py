"""Checkpoints are whole or not there, the last two are kept, and a damaged one is never loaded."""

import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from nasviz.errors import CheckpointError, NonFiniteLossError, RunNotFoundError
from nasviz.runs import Run
from nasviz.train import Session, open_session, train
from nasviz.train.checkpoint import SUMS, restore, save
from tests.train.conftest import short_settings

CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"


@pytest.fixture
def session(run: Run) -> Session:
    """Saved after 2 and after 4 steps; a third step was made since."""
    session = open_session(run.settings)
    for record in islice(train(session), 5):
        if record.step in (1, 3):
            save(session, run.folder)
    return session


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_last_two_are_kept_and_nothing_else_lies_about(session: Session, run: Run) -> None:
    steps = [torch.load(run.folder / name, weights_only=True)["step"] for name in (CURRENT, PREVIOUS)]

    assert steps == [4, 2]
    assert {p.name for p in run.folder.iterdir()} == {"config.json", CURRENT, PREVIOUS, SUMS}


@pytest.mark.parametrize("damage", ["flipped bit", "torn", "empty", "missing"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    session: Session, run: Run, damage: str
) -> None:
    path = run.folder / CURRENT
    match damage:
        case "flipped bit":
            flip(path, path.stat().st_size // 2)
        case "torn":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "empty":
            path.write_bytes(b"")
        case "missing":
            path.unlink()

    again = open_session(run.settings)

    assert restore(again, run.folder) == PREVIOUS
    assert again.step == 2


def test_where_both_are_damaged_the_error_says_what_to_do(session: Session, run: Run) -> None:
    for name in (CURRENT, PREVIOUS):
        flip(run.folder / name, 100)
    with pytest.raises(CheckpointError, match=r"damaged.*restore one from a copy"):
        restore(open_session(run.settings), run.folder)


@pytest.mark.parametrize("content", [None, b"{ torn", b'{"sha256": 3}'])
def test_what_cannot_be_verified_is_not_loaded(session: Session, run: Run, content: bytes | None) -> None:
    (run.folder / SUMS).unlink()
    if content is not None:
        (run.folder / SUMS).write_bytes(content)
    with pytest.raises(CheckpointError):
        restore(open_session(run.settings), run.folder)


def test_nothing_saved_is_nothing_restored(run: Run) -> None:
    session = open_session(run.settings)
    assert restore(session, run.folder) is None
    assert session.step == 0


def test_a_checkpoint_of_other_settings_is_refused(session: Session, run: Run) -> None:
    with pytest.raises(CheckpointError, match="other settings"):
        restore(open_session(short_settings(lr=0.01)), run.folder)


def test_a_checkpoint_is_opened_on_another_device(run: Run) -> None:
    session = open_session(run.settings.changed(device="auto"))
    next(iter(train(session)))
    save(session, run.folder)
    again = open_session(run.settings.changed(device="cpu"))
    assert restore(again, run.folder) == CURRENT
    assert again.step == 1


def test_parameters_that_are_not_finite_are_never_saved(session: Session, run: Run) -> None:
    before = (run.folder / CURRENT).read_bytes()
    with torch.no_grad():
        next(session.network.parameters()).view(-1)[0] = float("nan")

    with pytest.raises(NonFiniteLossError, match="lower lr"):
        save(session, run.folder)
    assert (run.folder / CURRENT).read_bytes() == before


def test_nothing_is_saved_into_a_folder_that_is_gone(session: Session, run: Run) -> None:
    gone = run.folder.rename(run.folder.with_name("elsewhere"))
    with pytest.raises(RunNotFoundError):
        save(session, run.folder)
    assert not run.folder.exists()
    assert gone.exists()


def test_all_global_generators_go_on_where_they_were(session: Session, run: Run) -> None:
    save(session, run.folder)
    expected = random.random(), np.random.rand(), np.random.randn(), torch.rand(1).item()  # noqa: NPY002

    restore(open_session(run.settings), run.folder)

    assert expected == (random.random(), np.random.rand(), np.random.randn(), torch.rand(1).item())  # noqa: NPY002
