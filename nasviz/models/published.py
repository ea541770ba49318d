"""Networks with published weights: timm, torchvision and Hugging Face, from the caches on this machine.

`build_published` reads local files only; `download` fetches them, and is called only where the user asked
for it. No code of a repository is run: weights are safetensors or tensors only, and the class of a network
is one of the installed timm or transformers.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from nasviz.catalog import InputSpec, NetworkSource, find
from nasviz.errors import UnknownNameError, WeightsError
from nasviz.extras import require_package
from nasviz.models.example_inputs import random_inputs
from nasviz.models.torchvision_networks import build_timm, build_torchvision, require_timm
from nasviz.models.weights import load_weights

__all__ = ["build_published", "download"]

_CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_LARGEST_CONFIG = 2**20
_OF_FILES = frozenset(
    {"pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay"}
)


_Built = tuple[nn.Module, tuple[int, ...] | None, Any]


def build_published(source: NetworkSource, num_classes: int | None) -> _Built:
    """Return the network of `source` with its published weights, and the shape of an image or its inputs.

    With another number of classes than was trained, the head is new; everything else is loaded.

    Raises:
        WeightsError: The files are not on this machine, or do not fit.
        UnknownNameError: No such weights are published.
        MissingPackageError: A library that builds the network is not installed.
    """
    kind, _, name = (source.weights or "").partition(":")
    return {"timm": _build_timm, "torchvision": _build_torchvision, "hf": _build_from_hub}[kind](
        source, name, num_classes
    )


def download(weights: str, report: Callable[[float, str], None] = lambda share, words: None) -> Path:
    """Fetch published weights into the caches of torch and Hugging Face, unless they are there; return where.

    Args:
        weights: Name, such as `timm:resnet18.a1_in1k`.
        report: Progress callback.

    Raises:
        WeightsError: They cannot be fetched, or their checksum differs from the published one.
    """
    kind, _, name = weights.partition(":")
    report(0.0, f"asking for {name}")
    try:
        if kind == "hf":
            place = _hub().snapshot_download(
                name, allow_patterns=[_CONFIG, _WEIGHTS, _INDEX, "model-*-of-*.safetensors"]
            )
        elif kind == "timm" and (repository := _timm_repository(name)):
            place = _hub().hf_hub_download(repository, _WEIGHTS)
        else:
            url = _timm_url(name) if kind == "timm" else _torchvision_weights(name).url
            place = _cached_url(url)
            if not place.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                checksum = re.search(r"-([0-9a-f]{8,64})\.", place.name)
                torch.hub.download_url_to_file(url, str(place), checksum and checksum[1], progress=False)
    except (OSError, RuntimeError, ValueError) as error:  # requests' errors are OSErrors
        raise WeightsError(f"{weights} cannot be downloaded: {type(error).__name__}: {error}") from error
    report(1.0, f"{name} is on this machine")
    return Path(place)


def _not_here(weights: str | None, place: object) -> WeightsError:
    return WeightsError(
        f"the weights {weights} are not on this machine (looked in {place}); download them with --download,"
        " or with the button Download of the page Model"
    )


# ---- torchvision ----


def _torchvision_weights(name: str) -> Any:
    import torchvision

    network, _, weights = name.partition(":")
    known = torchvision.models.get_model_weights(find("network", network).name)
    if weights not in known.__members__:
        raise UnknownNameError(
            f"torchvision has no weights {weights} of {network}; it has {', '.join(known.__members__)}"
        )
    return known[weights]


def _cached_url(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name


def _build_torchvision(source: NetworkSource, name: str, num_classes: int | None) -> _Built:
    weights = _torchvision_weights(name)
    entry = find("network", source.name)
    file = _cached_url(weights.url)
    if not file.is_file():
        raise _not_here(source.weights, file.parent)
    published = len(weights.meta["categories"])
    shape = source.input_shape or entry.input_shape
    model = build_torchvision(entry, shape, num_classes or published)
    load_weights(model, file, skip_head=num_classes not in (None, published), rename=_of_today)
    return model, shape, None


def _of_today(name: str) -> str:
    """Return today's name of a parameter of DenseNet, whose published files have dots in layer names."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.(\d)", r"\1\2", name)


# ---- timm ----


def _timm_config(name: str) -> Any:
    timm = require_timm()
    architecture = name.partition(".")[0]
    config = None
    if timm.is_model(architecture):
        with contextlib.suppress(RuntimeError):  # unknown tag
            config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    if config is None or not config.has_weights:
        tags = timm.list_pretrained(f"{architecture}*")[:5]
        more = f"; published: {', '.join(tags)}" if tags else ""
        raise UnknownNameError(f"timm {timm.__version__} has no weights {name!r}{more}")
    return config


def _timm_repository(name: str) -> str | None:
    repository: str | None = _timm_config(name).hf_hub_id
    return repository


def _timm_url(name: str) -> str:
    return str(_timm_config(name).url)


def _build_timm(source: NetworkSource, name: str, num_classes: int | None) -> _Built:
    repository = _timm_repository(name)
    file = _cached_file(repository, _WEIGHTS) if repository else _cached_url(_timm_url(name))
    if file is None or not file.is_file():
        raise _not_here(source.weights, _hub().constants.HF_HUB_CACHE if repository else torch.hub.get_dir())
    # timm reads the file as tensors only, and adapts the first convolution, the head and position embeddings.
    logging.getLogger("timm").setLevel(logging.ERROR)
    return *build_timm(name, source.input_shape, num_classes, weights=file), None


# ---- Hugging Face ----


def _hub() -> Any:
    return require_package("huggingface_hub", "a network of Hugging Face")


def _cached_file(repository: str, name: str) -> Path | None:
    found = _hub().try_to_load_from_cache(repository, name)
    return Path(found) if isinstance(found, str) else None


def _build_from_hub(source: NetworkSource, name: str, num_classes: int | None) -> _Built:
    file = _cached_file(name, _CONFIG)
    if file is None or not any((file.parent / part).is_file() for part in (_WEIGHTS, _INDEX)):
        raise _not_here(source.weights, _hub().constants.HF_HUB_CACHE)
    if file.stat().st_size > _LARGEST_CONFIG:
        raise WeightsError(f"the {_CONFIG} of {name} is larger than {_LARGEST_CONFIG:,} bytes")
    config = json.loads(file.read_bytes())
    if "architecture" in config:
        return _build_timm_of_hub(source, config, file.parent, num_classes)
    return _build_transformer(source, config, file.parent, num_classes)


def _build_timm_of_hub(
    source: NetworkSource, config: dict[str, Any], folder: Path, num_classes: int | None
) -> _Built:
    options = config.get("model_args") or {}
    if _OF_FILES & options.keys():  # they name files that timm would open
        raise WeightsError(
            f"{source.name} sets {', '.join(sorted(_OF_FILES & options.keys()))}, which is not read"
        )
    size = (config.get("pretrained_cfg") or {}).get("input_size")
    shape = source.input_shape or tuple(size or (3, 224, 224))
    published = config.get("num_classes") or 1000
    model, shape = build_timm(str(config["architecture"]), shape, num_classes or published, options=options)
    load_weights(model, folder, skip_head=num_classes not in (None, published))
    return model, shape, None


def _build_transformer(
    source: NetworkSource, config: dict[str, Any], folder: Path, num_classes: int | None
) -> _Built:
    transformers: Any = require_package("transformers", source.name)
    named = (config.get("architectures") or ["nothing"])[0]
    kind: Any = getattr(transformers, str(named), None)
    is_known = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not is_known:
        raise WeightsError(
            f"{source.name} is built by {ascii(str(named))[:60]}, which the installed transformers does not"
            " have; code of a repository is never run"
        )
    classes = {} if num_classes is None else {"num_labels": num_classes, "ignore_mismatched_sizes": True}
    transformers.logging.set_verbosity_error()
    try:
        model: Any = kind.from_pretrained(  # concrete class, so that `auto_map` of the config is not followed
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, **classes
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError(
            f"transformers cannot load {source.name}: {type(error).__name__}: {error}"
        ) from error
    if source.inputs or source.input_shape is not None:
        return model, source.input_shape, None
    known = model.config
    if model.main_input_name == "input_ids":
        return (
            model,
            None,
            random_inputs(model, [InputSpec.parse(f"input_ids=int64:N,16<{known.vocab_size}")]),
        )
    size = getattr(known, "image_size", None) or 224
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    return model, (getattr(known, "num_channels", 3), *sides), None
