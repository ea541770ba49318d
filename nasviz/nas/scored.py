"""A network evaluated with its channels multiplied by scores, without a change of its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from nasviz.nas.functional_weights import Copy, Elsewhere
from nasviz.nas.update_steps import Loss, Tensors
from nasviz.optim.channel_scores import ChannelScores

__all__ = ["Scored"]


class Scored(Elsewhere):
    """The loss of a network as a function of weights and of the scores of its channels.

    Args:
        net: The network.
        weights: Its parameters.
        scores: Of its channels; none of its parameters.
    """

    def __init__(self, net: nn.Module, weights: Sequence[nn.Parameter], scores: ChannelScores) -> None:
        super().__init__(net, weights, [])
        self._scores = scores
        places = {id(weight): place for place, weight in enumerate(weights)}
        self._places = [places[id(tensor)] for tensor in scores.index.tensors]

    def loss(self, closure: Callable[[], Tensor]) -> Loss:
        """`closure`, which runs the network as it stands, at other weights and with other scores."""

        def at(weights: Tensors, alphas: Tensors) -> Tensor:
            (values,) = alphas
            with self._holding(weights, values), self._statistics.holding(self._statistics_of(weights)):
                return closure()

        return at

    @contextmanager
    def counting(self, values: Tensor) -> Iterator[None]:
        """Let the network compute with these scores."""
        with self._holding(self.weights, values):
            yield

    @contextmanager
    def at(self, copy: Copy) -> Iterator[None]:
        """Let the network compute with the weights and statistics of a copy, without scores."""
        with self._parameters.holding(copy.weights), self._statistics.holding(copy.statistics):
            yield

    @property
    def statistics(self) -> Sequence[Tensor]:
        """Of the norms of the network itself."""
        return self._statistics.tensors

    @contextmanager
    def _holding(self, weights: Tensors, values: Tensor) -> Iterator[None]:
        made = list(weights)
        scaled = self._scores.scaled([made[place] for place in self._places], values)
        for place, tensor in zip(self._places, scaled, strict=True):
            made[place] = tensor
        with self._parameters.holding(made):
            yield
