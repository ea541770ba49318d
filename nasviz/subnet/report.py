"""Report of a construction: what was done, what was saved, and how exact the sub-network is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from nasviz.graph import ConstructionPlan
from nasviz.subnet.parity import Check
from nasviz.subnet.zero import named_tensors

__all__ = ["Report", "report", "size_of"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a construction did, and its measured exactness."""

    max_relative_error: float
    """Zeroed full network against sub-network: the worst of all checks."""
    effect: float
    """Full network against zeroed full network, the largest of all checks: how much the removal matters.

    Where training had made the groups zero already, weights are drawn for them to measure this."""
    effect_of: tuple[int, ...]
    """Structures that came back to measure the effect: one in a large network; empty: all that went."""
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    bytes_before: int
    bytes_after: int
    """Of all tensors: what a file of weights holds."""
    selected: tuple[int, ...]
    orphaned: tuple[int, ...]
    """Removal structures that went because all their inputs went."""
    gates: tuple[int, ...]
    """Gates that were replaced by their value at zero."""
    scaled: Mapping[str, float]
    """For each product that lost its gate: the number that stands for it."""
    erased: Mapping[str, str]
    """Erased vertices, and why: `selected`, `orphaned`, `gate` or `dead end`."""
    sliced: Mapping[str, tuple[int, ...]]
    """New shape of every parameter and buffer that lost rows."""
    channels: tuple[int, ...]
    """Channel groups that were cut."""
    widths: Mapping[str, tuple[int, int]]
    """For each operator that makes fewer channels: how many before and after."""
    materialised: tuple[str, ...]
    """Vertices and outputs that get zeros written back, for want of a slicing rule."""
    folded: Mapping[str, int]
    """Linear maps and convolutions whose bias took in channels that are constant, and how many."""
    gathered: tuple[str, ...]
    """Vertices that pick their live channels from an earlier value, such as behind a channel shuffle."""
    bypassed: tuple[str, ...]
    """Joints that were left with one operand."""
    lost_outputs: tuple[str, ...]
    """Optional outputs that are gone."""
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """What the caller should know: that nothing was zero, or that what went was not."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self)


def size_of(net: nn.Module) -> int:
    """Bytes of all parameters and buffers, tied ones counted once."""
    tensors = {id(t): t for t in (*net.parameters(), *net.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def report(plan: ConstructionPlan, checks: tuple[Check, ...], full: nn.Module, small: nn.Module) -> Report:
    """Put a plan and its measured checks together, with the sizes of both networks."""
    shapes = {name: tuple(tensor.shape) for name, tensor in named_tensors(small).items()}
    effect, effect_of = max((c.effect, c.effect_of) for c in checks if c.effect is not None)
    return Report(
        max_relative_error=max(check.relative_error for check in checks),
        effect=effect,
        effect_of=effect_of,
        params_before=plan.params_before,
        params_after=plan.params_after,
        macs_before=plan.macs_before,
        macs_after=plan.macs_after,
        bytes_before=size_of(full),
        bytes_after=size_of(small),
        selected=plan.selected,
        orphaned=plan.orphaned,
        gates=plan.gates,
        scaled=plan.scaled,
        erased=plan.erased,
        sliced={piece.tensor: shapes[piece.tensor] for piece in plan.slices},
        channels=plan.channels,
        widths=plan.widths,
        materialised=plan.materialised,
        folded={fold.vertex: len(fold.rows) for fold in plan.folds},
        gathered=tuple(gather.vertex for gather in plan.gathers),
        bypassed=tuple(plan.bypassed),
        lost_outputs=plan.lost_outputs,
        checks=checks,
    )
