"""Width search: which channels stay, by scores trained with the network (dissertation, Algorithm 3).

Every channel of a convolution is multiplied by a score alpha_i; the l1 norm of the scores is added to the
loss. After N steps all |alpha| are sorted together, and the fraction m of lowest is pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import floor

import torch
from torch import Tensor

from nasviz.errors import InvalidSettingError

__all__ = ["channels_to_keep"]


def channels_to_keep(
    scores: Mapping[str, Tensor], fraction: float, *, is_global: bool = True
) -> dict[str, Tensor]:
    """Which channels of each layer stay when the fraction m with the smallest |score| goes.

    The strongest channel of each layer stays whatever its score. Of equal scores the earlier layer and then
    the lower index goes first.

    Args:
        scores: Of each layer one score a channel, `(channels,)`; the order of the layers decides ties.
        fraction: m in [0, 1), of all channels together; rounded down to a count.
        is_global: Whether layers compete with one another. Otherwise each loses its own fraction m.

    Returns:
        Of each layer `(channels,)`, true where a channel stays; on the CPU.

    Raises:
        InvalidSettingError: The fraction is out of range, or a layer has no scores.

    Examples:
        >>> keep = channels_to_keep({"a": torch.tensor([0.1, -3.0]), "b": torch.tensor([0.2, 0.3])}, 0.75)
        >>> {name: mask.tolist() for name, mask in keep.items()}
        {'a': [False, True], 'b': [False, True]}
    """
    if not 0 <= fraction < 1:
        raise InvalidSettingError(f"fraction={fraction!r}: must be from 0 to below 1")
    if empty := [name for name, values in scores.items() if values.dim() != 1 or not len(values)]:
        raise InvalidSettingError(f"each layer needs a vector of scores; look at {', '.join(empty)}")
    if not is_global:
        return {n: channels_to_keep({n: values}, fraction)[n] for n, values in scores.items()}
    sizes = [len(values) for values in scores.values()]
    if not sizes:
        return {}
    joined = torch.cat([values.detach().abs().to("cpu", torch.float64) for values in scores.values()])
    strongest = torch.tensor([int(part.argmax()) for part in torch.split(joined, sizes)])
    joined[strongest + torch.tensor([0, *sizes[:-1]]).cumsum(0)] = float("inf")
    num_gone = min(floor(fraction * len(joined) + 1e-9), len(joined) - len(sizes))
    keep = torch.ones(len(joined), dtype=torch.bool)
    keep[joined.argsort(stable=True)[:num_gone]] = False
    return dict(zip(scores, torch.split(keep, sizes), strict=True))
