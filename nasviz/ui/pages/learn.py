"""The Learn page: the algorithms step by step on the current network, each with a question."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from nasviz.draw import GraphView
from nasviz.draw.geometry import chance_chart
from nasviz.draw.lessons import construction_frames, growth_frames, selection_frames
from nasviz.graph import SearchSpace, chances
from nasviz.ui import frame, session
from nasviz.ui.parts import geometry, graphs, stepper, tour

__all__ = ["lessons"]

_FIGURE_3 = {1: 0.4, 2: 0.1, 5: 0.8, 6: 0.9, 9: 0.3, 10: 0.2}
"""Scores of DemoNet in the order of ASGNAS, Figure 3: g3 < g8 < g7 < g2 < the others."""
_CHOOSER = "learn.lesson"
_OPEN_ALL = 400
"""Maximum number of operators that a lesson shows individually."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson with its question and answer."""

    title: str
    show: Callable[[], None]
    question: str
    answer: str


@frame.Page(
    "Learn",
    9,
    icon=":material/school:",
    invitation="Learn how it works",
    lead="The algorithms step by step on the current network, computed by the library code.",
    group="Tutorials",
)
def lessons() -> None:
    """Let the user choose a lesson, and show it."""
    titles = [lesson.title for lesson in LESSONS]
    choices = session.current().choices
    # Streamlit drops the value of a widget when its page is left.
    known = choices.get("lesson")
    st.session_state.setdefault(_CHOOSER, known if known in titles else titles[0])
    title = st.selectbox("Lesson", titles, key=_CHOOSER, width=520)
    choices["lesson"] = title
    lesson = LESSONS[titles.index(title)]
    lesson.show()
    if lesson.question:
        with st.container(border=True, key="learn-question"):
            st.markdown(f"#### :material/help: {lesson.question}")
            with st.expander("Show answer"):
                st.markdown(lesson.answer)
    following = titles.index(title) + 1
    if following < len(titles):
        label = f"Next lesson: {titles[following]}"
        st.button(label, icon=":material/skip_next:", on_click=_open_lesson, args=(titles[following],))


def _open_lesson(title: str) -> None:
    st.session_state[_CHOOSER] = title


def _growth() -> None:
    space, view = _space(), _operators()
    st.markdown(
        "A **segment** is erased as a whole. It grows along vertices with a single consumer, and stops before"
        " a joint vertex and at a vertex with several consumers."
    )
    stepper.stepper("growth", view, list(growth_frames(view, space)))


def _selection() -> None:
    space, view = _space(), _segments()
    most = space.max_sparsity
    if not most:
        st.info(
            "No removable structures: open a network with branches, e.g. DemoNet.", icon=":material/info:"
        )
        return
    left, right = st.columns(2)
    k = left.slider("K: structures to remove", 1, most, min(3, most), key="learn.k") if most > 1 else 1
    ways = ["By size", "Random"]
    if set(_FIGURE_3) == {s.id for s in space.removable}:
        ways.insert(0, "ASGNAS, Figure 3")
    way = right.selectbox("Scores", ways, key="learn.scores")
    stepper.stepper("selection", view, list(selection_frames(view, space, _scores(space, way), k)))


def _scores(space: SearchSpace, way: str) -> dict[int, float]:
    if way == "By size":
        return {s.id: float(s.num_parameters) for s in space.removable}
    if way == "Random":
        generator = random.Random(st.number_input("Seed", 0, 9999, 0, key="learn.seed"))
        return {s.id: generator.random() for s in space.removable}
    return _FIGURE_3


def _construction() -> None:
    space, view = _space(), _operators()
    most = space.max_sparsity
    if not most:
        st.info(
            "No removable structures: open a network with branches, e.g. DemoNet.", icon=":material/info:"
        )
        return
    names = {s.id: f"{s.id} · {s.name}" for s in space.removable}
    scores = _FIGURE_3 if set(_FIGURE_3) == set(names) else _scores(space, "By size")
    default = sorted(space.select(scores, min(3, most)))
    erased = st.multiselect("Zero structures", names, default, format_func=names.__getitem__, key="learn.z")
    stepper.stepper("construction", view, list(construction_frames(view, space, space.plan(erased))))


def _chances() -> None:
    space = _space()
    st.markdown(
        "How often is the network still connected after erasing K random structures? DHSPG takes the lowest"
        " scores without a validity check; H2SPG checks each structure, so its selection is always valid"
        " (green)."
    )
    st.plotly_chart(chance_chart(list(chances(space)), space.max_sparsity), key="learn.chances")


def _space() -> SearchSpace:
    session.require_analysis()
    return session.space()


def _operators() -> GraphView:
    """Return the trace graph, with all modules open if it is small enough."""
    analysis, space = session.require_analysis(), session.space()
    opened = (
        frozenset(path for v in space.trace for path in v.scope) if len(space.trace) <= _OPEN_ALL else None
    )
    return graphs.trace_of(analysis.key, opened, space)


def _segments() -> GraphView:
    space = session.space()
    return graphs.segments_of(session.require_analysis().key + str(space.protect), space)


LESSONS = (
    Lesson("Five-minute tour", tour.offer, "", ""),
    Lesson(
        "Growing segments: Algorithm 2",
        _growth,
        "Why does a joint never belong to the segment before it?",
        "Several segments meet in it. If it were erased with one of them, the others would be disconnected."
        " Open the **Segment graph** and erase one branch: the joint is kept for the others.",
    ),
    Lesson(
        "Selecting redundant structures: Algorithm 3",
        _selection,
        "Which structure is kept although its score is low?",
        "The last one on the only remaining path. Increase K: later candidates are kept more often."
        " **Protect** a structure on the Segment graph, and others are kept for its path.",
    ),
    Lesson(
        "Constructing the sub-network: three passes",
        _construction,
        "Why does erasing an operand slice the consumers of a concatenation, but not those of an addition?",
        "Adding zeros does not change the sum. In a concatenation the zeros occupy channels, for which the"
        " consumers have weights: these columns are sliced. Choose only structures before an addition, and"
        " pass 2 has nothing to do.",
    ),
    Lesson(
        "Validity: K and connectivity",
        _chances,
        "From which K on does a random selection usually disconnect this network?",
        "Where the bars fall below one half. On RegNetX-800MF, a random selection of half of the structures"
        " is valid about once in three times, and of 90 % never.",
    ),
    Lesson(
        "Half-space projection",
        geometry.halfspace,
        "Can the projection occur when the gradient is orthogonal to the weights?",
        "No: ⟨trial, x⟩ is then ‖x‖², which exceeds ε‖x‖² for every ε below 1 and any step size. The next"
        " lesson shows that the gradient is always orthogonal to weights before a BatchNorm, so structures"
        " are also shrunk step by step.",
    ),
    Lesson(
        "Scale invariance of BatchNorm",
        geometry.batch_norm,
        "If the scale does not matter, why does weight decay shrink these weights?",
        "It is the only force along the weights: the gradient of the loss has no component in that direction."
        " Shrinking does not change the output; it only increases the gradient.",
    ),
    Lesson(
        "Proximal maps: lasso, group lasso, sparse group lasso",
        geometry.prox,
        "Which map removes single weights as well as whole groups?",
        "The sparse group lasso: it has a blue region, where one weight becomes zero, and an orange region,"
        " where the group does. The group lasso has no blue region; the lasso treats weights independently.",
    ),
    Lesson(
        "Unit balls of the penalties",
        geometry.unit_balls,
        "For which α does the surface have both an edge at w₃ = 0 and corners on it?",
        "Any α between 0 and 1: the edge comes from the group lasso, which is not differentiable where a"
        " whole group (here the single w₃) is zero; the corners come from the lasso. At α = 0 the edge is"
        " round, at α = 1 there are corners only.",
    ),
    Lesson(
        "ProxSGD: decay of group norms",
        geometry.decay,
        "Which μ removes the group with target 1, and how fast does its norm decay?",
        "Every μ of at least 1: the proximal map reduces the norm by μ, so a group with a target of at most μ"
        " decays to zero. Its norm then decreases by the factor 1 − ε per step, a straight line here, and is"
        " never exactly zero; therefore the paper prunes below 10⁻⁶.",
    ),
    Lesson(
        "RARTS, DARTS and MiLeNAS",
        geometry.relaxation,
        "For which λ and β does RARTS come within 1 % of the optimum?",
        "Large ones: for λ = β = 100 it converges to (1.0025, 1.0076). First-order DARTS converges to (2, 2)"
        " for all learning rates.",
    ),
    Lesson(
        "Convergence of RARTS: bounds and floors",
        geometry.convergence,
        "Why does RARTS by SGD stop above the minimum, although its rate never falls?",
        "Each step follows the gradient of a sample. Near the minimum its noise does not vanish, and a"
        " constant rate turns it into a constant distance: the floor 2MLη/μ of Corollary 2.8 falls with it.",
    ),
)
