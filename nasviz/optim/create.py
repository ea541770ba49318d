"""Optimizers by name, tied to a network and its search space; base optimizers by name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nasviz.catalog import SALIENCIES
from nasviz.catalog.saliencies import COPY
from nasviz.errors import InvalidSettingError, UnknownNameError, require_type
from nasviz.graph import SearchSpace
from nasviz.graph.space import require_space
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import SpaceBinding, count_of, tensors_of, trained_space
from nasviz.optim.h2spg import DHSPG, H2SPG, HSPG, H2SPGOTOv3
from nasviz.optim.halfspace import shares
from nasviz.optim.search_optimizer import SearchOptimizer, Training, require_whole
from nasviz.optim.slim import check_slim, slimming
from nasviz.saliency import score
from nasviz.settings import AUTO, METHODS, MethodSettings
from nasviz.settings.schedule import steps_between_scores
from nasviz.switches import add_switches

__all__ = ["INNER_OPTIMIZERS", "OPTIMIZERS", "build", "create", "inner_optimizer", "prepare"]

INNER_OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def inner_optimizer(
    name: str,
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    *,
    momentum: float = 0.0,
    **settings: Any,
) -> Optimizer:
    """A torch optimizer by name.

    Args:
        name: A key of `INNER_OPTIMIZERS`.
        parameters: Tensors, or parameter groups with settings of their own.
        momentum: Used by sgd alone; Adam has `betas`.
        **settings: Passed to torch: `lr`, `weight_decay`, `nesterov`, `betas`, `amsgrad`, `fused`, ...

    Raises:
        UnknownNameError: No inner optimizer has this name.
        InvalidSettingError: Torch does not know a setting, or refuses its value.

    Examples:
        >>> import torch
        >>> inner_optimizer("sgd", [torch.zeros(2)], lr=0.1, momentum=0.9).defaults["momentum"]
        0.9
    """
    if name not in INNER_OPTIMIZERS:
        raise UnknownNameError(
            f"no base {name!r}; choose one of {', '.join(INNER_OPTIMIZERS)}, or pass a torch optimizer"
        )
    kind = INNER_OPTIMIZERS[name]
    known = [key for key in inspect.signature(kind).parameters if key != "params"]
    if unknown := sorted(set(settings).difference(known)):
        raise InvalidSettingError(
            f"{', '.join(unknown)}: not a setting of base {name!r}; it has {', '.join(known)}"
        )
    if name == "sgd":
        settings["momentum"] = momentum
    try:
        return kind(parameters, **settings)
    except (ValueError, RuntimeError) as error:
        raise InvalidSettingError(f"base {name!r} refuses its settings: {error}") from error


OPTIMIZERS: dict[str, type[H2SPG] | type[H2SPGOTOv3] | type[HSPG]] = {
    "h2spg": H2SPG,
    "h2spg_otov3": H2SPGOTOv3,
    "dhspg": DHSPG,
    "hspg": HSPG,
}
"""By the names of the catalog."""


def create(
    name: str | type[H2SPG] | type[H2SPGOTOv3] | type[HSPG],
    net: nn.Module,
    space: SearchSpace,
    *,
    base: str | Optimizer = "sgd",
    target_sparsity: int | float = 0,
    periods: int = 1,
    slim: int | float = 0,
    group_divisible: int = 1,
    lookahead: bool = True,
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]] | None = None,
    **settings: Any,
) -> SearchOptimizer:
    """Return an optimizer over the removal structures of a network.

    Args:
        name: A key of `OPTIMIZERS`, a subclass of one of them, or the name of a registered method, which
            gets its settings as `nasviz.settings` has them, with numbers of steps instead of shares.
        net: The traced network; its own parameters are trained.
        space: Its search space.
        base: `sgd`, `adam` or `adamw`; or an optimizer of `torch.optim` that holds the parameters already.
        target_sparsity: K: an int counts structures, a float in [0, 1) is their share. `hspg` has no target.
        periods: In how many portions the structures go; `h2spg` alone.
        slim: How many channel groups go besides (OTOv2): an int counts them, a float in [0, 1) is the share
            of those that the structures leave. Every operator keeps a channel. `hspg` has no target.
        group_divisible: What the widths that slimming leaves shall be multiples of.
        lookahead: Whether a structure is passed over whose removal would leave fewer than K removable; if
            not, the selection is the pass as printed, which may end below K.
        parameters: What is trained, as torch takes it: tensors, or groups with settings of their own. All
            parameters of `net` when left out. Structures and channel groups with a parameter that the
            optimizer does not hold, or that requires no gradients by now, stay, unless the space was
            generated with `frozen="removable"`: nothing is written to such a parameter.
        **settings: Those of the optimizer's class, and those of the base (`lr`, `momentum`, `weight_decay`,
            `nesterov`, `betas`, ...), with the defaults of torch.

    Raises:
        UnknownNameError: No optimizer, base or saliency has this name.
        InvalidSparsityError: K is negative, or more than can go; the message says how many can.
        InvalidSettingError: A setting is out of range, missing or unknown; or parameters are sharded by
            `fully_shard`, for what is decided by whole structures needs whole tensors.
    """
    if not isinstance(name, type):
        require_type("name", name, str, "the name of a method", f"choose one of {', '.join(OPTIMIZERS)}")
    require_type(
        "net", net, nn.Module, "a torch.nn.Module", "give the traced network: create(name, net, space)"
    )
    require_space(space)
    if isinstance(name, str) and name not in OPTIMIZERS:
        if name not in METHODS:
            raise UnknownNameError(f"no optimizer {name!r}; choose one of {', '.join(OPTIMIZERS)}")
        usual = {"base": "sgd", "target_sparsity": 0, "periods": 1, "slim": 0, "group_divisible": 1}
        explicit = zip(usual, (base, target_sparsity, periods, slim, group_divisible), strict=True)
        settings |= {key: value for key, value in explicit if value != usual[key]}
        return _registered(METHODS[name](**settings), net, space)
    kind = OPTIMIZERS[name] if isinstance(name, str) else name
    require_whole(net.parameters(), kind.__name__)
    own, for_base = _split(kind, settings)
    if isinstance(base, Optimizer):
        if for_base or parameters is not None:
            given = ", ".join([*for_base, *(["parameters"] if parameters is not None else [])])
            raise InvalidSettingError(f"{given}: set on the base optimizer that you pass, not here")
        inner = base
    else:
        inner = inner_optimizer(base, net.parameters() if parameters is None else parameters, **for_base)
    asked_space, space = space, trained_space(net, space, tensors_of(inner))
    k = count_of(target_sparsity, len(space.removable))
    if issubclass(kind, HSPG):
        if k or slim:
            asked = f"slim={slim}" if slim else f"target_sparsity={target_sparsity}"
            raise InvalidSettingError(
                f"{asked}: hspg has no target, regularization decides what goes,"
                " so leave it at 0 or choose another optimizer"
            )
    else:
        space.check_sparsity(k, limit=None if kind.is_hierarchical else len(space.removable))
    if not isinstance(periods, int) or periods < 1 or (periods > 1 and kind is not H2SPG):
        raise InvalidSettingError(f"periods={periods!r}: must be 1, or for h2spg a whole number above")
    if slim:
        check_slim(space, slim, group_divisible)
    binding = SpaceBinding(net, space)
    if issubclass(kind, HSPG):
        hspg = kind(inner, binding.members(), space.is_valid, **own)
        hspg.method = "hspg"
        hspg.serve(asked_space, space)
        return hspg
    select = partial(binding.select, k=k, hierarchical=kind.is_hierarchical, lookahead=lookahead)
    optimizer: H2SPG | H2SPGOTOv3
    if issubclass(kind, H2SPG):
        portions = [partial(select, count=c) for c in shares(k, periods)]
        optimizer = kind(inner, binding.groups, portions, **own)
    else:
        optimizer = kind(inner, binding.groups, select, **own)
    found = slimming(optimizer, binding, slim, group_divisible, own) if slim else optimizer
    exact = [method for method, cls in OPTIMIZERS.items() if kind is cls]
    known = [*exact, *(method for method, cls in OPTIMIZERS.items() if issubclass(kind, cls)), ""]
    found.method = name if isinstance(name, str) else known[0]
    found.serve(asked_space, space, target_sparsity=k, slim=slim, group_divisible=group_divisible)
    return found


def build(
    net: nn.Module,
    space: SearchSpace,
    settings: MethodSettings,
    training: Training,
    kind: type[H2SPG] | type[H2SPGOTOv3] | type[HSPG] | None = None,
) -> SearchOptimizer:
    """Return the optimizer of one of the `OPTIMIZERS` for a run, or of a subclass of its class."""
    chosen = settings.values
    chosen.pop("switches", None)
    if not chosen.pop("forced", True):
        chosen["projection_steps"] = None
    if "saliency" in chosen:
        chosen["generator"] = training.generator()
        if SALIENCIES[chosen["saliency"]].family == COPY:  # of the network before the first step
            trained = trained_space(net, space, net.parameters())
            draws, loss = training.generator(), training.loss
            name, batches = chosen["saliency"], training.batches()
            chosen["saliency"] = score(name, net, trained, batches, draws, loss=loss)
    return create(kind or settings.name, net, space, **chosen)


def prepare(net: Any, space: SearchSpace, settings: Any, training: Training) -> tuple[Any, SearchSpace]:
    """Return the network with switches for operations without variables, where the settings ask for it."""
    if not getattr(settings, "switches", False) or not space.switchable:
        return net, space
    return add_switches(net, space, where="switchable", initial=1.0)


def _registered(settings: MethodSettings, net: nn.Module, space: SearchSpace) -> SearchOptimizer:
    """Return the optimizer of any registered method, outside of a run."""
    shares = [
        n for n, f in settings.fields().items() if f.kind == "steps" and isinstance(settings.values[n], float)
    ]
    if shares:
        raise InvalidSettingError(
            f"{', '.join(shares)}: a share of all steps, whose number only a run knows; give numbers of steps"
        )
    values, training = settings.resolved(), Training()
    if values.get("score_every") == AUTO:
        values["score_every"] = steps_between_scores(None, values["warmup_steps"])
    settings = settings.model_copy(update=values)
    if settings.prepare(net, space, training)[0] is not net:
        raise InvalidSettingError(
            f"{settings.title} trains a network with switches, not the one given: make it by"
            " nasviz.nas.with_architecture or nasviz.add_switches, and use nasviz.nas.create or"
            " nasviz.optim.create_gsparsity"
        )
    optimizer: SearchOptimizer = settings.build(net, space, training)
    optimizer.method = settings.name
    return optimizer


def _split(kind: type[Optimizer], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the optimizer itself, and those of its base."""
    known = {
        p.name: p
        for cls in reversed(kind.__mro__)  # what a subclass says of a setting counts
        if issubclass(cls, GroupOptimizer) and "__init__" in vars(cls)
        for p in inspect.signature(cls).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }
    own = {key: value for key, value in settings.items() if key in known}
    if missing := [p.name for p in known.values() if p.default is p.empty and p.name not in own]:
        raise InvalidSettingError(f"{kind.__name__} needs {', '.join(missing)}")
    return own, {key: value for key, value in settings.items() if key not in own}
