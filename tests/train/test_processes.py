"""Several processes train one run: equal at every check, exact after a kill, and refused when they differ."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from nasviz import data
from nasviz.catalog import NetworkSource
from nasviz.cli.reports import run_lines
from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.runs import Run, RunSettings, Store
from nasviz.train import open_session
from nasviz.train.batches import epoch_batches
from nasviz.train.checkpoint import restore
from tests.train.conftest import short_settings, timeless
from tests.train.rank_children import train_as
from tests.train.test_exact_resume import assert_equal_bits, final_state

LIMIT_S = 120


def together(context: Any, run: Run, harm: str = "", step: int = -1) -> list[int | None]:
    """Train a run on the processes it asks for; their exit codes."""
    count = run.settings.processes
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    ranks = [
        context.Process(target=train_as, args=(rank, count, port, str(run.folder), harm, step))
        for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(timeout=LIMIT_S)
    codes = [process.exitcode for process in ranks]
    for process in ranks:
        process.kill()
    return codes


def digests(run: Run, rank: int) -> list[str]:
    return (run.folder / f"digests.{rank}").read_text().split("\n")[:-1]


def test_two_processes_are_equal_at_every_check_and_a_kill_changes_no_bit(context: Any, store: Store) -> None:
    straight, killed = (store.create(short_settings(processes=2, mixup=0.4)) for _ in range(2))

    assert together(context, straight) == [0, 0]
    assert straight.state == "done"
    assert digests(straight, 0) == digests(straight, 1)
    assert [int(line.split()[0]) for line in digests(straight, 0)] == [3, 6, 9, 12, 15, 18, 21, 22]
    assert len({line.split()[1] for line in digests(straight, 0)}) == 8
    tail = straight.tail()
    assert tail.facts["checked"] == {"step": 21, "sha256": digests(straight, 0)[-1].split()[1]}
    assert tail.steps.step.tolist() == list(range(22))
    assert "and 1 more process" in tail.events[0].text
    assert any("2, parameters equal at step 21" in line for line in run_lines(straight))

    result = straight.end.result
    assert len(result["selected"]) == 3
    assert result["max_relative_error"] < 1e-5
    assert result["accuracy_subnet"] == result["accuracy_full"]
    session = open_session(short_settings())
    network = session.network
    network.load_state_dict(final_state(straight)["network"])
    parameters = dict(network.named_parameters())
    gone = [n for i in result["selected"] for n in session.space.structure(i).parameter_names]
    assert gone
    assert not any(parameters[name].any() for name in gone)
    assert all(parameters[name].any() for name in set(parameters).difference(gone))

    codes = together(context, killed, "die", 11)
    assert codes[1] == -9
    assert codes[0] != 0
    assert killed.state == "crashed"  # though the first process has heard of the death
    assert together(context, killed) == [0, 0]
    assert_equal_bits(final_state(straight), final_state(killed))
    assert timeless(straight) == timeless(killed)
    assert killed.tail().facts["checked"] == tail.facts["checked"]

    # Its state belongs to two processes: one alone would draw other numbers.
    with pytest.raises(CheckpointError, match="other settings"):
        restore(session, straight.folder)


def test_a_process_that_drifts_away_is_named(context: Any, store: Store) -> None:
    run = store.create(short_settings(processes=2))
    codes = together(context, run, "drift", 4)
    assert 0 not in codes
    assert run.state == "failed"
    assert "after 6 steps the parameters of rank 1" in run.end.error
    assert "differ from those of rank 0" in run.end.error
    assert digests(run, 0)[0] == digests(run, 1)[0]  # the check before was passed
    assert torch.load(run.folder / "checkpoint.pt", weights_only=True)["step"] == 3


def test_shares_are_equal_and_make_up_the_batch() -> None:
    images = data.load("digits", image_shape=(1, 8, 8)).train
    whole = list(epoch_batches(images, seed=0, epoch=1, batch_size=60))
    shares = [list(epoch_batches(images, seed=0, epoch=1, batch_size=60, rank=r, count=3)) for r in range(3)]
    assert {len(batches) for batches in shares} == {len(whole)}
    for (x, y), *parts in zip(whole, *shares, strict=True):
        assert [len(part[1]) for part in parts] == [20, 20, 20]
        assert torch.equal(torch.stack([part[0] for part in parts], 1).reshape(x.shape), x)
        assert torch.equal(torch.stack([part[1] for part in parts], 1).reshape(-1), y)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"processes": 3}, "multiple of processes=3"),
        (
            {"processes": 2, "optimizer": "darts"},
            "processes=2.*DARTS",
        ),
        ({"processes": 2, "device": "cuda:1"}, "each has its own"),
        ({"processes": 0}, "from 1 to"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        RunSettings.of(NetworkSource("demonet"), **changes)


def test_a_session_wants_as_many_processes_as_its_run() -> None:
    with pytest.raises(InvalidSettingError, match="processes=2 was asked for, and 1 are there"):
        open_session(short_settings(processes=2))


def test_digests_tell_one_bit(tmp_path: Path) -> None:
    from nasviz.train.processes import digest

    session = open_session(short_settings())
    before = digest(session)
    assert digest(open_session(short_settings())) == before
    next(session.network.parameters()).data.view(-1)[0] += 1e-6
    assert digest(session) != before
