"""`nasviz export`: what a run has left, in forms that other programs read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from nasviz.errors import ExportError
from nasviz.runs import Run, steps_to_csv, to_document
from nasviz.runs.files import SUBNET
from nasviz.runs.trackers import steps_to_parquet, to_mlflow, to_tensorboard

__all__ = ["FORMS"]


def export_onnx(run: Run, path: Path) -> str:
    """Write the sub-network as ONNX, compared under onnxruntime with the one it came from.

    Like the other forms, returns what there is to say about the file.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    module = subnet.load(_subnet_folder(run))
    written = subnet.export_onnx(module, path)
    return f"{written.size_bytes:,} bytes, onnxruntime differs by at most {written.max_relative_error:.2g}"


def export_folder(run: Run, folder: Path) -> str:
    """Copy the sub-network with its Python source, weights and report.

    Raises:
        ExportError: The run has no sub-network yet, or something else lies in `folder`.
    """
    source = _subnet_folder(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is there already and not empty; name a new folder")
    shutil.copytree(source, _made_room(folder), dirs_exist_ok=True)
    return f"{', '.join(sorted(file.name for file in folder.iterdir()))}; nasviz.load reads it"


def export_csv(run: Run, path: Path) -> str:
    """Write one line per step."""
    text = steps_to_csv(run)
    _made_room(path).write_text(text, encoding="utf-8")
    return f"{text.count(chr(10)) - 1} steps"


def export_json(run: Run, path: Path) -> str:
    """Write everything on record."""
    document = to_document(run)
    _made_room(path).write_text(json.dumps(document), encoding="utf-8")
    return ", ".join(document)


def export_parquet(run: Run, path: Path) -> str:
    """Write one row per step."""
    return f"{steps_to_parquet(run, path)} steps"


def export_tensorboard(run: Run, folder: Path) -> str:
    """Write curves and evaluations as events.

    Raises:
        ExportError: tensorboard is not installed.
    """
    count = to_tensorboard(run, folder / run.id)
    return f"{count} numbers; look at them: tensorboard --logdir {folder}"


def export_mlflow(run: Run, uri: Path) -> str:
    """Log the run to an MLflow store.

    Raises:
        ExportError: mlflow is not installed, or the store refuses.
    """
    return f"run {to_mlflow(run, str(uri))}"


def _subnet_folder(run: Run) -> Path:
    folder, end = run.folder / SUBNET, run.end
    if end is not None and end.result.get("is_valid") is False:
        raise ExportError(
            f"run {run.id} is done and has no sub-network: what became zero cuts the outputs off; choose a"
            " smaller target_sparsity, or h2spg, which keeps a path"
        )
    if not folder.is_dir():
        raise ExportError(
            f"run {run.id} is {run.state} and has no sub-network: it is constructed at the end;"
            " resume the run"
        )
    return folder


def _made_room(path: Path) -> Path:
    """The path itself, once its folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


FORMS: dict[str, Callable[[Run, Path], str]] = {
    "onnx": export_onnx,
    "folder": export_folder,
    "csv": export_csv,
    "json": export_json,
    "parquet": export_parquet,
    "tensorboard": export_tensorboard,
    "mlflow": export_mlflow,
}
"""What can be written, by the name of its option; each returns what there is to say about the file."""
