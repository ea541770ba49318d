"""Whatever a name holds, it is text: one printable line in errors, and nothing but itself elsewhere."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nasviz import cli
from nasviz.catalog import NetworkSource
from nasviz.errors import NasvizError
from nasviz.graph import search_space
from nasviz.runs import Labels, Run, RunSettings, Store, SweepSettings, Writer
from tests.graph.networks import demonet
from tests.hostile_files import EVIL_NAMES

SPACE = search_space(demonet())
SOURCE = NetworkSource("demonet")
numbered = pytest.mark.parametrize("number", range(len(EVIL_NAMES)))

PLACES: dict[str, Callable[[str], object]] = {
    "network": lambda name: NetworkSource(name),
    "network from a link": lambda name: NetworkSource.from_json({"name": name}),
    "setting of a network": lambda name: NetworkSource("demonet", settings={name: 1}),
    "unknown setting": lambda name: RunSettings.from_json({"network": "demonet", name: 1}),
    "optimizer": lambda name: RunSettings.of(SOURCE, optimizer=name),
    "data": lambda name: RunSettings.of(SOURCE, data=name),
    "device": lambda name: RunSettings.of(SOURCE, device=name),
    "run": lambda name: Store("runs").open(name),
    "new run": lambda name: Store("runs").create(RunSettings.of(SOURCE), run_id=name),
    "deleted run": lambda name: Store("runs").restore(name),
    "grid of a sweep": lambda name: SweepSettings(RunSettings.of(SOURCE), (name,)),
    "protected": lambda name: search_space(demonet(), protect=[name]),
    "collapsed": lambda name: search_space(demonet(), collapse=[name]),
    "vertex": lambda name: SPACE.why_not(name),
}


@numbered
@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_means_nothing_is_refused_in_one_short_line(
    place: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((NasvizError, TypeError, ValueError)) as caught:
        PLACES[place](EVIL_NAMES[number])
    message = str(caught.value)
    assert isinstance(caught.value, NasvizError), repr(caught.value)
    assert message.isprintable()
    assert len(message) < 1200
    assert list(tmp_path.rglob("*")) == []


@numbered
def test_what_people_write_on_a_run_is_refused_or_stays_what_it_is(
    store: Store, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    name = EVIL_NAMES[number]
    run = store.create(RunSettings.of(SOURCE))
    try:
        run.write_labels(Labels(name, (name[:40],), name))
    except NasvizError:
        assert not name.isprintable() or len(name) > 120
        (run.folder / "labels.json").write_text(json.dumps({"name": name, "tags": [name], "note": 7}))
    assert cli.main(["runs", "list", "--runs", str(store.folder)]) == 0
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.splitlines())
    assert [path.name for path in store.folder.iterdir()] == [run.id]


@numbered
def test_settings_that_were_written_by_somebody_else_are_a_problem_and_no_harm(
    store: Store, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    name = EVIL_NAMES[number]
    run = store.create(RunSettings.of(SOURCE))
    config = json.loads((run.folder / "config.json").read_text())
    config["settings"] |= {"network": {"name": name}, "data_folder": name, name: name}
    config |= {"id": name, "created": 0, "parent": name}
    (run.folder / "config.json").write_text(json.dumps(config))
    (summary,) = store.list()
    assert summary.problem
    assert summary.settings is None
    assert summary.id == run.id
    assert cli.main(["runs", "list", "--runs", str(store.folder)]) == 0
    assert cli.main(["runs", "show", run.id, "--runs", str(store.folder)]) == 2
    said = capsys.readouterr()
    assert all(line.isprintable() and len(line) < 1500 for line in (said.out + said.err).splitlines())


DAMAGED = {
    "end.json": [b"", b"[" * 100_000, b'{"state": "done", "result": 3}', b'{"state": ["done"]}', b"\xff\xfe"],
    "pid.json": [
        b"",
        b"[]",
        b'{"pid": "x"}',
        b'{"pid": -5, "create_time": 0}',
        b'{"pid": 1e400}',
        b"[" * 10**5,
    ],
    "config.json": [b"", b"[]", b'{"settings": 3}', b'{"settings": {}, "created": "<b>"}', b"[" * 100_000],
    "labels.json": [b"[" * 100_000, b'{"name": {}}', b'{"tags": [[]]}', b"null"],
    "environment.json": [b"[]", b'{"starts": 3}', b"{"],
    "checkpoint.json": [b"[]", b"{", b'{"sha256": {"a": 1}}'],
    "request.json": [b"[]", b'"cancel"', b'{"request": ["cancel"]}', b"{"],
    "run.db": [b"", b"SQLite format 3\0" + b"x" * 100, b"no database at all" * 100],
}


@pytest.mark.parametrize("file", DAMAGED)
def test_a_damaged_document_never_stops_the_list(store: Store, file: str) -> None:
    for content in DAMAGED[file]:
        run = store.create(RunSettings.of(SOURCE))
        (run.folder / "run.lock").touch()
        (run.folder / file).write_bytes(content)
        look_at_everything(run)
    summaries = store.list()
    assert len(summaries) == len(DAMAGED[file])
    assert all(summary.problem is None or summary.problem.isprintable() for summary in summaries)


def look_at_everything(run: Run) -> None:
    """Each thing that a page asks of a run is answered, or refused in words."""
    for question in (
        lambda: run.settings,
        lambda: run.state,
        lambda: run.end,
        lambda: run.tail(),
        lambda: run.progress,
        lambda: run.environments,
        lambda: run.labels,
        lambda: run.parent,
        lambda: run.request("cancel"),
    ):
        with contextlib.suppress(NasvizError):
            question()


ROWS = (
    "INSERT INTO facts VALUES ('total_steps', '\"<b>\"')",
    "INSERT INTO facts VALUES ('total_steps', '{')",
    "INSERT INTO facts VALUES ('scores.structures', '7')",
    "INSERT INTO scores VALUES (1, x'0102030405')",
    "INSERT INTO steps (step, epoch, phase, loss) VALUES (1, '<b>', '<img src=x>', 'nothing')",
    "INSERT INTO steps (step, epoch) VALUES (1, 99999999999999)",
    "INSERT INTO evaluations VALUES (1, '<img>', 0, 'a', 'b', 'c', '[1')",
    """INSERT INTO evaluations VALUES (1, 'full', 0, 0.5, 0.5, 10, '{"<img>": "nothing", "os:system": 1}')""",
    "CREATE VIEW more AS SELECT 1; DROP TABLE events; CREATE VIEW events AS SELECT 1",
)


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_a_store_that_somebody_else_has_filled_is_read_or_refused_in_words(store: Store, row: int) -> None:
    run = store.create(RunSettings.of(SOURCE))
    with Writer(run) as writer:
        writer.flush()
    with contextlib.closing(sqlite3.connect(run.folder / "run.db")) as connection:
        connection.executescript(ROWS[row])
        connection.commit()
    look_at_everything(run)
    assert len(store.list()) == 1
