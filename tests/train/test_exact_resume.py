"""A run that was killed ends bit for bit like one that never was."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.runs import Run, RunSettings, Store
from nasviz.train import Session, open_session, train, work
from nasviz.train.checkpoint import restore, save
from tests.train.children import train_until_killed
from tests.train.conftest import short_settings, timeless

MID_WARM_UP, MID_PROJECTION, AFTER = 4, 11, 19
TIMES = {"seconds", "examples_per_second", "memory_mb"}


def in_a_process(context: Any, run: Run, last_step: int = -1) -> int:
    process = context.Process(target=train_until_killed, args=(str(run.folder), last_step))
    process.start()
    process.join(timeout=120)
    assert process.exitcode is not None
    return process.exitcode


def final_state(run: Run) -> dict[str, Any]:
    state = torch.load(run.folder / "checkpoint.pt", weights_only=True)
    assert state["step"] == 22
    return state | {"network": dict(state["network"])}


def assert_equal_bits(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_equal_bits(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_equal_bits(a, b)
    else:
        assert left == right


RECIPE = {"lr_periods": 2, "mixup": 0.4, "label_smoothing": 0.1, "augmentation": "cutout"}


def test_three_kills_change_no_bit_and_another_seed_does(context: Any, store: Store) -> None:
    settings = short_settings(**RECIPE)
    straight, killed = store.create(settings), store.create(settings)

    assert work(straight) == "done"
    for last_step in (MID_WARM_UP, MID_PROJECTION, AFTER):
        assert in_a_process(context, killed, last_step) == -signal.SIGKILL
        assert killed.state == "crashed"
        assert killed.tail().last_step < last_step
    assert in_a_process(context, killed) == 0

    assert_equal_bits(final_state(straight), final_state(killed))
    expected, found = straight.tail(), killed.tail()
    for name in set(expected.steps.dtype.names or ()) - TIMES:
        np.testing.assert_array_equal(expected.steps[name], found.steps[name], err_msg=name)
    np.testing.assert_array_equal(expected.scores.values, found.scores.values)
    np.testing.assert_array_equal(expected.norms.values, found.norms.values)
    np.testing.assert_array_equal(expected.cosines.values, found.cosines.values)
    assert expected.evaluations == found.evaluations
    assert timeless(straight) == timeless(killed)
    told = [(e.step, e.kind, e.text) for e in found.events if e.kind != "resume"]
    assert told == [(e.step, e.kind, e.text) for e in expected.events]
    assert sum(e.kind == "resume" for e in found.events) == 3
    assert len(killed.environments) == 4

    other = open_session(short_settings(seed=1, **RECIPE))
    losses(other, 22)
    with pytest.raises(AssertionError):
        assert_equal_bits(final_state(straight)["network"], dict(other.network.state_dict()))


DROPOUT = """
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))
"""


@pytest.fixture
def dropout_settings(tmp_path: Path) -> RunSettings:
    (tmp_path / "with_dropout.py").write_text(DROPOUT)
    source = NetworkSource("with_dropout:build", input_shape=(1, 8, 8), trust=(str(tmp_path),))
    return short_settings(network=source, target_sparsity=0)


def losses(session: Session, num_steps: int) -> list[float]:
    steps = zip(range(num_steps), train(session), strict=False)
    return [float(record.loss) for _, record in steps]


def test_dropout_goes_on_where_it_was_and_only_with_the_random_state(
    dropout_settings: RunSettings, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(dropout_settings)
    losses(session, 5)
    save(session, run.folder)
    expected = losses(session, 10)

    again = open_session(dropout_settings)
    assert restore(again, run.folder) == "checkpoint.pt"
    assert losses(again, 10) == expected

    forgetful = open_session(dropout_settings)
    monkeypatch.setattr("nasviz.train.checkpoint._set_random_state", lambda state: None)
    restore(forgetful, run.folder)
    assert losses(forgetful, 10) != expected


def test_mixtures_and_periods_go_on_where_they_were(run: Run) -> None:
    session = open_session(short_settings(**RECIPE))
    losses(session, 10)
    save(session, run.folder)
    expected = losses(session, 22)

    again = open_session(short_settings(**RECIPE))
    restore(again, run.folder)
    assert losses(again, 22) == expected
    assert len(expected) == 12

    mixed_elsewhere = open_session(short_settings(**RECIPE))
    restore(mixed_elsewhere, run.folder)
    mixed_elsewhere.settings = short_settings(**RECIPE, seed=1)
    assert losses(mixed_elsewhere, 22) != expected


def test_without_the_optimizer_state_a_resumed_run_differs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(short_settings())
    losses(session, 5)
    save(session, run.folder)
    expected = losses(session, 5)

    forgetful = open_session(short_settings())
    monkeypatch.setattr(type(forgetful.optimizer), "load_state_dict", lambda self, state: None)
    restore(forgetful, run.folder)

    assert losses(forgetful, 5) != expected


def test_loader_processes_and_a_resume_in_the_middle_of_an_epoch_change_no_bit(run: Run) -> None:
    alone = open_session(short_settings(**RECIPE))
    expected = losses(alone, 22)

    helped = open_session(short_settings(**RECIPE, num_workers=2))
    first = losses(helped, 5)
    save(helped, run.folder)
    again = open_session(short_settings(**RECIPE, num_workers=2))
    restore(again, run.folder)

    assert first + losses(again, 22) == expected
    assert_equal_bits(dict(alone.network.state_dict()), dict(again.network.state_dict()))
