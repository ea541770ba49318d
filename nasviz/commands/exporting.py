"""`nasviz export`: what a run has left, in forms that other programs read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nasviz.draw.model_explorer import model_explorer_archive
from nasviz.draw.report import subnetwork_report
from nasviz.draw.run_space import read_space
from nasviz.errors import ExportError, UncheckedFilesWarning
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.guarded_files import (
    current_umask,
    exists,
    place,
    read_regular,
    refusal,
    replace_file,
    require_real_folder,
    stage,
    staging_folder,
)
from nasviz.runs import Run, steps_to_csv, to_document
from nasviz.runs.checking import UNCHECKED, check_run
from nasviz.runs.files import SPACE, SUBNET, read_table
from nasviz.runs.trackers import steps_to_parquet, to_mlflow, to_tensorboard

if TYPE_CHECKING:
    from torch import fx

__all__ = ["FORMS", "check"]


def export_onnx(run: Run, path: Path) -> str:
    """Write the sub-network as ONNX, compared under onnxruntime with the one it came from.

    Like the other forms, returns what there is to say about the file.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    module, words = _loaded(run)
    written = subnet.export_onnx(module, path)
    said = f"{written.size_bytes:,} bytes, onnxruntime differs by at most {written.max_relative_error:.2g}"
    return f"{said}; {words}"


def export_plain_onnx(run: Run, path: Path) -> str:
    """The same, but with a node for every operator of the network.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    module, words = _loaded(run)
    written = subnet.export_onnx(module, path, simplify=False)
    return (
        f"{written.num_nodes} nodes, onnxruntime differs by at most {written.max_relative_error:.2g}; {words}"
    )


def export_pt2(run: Run, path: Path) -> str:
    """Write the sub-network by torch.export, compared with the one it came from.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    module, words = _loaded(run)
    written = subnet.export_pt2(module, path)
    said = f"{written.size_bytes:,} bytes, differs by at most {written.max_relative_error:.2g}"
    return f"{said}; torch.export.load reads it; {words}"


def _loaded(run: Run) -> tuple[fx.GraphModule, str]:
    """Return the sub-network, and how it compares with the full network that the run has stored."""
    from nasviz import subnet
    from nasviz.train.rechecking import compare_with_full

    folder = _subnet_folder(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncheckedFilesWarning)  # said in words by `check`
        module = subnet.load(folder)
    return module, str(compare_with_full(run, module))


def export_html(run: Run, path: Path) -> str:
    """Write the report as one HTML file, with graphs that zoom."""
    space, plan, facts = _constructed(run)
    text = subnetwork_report(run.settings.network.title, space, plan, facts=facts)
    replace_file(path, text)
    return f"{len(text):,} characters, to be read without a network"


def export_model_explorer(run: Run, path: Path) -> str:
    """Write the full network and its node data for Model Explorer, in one archive."""
    space, plan, _ = _constructed(run)
    content = model_explorer_archive(space, plan)
    replace_file(path, content)
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
    """Write the sub-network to a new folder: Python source, weights, report, checksums.

    Everything is written anew from the network that was read as data. Only a network that imports modules of
    third parties cannot be read back; its own files are copied then, and no others.

    Raises:
        ExportError: The run has no sub-network yet, or something else lies in `folder`.
        StorageError: The disk is full, or this user may not write there; nothing is left in `folder`.
    """
    from nasviz import subnet

    source = _subnet_folder(run)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is there already and not empty; name a new folder")
    report = read_table(source / "report.json") or {}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(folder.parent, ".export-") as beside:
            if imports := report.get("imports"):
                for name in subnet.IMPORTING_FILES:
                    place(stage(beside / name, read_regular(source / name), 0o666), beside / name)
                words = f"model.py is the run's own, as it imports {str(imports)[:80]}: read it first"
            else:
                module, words = _loaded(run)
                subnet.write_network(module, beside, report)
            if folder.exists():
                folder.rmdir()
            beside.chmod(0o777 & ~current_umask())
            beside.rename(folder)
    except FileNotFoundError as error:
        raise ExportError(f"{error.filename} is missing; restore the run from a copy") from error
    except OSError as error:
        raise refusal(folder, error) from error
    return f"{', '.join(sorted(file.name for file in folder.iterdir()))}; nasviz.load reads it; {words}"


def export_csv(run: Run, path: Path) -> str:
    """Write one line per step."""
    text = steps_to_csv(run)
    replace_file(path, text)
    return f"{text.count(chr(10)) - 1} steps"


def export_json(run: Run, path: Path) -> str:
    """Write everything on record."""
    document = to_document(run)
    replace_file(path, json.dumps(document))
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


def check(run: Run) -> str | None:
    """Check the files of a run before they are exported; return what there is to say where that cannot be.

    Raises:
        DamagedFileError: A file is not as it was when the run ended; the message names it.
    """
    return None if run.end is None or check_run(run.folder) else f"run {run.id}: {UNCHECKED}"


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
