"""Trackers: runs in Parquet, TensorBoard, MLflow, Weights & Biases and Trackio, live or afterwards.

Each needs an optional package, which is imported on use.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from nasviz.errors import ExportError
from nasviz.extras import require_package
from nasviz.guarded_files import refusal, replace_file, staging_folder
from nasviz.runs.exporting import summaries_to_rows
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.records import STEP_TYPE, Evaluation
from nasviz.runs.run import Run

__all__ = [
    "MLflow",
    "Mirror",
    "Number",
    "TensorBoard",
    "Trackio",
    "WandB",
    "numbers_of",
    "runs_to_parquet",
    "steps_to_parquet",
    "to_mlflow",
    "to_tensorboard",
    "without_credentials",
]

_CURVES = ("loss", "accuracy", "lr", "examples_per_second", "memory_mb", "zero_groups", "penalty")
_BATCH = 1000
"""Maximum number of metrics that MLflow accepts per request."""


def steps_to_parquet(run: Run, path: Path) -> int:
    """Write the steps of a run to a Parquet file, and return their number.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    arrow = require_package("pyarrow", "this export")
    parquet = require_package("pyarrow.parquet", "this export")
    steps = run.tail().steps
    columns = {name: arrow.array(steps[name].tolist()) for name in STEP_TYPE.names or ()}
    content = io.BytesIO()
    parquet.write_table(arrow.table(columns), content)
    replace_file(path, content.getvalue())
    return len(steps)


def runs_to_parquet(summaries: Iterable[RunSummary | None], path: Path) -> int:
    """Write one row per run (settings, state, result) to a Parquet file, and return their number.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    arrow = require_package("pyarrow", "this export")
    parquet = require_package("pyarrow.parquet", "this export")
    rows = summaries_to_rows(summaries)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: arrow.array(_with_one_type([row.get(name) for row in rows])) for name in names}
    content = io.BytesIO()
    parquet.write_table(arrow.table(columns), content)
    replace_file(path, content.getvalue())
    return len(rows)


Number = tuple[str, int, float]
"""Name, step and value."""


class Mirror(Protocol):
    """A tracker that receives the numbers of a run while it is recorded."""

    def open(self, run: Run) -> None:
        """Begin to track a run."""

    def log(self, numbers: Sequence[Number]) -> None:
        """Receive finite numbers, in the order in which they were recorded."""

    def close(self, state: str) -> None:
        """End with the state of the run: "done", "cancelled", "failed" or "crashed"."""


def numbers_of(rows: Iterable[Sequence[Any]], evaluations: Iterable[Evaluation]) -> list[Number]:
    """Return all finite numbers of rows of steps, and of evaluations.

    Examples:
        >>> numbers_of([], [Evaluation(7, 0, "full", float("nan"), 0.5, 10)])
        [('full/accuracy', 7, 0.5)]
    """
    columns = [(name, (STEP_TYPE.names or ()).index(name)) for name in _CURVES]
    found = [(f"train/{name}", int(row[0]), float(row[i])) for row in rows for name, i in columns]
    for item in evaluations:
        values = {"loss": item.loss, **(item.metrics or {"accuracy": item.accuracy})}
        found += [(f"{item.network}/{name}", item.step, value) for name, value in values.items()]
    return [number for number in found if math.isfinite(number[2])]


def without_credentials(text: str) -> str:
    """Return a text without the user names and passwords of the addresses in it.

    Examples:
        >>> without_credentials("no answer of https://me:secret@example.org/a")
        'no answer of https://example.org/a'
    """
    return re.sub(r"//[^/\s]*@", "//", text)


class TensorBoard:
    """TensorBoard events in a folder.

    Args:
        folder: Folder of the event file; created if missing.
        is_live: Whether numbers are passed on as they are measured. If not, they take place as many seconds
            after the start as their step.
    """

    def __init__(self, folder: str | Path, *, is_live: bool = True) -> None:
        self.folder, self.is_live = Path(folder), is_live

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"

    def open(self, run: Run) -> None:
        """Begin an event file."""
        home = require_package("tensorboard.summary.writer.event_file_writer", "this export")
        self._events = import_module("tensorboard.compat.proto.event_pb2")
        self._summary = import_module("tensorboard.compat.proto.summary_pb2")
        self._began = float(run.config.get("created") or 0.0)
        self._writer = home.EventFileWriter(str(self.folder))

    def log(self, numbers: Sequence[Number]) -> None:
        """Write one event per number."""
        now = time.time()
        for name, step, value in numbers:
            item = self._summary.Summary(value=[self._summary.Summary.Value(tag=name, simple_value=value)])
            at = now if self.is_live else self._began + step
            event = self._events.Event(wall_time=at, step=step, summary=item)
            self._writer.add_event(event)
        self._writer.flush()

    def close(self, state: str) -> None:
        """Close the event file."""
        self._writer.close()


class MLflow:
    """An MLflow store.

    Args:
        uri: Tracking URI: `sqlite:///mlflow.db`, `file:///a/folder`, or the address of a server.
        experiment: Name of the experiment; created if missing.
        is_live: Whether numbers are passed on as they are measured. If not, they take place as many
            milliseconds after the start as their step.
    """

    def __init__(self, uri: str, experiment: str = "nasviz", *, is_live: bool = True) -> None:
        self.uri, self.experiment, self.is_live = uri, experiment, is_live
        self.run_id = ""
        """Id of the MLflow run."""

    def __repr__(self) -> str:
        return f"MLflow({without_credentials(self.uri)!r})"

    def open(self, run: Run) -> None:
        """Create an MLflow run with the settings of the run."""
        tracking = require_package("mlflow.tracking", "this export")
        self._entities, self._run = import_module("mlflow.entities"), run
        self._client = client = tracking.MlflowClient(tracking_uri=self.uri)
        known = client.get_experiment_by_name(self.experiment)
        home = known.experiment_id if known is not None else client.create_experiment(self.experiment)
        self._began = int(float(run.config.get("created") or 0.0) * 1000)
        created = client.create_run(home, start_time=self._began, run_name=run.labels.name or run.id)
        self.run_id = str(created.info.run_id)
        row = summaries_to_rows([summarize(run)])[0]
        settings = [self._entities.Param(n, str(v)[:500]) for n, v in row.items() if n.startswith("setting.")]
        client.log_batch(self.run_id, params=settings)

    def log(self, numbers: Sequence[Number]) -> None:
        """Log metrics in as few requests as possible."""
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(
                name.replace("/", "."), value, now if self.is_live else self._began + step, step
            )
            for name, step, value in numbers
        ]
        for start in range(0, len(metrics), _BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + _BATCH])

    def close(self, state: str) -> None:
        """End the MLflow run, with tags for id, state, network and tags of the run."""
        row = summaries_to_rows([summarize(self._run)])[0] | {"state": state}
        tags = [self._entities.RunTag(f"nasviz.{n}", str(row[n])) for n in ("id", "state", "network", "tags")]
        self._client.log_batch(self.run_id, tags=tags)
        ends = {"done": "FINISHED", "failed": "FAILED", "crashed": "FAILED"}
        self._client.set_terminated(self.run_id, ends.get(state, "KILLED"))


class _ByStep:
    """Trackers whose module has `init`, and whose runs log a dictionary per step."""

    module = ""

    def __init__(self, project: str = "nasviz", **options: Any) -> None:
        self.project, self.options = project, options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.project!r})"

    def open(self, run: Run) -> None:
        """Begin a run of the tracker with the settings of the run."""
        home = require_package(self.module, "this mirror")
        config = run.settings.flat() | {"nasviz": run.id}
        chosen = {"name": run.labels.name or run.id} | self.options
        self._run = home.init(project=self.project, config=config, **chosen)

    def log(self, numbers: Sequence[Number]) -> None:
        """Log the numbers of each step together."""
        by_step: dict[int, dict[str, float]] = {}
        for name, step, value in numbers:
            by_step.setdefault(step, {})[name] = value
        for step in sorted(by_step):
            self._run.log(by_step[step], step=step)

    def close(self, state: str) -> None:
        """End the run of the tracker."""
        self._run.finish()


class WandB(_ByStep):
    """Weights & Biases.

    Args:
        project: Name of the project.
        **options: Further arguments of `wandb.init`, such as `mode="offline"` and `dir`.
    """

    module = "wandb"

    def close(self, state: str) -> None:
        """End the run, which counts as failed unless it is done."""
        self._run.finish(exit_code=0 if state == "done" else 1)


class Trackio(_ByStep):
    """Trackio, which stores on this machine unless `space_id` names a Space.

    Args:
        project: Name of the project.
        **options: Further arguments of `trackio.init`.
    """

    module = "trackio"


def to_tensorboard(run: Run, folder: Path) -> int:
    """Write the curves and evaluations of a run as TensorBoard events, and return the number of values.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """
    numbers = _numbers(run)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder, ".export-") as staged:
            mirror = TensorBoard(staged, is_live=False)
            mirror.open(run)
            try:
                mirror.log(numbers)
            finally:
                mirror.close(run.state)
            for file in sorted(staged.iterdir()):
                file.replace(folder / file.name)
    except OSError as error:
        raise refusal(folder, error) from error
    return len(numbers)


def to_mlflow(run: Run, uri: str, *, experiment: str = "nasviz") -> str:
    """Log settings, curves and result of a run to an MLflow store, and return its MLflow run id.

    Args:
        run: The run.
        uri: Tracking URI: `sqlite:///mlflow.db`, `file:///a/folder`, or the address of a server.
        experiment: Name of the experiment; created if missing.

    Raises:
        MissingPackageError: mlflow is not installed.
        ExportError: The store refuses the run.
    """
    require_package("mlflow.tracking", "this export")
    errors, mirror = import_module("mlflow.exceptions"), MLflow(uri, experiment, is_live=False)
    try:
        mirror.open(run)
        mirror.log(_numbers(run))
        mirror.close(run.state)
    except errors.MlflowException as error:
        words = without_credentials(f"MLflow at {uri} refused run {run.id}: {error}")
        raise ExportError(words) from error
    return mirror.run_id


def _numbers(run: Run) -> list[Number]:
    """Return all finite numbers of a run."""
    tail = run.tail()
    return numbers_of((row.tolist() for row in tail.steps), tail.evaluations)


def _with_one_type(values: list[Any]) -> list[Any]:
    """Return the values, as text if their types differ: K may be a count or a fraction."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        return [float(v) if float in kinds and isinstance(v, int) else v for v in values]
    return [None if value is None else str(value) for value in values]
