"""Runs are trained, watched, stopped, resumed and cancelled from the command line."""

import json
import os
import re
import signal
from pathlib import Path
from threading import Thread

import pytest

from nasviz.catalog import NetworkSource
from nasviz.jobs import launch
from nasviz.runs import Run, RunSettings, StepRecord, Store, Writer
from nasviz.runs import open as open_run
from tests import mixed_network
from tests.cli.conftest import SMALL, Command
from tests.runs.conftest import wait_until

TRAIN = ["train", "--model", *SMALL, "--target-sparsity", "3", "--runs", "@runs"]


def only_run(folder: Path) -> Run:
    (summary,) = Store(folder / "runs").list()
    return Store(folder / "runs").open(summary.id)


def test_a_run_trains_to_its_end_and_says_what_it_did(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz(*TRAIN, "--epochs", 1, "--batch-size", 128, "--weight-decay", 0.001)
    run = only_run(tmp_path)
    assert said.code == 0, said.err
    assert run.state == "done"
    assert run.settings.value("weight_decay") == 0.001
    assert run.settings.network == NetworkSource("demonet", (1, 8, 8), settings={"width": 0.1})
    assert re.search(r"parameters  [\d,]+ -> [\d,]+ \(\d+\.\d%\)", said.out)
    assert "warm-up ended, selected:" in said.out
    assert f"nasviz export {run.id} --runs {tmp_path / 'runs'} --onnx" in said.out
    assert "\r" not in said.out

    listed = nasviz("runs", "list", "--runs", "@runs")
    assert re.search(rf"{run.id}  done   100%  demonet  3 ", listed.out)
    documents = json.loads(nasviz("runs", "list", "--runs", "@runs", "--json").out)
    assert documents[0]["result"]["params_after"] < documents[0]["result"]["params_before"]

    shown = nasviz("runs", "show", run.id, "--runs", "@runs", "--follow")
    assert "weight_decay=0.001" in shown.out
    assert "subnet network: accuracy" in shown.out
    assert json.loads(nasviz("runs", "show", run.folder, "--json").out)["state"] == "done"

    again = nasviz("runs", "resume", run.id, "--runs", "@runs")
    assert again.code == 2
    assert "is done" in again.err


def test_a_share_of_the_structures_is_taken_as_one(nasviz: Command, tmp_path: Path) -> None:
    said = nasviz(*TRAIN, "--target-sparsity", "0.5", "--epochs", 1, "--batch-size", 512, "--quiet")
    assert said.code == 0, said.err
    assert only_run(tmp_path).settings.value("target_sparsity") == 0.5
    assert "step" not in said.out


def test_a_run_erases_a_collapsed_module_as_one_structure(nasviz: Command, tmp_path: Path) -> None:
    source = mixed_network.source(tmp_path / "trust")
    words = ["--model", source.name, "--trust", tmp_path / "trust", "--input", "1,8,8", "--runs", "@runs"]
    words += ["--collapse", "FactorizedReduce", "--protect", "plain", "--protect", "mix"]
    said = nasviz("train", *words, "--target-sparsity", 1, "--epochs", 1, "--batch-size", 256, "--quiet")
    assert said.code == 0, said.err
    assert re.search(r"erased +reduce\n", said.out)
    run = only_run(tmp_path)
    assert run.settings.collapse == ("FactorizedReduce",)
    assert run.end.result["max_relative_error"] < 1e-5


def interrupt_after(folder: Path, step: int) -> Thread:
    """Send this process an interrupt, as Ctrl-C does, once the only run in `folder` is past `step`."""

    def wait() -> None:
        wait_until(
            lambda: Store(folder).list() != [] and only_run(folder.parent).tail().last_step > step, 240
        )
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=wait)
    thread.start()
    return thread


def test_an_interrupted_run_goes_on_where_it_stopped(nasviz: Command, tmp_path: Path) -> None:
    ctrl_c = interrupt_after(tmp_path / "runs", 5)
    said = nasviz(*TRAIN, "--epochs", 500, "--checkpoint-steps", 10_000)
    ctrl_c.join()
    run = only_run(tmp_path)
    assert said.code == 130, said.err
    assert "Traceback" not in said.err
    assert run.state == "cancelled"
    assert (run.folder / "checkpoint.pt").is_file()
    assert f"nasviz runs resume {run.id} --runs {tmp_path / 'runs'}" in said.out

    ctrl_c = interrupt_after(tmp_path / "runs", run.tail().last_step)
    assert nasviz("runs", "resume", run.id, "--runs", "@runs").code == 130
    ctrl_c.join()
    assert [event.kind for event in run.tail().events].count("resume") == 1
    assert run.tail().steps.step.tolist() == list(range(run.tail().last_step + 1))


def test_a_detached_run_is_busy_until_it_is_cancelled(
    nasviz: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "WORKER", "tests.jobs.quick_worker")
    settings = RunSettings.of(network=NetworkSource("demonet"), epochs=8, mixup=0.5)  # waits after step 4
    run = Store(tmp_path / "runs").create(settings)
    assert nasviz("runs", "resume", run.id, "--runs", "@runs", "--detach").code == 0
    wait_until(lambda: run.is_active and run.tail().last_step == 4)
    busy = nasviz("runs", "resume", run.id, "--runs", "@runs")
    assert busy.code == 2
    assert nasviz("runs", "cancel", run.id, "--runs", "@runs").code == 0
    wait_until(lambda: run.state == "cancelled")


def test_a_run_that_has_not_started_can_be_cancelled(nasviz: Command, tmp_path: Path) -> None:
    run = Store(tmp_path / "runs").create(RunSettings.of(network=NetworkSource("demonet")))
    said = nasviz("runs", "cancel", run.id, "--runs", "@runs")
    assert said.code == 0
    assert "cancelled" in said.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--target-sparsity", "9"], "choose at most 4"),
        (["--epochs", "0"], "epochs"),
        (["--lr", "nan"], "lr"),
        (["--warmup-steps", "40", "--projection-steps", "40"], "to at most"),
        (["--device", "cuda:99"], "device='cuda:99'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    nasviz: Command, arguments: list[str], word: str
) -> None:
    said = nasviz(*TRAIN, "--quiet", *arguments)
    assert said.code == 2
    assert word in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("run", ["absent", "../absent", "..", "a/b"])
@pytest.mark.parametrize("command", ["show", "resume", "cancel"])
def test_a_run_that_is_not_there_is_refused(nasviz: Command, command: str, run: str) -> None:
    said = nasviz("runs", command, run, "--runs", "@runs")
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_a_run_is_followed_beside_its_json_and_told_how_to_go_on(nasviz: Command, tmp_path: Path) -> None:
    run = Store(tmp_path / "runs").create(RunSettings.of(network=NetworkSource("demonet")))
    with Writer(run) as writer:
        writer.describe(total_steps=10)
        writer.event(0, "start", "start on cpu: 10 steps")
        writer.step(StepRecord(0, 0, "warm-up", 1.5, 0.5, 0.05))

    shown = nasviz("runs", "show", run.id, "--runs", "@runs", "--follow", "--json")
    assert json.loads(shown.out)["id"] == run.id
    assert shown.err == "step      0  start on cpu: 10 steps\n"
    told = nasviz("runs", "show", run.id, "--runs", "@runs", "--follow")
    assert f"nasviz runs resume {run.id}" in told.out
    assert open_run(run.id, tmp_path / "runs").tail(after_step=-1).steps.step.tolist() == [0]
    assert open_run(run.folder).tail(after_step=0).steps.step.tolist() == []
