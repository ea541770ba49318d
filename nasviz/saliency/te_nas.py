"""TE-NAS (Chen et al., 2021): trainability and number of linear regions of a network."""

from __future__ import annotations

import torch
from torch import Tensor

from nasviz.saliency.codes import num_regions, relu_codes
from nasviz.saliency.leave_one_out import draw_kaiming_, leave_one_out_scores, rank
from nasviz.saliency.probe import Probe, tensors_in

__all__ = ["condition_number", "te_nas"]


def te_nas(probe: Probe) -> Tensor:
    """Sum of two ranks among the structures: of the condition number without it, and of the regions lost.

    The weights are drawn from He's normal distribution. A low rank means that the network without the
    structure trains as easily, and is as expressive, as without any other one.

    Raises:
        InvalidSettingError: The network has no ReLU.
    """

    def score(gone: frozenset[int]) -> tuple[float, float]:
        return condition_number(_jacobian(probe)), float(num_regions(relu_codes(probe, gone)))

    _, without = leave_one_out_scores(probe, score, draw_kaiming_)
    known = [scores for scores in without if scores is not None]
    ranks = zip(rank([s[0] for s in known]), rank([-s[1] for s in known]), strict=True)
    sums = iter([sum(pair) for pair in ranks])
    highest = 2 * len(without)
    return torch.tensor(
        [highest if scores is None else next(sums) for scores in without], dtype=torch.float64
    )


def condition_number(jacobian: Tensor) -> float:
    """Return the largest over the smallest eigenvalue of the neural tangent kernel J J^T.

    Args:
        jacobian: One row per example, shape `(num_examples, num_weights)`.

    Examples:
        >>> round(condition_number(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])), 6)
        3.0
    """
    eigenvalues = torch.linalg.eigvalsh((jacobian @ jacobian.T).double())
    # A singular kernel (equal examples) counts as one at the limit of rounding.
    smallest = eigenvalues[0].clamp(min=1e-12 * max(float(eigenvalues[-1]), 1e-12))
    return float(eigenvalues[-1] / smallest)


def _jacobian(probe: Probe) -> Tensor:
    """Return the gradient of each example's summed outputs with respect to all weights."""
    weights = [p for p in probe.network.parameters() if p.dim() >= 2 and p.requires_grad]
    outputs = next(tensors_in(probe.output(probe.examples()))).flatten(1).sum(dim=1)
    rows = []
    for value in outputs:
        found = torch.autograd.grad(
            value, weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows)
