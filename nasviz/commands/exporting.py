"""`nasviz export`: what a run has left, in forms that other programs read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nasviz.draw.model_explorer import model_explorer_archive
from nasviz.draw.report import subnetwork_report
from nasviz.draw.run_space import read_space
from nasviz.errors import ExportError
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.guarded_files import exists, require_real_folder
from nasviz.runs import Run, steps_to_csv, to_document
from nasviz.runs.files import SPACE, SUBNET
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


def export_plain_onnx(run: Run, path: Path) -> str:
    """The same, but with a node for every operator of the network.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    written = subnet.export_onnx(subnet.load(_subnet_folder(run)), path, simplify=False)
    return f"{written.num_nodes} nodes, onnxruntime differs by at most {written.max_relative_error:.2g}"


def export_pt2(run: Run, path: Path) -> str:
    """Write the sub-network by torch.export, compared with the one it came from.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    written = subnet.export_pt2(subnet.load(_subnet_folder(run)), path)
    said = f"{written.size_bytes:,} bytes, differs by at most {written.max_relative_error:.2g}"
    return f"{said}; torch.export.load reads it"


def export_html(run: Run, path: Path) -> str:
    """Write the report as one HTML file, with graphs that zoom."""
    space, plan, facts = _constructed(run)
    text = subnetwork_report(run.settings.network.title, space, plan, facts=facts)
    _made_room(path).write_text(text, encoding="utf-8")
    return f"{len(text):,} characters, to be read without a network"


def export_model_explorer(run: Run, path: Path) -> str:
    """Write the full network and its node data for Model Explorer, in one archive."""
    space, plan, _ = _constructed(run)
    content = model_explorer_archive(space, plan)
    _made_room(path).write_bytes(content)
    return f"{len(content):,} bytes: graph.json and node data, read again and checked"


def _constructed(run: Run) -> tuple[SearchSpace, ConstructionPlan, list[tuple[str, str]]]:
    """What a run has cut out of what, and how well."""
    _subnet_folder(run)
    assert run.end is not None, "a sub-network is written at the end"
    result = run.end.result
    space = read_space(run.folder / SPACE)
    plan = space.plan(result["selected"], (), result.get("channels", ()))
    facts = [("Difference from the zeroed full network", f"{result['max_relative_error']:.1e}")]
    full, small = result.get("accuracy_full"), result.get("accuracy_subnet")
    if full is not None and small is not None:
        facts.append(("Accuracy on the validation images", f"{full:.1%} → {small:.1%}"))
    return space, replace(plan, params_after=int(result["params_after"])), facts


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
    if not exists(folder):
        raise ExportError(
            f"run {run.id} is {run.state} and has no sub-network: it is constructed at the end;"
            " resume the run"
        )
    require_real_folder(folder)
    return folder


def _made_room(path: Path) -> Path:
    """The path itself, once its folder is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


FORMS: dict[str, Callable[[Run, Path], str]] = {
    "onnx": export_onnx,
    "onnx_plain": export_plain_onnx,
    "pt2": export_pt2,
    "html": export_html,
    "model_explorer": export_model_explorer,
    "folder": export_folder,
    "csv": export_csv,
    "json": export_json,
    "parquet": export_parquet,
    "tensorboard": export_tensorboard,
    "mlflow": export_mlflow,
}
"""What can be written, by the name of its option; each returns what there is to say about the file."""
