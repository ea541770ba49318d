"""The Learn page: the algorithms step by step, on the network that is open, each with a question."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from nasviz.draw import GraphView
from nasviz.draw.geometry import chance_chart
from nasviz.draw.lessons import construction_frames, growth_frames, selection_frames
from nasviz.graph import SearchSpace, chances
from nasviz.ui import frame, geometry, graphs, session, tour, walk

__all__ = ["lessons"]

_FIGURE_3 = {1: 0.4, 2: 0.1, 5: 0.8, 6: 0.9, 9: 0.3, 10: 0.2}
"""Scores on DemoNet in the order of ASGNAS, Figure 3: g3 < g8 < g7 < g2 < the others."""
_CHOOSER = "learn.lesson"
_OPEN_ALL = 400
"""Operators up to which a lesson shows each of them."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One line of the chooser."""

    title: str
    show: Callable[[], None]
    question: str
    answer: str


@frame.tell_errors
def lessons() -> None:
    """Choose a lesson, and go through it."""
    titles = [lesson.title for lesson in LESSONS]
    choices = session.current().choices
    # A widget's value is lost when its page is left.
    known = choices.get("lesson")
    st.session_state.setdefault(_CHOOSER, known if known in titles else titles[0])
    title = st.selectbox("Lesson", titles, key=_CHOOSER, width=520)
    choices["lesson"] = title
    lesson = LESSONS[titles.index(title)]
    lesson.show()
    if lesson.question:
        with st.container(border=True, key="learn-question"):
            st.markdown(f"#### :material/help: {lesson.question}")
            with st.expander("Answer, once you have tried"):
                st.markdown(lesson.answer)
    following = titles.index(title) + 1
    if following < len(titles):
        label = f"Next lesson: {titles[following]}"
        st.button(label, icon=":material/skip_next:", on_click=_turn_to, args=(titles[following],))


def _turn_to(title: str) -> None:
    st.session_state[_CHOOSER] = title


def _growth() -> None:
    space, view = _space(), _operators()
    st.markdown(
        "A **segment** only goes as a whole. It grows along the one reader that each vertex has, stops before"
        " a joint, and stops where several vertices read."
    )
    walk.walk("growth", view, list(growth_frames(view, space)))


def _selection() -> None:
    space, view = _space(), _segments()
    most = space.max_sparsity
    if not most:
        st.info("Nothing can go here: open a network with branches, DemoNet for one.", icon=":material/info:")
        return
    left, right = st.columns(2)
    k = left.slider("K, how many shall go", 1, most, min(3, most), key="learn.k") if most > 1 else 1
    ways = ["by size", "at random"]
    if set(_FIGURE_3) == {s.id for s in space.removable}:
        ways.insert(0, "as in the document's Figure 3")
    way = right.selectbox("Scores", ways, key="learn.scores")
    walk.walk("selection", view, list(selection_frames(view, space, _scores(space, way), k)))


def _scores(space: SearchSpace, way: str) -> dict[int, float]:
    if way == "by size":
        return {s.id: float(s.num_parameters) for s in space.removable}
    if way == "at random":
        generator = random.Random(st.number_input("Seed", 0, 9999, 0, key="learn.seed"))
        return {s.id: generator.random() for s in space.removable}
    return _FIGURE_3


def _construction() -> None:
    space, view = _space(), _operators()
    most = space.max_sparsity
    if not most:
        st.info("Nothing can go here: open a network with branches, DemoNet for one.", icon=":material/info:")
        return
    names = {s.id: f"{s.id} · {s.name}" for s in space.removable}
    scores = _FIGURE_3 if set(_FIGURE_3) == set(names) else _scores(space, "by size")
    default = sorted(space.select(scores, min(3, most)))
    erased = st.multiselect(
        "Structures at zero", names, default, format_func=names.__getitem__, key="learn.z"
    )
    walk.walk("construction", view, list(construction_frames(view, space, space.plan(erased))))


def _chances() -> None:
    space = _space()
    st.markdown(
        "Erase K structures blindly: how often is the network still connected? DHSPG takes the lowest scores"
        " without asking; H2SPG asks before each one, and so always ends in the green part."
    )
    st.plotly_chart(chance_chart(list(chances(space)), space.max_sparsity), key="learn.chances")


def _space() -> SearchSpace:
    session.require_analysis()
    return session.space()


def _operators() -> GraphView:
    """Every operator, as long as they can be read; else modules closed."""
    analysis, space = session.require_analysis(), session.space()
    opened = (
        frozenset(path for v in space.trace for path in v.scope) if len(space.trace) <= _OPEN_ALL else None
    )
    return graphs.trace_of(analysis.key, opened, space)


def _segments() -> GraphView:
    space = session.space()
    return graphs.segments_of(session.require_analysis().key + str(space.protect), space)


LESSONS = (
    Lesson("A tour of five minutes", tour.offer, "", ""),
    Lesson(
        "Segments grow: Algorithm 2",
        _growth,
        "Why does a joint never belong to the segment before it?",
        "Several segments meet in it. If it went with one of them, the others would lose their way too. Open"
        " the **Segment graph** and erase one branch: the joint stays for the others.",
    ),
    Lesson(
        "What may go: Algorithm 3",
        _selection,
        "Which structure has to stay although its score is low?",
        "The last one on the only path that is left. Raise K and watch: the later a candidate comes, the more"
        " often it is kept. **Protect** one on the Segment graph, and others are kept for it.",
    ),
    Lesson(
        "Cutting out: three passes",
        _construction,
        "Why does an addition lose nothing when an operand goes, and a concatenation does?",
        "Zero added changes no number. In a concatenation the zeros take up channels, and whoever reads them"
        " has weights for these: such columns are cut. Choose only structures in front of an addition, and"
        " pass 2 has nothing to do.",
    ),
    Lesson(
        "Why a check: K against connectivity",
        _chances,
        "From which K on would blind choice break this network more often than not?",
        "Read it off where the bars fall below one half. On RegNetX-800MF a blind choice of half of the"
        " structures is valid about once in three times, of nine tenths never.",
    ),
    Lesson(
        "To zero: the half-space projection",
        geometry.halfspace,
        "Can the half-space test fire when the gradient stands at right angles to the weights?",
        "Never: ⟨trial, x⟩ is then ‖x‖², which no ε below 1 exceeds, however long the step. The next lesson"
        " shows that weights in front of a BatchNorm always stand so, and so structures are also shrunk step"
        " by step.",
    ),
    Lesson(
        "Why BatchNorm hides the scale",
        geometry.batch_norm,
        "If scale does not matter, why does weight decay shrink these weights?",
        "It is the only force along them: the loss has no pull in that direction. Shrinking does not change"
        " the output, it only makes the gradient larger.",
    ),
    Lesson(
        "Proximal maps: lasso, group, both",
        geometry.prox,
        "Which map removes single weights and whole groups?",
        "The sparse group lasso: it has a blue region, where one weight goes, and an orange one, where the"
        " group does. The group lasso alone has no blue; the lasso alone knows no group.",
    ),
    Lesson(
        "Unit balls: where penalties have corners",
        geometry.unit_balls,
        "With which α has the surface an edge all around, where w₃ is zero, and still corners on it?",
        "Any α between 0 and 1: the edge comes from the group lasso, which is sharp where a whole group (here"
        " the single w₃) is zero; the corners come from the lasso. At α = 0 the edge is round, at α = 1 there"
        " are corners only.",
    ),
    Lesson(
        "ProxSGD: lengths that die out",
        geometry.decay,
        "Which μ kills the group that is held at 1, and how fast does it then fall?",
        "Every μ of 1 and more: the proximal map shortens by μ, so whoever is held at a length of at most μ"
        " ends at zero. Once dead it falls by the factor 1 − ε a step, a straight line here, and is never"
        " exactly zero; so the document prunes below 10⁻⁶.",
    ),
    Lesson(
        "RARTS beside DARTS and MiLeNAS",
        geometry.relaxation,
        "With which λ and β does RARTS come within 1 % of the optimum?",
        "Large ones: at λ = β = 100 it ends at (1.0025, 1.0076). First-order DARTS ends at (2, 2), whatever"
        " its rates are.",
    ),
)
