"""Export of runs to Parquet, TensorBoard and MLflow.

Each needs an optional package, which is imported on use.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from nasviz.errors import ExportError
from nasviz.extras import require_package
from nasviz.guarded_files import refusal, replace_file, staging_folder
from nasviz.runs.exporting import summaries_to_rows
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.records import STEP_TYPE
from nasviz.runs.run import Run

__all__ = ["runs_to_parquet", "steps_to_parquet", "to_mlflow", "to_tensorboard"]

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


def to_tensorboard(run: Run, folder: Path) -> int:
    """Write the curves and evaluations of a run as TensorBoard events, and return the number of values.

    Raises:
        MissingPackageError: tensorboard is not installed.
    """
    home = require_package("tensorboard.summary.writer.event_file_writer", "this export")
    events = import_module("tensorboard.compat.proto.event_pb2")
    summary = import_module("tensorboard.compat.proto.summary_pb2")
    count, began = 0, float(run.config.get("created") or 0.0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder, ".export-") as staged:
            writer = home.EventFileWriter(str(staged))
            try:
                for name, step, value in _numbers(run):
                    item = summary.Summary(value=[summary.Summary.Value(tag=name, simple_value=value)])
                    writer.add_event(events.Event(wall_time=began + step, step=step, summary=item))
                    count += 1
            finally:
                writer.close()
            for file in sorted(staged.iterdir()):
                file.replace(folder / file.name)
    except OSError as error:
        raise refusal(folder, error) from error
    return count


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
    tracking, entities = require_package("mlflow.tracking", "this export"), import_module("mlflow.entities")
    errors = import_module("mlflow.exceptions")
    try:
        client = tracking.MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(experiment)
        home = known.experiment_id if known is not None else client.create_experiment(experiment)
        began = int(float(run.config.get("created", 0.0)) * 1000)
        logged = client.create_run(home, start_time=began, run_name=run.labels.name or run.id)
        run_id = str(logged.info.run_id)
        metrics = [entities.Metric(n.replace("/", "."), v, began + s, s) for n, s, v in _numbers(run)]
        row = summaries_to_rows([summarize(run)])[0]
        settings = [entities.Param(n, str(v)[:500]) for n, v in row.items() if n.startswith("setting.")]
        tags = [entities.RunTag(f"nasviz.{n}", str(row[n])) for n in ("id", "state", "network", "tags")]
        for start in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[start : start + _BATCH])
        client.log_batch(run_id, params=settings, tags=tags)
        client.set_terminated(run_id, "FINISHED" if row["state"] == "done" else "KILLED")
    except errors.MlflowException as error:
        raise ExportError(f"MLflow at {uri} refused run {run.id}: {error}") from error
    return run_id


def _numbers(run: Run) -> Iterator[tuple[str, int, float]]:
    """Yield (name, step, value) of all finite numbers."""
    tail = run.tail()
    for name in _CURVES:
        values = tail.steps[name].tolist()
        pairs = zip(tail.steps["step"].tolist(), values, strict=True)
        yield from ((f"train/{name}", step, float(v)) for step, v in pairs if math.isfinite(v))
    for item in tail.evaluations:
        yield f"{item.network}/loss", item.step, item.loss
        yield f"{item.network}/accuracy", item.step, item.accuracy


def _with_one_type(values: list[Any]) -> list[Any]:
    """Return the values, as text if their types differ: K may be a count or a fraction."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) <= 1 or kinds <= {int, float}:
        return [float(v) if float in kinds and isinstance(v, int) else v for v in values]
    return [None if value is None else str(value) for value in values]
