"""The end of a search by a penalty or by scores: judged before pruning, pruned at some marks, and pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from nasviz.nas import WidthSearch
from nasviz.optim import FilterSparsity, PenaltySearch
from nasviz.optim.groups import GroupScaler
from nasviz.runs import Writer
from nasviz.train.channel_words import most_in
from nasviz.train.evaluation import evaluate
from nasviz.train.session import Session

__all__ = ["PRUNING_FRACTIONS", "PRUNING_THRESHOLDS", "end_search"]

PRUNING_THRESHOLDS = (1e-6, 1e-3, 0.5)
"""As GSparsity has them in table 2."""
PRUNING_FRACTIONS = (0.2, 0.4, 0.6, 0.8)
"""As RARTS and SiDT prune."""


def end_search(session: Session, writer: Writer) -> None:
    """Judge the network before pruning, and pruned at each threshold; then prune it at its own.

    Nothing happens where the search was ended before. The network keeps its weights but for what is pruned.
    """
    optimizer = session.optimizer
    if isinstance(optimizer, WidthSearch):
        _end_width_search(session, optimizer, writer)
        return
    if not isinstance(optimizer, PenaltySearch) or optimizer.pruning is not None:
        return
    before = _accuracy(session)
    rows = [_pruned_at(session, optimizer, threshold) for threshold in PRUNING_THRESHOLDS]
    optimizer.pruning = {"accuracy": before, "thresholds": rows, "groups": len(optimizer.unit_ids)}
    words = ", ".join(f"{r['accuracy']:.1%} at {r['threshold']:g} ({r['pruned']} gone)" for r in rows)
    writer.event(session.step - 1, "phase", f"the search ended with accuracy {before:.1%}; pruned {words}")
    optimizer.prune()
    if isinstance(optimizer, FilterSparsity):
        _tell_channels(session, optimizer.channels, len(optimizer.unit_ids), writer)
    names = {s.id: s.name for s in session.space.structures}
    for structure in optimizer.selected:
        writer.event(session.step - 1, "redundant", f"{names[structure]} has died", structure)


def _end_width_search(session: Session, optimizer: WidthSearch, writer: Writer) -> None:
    """The same for scores of channels: judged without the lowest of them, then pruned."""
    if optimizer.pruning is not None:
        return
    total = len(optimizer.channel_scores.home)
    with optimizer.counting():
        before = _accuracy(session)
    rows = []
    for fraction in sorted({*PRUNING_FRACTIONS, optimizer.fraction}):
        gone = optimizer.selected_at(fraction)
        with optimizer.counting(without=gone):
            rows.append({"threshold": fraction, "pruned": len(gone), "accuracy": _accuracy(session)})
    optimizer.pruning = {"accuracy": before, "thresholds": rows, "groups": total, "kind": "fraction"}
    words = ", ".join(f"{r['accuracy']:.1%} at {r['threshold']:.0%} ({r['pruned']} gone)" for r in rows)
    writer.event(session.step - 1, "phase", f"the search ended with accuracy {before:.1%}; pruned {words}")
    optimizer.prune()
    _tell_channels(session, optimizer.channels, total, writer)


def _tell_channels(session: Session, channels: Sequence[int], total: int, writer: Writer) -> None:
    """How many channels of which operators go."""
    words = f"{len(channels)} of {total} channel groups go{most_in(session.space, channels)}"
    writer.event(session.step - 1, "selected", words)


@torch.no_grad()
def _pruned_at(session: Session, optimizer: PenaltySearch, threshold: float) -> dict[str, Any]:
    """How many groups go at this threshold, and the accuracy without them."""
    short = optimizer.shorter_than(threshold)
    group = optimizer.group_of(short)
    kept = [tensor.clone() for tensor in (*group.tensors, *(rows.tensor for rows in group.rows))]
    GroupScaler(group).zero_()
    row = {"threshold": threshold, "pruned": len(short), "accuracy": _accuracy(session)}
    for tensor, value in zip((*group.tensors, *(rows.tensor for rows in group.rows)), kept, strict=True):
        tensor.copy_(value)
    return row


def _accuracy(session: Session) -> float:
    images, workers = session.split.validation, session.settings.num_workers
    return evaluate(session.network, images, device=session.device, num_workers=workers, loss=session.loss)[1]
