"""Warnings of a construction: nothing is zero, less than expected is zero, or nonzero weights are removed."""

from __future__ import annotations

import torch
from torch import nn

from nasviz.graph import ConstructionPlan, Group, SearchSpace, optimizer_of
from nasviz.subnet.zero import named_tensors

__all__ = ["missing_zeros_warning", "nonzero_removal_note"]


def missing_zeros_warning(net: nn.Module, space: SearchSpace, plan: ConstructionPlan) -> str | None:
    """Return a warning if a construction from zeros removes less than intended, else `None`."""
    optimizer = optimizer_of(space)
    selected = tuple(optimizer.selected) if optimizer is not None else ()
    channels = tuple(getattr(optimizer, "channels", ()))
    left = [i for i in selected if i not in plan.selected and i not in plan.orphaned]
    missing = len(left) + len(set(channels).difference(plan.channels))
    if plan.selected or plan.gates or plan.channels:
        if not missing:
            return None
        found = (
            f"{missing} of {len(selected) + len(channels)} structures and channels that the optimizer chose"
            " are not zero in this network, and stay"
        )
    elif space.removable or _masks(net) or len(space.channels):
        found = "no removal structure and no channel of this network is exactly zero, so nothing is cut"
    else:
        return None
    return " ".join([found + ".", *_causes(net, optimizer, selected, channels)])


def _causes(
    net: nn.Module, optimizer: object | None, selected: tuple[int, ...], channels: tuple[int, ...]
) -> list[str]:
    """Return the likely causes and remedies, one sentence each."""
    words = []
    if optimizer is not None:
        phase = getattr(optimizer, "phase", "training")
        words.append(
            f"The optimizer of this search space is in phase {phase!r} and has selected {len(selected)}"
            f" structures and {len(channels)} channel groups."
        )
    if masks := _masks(net):
        words.append(
            f"Masks of torch.nn.utils.prune are on ({masks[0]}): make them permanent with prune.remove, and"
            " trace the network again."
        )
    if channels:
        remedy = "erased=optimizer.selected and channels=optimizer.channels"
    else:
        remedy = "erased=optimizer.selected"
    if optimizer is None or selected or channels:
        words.append(
            f"Pass {remedy} to remove what was selected as if it were zero, as for averaged weights (EMA);"
            " or erased=() to keep everything."
        )
    else:
        words.append("Train until the projection has ended; or pass erased=() to keep everything.")
    return words


def _masks(net: nn.Module) -> list[str]:
    """Return the masks that torch.nn.utils.prune has put on weights of a network."""
    tensors = named_tensors(net)
    return [n for n in tensors if n.endswith("_mask") and f"{n.removesuffix('_mask')}_orig" in tensors]


@torch.no_grad()
def nonzero_removal_note(net: nn.Module, group: Group, effect: float) -> str | None:
    """Return a note on how far from zero the removed parameters are; `None` if they are exactly zero."""
    tensors = named_tensors(net)
    parts = [tensors[name] for name in group.tensors]
    parts += [
        tensors[row.tensor].index_select(row.dim, torch.tensor(row.rows, device=tensors[row.tensor].device))
        for row in group.rows
    ]
    sizes = [part.abs().max() for part in parts if part.numel()]
    largest = float(torch.stack([size.float() for size in sizes]).max()) if sizes else 0.0
    if not largest or not effect:
        return None
    return (
        f"the removed parameters were not zero (largest entry {largest:.2g}): removing them moves the outputs"
        f" by up to {effect:.2g} of the largest one"
    )
