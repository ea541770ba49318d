"""The sums behind the sliders of Learn: each asks the code that trains, and returns plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasviz.nas.convergence import convergence, lagrangian, path, sampled_paths
from nasviz.nas.rarts import RateBounds, Relaxation
from nasviz.nas.toy_problem import limit
from nasviz.optim import ProxSGD
from nasviz.optim.halfspace import halfspace
from nasviz.optim.prox import group_threshold, soft_threshold, sparse_group_threshold

__all__ = [
    "LESSONS",
    "batch_norm_lesson",
    "convergence_lesson",
    "decay_lesson",
    "figure_lesson",
    "halfspace_lesson",
    "prox_lesson",
    "relaxation_lesson",
    "sparse_group_penalty",
    "unit_balls_lesson",
]

MOST_ITERATIONS = 20_000
MOST_DECAY = 2_000
SHOWN_POINTS = 400


def halfspace_lesson(x: list[float], gradient: list[float], lr: float, epsilon: float) -> dict[str, Any]:
    """One trial step in the plane, and where the projection leaves it (ASGNAS, Algorithm 3, line 15).

    Examples:
        >>> halfspace_lesson([3.0, 4.0], [2.0, 6.0], lr=1.0, epsilon=0.0)["projected"]
        [0.0, 0.0]
    """
    here, slope = torch.tensor(x, dtype=torch.float64), torch.tensor(gradient, dtype=torch.float64)
    trial = here - lr * slope
    return {
        "trial": trial.tolist(),
        "projected": halfspace(trial, here, epsilon).tolist(),
        "dot": float(trial @ here),
        "threshold": epsilon * float(here @ here),
    }


def batch_norm_lesson(scales: list[float], seed: int = 0) -> dict[str, Any]:
    """Return what scaling a convolution in front of a BatchNorm changes: not the output, only the gradient.

    Returns:
        For each scale the change of the output, the length of the gradient, and the cosine between weights
        and gradient.
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 3, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.randn(8, 4, 8, 8, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    # With epsilon the invariance holds only to about its size.
    norm = nn.BatchNorm2d(4, eps=1e-12).double()
    outputs, rows = [], []
    for scale in scales:
        scaled = (scale * weight).requires_grad_()
        output = norm(nn.functional.conv2d(images, scaled, padding=1))
        (gradient,) = torch.autograd.grad((output - target).square().mean(), scaled)
        outputs.append(output.detach())
        here = scaled.detach()
        cosine = (here * gradient).sum() / (here.norm() * gradient.norm())
        rows.append(
            {
                "scale": scale,
                "change": float((outputs[-1] - outputs[0]).abs().max()),
                "gradient": float(gradient.norm()),
                "cosine": float(cosine),
            }
        )
    return {"rows": rows}


def prox_lesson(z: list[float], threshold: float, alpha: float, side: int = 81) -> dict[str, Any]:
    """Return where the three proximal maps bring a point of the plane, and which points they bring to zero.

    Args:
        z: The point.
        threshold: Step times lambda.
        alpha: Share of the lasso in the sparse group lasso.
        side: Points along each axis of the map of zeros, over [-3, 3].

    Returns:
        For each penalty where `z` goes, and of each point of the plane (rows from below) how many of its two
        coordinates become zero.
    """
    # A group weighs the root of its size (SparseNAS, equation 3).
    group = 2**0.5 * threshold
    maps: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "lasso": lambda x: soft_threshold(x, threshold),
        "group lasso": lambda x: group_threshold(x, group),
        "sparse group lasso": lambda x: sparse_group_threshold(x, alpha * threshold, (1 - alpha) * group),
    }
    axis = torch.linspace(-3, 3, side, dtype=torch.float64)
    plane = torch.cartesian_prod(axis, axis)
    point = torch.tensor(z, dtype=torch.float64)
    return {
        name: {
            "to": shrink(point).tolist(),
            "zeros": torch.vmap(shrink)(plane).eq(0).sum(1).reshape(side, side).T.tolist(),
        }
        for name, shrink in maps.items()
    } | {"axis": {"at": axis.tolist()}}


def relaxation_lesson(
    method: str,
    auxiliary_weight: float,
    coupling: float,
    lookahead: float,
    num_iterations: int,
    start: list[float] | None = None,
) -> dict[str, Any]:
    """Return the path of a method on the solvable model, and its limit (dissertation, Example 2.4).

    The path is thinned to a few hundred points; its last point is always there. `start` is w, u and alpha.
    """
    relaxation = Relaxation(auxiliary_weight, coupling)
    total = min(num_iterations, MOST_ITERATIONS)
    w, u, alpha = start or (0.0, 0.0, 0.0)
    points = path(method, total, start=(w, u, alpha), lookahead=lookahead, relaxation=relaxation)
    kept = _thinned(total)
    end = limit(method, lookahead=lookahead, relaxation=relaxation)
    return {
        "path": points[kept].tolist(),
        "steps": kept.tolist(),
        "limit": [end.w, end.u, end.alpha],
    }


def figure_lesson(num_iterations: int = 4000) -> dict[str, Any]:
    """Return the paths of figure 2.1: RARTS with several lambda, beta and y_0, and first-order DARTS.

    The start of w and alpha is that of DARTS, (-2, 2); the dissertation does not print it. Its y_0 is the
    start of u.

    Examples:
        >>> [panel["title"] for panel in figure_lesson(10)["panels"]]
        ['β = 10, y₀ = 0', 'λ = 10, y₀ = 0', 'λ = β = 10']
    """
    panels = (
        ("β = 10, y₀ = 0", [(f"λ = {x}", x, 10, 0) for x in (1, 10, 100)]),
        ("λ = 10, y₀ = 0", [(f"β = {x}", 10, x, 0) for x in (2, 10, 100)]),
        ("λ = β = 10", [(f"y₀ = {x}".replace("-", "−"), 10, 10, x) for x in (-2, 0, 2)]),
    )
    darts = relaxation_lesson("darts", 1, 1, 0.0, num_iterations, [-2.0, -2.0, 2.0])
    return {
        "panels": [
            {
                "title": title,
                "paths": {
                    name: relaxation_lesson(
                        "rarts", weight, coupling, 0.0, num_iterations, [-2.0, float(first), 2.0]
                    )
                    for name, weight, coupling, first in lines
                },
            }
            for title, lines in panels
        ],
        "darts": darts,
    }


def convergence_lesson(
    auxiliary_weight: float,
    coupling: float,
    num_iterations: int = 10_000,
    share: float = 0.99,
    noise: float = 0.05,
) -> dict[str, Any]:
    """Return Lagrangian, objective and error of RARTS over iterations, with the bounds of the theorems.

    Args:
        auxiliary_weight: lambda.
        coupling: beta.
        num_iterations: At most 20,000.
        share: Common learning rate as a share of the largest that Theorem 2.2 and Corollary 2.6 allow; above
            1 nothing is promised.
        noise: Standard deviation of the samples of RARTS by SGD (Corollary 2.8).
    """
    relaxation = Relaxation(auxiliary_weight, coupling)
    total = min(num_iterations, MOST_ITERATIONS)
    kept = _thinned(total)
    constants = convergence(relaxation)
    rate = share * constants.largest_rate
    points = path("rarts", total, rates=RateBounds(rate, rate, rate), relaxation=relaxation)
    end = np.array(limit("rarts", relaxation=relaxation)[:3])
    gap = np.maximum(lagrangian(points, relaxation) - constants.minimum, 0)
    radius = float(np.linalg.norm(points - end, axis=1).max())
    sampled, sampling_rate, variance = sampled_paths(relaxation, kept, noise=noise, num_paths=200)
    floor = constants.noise_floor(sampling_rate, variance)
    fall = (1 - constants.convexity * sampling_rate / 2) ** kept
    return {
        "steps": kept.tolist(),
        "gap": gap[kept].tolist(),
        "linear_bound": (gap[0] * constants.linear_factor(rate) ** kept).tolist(),
        "sublinear_bound": constants.sublinear_bound(rate, radius, np.maximum(kept, 1)).tolist(),
        "objective": ((points[kept, 2] - 1) ** 2).tolist(),
        "error": np.linalg.norm(points[kept][:, [0, 2]] - 1, axis=1).tolist(),
        "limit_error": float(np.linalg.norm(end[[0, 2]] - 1)),
        "is_descending": bool((np.diff(lagrangian(points, relaxation)) <= 1e-12).all()),
        "sampled_gap": sampled.tolist(),
        "sampled_bound": (floor + fall * (sampled[0] - floor)).tolist(),
        "noise_floor": floor,
        "rate": rate,
        "sampling_rate": sampling_rate,
        "bounds": list(constants.bounds),
    }


def _thinned(total: int) -> NDArray[np.int64]:
    """Return up to `SHOWN_POINTS` iterations, dense at the beginning, with the first and the last."""
    grown = np.geomspace(1, total + 1, SHOWN_POINTS) - 1
    return np.unique(grown.round().astype(np.int64))


def unit_balls_lesson(alpha: float, side: int = 33) -> dict[str, Any]:
    """Return where three penalties of three weights equal 1; two are a group (SparseNAS, eq. 3).

    Every penalty grows in proportion along a ray, so its unit ball is found ray by ray.

    Args:
        alpha: Share of the lasso in the sparse group lasso.
        side: Rays along each angle of the sphere.

    Returns:
        For each penalty the three coordinates of its surface, rows by the polar angle.

    Examples:
        >>> ball = unit_balls_lesson(0.5, side=5)["lasso"]
        >>> max(ball["x"][2])  # at the equator, along the first axis
        1.0
    """
    polar = torch.linspace(0, torch.pi, side, dtype=torch.float64)[:, None]
    around = torch.linspace(0, 2 * torch.pi, 2 * side - 1, dtype=torch.float64)[None]
    rays = torch.stack(
        (polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos().expand(-1, 2 * side - 1))
    )
    balls = {}
    for name, share in (("lasso", 1.0), ("group lasso", 0.0), ("sparse group lasso", alpha)):
        surface = rays / sparse_group_penalty(rays, share)
        coordinates = (surface * 1e3).round() / 1e3
        balls[name] = {axis: values.tolist() for axis, values in zip("xyz", coordinates, strict=True)}
    return balls


def sparse_group_penalty(weights: torch.Tensor, alpha: float) -> torch.Tensor:
    """Sparse group lasso of three weights, the first two a group, the third one alone (SparseNAS, eq. 3).

    Args:
        weights: Shape `(3, ...)`.
        alpha: Share of the lasso; a group weighs the root of its size.
    """
    pair: torch.Tensor = torch.linalg.vector_norm(weights[:2], dim=0)
    lasso, group = weights.abs().sum(0), 2**0.5 * pair + weights[2].abs()
    return alpha * lasso + (1 - alpha) * group


def decay_lesson(mu: float, lr: float, rho: float, num_steps: int = 400) -> dict[str, Any]:
    """Lengths of groups under ProxSGD, where the loss holds each of them at a length of its own.

    The loss is half the squared distance to a target, so a group ends at its length less mu, or dies.

    Args:
        mu: Weight of the penalty.
        lr: epsilon of the document, in (0, 1].
        rho: Weight of the new gradient, in (0, 1].
        num_steps: At most 2,000.

    Returns:
        For each target length the length after every step, the start included.
    """
    targets = (0.2, 0.5, 1.0, 2.0)
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    weights = [(length * direction).requires_grad_() for length in targets]
    optimizer = ProxSGD(weights, {i: [w] for i, w in enumerate(weights)}, lr=lr, rho=rho, mu=mu)
    lengths: list[list[float]] = [[float(w.detach().norm())] for w in weights]
    for _ in range(min(num_steps, MOST_DECAY)):
        for weight, length in zip(weights, targets, strict=True):
            weight.grad = weight.detach() - length * direction
        optimizer.step()
        for line, weight in zip(lengths, weights, strict=True):
            line.append(float(weight.detach().norm()))
    return {"lengths": [{"target": t, "path": line} for t, line in zip(targets, lengths, strict=True)]}


LESSONS: dict[str, Callable[..., dict[str, Any]]] = {
    "halfspace": halfspace_lesson,
    "batch_norm": batch_norm_lesson,
    "prox": prox_lesson,
    "relaxation": relaxation_lesson,
    "figure_2_1": figure_lesson,
    "convergence": convergence_lesson,
    "unit_balls": unit_balls_lesson,
    "decay": decay_lesson,
}
"""By name, as the page asks for them."""
