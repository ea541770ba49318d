"""Scores from binary ReLU activation codes: NASWOT, and the linear regions of TE-NAS."""

from __future__ import annotations

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError
from nasviz.saliency.leave_one_out import contributions, draw_gaussian_, leave_one_out_scores
from nasviz.saliency.probe import Probe, recorded

__all__ = ["kernel_score", "naswot", "num_regions", "relu_codes"]

RELUS = ("relu", "relu6")


def naswot(probe: Probe) -> Tensor:
    """Return the loss of NASWOT's score without each structure: log |det K|, where K counts agreeing ReLUs.

    The weights are drawn from N(0, 1). A structure without a ReLU acts through the codes after it.

    Raises:
        InvalidSettingError: The network has no ReLU.
    """
    whole, without = leave_one_out_scores(
        probe, lambda gone: (float(kernel_score(relu_codes(probe, gone))),), draw_gaussian_
    )
    return contributions(whole[0], [None if scores is None else scores[0] for scores in without])


@torch.no_grad()
def relu_codes(probe: Probe, gone: frozenset[int] = frozenset()) -> Tensor:
    """Return whether each ReLU outside of `gone` is active, shape `(num_examples, num_relus)`.

    Raises:
        InvalidSettingError: The network has no ReLU.
    """
    space = probe.search_space
    names = [v.id for v in space.trace if v.operator in RELUS]
    if not names:
        raise InvalidSettingError(
            f"{space.trace.name} has no ReLU, which this score needs; choose another saliency"
        )
    names = [name for name in names if space.segments.of(name).id not in gone]
    _, kept = recorded(probe.network, probe.examples(), names, keep=lambda value: value.flatten(1) > 0)
    return (
        torch.cat([kept[name] for name in names], dim=1) if names else torch.zeros((1, 0), dtype=torch.bool)
    )


def kernel_score(codes: Tensor) -> Tensor:
    """Return log |det K|, with K_ij the number of places where codes i and j agree (Mellor et al., 2021).

    Equal codes make K singular; its eigenvalues are clamped to the size of rounding errors.

    Examples:
        >>> codes = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 1]])
        >>> round(kernel_score(codes).item(), 6)
        3.465736
    """
    ones = codes.double()
    kernel = ones @ ones.T + (1 - ones) @ (1 - ones).T
    eigenvalues: Tensor = torch.linalg.eigvalsh(kernel)
    return eigenvalues.clamp(min=1e-12 * max(1.0, float(kernel.trace()))).log().sum()


def num_regions(codes: Tensor) -> int:
    """Return the number of linear regions that the examples fall into."""
    return len(torch.unique(codes, dim=0))
