"""DARTS, MiLeNAS and RARTS as optimizers of networks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.nas.bilevel import FIRST_ORDER, darts_steps, milenas_steps
from nasviz.nas.functional_weights import Copy
from nasviz.nas.latency import LatencyPenalty
from nasviz.nas.rarts import Relaxation, rarts_steps
from nasviz.nas.relaxed_optimizer import RelaxedOptimizer
from nasviz.nas.update_steps import Loss, Step
from nasviz.optim.search_optimizer import Conclusion

__all__ = ["DARTS", "ORDERS", "RARTS", "MiLeNAS"]

ORDERS = ("first", "second")


class DARTS(RelaxedOptimizer):
    """Differentiable architecture search: alpha by the second half of the data, then w by the first.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights.
        architecture: Optimizer of the architecture parameters.
        order: `first` takes w for w*; `second` the step that `inner` would make, if that is SGD (its plain
            gradient step otherwise), and costs about four times as much.
        **settings: Those of `RelaxedOptimizer`.

    References:
        Liu et al., DARTS (2019), algorithm 1. https://arxiv.org/abs/1806.09055
    """

    method = "darts"

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: Optimizer,
        *,
        order: str = "first",
        **settings: Any,
    ) -> None:
        if order not in ORDERS:
            raise InvalidSettingError(f"order={order!r}: choose one of {', '.join(ORDERS)}")
        super().__init__(net, inner, architecture, **settings)
        self.order = order

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        lookahead = FIRST_ORDER if self.order == "first" else self._lookahead()
        return darts_steps(train, validation, self.weights, self.alphas, lookahead)


class MiLeNAS(RelaxedOptimizer):
    """Mixed-level search: w by the first half of the data, then alpha by both.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights.
        architecture: Optimizer of the architecture parameters.
        validation_weight: lambda, how much the second half counts for alpha.
        **settings: Those of `RelaxedOptimizer`.

    References:
        He et al., MiLeNAS (2020). https://arxiv.org/abs/2003.12238
    """

    method = "milenas"

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: Optimizer,
        *,
        validation_weight: float = 1.0,
        **settings: Any,
    ) -> None:
        super().__init__(net, inner, architecture, **settings)
        self.validation_weight = validation_weight

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        return milenas_steps(
            train, validation, self.weights, self.alphas, validation_weight=self.validation_weight
        )


class RARTS(RelaxedOptimizer):
    """Relaxed architecture search: two copies of the weights, one for each half of the data, share alpha.

    The network's own weights are u, the primary ones; the auxiliary w, with statistics of their own for the
    norms, begin as a copy of them. Both take the settings of `inner`.

    Args:
        net: The network, whose parameters are moved.
        inner: Optimizer of all weights; w joins it.
        architecture: Optimizer of the architecture parameters.
        relaxation: lambda, beta, and the penalty with its weight gamma.
        **settings: Those of `RelaxedOptimizer`.

    References:
        Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures (2022),
        algorithm 2. https://escholarship.org/uc/item/3wt239sm
    """

    method = "rarts"

    reported = "u"

    def __init__(
        self,
        net: nn.Module,
        inner: Optimizer,
        architecture: Optimizer,
        *,
        relaxation: Relaxation = Relaxation(),  # noqa: B008 (frozen)
        **settings: Any,
    ) -> None:
        super().__init__(net, inner, architecture, **settings)
        self.relaxation = relaxation
        self.auxiliary = self._functional.copy()
        twins = dict(zip(self.weights, self.auxiliary.weights, strict=True))
        for group in list(inner.param_groups):
            inner.add_param_group(group | {"params": [twins[w] for w in group["params"] if w in twins]})
        self._variables = {"w": self.auxiliary.weights, "u": self.weights, "alpha": self.alphas}

    def _iteration(self, train: Loss, validation: Loss) -> Iterator[Step]:
        w, u = self.auxiliary.weights, self.weights
        return rarts_steps(validation, train, u, w, self.alphas, self.relaxation)

    def _warm_up(self, train: Loss, validation: Loss) -> Iterator[Step]:
        return islice(self._iteration(train, validation), 2)

    def _copies(self) -> Sequence[Copy]:
        return (self.auxiliary,)

    @property
    def latencies(self) -> list[Tensor]:
        """Milliseconds of each operation of each edge; empty where no latency was measured.

        Other values measure the same operations at another time: give them to repeat a run to the bit.
        """
        penalty = self.relaxation.penalty
        return penalty.latencies if isinstance(penalty, LatencyPenalty) else []

    @latencies.setter
    def latencies(self, table: list[Tensor]) -> None:
        self.relaxation = replace(self.relaxation, penalty=LatencyPenalty(table))

    @property
    def measured(self) -> dict[str, Any]:
        """The latencies, which would be others if they were measured again."""
        tables = [table.tolist() for table in self.latencies]
        return {"latencies": tables} if tables else {}

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Use the latencies that an earlier process of the run has measured."""
        if self.latencies and (known := facts.get("latencies")):
            self.latencies = [torch.tensor(table) for table in known]

    def conclude(self, network: Any, space: SearchSpace) -> Conclusion:
        """Derive the network; report the sum of the latencies, and a digest to tell two runs apart."""
        found = super().conclude(network, space)
        if not (tables := self.measured.get("latencies")):
            return found
        digest = sha256(json.dumps(tables).encode()).hexdigest()
        short = {"latencies": {"total_ms": sum(map(sum, tables)), "sha256": digest}}
        return replace(found, report={**found.report, **short})

    def state_dict(self) -> dict[str, Any]:
        """With the latencies, which would be others if they were measured again."""
        return super().state_dict() | {"latencies": self.latencies}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken, with the latencies of then.

        Raises:
            CheckpointError: The state is that of another method.
        """
        super().load_state_dict(state_dict)
        if table := state_dict["latencies"]:
            self.latencies = table
