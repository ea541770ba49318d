"""How far the next step of an inner optimizer can move structures: most steps need no half-space test.

A trial point x - s leaves the half-space of x only where <s, x> > (1 - epsilon) ||x||^2, so only a step with
||s|| > (1 - epsilon) ||x|| can. For the optimizers of the documents ||s|| is bounded before the step is made:
that of SGD by the lengths of its gradient and its buffer, that of Adam by its settings alone, whatever the
gradients were. Where many small tensors keep a momentum, s is told from that once the step has been made. As
long as the bound holds, x is neither copied nor multiplied, and no decision differs.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from nasviz.optim.momenta import Momenta
from nasviz.saliency import StructureIndex

__all__ = ["StepBound", "adam_bound"]

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
            and index.device.type == "cpu"  # elsewhere the host would have to wait for what it measures
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
        """Whether the step that is about to be made leaves every structure in its half-space, for certain."""
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
        """Whether the step that was just made left every structure in its half-space, for certain."""
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
        """Where the step began that was just made and was not short, tensor by tensor."""
        assert self._momenta is not None
        return self._momenta.origins()

    def scaled(self, factor: float) -> None:
        """Note that all structures were multiplied by `factor` after the step."""
        if self._is_known:
            self._shortest, self._longest = self._shortest * factor, self._longest * factor

    def _holds(self, epsilon: float, gradient: Tensor | None) -> bool:
        """Whether the bounds exclude that a structure leaves; they are carried on past the step."""
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
        """For each structure a length that its step does not exceed."""
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
