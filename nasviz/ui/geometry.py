"""Lessons on numbers rather than graphs; the sums are done by a child with the code that trains."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.draw.geometry import (
    decay_chart,
    paths_chart,
    prox_chart,
    unit_ball_chart,
)
from nasviz.ui import session, work
from nasviz.ui.component import plane
from nasviz.ui.numbers import power_of_ten

__all__ = ["batch_norm", "decay", "halfspace", "prox", "relaxation", "unit_balls"]

_START = {"x1": 3.0, "x2": 4.0, "g1": 2.0, "g2": 6.0}
"""The worked example of the documents."""
SCALES = [1.0, 0.01, 0.1, 10.0, 100.0]


def halfspace() -> None:
    """One group of two weights, a step, and the projection."""
    controls, picture = st.columns([1, 1.6], gap="large")
    for name, value in _START.items():
        st.session_state.setdefault(f"learn.{name}", value)
    with controls:
        st.markdown(
            "A group of two weights takes a trial step. Once outside the half-space, it becomes zero."
            " **Drag** the blue point, or the yellow one, to which the gradient pulls."
        )
        x = [
            st.slider("First weight", -5.0, 5.0, step=0.1, key="learn.x1"),
            st.slider("Second weight", -5.0, 5.0, step=0.1, key="learn.x2"),
        ]
        slope = [
            st.slider("Gradient, first", -11.0, 11.0, step=0.1, key="learn.g1"),
            st.slider("Gradient, second", -11.0, 11.0, step=0.1, key="learn.g2"),
        ]
        lr = st.slider("Learning rate", 0.0, 2.0, 0.5, 0.05, key="learn.lr")
        epsilon = st.slider("ε", 0.0, 0.99, 0.0, 0.01, key="learn.epsilon")
    found = _sum("halfspace", x=x, gradient=slope, lr=lr, epsilon=epsilon)
    left = found["dot"] < found["threshold"] or not any(x)
    with controls:
        sign, fate = ("<", "it becomes **zero**") if left else ("≥", "it stays where it is")
        st.markdown(f"⟨trial, x⟩ = {found['dot']:.3g} {sign} ε‖x‖² = {found['threshold']:.3g}: {fate}.")
        st.caption("ASGNAS, Algorithm 3, line 15")
    with picture:
        plane(x, slope, found["trial"], found["projected"], epsilon, key="learn.halfspace", on_move=_move)


def _move(x: list[float], gradient: list[float]) -> None:
    """Sliders follow what was dragged."""
    for name, value in zip(_START, (*x, *gradient), strict=True):
        st.session_state[f"learn.{name}"] = value


def batch_norm() -> None:
    """A convolution in front of a BatchNorm, its weights scaled."""
    st.markdown(
        "The weights of a convolution in front of a BatchNorm are multiplied by a number. The output stays"
        " the same; so the loss has no slope along the weights, and their cosine with the gradient is zero."
    )
    rows = _sum("batch_norm", scales=SCALES)["rows"]
    st.dataframe(
        [
            {
                "weights times": row["scale"],
                "output changes by": power_of_ten(row["change"]),
                "length of the gradient": f"{row['gradient']:.3g}",
                "cosine of weights and gradient": power_of_ten(row["cosine"]),
            }
            for row in sorted(rows, key=lambda row: row["scale"])
        ],
        hide_index=True,
    )
    st.caption("Measured just now on a small convolution with random images, in double precision.")


def prox() -> None:
    """What lasso, group lasso and their mixture do to a group of two weights."""
    st.markdown(
        "A proximal map moves a point to where penalty and distance together are least. Orange: both weights"
        " become zero, so the group goes. Blue: one of them does."
    )
    first, second, third, fourth = st.columns(4)
    z = [
        first.slider("First weight", -3.0, 3.0, 1.6, 0.1, key="learn.z1"),
        second.slider("Second weight", -3.0, 3.0, 0.7, 0.1, key="learn.z2"),
    ]
    threshold = third.slider("Threshold: step times λ", 0.0, 2.0, 0.8, 0.05, key="learn.threshold")
    alpha = fourth.slider("α, share of the lasso", 0.0, 1.0, 0.5, 0.05, key="learn.alpha")
    found = _sum("prox", z=z, threshold=threshold, alpha=alpha)
    axis = found.pop("axis")["at"]
    for column, (name, at) in zip(st.columns(3), found.items(), strict=True):
        column.markdown(f"##### {name.capitalize()}")
        column.plotly_chart(prox_chart(z, axis, at), key=f"learn.prox.{name}")
        column.caption(f"goes to ({at['to'][0]:.3f}, {at['to'][1]:.3f})")
    st.caption("SparseNAS, equations 3 and 5; GSparsity, equation 2")


def unit_balls() -> None:
    """Where the three penalties equal 1, for a group of two weights and one alone."""
    st.markdown(
        "Every point of a surface costs the same penalty. Where it has an edge or a corner, a loss that"
        " pushes from most sides ends up just there; and there weights are zero. **Turn the pictures.**"
    )
    alpha = st.slider("α, share of the lasso", 0.0, 1.0, 0.5, 0.05, key="learn.ball", width=520)
    found = _sum("unit_balls", alpha=alpha)
    for column, (name, ball) in zip(st.columns(3), found.items(), strict=True):
        column.markdown(f"##### {name.capitalize()}")
        column.plotly_chart(unit_ball_chart(ball), key=f"learn.ball.{name}")
    st.caption("SparseNAS, equation 3: α‖w‖₁ + (1 − α)(√2‖(w₁, w₂)‖ + |w₃|) = 1")


def decay() -> None:
    """How ProxSGD shrinks groups: some come to rest, others die out."""
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        st.markdown(
            "Four groups, each held at a length of its own by the loss. Every step moves a share ε towards"
            " the proximal point, which is μ shorter."
        )
        mu = st.slider("μ, weight of the penalty", 0.0, 2.5, 0.6, 0.05, key="learn.mu")
        lr = st.slider("ε, share of the way", 0.01, 0.99, 0.05, 0.01, key="learn.prox.lr")
        rho = st.slider("Weight of the new gradient", 0.05, 1.0, 0.8, 0.05, key="learn.rho")
        num_steps = st.select_slider("Steps", [50, 100, 200, 400, 1000], 400, key="learn.decay.steps")
    lengths = _sum("decay", mu=mu, lr=lr, rho=rho, num_steps=num_steps)["lengths"]
    picture.plotly_chart(decay_chart(lengths), key="learn.decay")
    with controls:
        for group in lengths:
            last = group["path"][-1]
            end = "dies out" if last < mu * 1e-3 or last < 1e-6 else f"rests at {last:.3g}"
            st.caption(f"Held at {group['target']:g}: {end}")
        st.caption("GSparsity, Algorithm 1 and equation 2")


def relaxation() -> None:
    """Where three methods end on a model that can be solved by hand."""
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        st.markdown(
            "On the search half: αw − 2α + 1; on the training half: (w − α)². The best point is (1, 1)."
        )
        auxiliary = st.slider(
            "λ of RARTS, weight of the training half", 0.6, 100.0, 10.0, 0.1, key="learn.lambda"
        )
        coupling = st.slider(
            "β of RARTS, how closely both copies are tied", 1.1, 100.0, 10.0, 0.1, key="learn.beta"
        )
        lookahead = st.slider("ξ of second-order DARTS", 0.0, 1.0, 0.25, 0.05, key="learn.xi")
        iterations = st.select_slider("Iterations", [50, 200, 500, 1000, 2000], 500, key="learn.iterations")
    shared = {"auxiliary_weight": auxiliary, "coupling": coupling, "num_iterations": iterations}
    paths = {
        "DARTS, first order": _sum("relaxation", method="darts", lookahead=0.0, **shared),
        f"DARTS, second order, ξ = {lookahead:.2f}": _sum(
            "relaxation", method="darts", lookahead=lookahead, **shared
        ),
        "MiLeNAS": _sum("relaxation", method="milenas", lookahead=0.0, **shared),
        "RARTS": _sum("relaxation", method="rarts", lookahead=0.0, **shared),
    }
    picture.plotly_chart(paths_chart(paths), key="learn.paths")
    with controls:
        for name, path in paths.items():
            w, _, alpha = path["limit"]
            st.caption(f"{name}: ends at w = {w:.4f}, α = {alpha:.4f}")
        st.caption("Dissertation, example 2.4; limits in closed form")


def _sum(lesson: str, **numbers: Any) -> dict[str, Any]:
    """The result of a sum; the page waits for it, a fraction of a second once the child is warm."""
    cache = session.current().jobs
    key = f"lesson {lesson} {numbers}"
    for old in [k for k in cache if k.startswith("lesson ") and k != key][:-16]:
        del cache[old]
    return work.require(key, lambda: jobs.lesson(lesson, **numbers), "Computing", cache=cache)
