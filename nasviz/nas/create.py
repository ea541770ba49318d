"""Relaxed methods by name, tied to a network with switches."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError, UnknownNameError, require_type
from nasviz.graph import SearchSpace
from nasviz.graph.space import require_space
from nasviz.nas.architecture import Architecture, with_architecture
from nasviz.nas.methods import DARTS, RARTS, MiLeNAS
from nasviz.nas.rarts import Relaxation
from nasviz.nas.relaxed_optimizer import RelaxedOptimizer, architecture_adam
from nasviz.nas.sparsenas import SparseNAS, sparse_architecture
from nasviz.optim.create import inner_optimizer
from nasviz.optim.search_optimizer import Training
from nasviz.settings import AUTO, PUBLISHED_ARCHITECTURE_LR, find_method
from nasviz.trace import TracedNetwork
from nasviz.trace.parity import require_module

__all__ = ["METHODS", "create"]

METHODS: dict[str, type[RelaxedOptimizer]] = {
    "darts": DARTS,
    "milenas": MiLeNAS,
    "rarts": RARTS,
    "sparsenas": SparseNAS,
}
"""By the names of the catalog."""
_OWN = {
    DARTS: ("order",),
    MiLeNAS: ("validation_weight",),
    RARTS: ("auxiliary_weight", "coupling", "latency_weight"),
    SparseNAS: (
        *("order", "balance", "adaptive", "inertia_cap", "penalty_step", "penalty_cap", "steps_per_epoch"),
        *("target_zeros", "search_steps"),
    ),
}


def create(
    name: str,
    net: TracedNetwork,
    space: SearchSpace,
    *,
    base: str | Optimizer = "sgd",
    architecture_lr: float | None = None,
    architecture_weight_decay: float = 1e-3,
    warmup_steps: int = 0,
    clip: float = 5.0,
    inputs: tuple[Any, ...] = (),
    **settings: Any,
) -> RelaxedOptimizer:
    """Return a method that searches the architecture of a network.

    Args:
        name: A key of `METHODS`.
        net: A network with switches, as `with_architecture` makes it; its own parameters are moved.
        space: Its search space.
        base: `sgd`, `adam` or `adamw`, for the weights; or an optimizer of `torch.optim` that holds them.
        architecture_lr: Learning rate of the architecture parameters, which Adam moves, or AdamHAPG. None:
            0.01 for sparsenas, and the published 3e-4 for the others, which suits 19,500 steps: with fewer,
            take `nasviz.settings.DARTSSettings().rate(schedule)`.
        architecture_weight_decay: Their weight decay; SparseNAS has a penalty instead.
        warmup_steps: Steps at the start in which the architecture stays.
        clip: Longest gradient of the weights.
        inputs: What the latency of operations is measured with, where RARTS has a `latency_weight`.
        **settings: `order` of darts and sparsenas; `validation_weight` of milenas; `auxiliary_weight`,
            `coupling` and `latency_weight` of rarts; `balance`, `adaptive`, `inertia_cap`, `penalty_step`,
            `penalty_cap`, `steps_per_epoch`, `target_zeros` and `search_steps` of sparsenas; and those of the
            base (`lr`, `momentum`, `weight_decay`, ...).

    Raises:
        UnknownNameError: No method or base has this name.
        InvalidSettingError: A setting is out of range or unknown, or the network has no switches.

    Examples:
        >>> import nasviz
        >>> model, images = nasviz.zoo.create("demonet", width=0.1)
        >>> net = nasviz.trace(model, images)
        >>> net, space = nasviz.nas.with_architecture(net, nasviz.search_space(net))
        >>> optimizer = nasviz.nas.create("darts", net, space, lr=0.025, momentum=0.9)
        >>> len(optimizer.structure_ids), optimizer.phase
        (6, 'search')
    """
    require_type("name", name, str, "the name of a method", f"choose one of {', '.join(METHODS)}")
    require_module("net", net)
    require_space(space)
    if name not in METHODS:
        raise UnknownNameError(f"no method {name!r}; choose one of {', '.join(METHODS)}")
    kind = METHODS[name]
    if architecture_lr is None:
        default = find_method(name).fields()["architecture_lr"].default
        architecture_lr = PUBLISHED_ARCHITECTURE_LR if default == AUTO else float(default)
    reading = Architecture(net, space)
    own = {key: settings.pop(key) for key in _OWN[kind] if key in settings}
    if isinstance(base, Optimizer):
        if settings:
            raise InvalidSettingError(
                f"{', '.join(settings)}: set on the base optimizer that you pass, not here"
            )
        inner = base
    else:
        alphas = {id(parameter) for parameter in reading.parameters}
        weights = [p for p in net.parameters() if id(p) not in alphas and p.requires_grad]
        inner = inner_optimizer(base, weights, **settings)
    search: RelaxedOptimizer
    if kind is SparseNAS:
        names = {"balance": "alpha", "adaptive": "is_adaptive", "inertia_cap": "inertia_cap"}
        chosen = {names[key]: own.pop(key) for key in names if key in own}
        sparse = sparse_architecture(net, space, architecture_lr=architecture_lr, **chosen)
        search = SparseNAS(net, inner, sparse, reading=reading, warmup_steps=warmup_steps, clip=clip, **own)
    else:
        moved = [alpha for alpha in reading.parameters if alpha.requires_grad]
        if not moved:
            raise InvalidSettingError("all architecture parameters are frozen; let one require gradients")
        adam = architecture_adam(moved, lr=architecture_lr, weight_decay=architecture_weight_decay)
        if len(moved) < len(reading.parameters) and own.get("latency_weight"):
            raise InvalidSettingError(
                f"latency_weight={own['latency_weight']}: {len(reading.parameters) - len(moved)} architecture"
                " parameters are frozen, and the latency is one of all; train them all, or leave it at 0"
            )
        if kind is RARTS:
            own = {"relaxation": _relaxation(reading, net, inputs, **own)}
        search = kind(net, inner, adam, reading=reading, warmup_steps=warmup_steps, clip=clip, **own)
    search.serve(space)
    return search


def prepare(
    net: TracedNetwork, space: SearchSpace, settings: Any, training: Training
) -> tuple[TracedNetwork, SearchSpace]:
    """Return the network with an architecture parameter for every operation."""
    return with_architecture(
        net,
        space,
        kind="softmax" if settings.has("over") else "plain",
        over=getattr(settings, "over", AUTO),
        cells=training.cells or None,
        generator=training.generator(),
    )


def build(net: TracedNetwork, space: SearchSpace, settings: Any, training: Training) -> RelaxedOptimizer:
    """Return the optimizer of a run."""
    chosen = settings.values
    chosen.pop("over", None)
    edges_per_node = chosen.pop("edges_per_node", 0)
    if "penalty_step" in chosen:  # lambda rises with the epochs
        chosen["steps_per_epoch"] = training.steps_per_epoch
    if chosen.get("latency_weight"):
        chosen["inputs"] = training.inputs()
    search = create(settings.name, net, space, **chosen)
    search.edges_per_node = edges_per_node
    return search


def _relaxation(
    reading: Architecture,
    net: TracedNetwork,
    inputs: tuple[Any, ...],
    *,
    auxiliary_weight: float = Relaxation().auxiliary_weight,
    coupling: float = Relaxation().coupling,
    latency_weight: float = 0.0,
) -> Relaxation:
    if not latency_weight:
        return Relaxation(auxiliary_weight, coupling)
    if not inputs:
        raise InvalidSettingError(
            f"latency_weight={latency_weight}: latencies are measured, so give `inputs` to measure them with"
        )
    return Relaxation(auxiliary_weight, coupling, reading.latency_penalty(net, inputs), latency_weight)
