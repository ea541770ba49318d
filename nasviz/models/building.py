"""From a name, or a `NetworkSource`, to a module with inputs that it can be traced with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nasviz.catalog import HOW_TO_WRITE, NETWORKS, REGISTERED, DataFacts, Entry, NetworkSource, Value, resolve
from nasviz.errors import InvalidSettingError
from nasviz.models.example_inputs import EXAMPLE_BATCH, drawn_inputs, returned_inputs
from nasviz.models.recurrent import RecurrentStep
from nasviz.models.timm_networks import build_timm
from nasviz.models.torchvision_networks import build_torchvision
from nasviz.models.user_code import build_from_user_code, call_with, takes
from nasviz.models.weights import load_weights
from nasviz.subnet.feed import example_inputs, known_inputs
from nasviz.subnet.files import load

__all__ = ["build", "create", "from_catalog", "names"]

TEXT = "text"
"""Family of the networks that take one step along a text."""


def names() -> tuple[str, ...]:
    """Return the documents' networks and the registered ones.

    `create` also takes every classifier of torchvision, see `nasviz.catalog`.
    """
    return tuple(name for name, entry in NETWORKS.items() if entry.builder)


def create(
    name: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    **settings: Value,
) -> tuple[nn.Module, tuple[Any, ...]]:
    """A network of the catalog with random weights, and inputs to trace it with.

    Raises:
        UnknownNameError: No network has this name; the message lists the nearest.
        InvalidSettingError: A setting is unknown or out of range.

    Examples:
        >>> model, example_inputs = create("demonet", width=0.25)
        >>> model(*example_inputs).shape
        torch.Size([2, 10])
    """
    return build(NetworkSource(name, input_shape, num_classes, settings=settings))


def build(
    source: NetworkSource, facts: DataFacts | None = None, *, seed: int | None = None
) -> tuple[nn.Module, tuple[Any, ...]]:
    """The network that `source` means, in training mode, and inputs to trace it with: a batch of two.

    Args:
        source: Its own input shape and number of classes come first.
        facts: Of the data it shall learn; they give the number of classes, and to a callable that brings no
            example inputs also the input shape.
        seed: Of the random weights; torch's generator is left as it was. None draws from torch's generator.

    Raises:
        InvalidSettingError: The parts of `source` do not fit each other, or the user's code fails.
        WeightsError: The file of weights does not fit.
    """
    if seed is None:
        return _build(source, facts)
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return _build(source, facts)


def _build(source: NetworkSource, facts: DataFacts | None) -> tuple[nn.Module, tuple[Any, ...]]:
    num_classes = source.num_classes or (facts.num_classes or None if facts else None)
    if source.subnet is not None:
        return _saved(source.subnet)
    entry = source.entry
    inputs: Any = None
    is_text = entry is not None and entry.family == TEXT
    if facts is not None and entry is not None and (facts.kind == TEXT) != is_text:
        raise InvalidSettingError(
            f"{source.name} reads {'text' if is_text else 'images'}, and {facts.name} holds {facts.kind};"
            " choose recurrent_cell with python_docs or penn_treebank, or a network of images with images"
        )
    shape: tuple[int, ...] | None
    if source.timm_name is not None:
        model, shape = build_timm(source.timm_name, source.input_shape, num_classes)
    elif entry is None:
        is_image = facts is not None and facts.channels > 0
        own = (facts.channels, facts.size, facts.size) if facts is not None and is_image else None
        shape = source.input_shape or own
        model, inputs = build_from_user_code(source, num_classes)
    else:
        shape = source.input_shape or entry.input_shape
        model = from_catalog(entry, source, shape, num_classes or entry.num_classes)
    if source.weights is not None:
        load_weights(model, source.weights)
    if source.inputs:
        inputs = drawn_inputs(model, source.inputs)
    elif isinstance(model, RecurrentStep):
        inputs = (torch.arange(EXAMPLE_BATCH), torch.zeros(EXAMPLE_BATCH, model.hidden))
    elif inputs is None or source.input_shape is not None:
        inputs = _example_inputs(source, shape)
    return model.train(), returned_inputs(model, inputs)


def _saved(folder: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """A sub-network with the weights it was saved with, and inputs of the shapes it was traced with."""
    model = load(folder)
    return model.train(), example_inputs(model, known_inputs(model) or (), batch=EXAMPLE_BATCH)


def from_catalog(entry: Entry, source: NetworkSource, shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """The network of a row of the catalog with the settings of `source`, on torch's default device.

    Raises:
        InvalidSettingError: It does not compute on images of this shape.
    """
    if entry.family == TEXT:
        step: dict[str, Any] = entry.complete(dict(source.settings))
        return RecurrentStep(num_classes, **step)
    if not entry.builder:
        return build_torchvision(entry, shape, num_classes)
    if min(shape[1:]) < entry.least_size:
        raise InvalidSettingError(
            f"{entry.name} was asked to read images of {shape[1]}x{shape[2]}; the least it computes on is"
            f" {entry.least_size}x{entry.least_size}"
        )
    builder = resolve(entry.builder)
    keywords = {"num_classes": num_classes, "in_channels": shape[0]} | entry.complete(dict(source.settings))
    if entry.family != REGISTERED:
        size = {"size": shape[1:]} if takes(builder, "size") else {}
        model: nn.Module = builder(**keywords, **size)
        return model
    model = call_with(builder, entry.name, keywords, {"size": shape[1:]})
    if not isinstance(model, nn.Module):
        raise InvalidSettingError(
            f"{entry.name} returned {type(model).__name__}; its function must return a torch.nn.Module"
        )
    return model


def _example_inputs(source: NetworkSource, shape: tuple[int, ...] | None) -> tuple[Tensor]:
    if shape is None:
        raise InvalidSettingError(
            f"{source.name} brings no example inputs, and no input is given; give {HOW_TO_WRITE}; or return a"
            " pair of the module and its example inputs"
        )
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(EXAMPLE_BATCH, *shape, generator=generator),)
