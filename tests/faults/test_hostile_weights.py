"""Files of weights that mean harm: one sentence, no code run, no memory taken, and the next one is served."""

from __future__ import annotations

import pickle
import re
import resource
from pathlib import Path
from typing import Any

import pytest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.errors import JobError, WeightsError
from nasviz.models import build, load_weights
from tests.hostile_files import MIB, WEIGHTS, Payload

SOURCE = NetworkSource("demonet", settings={"width": 0.05})
MOST_MEMORY = 64 * MIB
"""What reading any of these files may take, beyond a process that has built the network."""


def refused(path: str, answers: Any) -> None:
    """In a process of its own: what is said of the file, and how much memory that took."""
    network, _ = build(SOURCE, seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        load_weights(network, path)
        words = "it was taken"
    except WeightsError as error:
        words = str(error)
    answers.put((words, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024))


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_hostile_file_of_weights_is_refused_in_little_memory(
    context: Any, tmp_path: Path, name: str
) -> None:
    make, words = WEIGHTS[name]
    canary = tmp_path / "canary"
    path = make(tmp_path, canary)
    answers = context.Queue()
    process = context.Process(target=refused, args=(str(path), answers))
    process.start()
    message, grown = answers.get(timeout=240)
    process.join(timeout=60)

    assert re.search(words, message), message
    assert message.isprintable()
    assert len(message) < 500
    assert grown < MOST_MEMORY, f"{grown / MIB:.0f} MiB"
    assert not canary.exists()


def test_the_trap_snaps_where_a_pickle_is_opened_as_pickles_are(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").is_dir()


def test_the_child_that_refused_them_all_serves_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # flips the default, where it is left to it
    canary = tmp_path / "canary"
    try:
        jobs.submit(jobs.Analyze(source=SOURCE)).require()
        pid = jobs.shared_client().pool.warm_pid
        for number, (make, words) in enumerate(WEIGHTS.values()):
            folder = tmp_path / str(number)
            folder.mkdir()
            path = make(folder, canary)
            source = NetworkSource("demonet", weights=str(path), settings={"width": 0.05})
            with pytest.raises((JobError, WeightsError), match=words):
                jobs.submit(jobs.Analyze(source=source)).require()
        other = NetworkSource("demonet", settings={"width": 0.06})
        assert jobs.submit(jobs.Analyze(source=other)).require().space
        assert jobs.shared_client().pool.warm_pid == pid, "the child was lost on the way"
        assert not canary.exists()
    finally:
        jobs.close()
