"""What a writer records, a reader gets: all of it or what is new, while the writer goes on."""

import json
import math
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from nasviz.checksums import OWN
from nasviz.cli.reports import run_lines
from nasviz.draw.live_frame import live_frame
from nasviz.errors import DataError, RunBusyError, RunNotFoundError, RunStateError
from nasviz.graph import search_space
from nasviz.runs import Evaluation, Run, RunSettings, StepRecord, Store, Writer, steps_to_csv, to_document
from nasviz.runs.database import stamp
from nasviz.runs.files import DATABASE, END, SPACE, write_json
from nasviz.runs.tail import read_evaluations
from nasviz.runs.writer import FLUSH_ROWS
from tests.graph.networks import demonet
from tests.runs.conftest import wait_until
from tests.runs.run_writing import record, write


def test_rows_come_back_as_they_were_written(run: Run) -> None:
    with Writer(run) as writer:
        writer.describe(total_steps=200, warmup_steps=10)
        for step in range(100):
            writer.scores(step, (5, 2), np.array([0.5, step]))
            writer.step(record(step))
        writer.norms(99, (2,), [1.0])
        writer.event(99, "selected", "warm-up ended", 2)
        writer.evaluation(Evaluation(99, 9, "full", 0.25, 0.875, 360))
        tail = run.tail()

        assert tail.steps.step.tolist() == list(range(100))
        assert tail.steps.loss[3] == 0.25
        assert tail.steps.phase[9:11].tolist() == ["warm-up", "training"]
        assert tail.scores.structures == (5, 2)
        assert tail.scores.values[7].tolist() == [0.5, 7.0]
        assert tail.norms.values.tolist() == [[1.0]]
        assert tail.evaluations == (Evaluation(99, 9, "full", 0.25, 0.875, 360),)
        assert tail.events[0].text == "warm-up ended"
        assert (tail.last_step, tail.total_steps, run.progress) == (99, 200, 0.5)
        assert tail.facts["warmup_steps"] == 10


def test_a_run_of_a_version_without_cosines_penalties_and_metrics_is_read_and_goes_on(run: Run) -> None:
    with Writer(run) as writer:
        write(writer, 0)
    with closing(sqlite3.connect(run.folder / "run.db")) as connection:
        connection.execute("DROP TABLE cosines")
        connection.execute("ALTER TABLE steps DROP COLUMN penalty")
        connection.execute("ALTER TABLE evaluations DROP COLUMN metrics")
    tail = run.tail()
    assert np.isnan(tail.steps.penalty).all()
    assert (len(tail.scores.steps), len(tail.cosines.steps), tail.cosines.structures) == (1, 0, ())
    assert to_document(run)["cosines"] == {"steps": [], "structures": [], "values": []}

    with Writer(run) as writer:
        writer.rewind(0)
        writer.cosines(1, (7, 3), [0.5, -1.0])
        writer.step(StepRecord(1, 0, "projection", 0.5, 0.5, 0.1, penalty=2.5))
    tail = run.tail(0)
    assert tail.steps.penalty.tolist() == [2.5]
    assert (tail.cosines.steps.tolist(), tail.cosines.structures) == ([1], (7, 3))
    assert tail.cosines.values.tolist() == [[0.5, -1.0]]


def test_a_stamp_lasts_until_the_next_commit(run: Run) -> None:
    assert stamp(run.folder) is None
    with Writer(run) as writer:
        seen = set()
        for step in range(3):
            write(writer, step)
            writer.flush()
            wait_until(lambda: stamp(run.folder) is not None)
            assert stamp(run.folder) == stamp(run.folder)
            seen.add(stamp(run.folder))
    assert len(seen) == 3


def test_a_tail_holds_only_what_is_new(run: Run) -> None:
    with Writer(run) as writer:
        for step in range(10):
            write(writer, step)
        writer.flush()
        first = run.tail()
        for step in range(10, 13):
            write(writer, step)
        writer.flush()
        second = run.tail(first.last_step)

        assert second.steps.step.tolist() == second.scores.steps.tolist() == [10, 11, 12]
        assert len(run.tail(second.last_step).steps) == 0


def test_a_thinned_tail_keeps_the_last_row_and_all_vectors(run: Run) -> None:
    with Writer(run) as writer:
        for step in range(25):
            write(writer, step)
        writer.flush()

        assert run.tail(every=10).steps.step.tolist() == [0, 10, 20, 24]
        assert len(run.tail(every=10).scores.steps) == 25


def test_rows_stay_in_memory_until_they_are_many_or_a_quarter_second_old(run: Run) -> None:
    now = [0.0]
    with Writer(run, clock=lambda: now[0]) as writer:
        for step in range(FLUSH_ROWS - 1):
            writer.step(record(step))
        assert run.tail().last_step == -1
        writer.step(record(FLUSH_ROWS - 1))
        assert run.tail().last_step == FLUSH_ROWS - 1
        now[0] += 0.25
        writer.step(record(FLUSH_ROWS))
        assert run.tail().last_step == FLUSH_ROWS


def test_the_numbers_of_all_steps_are_read_back_once_a_flush(run: Run) -> None:
    calls = []

    def read_back(values):
        calls.append(len(values))
        return [np.array([value]) for value in values]

    with Writer(run, read_back=read_back, clock=lambda: 0.0) as writer:
        for step in range(2 * FLUSH_ROWS):
            writer.step(replace(record(step), loss=np.float64(0.5), accuracy=np.array(0.25)))

    # The accuracy of each step; plain numbers need no reading back.
    assert calls == [FLUSH_ROWS] * 2
    assert set(run.tail().steps.accuracy) == {0.25}


def test_not_a_number_comes_back_as_such(run: Run) -> None:
    with Writer(run) as writer:
        writer.step(StepRecord(0, 0, "training", math.nan, math.inf, 0.1))
        assert writer.flush() == [(0, pytest.approx(math.nan, nan_ok=True))]
        row = run.tail().steps[0]

    assert math.isnan(row.loss)
    assert row.accuracy == math.inf


def test_a_resumed_run_replaces_what_lies_past_its_checkpoint(run: Run) -> None:
    with Writer(run) as writer:
        for step in range(20):
            write(writer, step)
        writer.evaluation(Evaluation(19, 1, "full", 1.0, 0.1, 10))
    with Writer(run) as writer:
        writer.rewind(9)
        assert run.tail().last_step == 9
        for step in range(10, 15):
            write(writer, step)
    tail = run.tail()

    assert tail.steps.step.tolist() == tail.scores.steps.tolist() == list(range(15))
    assert [event.step for event in tail.events] == list(range(15))
    assert tail.evaluations == ()


def test_the_same_step_written_twice_is_one_row(run: Run) -> None:
    with Writer(run) as writer:
        writer.step(record(3))
        writer.step(StepRecord(3, 7, "training", 9.0, 0.5, 0.1))
    tail = run.tail()

    assert tail.steps.tolist()[0][:4] == (3, 7, "training", 9.0)
    assert len(tail.steps) == 1


def test_scores_of_a_structure_nobody_named_are_refused(run: Run) -> None:
    with Writer(run) as writer:
        writer.scores(0, (1, 2), (0.0, 0.0))
        with pytest.raises(DataError, match=r"structures \[1, 9\].* records structures \[1, 2\]"):
            writer.scores(1, (1, 9), (0.0, 0.0))
        with pytest.raises(DataError, match="3 numbers"):
            writer.scores(1, (1, 2), (0.0, 0.0, 0.0))


def test_a_reader_in_the_middle_of_reading_never_holds_up_the_writer(run: Run) -> None:
    with Writer(run) as writer:
        write(writer, 0)
        writer.flush()
        reader = sqlite3.connect(f"file:{run.folder / 'run.db'}?mode=ro", uri=True)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM steps").fetchone() == (1,)
        start = time.perf_counter()
        for step in range(1, 500):
            write(writer, step)
        writer.flush()
        assert time.perf_counter() - start < 4.0, "the busy time-out of SQLite is 5 s"
        assert reader.execute("SELECT count(*) FROM steps").fetchone() == (1,)
        reader.close()
        assert len(run.tail().steps) == 500


def test_a_second_writer_is_refused_and_the_first_goes_on(run: Run) -> None:
    with Writer(run) as writer:
        with pytest.raises(RunBusyError, match="already has a worker"), Writer(run):
            pass
        write(writer, 0)
        writer.finish("done")

    assert run.state == "done"


def test_a_run_that_is_done_is_not_written_again(run: Run) -> None:
    with Writer(run) as writer:
        writer.finish("done")
    with pytest.raises(RunStateError, match="is done"), Writer(run):
        pass
    assert run.state == "done"


def test_an_error_in_the_block_ends_the_run_as_failed(run: Run) -> None:
    def fail() -> None:
        with Writer(run) as writer:
            write(writer, 0)
            raise ZeroDivisionError("three over nothing")

    with pytest.raises(ZeroDivisionError):
        fail()

    assert run.state == "failed"
    assert run.end.error == "ZeroDivisionError: three over nothing"
    assert run.tail().last_step == 0


def test_an_interrupt_in_the_block_ends_the_run_as_cancelled(run: Run) -> None:
    with pytest.raises(KeyboardInterrupt), Writer(run):
        raise KeyboardInterrupt
    assert run.state == "cancelled"


def test_a_failed_run_can_be_started_again(run: Run) -> None:
    with Writer(run) as writer:
        writer.finish("failed", error="out of memory")
    with Writer(run):
        assert run.state == "running"
        assert run.end is None
    assert run.state == "crashed"


@pytest.mark.parametrize("table", ["steps", "everything"])
def test_a_damaged_store_is_a_clear_error(run: Run, table: str) -> None:
    with Writer(run) as writer:
        for step in range(300):
            write(writer, step)
    path = run.folder / "run.db"
    content = path.read_bytes()
    path.write_bytes(b"\xff" * len(content) if table == "everything" else content[:4096] + b"\xff" * 8192)
    with pytest.raises(DataError, match=r"run\.db cannot be"):
        run.tail()


def test_a_store_of_a_later_version_says_so(run: Run) -> None:
    with Writer(run):
        pass
    connection = sqlite3.connect(run.folder / "run.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match="update nasviz"):
        run.tail()


def test_exports_hold_every_step(run: Run) -> None:
    with Writer(run) as writer:
        for step in range(5):
            write(writer, step)
        writer.finish("done")
    lines = steps_to_csv(run).splitlines()

    assert lines[0].startswith("step,epoch,phase,loss")
    assert len(lines) == 6
    document = to_document(run)
    assert document["steps"]["step"] == [0, 1, 2, 3, 4]
    assert document["end"]["state"] == "done"


finite = st.floats(width=32, allow_nan=False)


@hypothesis_settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=8))
def test_vectors_survive_bit_by_bit(store: Store, settings: RunSettings, rows: list[list[float]]) -> None:
    run = store.create(settings)
    with Writer(run) as writer:
        for step, row in enumerate(rows):
            writer.scores(step, (1, 2, 3), row)
            writer.step(record(step))
    values = run.tail().scores.values

    assert values.tobytes() == np.array(rows, dtype=np.float32).tobytes()


def test_nothing_is_written_into_a_folder_that_is_gone(run: Run, store: Store) -> None:
    with Writer(run) as writer:
        write(writer, 0)
        writer.flush()
        run.folder.rename(store.folder / "moved-away")
        write(writer, 1)
        with pytest.raises(RunNotFoundError, match="deleted"):
            writer.flush()

    assert not run.folder.exists()
    assert len(Run(store.folder / "moved-away").tail().steps) == 1


def test_metrics_of_a_hostile_database_are_few_short_and_floats(run: Run) -> None:
    with Writer(run) as writer:
        for number in range(3):
            write(writer, number)
        many = {f"mine:{'a' * 1_000}": 1.0} | {f"mine:{'b' * 150}{i}": 1.0 for i in range(1_000)}
        writer.evaluation(Evaluation(2, 0, "full", 1.0, 0.5, 8, {"f1": 1, **many}))
    tail = run.tail()
    assert (tail.evaluations[0].metrics or {})["f1"] == 1.0
    frame = live_frame(tail)
    assert len(str(frame.facts)) < 3_000
    with sqlite3.connect(run.folder / DATABASE) as connection:
        huge = "UPDATE evaluations SET metrics = ?"
        connection.execute(huge, (f'{{"f1": 1{"0" * 400}}}',))
    for read in (run.tail, lambda: read_evaluations(run.folder)):
        with pytest.raises(DataError, match=DATABASE):
            read()


def test_a_report_without_a_number_is_shown_with_a_dash(run: Run) -> None:
    report = {"selected": [], "orphaned": [], "is_valid": True, "outcome": "valid", "max_relative_error": 0.0}
    report |= dict.fromkeys(("params_before", "params_after", "macs_before", "macs_after"), 5)
    write_json(run.folder / SPACE, search_space(demonet()).to_json())
    with Writer(run) as writer:
        write(writer, 0)
        numbers = {"accuracy_full": 0.5, "accuracy_subnet": float("nan"), "loss_full": float("inf")}
        tables = {"metrics_subnet": {"f1": float("-inf"), "mse": 2.0, "no such metric": 1.0}}
        writer.finish("done", result=report | numbers | tables | {"pruning": {"accuracy": float("nan")}})
    assert run.end is not None
    assert "pruning" not in run.end.result
    lines = [" ".join(line.split()) for line in run_lines(run)]
    assert {"accuracy 50.0% -> —", "mean squared error — -> 2"} <= set(lines)
    document = json.loads((run.folder / END).read_text())
    for value in ("high", 10**400, {}):
        document["result"]["metrics_subnet"]["mse"] = value
        (run.folder / END).write_text(json.dumps({k: v for k, v in document.items() if k != OWN}))
        with pytest.raises(DataError, match="metrics_subnet"):
            run.end  # noqa: B018
