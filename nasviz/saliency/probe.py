"""Scores that need passes of their own: each works on a copy of the network, and may do anything to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, fx, nn

from nasviz.errors import DataError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.saliency.reductions import StructureIndex

__all__ = ["Batch", "Loss", "Probe", "Proxy", "Space", "Structure", "derivatives", "own_tensors", "recorded"]

Batch = tuple[Any, Any]
"""Input, a tensor or a tuple of tensors, and target."""
Loss = Callable[[Any, Any], Tensor]
"""Of output and target."""

NUM_EXAMPLES = 16
"""Examples that the scores without training look at, as their authors do."""


class Structure(Protocol):
    """What scoring needs to know of a removal structure."""

    @property
    def id(self) -> int:
        """Its number in the space."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The parameters that are its own."""


class Space(Protocol):
    """What scoring needs to know of a search space."""

    @property
    def removable(self) -> Sequence[Structure]:
        """The structures that are scored."""


def own_tensors(net: nn.Module, space: Space) -> dict[int, list[Tensor]]:
    """The own parameters of each removable structure, found in `net` by name.

    Raises:
        InvalidSettingError: The space names a parameter that `net` does not hold.
    """
    named = dict(net.named_parameters(remove_duplicate=False))
    if lost := [name for s in space.removable for name in s.parameter_names if name not in named]:
        raise InvalidSettingError(
            f"the search space names parameters that this network does not hold: {lost[:5]};"
            " pass the network from which the space was generated"
        )
    return {s.id: [named[name] for name in s.parameter_names] for s in space.removable}


def derivatives(
    value: Tensor, tensors: Sequence[Tensor], *, create_graph: bool = False
) -> list[Tensor | None]:
    """The gradient of `value` at each tensor, `None` where there is none; `.grad` is left alone."""
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if not wanted:
        return [None] * len(tensors)
    found = torch.autograd.grad(value, wanted, create_graph=create_graph, allow_unused=True)
    by_id = {id(tensor): gradient for tensor, gradient in zip(wanted, found, strict=True)}
    return [by_id.get(id(tensor)) for tensor in tensors]


@dataclass
class Probe:
    """A copy of a network, in training mode, with what a score may look at."""

    network: nn.Module
    space: Space
    batches: Sequence[Batch]
    loss: Loss
    generator: Generator

    @cached_property
    def index(self) -> StructureIndex:
        """The structures' own tensors in the copy."""
        return StructureIndex(own_tensors(self.network, self.space))

    @property
    def search_space(self) -> SearchSpace:
        """The space itself, for scores that erase or look at vertices.

        Raises:
            InvalidSettingError: It is something else that names structures.
        """
        if not isinstance(self.space, SearchSpace):
            raise InvalidSettingError(
                "this score looks at vertices: pass a traced network and its SearchSpace"
            )
        return self.space

    @cached_property
    def seed(self) -> int:
        """A number drawn once from `generator`."""
        return int(torch.randint(2**31, (1,), generator=self.generator, device=self.generator.device).item())

    def output(self, inputs: Any) -> Any:
        """Answer of the copy."""
        return self.network(*inputs) if isinstance(inputs, tuple | list) else self.network(inputs)

    def loss_of(self, batch: Batch) -> Tensor:
        """Loss of the copy on a batch."""
        inputs, target = batch
        return self.loss(self.output(inputs), target)

    def examples(self) -> tuple[Tensor, ...]:
        """Inputs of a few examples: from the first batch, or else random numbers.

        Raises:
            DataError: There is no batch, and the inputs are no plain numbers.
        """
        if self.batches:
            inputs = self.batches[0][0]
            every = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
            return tuple(x[:NUM_EXAMPLES] for x in every)
        draws = Generator().manual_seed(self.seed)
        found = self.search_space.trace.inputs
        if any(not i.dtype.startswith(("float", "bfloat")) or -1 in i.shape[1:] for i in found):
            raise DataError("random numbers are no input of this network: pass a batch")
        return tuple(
            torch.randn((NUM_EXAMPLES, *i.shape[1:]), generator=draws).to(self.index.device) for i in found
        )


@dataclass(frozen=True, slots=True)
class Proxy:
    """A score by name that needs passes of its own, and cannot be read from an optimizer's step."""

    name: str
    function: Callable[[Probe], Tensor]
    """One number for each structure, in the order of `Probe.index`."""
    needs_batches: bool = True


class _Recorder(fx.Interpreter):
    """Runs a network and keeps something of the values of some nodes."""

    def __init__(
        self, network: fx.GraphModule, names: Collection[str], keep: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(network)
        self.names, self.keep = frozenset(names), keep
        self.kept: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.names:
            self.kept[n.name] = self.keep(value)  # at once: a later operator may write over it
        return value


def recorded(
    network: nn.Module, inputs: Any, names: Collection[str], keep: Callable[[Tensor], Tensor]
) -> tuple[Any, Mapping[str, Tensor]]:
    """Answer of a traced network, and what `keep` makes of the values of the vertices `names`.

    Raises:
        InvalidSettingError: The network is not traced.
    """
    if not isinstance(network, fx.GraphModule):
        raise InvalidSettingError("this score looks inside the network: pass it traced (nasviz.trace)")
    recorder = _Recorder(network, names, keep)
    output = recorder.run(*(inputs if isinstance(inputs, tuple | list) else (inputs,)))
    return output, recorder.kept
