"""Report of a construction: its changes, its savings, and the measured exactness of the sub-network."""

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
    """Changes of a construction, and its measured exactness."""

    max_relative_error: float
    """Largest error of the sub-network against the zeroed full network, over all checks."""
    effect: float
    """Largest difference of the zeroed from the full network, over all checks: how much the removal matters.

    If training has already zeroed the groups, they get random weights to measure this."""
    effect_of: tuple[int, ...]
    """Structures restored to measure the effect (one in a large network); empty: all that were removed."""
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    bytes_before: int
    bytes_after: int
    """Size of all parameters and buffers, as in a file of weights."""
    selected: tuple[int, ...]
    orphaned: tuple[int, ...]
    """Removal structures that were removed because all their inputs were."""
    gates: tuple[int, ...]
    """Gates that were replaced by their value at zero."""
    scaled: Mapping[str, float]
    """Factor that replaces the gate of each product that lost it."""
    erased: Mapping[str, str]
    """Erased vertices, and why: `selected`, `orphaned`, `gate` or `dead end`."""
    sliced: Mapping[str, tuple[int, ...]]
    """New shape of every sliced parameter and buffer."""
    channels: tuple[int, ...]
    """Channel groups that were removed."""
    widths: Mapping[str, tuple[int, int]]
    """Number of channels before and after, for each operator that was narrowed."""
    materialised: tuple[str, ...]
    """Vertices and outputs that get zeros written back, for lack of a slicing rule."""
    folded: Mapping[str, int]
    """Linear maps and convolutions with constant channels folded into their bias, and how many."""
    gathered: tuple[str, ...]
    """Vertices that gather their remaining channels from an earlier value, as after a channel shuffle."""
    bypassed: tuple[str, ...]
    """Joints that were left with one operand."""
    lost_outputs: tuple[str, ...]
    """Optional outputs that were lost."""
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()
    """Notes for the caller: nothing was zero, or the removed parameters were not."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        return asdict(self)


def size_of(net: nn.Module) -> int:
    """Return the bytes of all parameters and buffers, tied ones counted once."""
    tensors = {id(t): t for t in (*net.parameters(), *net.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def report(plan: ConstructionPlan, checks: tuple[Check, ...], full: nn.Module, small: nn.Module) -> Report:
    """Combine a plan and its measured checks with the sizes of both networks."""
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
