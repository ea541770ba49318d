"""Checks of settings that several optimizers share."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, distributed

from nasviz.errors import InvalidSettingError

__all__ = ["below_one", "not_negative", "positive_steps", "require_whole"]


def positive_steps(name: str, value: int) -> int:
    """`value`, if it is a number of steps, at least 1.

    Raises:
        InvalidSettingError: It is not.
    """
    if not isinstance(value, int) or value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be a number of steps, at least 1")
    return value


def below_one(name: str, value: float) -> float:
    """`value`, if it lies in [0, 1).

    Raises:
        InvalidSettingError: It does not.
    """
    if not 0 <= value < 1:
        raise InvalidSettingError(f"{name}={value!r}: must be at least 0 and below 1")
    return value


def not_negative(name: str, value: float) -> float:
    """`value`, if it is a finite number, at least 0.

    Raises:
        InvalidSettingError: It is not.
    """
    if not 0 <= value < float("inf"):
        raise InvalidSettingError(f"{name}={value!r}: must be a finite number, at least 0")
    return value


def require_whole(tensors: Iterable[Tensor], asker: str) -> None:
    """Check that this process holds all of every tensor.

    Raises:
        InvalidSettingError: One is a DTensor, as `fully_shard` (FSDP2) and tensor parallelism make them.
    """
    if not distributed.is_available() or not distributed.is_initialized():
        return  # without processes there is nothing to shard over
    from torch.distributed.tensor import DTensor

    for tensor in tensors:
        if isinstance(tensor, DTensor):
            raise InvalidSettingError(
                f"{asker} was asked to train parameters that are sharded over processes: one of shape"
                f" {tuple(tensor.shape)} is a DTensor on {tensor.device_mesh} with placements"
                f" {tensor.placements}. A structure is chosen, and set to zero, by whole tensors and rows of"
                " others, which no process holds then. Leave fully_shard out, and train in"
                " DistributedDataParallel (`nasviz train --nproc N`), whose processes hold whole parameters"
            )
