"""Hierarchical selection of redundant structures (ASGNAS, Algorithm 3, lines 6-10), with lookahead.

Candidates are taken by ascending saliency; one that would break the network is skipped. The documents' pass
may end below K although K structures could go; with lookahead a candidate is also skipped when nothing that
keeps the network connected would leave room for K. Where that rule never binds, the two agree step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isinf

from nasviz.graph.structures.shortest_paths import Detours
from nasviz.graph.structures.validity import Connectivity

__all__ = ["SelectionStep", "steps"]

_ACCEPTED = "lowest score left"
_CUT_OFF = "kept: without it the network falls apart"
_NO_ROOM = "kept: with it gone, {} structures could not go in all"


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
    room = len(connectivity.priced) - k
    verdict: Callable[[int], str]
    if not hierarchical:
        verdict = _always
    elif not lookahead:
        verdict = _while_connected(connectivity)
    elif (detours := connectivity.detours()) is not None:
        verdict = _with_detours(detours, room)
    else:
        verdict = _with_witness(connectivity, room)
    accepted: tuple[int, ...] = ()
    for structure in sorted(saliency, key=lambda i: (saliency[i], i)):
        if len(accepted) == k:
            return
        reason = verdict(structure)
        if reason == _ACCEPTED:
            accepted = (*accepted, structure)
        yield SelectionStep(structure, saliency[structure], reason == _ACCEPTED, reason, accepted)


def _always(structure: int) -> str:
    return _ACCEPTED


def _while_connected(connectivity: Connectivity) -> Callable[[int], str]:
    """The documents' check: is everything still connected?"""
    erased: list[int] = []

    def verdict(structure: int) -> str:
        if not connectivity.is_valid([*erased, structure]):
            return _CUT_OFF
        erased.append(structure)
        return _ACCEPTED

    return verdict


def _with_detours(detours: Detours, room: int) -> Callable[[int], str]:
    """One sink: is there a way round the candidate with at most `room` structures on it?"""

    def verdict(structure: int) -> str:
        cost = detours.around(structure)
        if cost > room:
            return _CUT_OFF if isinf(cost) else _NO_ROOM.format(len(detours.crossing) - room)
        detours.erase(structure)
        return _ACCEPTED

    return verdict


def _with_witness(connectivity: Connectivity, room: int) -> Callable[[int], str]:
    """Several sinks: off the witness nothing can break, so only candidates on it cost a search."""
    erased: list[int] = []
    witness = connectivity.witness(())

    def verdict(structure: int) -> str:
        nonlocal witness
        if witness is None or structure in witness:
            narrower = connectivity.witness([*erased, structure])
            if narrower is None:
                return _CUT_OFF
            if len(narrower) > room:
                return _NO_ROOM.format(len(connectivity.priced) - room)
            witness = narrower
        erased.append(structure)
        return _ACCEPTED

    return verdict
