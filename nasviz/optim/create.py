"""Optimizers by name, tied to a network and its search space."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.graph import SearchSpace
from nasviz.optim.binding import SpaceBinding, count_of
from nasviz.optim.h2spg import H2SPG
from nasviz.optim.inner import inner_optimizer

__all__ = ["OPTIMIZERS", "create"]

OPTIMIZERS: dict[str, type[H2SPG]] = {"h2spg": H2SPG}
"""By the names of the catalog."""


def create(
    name: str,
    net: nn.Module,
    space: SearchSpace,
    *,
    base: str | Optimizer = "sgd",
    target_sparsity: int | float = 0,
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]] | None = None,
    **settings: Any,
) -> H2SPG:
    """An optimizer over the removal structures of a network.

    Args:
        name: A key of `OPTIMIZERS`.
        net: The traced network; its own parameters are trained.
        space: Its search space.
        base: `sgd`, `adam` or `adamw`; or an optimizer of `torch.optim` that holds the parameters already.
        target_sparsity: K: an int counts structures, a float in [0, 1) is their share.
        parameters: What is trained, as torch takes it: tensors, or groups with settings of their own. All
            parameters of `net` when left out.
        **settings: Those of the optimizer (`warmup_steps`, `projection_steps`, `saliency`, `projection`,
            `epsilon`, `score_every`, `score_momentum`, `generator`), and those of the base (`lr`, `momentum`,
            `weight_decay`, `nesterov`, `betas`, ...), with the defaults of torch.

    Raises:
        UnknownNameError: No optimizer, base or saliency has this name.
        InvalidSparsityError: K is negative, or more than can go; the message says how many can.
        InvalidSettingError: A setting is out of range, missing or unknown.
    """
    if name not in OPTIMIZERS:
        raise UnknownNameError(f"no optimizer {name!r}; choose one of {', '.join(OPTIMIZERS)}")
    kind = OPTIMIZERS[name]
    k = count_of(target_sparsity, len(space.removable))
    space.check_sparsity(k)
    own, for_base = _split(kind, settings)
    if isinstance(base, Optimizer):
        if for_base or parameters is not None:
            given = ", ".join([*for_base, *(["parameters"] if parameters is not None else [])])
            raise InvalidSettingError(f"{given}: set on the base optimizer that you pass, not here")
        inner = base
    else:
        inner = inner_optimizer(base, net.parameters() if parameters is None else parameters, **for_base)
    binding = SpaceBinding(net, space)
    return kind(inner, binding.groups, partial(binding.select, k=k), **own)


def _split(kind: type[H2SPG], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the optimizer itself, and those of its base."""
    known = [p for p in inspect.signature(kind).parameters.values() if p.kind is p.KEYWORD_ONLY]
    own = {p.name: settings[p.name] for p in known if p.name in settings}
    if missing := [p.name for p in known if p.default is p.empty and p.name not in own]:
        raise InvalidSettingError(f"{kind.__name__} needs {', '.join(missing)}")
    return own, {key: value for key, value in settings.items() if key not in own}
