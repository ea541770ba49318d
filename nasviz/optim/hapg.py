"""HAPG and AdamHAPG: accelerated proximal gradient steps for the sparse group lasso.

References:
    Wu et al., Neural Architecture Search as Sparse Supernet (AAAI 2021), equations (5)-(10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.optim.prox import Grouping, Slices, group_factor
from nasviz.optim.search_optimizer import below_one, not_negative

__all__ = ["HAPG", "AdamHAPG", "inertia", "pathwise"]


def inertia(step: int, cap: float = 1.0) -> float:
    """u_t = (t - 2) / (t + 1) for t from 1, at most `cap`: a damped first step, then ever more momentum.

    Examples:
        >>> [inertia(t) for t in (1, 2, 3, 4, 5)], inertia(50, cap=0.9)
        ([-0.5, 0.0, 0.25, 0.4, 0.5], 0.9)
    """
    return min((step - 2) / (step + 1), cap)


def pathwise(epoch: int, step: float = 0.01, cap: float = float("inf")) -> float:
    """Lambda of an epoch, counted from 0: raised evenly from 0 (SparseNAS, "Effect of lambda").

    Examples:
        >>> [pathwise(epoch) for epoch in (0, 1, 50)], pathwise(50, cap=0.3)
        ([0.0, 0.01, 0.5], 0.3)
    """
    return min(step * epoch, cap)


class HAPG(Optimizer):
    r"""Hierarchical accelerated proximal gradient for the sparse group lasso.

    Minimises f(A) + lambda (alpha ||A||_1 + (1 - alpha) sum of sqrt|n| ||A_n||) over the groups n:
    z = A - lr g;  P = group map of (element map of z);  v_t = P - A + u_{t-1} v_{t-1};  A = P + u_t v_t.
    Exact zeros live in P, the proximal point: A may differ from zero where P has just become so. Read
    sparsity from `proximal_point`, and end with `settle_`.

    Args:
        params: As torch takes them; `lr`, `strength` and `alpha` may differ between parameter groups.
        groups: For each id the tensors of one group, such as all switches into a node. What is in no group
            is not penalised.
        slices: Tensors of which every slice is one group.
        lr: eta; below 2 / L, where L bounds how fast the gradient of f changes.
        strength: lambda.
        alpha: Balance in [0, 1]: 1 is the lasso, 0 the group lasso.
        inertia_cap: Largest u_t, in [0, 1]. 1 is the paper's formula, which approaches 1 and so forgets
            nothing: with the noise of mini-batches, or with Adam's steps, it diverges after some hundred
            steps. 0.9 does not.

    Raises:
        InvalidSettingError: A setting is out of range, or a group holds a tensor that is not in `params`.

    Examples:
        >>> goal = torch.tensor([1.0, 0.2], dtype=torch.float64)
        >>> a = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        >>> optimizer = HAPG([a], {0: [a]}, lr=0.5, strength=0.4)
        >>> for _ in range(4):
        ...     a.grad = a.detach() - goal
        ...     optimizer.step()
        >>> [round(x, 6) for x in optimizer.proximal_point()[0].tolist()], [round(x, 6) for x in a.tolist()]
        ([0.480795, 0.0], [0.505036, 0.0])
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        groups: Mapping[int, Sequence[Tensor]] | None = None,
        *,
        slices: Iterable[Slices] = (),
        lr: float = 0.01,
        strength: float = 0.0,
        alpha: float = 0.5,
        inertia_cap: float = 1.0,
        **defaults: Any,
    ) -> None:
        if not 0 < lr < float("inf"):
            raise InvalidSettingError(f"lr={lr!r}: must be a number above 0")
        if not 0 <= alpha <= 1:
            raise InvalidSettingError(f"alpha={alpha!r}: must be from 0, group lasso, to 1, lasso")
        if not 0 <= inertia_cap <= 1:
            raise InvalidSettingError(f"inertia_cap={inertia_cap!r}: must be from 0 to 1")
        not_negative("strength", strength)
        own = {"lr": lr, "strength": strength, "alpha": alpha, "inertia_cap": inertia_cap, "num_steps": 0}
        self.grouping = Grouping(groups or {}, slices)
        super().__init__(params, own | defaults)
        self._rates: dict[int, Tensor] = {}
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if lost := sum(id(tensor) not in known for tensor in self.grouping.tensors):
            raise InvalidSettingError(f"{lost} tensors of `groups` are not among `params`")

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; a tensor without a gradient is taken to have a zero one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        points: dict[int, Tensor] = {}
        self._rates = {}
        for group in self.param_groups:
            group["num_steps"] += 1
            tensors: list[Tensor] = group["params"]
            for tensor, point in zip(tensors, self._forward(group, tensors), strict=True):
                points[id(tensor)] = point
        self._map(points)
        for group in self.param_groups:
            self._accelerate(group, [points[id(tensor)] for tensor in group["params"]])
        return loss

    @torch.no_grad()
    def proximal_point(self) -> list[Tensor]:
        """P of each tensor of the groups, in their order; the tensors themselves before the first step."""
        return [self.state[tensor].get("prox", tensor) for tensor in self.grouping.tensors]

    @torch.no_grad()
    def settle_(self) -> None:
        """End with A = P, in place: from here on the tensors hold the exact zeros."""
        for group in self.param_groups:
            for tensor in group["params"]:
                if "prox" in self.state[tensor]:
                    tensor.copy_(self.state[tensor]["prox"])
                    self.state[tensor]["velocity"].zero_()

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Lambda (alpha ||A||_1 + (1 - alpha) sum of sqrt|n| ||A_n||), what is added to f."""
        grouping, (l1, l2) = self.grouping, self._weights()
        size = grouping.mean(torch._foreach_abs(grouping.tensors)) * grouping.sizes
        return (l1 * size + l2 * grouping.sizes.sqrt() * grouping.norm(grouping.tensors)).sum()

    def _forward(self, group: dict[str, Any], tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Z of each tensor."""
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
        return torch._foreach_add(list(tensors), grads, alpha=-group["lr"])

    def _map(self, points: dict[int, Tensor]) -> None:
        """The proximal map of the penalty: entries first, then groups (SparseNAS, equations 5, 9, 10)."""
        grouping = self.grouping
        if not grouping.tensors:
            return
        l1, l2 = self._weights()
        trial = [points[id(tensor)] for tensor in grouping.tensors]
        elements, rates = self._thresholds(l1)
        sizes = torch._foreach_abs(trial)
        torch._foreach_sub_(sizes, elements)
        torch._foreach_clamp_min_(sizes, 0.0)
        soft = torch._foreach_mul(torch._foreach_sign(trial), sizes)
        factor = group_factor(grouping.norm(soft), grouping.sizes.sqrt() * rates * l2)
        torch._foreach_mul_(soft, grouping.spread(factor))
        for tensor, mapped in zip(grouping.tensors, soft, strict=True):
            points[id(tensor)] = mapped

    def _thresholds(self, l1: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return how far the entries of each tensor come closer to zero, and the step size of each group."""
        home = {id(p): group["lr"] for group in self.param_groups for p in group["params"]}
        lr = [home[id(t)] for t in self.grouping.owners]
        rates = torch.tensor(lr, dtype=torch.float64).to(self.grouping.device)
        return self.grouping.spread(rates * l1), rates

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Lambda alpha and lambda (1 - alpha) of each group."""
        home = {id(p): group for group in self.param_groups for p in group["params"]}
        pairs = [(home[id(t)]["strength"], home[id(t)]["alpha"]) for t in self.grouping.owners]
        table = torch.tensor(pairs, dtype=torch.float64).view(-1, 2).to(self.grouping.device)
        strength, alpha = table[:, 0], table[:, 1]
        return strength * alpha, strength * (1 - alpha)

    def _accelerate(self, group: dict[str, Any], points: Sequence[Tensor]) -> None:
        """V and A (SparseNAS, equations 7 and 8)."""
        tensors: list[Tensor] = group["params"]
        step, cap = group["num_steps"], group["inertia_cap"]
        for tensor in tensors:
            if "velocity" not in self.state[tensor]:
                self.state[tensor]["velocity"] = torch.zeros_like(tensor)
                self.state[tensor]["prox"] = torch.zeros_like(tensor)
        velocity = [self.state[tensor]["velocity"] for tensor in tensors]
        torch._foreach_mul_(velocity, inertia(step - 1, cap) if step > 1 else 0.0)  # u_0 = 0
        torch._foreach_add_(velocity, list(points))
        torch._foreach_sub_(velocity, tensors)
        torch._foreach_copy_([self.state[tensor]["prox"] for tensor in tensors], list(points))
        torch._foreach_copy_(tensors, list(points))
        torch._foreach_add_(tensors, velocity, alpha=inertia(step, cap))


class AdamHAPG(HAPG):
    """HAPG with the step sizes of Adam: each entry has its own, and a group the median of its entries.

    Args:
        params: As for `HAPG`; `betas` and `eps` may differ between parameter groups too.
        groups: As for `HAPG`.
        betas: Of the averages of the gradient and of its square.
        eps: Added to the root of the average square.
        **settings: Those of `HAPG`.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        groups: Mapping[int, Sequence[Tensor]] | None = None,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **settings: Any,
    ) -> None:
        pair = (below_one("betas[0]", betas[0]), below_one("betas[1]", betas[1]))
        super().__init__(params, groups, betas=pair, eps=not_negative("eps", eps), **settings)

    def _forward(self, group: dict[str, Any], tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
        (beta1, beta2), step = group["betas"], group["num_steps"]
        for tensor in tensors:
            if "exp_avg" not in self.state[tensor]:
                self.state[tensor]["exp_avg"] = torch.zeros_like(tensor)
                self.state[tensor]["exp_avg_sq"] = torch.zeros_like(tensor)
        first = [self.state[tensor]["exp_avg"] for tensor in tensors]
        second = [self.state[tensor]["exp_avg_sq"] for tensor in tensors]
        torch._foreach_lerp_(first, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
        # eta_i = eta / (sqrt(v^_i) + eps), and z_i = A_i - eta_i m^_i.
        rates = torch._foreach_div(second, 1 - beta2**step)
        torch._foreach_sqrt_(rates)
        torch._foreach_add_(rates, group["eps"])
        torch._foreach_reciprocal_(rates)
        torch._foreach_mul_(rates, group["lr"])
        self._rates |= {id(tensor): rate for tensor, rate in zip(tensors, rates, strict=True)}
        return torch._foreach_addcmul(list(tensors), rates, first, value=-1 / (1 - beta1**step))

    def _thresholds(self, l1: Tensor) -> tuple[list[Tensor], Tensor]:
        steps = [self._rates[id(tensor)] for tensor in self.grouping.tensors]
        return list(torch._foreach_mul(steps, self.grouping.spread(l1))), self.grouping.median(steps)
