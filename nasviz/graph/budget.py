"""Cost of sub-networks: K from a budget (ASGNAS, appendix A.2), and latency from a table.

What K structures cost depends on which they are. So the cost of a K is estimated over random orders, each
cut down greedily to a valid set of K; every K sees the same orders, so that the curve falls with K.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nasviz.errors import InvalidSettingError
from nasviz.graph.construction import ConstructionPlan
from nasviz.graph.space import SearchSpace

__all__ = ["BudgetFit", "CostBand", "LatencyTable", "Measure", "cost_band", "fit_budget", "random_orders"]


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
        """Return what one forward pass of the sub-network takes, estimated."""
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


Measure = Literal["parameters", "macs"] | LatencyTable
"""What a budget counts; a table of latencies counts milliseconds."""


@dataclass(frozen=True, slots=True)
class CostBand:
    """Cost of sub-networks with `k` structures erased, over the orders drawn."""

    k: int
    minimum: float
    mean: float
    maximum: float


@dataclass(frozen=True, slots=True)
class BudgetFit:
    """The smallest K whose cost is within a budget."""

    k: int
    is_reached: bool
    """Whether K_max at least is within the budget."""
    bands: tuple[CostBand, ...]
    """All costs that were looked at on the way, by ascending K."""


def random_orders(space: SearchSpace, draws: int = 32, seed: int = 0) -> tuple[dict[int, float], ...]:
    """`draws` random saliencies of the removable structures, reproducible from `seed`."""
    source = random.Random(seed)
    ids = [s.id for s in space.removable]
    return tuple({i: source.random() for i in ids} for _ in range(draws))


def cost_band(space: SearchSpace, k: int, measure: Measure, orders: Sequence[dict[int, float]]) -> CostBand:
    """Cost of the sub-networks that greedy selection of `k` structures leaves, one for each order."""
    costs: list[float] = []
    for order in orders:
        plan = space.plan(space.select(order, k))
        if isinstance(measure, LatencyTable):
            costs.append(measure.after(plan))
        else:
            costs.append(plan.params_after if measure == "parameters" else plan.macs_after)
    return CostBand(k, min(costs), sum(costs) / len(costs), max(costs))


def fit_budget(
    space: SearchSpace,
    budget: float,
    measure: Measure = "parameters",
    *,
    certain: bool = False,
    draws: int = 32,
    seed: int = 0,
) -> BudgetFit:
    """Find K for a budget by bisection: `draws` times log K_max constructions, all on plain data.

    Args:
        space: The search space.
        budget: Largest cost allowed, in parameters, multiply-accumulates or milliseconds.
        measure: What the budget counts.
        certain: Whether all drawn selections of K must be within the budget, instead of their mean.
        draws: Random orders per K.
        seed: Of the orders.

    Raises:
        InvalidSettingError: The budget is not positive, or no order is drawn.

    Examples:
        >>> import nasviz
        >>> net = nasviz.trace(*nasviz.zoo.create("demonet"))
        >>> space = nasviz.search_space(net)
        >>> nasviz.fit_budget(space, space.trace.macs / 2, "macs").k
        4
    """
    if not budget > 0 or draws < 1:
        raise InvalidSettingError(f"budget={budget} with draws={draws}: both must be above 0")
    orders = random_orders(space, draws, seed)
    seen: dict[int, CostBand] = {}

    def cost(k: int) -> float:
        if k not in seen:
            seen[k] = cost_band(space, k, measure, orders)
        return seen[k].maximum if certain else seen[k].mean

    low, high = 0, space.max_sparsity
    is_reached = cost(high) <= budget
    while low < high:
        middle = (low + high) // 2
        if cost(middle) <= budget:
            high = middle
        else:
            low = middle + 1
    cost(low)
    return BudgetFit(low, is_reached, tuple(seen[k] for k in sorted(seen)))
