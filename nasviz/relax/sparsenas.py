"""SparseNAS, bi-level: the iteration of DARTS, whose architecture moves by HAPG towards exact zeros.

The switches are plain numbers, not a softmax: a node is the weighted sum of all that comes into it, and all
its incoming weights form one group of a sparse group lasso (Wu et al., 2021, equations (1), (3), (11)-(13)).
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace, by_node
from nasviz.optim.hapg import HAPG, AdamHAPG
from nasviz.relax.methods import DARTS

__all__ = ["sparse_search"]


def sparse_search(
    net: nn.Module,
    space: SearchSpace,
    inner: Optimizer,
    *,
    strength: float,
    alpha: float = 0.5,
    architecture_lr: float = 0.01,
    is_adaptive: bool = True,
    inertia_cap: float = 0.9,
    **settings: Any,
) -> DARTS:
    """A search whose `architecture` is HAPG; end it with `architecture.settle_()`, which leaves exact zeros.

    After that `nasviz.construct(net, space)` reads from the switches what went; where cells share switches,
    `nasviz.settle_switches` comes first.

    Args:
        net: A network with plain switches (`nasviz.add_switches`).
        space: Its search space.
        inner: Optimizer of all weights, the switches not among them.
        strength: lambda; may be raised from epoch to epoch in `architecture.param_groups` (see `pathwise`).
            AdamHAPG divides by the size of gradients: where these are tiny, as behind a norm, a lambda that
            is too large silences a whole node in its first step.
        alpha: Balance of the penalty: 1 is the lasso, 0 the group lasso.
        architecture_lr: eta.
        is_adaptive: AdamHAPG instead of HAPG.
        inertia_cap: Largest momentum of the architecture; 1 is the formula of the paper.
        **settings: Those of `DARTS`: `order`, `warmup_steps`, `clip`.

    Raises:
        InvalidSettingError: There are no switches, or they are weighed by a softmax.
    """
    if not space.switches or any(switch.index is not None for switch in space.switches):
        raise InvalidSettingError(
            "sparse_search needs plain switches: add_switches(net, space, kind='plain')"
        )
    nodes = [
        tuple(dict.fromkeys(s.parameter for s in members)) for members in by_node(space.switches).values()
    ]
    names = dict.fromkeys(name for node in nodes for name in node)
    tensors = {name: net.get_parameter(name) for name in names}
    groups = {i: [tensors[n] for n in node] for i, node in enumerate(dict.fromkeys(nodes))}
    kind = AdamHAPG if is_adaptive else HAPG
    architecture = kind(
        tensors.values(), groups, lr=architecture_lr, strength=strength, alpha=alpha, inertia_cap=inertia_cap
    )
    return DARTS(net, inner, architecture, **settings)
