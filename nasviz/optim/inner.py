"""Inner optimizers by name: the torch optimizers that the documents use as the base of every step."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from nasviz.errors import InvalidSettingError, UnknownNameError

__all__ = ["INNER_OPTIMIZERS", "inner_optimizer"]

INNER_OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def inner_optimizer(
    name: str,
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    momentum: float = 0.0,
    **settings: Any,
) -> Optimizer:
    """A torch optimizer by name.

    Args:
        name: A key of `INNER_OPTIMIZERS`.
        parameters: Tensors, or parameter groups with settings of their own.
        momentum: Used by sgd alone; Adam has `betas`.
        **settings: Passed to torch: `lr`, `weight_decay`, `nesterov`, `betas`, `amsgrad`, `fused`, ...

    Raises:
        UnknownNameError: No inner optimizer has this name.
        InvalidSettingError: Torch does not know a setting, or refuses its value.

    Examples:
        >>> import torch
        >>> inner_optimizer("sgd", [torch.zeros(2)], lr=0.1, momentum=0.9).defaults["momentum"]
        0.9
    """
    if name not in INNER_OPTIMIZERS:
        raise UnknownNameError(
            f"no base {name!r}; choose one of {', '.join(INNER_OPTIMIZERS)}, or pass a torch optimizer"
        )
    kind = INNER_OPTIMIZERS[name]
    known = [key for key in inspect.signature(kind).parameters if key != "params"]
    if unknown := sorted(set(settings).difference(known)):
        raise InvalidSettingError(
            f"{', '.join(unknown)}: not a setting of base {name!r}; it has {', '.join(known)}"
        )
    if name == "sgd":
        settings["momentum"] = momentum
    try:
        return kind(parameters, **settings)
    except (ValueError, RuntimeError) as error:
        raise InvalidSettingError(f"base {name!r} refuses its settings: {error}") from error
