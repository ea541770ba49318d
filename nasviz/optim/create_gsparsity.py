"""GSparsity, tied to a network and its search space."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace
from nasviz.optim.binding import SpaceBinding
from nasviz.optim.gsparsity import THRESHOLD, GSparsity
from nasviz.optim.proxsgd import ProxSGD

__all__ = ["SWITCH_START", "create_gsparsity"]

SWITCH_START = 0.8
"""Value of the switches of operations without variables when a search begins (public code of GSparsity)."""


def create_gsparsity(
    net: nn.Module,
    space: SearchSpace,
    *,
    projection_steps: int,
    lr: float = 1e-3,
    rho: float = 0.8,
    mu: float = 1.0,
    normalisation: str = "none",
    adaptive: bool = False,
    beta: float = 0.999,
    threshold: float = THRESHOLD,
    cells: Iterable[str] = (),
) -> GSparsity:
    """GSparsity over the removal structures of a network, one group each.

    Operations without variables take part where they have switches (`nasviz.add_switches` with
    `where="switchable"` and `initial=0.8`); switches stay within [0, 1].

    Args:
        net: The traced network; its own parameters are trained.
        space: Its search space.
        projection_steps: Steps of the search, before pruning.
        lr: epsilon.
        rho: Weight of the new gradient in the momentum.
        mu: Weight of the penalty.
        normalisation: `none`, `div` or `mul`, by the size of a group.
        adaptive: Whether tau follows the gradients of a group; 1 otherwise.
        beta: How slowly it follows them.
        threshold: Groups of at most this length are pruned.
        cells: Classes, or patterns of paths, of cells: the same operation in cells of one type is one group.

    Raises:
        InvalidSettingError: A setting is out of range, or nothing can go.
        UnknownVertexError: `cells` names no module.
    """
    if not space.removable:
        raise InvalidSettingError(f"{space.trace.name} has no removal structure, so no group for GSparsity")
    names = tuple(cells)
    tied = space.tied(names) if names else {s.id: s.id for s in space.removable}
    binding = SpaceBinding(net, space)
    groups: dict[int, list[Tensor]] = {}
    for structure, group in binding.groups.items():
        groups.setdefault(tied[structure], []).extend(group.tensors)
    parameters = dict(net.named_parameters())
    switches: dict[Tensor, tuple[float, float]] = {
        parameters[s.switch]: (0.0, 1.0) for s in space.removable if s.switch is not None
    }
    inner = ProxSGD(
        net.parameters(),
        groups,
        lr=lr,
        rho=rho,
        mu=mu,
        normalisation=normalisation,
        tau=None if adaptive else 1.0,
        beta=beta,
        bounds=switches,
    )
    return GSparsity(
        inner,
        binding.members(),
        space.is_valid,
        binding.whole_group,
        projection_steps=projection_steps,
        threshold=threshold,
        tied=tied,
    )
