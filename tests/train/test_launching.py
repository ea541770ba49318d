"""The launcher of several processes: a death starts all again, a cancel is heard, nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from nasviz.runs import Run, Store
from tests.runs.conftest import wait_until
from tests.train.conftest import short_settings, timeless
from tests.train.test_exact_resume import assert_equal_bits

REPOSITORY = Path(__file__).parents[2]
OPTIONS = (
    "--model demonet --input 1,8,8 --set width=0.25 --target-sparsity 3 --warmup-steps 8 "
    "--projection-steps 8 --epochs 30 --batch-size 120 --checkpoint-steps 3 --device cpu"
).split()
Start = Callable[..., subprocess.Popen[bytes]]
pytestmark = pytest.mark.slow


@pytest.fixture
def start() -> Iterator[Start]:
    processes = []

    def begin(*command: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def ranks_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Its training processes, by rank."""
    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "nasviz" in " ".join(child.cmdline()) and "RANK" in (place := child.environ()):
                found[int(place["RANK"])] = child
        except psutil.Error:
            continue
    return [found[rank] for rank in sorted(found)]


def is_at(run: Run, step: int) -> bool:
    assert run.state != "failed", run.end
    return run.tail().last_step >= step


def worker(run: Run) -> tuple[str, str]:
    return "nasviz.train.worker", str(run.folder)


@pytest.mark.parametrize("count", [2, 3])
def test_any_process_may_be_killed_and_the_end_is_the_same(store: Store, start: Start, count: int) -> None:
    settings = short_settings(
        processes=count, batch_size=120, epochs=60, checkpoint_steps=20, eval_every_epochs=20, mixup=0.4
    )
    straight, killed = store.create(settings), store.create(settings)
    assert start(*worker(straight)).wait(timeout=240) == 0

    process = start(*worker(killed))
    for number, step in enumerate((30, 150, 300)):
        wait_until(lambda step=step: is_at(killed, step), limit_s=120)
        ranks_of(process)[number % count].kill()
        wait_until(lambda n=number: sum(e.kind == "resume" for e in killed.tail().events) > n, limit_s=120)
        assert killed.state == "running"
    assert process.wait(timeout=240) == 0

    assert timeless(straight) == timeless(killed)
    assert straight.tail().facts["checked"] == killed.tail().facts["checked"]
    left, right = straight.tail(), killed.tail()
    assert left.steps.step.tolist() == right.steps.step.tolist() == list(range(60 * (1437 // 120)))
    assert left.steps.loss.tolist() == right.steps.loss.tolist()
    ends = [torch.load(r.folder / "checkpoint.pt", weights_only=True) for r in (straight, killed)]
    assert_equal_bits(dict(ends[0]["network"]), dict(ends[1]["network"]))


def test_without_its_launcher_no_process_lives_on_and_the_run_is_resumed(store: Store, start: Start) -> None:
    run = store.create(short_settings(processes=2, epochs=40))
    process = start(*worker(run))
    wait_until(lambda: is_at(run, 20), limit_s=120)
    ranks = ranks_of(process)
    assert len(ranks) == 2
    process.kill()
    process.wait()
    assert run.state == "crashed"
    _, alive = psutil.wait_procs(ranks, timeout=5)
    assert not alive

    process = start(*worker(run))
    wait_until(lambda: any(e.kind == "resume" for e in run.tail().events), limit_s=120)
    wait_until(lambda: run.state == "running", limit_s=10)
    run.request("pause")
    wait_until(lambda: run.state == "paused", limit_s=10)
    step = run.tail().last_step
    time.sleep(1.0)
    assert run.tail().last_step == step
    run.request("resume")
    wait_until(lambda: is_at(run, step + 5), limit_s=20)
    ranks = ranks_of(process)
    run.request("cancel")
    assert process.wait(timeout=10) == 0
    assert run.state == "cancelled"
    assert not psutil.wait_procs(ranks, timeout=5)[1]


def test_a_cancel_before_the_first_step_is_heard_in_time(store: Store, start: Start) -> None:
    run = store.create(short_settings(processes=2, epochs=40))
    process = start(*worker(run))
    wait_until(lambda: run.state == "running", limit_s=60)
    wait_until(lambda: bool(ranks_of(process)), limit_s=60)
    ranks = ranks_of(process)
    run.request("cancel")
    process.wait(timeout=10)
    assert run.state == "cancelled"
    assert not psutil.wait_procs(ranks, timeout=5)[1]


def test_torchrun_trains_the_same_run_and_finds_it_again_after_a_restart(store: Store, start: Start) -> None:
    alone = start("nasviz", "train", "--nproc", "2", *OPTIONS, "--runs", str(store.folder))
    said, _ = alone.communicate(timeout=240)
    assert alone.returncode == 0, said.decode()
    (first,) = store.list()

    flags = ["--nproc-per-node", "2", "--max-restarts", "2", "-m", "nasviz", "train", *OPTIONS]
    process = start("torch.distributed.run", *flags, "--runs", str(store.folder))
    wait_until(lambda: len(store.list()) == 2, limit_s=120)
    (other,) = [store.open(s.id) for s in store.list() if s.id != first.id]
    wait_until(lambda: is_at(other, 3), limit_s=120)
    ranks_of(process)[1].send_signal(signal.SIGKILL)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said.decode()
    assert len(store.list()) == 2
    assert any(e.kind == "resume" for e in other.tail().events)
    assert timeless(other) == timeless(store.open(first.id))
    facts = [store.open(one).tail().facts["checked"] for one in (first.id, other.id)]
    assert facts[0] == facts[1]
