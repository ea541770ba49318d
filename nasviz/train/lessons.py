"""The sums behind the sliders of Learn: each asks the code that trains, and returns plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import nn

from nasviz.nas.rarts import Relaxation
from nasviz.nas.toy_problem import limit, trajectory
from nasviz.optim import ProxSGD
from nasviz.optim.halfspace import halfspace
from nasviz.optim.prox import group_threshold, soft_threshold, sparse_group_threshold

__all__ = [
    "LESSONS",
    "batch_norm_lesson",
    "decay_lesson",
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
    """What scaling a convolution in front of a BatchNorm changes: not the output, only the gradient.

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
    """Where the three proximal maps bring a point of the plane, and which points they bring to zero.

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
    method: str, auxiliary_weight: float, coupling: float, lookahead: float, num_iterations: int
) -> dict[str, Any]:
    """The path of a method on the solvable model, and its limit in closed form (dissertation, example 2.4).

    The path is thinned to a few hundred points; its last point is always there.
    """
    relaxation = Relaxation(auxiliary_weight, coupling)
    total = min(num_iterations, MOST_ITERATIONS)
    stride = max(1, total // SHOWN_POINTS)
    points = trajectory(method, lookahead=lookahead, relaxation=relaxation)
    kept = [point for i, point in enumerate(islice(points, total + 1)) if i % stride == 0 or i == total]
    end = limit(method, lookahead=lookahead, relaxation=relaxation)
    return {
        "path": [[p.w, p.u, p.alpha] for p in kept],
        "stride": stride,
        "limit": [end.w, end.u, end.alpha],
    }


def unit_balls_lesson(alpha: float, side: int = 33) -> dict[str, Any]:
    """Where three penalties of three weights equal 1; the first two weights are a group (SparseNAS, eq. 3).

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
        for path, weight in zip(lengths, weights, strict=True):
            path.append(float(weight.detach().norm()))
    return {"lengths": [{"target": t, "path": path} for t, path in zip(targets, lengths, strict=True)]}


LESSONS: dict[str, Callable[..., dict[str, Any]]] = {
    "halfspace": halfspace_lesson,
    "batch_norm": batch_norm_lesson,
    "prox": prox_lesson,
    "relaxation": relaxation_lesson,
    "unit_balls": unit_balls_lesson,
    "decay": decay_lesson,
}
"""By name, as the page asks for them."""
