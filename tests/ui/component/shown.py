"""A page with two graph views in step and a live view, for the browser tests: `streamlit run shown.py`."""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).parents[3]))

from nasviz.draw import (
    last_scores,
    live_frame,
    plan_overlay,
    saliency_overlay,
    segment_view,
    state_overlay,
    trace_view,
    until,
)
from nasviz.draw.about import about
from nasviz.graph import search_space
from nasviz.runs.records import Vectors
from nasviz.ui.component import chosen_in, graph_view, live_view, paint_message, toggled_in
from tests.draw.networks import staged
from tests.draw.test_live_frame import run
from tests.graph.networks import demonet

st.set_page_config(layout="wide")


@st.cache_resource
def spaces():
    return search_space(demonet()), search_space(staged())


demo, deep = spaces()


def graph() -> None:
    view = trace_view(demo.trace, space=demo)
    painted = st.radio("overlay", ["none", "scores", "plan", "protected"], horizontal=True)
    overlay = {
        "none": None,
        "scores": saliency_overlay(view, demo, {s.id: float(s.id) for s in demo.removable}),
        "plan": plan_overlay(view, demo.plan([1, 2, 10])),
        "protected": state_overlay(view, ["conv7", "bn7"], "protected"),
    }[painted]
    row = st.selectbox("choose", [None, "conv6", "bn8"])
    scores = Vectors(
        np.arange(30), np.linspace(1, 0, 30 * 6, dtype=np.float32).reshape(30, 6), (1, 2, 5, 6, 9, 10)
    )
    vertex = chosen_in(view, "one")
    told = [about(vertex, demo).scored(scores, "Saliency")] if vertex else []
    chosen = graph_view(view, key="one", overlay=overlay, selected=row, about=told)
    st.text(f"selected {chosen.selected}")
    if chosen.protected:
        st.session_state.turned = chosen.protected.key
    st.text(f"turned {st.session_state.get('turned')}")


def modules() -> None:
    opened = st.session_state.setdefault("opened", {"stages"})
    view = trace_view(deep.trace, opened, space=deep)
    if path := toggled_in(view, "deep"):
        opened.symmetric_difference_update({path})
        view = trace_view(deep.trace, opened, space=deep)
    chosen = graph_view(view, key="deep")
    st.text(f"selected {chosen.selected}")


def pair() -> None:
    view = segment_view(demo)
    left, right = st.columns(2)
    with left:
        graph_view(trace_view(demo.trace, space=demo), key="full", sync="pair")
    with right:
        graph_view(view, key="sub", overlay=plan_overlay(view, demo.plan([1])), sync="pair")


def live() -> None:
    view = segment_view(demo)
    left, right = st.columns(2)
    with left:
        graph_view(view, key="watched")
    goes = st.checkbox("go")

    @st.fragment(run_every=0.4)
    def follow() -> None:
        now = st.session_state.get("now", 0) + (40 if goes else 0)
        st.session_state.now = now
        st.session_state.refreshes = st.session_state.get("refreshes", 0) + 1
        tail = until(run(400, num_structures=6), now)
        ids = [s.id for s in demo.removable]
        frame = live_frame(tail, names={i: demo.structure(s).name for i, s in enumerate(ids)})
        scores = {ids[i]: score for i, score in last_scores(tail).items()}
        overlay = saliency_overlay(view, demo, scores)
        chosen = live_view(frame, key="run", paint=[paint_message(view, "watched", overlay)])
        st.text(f"row {chosen}")
        st.text(f"refreshes {st.session_state.refreshes}")

    with right:
        follow()


{"graph": graph, "modules": modules, "pair": pair, "live": live}[st.query_params.get("page", "graph")]()
