"""`nasviz export` and `nasviz genotype`: the results of a run, in forms that other programs read."""

from __future__ import annotations

import json as json_format
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from nasviz.cli.options import RUNS, AsJson, RunName, RunsFolder
from nasviz.cli.reports import decided_words
from nasviz.cli.text import answer, say
from nasviz.draw.genotype import cells_of, genotype_dot, summary
from nasviz.draw.layout import layout
from nasviz.draw.model_explorer import model_explorer_archive
from nasviz.draw.replay_page import replay_page
from nasviz.draw.report import subnetwork_report
from nasviz.draw.run_figures import run_figures
from nasviz.draw.run_space import read_space
from nasviz.draw.static_chart import static_svg
from nasviz.errors import ExportError, InvalidSettingError, UncheckedFilesWarning
from nasviz.graph import ConstructionPlan, SearchSpace
from nasviz.graph.cells.genotypes import genotype_json, genotype_text
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
from nasviz.runs import open as open_run
from nasviz.runs.checking import UNCHECKED, check_run
from nasviz.runs.files import SPACE, SUBNET, read_table
from nasviz.runs.trackers import steps_to_parquet, to_mlflow, to_tensorboard

if TYPE_CHECKING:
    from torch import fx

__all__ = ["FORMS", "check", "export", "genotype"]


def export_onnx(run: Run, path: Path, *, simplify: bool = True, **options: Any) -> str:
    """Write the sub-network as ONNX, compared under onnxruntime with the one it came from.

    Like the other forms, returns a note on the file.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    from nasviz import subnet

    module, words = _loaded(run)
    written = subnet.export_onnx(module, path, simplify=simplify, **options)
    free = "; ".join(
        f"{', '.join(map(str, axes))} of {name}" for name, axes in written.free_axes.items() if axes
    )
    return (
        f"opset {written.opset}, {written.num_nodes} nodes, {written.size_bytes:,} bytes, free axes"
        f" {free or 'none'}, onnxruntime differs by at most {written.max_relative_error:.2g}; {words}"
    )


def export_plain_onnx(run: Run, path: Path, **options: Any) -> str:
    """Write ONNX with a node for every operator of the network.

    Raises:
        ExportError: The run has no sub-network yet, or the file does not read back as it.
    """
    return export_onnx(run, path, simplify=False, **options)


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
        warnings.simplefilter("ignore", UncheckedFilesWarning)  # `check` returns it as text
        module = subnet.load(folder)
    return module, str(compare_with_full(run, module))


def export_html(run: Run, path: Path) -> str:
    """Write the report as one HTML file, with graphs that zoom."""
    space, plan, result = _constructed(run)
    settings = run.settings
    text = subnetwork_report(
        settings.network.title,
        space,
        plan,
        measured=result,
        settings=settings,
        figures=run_figures(run),
    )
    replace_file(path, text)
    return f"{len(text):,} characters, to be read without a network"


def export_replay(run: Run, path: Path) -> str:
    """Write a page that replays the run: player, graph, curves, heat map, and what the sub-network lost."""
    plan = _constructed(run)[1] if exists(run.folder / SUBNET) else None
    text = replay_page(run, plan)
    replace_file(path, text)
    return f"{len(text):,} characters, to be opened in a browser without a server"


def export_model_explorer(run: Run, path: Path) -> str:
    """Write the full network and its node data for Model Explorer, in one archive."""
    space, plan, _ = _constructed(run)
    content = model_explorer_archive(space, plan)
    replace_file(path, content)
    return f"{len(content):,} bytes: graph.json and node data, read again and checked"


def _constructed(run: Run) -> tuple[SearchSpace, ConstructionPlan, Mapping[str, Any]]:
    """Return the search space of a run, what it has removed, and how well the sub-network does."""
    _subnet_folder(run)
    assert run.end is not None, "a sub-network is written at the end"
    result = run.end.result
    space = read_space(run.folder / SPACE)
    plan = space.plan(result["selected"], (), result.get("channels", ()))
    return space, replace(plan, params_after=int(result["params_after"])), result


def export_folder(run: Run, folder: Path) -> str:
    """Write the sub-network to a new folder: Python source, weights, report, checksums.

    Everything is written from the network that was read as data. A network that imports modules of third
    parties cannot be read back; its own files are copied then, and no others.

    Raises:
        ExportError: The run has no sub-network yet, or `folder` holds something.
        StorageError: The disk is full, or this user may not write there; `folder` is left as it was.
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


def export_figures(run: Run, folder: Path) -> str:
    """Write each figure that the record of a run allows as SVG.

    Raises:
        ExportError: Nothing is recorded yet.
    """
    figures = run_figures(run)
    if not figures:
        raise ExportError(f"run {run.id} is {run.state} and has recorded nothing to draw; resume the run")
    for title, figure in figures.items():
        name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        replace_file(folder / f"{name}.svg", static_svg(figure))
    return ", ".join(figures)


def export_csv(run: Run, path: Path) -> str:
    """Write one line per step."""
    text = steps_to_csv(run)
    replace_file(path, text)
    return f"{text.count(chr(10)) - 1} steps"


def export_json(run: Run, path: Path) -> str:
    """Write everything on record."""
    document = to_document(run)
    replace_file(path, json_format.dumps(document))
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
    """Check the files of a run before they are exported; return a note where they cannot be checked.

    Raises:
        DamagedFileError: A file is not as it was when the run ended; the message names it.
    """
    return None if run.end is None or check_run(run.folder) else f"run {run.id}: {UNCHECKED}"


FORMS: dict[str, Callable[..., str]] = {
    "onnx": export_onnx,
    "onnx_plain": export_plain_onnx,
    "pt2": export_pt2,
    "html": export_html,
    "replay": export_replay,
    "model_explorer": export_model_explorer,
    "folder": export_folder,
    "figures": export_figures,
    "csv": export_csv,
    "record": export_json,
    "parquet": export_parquet,
    "tensorboard": export_tensorboard,
    "mlflow": export_mlflow,
}
"""What can be written, by the name of its option; each returns a note on the file."""

_ONNX = ("onnx", "onnx_plain")


def _form(help: str, metavar: str = "FILE") -> Parameter:  # noqa: A002
    return Parameter(help=help, metavar=metavar, group="Forms")


def _option(help: str) -> Parameter:  # noqa: A002
    return Parameter(help=help, group="ONNX")


def export(
    run: RunName,
    /,
    *,
    onnx: Annotated[Path | None, _form("The sub-network as ONNX, checked.")] = None,
    onnx_plain: Annotated[Path | None, _form("ONNX with a node for every operator.")] = None,
    pt2: Annotated[Path | None, _form("The sub-network by torch.export, checked.")] = None,
    folder: Annotated[Path | None, _form("The sub-network: Python, weights, report.", "DIR")] = None,
    html: Annotated[Path | None, _form("The report, with graphs that zoom.")] = None,
    replay: Annotated[Path | None, _form("A page that replays the run without a server.")] = None,
    model_explorer: Annotated[Path | None, _form("Graph and node data for Model Explorer, one zip.")] = None,
    figures: Annotated[Path | None, _form("The figures of the run, as SVG.", "DIR")] = None,
    csv: Annotated[Path | None, _form("The steps, one line each.")] = None,
    parquet: Annotated[Path | None, _form("The steps, one row each.")] = None,
    record: Annotated[Path | None, _form("Everything on record, as JSON.")] = None,
    tensorboard: Annotated[Path | None, _form("The curves, as TensorBoard events.", "DIR")] = None,
    mlflow: Annotated[Path | None, _form("Log to an MLflow store, such as sqlite:///m.db.", "URI")] = None,
    opset: Annotated[int | None, _option("Version of the operators, 13 to 20 (default 20).")] = None,
    free_axes: Annotated[
        list[int] | None,
        _option("An axis that may have other sizes; repeatable. By default all that were traced free."),
    ] = None,
    input_names: Annotated[list[str] | None, _option("Name of an input; repeatable.")] = None,
    output_names: Annotated[list[str] | None, _option("Name of an output; repeatable.")] = None,
    dtype: Annotated[
        Literal["float16", "float32", "float64"] | None, _option("Precision of the file.")
    ] = None,
    runs: RunsFolder = RUNS,
    json: AsJson = False,
) -> int:
    """Write the sub-network and the record of a run to files."""
    given = locals()
    names = ("opset", "free_axes", "input_names", "output_names", "dtype")
    options = {name: given[name] for name in names if given[name] is not None}
    wanted = {form: path for form in FORMS if (path := given[form]) is not None}
    if not wanted:
        forms = ", ".join(f"--{form.replace('_', '-')} PATH" for form in FORMS)
        raise InvalidSettingError(f"nothing to export: name at least one of {forms}")
    if options and not wanted.keys() & {*_ONNX}:
        raise InvalidSettingError(
            f"{', '.join(options)} describe an ONNX file: add --onnx FILE or --onnx-plain FILE"
        )
    if dtype is not None:
        import torch

        options["dtype"] = getattr(torch, dtype)
    opened = open_run(run, runs)
    note, written = check(opened), {}
    if note and not json:
        say(note)
    for form, path in wanted.items():
        note_of = FORMS[form](opened, path, **(options if form in _ONNX else {}))
        written[form] = {"path": str(path), "note": note_of}
        if not json:
            say(f"wrote {path}: {written[form]['note']}")
    answer(json=json, document={"run": opened.id, "note": note, "written": written}, lines=())
    return 0


def genotype(
    run: RunName,
    /,
    *,
    dot: Annotated[Path | None, Parameter(metavar="DIR", help="Write each cell as Graphviz source.")] = None,
    svg: Annotated[Path | None, Parameter(metavar="DIR", help="Write each cell as a picture.")] = None,
    runs: RunsFolder = RUNS,
    json: AsJson = False,
) -> int:
    """Print the cells that a run has selected, or would select now."""
    opened = open_run(run, runs)
    cells, end = cells_of(opened), opened.end
    for cell in cells:
        source, stem = genotype_dot(cell), f"cell-{cell.name.replace(' ', '-')}"
        if dot is not None:
            replace_file(dot / f"{stem}.dot", source)
        if svg is not None:
            replace_file(svg / f"{stem}.svg", layout(source))
    lines = [*genotype_text(cells).splitlines(), f"({summary(cells)})"]
    if words := decided_words(end.result if end else {}):
        lines.append(f"({words})")
    answer(json=json, document=genotype_json(cells), lines=lines)
    return 0
