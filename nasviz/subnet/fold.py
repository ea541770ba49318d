"""Folding of constant channels into biases.

A constant channel adds the same value to every position that a linear map, or a convolution without padding,
computes. So its columns are removed, and their contribution is added to the bias.
"""

from __future__ import annotations

import torch
from torch import nn

from nasviz.errors import ConstructionError
from nasviz.graph import ConstructionPlan, Fold, Slice, TraceGraph
from nasviz.subnet.slice import cut

__all__ = ["fold_constants_"]


@torch.no_grad()
def fold_constants_(net: nn.Module, trace: TraceGraph, plan: ConstructionPlan) -> None:
    """Add the contribution of folded columns to biases, in place, before anything is sliced.

    A module without a bias gets one, already as narrow as its sliced weight.
    """
    for fold in plan.folds:
        module = net.get_submodule(trace[fold.vertex].module)
        if not isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            raise ConstructionError(
                f"{trace[fold.vertex].name} is a {type(module).__name__}, which has no bias to fold into"
            )
        shift = _shift(module.weight, fold)
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias + shift, module.bias.requires_grad)
            continue
        name = trace[fold.vertex].parameters[0]
        filters = [Slice(name, 0, s.rows, s.vertex) for s in plan.slices if s.tensor == name and s.dim == 0]
        module.bias = nn.Parameter(cut(shift, filters), module.weight.requires_grad)


def _shift(weight: torch.Tensor, fold: Fold) -> torch.Tensor:
    """Return the sum over the folded columns for each output channel, shape `(num_outputs,)`."""
    columns = weight.index_select(1, torch.tensor(fold.rows, device=weight.device))
    sums = columns.flatten(2).sum(2) if columns.dim() > 2 else columns
    # b'_o = b_o + sum over folded channels c of (sum over kernel positions of W_oc) * value_c
    return sums @ torch.tensor(fold.values, dtype=sums.dtype, device=sums.device)
