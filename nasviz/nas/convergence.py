"""Convergence on the solvable model: whole paths, and the bounds of the theorems (dissertation, section 2.3).

Both losses of Example 2.4 are quadratic, so an iteration of any method is an affine map of (w, u, alpha). The
map is read off from the implementation that trains: one iteration at zero and at each unit vector. Long paths
and paths of many samples then cost a product of small matrices per iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.nas.rarts import RateBounds, Relaxation, rarts_rate_bounds, rarts_steps
from nasviz.nas.toy_problem import LIPSCHITZ, Point, auxiliary_loss, limit, primary_loss, trajectory
from nasviz.nas.update_steps import Loss, Tensors, descend

__all__ = ["Convergence", "convergence", "lagrangian", "path", "sampled_paths"]

Array = NDArray[Any]
_NUM_NOISES = 4
"""Coefficients that a sample adds: of w and alpha in L_a, of u and alpha in L_p."""


@dataclass(frozen=True, slots=True)
class Convergence:
    """Constants of the theorems for the Lagrangian of Example 2.4."""

    bounds: RateBounds
    """c_1, c_2, c_3 of Theorem 2.2."""
    lipschitz: float
    """L: of the gradients of L_p and L_a, and of the Lagrangian itself."""
    convexity: float
    """mu of (2.26), twice the smallest eigenvalue of the matrix A of Example 2.4."""
    c4: float
    """Constant of (2.20)."""
    minimum: float
    """Smallest value of the Lagrangian."""

    @property
    def largest_rate(self) -> float:
        """Largest common rate that meets Theorem 2.2 and Corollary 2.6."""
        return min(*self.bounds, 1 / (3 * self.lipschitz))

    def linear_factor(self, rate: float) -> float:
        """Return the factor by which the gap to the minimum falls at least (Corollary 2.6, i)."""
        return 1 - self.c4 * rate**2 * self.convexity / 3

    def sublinear_bound(self, rate: float, radius: float, iterations: Array) -> Array:
        """Return the bound on the gap without strong convexity (Corollary 2.6, ii); from iteration 1 on."""
        return np.asarray(6 * radius**2 / (self.c4 * rate**2 * iterations))

    def noise_floor(self, rate: float, noise: float) -> float:
        """Return 2 M L K^2 eta / mu of (2.37) with one rate for all variables, hence K = 1."""
        return 2 * noise * self.lipschitz * rate / self.convexity


def quadratic_form(relaxation: Relaxation) -> Array:
    """Return the matrix A of Example 2.4, in the order w, u, alpha."""
    weight, coupling = relaxation.auxiliary_weight, relaxation.coupling
    return np.array(
        [
            [weight + coupling / 2, -coupling / 2, -weight],
            [-coupling / 2, coupling / 2, 0.5],
            [-weight, 0.5, weight],
        ]
    )


def lagrangian(points: Array, relaxation: Relaxation) -> Array:
    """Return the Lagrangian at points `(..., 3)` of w, u and alpha.

    Examples:
        >>> lagrangian(np.array([1.0, 1.0, 1.0]), Relaxation(10, 10))
        array(0.)
    """
    form = quadratic_form(relaxation)
    return np.asarray(np.einsum("...i,ij,...j->...", points, form, points) - 2 * points[..., 2] + 1)


def convergence(relaxation: Relaxation) -> Convergence:
    """Return the constants of the theorems.

    Raises:
        InvalidSettingError: The Lagrangian is not strongly convex (Example 2.7).

    Examples:
        >>> found = convergence(Relaxation(10, 10))
        >>> round(found.convexity, 4), round(found.lipschitz, 3), round(found.minimum, 6)
        (0.661, 47.572, -0.081081)
    """
    eigenvalues = np.linalg.eigvalsh(quadratic_form(relaxation))
    if eigenvalues[0] <= 0:
        raise InvalidSettingError(
            f"auxiliary_weight={relaxation.auxiliary_weight:g}, coupling={relaxation.coupling:g}: the"
            " Lagrangian is not strongly convex; choose auxiliary_weight above 1/2 and coupling above 3/2"
            " (Example 2.7)"
        )
    # The proof of Corollary 2.6 takes one constant for both losses and the Lagrangian.
    lipschitz = max(LIPSCHITZ, float(2 * eigenvalues[-1]))
    bounds = rarts_rate_bounds(lipschitz, relaxation)
    end = np.array(limit("rarts", relaxation=relaxation)[:3])
    return Convergence(
        bounds=bounds,
        lipschitz=lipschitz,
        convexity=float(2 * eigenvalues[0]),
        c4=0.5 / max(bounds),
        minimum=float(lagrangian(end, relaxation)),
    )


def path(
    method: str,
    num_iterations: int,
    *,
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
    **settings: Any,
) -> Array:
    """Return where a method stands at the start and after each iteration: w, u and alpha, shape (n + 1, 3).

    Equal to `trajectory`, to rounding, and about a thousand times as fast.

    Args:
        method: One of `METHODS`.
        num_iterations: Number of iterations.
        start: w, u and alpha; DARTS and MiLeNAS have one set of weights, which starts at w.
        **settings: Further arguments of `trajectory`.

    Examples:
        >>> path("darts", 2000)[-1].round(3)
        array([2., 2., 2.])
    """

    def one(point: tuple[float, float, float]) -> Point:
        return next(islice(trajectory(method, start=point, **settings), 1, None))

    shift = np.array(one((0.0, 0.0, 0.0))[:3])
    units = np.eye(3)
    matrix = np.stack([np.array(one((a, b, c))[:3]) - shift for a, b, c in units], axis=1)
    points = np.empty((num_iterations + 1, 3))
    points[0] = start if method == "rarts" else (start[0], start[0], start[2])
    for i in range(num_iterations):
        points[i + 1] = matrix @ points[i] + shift
    return points


def sampled_paths(
    relaxation: Relaxation,
    iterations: Array,
    *,
    noise: float,
    num_paths: int,
    seed: int = 0,
    start: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[Array, float, float]:
    """Run RARTS by SGD (Algorithm 2) on losses whose samples differ by a linear term.

    Args:
        relaxation: lambda and beta.
        iterations: Ascending numbers of the iterations to return; 0 is the start.
        noise: Standard deviation of the coefficients that a sample adds to L_p and L_a.
        num_paths: Number of independent runs.
        seed: Of the samples.
        start: w, u and alpha.

    Returns:
        The gap to the minimum of the Lagrangian at these iterations, averaged over the runs; the rate, which
        meets the conditions of Corollary 2.8; and M of its condition (2.35).
    """
    constants = convergence(relaxation)
    rate = _sampling_rate(relaxation, constants)
    matrix, shift, response = _affine(relaxation, rate)
    generator = np.random.default_rng(seed)
    points = np.tile(np.array(start), (num_paths, 1))
    gaps, done = [], 0
    for wanted in iterations:
        for _ in range(int(wanted) - done):
            drawn = noise * generator.standard_normal((num_paths, _NUM_NOISES))
            points = points @ matrix.T + shift + drawn @ response.T
        done = int(wanted)
        gaps.append(lagrangian(points, relaxation).mean() - constants.minimum)
    return np.array(gaps), rate, noise**2 * float((response**2).sum()) / rate**2


def _sampling_rate(relaxation: Relaxation, constants: Convergence) -> float:
    """Return a rate that is at most 1/(3L) and 1/(4CL), with C of (2.35) for steps of that rate."""
    rate = 1 / (3 * constants.lipschitz)
    hessian = 2 * quadratic_form(relaxation)
    # C falls with the rate: the points at which the three gradients are taken move together.
    matrix = _affine(relaxation, rate)[0]
    steps = (np.eye(3) - matrix) @ np.linalg.inv(hessian) / rate
    return min(rate, 1 / (4 * float(np.linalg.norm(steps, 2)) ** 2 * constants.lipschitz))


def _affine(relaxation: Relaxation, rate: float) -> tuple[Array, Array, Array]:
    """Return matrix and shift of one iteration of RARTS, and its response to the noise of a sample."""
    silent = np.zeros(_NUM_NOISES)
    shift = _iterate(np.zeros(3), silent, relaxation, rate)
    columns = [_iterate(unit, silent, relaxation, rate) - shift for unit in np.eye(3)]
    noises = [_iterate(np.zeros(3), unit, relaxation, rate) - shift for unit in np.eye(_NUM_NOISES)]
    return np.stack(columns, axis=1), shift, np.stack(noises, axis=1)


def _iterate(point: Array, noise: Array, relaxation: Relaxation, rate: float) -> Array:
    """Return where one iteration of RARTS leads on a sample of the losses."""
    w, u, alpha = ([torch.tensor(float(x), dtype=torch.float64, requires_grad=True)] for x in point)
    auxiliary: Loss = partial(_sampled, auxiliary_loss, noise[0], noise[1])
    primary: Loss = partial(_sampled, primary_loss, noise[2], noise[3])
    steps = rarts_steps(primary, auxiliary, u, w, alpha, relaxation)
    for _ in descend(steps, {"w": w, "u": u, "alpha": alpha}, dict.fromkeys(("w", "u", "alpha"), rate)):
        pass
    return np.array([w[0].item(), u[0].item(), alpha[0].item()])


def _sampled(
    loss: Callable[[Tensors, Tensors], Tensor],
    of_weight: float,
    of_alpha: float,
    weights: Tensors,
    alphas: Tensors,
) -> Tensor:
    return loss(weights, alphas) + of_weight * weights[0] + of_alpha * alphas[0]
