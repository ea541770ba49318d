"""ProxSGD: proximal stochastic gradient descent with momentum, for group sparsity; and its rivals.

References:
    Chatzimichailidis et al., GSparsity (2022), Algorithm 1 and appendix G. Yang et al., ProxSGD (ICLR 2020).
    Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures (2022), (2.6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.optim.prox import Grouping, RowGrouping, Slices, group_factor
from nasviz.optim.search_optimizer import below_one, not_negative

__all__ = ["NORMALISATIONS", "UPDATES", "ProxSGD", "SplittingSGD", "SubgradientSGD", "gains"]

NORMALISATIONS = ("none", "div", "mul")
AnyGrouping = Grouping | RowGrouping


def gains(mu: float | Tensor, sizes: Tensor, normalisation: str, exponent: float = 0.5) -> Tensor:
    """mu_k of each group: mu, mu / |w_k|^exponent (`div`), or mu |w_k|^exponent (`mul`).

    References:
        GSparsity, equation (3) and the lines around it.

    Examples:
        >>> gains(60.0, torch.tensor([900.0]), "div").item()
        2.0
    """
    if normalisation == "none":
        return mu * torch.ones_like(sizes)
    return mu * sizes.pow(exponent if normalisation == "mul" else -exponent)


class ProxSGD(Optimizer):
    r"""Proximal stochastic gradient descent on f(w) + sum of mu_k ||w_k|| (GSparsity, Algorithm 1).

    v = (1 - rho) v + rho g;  w~_k = w_k - v_k / tau_k;  w^_k = (1 - (mu_k / tau_k) / ||w~_k||)_+ w~_k;
    w = (1 - lr) w + lr w^. Everything outside of the groups has mu_k = 0. As lr < 1, a dead group falls by
    1 - lr a step and is never exactly 0; the documents prune it at 1e-6.

    Args:
        params: As torch takes them. `lr`, `rho`, `mu`, `tau`, `beta` and `delta` may differ between parameter
            groups; a group of variables has those of its first tensor.
        groups: For each id the tensors that shrink together; or rows of tensors, such as whole filters with
            their rows of norms.
        filters: Weights of convolutions whose filters are one group each.
        lr: epsilon of the paper, in (0, 1].
        rho: Weight of the new gradient in v, in (0, 1]; the paper calls it momentum.
        mu: Weight of the penalty.
        normalisation: `none`, `div` or `mul` (see `gains`).
        exponent: Of the group's size in the normalisation.
        tau: Curvature of the model of f, constant; `None` for all makes it adaptive: the mean over the group
            of sqrt(r / (1 - beta^t)) + delta, where r averages the squared gradient.
        beta: Of the average r.
        delta: Least tau.
        bounds: Tensors that are clipped behind the proximal map, such as switches to [0, 1].

    Raises:
        InvalidSettingError: A setting is out of range, or a group holds a tensor that is not in `params`.

    Examples:
        >>> w = torch.tensor([0.6, 0.8], dtype=torch.float64, requires_grad=True)
        >>> optimizer = ProxSGD([w], {0: [w]}, lr=0.001, rho=0.8, mu=0.3)
        >>> w.grad = torch.tensor([0.5, 0.0], dtype=torch.float64)
        >>> optimizer.step()
        >>> [round(x, 6) for x in w.tolist()]
        [0.599527, 0.799709]
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        groups: Mapping[int, Sequence[Tensor]] | RowGrouping | None = None,
        *,
        filters: Sequence[Tensor] = (),
        lr: float = 1e-3,
        rho: float = 0.8,
        mu: float = 0.0,
        normalisation: str = "none",
        exponent: float = 0.5,
        tau: float | None = 1.0,
        beta: float = 0.999,
        delta: float = 1e-8,
        bounds: Mapping[Tensor, tuple[float, float]] | None = None,
    ) -> None:
        for name, value in (("lr", lr), ("rho", rho)):
            if not 0 < value <= 1:
                raise InvalidSettingError(f"{name}={value!r}: must be above 0 and at most 1")
        if normalisation not in NORMALISATIONS:
            raise InvalidSettingError(
                f"normalisation={normalisation!r}: choose one of {', '.join(NORMALISATIONS)}"
            )
        if tau is not None and not 0 < tau < float("inf"):
            raise InvalidSettingError(f"tau={tau!r}: must be a number above 0, or None to adapt it")
        not_negative("mu", mu)
        not_negative("delta", delta)
        self.normalisation, self.exponent = normalisation, not_negative("exponent", exponent)
        self._bounds = {id(tensor): pair for tensor, pair in (bounds or {}).items()}
        self.grouping: AnyGrouping = (
            groups if isinstance(groups, RowGrouping) else Grouping(groups or {}, map(Slices, filters))
        )
        defaults = {"lr": lr, "rho": rho, "mu": mu, "tau": tau, "beta": below_one("beta", beta)}
        super().__init__(params, defaults | {"delta": delta, "num_steps": 0})
        known = {id(p) for group in self.param_groups for p in group["params"]}
        if lost := sum(id(tensor) not in known for tensor in self.grouping.tensors):
            raise InvalidSettingError(f"{lost} tensors of `groups` are not among `params`")
        self._subsets: dict[tuple[bool, ...], AnyGrouping] = {}
        self._spared: frozenset[int] = frozenset()

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; a group none of whose tensors has a gradient stays as it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        grouped = self._grouped()
        pulls = self._pulls(grouped) if grouped.tensors and self.has_penalty else {}
        for group in self.param_groups:
            self._average(group, pulls)
        inside = {id(tensor) for tensor in grouped.tensors}
        for group in self.param_groups:
            self._descend(group, [p for p in group["params"] if p.grad is not None and id(p) not in inside])
        if grouped.tensors:
            self._shrink(grouped)
        return loss

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Return the sum of mu_k ||w_k||, what is added to f, on the device."""
        grouping = self.grouping
        return (self._gains(grouping, self._home()) * grouping.norm(grouping.tensors)).sum()

    @property
    def has_penalty(self) -> bool:
        """Return whether anything is added to f."""
        return bool(self.grouping.tensors) and any(group["mu"] for group in self.param_groups)

    def spare(self, ids: Iterable[int]) -> None:
        """Leave these groups without a penalty from now on.

        Examples:
            >>> weak, strong = torch.tensor([0.1]), torch.tensor([2.0])
            >>> optimizer = ProxSGD([weak, strong], {1: [weak], 2: [strong]}, mu=0.5)
            >>> optimizer.spare([2])
            >>> round(optimizer.penalty().item(), 3)
            0.05
        """
        self._spared = frozenset(ids)

    def like(self, params: Iterable[dict[str, Any]], tensors: Mapping[int, Tensor]) -> ProxSGD:
        """Return one for other tensors, without a penalty: bounds stay, groups go; tau adapts by tensor.

        Args:
            params: Its parameter groups, with their settings.
            tensors: What takes the place of a tensor, by the `id` of that.
        """
        bounds = {tensors[number]: pair for number, pair in self._bounds.items() if number in tensors}
        made = ProxSGD(params, {i: [tensor] for i, tensor in enumerate(bounds)}, bounds=bounds)
        made.defaults = self.defaults
        for group in made.param_groups:
            group["mu"] = 0.0
        return made

    @torch.no_grad()
    def dead(self) -> tuple[int, ...]:
        """Return the groups whose proximal point, by the momentum of now, is zero; synchronizes.

        Such a group only shrinks: it lacks steps, not penalty. Groups that no gradient has reached are left
        out, because steps leave them as they are.
        """
        moved = tuple("exp_avg" in self.state[tensor] for tensor in self.grouping.tensors)
        if not any(moved):
            return ()
        grouping = self.grouping if all(moved) else self.grouping.subset(moved)
        norms: list[float] = grouping.norm(self._fates(grouping, self._home())).tolist()
        return tuple(i for i, norm in zip(grouping.ids, norms, strict=False) if norm == 0)

    def _fates(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        """Return the points that decide which groups are dead: those that are zero."""
        return self._proximal_points(grouping, home)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("num_steps", 0)

    def _pulls(self, grouping: AnyGrouping) -> Mapping[int, Tensor]:
        """Return what the penalty adds to the gradient of each tensor, by its `id`."""
        return {}

    def _average(self, group: dict[str, Any], pulls: Mapping[int, Tensor]) -> None:
        """v, and r where tau adapts, take in the gradients."""
        group["num_steps"] += 1
        live = [p for p in group["params"] if p.grad is not None]
        if not live:
            return
        grads = [p.grad + pulls[id(p)] if id(p) in pulls else p.grad for p in live]
        torch._foreach_lerp_([self._kept(p, "exp_avg") for p in live], grads, group["rho"])
        if group["tau"] is None:
            squares = [self._kept(p, "exp_avg_sq") for p in live]
            torch._foreach_mul_(squares, group["beta"])
            torch._foreach_addcmul_(squares, grads, grads, 1 - group["beta"])

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        kept: Tensor = state[name]
        return kept

    def _descend(self, group: dict[str, Any], alone: Sequence[Tensor]) -> None:
        """Move what is in no group: w = w - (lr / tau) v."""
        if not alone:
            return
        momentum = [self._kept(p, "exp_avg") for p in alone]
        if group["tau"] is not None:
            torch._foreach_add_(list(alone), momentum, alpha=-group["lr"] / group["tau"])
            return
        correction = (1 - group["beta"] ** group["num_steps"]) ** 0.5
        for parameter, direction in zip(alone, momentum, strict=True):
            tau = self._kept(parameter, "exp_avg_sq").sqrt().mean() / correction + group["delta"]
            parameter.sub_(direction / tau, alpha=group["lr"])

    def _grouped(self) -> AnyGrouping:
        """The groups that take part: those that a gradient reaches."""
        live = tuple(tensor.grad is not None for tensor in self.grouping.tensors)
        if all(live):
            return self.grouping
        if live not in self._subsets:
            self._subsets = {live: self.grouping.subset(live)}
        return self._subsets[live]

    def _shrink(self, grouping: AnyGrouping) -> None:
        """Average the weights with the points that they move towards, in place (Algorithm 1, line 4)."""
        tensors, home = grouping.tensors, self._home()
        trial = self._targets(grouping, home)
        torch._foreach_sub_(trial, tensors)
        rates = [float(home[id(tensor)]["lr"]) for tensor in tensors]
        torch._foreach_mul_(trial, rates)
        torch._foreach_add_(tensors, trial)
        # A proximal point is within the bounds, and so are averages with it; a step of SGD has to be cut.
        self._clip(tensors, tensors)

    def _targets(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        """Return the point that each tensor moves towards, by the fraction lr."""
        return self._proximal_points(grouping, home)

    def _descended(self, grouping: AnyGrouping, tau: Tensor) -> list[Tensor]:
        """Return w~ of each tensor: a whole step along the momentum."""
        momentum = [self._kept(tensor, "exp_avg") for tensor in grouping.tensors]
        return list(torch._foreach_sub(grouping.tensors, torch._foreach_div(momentum, grouping.spread(tau))))

    def _proximal_points(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        """Return w^ of each tensor: a step along the momentum, then the proximal map (line 3)."""
        tau = self._tau(grouping, home)
        trial = self._descended(grouping, tau)
        factor = group_factor(grouping.norm(trial), self._gains(grouping, home) / tau)
        torch._foreach_mul_(trial, grouping.spread(factor))  # w^
        self._clip(grouping.tensors, trial)
        return trial

    def _clip(self, tensors: Sequence[Tensor], points: Sequence[Tensor]) -> None:
        """Bring the points of bounded tensors into their bounds, in place."""
        for tensor, point in zip(tensors, points, strict=True):
            if id(tensor) in self._bounds:
                point.clamp_(*self._bounds[id(tensor)])

    def _home(self) -> dict[int, dict[str, Any]]:
        return {id(p): group for group in self.param_groups for p in group["params"]}

    def _gains(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> Tensor:
        found = gains(self._each(grouping, home, "mu"), grouping.sizes, self.normalisation, self.exponent)
        if grouping.multipliers is not None:
            found = found * grouping.multipliers
        if self._spared:  # groups without an id, which follow those with one, are never spared
            found[: len(grouping.ids)] *= torch.tensor(
                [i not in self._spared for i in grouping.ids], device=found.device
            )
        return found

    def _tau(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> Tensor:
        first = home[id(grouping.tensors[0])]
        if first["tau"] is not None:
            return self._each(grouping, home, "tau")
        correction: float = (1 - first["beta"] ** first["num_steps"]) ** 0.5
        roots = torch._foreach_sqrt([self._kept(tensor, "exp_avg_sq") for tensor in grouping.tensors])
        delta: float = first["delta"]
        return grouping.mean(roots) / correction + delta

    @staticmethod
    def _each(grouping: AnyGrouping, home: Mapping[int, dict[str, Any]], name: str) -> Tensor:
        """A setting for each group: that of its first tensor."""
        values = torch.tensor([home[id(t)][name] for t in grouping.tensors], dtype=torch.float64)
        return values.to(grouping.device, non_blocking=True)[grouping.owner_places]


class SubgradientSGD(ProxSGD):
    r"""Stochastic subgradient descent with momentum on the objective of ProxSGD (GSparsity, appendix G).

    w = w - lr / tau_k v, where v averages the gradient of f plus mu_k w / ||w_k||, which is 0 for a group
    that is zero. Groups become short, but not zero, which is what the comparison shows. No group is `dead`:
    a threshold has to decide.

    Args:
        params: As for `ProxSGD`, and so are the other arguments.

    Examples:
        >>> w = torch.tensor([0.6, 0.8], dtype=torch.float64, requires_grad=True)
        >>> optimizer = SubgradientSGD([w], {0: [w]}, lr=0.1, rho=1.0, mu=0.5)
        >>> w.grad = torch.tensor([0.5, 0.0], dtype=torch.float64)
        >>> optimizer.step()
        >>> [round(x, 6) for x in w.tolist()]
        [0.52, 0.76]
    """

    def dead(self) -> tuple[int, ...]:
        """Return nothing: SGD has no rule for what is zero."""
        return ()

    def _pulls(self, grouping: AnyGrouping) -> Mapping[int, Tensor]:
        norms = grouping.norm(grouping.tensors)
        share = self._gains(grouping, self._home()) / norms.masked_fill(norms == 0, 1.0)
        pulls = torch._foreach_mul(grouping.tensors, grouping.spread(share))
        return dict(zip(map(id, grouping.tensors), pulls, strict=True))

    def _targets(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        return self._descended(grouping, self._tau(grouping, home))


class SplittingSGD(ProxSGD):
    r"""Relaxed variable splitting, RVSM: f(w) + sum of mu_k P(u_k) + beta/2 ||w - u||^2 (Xue 2022, (2.6)).

    w = w - lr (v / tau + beta (w - u)), and u is the map of the w before that step: for a group the soft
    threshold (1 - (mu_k / beta) / ||w_k||)_+ w_k, where P is the norm, or the hard threshold, which leaves
    w_k as it is if ||w_k|| > (2 mu_k / beta)^(1/2), where P counts the groups that are not zero. u starts as
    w. A group is `dead` if the map of w_k is zero.

    Args:
        params: As for `ProxSGD`, and so are all further arguments.
        groups: As for `ProxSGD`.
        is_hard: Whether groups are counted.
        coupling: beta.

    Raises:
        InvalidSettingError: A setting is out of range.

    Examples:
        >>> w = torch.tensor([0.6, 0.8], dtype=torch.float64, requires_grad=True)
        >>> optimizer = SplittingSGD([w], {0: [w]}, is_hard=True, coupling=2.0, lr=0.1, rho=1.0, mu=1.1)
        >>> for _ in range(2):
        ...     w.grad = torch.zeros_like(w)
        ...     optimizer.step()
        >>> [round(x, 6) for x in w.tolist()], optimizer.dead()
        ([0.48, 0.64], (0,))
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        groups: Mapping[int, Sequence[Tensor]] | RowGrouping | None = None,
        *,
        is_hard: bool = False,
        coupling: float = 1.0,
        **settings: Any,
    ) -> None:
        if not 0 < coupling < float("inf"):
            raise InvalidSettingError(f"coupling={coupling!r}: must be a number above 0")
        self.is_hard, self.coupling = is_hard, coupling
        super().__init__(params, groups, **settings)

    @torch.no_grad()
    def penalty(self) -> Tensor:
        """Return what is added to f: the sum of mu_k P(u_k), and the coupling of w and u, on the device."""
        grouping = self.grouping
        u = self._split(grouping.tensors)
        gains, norms = self._gains(grouping, self._home()), grouping.norm(u)
        apart = grouping.norm(torch._foreach_sub(grouping.tensors, u)).square()
        sizes = (norms > 0).double() if self.is_hard else norms
        return (gains * sizes + (gains > 0) * self.coupling / 2 * apart).sum()

    def _targets(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        trial = self._descended(grouping, self._tau(grouping, home))
        if not self.has_penalty:
            return trial
        u, mapped = self._split(grouping.tensors), self._fates(grouping, home)  # both of w^t
        # What has no penalty has no u either: it must not be drawn back to where it was.
        strength = torch.where(self._gains(grouping, home) > 0, self.coupling, 0.0)
        apart = torch._foreach_mul(torch._foreach_sub(grouping.tensors, u), grouping.spread(strength))
        torch._foreach_sub_(trial, apart)
        torch._foreach_copy_(u, mapped)
        return trial

    def _fates(self, grouping: AnyGrouping, home: Mapping[int, dict[str, Any]]) -> list[Tensor]:
        """Return the map of w: what u becomes."""
        norms, gamma = grouping.norm(grouping.tensors), self._gains(grouping, home) / self.coupling
        factor = (norms > (2 * gamma).sqrt()).double() if self.is_hard else group_factor(norms, gamma)
        return list(torch._foreach_mul(grouping.tensors, grouping.spread(factor)))

    def _split(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return u of each tensor."""
        for tensor in tensors:
            if "split" not in self.state[tensor]:
                self.state[tensor]["split"] = tensor.detach().clone()
        return [self.state[tensor]["split"] for tensor in tensors]


UPDATES: Mapping[str, Callable[..., ProxSGD]] = {
    "proximal": ProxSGD,
    "subgradient": SubgradientSGD,
    "soft_threshold": partial(SplittingSGD, is_hard=False),
    "hard_threshold": partial(SplittingSGD, is_hard=True),
}
"""By the names of the setting `update`."""
