"""Networks with published weights: timm, torchvision and Hugging Face, from the caches on this machine.

`build_published` reads local files only; `download` fetches them, and is called only where the user asked
for it. No code of a repository is run: weights are safetensors or tensors only, and the class of a network
is one of the installed timm or transformers.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from nasviz.catalog import InputSpec, NetworkSource, find
from nasviz.catalog.weights import read_object, weight_files
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
"""Arguments of timm that name files."""
_PLAIN = (None, "eager", "sdpa", "grouped_mm", "batched_mm")
"""Implementations of attention and experts that transformers has itself; others are kernels of the hub."""
_LARGEST_SIDE = 4096


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
        " or with the button for it on the page Model"
    )


# ---- torchvision ----


def _torchvision_weights(name: str) -> Any:
    torchvision: Any = require_package("torchvision", f"torchvision:{name}")
    network, _, weights = name.partition(":")
    if (entry := find("network", network)).family != "torchvision":
        raise UnknownNameError(f"torchvision has no network {network}, which is of the family {entry.family}")
    known = torchvision.models.get_model_weights(entry.name)
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
    classes = num_classes or published
    model = build_torchvision(entry, shape, classes)
    load_weights(model, file, skip_head=classes != published, rename=_of_today, num_classes=classes)
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
    config = read_object(file, _LARGEST_CONFIG)
    _check_config(source.name, config)
    weight_files(file.parent)  # the index must name files of its own folder, also where transformers reads it
    with _offline():
        build = _build_timm_of_hub if "architecture" in config else _build_transformer
        return build(source, config, file.parent, num_classes)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keep the hub's client from the network, whatever a configuration names."""
    constants = _hub().constants
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _check_config(name: str, config: dict[str, Any]) -> None:
    """Raise `WeightsError` where a configuration, at any depth, names code, other repositories or files."""
    parts: list[Any] = [config]
    for part in parts:  # grows by the parts inside
        if isinstance(part, list):
            parts += part
        if not isinstance(part, dict):
            continue
        for key, value in part.items():
            is_kernel = any(word in key for word in ("attn_impl", "experts_impl")) and value not in _PLAIN
            is_loader = key in ("quantization_config", "compression_config") and value is not None
            is_elsewhere = (
                key in ("architecture", "backbone") and isinstance(value, str) and re.search("[:/]", value)
            )
            if is_kernel or is_loader or is_elsewhere:
                raise WeightsError(f"{name} sets {key} to {ascii(value)[:60]}, which is not followed")
            if key in ("model_args", "backbone_kwargs") and value is not None:
                if not isinstance(value, dict):
                    raise WeightsError(f"{name} sets {key} to {ascii(value)[:60]}, which is no JSON object")
                if files := sorted(_OF_FILES & value.keys()):
                    raise WeightsError(f"{name} sets {', '.join(files)}, which is not read")
            parts.append(value)


def _checked_sides(name: str, sides: Any) -> tuple[int, ...]:
    """Return the shape of an image that a configuration gives."""
    is_shape = isinstance(sides, list | tuple) and len(sides) == 3
    if not is_shape or not all(isinstance(n, int) and 1 <= n <= _LARGEST_SIDE for n in sides):
        raise WeightsError(f"{name} has images of {ascii(sides)[:60]}; give their shape by --input C,H,W")
    return tuple(sides)


def _build_timm_of_hub(
    source: NetworkSource, config: dict[str, Any], folder: Path, num_classes: int | None
) -> _Built:
    own = config.get("pretrained_cfg")
    size = (own.get("input_size") if isinstance(own, dict) else None) or (3, 224, 224)
    shape = source.input_shape or _checked_sides(source.name, size)
    published = config.get("num_classes") or 1000
    model, shape = build_timm(
        str(config["architecture"]),
        shape,
        num_classes or published,
        options=config.get("model_args"),
    )
    load_weights(
        model, folder, skip_head=num_classes not in (None, published), num_classes=num_classes or published
    )
    return model, shape, None


def _build_transformer(
    source: NetworkSource, config: dict[str, Any], folder: Path, num_classes: int | None
) -> _Built:
    transformers: Any = require_package("transformers", source.name)
    architectures = config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else "nothing"
    kind: Any = getattr(transformers, str(named), None)
    base = transformers.PreTrainedModel
    is_known = isinstance(kind, type) and issubclass(kind, base)
    if not is_known:
        raise WeightsError(
            f"{source.name} is built by {ascii(str(named))[:60]}, which the installed transformers does not"
            " have; code of a repository is never run"
        )
    if getattr(kind.from_pretrained, "__func__", None) is not base.from_pretrained.__func__:
        raise WeightsError(f"{source.name} is built by {named}, which loads weights in a way of its own")
    known = config.get("id2label")
    published = len(known) if isinstance(known, dict) and known else config.get("num_labels", 2)
    other = num_classes not in (None, published)
    classes = {"num_labels": num_classes, "ignore_mismatched_sizes": True} if other else {}
    transformers.logging.set_verbosity_error()
    try:
        # Of the concrete class, so that `auto_map` of the configuration is not followed.
        model, found = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
            **classes,
        )
    except Exception as error:  # a configuration of others makes transformers raise anything
        raise WeightsError(
            f"transformers cannot load {source.name}: {type(error).__name__}: {str(error)[:400]}"
        ) from error
    _check_loaded(source.name, found, published, num_classes)
    if source.inputs or source.input_shape is not None:
        return model, source.input_shape, None
    return _inputs_of_transformer(source.name, model)


def _check_loaded(name: str, found: dict[str, Any], published: Any, num_classes: int | None) -> None:
    """Raise `WeightsError` where tensors outside a new head keep random values."""
    random = [key for key in found["missing_keys"] if not key.endswith("num_batches_tracked")]
    for key, stored, own in found["mismatched_keys"]:
        is_head = tuple(stored[:1]) == (published,) and tuple(own[:1]) == (num_classes,)
        if not is_head or stored[1:] != own[1:]:
            random.append(key)
    if random:
        listed = ascii(", ".join(sorted(random)[:3]))[1:-1][:200]
        raise WeightsError(f"the weights of {name} do not fit: {len(random)} tensors are left out: {listed}")


def _inputs_of_transformer(name: str, model: Any) -> _Built:
    """Return the model, and the shape of an image or token ids, by its configuration."""
    known = model.config
    words = getattr(known, "vocab_size", None)
    if model.main_input_name == "input_ids" and isinstance(words, int) and words > 0:
        return model, None, random_inputs(model, [InputSpec.parse(f"input_ids=int64:N,16<{words}")])
    if model.main_input_name != "pixel_values":
        raise WeightsError(f"{name} reads {model.main_input_name}; give its inputs by --input")
    size = getattr(known, "image_size", None) or 224
    sides = size if isinstance(size, list | tuple) else (size, size)
    return model, _checked_sides(name, (getattr(known, "num_channels", 3), *sides)), None
