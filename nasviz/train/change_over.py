"""Change-over from the full network to the sub-network in the middle of a run (ASGNAS, appendix A.2).

As soon as the search has ended, the sub-network is constructed, and the rest of the run trains it: nothing
that is zero is computed any more. Weights, running statistics and the state of the optimizer are those of the
full network, sliced; learning rate, order of the images and random generators go on.

All of it follows from the full network and its optimizer at that step, which the run keeps in a checkpoint of
its own (`change.pt`). A resumed run constructs the sub-network again from it, then loads its latest weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nasviz import subnet
from nasviz.catalog.genotype import is_genotype
from nasviz.graph.cells.genotypes import shared_genotype
from nasviz.optim.tuning import Tuning
from nasviz.subnet import Subnetwork
from nasviz.subnet.zero import zero_channels

if TYPE_CHECKING:
    from nasviz.graph import SearchSpace
    from nasviz.optim.search_optimizer import Conclusion, SearchOptimizer
    from nasviz.train.evaluation import Measured
    from nasviz.train.session import Session

__all__ = ["Change", "change_over", "construct_found", "is_change_due", "report_of_search"]


@dataclass(frozen=True)
class Change:
    """A change-over that has taken place."""

    step: int
    """Number of steps that the full network was trained for."""
    loss: float
    """Validation loss of the full network after these."""
    accuracy: float
    metrics: Mapping[str, float] | None
    """Its metrics by name."""
    space: SearchSpace
    """Search space that the sub-network was constructed from."""
    report: Mapping[str, Any]
    """What the search has decided, as in the final report of a run."""
    events: tuple[tuple[str, str, int | None], ...]
    sub: Subnetwork
    """As constructed; its module is the one in training."""


def is_change_due(session: Session) -> bool:
    """Return whether the search has ended, and the rest of the run would compute what has gone."""
    optimizer = session.optimizer
    if session.change is not None or session.is_finished or optimizer.phase != "training":
        return False
    if session.settings.change_over == "off" or optimizer.base is None:
        return False
    if optimizer.derives:
        return True
    gone = [i for i in optimizer.selected if i in optimizer.zeroed_by]
    return bool(gone or optimizer.channels) and session.space.is_valid(gone)


def change_over(session: Session, full_measured: Measured) -> Change:
    """Let `session` train the sub-network from its next step on; return what has changed.

    Args:
        session: Its search has ended, `is_change_due`.
        full_measured: Evaluation of the full network as it is now.

    Raises:
        ConstructionError: The sub-network does not compute what the full network computes.
    """
    search, full, device = session.optimizer, session.traced, session.device
    found = search.conclude(full.to("cpu"), session.space)
    sub = construct_found(search, found)
    module = sub.module.to(device).train()
    scaled = frozenset() if found.construct is None else _scaled(full, sub)
    if search.distils:  # the full network is the teacher
        full.to(device)
    session.change = Change(
        step=session.step,
        loss=full_measured.loss,
        accuracy=full_measured.accuracy,
        metrics=full_measured.metrics,
        space=found.space,
        report=report_of_search(session.optimizer, session.space, session.target_sparsity, found),
        events=found.events,
        sub=sub,
    )
    schedule = session.scheduler.state_dict()
    rates = [(group["lr"], group["initial_lr"]) for group in search.param_groups]
    tuning = Tuning(search, full, module, sub.sliced, scaled)
    session.replace_network(module, tuning)
    session.scheduler.load_state_dict(schedule)
    for group, (rate, first) in zip(tuning.param_groups, rates, strict=True):
        group["lr"], group["initial_lr"] = rate, first
    return session.change


def construct_found(search: SearchOptimizer, found: Conclusion) -> Subnetwork:
    """Return the sub-network that a search has found."""
    if found.construct is not None:
        made: Subnetwork = found.construct()
        return made
    channels = zero_channels(found.network, found.space, found.erased) if search.cuts_channels else ()
    return subnet.construct(found.network, found.space, found.erased, channels=channels, thorough=True)


def report_of_search(
    optimizer: SearchOptimizer, space: SearchSpace, target_sparsity: int, found: Conclusion
) -> dict[str, Any]:
    """Return what a search in `space` has decided, plain data for the final report of the run."""
    report: dict[str, Any] = {
        "target_sparsity": target_sparsity,
        "num_structures": len(space.removable),
        "selected": list(found.erased),
        "zeroed_by": {str(i): how for i, how in optimizer.zeroed_by.items()},
        "zeroed_at": {str(i): when for i, when in optimizer.zeroed_at.items()},
        "is_valid": found.space.is_valid(found.erased),
    }
    if optimizer.cuts_channels:
        report |= _zeroed_channels(optimizer)
    genotype = shared_genotype(found.space, found.erased)
    if genotype is not None and is_genotype(genotype):
        report["genotype"] = genotype
    return report | dict(found.report)


def _zeroed_channels(optimizer: SearchOptimizer) -> dict[str, Any]:
    """Return what made channel groups zero, and when; there may be thousands, so by reason and by step."""
    reasons: dict[str, list[int]] = {}
    steps: dict[str, list[int]] = {}
    for group, reason in optimizer.channels_zeroed_by.items():
        reasons.setdefault(reason, []).append(group)
    for group, step in optimizer.channels_zeroed_at.items():
        steps.setdefault(str(step), []).append(group)
    return {"channels_zeroed_by": reasons, "channels_zeroed_at": steps}


def _scaled(full: nn.Module, sub: Subnetwork) -> frozenset[str]:
    """Return the parameters of a derived sub-network into which a switch was folded."""
    before = dict(full.named_parameters())
    return frozenset(
        name
        for name, tensor in sub.module.named_parameters()
        if name in before
        and not torch.equal(
            tensor.detach().cpu(),
            sub.sliced(name, before[name].detach()),
        )
    )
