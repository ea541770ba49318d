"""Latency of sub-networks, estimated: what remains of the measured times of the vertices.

The times are measured elsewhere (`nasviz.subnet.measure_vertices`). The model is additive: a vertex that goes
saves its own time, one that lost channels the share of its work. It knows nothing of operators that overlap
or are fused, so its error has to be shown beside it; `nasviz.subnet.measure_latencies` tells the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nasviz.graph.construction.plan import ConstructionPlan

__all__ = ["LatencyTable"]


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """Measured times of a network and of its vertices, in milliseconds.

    Examples:
        >>> table = LatencyTable(
        ...     whole_ms=2.0, vertex_ms={"conv": 3.0, "relu": 1.0}, device="cpu", batch_size=1
        ... )
        >>> table.share("conv"), LatencyTable.from_json(table.to_json()) == table
        (1.5, True)
    """

    whole_ms: float
    """One forward pass of the whole network, as a user sees it."""
    vertex_ms: Mapping[str, float]
    """Each vertex alone, by id; what measuring adds to each is in it."""
    device: str
    batch_size: int

    def share(self, vertex_id: str) -> float:
        """The vertex's part of `whole_ms`: its time, scaled so that all of them add up to the whole."""
        total = sum(self.vertex_ms.values())
        return self.vertex_ms.get(vertex_id, 0.0) * (self.whole_ms / total if total else 0.0)

    def after(self, plan: ConstructionPlan) -> float:
        """What one forward pass of the sub-network takes, estimated."""
        total = sum(self.vertex_ms.values())
        gone = {*plan.erased, *plan.bypassed}
        saved = sum(self.vertex_ms.get(vertex, 0.0) for vertex in gone)
        saved += sum(
            self.vertex_ms.get(vertex, 0.0) * (1 - left)
            for vertex, left in plan.work_left.items()
            if vertex not in gone
        )
        return self.whole_ms * (1 - saved / total) if total else self.whole_ms

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LatencyTable:
        """The table that `to_json` wrote."""
        return cls(**data)
