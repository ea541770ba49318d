"""Scores of whole networks turned into scores of structures: what is lost when one of them is erased.

The weights are drawn again, the structure is set to zero, and the score is recomputed. The same random
numbers are drawn each time, so that only the structure makes a difference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from nasviz.saliency.probe import Probe
from nasviz.subnet.zero import project_to_zero_

__all__ = ["draw_gaussian_", "draw_kaiming_", "leave_one_out_scores", "rank"]


def leave_one_out_scores(
    probe: Probe,
    score: Callable[[frozenset[int]], tuple[float, ...]],
    draw_: Callable[[nn.Module, int], None],
) -> tuple[tuple[float, ...], list[tuple[float, ...] | None]]:
    """Return the scores of the whole network, and of the network without each structure in turn.

    Args:
        probe: Context of the score; its copy of the network is modified.
        score: Computes the scores of the copy, given the ids of the erased segments.
        draw_: Draws new weights from a seed, in place.

    Returns:
        The second item holds `None` for a structure that cannot be erased alone.
    """
    space = probe.search_space

    def without(erased: tuple[int, ...]) -> tuple[float, ...] | None:
        if not space.is_valid(erased):
            return None
        draw_(probe.network, probe.seed)
        project_to_zero_(probe.network, space, erased)
        torch.manual_seed(probe.seed)  # for dropout; the caller restores its random state
        return score(space.closure(erased))

    whole = without(())
    assert whole is not None, "erasing nothing is always valid"
    return whole, [without((i,)) for i in probe.index.ids]


def contributions(whole: float, without: list[float | None]) -> Tensor:
    """Return the contribution of each structure; the largest one for structures that cannot be erased."""
    found = [whole - value for value in without if value is not None]
    return torch.tensor(
        [max(found, default=0.0) if value is None else whole - value for value in without],
        dtype=torch.float64,
    )


def rank(values: list[float]) -> list[int]:
    """Return, for each value, how many are smaller.

    Examples:
        >>> rank([3.0, 1.0, 3.0, 7.0])
        [1, 0, 1, 3]
    """
    return [sum(other < value for other in values) for value in values]


def draw_gaussian_(network: nn.Module, seed: int) -> None:
    """Draw weights from N(0, 1), with biases 0 and norms reset (ZenNAS)."""
    _draw_(network, seed, lambda weight, generator: weight.normal_(generator=generator))


def draw_kaiming_(network: nn.Module, seed: int) -> None:
    """Draw weights from He's normal distribution (fan-in), with biases 0 and norms reset (TE-NAS)."""
    _draw_(network, seed, lambda weight, generator: nn.init.kaiming_normal_(weight, generator=generator))


@torch.no_grad()
def _draw_(network: nn.Module, seed: int, fill_: Callable[[Tensor, Generator], object]) -> None:
    """Draw tensors of two or more dimensions; fill others with 1 if named `weight` (norms), else with 0."""
    generator = Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.dim() >= 2:
            weight = torch.empty(parameter.shape)
            fill_(weight, generator)
            parameter.copy_(weight)
        else:
            parameter.fill_(float(name.rpartition(".")[2] == "weight"))
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            module.reset_running_stats()
