"""Half-space projection (ASGNAS, Algorithm 3, line 15; OTO, section 3.2), and what makes it cheap.

A trial point stays where it is as long as it lies in the half-space of the point it came from, and becomes
zero once it has left it. The printed line projects x_t; the test needs both x_t and the trial point.

- `RedundantGroups` are the structures on their way to zero. What the test decides stays on the device: a
  structure that has left its half-space is multiplied by zero there, step after step, and the host waits for
  the answer only when it is read. On the CPU reading costs nothing, so it is done at once.
- `StepBound` leaves the test out where it cannot fail. A trial point x - s leaves the half-space of x only
  where <s, x> > (1 - epsilon) ||x||^2, so only a step with ||s|| > (1 - epsilon) ||x|| can. For the
  optimizers of the documents ||s|| is bounded before the step is made: that of SGD by the lengths of its
  gradient and its buffer, that of Adam by its settings alone. Where many small tensors keep a momentum
  (`Momenta`), s is read from it after the step. As long as the bound holds, x is neither copied nor
  multiplied, and no decision differs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from nasviz.errors import InvalidSettingError
from nasviz.optim import waiting
from nasviz.optim.groups import GroupScaler, TensorGroup, merge
from nasviz.saliency import StructureIndex
from nasviz.saliency.reductions import FlatBuffer, are_small

__all__ = [
    "Momenta",
    "ParameterHistory",
    "RedundantGroups",
    "StepBound",
    "adam_bound",
    "halfspace",
    "has_left_halfspace",
    "learning_rates",
    "place_in_periods",
    "progressive_factor",
    "shares",
]


def has_left_halfspace(dot: Tensor, square: Tensor, epsilon: float = 0.0) -> Tensor:
    """Return whether <trial, x> < epsilon ||x||^2, or x is zero already; for any number of groups at once.

    Args:
        dot: <trial, x> of each group.
        square: ||x||^2 of each group.
        epsilon: In [0, 1). 0 zeroes latest, near 1 soonest.

    Examples:
        >>> has_left_halfspace(torch.tensor([22.0, -5.0, 0.0]), torch.tensor([25.0, 25.0, 0.0])).tolist()
        [False, True, True]
    """
    return (dot < epsilon * square) | (square == 0)


def halfspace(trial: Tensor, x: Tensor, epsilon: float = 0.0) -> Tensor:
    """`trial`, or zeros where it has left the half-space of `x`; a group at zero stays there.

    Examples:
        >>> x, d = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 6.0])
        >>> halfspace(x - 0.1 * d, x)
        tensor([2.8000, 3.4000])
        >>> halfspace(x - 1.0 * d, x)
        tensor([0., 0.])
        >>> halfspace(x - 0.5 * (d + x / x.norm()), x, epsilon=0.2)
        tensor([1.7000, 0.6000])
    """
    dot, square = (trial * x).sum(), x.square().sum()
    return torch.where(has_left_halfspace(dot, square, epsilon), torch.zeros_like(trial), trial)


def progressive_factor(step: int, num_steps: int) -> float:
    """Factor by which redundant groups shrink after `step` of a period of `num_steps`; exactly 0 at the last.

    Without a gradient the norm falls linearly: the first factors multiply to 1 - (step + 1) / num_steps.

    Raises:
        InvalidSettingError: `step` lies outside of the period.

    Examples:
        >>> [progressive_factor(step, 5) for step in range(5)]
        [0.8, 0.75, 0.6666666666666666, 0.5, 0.0]
    """
    if not 0 <= step < num_steps:
        raise InvalidSettingError(f"step {step} lies outside of a projection period of {num_steps} steps")
    return (num_steps - step - 1) / (num_steps - step)


def place_in_periods(step: int, num_steps: int, periods: int) -> tuple[int, int, int]:
    """Return which period a step belongs to, its place there, and how many steps that period has.

    Examples:
        >>> [place_in_periods(step, 7, 3) for step in range(7)]
        [(0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2), (2, 0, 3), (2, 1, 3), (2, 2, 3)]
    """
    length = num_steps // periods
    period = min(step // length, periods - 1)
    return period, step - period * length, length if period < periods - 1 else num_steps - period * length


def shares(k: int, periods: int) -> tuple[int, ...]:
    """Return how many of `k` structures are zero at the end of each period; the last takes the rest.

    Examples:
        >>> shares(7, 3)
        (2, 4, 7)
    """
    return (*(k // periods * period for period in range(1, periods)), k)


def learning_rates(tensors: Sequence[Tensor], groups: Sequence[Mapping[str, Any]]) -> list[float]:
    """The rate of each tensor in an optimizer's parameter groups; 0 for one that it does not train."""
    rates = {id(parameter): float(group["lr"]) for group in groups for parameter in group["params"]}
    return [rates.get(id(tensor), 0.0) for tensor in tensors]


class ParameterHistory:
    """Where tensors were before a step, and how the step moved them, in memory that is used again.

    Examples:
        >>> x = torch.tensor([3.0])
        >>> history = ParameterHistory([x])
        >>> before = history.start()
        >>> x -= 1.0
        >>> before, history.directions([0.5])
        ([tensor([3.])], [tensor([2.])])
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = list(tensors)
        self._before: list[Tensor] = []
        self._moved: list[Tensor] = []

    def start(self) -> list[Tensor]:
        """The tensors as they are now; overwritten at the next start."""
        if not self._before:
            self._before = [torch.empty_like(tensor) for tensor in self.tensors]
        if self.tensors:
            torch._foreach_copy_(self._before, self.tensors)
        return self._before

    def directions(self, rates: Sequence[float]) -> list[Tensor]:
        """The d of each tensor, (x_t - x_{t+1}) / lr, momentum and weight decay included."""
        if not self.tensors:
            return []
        if not self._moved:
            self._moved = [torch.empty_like(tensor) for tensor in self.tensors]
        torch._foreach_copy_(self._moved, self._before)
        torch._foreach_sub_(self._moved, self.tensors)
        torch._foreach_div_(self._moved, [rate or 1.0 for rate in rates])  # lr 0: nothing moved
        return self._moved


class Momenta:
    """The buffers of many small tensors, moved into one vector; for SGD they stay what they were.

    A step of SGD with momentum subtracts lr times the buffer, as the buffer is after it. So its length, and
    the point where it began, can be told when it has been made.

    Args:
        inner: SGD with a momentum buffer for each tensor of the index, without Nesterov's.
        index: The structures with their own tensors.

    Examples:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> sgd = SGD([x], lr=0.5, momentum=0.9)
        >>> x.grad = torch.tensor([2.0, 6.0])
        >>> sgd.step()
        >>> momenta = Momenta(sgd, StructureIndex({1: [x]}))
        >>> momenta.norm().item(), momenta.origins()
        (6.324555320336759, [tensor([3., 4.])])
    """

    def __init__(self, inner: Optimizer, index: StructureIndex) -> None:
        self._inner, self._index = inner, index
        buffers = [inner.state[tensor]["momentum_buffer"] for tensor in index.tensors]
        self._flat = FlatBuffer(buffers)
        self._flat.gather(buffers)
        for tensor, view in zip(index.tensors, self._flat.views, strict=True):
            inner.state[tensor]["momentum_buffer"] = view

    @classmethod
    def found(cls, inner: Optimizer, index: StructureIndex) -> Momenta | None:
        """Those of an optimizer, where it pays and the step can be told from them."""
        if not (type(inner) is SGD and are_small(index.tensors)):
            return None
        buffers = [inner.state.get(tensor, {}).get("momentum_buffer") for tensor in index.tensors]
        are_alike = all(
            buffer is not None and buffer.dtype == tensor.dtype and buffer.shape == tensor.shape
            for buffer, tensor in zip(buffers, index.tensors, strict=True)
        )
        return cls(inner, index) if are_alike else None

    def tell_steps(self, groups: list[dict[str, Any]]) -> bool:
        """Return whether steps by these parameter groups are still lr times the buffers that were moved."""
        state: Mapping[str, Any] = self._inner.state.get(self._index.tensors[0], {})
        is_ours = state.get("momentum_buffer") is self._flat.views[0]
        # A fused step may leave everything as it is, where a scaler has found an overflow.
        return is_ours and all(g["momentum"] and not g["nesterov"] and not g["fused"] for g in groups)

    def norm(self) -> Tensor:
        """The length of each structure's buffer."""
        return self._index.norm_of(self._flat.vector)

    @torch.no_grad()
    def origins(self) -> list[Tensor]:
        """Return where the last step began, up to rounding: x + lr buffer, if it had a gradient."""
        tensors = self._index.tensors
        rates = learning_rates(tensors, self._inner.param_groups)
        moved = [rate * (tensor.grad is not None) for rate, tensor in zip(rates, tensors, strict=True)]
        return list(torch._foreach_add(torch._foreach_mul(self._flat.views, moved), tensors))


MARGIN = 1e-3
"""Share by which bounds are widened, against the rounding of norms and steps."""
MEASURE_EVERY = 16
"""After so many steps lengths are measured again, although bounds on them are known."""
PAUSE = 8
"""Steps that are tested without a look at their bounds, once these were of no use."""


class StepBound:
    """Bounds on the steps of an inner optimizer, for structures on their way to zero.

    Args:
        inner: Nothing is known of the steps of others than SGD, Adam and AdamW, nor of those with hooks.
        index: The structures with their own tensors.

    Examples:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> x.grad = torch.tensor([2.0, 6.0])
        >>> index = StructureIndex({1: [x]})
        >>> [StepBound(SGD([x], lr=lr), index).is_short(epsilon=0.0) for lr in (0.1, 1.0)]
        [True, False]
    """

    def __init__(self, inner: Optimizer, index: StructureIndex) -> None:
        self._inner, self._index = inner, index
        self._momenta: Momenta | None = None
        dtypes = {tensor.dtype for tensor in index.tensors}
        self._is_known = (
            bool(index.ids)
            and type(inner) in (SGD, Adam, AdamW)
            and waiting.reads_at_once(index.device)  # else the host would wait for what it measures
            and dtypes <= {torch.float32, torch.float64}
        )
        if not self._is_known:
            return
        places = {id(p): number for number, group in enumerate(inner.param_groups) for p in group["params"]}
        owners = [places.get(id(tensor)) for tensor in index.tensors]
        self._is_known = None not in owners
        self._own_groups = sorted({owner for owner in owners if owner is not None})
        self._roots = index.num_parameters.sqrt()
        self._shortest = self._longest = self._buffer = torch.empty(0, dtype=torch.float64)
        self._is_whole = True
        """Whether every tensor had a gradient when they were last looked at."""
        if self._is_known:
            self._momenta = Momenta.found(inner, index)
        self._age, self._pause = MEASURE_EVERY, 0

    @torch.no_grad()
    def is_short(self, epsilon: float) -> bool:
        """Return whether the next step surely leaves every structure in its half-space."""
        if not self._is_known or self._has_hooks():
            return False
        if self._pause:
            self._pause -= 1
            return False
        gradient = self._gradient() if type(self._inner) is SGD else None
        if self._age < MEASURE_EVERY and self._holds(epsilon, gradient):
            return True
        self._measure()
        if self._holds(epsilon, gradient):
            return True
        self._age, self._pause = MEASURE_EVERY, PAUSE
        return False

    @property
    def looks_back(self) -> bool:
        """Whether it is asked after the step whether that was short, not before."""
        if self._momenta is None or self._pause or self._has_hooks():
            return False
        return self._momenta.tell_steps(self._groups())

    @torch.no_grad()
    def was_short(self, epsilon: float) -> bool:
        """Return whether the step that was just made left every structure in its half-space, for certain."""
        assert self._momenta is not None
        self._buffer = self._momenta.norm() * (1 + MARGIN)
        step = self._largest("lr") * self._buffer
        if self._age >= MEASURE_EVERY or not self._is_within(step, epsilon):
            length = self._index.norm(self._index.tensors)
            self._shortest, self._longest = length * (1 - MARGIN) - step, length * (1 + MARGIN)
            self._age = 0
        is_short = self._is_within(step, epsilon)
        self._carry_on(step)
        if not is_short:
            self._age, self._pause = MEASURE_EVERY, PAUSE
        return is_short

    def origins(self) -> list[Tensor]:
        """Return where the step began that was just made and was not short, tensor by tensor."""
        assert self._momenta is not None
        return self._momenta.origins()

    def scaled(self, factor: float) -> None:
        """Note that all structures were multiplied by `factor` after the step."""
        if self._is_known:
            self._shortest, self._longest = self._shortest * factor, self._longest * factor

    def _holds(self, epsilon: float, gradient: Tensor | None) -> bool:
        """Return whether the bounds exclude that a structure leaves; they are carried on past the step."""
        step = (self._step_of_adam() if gradient is None else self._step_of_sgd(gradient)) * (1 + MARGIN)
        is_short = self._is_within(step, epsilon)
        self._carry_on(step)
        return is_short

    def _is_within(self, step: Tensor, epsilon: float) -> bool:
        return bool((step < (1 - epsilon) * self._shortest).all())

    def _carry_on(self, step: Tensor) -> None:
        """Take the bounds on lengths past a step."""
        self._shortest = (self._shortest - step).clamp_(min=0)
        self._longest = self._longest + step
        self._age += 1

    def _measure(self) -> None:
        """Lengths of the structures, and of the buffers of SGD."""
        length = self._index.norm(self._index.tensors)
        self._shortest, self._longest = length * (1 - MARGIN), length * (1 + MARGIN)
        if type(self._inner) is SGD:
            buffers = [self._inner.state.get(t, {}).get("momentum_buffer") for t in self._index.tensors]
            self._buffer = self._index.norm(buffers) * (1 + MARGIN)
        self._age = 0

    def _gradient(self) -> Tensor:
        """The length of each structure's gradient."""
        grads = [tensor.grad for tensor in self._index.tensors]
        self._is_whole = all(grad is not None for grad in grads)  # `in` would compare tensors
        return self._index.norm(grads)

    def _step_of_sgd(self, gradient: Tensor) -> Tensor:
        """Return for each structure a length that its step does not exceed."""
        momentum, nesterov = self._largest("momentum"), self._largest("nesterov")
        pull = gradient + self._largest("weight_decay") * self._longest
        # A tensor without gradient is passed over, and keeps its buffer.
        keep = momentum if self._is_whole or not momentum else max(1.0, momentum)
        # A new buffer is the gradient itself, whatever the dampening.
        share = max(1.0, *(abs(1 - float(group["dampening"])) for group in self._groups()))
        self._buffer = keep * self._buffer + share * pull
        return self._largest("lr") * (max(1.0, momentum) * self._buffer + nesterov * pull)

    def _step_of_adam(self) -> Tensor:
        """The same, from the settings alone."""
        bound = max(adam_bound(*map(float, group["betas"])) for group in self._groups())
        step = bound * self._roots
        if isinstance(self._inner, AdamW):
            step = step + self._largest("weight_decay") * self._longest
        return self._largest("lr") * step

    def _groups(self) -> list[dict[str, Any]]:
        """The parameter groups that structures lie in."""
        return [self._inner.param_groups[number] for number in self._own_groups]

    def _largest(self, name: str) -> float:
        """A setting, where it is largest: all bounds rise with it."""
        return max(float(group[name]) for group in self._groups())

    def _has_hooks(self) -> bool:
        """Hooks may change gradients after they were measured, or move what the step has moved."""
        own = self._inner
        hooks = (own._optimizer_step_pre_hooks, own._optimizer_step_post_hooks)
        return any(hooks) or bool(_global_optimizer_pre_hooks or _global_optimizer_post_hooks)


@lru_cache(maxsize=64)
def adam_bound(beta1: float, beta2: float) -> float:
    """No coordinate of a step of Adam is longer than this, at learning rate 1 and for any gradients.

    The step is the quotient of two averages of the same gradients, sum w_i g_i and sqrt(sum u_i g_i^2); by
    Cauchy and Schwarz it is at most sqrt(sum w_i^2 / u_i). That is infinite unless beta1^2 < beta2.

    Examples:
        >>> round(adam_bound(0.9, 0.999), 3), round(adam_bound(0.0, 0.5), 3), adam_bound(0.9, 0.5)
        (7.27, 1.414, inf)
    """
    if not (0 <= beta1 <= 0.999 and beta1**2 < beta2 < 1):
        return math.inf
    ratio = beta1**2 / beta2
    steps = torch.arange(1, 20_000, dtype=torch.float64)  # by then 0.999^t plays no part
    sums = (1 - ratio**steps) / (1 - ratio)
    weights = ((1 - beta1) / (1 - beta1**steps)).square() * (1 - beta2**steps) / (1 - beta2)
    limit = (1 - beta1) ** 2 / (1 - beta2) / (1 - ratio)
    return math.sqrt(max(float((weights * sums).max()), limit))


class RedundantGroups:
    """Structures with all that goes to zero with them.

    Args:
        members: For each structure its own tensors, and the rows that it entails.
        remainder: What becomes zero with the last of them.

    Examples:
        >>> x = torch.tensor([3.0, 4.0])
        >>> redundant = RedundantGroups({7: TensorGroup((x,))})
        >>> before = redundant.history.start()
        >>> x -= torch.tensor([2.0, 6.0])
        >>> redundant.judge(before, epsilon=0.0, step=3)
        >>> redundant.read()
        {7: 3}
    """

    def __init__(self, members: Mapping[int, TensorGroup], remainder: TensorGroup | None = None) -> None:
        self.index = StructureIndex({i: group.tensors for i, group in members.items()})
        self.is_lazy = not waiting.reads_at_once(self.index.device)
        """Whether reading a decision would make the host wait."""
        self._groups = [*members.values(), remainder or TensorGroup()]
        self._scaler = GroupScaler(merge(self._groups if members else []))
        self.history = ParameterHistory(self.index.tensors)
        self._zero_since: Tensor | None = None
        """Step at which each structure left its half-space, on the device; -1 where it has not."""

    def __bool__(self) -> bool:
        return bool(self.index.ids)

    @property
    def num_zero(self) -> Tensor:
        """How many of the structures are zero, on the device."""
        if self._zero_since is None:
            return torch.zeros((), dtype=torch.int64, device=self.index.device)
        return (self._zero_since >= 0).sum()

    @torch.no_grad()
    def judge(
        self, before: Sequence[Tensor], epsilon: float, step: int = 0, limit: int | None = None
    ) -> None:
        """Note which structures have left at this step the half-space of the point they came from.

        Args:
            before: The point.
            epsilon: Offset of the half-space.
            step: What is noted.
            limit: How many may be noted in all steps; the shortest come first of
                several that leave together.
        """
        if not self:
            return
        dot = self.index.dot(self.index.tensors, before)
        if epsilon or self.is_lazy or bool((dot == 0).any()):
            square = self.index.dot(before, before)
        else:  # <trial, x> != 0, so x is not zero; and its length plays no part
            square = torch.ones_like(dot)
        has_left = has_left_halfspace(dot, square, epsilon)
        since = torch.full_like(dot, -1, dtype=torch.int64) if self._zero_since is None else self._zero_since
        has_left &= since < 0
        if limit is not None:
            lengths = self.index.norm(before).masked_fill(~has_left, float("inf"))
            has_left &= lengths.argsort(stable=True).argsort() < limit - (since >= 0).sum()
        self._zero_since = torch.where(has_left, step, since)

    @torch.no_grad()
    def zero_(self) -> None:
        """Multiply by zero what has been judged to be zero."""
        if self._zero_since is None:
            return
        is_zero = self._zero_since >= 0
        is_zero = torch.cat([is_zero, is_zero.all().reshape(1)])  # the remainder goes with the last structure
        whole, rows = self._prepared
        if whole.tensors:
            keeps = whole.filled(whole.per_tensor(1 - is_zero.to(whole.dtype)))
            torch._foreach_mul_(whole.tensors, keeps)
        rows.zero_(is_zero)

    def scale_(self, factor: float) -> None:
        """Multiply everything by `factor`."""
        self._scaler.scale_(factor)

    def read(self) -> dict[int, int]:
        """The structures that have been judged to be zero, with the step; the host waits for the device."""
        if self._zero_since is None:
            return {}
        found = zip(self.index.ids, self._zero_since.tolist(), strict=True)
        return {structure: step for structure, step in found if step >= 0}

    @cached_property
    def _prepared(self) -> tuple[StructureIndex, _OwnedRows]:
        """Whole tensors and rows by owner, arranged when they are first needed."""
        taken: set[int] = set()
        whole: dict[int, list[Tensor]] = {}
        for number, group in enumerate(self._groups):
            whole[number] = [tensor for tensor in group.tensors if id(tensor) not in taken]
            taken.update(map(id, group.tensors))
        return StructureIndex(whole), _OwnedRows(self._groups, self.index.device)


class _OwnedRows:
    """Rows of tensors, each zero as soon as one of its owners is."""

    def __init__(self, groups: Sequence[TensorGroup], device: torch.device) -> None:
        lines: dict[tuple[int, int], tuple[Tensor, int, int]] = {}
        slots: list[int] = []
        owners: list[int] = []
        length = 0
        for owner, group in enumerate(groups):
            for rows in group.rows:
                key = (id(rows.tensor), rows.dim)
                if key not in lines:
                    lines[key] = rows.tensor, rows.dim, length
                    length += rows.tensor.shape[rows.dim]
                slots += [lines[key][2] + row for row in rows.index.tolist()]
                owners += [owner] * len(rows.index)
        self._tensors = [tensor for tensor, _, _ in lines.values()]
        self._shapes = [
            [-1 if d == dim else 1 for d in range(tensor.dim())] for tensor, dim, _ in lines.values()
        ]
        self._lengths = [tensor.shape[dim] for tensor, dim, _ in lines.values()]
        self._slots = torch.tensor(slots, dtype=torch.int64, device=device)
        self._owners = torch.tensor(owners, dtype=torch.int64, device=device)

    def zero_(self, is_zero: Tensor) -> None:
        """Zero the rows whose owner is zero."""
        if not self._tensors:
            return
        keep = torch.ones(sum(self._lengths), device=is_zero.device)
        keep.scatter_reduce_(0, self._slots, 1 - is_zero.float()[self._owners], "amin")
        pieces = torch.split(keep, self._lengths)
        # One tensor may have rows along several dimensions: it is multiplied by each in turn.
        for tensor, piece, shape in zip(self._tensors, pieces, self._shapes, strict=True):
            tensor.mul_(piece.view(shape).to(tensor.dtype))
