"""Attacks by copied runs and sweeps: a stranger's code is imported nowhere, this user's own code is."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasviz import jobs
from nasviz.catalog import NetworkSource
from nasviz.cli import main
from nasviz.errors import InvalidSettingError, RunStateError, UntrustedCodeError
from nasviz.runs import (
    Run,
    RunSettings,
    Store,
    Sweep,
    SweepSettings,
    SweepStore,
    admit,
    axis,
    continue_run,
    require_trusted,
)
from nasviz.runs.files import CONFIG
from nasviz.runs.marks import KEY_FILE, make_mark, state_folder
from tests.faults.strangers import other_machine, strangers_run, strangers_sweep, write_code
from tests.runs.conftest import wait_until
from tests.train.conftest import short_settings
from tests.warm_python import run_module

ROOT = Path(__file__).parents[2]
FAST = {"epochs": 1, "warmup_steps": 3, "projection_steps": 3, "eval_every_epochs": 9}


@pytest.fixture(autouse=True)
def _no_limit() -> Iterator[None]:
    yield
    for name in ("evil", "mine"):
        sys.modules.pop(name, None)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def naming(folder: Path, name: str = "evil") -> RunSettings:
    """A run whose network is the code in `folder`."""
    return short_settings(
        network=NetworkSource(f"{name}:net", (1, 8, 8), trust=(str(folder),)), target_sparsity=0
    )


def start(*words: object, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a process of its own, without a terminal."""
    return run_module(*words, cwd=cwd, **variables)


# ---- workers ----


def test_a_worker_that_is_started_directly_refuses_a_strangers_run(tmp_path: Path, runs: Path) -> None:
    canary = write_code(tmp_path / "code")
    run = strangers_run(runs, naming(tmp_path / "code"))
    done = start("nasviz.train.worker", run.folder)
    assert done.returncode == 1
    assert re.search(
        r"UntrustedCodeError: the network evil:net would run Python code from .*evil\.py", done.stderr
    )
    assert not canary.exists()
    assert run.state == "created"
    # What the operator names is imported, so the canary would have been seen.
    start("nasviz.train.worker", run.folder, f"--trust={tmp_path / 'code'}")
    assert canary.exists()


def test_processes_of_a_run_refuse_by_themselves(tmp_path: Path, runs: Path) -> None:
    canary = write_code(tmp_path / "code")
    run = strangers_run(runs, naming(tmp_path / "code").changed(processes=2))
    environment = {"NASVIZ_MEETING": str(tmp_path), "RANK": "1"}
    assert "UntrustedCodeError" in start("nasviz.train.member", run.folder, **environment).stderr
    assert "one process of several" in start("nasviz.train.member", run.folder).stderr
    launched = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    launched |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "LOCAL_WORLD_SIZE": "1"}
    told = start("nasviz", "runs", "resume", run.folder, cwd=tmp_path, **launched)
    assert (told.returncode, "would run Python code from" in told.stderr) == (2, True)
    assert not canary.exists()


# ---- sweeps ----


def test_a_run_that_is_not_what_the_grid_asks_for_fails_and_the_others_go_on(
    tmp_path: Path, runs: Path
) -> None:
    canary = write_code(tmp_path / "code")
    harmless = SweepSettings(short_settings(**FAST), (axis("seed", (0, 1)),))
    sweep = SweepStore(runs).open(strangers_sweep(runs, harmless))
    evil = strangers_run(runs, naming(tmp_path / "code"), run_id=sweep.run_id(0))

    jobs.trust_only((), runs)  # as the app, started without --trust
    jobs.start_sweep(sweep, slots=1)
    wait_until(lambda: not jobs.is_starting(sweep) and not sweep.is_active, limit_s=240)

    assert not canary.exists()
    assert evil.end is not None
    assert evil.state == "failed"
    assert f"in the grid of sweep {sweep.id}" in str(evil.end.error)
    assert re.search(r"it differs in .*network", str(evil.end.error))
    other = sweep.run(1)
    assert other is not None
    assert other.state == "done"
    assert [summary.state for summary in sweep.summaries() if summary] == ["failed", "done"]


def test_the_run_is_refused_alone_too_and_when_its_code_is_trusted(tmp_path: Path, runs: Path) -> None:
    canary = write_code(tmp_path / "code")
    sweep = SweepStore(runs).create(SweepSettings(short_settings(**FAST), (axis("seed", (0, 1)),)))
    evil = strangers_run(runs, naming(tmp_path / "code"), run_id=sweep.run_id(0))
    jobs.trust_only((tmp_path / "code",), runs)
    with pytest.raises(RunStateError, match="does not match its point in the grid"):
        jobs.start_run(evil)
    done = start("nasviz.train.worker", evil.folder, f"--trust={tmp_path / 'code'}")
    assert "does not match its point in the grid" in done.stderr
    assert not canary.exists()
    # A run that is what the grid asks for may start.
    fitting = Store(runs).create(sweep.settings_at(1), run_id=sweep.run_id(1))
    assert admit(fitting) == ()


def test_a_finished_run_of_somebody_else_does_not_count_as_one_of_the_grid(runs: Path) -> None:
    sweep = SweepStore(runs).create(SweepSettings(short_settings(), (axis("seed", (0, 1)),)))
    for index, seed in ((0, 5), (1, 1)):
        run = Store(runs).create(short_settings(seed=seed), run_id=sweep.run_id(index))
        (run.folder / "end.json").write_text(json.dumps({"state": "done", "result": {}}))
    first, second = sweep.summaries()
    assert first is not None
    assert second is not None
    assert (first.state, second.state) == ("failed", "done")
    assert "differs in seed" in str(first.problem)


def test_a_strangers_grid_of_code_is_refused_by_app_scheduler_and_command_line(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = write_code(tmp_path / "code")
    sweep = SweepStore(runs).open(strangers_sweep(runs, SweepSettings(naming(tmp_path / "code"), ())))
    assert not sweep.is_own
    jobs.trust_only((), runs)
    with pytest.raises(UntrustedCodeError):
        jobs.start_sweep(sweep)
    jobs.trust_only(None)
    with pytest.raises(UntrustedCodeError):
        jobs.start_sweep(sweep)
    # A scheduler that is started all the same hands on what it was given: nothing.
    start("nasviz.jobs.scheduler", sweep.folder, "--slots=1")
    run = sweep.run(0)
    assert run is not None
    assert run.state == "failed"
    assert not run.is_own
    assert "is not trusted" in str(run.end and run.end.error)

    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    assert main(["sweep", "resume", sweep.id, "--runs", str(runs)]) == 2
    assert f"sweep resume {sweep.id} --runs {runs} --trust {tmp_path / 'code'}" in capsys.readouterr().err
    assert not canary.exists()


# ---- folders inside the runs folder ----


def layouts(place: Path) -> dict[str, tuple[str, Path]]:
    """Ways to name code in a run's folder with all of `place` trusted: module and trusted folder of each."""
    inside = place / "runs" / "stranger" / "code"
    write_code(inside)
    (inside / "__init__.py").write_text((inside / "evil.py").read_text())
    (place / "linked").symlink_to(inside)
    (place / "lib").mkdir()
    (place / "lib" / "evil.py").symlink_to(inside / "evil.py")
    (place / "package").mkdir()
    (place / "package" / "__init__.py").symlink_to(inside / "evil.py")
    (place / "package" / "plain.py").write_text("net = 1")
    return {
        "its folder": ("evil", inside),
        "a dotted name": ("runs.stranger.code.evil", place),
        "a link to its folder": ("evil", place / "linked"),
        "a link to its file": ("lib.evil", place),
        "a package around it": ("package.plain", place),
    }


@pytest.mark.parametrize(
    "way",
    ["its folder", "a dotted name", "a link to its folder", "a link to its file", "a package around it"],
)
def test_no_code_inside_the_runs_folder_is_trusted(tmp_path: Path, way: str) -> None:
    module, folder = layouts(tmp_path)[way]
    source = NetworkSource(f"{module}:net", trust=(str(folder),))
    with pytest.raises(UntrustedCodeError, match="inside the runs folder"):
        require_trusted(source, [tmp_path], runs=tmp_path / "runs")
    write_code(tmp_path / "mine", "mine")
    require_trusted(
        NetworkSource("mine:net", trust=(str(tmp_path / "mine"),)), [tmp_path], runs=tmp_path / "runs"
    )


def test_resume_with_trust_of_the_folder_around_runs_no_code_of_a_run(tmp_path: Path, runs: Path) -> None:
    canary = write_code(runs / "stranger" / "code")
    run = strangers_run(runs, naming(runs / "stranger" / "code"), run_id="attack")
    done = start("nasviz", "runs", "resume", run.id, "--runs", "runs", "--trust", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert "lies inside the trusted folder" in done.stderr  # the warning
    assert "which is never trusted" in done.stderr
    assert not canary.exists()
    # Not even where this user has made it.
    own = Store(runs).create(naming(runs / "stranger" / "code"))
    with pytest.raises(UntrustedCodeError, match="inside the runs folder"):
        admit(own)


# ---- resuming ----


def test_resuming_a_strangers_run_names_its_code_and_the_command_that_trusts_it(
    tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = write_code(tmp_path / "co de")
    run = strangers_run(runs, naming(tmp_path / "co de"))
    assert not run.is_own
    done = start("nasviz", "runs", "resume", run.id, "--runs", runs)
    assert done.returncode == 2
    assert f"network evil:net from {tmp_path / 'co de' / 'evil.py'}" in done.stderr
    assert not canary.exists()
    assert run.state == "created"
    other = start("nasviz", "runs", "resume", run.id, "--runs", runs, "--trust", ROOT / "tests")
    assert "is not trusted" in other.stderr
    assert not canary.exists()

    (_, *command) = shlex.split(done.stderr.rpartition("type: ")[2])
    assert main(command) == 2  # the code raises, once it has run
    assert "it has run" in capsys.readouterr().err
    assert canary.exists()


def at_a_terminal(answer: str, *words: object) -> tuple[int, str]:
    """Type a command and answer its question; its exit code and what it has printed."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "nasviz", *map(str, words)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = ""
    while True:
        try:
            piece = os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
        if "[y/N] " in said and answer:
            os.write(ours, answer.encode())
            answer = ""
    os.close(ours)
    return process.wait(), said


def test_at_a_terminal_the_person_is_asked(tmp_path: Path, runs: Path) -> None:
    canary = write_code(tmp_path / "code")
    run = strangers_run(runs, naming(tmp_path / "code"))
    code, said = at_a_terminal("n\n", "runs", "resume", run.id, "--runs", runs)
    assert code == 2
    assert str(tmp_path / "code" / "evil.py") in said
    assert "you did not agree" in said
    assert not canary.exists()
    code, said = at_a_terminal("y\n", "runs", "resume", run.id, "--runs", runs)
    assert "it has run" in said
    assert canary.exists()


def test_ones_own_run_is_not_asked_about_until_it_is_changed(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = write_code(tmp_path / "code", "mine")
    own = Store(runs).create(naming(tmp_path / "code", "mine"))
    assert own.is_own
    config = json.loads((own.folder / CONFIG).read_text())

    def changed(**changes: Any) -> Run:
        """The run with other settings under the old mark."""
        document = config | {"settings": config["settings"] | changes}
        (own.folder / CONFIG).write_text(json.dumps(document))
        return Run(own.folder)

    write_code(tmp_path / "other")
    for changes in (
        {"network": config["settings"]["network"] | {"name": "mine:other"}},
        {"network": config["settings"]["network"] | {"settings": {"path": "/etc"}}},
        {"data": "evil:data", "trust": [str(tmp_path / "other")]},
        {"seed": 1},
    ):
        assert not changed(**changes).is_own
        assert main(["runs", "resume", own.id, "--runs", str(runs)]) == 2
        assert "was not made here by you, or was changed since" in capsys.readouterr().err
        assert not canary.exists()

    # The mark of one run does not fit another one's settings, nor does a stranger's own mark.
    second = strangers_run(runs, naming(tmp_path / "other"))
    document = json.loads((second.folder / CONFIG).read_text())
    assert len(document["mark"]) == len(config["mark"])
    (second.folder / CONFIG).write_text(json.dumps(document | {"mark": config["mark"]}))
    assert not Run(second.folder).is_own

    assert changed().is_own
    assert main(["runs", "resume", own.id, "--runs", str(runs)]) == 2
    assert "it has run" in capsys.readouterr().err
    assert canary.exists()


def test_a_folder_of_installed_packages_is_not_trusted_with_the_folder_around_it(tmp_path: Path) -> None:
    for inside in (".venv/lib/python3.12/site-packages", "conda/lib/python3.10"):
        place = tmp_path / inside
        write_code(place)
        with pytest.raises(UntrustedCodeError, match="not trusted"):
            require_trusted(naming(place), (tmp_path,))
        require_trusted(naming(place), (place,))  # named by itself


def test_a_mark_names_the_same_folder_wherever_a_process_stands(
    tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, canary = tmp_path / "here", write_code(tmp_path / "elsewhere" / "code")
    write_code(here / "code")
    monkeypatch.chdir(here)
    own = Store(runs).create(naming(Path("code")))
    sweep = SweepStore(runs).create(SweepSettings(naming(Path("code")), (axis("seed", (0, 1)),)))
    assert own.settings.network.trust == (str(here / "code"),)
    assert sweep.settings.base.network.trust == (str(here / "code"),)
    # As earlier versions wrote it, with a valid mark.
    settings = own.config["settings"]
    settings = settings | {"network": settings["network"] | {"trust": ["code"]}}
    document = own.config | {"settings": settings, "mark": make_mark("run", settings)}
    (own.folder / CONFIG).write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Run(own.folder).is_own
    assert main(["runs", "resume", own.id, "--runs", str(runs)]) == 2
    assert "imports and runs Python" in capsys.readouterr().err
    assert not canary.exists()


def test_a_new_run_with_a_strangers_settings_stays_a_strangers(tmp_path: Path, runs: Path) -> None:
    write_code(tmp_path / "code")
    stranger = strangers_run(runs, naming(tmp_path / "code"))
    store, own = Store(runs), Store(runs).create(naming(tmp_path / "code"))
    assert not store.create(stranger.settings, taken_from=stranger).is_own
    assert store.create(stranger.settings.changed(seed=3), taken_from=own).is_own
    sweep = SweepStore(runs).create(
        SweepSettings(stranger.settings, (axis("seed", (0, 1)),)), taken_from=stranger
    )
    assert not sweep.is_own
    for run, is_own in ((stranger, False), (own, True)):
        finish(run)
        assert continue_run(store, run, 1).is_own is is_own
    assert continue_run(store, stranger, 1, is_confirmed=True).is_own


def finish(run: Run) -> None:
    """Let a run look done, with a checkpoint that can be continued."""
    import hashlib

    from nasviz.runs import Writer

    with Writer(run) as writer:
        writer.describe(total_steps=22, warmup_steps=8, projection_steps=8, steps_per_epoch=11)
        (run.folder / "checkpoint.pt").write_bytes(b"weights")
        sums = {"sha256": [hashlib.sha256(b"weights").hexdigest()], "step": 22}
        (run.folder / "checkpoint.json").write_text(json.dumps(sums))
        writer.finish("done", result={})


def test_the_key_is_for_its_user_alone(tmp_path: Path, runs: Path) -> None:
    write_code(tmp_path / "code")
    with other_machine(tmp_path / "state"):
        run = Store(runs).create(naming(tmp_path / "code"))
        key = state_folder() / KEY_FILE
        assert key.stat().st_mode & 0o777 == 0o600
        assert key.parent.stat().st_mode & 0o777 == 0o700
        assert [path.name for path in key.parent.iterdir()] == [KEY_FILE]
        assert run.is_own
        key.chmod(0o640)  # others may have read it, so its marks prove nothing
        assert not run.is_own
        key.chmod(0o600)
        content = key.read_bytes()
        key.unlink()
        (tmp_path / "planted").write_bytes(content)
        key.symlink_to(tmp_path / "planted")
        assert not run.is_own
        key.unlink()
        assert Store(runs).create(naming(tmp_path / "code")).is_own
        assert not run.is_own
    assert not run.is_own
    assert not (tmp_path / "runs" / run.id / KEY_FILE).exists()


# ---- tasks of workers ----


def requests(folder: Path, run: Run) -> tuple[jobs.Request[Any], ...]:
    """Return a request for each thing that may name code."""
    plain, own = NetworkSource("demonet"), (str(folder),)
    source = NetworkSource("evil:net", trust=own)
    return (
        jobs.Analyze(source=source),
        jobs.Preview(source=plain, data="evil:data", trust=own, batch_size=4),
        jobs.Construct(run=run.folder, erased=()),
        jobs.TimeVertices(source=source, device="cpu"),
    )


def test_a_worker_imports_only_what_its_request_allows(tmp_path: Path, runs: Path) -> None:
    from nasviz.jobs.protocol import Call, Trusted
    from nasviz.jobs.worker import perform

    canary = write_code(tmp_path / "code")
    run = strangers_run(runs, naming(tmp_path / "code"))
    for request in requests(tmp_path / "code", run):

        def call(trusted: Trusted, request: jobs.Request[Any] = request) -> None:
            document = request.model_dump(mode="json")
            perform(Call(0, request.task_name(), document, trusted), lambda share, words: None)

        with pytest.raises(UntrustedCodeError):
            call(Trusted())
        with pytest.raises(UntrustedCodeError, match="inside the runs folder"):
            call(Trusted((str(tmp_path),), str(tmp_path / "code")))
        assert not canary.exists()
        with pytest.raises(InvalidSettingError, match="it has run"):
            call(Trusted((str(tmp_path / "code"),)))
        assert canary.exists(), request
        canary.unlink()
        sys.modules.pop("evil", None)


def test_every_task_checks_network_data_and_run(tmp_path: Path, runs: Path) -> None:
    canary = write_code(tmp_path / "code")
    trust = (str(tmp_path / "code"),)
    evil, plain = NetworkSource("evil:net", trust=trust), NetworkSource("demonet")
    run = strangers_run(runs, naming(tmp_path / "code"))
    entries = (
        lambda: jobs.submit(jobs.Preview(source=plain, data="evil:data", trust=trust)),
        lambda: jobs.submit(jobs.Preview(source=evil, data="digits")),
        lambda: jobs.submit(jobs.Analyze(source=evil)),
        lambda: jobs.submit(jobs.Construct(source=evil, erased=[1], folder="unused")),
        lambda: jobs.submit(jobs.Construct(run=run.folder, erased=[1])),
        lambda: jobs.submit(jobs.TimeVertices(source=evil)),
    )
    jobs.trust_only((), runs)
    for entry in entries:
        with pytest.raises(UntrustedCodeError):
            entry()
    # Without a limit a script's own words count, and a run's do not.
    jobs.trust_only(None)
    with pytest.raises(UntrustedCodeError):
        jobs.submit(jobs.Construct(run=run.folder, erased=[1]))
    assert not canary.exists()
    job = jobs.submit(jobs.Preview(source=plain, data="evil:data", trust=trust))
    assert job.wait(240)
    assert "it has run" in str(job.error)
    assert canary.exists()


def test_ray_gets_the_trusted_folders_as_arguments(tmp_path: Path, runs: Path, monkeypatch: Any) -> None:
    from nasviz.jobs import ray_engine

    handed: list[tuple[Any, ...]] = []

    class Ray:
        """Records what would be handed to a task."""

        def remote(self, **options: Any) -> Any:
            return lambda function: type("Task", (), {"remote": staticmethod(lambda *a: handed.append(a))})

    monkeypatch.setattr(ray_engine, "_import_ray", Ray)
    write_code(tmp_path / "code")
    sweep = SweepStore(runs).create(SweepSettings(naming(tmp_path / "code"), ()))
    run = Store(runs).create(sweep.settings_at(0), run_id=sweep.run_id(0), taken_from=sweep)
    refusing = ray_engine.RayScheduler(sweep, trust=())
    refusing._needs = {}
    with pytest.raises(UntrustedCodeError):
        refusing._hand_over(run)
    trusting = ray_engine.RayScheduler(Sweep(sweep.folder))
    trusting._needs = {}
    trusting._hand_over(run)
    assert handed == [("nasviz.train.worker", str(run.folder), [f"--trust={tmp_path / 'code'}"])]
