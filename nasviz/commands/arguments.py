"""The arguments that describe a run: its network, and files of settings; `options` has one per setting."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasviz.catalog import (
    HOW_TO_WRITE,
    NETWORKS,
    InputSpec,
    NetworkSource,
    Value,
    image_and_others,
)
from nasviz.commands.options import chosen_settings
from nasviz.errors import InvalidSettingError
from nasviz.runs import Run, is_subnet
from nasviz.runs.files import CONFIG, SUBNET
from nasviz.settings import RunSettings
from nasviz.settings.files import read_settings

__all__ = ["add_config", "add_cut", "add_download", "add_network", "settings_of", "source_of"]


def settings_of(args: argparse.Namespace) -> RunSettings:
    """Return the settings that the options of `add_network`, `add_config` and `add_settings` describe.

    Options come before what `--config` says.

    Raises:
        NasvizError: They cannot be.
    """
    chosen = chosen_settings(args)
    wishes: dict[str, Any] = {name: tuple(getattr(args, name)) for name in ("protect", "collapse")}
    given = {} if getattr(args, "config", None) is None else read_settings(args.config)
    if args.model is not None:
        given["network"] = source_of(args, args.model)
    elif isinstance(network := given.get("network"), str):
        given["network"] = source_of(args, network)
    elif network is not None:
        given["network"] = _network_of_file(args, network)
    else:
        raise InvalidSettingError("a run needs a network: --model demonet, or `network` in a --config file")
    values = given | {name: value for name, value in wishes.items() if value}
    if any(value is not None and ":" in str(value) for value in _code(values | chosen)):
        values["trust"] = _trusted(args)
    if getattr(args, "config", None) is None:
        return RunSettings.of(**values | chosen)
    return RunSettings.of(**values).changed(**chosen)


def _code(values: Mapping[str, Any]) -> list[Any]:
    return [values.get(name) for name in ("data", "loss")]


def _network_of_file(args: argparse.Namespace, network: Any) -> NetworkSource:
    """Return the network of a settings file; user code needs `--trust` here, whatever the file says."""
    if args.set or args.input or args.classes is not None or args.weights is not None:
        raise InvalidSettingError(
            "--set, --input, --classes and --weights change the network of --model; name it there, or change"
            " the file of --config"
        )
    document = dict(network) if isinstance(network, Mapping) else {}
    if ":" in str(document.get("name", "")):
        document["trust"] = list(_trusted(args))
    return NetworkSource.from_json(document)


def source_of(args: argparse.Namespace, name: str) -> NetworkSource:
    """The network of that name, or the sub-network saved there, with the options of `add_network`."""
    folder = Path(name).expanduser().resolve()
    if len(Path(name).parts) > 1 and is_subnet(folder):
        return subnet_source(folder, args)
    shape, inputs = image_and_others(args.input)
    return NetworkSource(
        name, shape, args.classes, args.weights, _trusted(args), dict(args.set), inputs=inputs
    )


def subnet_source(folder: Path, args: argparse.Namespace) -> NetworkSource:
    """The sub-network in a folder; that of a run is called after the network that the run has trained."""
    shape, inputs = image_and_others(args.input)
    words = (shape, args.classes, args.weights)
    is_of_run = folder.name == SUBNET and (folder.parent / CONFIG).is_file()
    if is_of_run:
        name = Run(folder.parent).settings.network.name_of_subnet
    else:
        name = re.sub(r"\W+", "_", folder.name, flags=re.ASCII)[:64] or "subnet"
    return NetworkSource(name, *words, settings=dict(args.set), subnet=str(folder), inputs=inputs)


def _trusted(args: argparse.Namespace) -> tuple[str, ...]:
    return tuple(str(Path(folder).expanduser().resolve()) for folder in args.trust)


def add_network(parser: argparse.ArgumentParser, name: str, more: str = "", **options: Any) -> None:
    """Add which network is meant, and what must hold for it; `name` is the argument that names it."""
    documents = ", ".join(key for key, entry in NETWORKS.items() if entry.family == "documents")
    parser.add_argument(
        name,
        help=f"{documents}, a classifier of torchvision, timm.NAME, your own PACKAGE.MODULE:CALLABLE,"
        f" or the folder of a saved sub-network{more}",
        **options,
    )
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        type=_input,
        metavar="SIZES",
        help=f"what the network takes: {HOW_TO_WRITE}; NAME=... for an argument by name; again for the next",
    )
    parser.add_argument("--classes", type=int, metavar="N", help="number of classes")
    parser.add_argument("--weights", metavar="FILE", help="trained weights: .safetensors, .pt")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="DIR", help="folder to import your own Python from"
    )
    parser.add_argument(
        "--set", action="append", default=[], type=_assignment, metavar="NAME=VALUE", help="as in width=0.25"
    )
    parser.add_argument(
        "--protect",
        action="append",
        default=[],
        metavar="NAME",
        help="structure, vertex or module that stays, by name; a structure also by its id, written id:N",
    )
    parser.add_argument(
        "--collapse",
        action="append",
        default=[],
        metavar="NAME",
        help="modules that count as one vertex each: their class, or a pattern of paths, as in 'cells.*.op*'",
    )


def add_cut(parser: argparse.ArgumentParser) -> None:
    """Add what is cut out by hand."""
    parser.add_argument(
        "--erase",
        action="append",
        type=int,
        default=[],
        metavar="ID",
        help="structure, as analyze numbers it",
    )
    parser.add_argument(
        "--gate",
        action="append",
        type=int,
        default=[],
        metavar="ID",
        help="gate to replace by its value at zero, as analyze numbers it",
    )
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help="where the result goes")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the file that settings are read from."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings in YAML, TOML or JSON, or the folder of an earlier run; options come before it",
    )


def add_download(parser: argparse.ArgumentParser) -> None:
    """Add the wish to have a published data set fetched before anything is trained."""
    parser.add_argument(
        "--download",
        action="store_true",
        help="first download the data into --data-folder, where they are missing; checksums are verified",
    )


def _input(text: str) -> InputSpec:
    try:
        return InputSpec.parse(text)
    except InvalidSettingError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _assignment(text: str) -> tuple[str, Value]:
    name, sign, value = text.partition("=")
    if not sign or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; write NAME=VALUE, such as width=0.25")
    if value in ("true", "false"):
        return name, value == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
