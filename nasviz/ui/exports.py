"""The Export page: files of a sub-network, each read again and compared before it is offered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.draw.labels import count, plain_shape
from nasviz.draw.report import subnetwork_report
from nasviz.ui import cuts, frame, graphs, session, work
from nasviz.ui.cuts import Cut
from nasviz.ui.numbers import power_of_ten

__all__ = ["export"]

ONNX_CODE = """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{name}")
images = np.random.rand({shape}).astype("float32")
print(session.run(None, {{session.get_inputs()[0].name: images}})[0].shape)
"""

SOURCE_CODE = """import sys

sys.path.insert(0, "subnet")  # the folder that was unpacked
from model import load

network = load().eval()
"""


@dataclass(frozen=True)
class Offer:
    """One file to take home."""

    title: str
    says: str
    name: str
    mime: str
    read: Callable[[], bytes | str]
    code: str = ""
    """How it is loaded."""


@frame.tell_errors
def export() -> None:
    """Choose a sub-network, write and check its files, offer them."""
    cut = cuts.choose("export")
    if cut is None:
        return
    st.markdown(f"#### {cut.title}")
    saved = f"{count(cut.plan.params_before)} → {count(cut.plan.params_after)} parameters"
    st.caption(f"{saved}, {count(cut.plan.macs_before)} → {count(cut.plan.macs_after)} MACs")
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### The network")
        for offer in _network_offers(cut):
            _show(offer)
    with right:
        st.markdown("##### About it")
        for offer in _paper_offers(cut):
            _show(offer)


def _network_offers(cut: Cut) -> list[Offer]:
    """ONNX and Python, once they are written and checked."""
    state = session.current()
    key = f"export {cut.folder} {cut.plan.selected} {cut.plan.gates}"
    if key not in state.jobs:
        state.jobs[key] = jobs.export(cut.folder, cut.inputs)
    result = work.shown(key, "Writing and checking", cache=state.jobs)
    if result is None:
        return []
    offers = []
    for kind, make in (("onnx", _onnx), ("source", _source)):
        facts = result["files"].get(kind, {})
        if facts.get("error"):
            st.error(facts["error"], icon=":material/error:")
        elif facts:
            offers.append(make(cut, facts))
    return offers


def _onnx(cut: Cut, facts: dict[str, Any]) -> Offer:
    path = Path(facts["path"])
    shape = "4, " + ", ".join(str(size) for size in cut.space.trace.inputs[0].shape[1:])
    return Offer(
        "ONNX",
        f"Any batch size. {_checked(facts, 'Run by onnxruntime')}",
        path.name,
        "application/octet-stream",
        path.read_bytes,
        ONNX_CODE.format(name=path.name, shape=shape),
    )


def _source(cut: Cut, facts: dict[str, Any]) -> Offer:
    path = Path(facts["path"])
    return Offer(
        "Python and weights",
        f"One zip: model.py runs without nasviz; weights as safetensors. {_checked(facts, 'Run by itself')}",
        path.name,
        "application/zip",
        path.read_bytes,
        SOURCE_CODE,
    )


def _checked(facts: dict[str, Any], how: str) -> str:
    error = float(facts["max_relative_error"])
    difference = "no difference" if error == 0 else f"a difference of {power_of_ten(error)}"
    return f"{how} and compared with the sub-network: {difference}. {facts['bytes'] / 1e6:.2f} MB."


def _paper_offers(cut: Cut) -> list[Offer]:
    """The report and the drawings, which need no torch."""
    report = {
        "network": cut.title,
        "input": [plain_shape(i.shape) for i in cut.space.trace.inputs],
        "report": dict(cut.report),
        "plan": cut.plan.to_json(),
    }
    offers = [
        Offer(
            "Report to read",
            "One HTML file: what was erased and sliced, what it saves, and graphs that zoom.",
            "report.html",
            "text/html",
            lambda: _html(cut),
        ),
        Offer(
            "Report as data",
            "The same as JSON, with every slice and every check.",
            "report.json",
            "application/json",
            lambda: json.dumps(report, indent=1),
        ),
    ]
    space = cuts.small_space(cut)
    if space is None:
        return offers
    view = graphs.segments_of(f"small {cut.folder} {cut.plan.selected} {cut.plan.gates}", space)
    if view.svg:
        says = "The segment graph of the sub-network, as a picture that scales."
        offers.append(Offer("SVG", says, "subnet.svg", "image/svg+xml", lambda: view.svg))
    says = "The same graph as Graphviz source."
    offers.append(Offer("DOT", says, "subnet.dot", "text/vnd.graphviz", lambda: view.dot))
    return offers


def _html(cut: Cut) -> str:
    facts = [("Difference from the zeroed full network", power_of_ten(cut.report["max_relative_error"]))]
    if cut.accuracies is not None:
        full, small = cut.accuracies
        facts.append(("Accuracy on the validation images", f"{full:.1%} → {small:.1%}"))
    return subnetwork_report(cut.title, cut.space, cut.plan, facts=facts)


def _show(offer: Offer) -> None:
    with st.container(border=True):
        words, button = st.columns([2.2, 1], vertical_alignment="center")
        words.markdown(f"**{offer.title}**")
        words.caption(offer.says)
        button.download_button(
            "Download",
            offer.read(),
            offer.name,
            offer.mime,
            key=f"download.{offer.name}",
            icon=":material/download:",
            on_click="ignore",
        )
        if offer.code:
            st.code(offer.code, language="python", wrap_lines=True)
