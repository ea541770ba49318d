"""Run folders that somebody else has filled: no link is followed, nothing hangs, and no run hides another."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nasviz.catalog import ACCURACY
from nasviz.errors import NasvizError, UnsafeFileError
from nasviz.graph import search_space
from nasviz.jobs import launch
from nasviz.runs import Evaluation, Run, RunSettings, Store, Writer, lock
from nasviz.runs.records import STEP_TYPE
from tests.graph.networks import demonet
from tests.runs.run_writing import record
from tests.train.conftest import short_settings

REPOSITORY = Path(__file__).parents[2]
LIMIT_S, MEMORY = 150, 3 * 2**30
RESULT = {
    **{"target_sparsity": 3, "num_structures": 10, "selected": [1, 2], "orphaned": [], "is_valid": True},
    **{"params_before": 100, "params_after": 50, "macs_before": 100, "macs_after": 50, "bytes_before": 4},
    **{"bytes_after": 2, "accuracy_full": 0.9, "accuracy_subnet": 0.9, "loss_full": 1.0, "outcome": "valid"},
    **{"max_relative_error": 1e-7, "zeroed_by": {"1": "half-space"}, "zeroed_at": {"1": 3}, "best_step": 1},
}
Make = Callable[[Path], object]


def document(name: str, *keys: str, value: Any) -> Make:
    """Put `value` into a place of a JSON document, or in place of all of it."""

    def change(folder: Path) -> None:
        path = folder / name
        data = json.loads(path.read_text()) if path.exists() and keys else {}
        spot = data
        for key in keys[:-1]:
            spot = spot.setdefault(key, {})
        if keys:
            spot[keys[-1]] = value
        path.write_text(json.dumps(data if keys else value))

    return change


def raw(name: str, content: bytes) -> Make:
    return lambda folder: (folder / name).write_bytes(content)


def pipe(name: str) -> Make:
    return lambda folder: ((folder / name).unlink(missing_ok=True), os.mkfifo(folder / name))


def link(name: str, target: str) -> Make:
    return lambda folder: ((folder / name).unlink(missing_ok=True), (folder / name).symlink_to(target))


def sparse(name: str) -> Make:
    def change(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(3 * 2**30)

    return change


def in_store(*statements: str) -> Make:
    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "run.db")) as store:
            for statement in statements:
                store.execute(statement)
            store.commit()

    return change


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"


def view(table: str, columns: str) -> Make:
    chosen = ", ".join("x" for _ in columns.split(","))
    endless = ENDLESS.replace("SELECT x FROM", f"SELECT {chosen} FROM")
    return in_store(f"DROP TABLE {table}", f"CREATE VIEW {table}({columns}) AS {endless}")


HUGE = 10**400
OTHERS = [HUGE, -1, "x", [1], {"x": 1}, True, None, 1.5]
CASES: dict[str, Make] = {
    **{f"created {str(v)[:9]}": document("config.json", "created", value=v) for v in OTHERS},
    **{f"parent {str(v)[:9]}": document("config.json", "parent", value=v) for v in (5, [1])},
    **{f"settings {str(v)[:9]}": document("config.json", "settings", value=v) for v in OTHERS},
    **{
        f"network.{part} {str(v)[:9]}": document("config.json", "settings", "network", part, value=v)
        for part in ("inputs", "trust", "settings", "name", "subnet", "input_shape")
        for v in (5, [1, 2], "x")
    },
    **{
        f"settings.{part} {str(v)[:9]}": document("config.json", "settings", part, value=v)
        for part in ("epochs", "lr", "optimizer", "target_sparsity", "protect", "data")
        for v in (HUGE, [1], {"x": 1})
    },
    **{f"end {str(v)[:9]}": document("end.json", value=v) for v in (3, [1], "done", {})},
    **{
        f"end.{part} {str(v)[:9]}": document("end.json", part, value=v)
        for part in ("state", "error", "time", "result")
        for v in (HUGE, [1], "x" if part not in ("error",) else 5)
    },
    **{
        f"result.{part} {str(v)[:9]}": document("end.json", "result", part, value=v)
        for part in ("params_before", "params_after", "accuracy_subnet", "selected", "is_valid", "zeroed_by")
        for v in ("x", HUGE, [[]])
    },
    "result lacks all": document("end.json", "result", value={"is_valid": True}),
    "params_before 0": document("end.json", "result", "params_before", value=0),
    **{f"hopeless {str(v)[:9]}": document("hopeless.json", value=v) for v in ({"x": 1}, ["a"], "x", 3)},
    **{f"labels {str(v)[:9]}": document("labels.json", value=v) for v in (3, {"name": 3}, {"tags": [1]})},
    **{f"pid {str(v)[:9]}": document("pid.json", value=v) for v in (3, {"pid": "x", "create_time": []})},
    **{f"environment {str(v)[:9]}": document("environment.json", value=v) for v in (3, {"starts": 3})},
    **{f"request {str(v)[:9]}": document("request.json", value=v) for v in (3, {"request": [1]})},
    **{
        f"{name} {i}": raw(name, content)
        for name in ("config.json", "end.json", "labels.json", "run.db", "space.json")
        for i, content in enumerate((b"", b"[" * 100_000, b"\xff\xfe", b'{"a":' * 50_000))
    },
    **{
        f"pipe {name}": pipe(name)
        for name in ("config.json", "end.json", "run.lock", "labels.json", "run.db", "environment.json")
    },
    **{f"pipe {name}": pipe(name) for name in ("pid.json", "run.db-wal", "paused.json", "space.json")},
    **{
        f"device {name}": link(name, "/dev/zero")
        for name in ("config.json", "end.json", "labels.json", "run.db", "run.lock", "space.json")
    },
    **{
        f"sparse {name}": sparse(name) for name in ("config.json", "end.json", "labels.json", "hopeless.json")
    },
    "view steps": view("steps", ", ".join(STEP_TYPE.names or ())),
    "view facts": view("facts", "name, value"),
    "view events": view("events", "step, kind, text, structure, id"),
    "view evaluations": view("evaluations", "step, epoch, network, loss, accuracy, num_examples"),
    "further view": in_store(f"CREATE VIEW more(x) AS {ENDLESS}"),
    "trigger": in_store("CREATE TRIGGER t AFTER INSERT ON steps BEGIN DELETE FROM steps; END"),
    "event of bytes": in_store("INSERT INTO events (step, kind, text) VALUES (1, 'x', x'ff00')"),
    "step of text": in_store("UPDATE steps SET loss = 'x'"),
    "total of text": in_store("INSERT OR REPLACE INTO facts VALUES ('total_steps', '\"x\"')"),
    "total huge": in_store(f"INSERT OR REPLACE INTO facts VALUES ('total_steps', '{HUGE}')"),
    "checked of text": in_store("INSERT OR REPLACE INTO facts VALUES ('checked', '{\"step\": []}')"),
    "structures of text": in_store("INSERT OR REPLACE INTO facts VALUES ('scores.structures', '[\"a\"]')"),
    "fact no json": in_store("INSERT OR REPLACE INTO facts VALUES ('x', '{')"),
}
"""What each hostile run has in its folder."""
HARMLESS = 25
"""Most cases that may pass without a word: what they hold is allowed, or read by nobody here."""


def finished(store: Store, name: str, settings: RunSettings | None = None) -> Run:
    """A run that was recorded to its end, without training."""
    run = store.create(settings or short_settings(), run_id=name)
    with Writer(run) as writer:
        writer.describe(total_steps=10)
        for step in range(10):
            writer.step(record(step))
        writer.evaluation(Evaluation(9, 0, "full", 1.0, 0.5, 10))
        writer.finish("done", result=RESULT)
    space = search_space(demonet())
    (run.folder / "space.json").write_text(json.dumps(space.to_json()))
    return run


LOOK = """
import contextlib, io, json, resource, sys, threading
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from nasviz import cli
from nasviz.runs import Store
def say(*words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main([*words, "--runs", sys.argv[1]])
    return code, out.getvalue(), err.getvalue()
found = {"list": say("runs", "list"), "json": say("runs", "list", "--json"), "show": {}}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    if not folder.name.startswith("."):
        shows = ["runs", "show", folder.name], ["runs", "show", folder.name, "--json"]
        found["show"][folder.name] = [say(*words) for words in shows]
found["threads"] = threading.active_count()
json.dump(found, sys.stdout)
"""


def look(runs: Path) -> dict[str, Any]:
    """All that the command line says of the runs, from a process with a limit of memory and of time."""
    asked = [sys.executable, "-c", LOOK, str(runs), str(MEMORY)]
    done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_no_hostile_run_hides_another_and_each_is_told_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from nasviz.ui.pages.runs import _row

    store = Store(tmp_path)
    good = finished(store, "good")
    names = {f"h{i:03}": case for i, case in enumerate(CASES)}
    for name, case in names.items():
        shutil.copytree(good.folder, tmp_path / name)
        CASES[case](tmp_path / name)

    found = look(tmp_path)

    code, text, _ = found["list"]
    assert code == 0
    listed = {row["id"]: row for row in json.loads(found["json"][1])}
    assert listed.keys() == {"good", *names}
    assert listed["good"]["problem"] is None
    assert sum(name in text for name in names) == len(names)
    quiet = []
    for name, case in names.items():
        problem = listed[name]["problem"]
        assert problem is None or problem.startswith("damaged: "), (case, problem)
        shown = found["show"][name]
        for code, out, err in shown:
            assert (code == 0) != (code == 2 and err.count("\n") == 1 and not out), (case, out, err)
        if problem is None and all(code == 0 for code, _, _ in shown):
            quiet.append(case)
    assert [code for code, _, _ in found["show"]["good"]] == [0, 0]
    assert found["threads"] == 1
    with capsys.disabled():
        print(f"\n{len(names)} hostile runs, {len(names) - len(quiet)} told; harmless: {', '.join(quiet)}")
    assert len(quiet) <= HARMLESS
    rows = [_row(summary, {ACCURACY}) for summary in store.list()]
    assert len(rows) == 1 + len(names)
    json.dumps(rows)  # as the page of runs sends them


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return finished(Store(tmp_path / "runs"), "r")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What a link leads to, and must stay as it is."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for name in ("file", "model.py", "report.json"):
        (folder / name).write_text("mine\n")
    with closing(sqlite3.connect(folder / "other.sqlite")) as other:
        other.execute("CREATE TABLE mine (x)")
        other.commit()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_again(run: Run) -> None:
    (run.folder / "end.json").unlink(missing_ok=True)
    with Writer(run) as writer:
        writer.step(record(11))
        writer.finish("done", result={})


def log_to(run: Run) -> None:
    launch.detach(run.folder, ["this_module_does_not_exist"], {}, lock.acquire(run.folder))


def save_subnet(run: Run) -> None:
    from nasviz.runs.files import make_folder, write_bytes

    make_folder(run.folder / "subnet")
    write_bytes(run.folder / "subnet" / "report.json", b"ours")


def delete(run: Run) -> None:
    Store(run.folder.parent).delete(run.id)


LINKS: dict[str, tuple[str, str, Callable[[Run], object]]] = {
    "log": ("out.log", "file", log_to),
    "store": ("run.db", "other.sqlite", write_again),
    "store's log": ("run.db-wal", "file", write_again),
    "store's index": ("run.db-shm", "file", write_again),
    "lock": ("run.lock", "file", write_again),
    "sub-network": ("subnet", "", save_subnet),
    "trash": ("../.trash", "", delete),
    "request": ("request.json", "file", lambda run: run.request("cancel")),
}
"""Name of the link in the run's folder, what it leads to outside, and what writes there."""


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_through_a_link(run: Run, outside: Path, name: str) -> None:
    path, target, act = LINKS[name]
    place = run.folder / path
    if name == "request":  # of a run at work; a document is replaced, never written through
        (run.folder / "end.json").unlink()
    place.unlink(missing_ok=True)
    place.symlink_to(outside / target)
    before = contents(outside)
    if name == "request":
        act(run)
    else:
        with pytest.raises((UnsafeFileError, NasvizError), match=r"link"):
            act(run)
    assert contents(outside) == before


def test_a_staged_name_that_leads_elsewhere_is_not_followed(run: Run, outside: Path) -> None:
    from nasviz import guarded_files

    number = next(guarded_files._NUMBERS) + 1
    (run.folder / f".labels.json.{number}.{os.getpid()}.tmp").symlink_to(outside / "file")
    before = contents(outside)
    guarded_files.place(guarded_files.stage(run.folder / "labels.json", b"{}"), run.folder / "labels.json")
    assert contents(outside) == before
    assert (run.folder / "labels.json").read_text() == "{}"


def test_a_view_in_a_sweep_counts_as_a_failed_run_and_the_others_are_shown(tmp_path: Path) -> None:
    from nasviz.runs import SweepSettings, SweepStore, parse_axis

    sweeps = SweepStore(tmp_path)
    sweep = sweeps.create(SweepSettings(short_settings(), (parse_axis("seed=0..2"),)))
    for index in range(3):
        finished(sweeps.runs, sweep.run_id(index), sweep.settings_at(index))
    CASES["view steps"](tmp_path / sweep.run_id(0))
    CASES["pipe config.json"](tmp_path / sweep.run_id(1))
    summaries = sweep.summaries()
    assert [s.state for s in summaries if s] == ["done", "failed", "done"]
    assert [bool(s.problem) for s in summaries if s] == [True, True, False]
    assert sweep.state == "done"
    (listed,) = sweeps.list()
    assert listed.problem is None
    assert dict(listed.counts) == {"done": 2, "failed": 1}
