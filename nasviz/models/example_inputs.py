"""Example inputs for a user's own network, from input specifications."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.catalog import InputSpec
from nasviz.errors import InvalidSettingError

__all__ = ["EXAMPLE_BATCH", "positional_inputs", "random_inputs"]

EXAMPLE_BATCH = 2


def random_inputs(model: nn.Module, specs: Sequence[InputSpec]) -> tuple[Any, ...]:
    """Return seeded random positional arguments of `model`: a batch of two for each of `specs`.

    Integers without a bound stay below the size of the smallest embedding of the network, or below 2.

    Raises:
        InvalidSettingError: `model` has no argument of that name, or too few arguments.


    Examples:
        >>> (tokens,) = random_inputs(nn.Embedding(9, 4), [InputSpec.parse("int64:N,5")])
        >>> tokens.shape, bool((tokens < 9).all())
        (torch.Size([2, 5]), True)
    """
    generator = torch.Generator().manual_seed(0)
    tables = [module.num_embeddings for module in model.modules() if isinstance(module, nn.Embedding)]
    places: list[Any] = []
    named: dict[str, Any] = {}
    for spec in specs:
        value = _random_tensor(spec, min(tables, default=2), generator)
        if spec.name:
            _insert(named, spec.name.split("."), value)
        else:
            places.append(value)
    return _bind_positional(model, places, named)


def positional_inputs(model: nn.Module, inputs: Any) -> tuple[Any, ...]:
    """Return positional arguments of `model` from the example inputs that a callable returned.

    A dict whose keys are argument names is unpacked, as in `nasviz.trace`; any other is one argument.

    Raises:
        InvalidSettingError: An argument is keyword-only.


    Examples:
        >>> positional_inputs(nn.Linear(2, 1), {"input": 1}), positional_inputs(nn.Linear(2, 1), {"rgb": 1})
        ((1,), ({'rgb': 1},))
    """
    if isinstance(inputs, tuple):
        return inputs
    names = inspect.signature(model.forward).parameters
    if isinstance(inputs, Mapping) and inputs and names.keys() >= inputs.keys():
        return _bind_positional(model, (), dict(inputs))
    return (inputs,)


def _random_tensor(spec: InputSpec, table: int, generator: torch.Generator) -> Tensor:
    dtype: torch.dtype = getattr(torch, spec.dtype)
    shape = (EXAMPLE_BATCH, *spec.shape)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    high = 2 if dtype == torch.bool else spec.below or table
    return torch.randint(high, shape, generator=generator).to(dtype)


def _insert(tree: dict[str, Any], path: Sequence[str], value: Tensor) -> None:
    """Insert a value into nested dicts."""
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise InvalidSettingError(f"{'.'.join(path)} is an entry of {key}, which is itself an input")
    if path[-1] in tree:
        raise InvalidSettingError(f"the input {'.'.join(path)} was given twice")
    tree[path[-1]] = value


def _bind_positional(model: nn.Module, places: Sequence[Any], named: dict[str, Any]) -> tuple[Any, ...]:
    """Return the positional arguments of `forward`, with defaults for those left out."""
    signature = inspect.signature(model.forward)
    try:
        bound = signature.bind(*places, **named)
    except TypeError as error:
        words = _words([*(f"input {i + 1}" for i in range(len(places))), *named])
        raise InvalidSettingError(
            f"{type(model).__name__} takes {signature}, but {words} were given: {error}"
        ) from error
    if not named:
        return tuple(places)
    found: list[Any] = []
    *_, last = bound.arguments
    for name, parameter in signature.parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise InvalidSettingError(
                f"{type(model).__name__} takes {last} by keyword only: {signature}; inputs are positional, so"
                " remove the * from its forward, or wrap it in a network that passes them on"
            )
        found.append(bound.arguments.get(name, parameter.default))
        if name == last:
            break
    return tuple(found)


def _words(names: Iterable[str]) -> str:
    return ", ".join(names)
