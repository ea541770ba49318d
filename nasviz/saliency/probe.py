"""Scores that need their own passes: each works on a copy of the network, which it may modify."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, fx, nn

from nasviz.errors import DataError, InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.saliency.reductions import StructureIndex

__all__ = [
    "Batch",
    "Loss",
    "Probe",
    "Proxy",
    "Space",
    "Structure",
    "cross_entropy",
    "derivatives",
    "own_tensors",
    "recorded",
    "tensors_in",
]


def tensors_in(output: Any) -> Iterator[Tensor]:
    """Yield the tensors of an output in order, through tuples, lists and mappings.

    Examples:
        >>> import torch
        >>> [t.item() for t in tensors_in({"logits": (torch.tensor(1.0),), "aux": torch.tensor(2.0)})]
        [1.0, 2.0]
    """
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from tensors_in(value)
    elif isinstance(output, tuple | list):
        for value in output:
            yield from tensors_in(value)


def cross_entropy(output: Any, target: Any) -> Tensor:
    """Return the cross-entropy of the first tensor of an output."""
    return nn.functional.cross_entropy(next(tensors_in(output)), target)


Batch = tuple[Any, Any]
"""Input, a tensor or a tuple of tensors, and target."""
Loss = Callable[[Any, Any], Tensor]
"""Function of output and target."""

NUM_EXAMPLES = 16
"""Number of examples for scores without training, as in their papers."""


class Structure(Protocol):
    """A removal structure, as far as scoring needs it."""

    @property
    def id(self) -> int:
        """Id in the space."""

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of its own parameters."""


class Space(Protocol):
    """A search space, as far as scoring needs it."""

    @property
    def removable(self) -> Sequence[Structure]:
        """Structures to score."""


def own_tensors(net: nn.Module, space: Space) -> dict[int, list[Tensor]]:
    """Return the own parameters of each removable structure, found in `net` by name.

    Raises:
        InvalidSettingError: The space contains a parameter that `net` does not have.
    """
    named = dict(net.named_parameters(remove_duplicate=False))
    if lost := [name for s in space.removable for name in s.parameter_names if name not in named]:
        raise InvalidSettingError(
            f"the search space contains parameters that this network does not have: {lost[:5]};"
            " pass the network from which the space was generated"
        )
    return {s.id: [named[name] for name in s.parameter_names] for s in space.removable}


def derivatives(
    value: Tensor, tensors: Sequence[Tensor], *, create_graph: bool = False
) -> list[Tensor | None]:
    """Return the gradient of `value` at each tensor, or `None`; `.grad` is not modified."""
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if not wanted:
        return [None] * len(tensors)
    found = torch.autograd.grad(value, wanted, create_graph=create_graph, allow_unused=True)
    by_id = {id(tensor): gradient for tensor, gradient in zip(wanted, found, strict=True)}
    return [by_id.get(id(tensor)) for tensor in tensors]


@dataclass
class Probe:
    """A copy of a network in training mode, with the data and loss that a score may use."""

    network: nn.Module
    space: Space
    batches: Sequence[Batch]
    loss: Loss
    generator: Generator

    @cached_property
    def index(self) -> StructureIndex:
        """Own tensors of the structures in the copy."""
        return StructureIndex(own_tensors(self.network, self.space))

    @property
    def search_space(self) -> SearchSpace:
        """The search space, for scores that erase structures or read vertices.

        Raises:
            InvalidSettingError: `space` is not a `SearchSpace`.
        """
        if not isinstance(self.space, SearchSpace):
            raise InvalidSettingError("this score needs vertices: pass a traced network and its SearchSpace")
        return self.space

    @cached_property
    def seed(self) -> int:
        """Seed drawn once from `generator`."""
        return int(torch.randint(2**31, (1,), generator=self.generator, device=self.generator.device).item())

    def output(self, inputs: Any) -> Any:
        """Return the output of the copy."""
        return self.network(*inputs) if isinstance(inputs, tuple | list) else self.network(inputs)

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the loss of the copy on a batch."""
        inputs, target = batch
        return self.loss(self.output(inputs), target)

    def examples(self) -> tuple[Tensor, ...]:
        """Return inputs of a few examples, from the first batch or else random.

        Raises:
            DataError: There is no batch, and the inputs are not floating-point.
        """
        if self.batches:
            inputs = self.batches[0][0]
            every = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
            return tuple(x[:NUM_EXAMPLES] for x in every)
        draws = Generator().manual_seed(self.seed)
        found = self.search_space.trace.inputs
        if any(not i.dtype.startswith(("float", "bfloat")) or -1 in i.shape[1:] for i in found):
            raise DataError("this network does not take random floating-point inputs: pass a batch")
        return tuple(
            torch.randn((NUM_EXAMPLES, *i.shape[1:]), generator=draws).to(self.index.device) for i in found
        )


@dataclass(frozen=True, slots=True)
class Proxy:
    """A named score that needs its own passes, so it cannot be computed from an optimizer step."""

    name: str
    function: Callable[[Probe], Tensor]
    """Returns one number per structure, in the order of `Probe.index`."""
    needs_batches: bool = True


class _Recorder(fx.Interpreter):
    """Interpreter that keeps a function of the values of some nodes."""

    def __init__(
        self, network: fx.GraphModule, names: Collection[str], keep: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(network)
        self.names, self.keep = frozenset(names), keep
        self.kept: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.names:
            self.kept[n.name] = self.keep(value)  # immediately: a later in-place operator may overwrite it
        return value


def recorded(
    network: nn.Module, inputs: Any, names: Collection[str], keep: Callable[[Tensor], Tensor]
) -> tuple[Any, Mapping[str, Tensor]]:
    """Return the output of a traced network, and `keep` of the values of the vertices `names`.

    Raises:
        InvalidSettingError: The network is not traced.
    """
    if not isinstance(network, fx.GraphModule):
        raise InvalidSettingError("this score reads values inside the network: pass nasviz.trace(...)")
    recorder = _Recorder(network, names, keep)
    output = recorder.run(*(inputs if isinstance(inputs, tuple | list) else (inputs,)))
    return output, recorder.kept
