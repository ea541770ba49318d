"""Scores of whole networks as scores of structures: what is lost when one of them is erased.

The network is drawn anew, the structure is set to zero, and the score is computed again. The same numbers are
drawn each time, so that nothing but the structure makes the difference.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from nasviz.saliency.probe import Probe
from nasviz.subnet.zero import project_to_zero_

__all__ = ["draw_gaussian_", "draw_kaiming_", "each_without_one", "rank"]


def each_without_one(
    probe: Probe,
    score: Callable[[frozenset[int]], tuple[float, ...]],
    draw_: Callable[[nn.Module, int], None],
) -> tuple[tuple[float, ...], list[tuple[float, ...] | None]]:
    """Scores of the whole network, and of the network without each structure in turn.

    Args:
        probe: Its copy is used up.
        score: Of the copy as it is; given the ids of the segments that are erased.
        draw_: Draws new weights from a seed, in place.

    Returns:
        `None` in the place of a structure that cannot be erased alone.
    """
    space = probe.search_space

    def without(erased: tuple[int, ...]) -> tuple[float, ...] | None:
        if not space.is_valid(erased):
            return None
        draw_(probe.network, probe.seed)
        project_to_zero_(probe.network, space, erased)
        torch.manual_seed(probe.seed)  # for dropout; the caller gets its random state back
        return score(space.closure(erased))

    whole = without(())
    assert whole is not None, "a network from which nothing is erased is valid"
    return whole, [without((i,)) for i in probe.index.ids]


def losses(whole: float, without: list[float | None]) -> Tensor:
    """What each structure contributes; as much as the largest where the network cannot be without it."""
    found = [whole - value for value in without if value is not None]
    return torch.tensor(
        [max(found, default=0.0) if value is None else whole - value for value in without],
        dtype=torch.float64,
    )


def rank(values: list[float]) -> list[int]:
    """For each value, how many are smaller.

    Examples:
        >>> rank([3.0, 1.0, 3.0, 7.0])
        [1, 0, 1, 3]
    """
    return [sum(other < value for other in values) for value in values]


def draw_gaussian_(network: nn.Module, seed: int) -> None:
    """Weights from N(0, 1), biases 0, norms as they begin: what ZenNAS scores networks with."""
    _draw_(network, seed, lambda weight, generator: weight.normal_(generator=generator))


def draw_kaiming_(network: nn.Module, seed: int) -> None:
    """Weights from He's normal distribution of the fan-in, biases 0, norms as they begin (TE-NAS)."""
    _draw_(network, seed, lambda weight, generator: nn.init.kaiming_normal_(weight, generator=generator))


@torch.no_grad()
def _draw_(network: nn.Module, seed: int, fill_: Callable[[Tensor, Generator], object]) -> None:
    """Tensors of two or more dimensions count as weights, other ones called `weight` as those of a norm."""
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
