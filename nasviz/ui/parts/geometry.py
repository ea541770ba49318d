"""Numerical lessons, computed in a worker process by the training code."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nasviz import jobs
from nasviz.draw.geometry import (
    convergence_chart,
    decay_chart,
    figure_2_1_chart,
    paths_chart,
    prox_chart,
    unit_ball_chart,
)
from nasviz.draw.labels import power_of_ten
from nasviz.ui import session
from nasviz.ui.component import plane
from nasviz.ui.parts import work

__all__ = ["batch_norm", "convergence", "decay", "halfspace", "prox", "relaxation", "unit_balls"]

_START = {"x1": 3.0, "x2": 4.0, "g1": 2.0, "g2": 6.0}
"""Worked example of the paper."""
SCALES = [1.0, 0.01, 0.1, 10.0, 100.0]


def halfspace() -> None:
    """Show a trial step and the half-space projection of a group of two weights."""
    controls, picture = st.columns([1, 1.6], gap="large")
    for name, value in _START.items():
        st.session_state.setdefault(f"learn.{name}", value)
    with controls:
        st.markdown(
            "A group of two weights takes a trial step. If the trial point is outside the half-space, the"
            " group is set to zero. **Drag** the blue point (weights) or the yellow point (negative"
            " gradient)."
        )
        x = [
            st.slider("First weight", -5.0, 5.0, step=0.1, key="learn.x1"),
            st.slider("Second weight", -5.0, 5.0, step=0.1, key="learn.x2"),
        ]
        slope = [
            st.slider("First gradient", -11.0, 11.0, step=0.1, key="learn.g1"),
            st.slider("Second gradient", -11.0, 11.0, step=0.1, key="learn.g2"),
        ]
        lr = st.slider("Learning rate", 0.0, 2.0, 0.5, 0.05, key="learn.lr")
        epsilon = st.slider("ε", 0.0, 0.99, 0.0, 0.01, key="learn.epsilon")
    found = _compute("halfspace", x=x, gradient=slope, lr=lr, epsilon=epsilon)
    left = found["dot"] < found["threshold"] or not any(x)
    with controls:
        sign, fate = ("<", "the group is set to **zero**") if left else ("≥", "the trial point is kept")
        st.markdown(f"⟨trial, x⟩ = {found['dot']:.3g} {sign} ε‖x‖² = {found['threshold']:.3g}: {fate}.")
        st.caption("ASGNAS, Algorithm 3, line 15")
    with picture:
        plane(x, slope, found["trial"], found["projected"], epsilon, key="learn.halfspace", on_move=_move)


def _move(x: list[float], gradient: list[float]) -> None:
    """Update the sliders after dragging."""
    for name, value in zip(_START, (*x, *gradient), strict=True):
        st.session_state[f"learn.{name}"] = value


def batch_norm() -> None:
    """Show the effect of scaling the weights of a convolution before a BatchNorm."""
    st.markdown(
        "Scaling the weights of a convolution before a BatchNorm does not change the output. The gradient is"
        " therefore orthogonal to the weights: their cosine similarity is zero."
    )
    rows = _compute("batch_norm", scales=SCALES)["rows"]
    st.dataframe(
        [
            {
                "scale of the weights": row["scale"],
                "change of the output": power_of_ten(row["change"]),
                "gradient norm": f"{row['gradient']:.3g}",
                "cosine of weights and gradient": power_of_ten(row["cosine"]),
            }
            for row in sorted(rows, key=lambda row: row["scale"])
        ],
        hide_index=True,
    )
    st.caption("Measured on a small convolution with random images, in double precision.")


def prox() -> None:
    """Show the proximal maps of lasso, group lasso and sparse group lasso for a group of two weights."""
    st.markdown(
        "A proximal map moves a point to the minimum of penalty plus squared distance. Orange: both weights"
        " become zero, so the group is removed. Blue: one weight becomes zero."
    )
    first, second, third, fourth = st.columns(4)
    z = [
        first.slider("First weight", -3.0, 3.0, 1.6, 0.1, key="learn.z1"),
        second.slider("Second weight", -3.0, 3.0, 0.7, 0.1, key="learn.z2"),
    ]
    threshold = third.slider("Threshold: step size times λ", 0.0, 2.0, 0.8, 0.05, key="learn.threshold")
    alpha = fourth.slider("α, weight of the lasso", 0.0, 1.0, 0.5, 0.05, key="learn.alpha")
    found = _compute("prox", z=z, threshold=threshold, alpha=alpha)
    axis = found.pop("axis")["at"]
    for column, (name, at) in zip(st.columns(3), found.items(), strict=True):
        column.markdown(f"##### {name.capitalize()}")
        column.plotly_chart(prox_chart(z, axis, at), key=f"learn.prox.{name}")
        column.caption(f"maps to ({at['to'][0]:.3f}, {at['to'][1]:.3f})")
    st.caption("SparseNAS, equations 3 and 5; GSparsity, equation 2")


def unit_balls() -> None:
    """Show the unit balls of the three penalties for a group of two weights and a single weight."""
    st.markdown(
        "All points of a surface have the same penalty. For many losses, the minimum on the surface lies on"
        " an edge or a corner, where weights are zero. **Rotate the plots.**"
    )
    alpha = st.slider("α, weight of the lasso", 0.0, 1.0, 0.5, 0.05, key="learn.ball", width=520)
    found = _compute("unit_balls", alpha=alpha)
    for column, (name, ball) in zip(st.columns(3), found.items(), strict=True):
        column.markdown(f"##### {name.capitalize()}")
        column.plotly_chart(unit_ball_chart(ball), key=f"learn.ball.{name}")
    st.caption("SparseNAS, equation 3: α‖w‖₁ + (1 − α)(√2‖(w₁, w₂)‖ + |w₃|) = 1")


def decay() -> None:
    """Show how ProxSGD shrinks groups to a fixed point or to zero."""
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        st.markdown(
            "The loss pulls four groups to norms of their own. Each step moves a group by a fraction ε"
            " towards its proximal point, whose norm is smaller by μ."
        )
        mu = st.slider("μ, weight of the penalty", 0.0, 2.5, 0.6, 0.05, key="learn.mu")
        lr = st.slider("ε, step size", 0.01, 0.99, 0.05, 0.01, key="learn.prox.lr")
        rho = st.slider("Weight of the new gradient", 0.05, 1.0, 0.8, 0.05, key="learn.rho")
        num_steps = st.select_slider("Steps", [50, 100, 200, 400, 1000], 400, key="learn.decay.steps")
    lengths = _compute("decay", mu=mu, lr=lr, rho=rho, num_steps=num_steps)["lengths"]
    picture.plotly_chart(decay_chart(lengths), key="learn.decay")
    with controls:
        for group in lengths:
            last = group["path"][-1]
            end = "decays to zero" if last < mu * 1e-3 or last < 1e-6 else f"converges to {last:.3g}"
            st.caption(f"Target {group['target']:g}: {end}")
        st.caption("GSparsity, Algorithm 1 and equation 2")


def relaxation() -> None:
    """Show where four methods converge on an analytically solvable problem."""
    controls, picture = st.columns([1, 2], gap="large")
    with controls:
        st.markdown("Validation loss: αw − 2α + 1; training loss: (w − α)². The optimum is (1, 1).")
        auxiliary = st.slider(
            "λ of RARTS, weight of the training loss", 0.6, 100.0, 10.0, 0.1, key="learn.lambda"
        )
        coupling = st.slider("β of RARTS, coupling of both copies", 1.6, 100.0, 10.0, 0.1, key="learn.beta")
        lookahead = st.slider("ξ of second-order DARTS", 0.0, 1.0, 0.25, 0.05, key="learn.xi")
        first = st.slider("y₀, start of u, the second copy", -3.0, 3.0, 0.0, 0.1, key="learn.y0")
        iterations = st.select_slider("Iterations", [50, 200, 500, 1000, 5000], 500, key="learn.iterations")
    shared: dict[str, Any] = {"auxiliary_weight": auxiliary, "coupling": coupling}
    shared |= {"num_iterations": iterations, "start": [0.0, first, 0.0]}
    paths = {
        "DARTS, first order": _compute("relaxation", method="darts", lookahead=0.0, **shared),
        f"DARTS, second order, ξ = {lookahead:.2f}": _compute(
            "relaxation", method="darts", lookahead=lookahead, **shared
        ),
        "MiLeNAS": _compute("relaxation", method="milenas", lookahead=0.0, **shared),
        "RARTS": _compute("relaxation", method="rarts", lookahead=0.0, **shared),
    }
    picture.plotly_chart(paths_chart(paths), key="learn.paths")
    with controls:
        for name, path in paths.items():
            w, _, alpha = path["limit"]
            st.caption(f"{name}: converges to w = {w:.4f}, α = {alpha:.4f}")
        st.caption("RARTS dissertation, example 2.4; limits in closed form")
    st.markdown("##### Figure 2.1 of the dissertation")
    st.plotly_chart(figure_2_1_chart(_compute("figure_2_1")), key="learn.figure-2-1")
    st.caption("The start of w and α, (−2, 2), is that of DARTS; the dissertation does not state it.")


def convergence() -> None:
    """Show Lagrangian, objective and error over iterations, with the bounds of the theorems."""
    first, second, third, fourth = st.columns(4)
    numbers = {
        "auxiliary_weight": first.slider("λ", 0.6, 20.0, 10.0, 0.1, key="learn.c.lambda"),
        "coupling": second.slider("β", 1.6, 20.0, 10.0, 0.1, key="learn.c.beta"),
        "share": third.select_slider(
            "Rate, as a multiple of the bound", [0.1, 0.5, 0.99, 10.0, 100.0], 0.99, key="learn.c.share"
        ),
        "noise": fourth.slider("Noise of the samples", 0.0, 0.5, 0.05, 0.01, key="learn.c.noise"),
    }
    found = _compute("convergence", **numbers)
    fate = "never rises" if found["is_descending"] else "**rises** at some iteration"
    c1, c2, c3 = found["bounds"]
    st.markdown(
        f"At the rate {found['rate']:.3g} the Lagrangian {fate}. Theorem 2.2 promises descent below"
        f" c₁ = {c1:.3g} (u), c₂ = {c2:.3g} (w) and c₃ = {c3:.3g} (α)."
    )
    st.plotly_chart(convergence_chart(found), key="learn.convergence")
    st.caption(
        "RARTS dissertation, Theorem 2.2 and Corollaries 2.3, 2.6 and 2.8, on the Lagrangian of Examples 2.4"
        " and 2.7. Bounds hold for rates up to the bound, and are far from tight. The run by SGD has its own"
        f" rate, {found['sampling_rate']:.3g}, which meets the conditions of Corollary 2.8."
    )


def _compute(lesson: str, **numbers: Any) -> dict[str, Any]:
    """Return the result of a lesson; takes a fraction of a second once the worker is warm."""
    cache = session.current().jobs
    key = f"lesson {lesson} {numbers}"
    for old in [k for k in cache if k.startswith("lesson ") and k != key][:-16]:
        del cache[old]
    request = jobs.Lesson(name=lesson, numbers=numbers)
    return work.require(key, lambda: jobs.submit(request), "Computing", cache=cache).values
