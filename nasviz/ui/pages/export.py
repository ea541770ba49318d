"""The Export page: files of a sub-network, each read back and verified before it is offered."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from nasviz import jobs
from nasviz.draw import plan_overlay
from nasviz.draw.labels import count, plain_shape, power_of_ten, size
from nasviz.draw.model_explorer import CODE, model_explorer_archive
from nasviz.draw.pictures import checked_svg, painted_dot, png
from nasviz.draw.replay_page import replay_page
from nasviz.draw.report import subnetwork_report
from nasviz.draw.run_figures import run_figures
from nasviz.errors import NasvizError
from nasviz.guarded_files import read_regular
from nasviz.runs import Labels, Run
from nasviz.runs.database import stamp
from nasviz.runs.files import SUBNET
from nasviz.ui import frame, session
from nasviz.ui.parts import graphs, run_facts, subnetworks, work
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.subnetworks import Subnetwork

__all__ = ["export"]

ONNX_CODE = """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{name}")
images = np.random.rand({shape}).astype("float32")
print(session.run(None, {{session.get_inputs()[0].name: images}})[0].shape)
"""

PT2_CODE = """import torch

network = torch.export.load("{name}").module()
print(network(torch.rand({shape})).shape)
"""

SOURCE_CODE = """import sys

sys.path.insert(0, "subnet")  # the unpacked folder
from model import load

network = load().eval()
"""


@dataclass(frozen=True)
class Offer:
    """One file to download."""

    title: str
    description: str
    name: str
    mime: str
    read: Callable[[], bytes | str]
    code: str = ""
    """Python code that loads the file."""
    is_deferred: bool = False
    """Whether the file is made when it is downloaded, and not on every run of the page."""


@frame.Page(
    "Export",
    7,
    icon=":material/download:",
    invitation="Export the sub-network",
    lead="Download the sub-network. Every file is read back and verified first.",
    group="Search",
)
def export() -> None:
    """Let the user choose a sub-network, write and verify its files, and offer them."""
    subnet = subnetworks.choose("export")
    if subnet is None:
        return
    st.markdown(f"#### {inert(subnet.title)}")
    saved = f"{count(subnet.plan.params_before)} → {count(subnet.plan.params_after)} parameters"
    st.caption(f"{saved}, {count(subnet.plan.macs_before)} → {count(subnet.plan.macs_after)} MACs")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### The network")
        for offer in _network_offers(subnet):
            _show(offer)
    with right:
        st.markdown("##### Reports and figures")
        for offer in _report_offers(subnet):
            _show(offer)


def _network_offers(subnet: Subnetwork) -> list[Offer]:
    """Return ONNX, torch.export and Python files once they are written and verified."""
    if subnet.imports:
        return [_imported(subnet)]
    state = session.current()
    opset_column, precision_column, simplify_column = st.columns([1, 1, 1.4], vertical_alignment="bottom")
    with opset_column:
        opsets = [*range(20, 12, -1)]
        opset = st.selectbox(
            "ONNX opset",
            opsets,
            opsets.index(kept("export.opset", 20)),
            key="export.opset",
            help="Version of the operators; older runtimes need a lower one.",
        )
        keep("export.opset", opset)
    with precision_column:
        precisions: list[Literal["float16"] | None] = [None, "float16"]
        precision = st.selectbox(
            "ONNX precision",
            precisions,
            precisions.index(kept("export.precision", None)),
            format_func=lambda choice: choice or "as trained",
            key="export.precision",
        )
        keep("export.precision", precision)
    with simplify_column:
        simplify = st.toggle(
            "Simplify ONNX",
            kept("export.simplify", True),
            key="export.simplify",
            help="Folds BatchNorm into the preceding convolution and precomputes constants; otherwise all"
            " operators are kept, which needs opset 18 or later.",
        )
        keep("export.simplify", simplify)
    onnx: jobs.ExportFormat = "onnx" if simplify else "onnx_plain"
    chosen = f"{onnx} {opset} {precision}"
    key = f"export {chosen} {subnet.folder} {subnet.plan.selected} {subnet.plan.gates}"
    if key not in state.jobs:
        of_run = (
            subnet.run.folder
            if subnet.run is not None and subnet.folder.parent == subnet.run.folder
            else None
        )
        state.jobs[key] = jobs.submit(
            jobs.Export(
                folder=subnet.folder,
                inputs=subnet.inputs,
                formats=(onnx, "source", "pt2"),
                opset=opset,
                dtype=precision,
                run=of_run,
            )
        )
    result: jobs.Exported | None = work.shown(key, "Writing and verifying", cache=state.jobs)
    if result is None:
        return []
    st.caption(inert(f"{result.full[0].upper()}{result.full[1:]}."))
    offers = []
    writers: tuple[tuple[jobs.ExportFormat, Callable[[Subnetwork, jobs.ExportedFile], Offer]], ...]
    writers = (onnx, _onnx), ("source", _source), ("pt2", _pt2)
    for kind, make in writers:
        if kind in result.errors:
            st.error(inert(result.errors[kind]), icon=":material/error:")
        elif kind in result.files:
            offers.append(make(subnet, result.files[kind]))
    return offers


def _imported(subnet: Subnetwork) -> Offer:
    """Return the files written by the construction, for a sub-network with third-party classes."""
    imports = inert(", ".join(subnet.imports))

    def pack() -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("model.py", "weights.safetensors", "report.json"):
                archive.writestr(f"subnet/{name}", read_regular(subnet.folder / name))
        return content.getvalue()

    description = (
        f"Zip of model.py and safetensors weights, verified when it was written. ONNX and .pt2 are not"
        f" available, because the sub-network imports {imports}."
    )
    return Offer("Python and weights", description, "model.zip", "application/zip", pack, SOURCE_CODE)


def _onnx(subnet: Subnetwork, file: jobs.ExportedFile) -> Offer:
    path = file.path
    return Offer(
        "ONNX",
        f"{_free(file)}, {file.nodes} nodes. {_checked(file, 'Run with onnxruntime')}",
        path.name,
        "application/octet-stream",
        path.read_bytes,
        ONNX_CODE.format(name=path.name, shape=_four(subnet)),
    )


def _free(file: jobs.ExportedFile) -> str:
    """Return which axes of a file may have other sizes, in words."""
    free = [f"{', '.join(map(str, axes))} of {inert(name)}" for name, axes in file.free_axes.items() if axes]
    return f"Free axes {'; '.join(free)}" if free else "All sizes fixed"


def _pt2(subnet: Subnetwork, file: jobs.ExportedFile) -> Offer:
    path = file.path
    return Offer(
        "torch.export",
        f"A .pt2 program for torch, any batch size. {_checked(file, 'Read back')} Only load .pt2 files from"
        " trusted sources: torch may unpickle parts of them.",
        path.name,
        "application/octet-stream",
        path.read_bytes,
        PT2_CODE.format(name=path.name, shape=_four(subnet)),
    )


def _four(subnet: Subnetwork) -> str:
    """Return the shape of a batch of four, as code."""
    return "4, " + ", ".join(str(size) for size in subnet.space.trace.inputs[0].shape[1:])


def _source(subnet: Subnetwork, file: jobs.ExportedFile) -> Offer:
    path = file.path
    return Offer(
        "Python and weights",
        f"Zip of model.py, which does not need nasviz, and safetensors weights. {_checked(file, 'Run')}",
        path.name,
        "application/zip",
        path.read_bytes,
        SOURCE_CODE,
    )


def _checked(file: jobs.ExportedFile, how: str) -> str:
    error = file.max_relative_error
    difference = "no difference" if error == 0 else f"a difference of {power_of_ten(error)}"
    return f"{how} and compared with the sub-network: {difference}. {size(file.bytes)}."


def _report_offers(subnet: Subnetwork) -> list[Offer]:
    """Return the reports and the drawings, which need no torch."""
    report = {
        "network": subnet.title,
        "input": [plain_shape(i.shape) for i in subnet.space.trace.inputs],
        "report": dict(subnet.report),
        "plan": subnet.plan.to_json(),
    }
    return [
        Offer(
            "HTML report",
            "A self-contained HTML file: erased structures, slices, savings and zoomable graphs.",
            "report.html",
            "text/html",
            lambda: _html(subnet),
        ),
        *_replay(subnet),
        Offer(
            "JSON report",
            "The report as JSON, with all slices and checks.",
            "report.json",
            "application/json",
            lambda: json.dumps(report, indent=1),
        ),
        Offer(
            "Model Explorer",
            "Zip of the full network and node data for the state, parameters and MACs of each operator."
            " Verified: every value belongs to a node.",
            "model-explorer.zip",
            "application/zip",
            lambda: model_explorer_archive(subnet.space, subnet.plan),
            CODE,
        ),
        *_pictures(subnet),
    ]


def _replay(subnet: Subnetwork) -> list[Offer]:
    """Return the page that replays the run, if the sub-network is the result of a recorded run."""
    run = subnet.run
    if run is None or subnet.folder != run.folder / SUBNET or not len(run_facts.read(run).steps):
        return []
    text = (
        "A self-contained HTML file that replays the run: player, graph, curves, heat map, sub-network."
        " Built when you download it; a large network takes up to a minute."
    )

    def build() -> str:
        if (changed := stamp(run.folder)) is None:
            return _replay_html(run, subnet)  # written just now
        return _cached_replay(str(run.folder), changed, run.labels, run, subnet)

    return [Offer("Replay", text, "replay.html", "text/html", build, is_deferred=True)]


def _replay_html(run: Run, subnet: Subnetwork) -> str:
    return replay_page(run, subnet.plan, lambda space: graphs.segments_of(f"run {run.id}", space))


@st.cache_data(max_entries=4, show_spinner=False)
def _cached_replay(
    folder: str, changed: tuple[int, ...], labels: Labels, _run: Run, _subnet: Subnetwork
) -> str:
    return _replay_html(_run, _subnet)


def _pictures(subnet: Subnetwork) -> list[Offer]:
    """Return the segment graphs of both networks, if their layout succeeds."""
    name = f"{subnet.folder} {subnet.plan.selected} {subnet.plan.gates}"
    full = graphs.segments_of(f"full {subnet.folder} {subnet.space.collapse}", subnet.space)
    offers = []
    if full.svg:
        painted = painted_dot(full, plan_overlay(full, subnet.plan))
        text = "Segment graph of the full network with removed structures marked."
        marked = Offer(
            "PNG of the full network", text, "full.png", "image/png", lambda: _bitmap(painted, full.svg)
        )
        offers.append(marked)
    space = subnetworks.small_space(subnet)
    if space is None:
        return offers
    view = graphs.segments_of(f"small {name}", space)
    if view.svg:
        text = "Segment graph of the sub-network."
        offers.append(Offer("PNG", text, "subnet.png", "image/png", lambda: _bitmap(view.dot, view.svg)))
        text = "Segment graph of the sub-network, scalable. Verified: contains every vertex."
        offers.append(Offer("SVG", text, "subnet.svg", "image/svg+xml", lambda: checked_svg(view)))
    text = "Graphviz source of the segment graph of the sub-network."
    offers.append(Offer("DOT", text, "subnet.dot", "text/vnd.graphviz", lambda: view.dot))
    return offers


@st.cache_data(max_entries=8, show_spinner="Drawing the graph …")
def _bitmap(dot: str, svg: str) -> bytes:
    return png(dot, svg=svg)


def _html(subnet: Subnetwork) -> str:
    return subnetwork_report(
        subnet.title,
        subnet.space,
        subnet.plan,
        measured=subnet.report,
        settings=subnet.run.settings if subnet.run else None,
        figures=run_figures(subnet.run) if subnet.run else {},
    )


def _show(offer: Offer) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False):
            words, button = st.container(), st.container(width="content")
        words.markdown(f"**{offer.title}**")
        words.caption(offer.description)
        try:
            content = offer.read if offer.is_deferred else offer.read()
        except NasvizError as error:
            words.error(inert(str(error)), icon=":material/error:")
            return
        button.download_button(
            "Download",
            content,
            offer.name,
            offer.mime,
            key=f"download.{offer.name}",
            icon=":material/download:",
            on_click="ignore",
        )
        if offer.code:
            st.code(offer.code, language="python", wrap_lines=True)
