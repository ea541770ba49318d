"""The arguments that describe a run: its network, its wishes, and an option for every setting."""

from __future__ import annotations

import argparse
import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from nasviz.catalog import (
    DATASETS,
    HOW_TO_WRITE,
    NETWORKS,
    OPTIMIZERS,
    RECIPE,
    SALIENCIES,
    InputSpec,
    NetworkSource,
    Value,
    image_and_others,
)
from nasviz.errors import InvalidSettingError
from nasviz.runs import Run, RunSettings, is_subnet
from nasviz.runs.files import CONFIG, SUBNET

__all__ = ["OPTIONS", "add_cut", "add_download", "add_network", "add_settings", "settings_of", "source_of"]


def settings_of(args: argparse.Namespace) -> RunSettings:
    """The settings that the options of `add_network` and `add_settings` describe.

    Raises:
        NasvizError: They cannot be.
    """
    chosen = {name: getattr(args, name) for name in OPTIONS if hasattr(args, name)}
    chosen |= {name: tuple(chosen[name]) for name in ("cells", "emphasis") if name in chosen}
    wishes: dict[str, Any] = {"protect": tuple(args.protect), "collapse": tuple(args.collapse)}
    if chosen.get("loss") is not None or ":" in chosen.get("data", ""):
        wishes["trust"] = _trusted(args)
    return RunSettings(network=source_of(args, args.model), **wishes, **chosen)


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


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add an option for every setting in `OPTIONS`; those left out keep their default."""
    defaults: dict[str, Field[Any]] = {item.name: item for item in fields(RunSettings)}
    for name, options in OPTIONS.items():
        default = defaults[name].default
        shown = options.get("shown", "none" if default in (None, MISSING) else default)
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            *options.get("also", ()),
            default=argparse.SUPPRESS,
            **{key: value for key, value in options.items() if key not in ("shown", "also")}
            | {"help": f"{options['help']} (default: {shown})"},
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


def _sparsity(text: str) -> int | float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a count, such as 3, nor a share, such as 0.5"
        ) from None


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


OPTIONS: dict[str, dict[str, Any]] = {
    "data": {"metavar": "NAME", "help": f"{', '.join(DATASETS)}, or your own PACKAGE.MODULE:CALLABLE"},
    "data_folder": {"metavar": "DIR", "help": "where the data lies, for data that need a folder"},
    "loss": {
        "metavar": "PACKAGE.MODULE:CALLABLE",
        "help": "your own loss, of output and labels",
        "shown": "cross-entropy",
    },
    "optimizer": {"choices": tuple(OPTIMIZERS), "help": "what brings structures to zero"},
    "base": {"choices": ("sgd", "adam", "adamw"), "help": "update of every trial step"},
    "lr": {"type": float, "help": "learning rate at the first step"},
    "momentum": {"type": float, "help": "share of the last update that is kept"},
    "weight_decay": {"type": float, "help": "pull of all weights towards zero"},
    "target_sparsity": {
        "type": _sparsity,
        "metavar": "K",
        "help": "structures to remove: a count, such as 3, or a share of them, such as 0.5",
    },
    "slim": {
        "type": _sparsity,
        "metavar": "SHARE",
        "help": "channels to cut besides: a share, such as 0.5, or a count of channel groups",
    },
    "group_divisible": {"type": int, "help": "what the widths left by --slim are multiples of"},
    "saliency": {
        "choices": tuple(name for name, row in SALIENCIES.items() if row.family == "step"),
        "help": "score that ranks the structures",
    },
    "warmup_steps": {"type": int, "help": "steps before the selection", "shown": "10 %% of all"},
    "score_every": {"type": int, "help": "steps from one scoring to the next", "shown": "about 32 scorings"},
    "projection_steps": {"type": int, "help": "steps down to zero", "shown": "20 %% of all"},
    "epsilon": {"type": float, "help": "half-space offset"},
    "projection": {"choices": ("halfspace", "progressive", "both"), "help": "what zeroes a structure"},
    "periods": {"type": int, "help": "rounds in which the structures go, h2spg only"},
    "regularization": {"type": float, "help": "pull of a group towards zero", "shown": "as published"},
    "amplify": {
        "type": float,
        "help": "how far that pull may outweigh the gradient",
        "shown": "as published",
    },
    "cap": {"type": float, "help": "largest multiple of that pull", "shown": "as published"},
    **{
        setting.name: {"help": setting.help.rstrip(".")}
        | ({"choices": setting.choices} if setting.choices else {"type": type(setting.default)})
        for setting in RECIPE
    },
    "architecture_lr": {
        "type": float,
        "help": "learning rate of architecture parameters; darts, milenas and rarts only, as all of these",
        "shown": "as published",
    },
    "architecture_weight_decay": {
        "type": float,
        "help": "pull of architecture parameters towards zero",
        "shown": "as published",
    },
    "clip": {"type": float, "help": "longest gradient of the weights", "shown": "as published"},
    "over": {"choices": ("auto", "edge", "node"), "help": "what one softmax weighs", "shown": "auto"},
    "edges_per_node": {"type": int, "help": "edges that each node keeps, 0 for all", "shown": 2},
    "order": {"choices": ("first", "second"), "help": "of darts and sparsenas", "shown": "first"},
    "validation_weight": {"type": float, "help": "lambda of milenas", "shown": 1.0},
    "auxiliary_weight": {"type": float, "help": "lambda of rarts", "shown": 1.0},
    "coupling": {"type": float, "help": "beta of rarts", "shown": 1.0},
    "latency_weight": {"type": float, "help": "gamma of rarts, for a millisecond", "shown": 0.0},
    "balance": {"type": float, "help": "alpha of sparsenas: 1 for operations, 0 for nodes", "shown": 0.5},
    "penalty_step": {"type": float, "help": "rise of its lambda with each epoch", "shown": 0.01},
    "penalty_cap": {"type": float, "help": "largest lambda", "shown": 1.0},
    "groups": {
        "choices": ("operations", "filters", "channels"),
        "help": "what gsparsity takes for a group, and rarts_width (not operations) scores",
        "shown": "operations",
    },
    "fraction": {"type": float, "help": "channels that go, of rarts_width and sidt", "shown": 0.4},
    "ranking": {"choices": ("global", "layer"), "help": "how their scores compete", "shown": "global"},
    "sparsity": {"type": float, "help": "weight of the l1 norm of their scores", "shown": 1e-4},
    "scores_lr": {"type": float, "help": "learning rate of their scores", "shown": 0.1},
    "distillation": {"type": float, "help": "weight of the network before pruning", "shown": 1.0},
    "mu": {"type": float, "help": "weight of the penalty; gsparsity only, as all of these", "shown": 1.0},
    "rho": {"type": float, "help": "weight of the new gradient in the momentum", "shown": 0.8},
    "normalisation": {
        "choices": ("none", "div", "mul"),
        "help": "of the penalty by the size of a group",
        "shown": "none",
    },
    "adaptive": {
        "action": argparse.BooleanOptionalAction,
        "help": "step sizes that follow the gradients, of gsparsity and sparsenas",
        "shown": "no, and yes",
    },
    "threshold": {"type": float, "help": "length up to which a group is pruned", "shown": 1e-6},
    "cells": {
        "action": "append",
        "metavar": "NAME",
        "help": "cells in which an operation lives or dies as one: their class, or a pattern of paths",
    },
    "emphasis": {
        "action": "append",
        "metavar": "NAME=FACTOR",
        "help": "more penalty on filters of modules of this class or path, as in layer2=2",
    },
    "allow_changed_training": {
        "action": argparse.BooleanOptionalAction,
        "help": "train a network although tracing lost something that it does in training mode",
        "shown": "no",
    },
    "from_scratch": {
        "action": argparse.BooleanOptionalAction,
        "help": "draw all weights anew: train a derived network as an architecture",
        "shown": "no",
    },
    "epochs": {"type": int, "help": "passes over the training images"},
    "batch_size": {"type": int, "help": "images per step"},
    "seed": {"type": int, "help": "of weights and order"},
    "device": {"help": "auto, cpu, cuda, cuda:N or mps"},
    "deterministic": {
        "action": argparse.BooleanOptionalAction,
        "help": "on CUDA: the same bits each time, also after a resume; slower, and not for every operator",
        "shown": "no",
    },
    "checkpoint_steps": {"type": int, "help": "steps from one checkpoint to the next"},
    "eval_every_epochs": {"type": int, "help": "epochs from one evaluation to the next"},
    "num_workers": {"type": int, "help": "processes that load images"},
    "processes": {
        "also": ("--nproc",),
        "type": int,
        "help": "processes that train together, each on its share of every batch: one a GPU",
    },
}
"""Options of `train`, one for each setting of a run but the network and what is protected."""
