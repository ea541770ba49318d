"""What an optimizer was created for: a state that was saved for something else is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasviz.errors import CheckpointError
from nasviz.graph import SearchSpace

__all__ = ["asked_of", "check_asked"]


def asked_of(space: SearchSpace) -> dict[str, Any]:
    """Return the network, what it holds, and what of it stays, as plain data."""
    return {
        "network": space.trace.name,
        "parameters": space.trace.num_parameters,
        "protected structures": sorted(space.protected),
    }


def check_asked(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that a saved state was saved for what this optimizer is for.

    What one of both does not know is not compared: earlier versions saved less.

    Raises:
        CheckpointError: It was saved for something else; the message names both values.

    Examples:
        >>> check_asked({"target_sparsity": 2}, {"target_sparsity": 3})
        Traceback (most recent call last):
        ...
        nasviz.errors.CheckpointError: this state was saved with target_sparsity=2, this optimizer has \
target_sparsity=3; create the optimizer as the saved one was, or start without the state
    """
    odd = [name for name in own if name in saved and saved[name] != own[name]]
    if odd:
        then, now = (", ".join(f"{name}={side[name]}" for name in odd) for side in (saved, own))
        raise CheckpointError(
            f"this state was saved with {then}, this optimizer has {now};"
            " create the optimizer as the saved one was, or start without the state"
        )
