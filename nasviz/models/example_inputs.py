"""Example inputs for a network of the user's own, from what the user said that it takes."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.catalog import InputSpec
from nasviz.errors import InvalidSettingError

__all__ = ["EXAMPLE_BATCH", "drawn_inputs", "returned_inputs"]

EXAMPLE_BATCH = 2


def drawn_inputs(model: nn.Module, specs: Sequence[InputSpec]) -> tuple[Any, ...]:
    """Seeded random arguments of `model`, by place: a batch of two for each of `specs`.

    Whole numbers without a bound stay below the smallest table of the network that is looked up in, or
    below 2 where it has none.

    Raises:
        InvalidSettingError: `model` takes no argument of that name, or one more than it takes.

    Examples:
        >>> (tokens,) = drawn_inputs(nn.Embedding(9, 4), [InputSpec.parse("int64:N,5")])
        >>> tokens.shape, bool((tokens < 9).all())
        (torch.Size([2, 5]), True)
    """
    generator = torch.Generator().manual_seed(0)
    tables = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    places: list[Any] = []
    named: dict[str, Any] = {}
    for spec in specs:
        value = _drawn(spec, min(tables, default=2), generator)
        if spec.name:
            _put(named, spec.name.split("."), value)
        else:
            places.append(value)
    return _by_place(model, places, named)


def returned_inputs(model: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Arguments of `model`, by place, from what a callable returned beside it.

    A dict of the names of arguments gives each its value, as in `nasviz.trace`; any other is one argument.

    Raises:
        InvalidSettingError: An argument is taken by name only.

    Examples:
        >>> returned_inputs(nn.Linear(2, 1), {"input": 1}), returned_inputs(nn.Linear(2, 1), {"rgb": 1})
        ((1,), ({'rgb': 1},))
    """
    if isinstance(inputs, tuple):
        return inputs
    names = inspect.signature(model.forward).parameters
    if isinstance(inputs, Mapping) and inputs and names.keys() >= inputs.keys():
        return _by_place(model, (), dict(inputs))
    return (inputs,)


def _drawn(spec: InputSpec, table: int, generator: torch.Generator) -> Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    shape = (EXAMPLE_BATCH, *spec.shape)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    high = 2 if dtype == torch.bool else spec.below or table
    return torch.randint(high, shape, generator=generator).to(dtype)


def _put(tree: dict[str, Any], path: Sequence[str], value: Tensor) -> None:
    """Hang a value into nested dicts."""
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise InvalidSettingError(f"{'.'.join(path)} is an entry of {key}, which is an input by itself")
    if path[-1] in tree:
        raise InvalidSettingError(f"the input {'.'.join(path)} was given twice")
    tree[path[-1]] = value


def _by_place(model: nn.Module, places: Sequence[Any], named: dict[str, Any]) -> tuple[Any, ...]:
    """What `forward` gets by place, with defaults for what is left out before the last that is named."""
    signature = inspect.signature(model.forward)
    try:
        bound = signature.bind(*places, **named)
    except TypeError as error:
        words = _words([*(f"input {i + 1}" for i in range(len(places))), *named])
        raise InvalidSettingError(
            f"{type(model).__name__} takes {signature}, and {words} were given: {error}"
        ) from error
    if not named:
        return tuple(places)
    found: list[Any] = []
    *_, last = bound.arguments
    for name, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise InvalidSettingError(
                f"{type(model).__name__} takes {last} by name only: {signature}; inputs go by place here, so"
                " take the * out of its forward, or wrap it in a network that passes them on"
            )
        found.append(bound.arguments.get(name, parameter.default))
        if name == last:
            break
    return tuple(found)


def _words(names: Iterable[str]) -> str:
    return ", ".join(names)
