"""Hierarchical selection of redundant structures (ASGNAS, Algorithm 3, lines 6-10), with lookahead.

Candidates are taken by ascending saliency; one that would break the network is skipped. The documents' pass
may end below K although K structures could go; with lookahead a candidate is also skipped when nothing that
keeps the network connected would leave room for K. Where that rule never binds, the two agree step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nasviz.graph.validity import Connectivity

__all__ = ["SelectionStep", "steps"]


@dataclass(frozen=True, slots=True)
class SelectionStep:
    """What became of one candidate, and why."""

    structure: int
    saliency: float
    is_accepted: bool
    reason: str
    erased: tuple[int, ...]
    """Accepted so far, in the order of acceptance."""


def steps(
    connectivity: Connectivity,
    saliency: Mapping[int, float],
    k: int,
    *,
    hierarchical: bool = True,
    lookahead: bool = True,
) -> Iterator[SelectionStep]:
    """Yield each candidate with its fate until `k` are accepted; ties go by structure id.

    `hierarchical=False` accepts the first `k` without any check (DHSPG's selection).
    """
    accepted: list[int] = []
    room = len(connectivity.priced) - k
    witness = connectivity.witness(()) if hierarchical and lookahead else None
    for structure in sorted(saliency, key=lambda i: (saliency[i], i)):
        if len(accepted) == k:
            return
        trial = [*accepted, structure]
        is_accepted, reason = True, "lowest score left"
        if witness is not None:
            # Off the witness nothing can break: only candidates on it cost a search.
            narrower = connectivity.witness(trial) if structure in witness else witness
            if narrower is None:
                is_accepted, reason = False, "kept: without it the network falls apart"
            elif len(narrower) > room:
                is_accepted, reason = False, f"kept: with it gone, {k} structures could not go in all"
            else:
                witness = narrower
        elif hierarchical and not connectivity.is_valid(trial):
            is_accepted, reason = False, "kept: without it the network falls apart"
        if is_accepted:
            accepted = trial
        yield SelectionStep(structure, saliency[structure], is_accepted, reason, tuple(accepted))
