"""A network evaluated at weights that are not its own, without copying a number.

Other tensors take the places of its parameters in its modules for as long as a loss is computed. Beside
`torch.func.functional_call` this saves its checks, and beside copying values there and back it saves two
passes over memory. What norms learn of the batches that they see elsewhere stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from nasviz.errors import InvalidSettingError
from nasviz.nas.update_steps import Loss, Tensors

__all__ = ["Copy", "FunctionalWeights"]


class _Slots:
    """Where some tensors of a network sit in its modules, under all their names."""

    def __init__(self, net: nn.Module, tensors: Tensors) -> None:
        self.tensors = list(tensors)
        places = {id(tensor): index for index, tensor in enumerate(self.tensors)}
        self._slots: list[tuple[dict[str, Any], str, int]] = [
            (registry, name, places[id(tensor)])
            for module in net.modules()
            for registry in (module._parameters, module._buffers)
            for name, tensor in registry.items()
            if id(tensor) in places
        ]
        if lost := len(self.tensors) - len({index for _, _, index in self._slots}):
            raise InvalidSettingError(f"{lost} of {len(self.tensors)} tensors are none of the network's own")

    @contextmanager
    def holding(self, others: Tensors) -> Iterator[None]:
        """Let `others` take the places."""
        try:
            self._put(others)
            yield
        finally:
            self._put(self.tensors)

    def _put(self, tensors: Tensors) -> None:
        for registry, name, index in self._slots:
            registry[name] = tensors[index]


class Copy:
    """Other weights of the same network, with statistics of their own for its norms."""

    def __init__(self, weights: Tensors, statistics: Tensors) -> None:
        self.weights = [weight.detach().clone().requires_grad_() for weight in weights]
        self.statistics = [tensor.clone() for tensor in statistics]

    @torch.no_grad()
    def load_(self, weights: Tensors, statistics: Tensors) -> None:
        """Take over other values, in place."""
        for own, others in ((self.weights, weights), (self.statistics, statistics)):
            if own:
                torch._foreach_copy_(list(own), list(others))


class FunctionalWeights:
    """The loss of a network as a function of weights and architecture parameters.

    Args:
        net: The network.
        weights: Its parameters that are weights.
        alphas: Its parameters that are not.

    Raises:
        InvalidSettingError: A tensor is not one of the network's.

    Examples:
        >>> net = nn.Linear(1, 1, bias=False)
        >>> weights = list(net.parameters())
        >>> elsewhere = FunctionalWeights(net, weights, [])
        >>> loss = elsewhere.loss(lambda: net(torch.ones(1, 1)).sum())
        >>> there = [torch.full((1, 1), 7.0)]
        >>> loss(there, []).item(), loss(weights, []).item() == net.weight.item()
        (7.0, True)
    """

    def __init__(
        self, net: nn.Module, weights: Sequence[nn.Parameter], alphas: Sequence[nn.Parameter]
    ) -> None:
        self.weights, self.alphas = list(weights), list(alphas)
        self._parameters = _Slots(net, [*weights, *alphas])
        norms = [module for module in net.modules() if isinstance(module, _NormBase)]
        buffers = {id(b): b for norm in norms for b in norm.buffers(recurse=False)}
        self._statistics = _Slots(net, list(buffers.values()))
        self._copies: list[Copy] = []
        self._scratch: list[Tensor] | None = None

    def copy(self) -> Copy:
        """A copy of the weights as they are; a loss that is asked for at them uses its statistics."""
        made = Copy(self.weights, self._statistics.tensors)
        self._copies.append(made)
        return made

    def loss(self, closure: Callable[[], Tensor]) -> Loss:
        """`closure`, which runs the network as it stands, as a function of where it stands."""

        def at(weights: Tensors, alphas: Tensors) -> Tensor:
            if _same(weights, self.weights) and _same(alphas, self.alphas):
                return closure()
            with (
                self._parameters.holding([*weights, *alphas]),
                self._statistics.holding(self._statistics_of(weights)),
            ):
                return closure()

        return at

    def _statistics_of(self, weights: Tensors) -> Tensors:
        """Those of a copy; elsewhere nobody reads them, so that any will do but the network's."""
        if _same(weights, self.weights):
            return self._statistics.tensors
        for copy in self._copies:
            if _same(weights, copy.weights):
                return copy.statistics
        if self._scratch is None:
            self._scratch = [tensor.clone() for tensor in self._statistics.tensors]
        return self._scratch


def _same(one: Tensors, other: Tensors) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
