"""Construction of a module, and of inputs to trace it with, from a name or a `NetworkSource`."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from nasviz.catalog import HOW_TO_WRITE, NETWORKS, REGISTERED, DataFacts, Entry, NetworkSource, Value, resolve
from nasviz.errors import InvalidSettingError
from nasviz.models.example_inputs import EXAMPLE_BATCH, positional_inputs, random_inputs
from nasviz.models.published import build_published
from nasviz.models.recurrent import RecurrentStep
from nasviz.models.torchvision_networks import build_timm, build_torchvision
from nasviz.models.user_code import build_from_user_code, call_with, takes
from nasviz.models.weights import load_weights
from nasviz.subnet.files import load
from nasviz.subnet.parity import example_inputs, recorded_inputs

__all__ = ["build", "create", "from_catalog", "names", "reset_"]

_LOGGER = logging.getLogger(__name__)
TEXT = "text"
"""Family of networks that compute one time step of a text model."""


def names() -> tuple[str, ...]:
    """Return the names of the papers' networks and of registered ones.

    `create` also accepts all classifiers of torchvision.
    """
    return tuple(name for name, entry in NETWORKS.items() if entry.builder)


def create(
    name: str,
    *,
    input_shape: tuple[int, ...] | None = None,
    num_classes: int | None = None,
    **settings: Value,
) -> tuple[nn.Module, tuple[Any, ...]]:
    """Return a network of the catalog with random weights, and inputs to trace it with.

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
    """Return the network of `source`, in training mode, and inputs to trace it with: a batch of two.

    Args:
        source: Network; its own input shape and number of classes take precedence.
        facts: Facts of the training data: the number of classes and, for a callable without example inputs,
            the input shape.
        seed: Seed of the random weights, without changing torch's generator. `None` uses torch's generator.

    Raises:
        InvalidSettingError: The parts of `source` contradict each other, or the user's code fails.
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
    if source.graph is not None:
        raise InvalidSettingError(
            f"{source.name} was trained by a loop of its own, and only its graph is stored: it can be viewed;"
            " train it in that loop, or open its sub-network"
        )
    entry = source.entry
    inputs: Any = None
    is_text = source.data_kind == TEXT
    if facts is not None and entry is not None and (facts.kind == TEXT) != is_text:
        raise InvalidSettingError(
            f"{source.name} reads {'text' if is_text else 'images'}, but {facts.name} holds {facts.kind};"
            " choose recurrent_cell with python_docs or penn_treebank, or an image network with images"
        )
    shape: tuple[int, ...] | None
    if source.is_published:
        model, shape, inputs = build_published(source, num_classes)
    elif source.timm_name is not None:
        model, shape = build_timm(source.timm_name, source.input_shape, num_classes)
    elif entry is None:
        is_image = facts is not None and facts.channels > 0
        own = (facts.channels, facts.size, facts.size) if facts is not None and is_image else None
        shape = source.input_shape or own
        model, inputs = build_from_user_code(source, num_classes)
    else:
        shape = source.input_shape or entry.input_shape
        model = from_catalog(entry, source, shape, num_classes or entry.num_classes)
    if source.weights is not None and not source.is_published:
        classes = num_classes or (entry.num_classes if entry else None)
        kept = load_weights(
            model, source.weights, ema=source.ema, skip_head=source.skip_head, num_classes=classes
        )
        if kept:
            _LOGGER.warning("The head keeps its random values: %s", ", ".join(kept))
    if source.inputs:
        inputs = random_inputs(model, source.inputs)
    elif isinstance(model, RecurrentStep):
        inputs = (torch.arange(EXAMPLE_BATCH), torch.zeros(EXAMPLE_BATCH, model.hidden))
    elif inputs is None or source.input_shape is not None:
        inputs = _example_inputs(source, shape)
    return model.train(), positional_inputs(model, inputs)


def _saved(folder: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """Return a saved sub-network, and inputs of its traced shapes."""
    model = load(folder)
    return model.train(), example_inputs(model, recorded_inputs(model) or (), batch=EXAMPLE_BATCH)


def from_catalog(entry: Entry, source: NetworkSource, shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Return the network of a catalog entry with the settings of `source`, on torch's default device.

    Raises:
        InvalidSettingError: It does not support images of this shape.
    """
    if entry.family == TEXT:
        step: dict[str, Any] = entry.complete(dict(source.settings))
        return RecurrentStep(num_classes, **step)
    if not entry.builder:
        return build_torchvision(entry, shape, num_classes)
    if min(shape[1:]) < entry.least_size:
        raise InvalidSettingError(
            f"{entry.name} does not support images of {shape[1]}x{shape[2]}; the smallest size is"
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
            f"{source.name} returns no example inputs, and no input shape is given; give {HOW_TO_WRITE}; or"
            " return a pair of the module and its example inputs"
        )
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(EXAMPLE_BATCH, *shape, generator=generator),)


@torch.no_grad()
def reset_(model: nn.Module, seed: int) -> None:
    """Draw all weights again, in place: each module by its `reset_parameters`, with fresh statistics.

    Parameters of other modules, such as a network's own tokens or packed projections, are shuffled: they keep
    their distribution and lose what was learnt. The global generators are restored.

    Args:
        model: Any network.
        seed: Seed that determines the weights.

    Examples:
        >>> first, second = nn.Linear(3, 2), nn.Linear(3, 2)
        >>> reset_(first, 5), reset_(second, 5)
        (None, None)
        >>> torch.equal(first.weight, second.weight)
        True
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view_as(parameter))
