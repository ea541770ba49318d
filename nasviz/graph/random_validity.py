"""How often structures chosen blindly leave a network connected: why a search needs a validity check.

The documents' Table 4 marks with a cross where a search without hierarchy ended in a broken network; this is
the same fact without any training (ASGNAS, section 4, DHSPG against H2SPG).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

from nasviz.graph.space import SearchSpace

__all__ = ["Chance", "chances"]


@dataclass(frozen=True, slots=True)
class Chance:
    """Of `num_sets` sets of `k` structures, how many leave everything required connected."""

    k: int
    num_valid: int
    num_sets: int
    is_exact: bool
    """Whether all sets were looked at, rather than a random sample."""

    @property
    def share(self) -> float:
        """Valid sets by all that were looked at."""
        return self.num_valid / self.num_sets


def chances(space: SearchSpace, draws: int = 300, seed: int = 0) -> Iterator[Chance]:
    """Yield the chance for K = 0, 1, ... up to the number of structures; one check a set, O(V + E).

    All sets are looked at where there are no more than `draws` of them.

    Examples:
        >>> from nasviz.graph import Input, Output, TraceGraph, Vertex, search_space
        >>> def linear(name):
        ...     weight = f"{name}.weight"
        ...     return Vertex(
        ...         name, name, "linear", ("x",), parameters=(weight,), annihilates=True, closes=True
        ...     )
        >>> add = Vertex("add", "add", "add", ("a", "b"), keeps_zero=True, closes=True)
        >>> shapes = {"a.weight": (4, 4), "b.weight": (4, 4)}
        >>> vertices = (linear("a"), linear("b"), add)
        >>> trace = TraceGraph("two branches", (Input("x"),), vertices, (Output("y", "add"),), shapes)
        >>> [chance.num_valid for chance in chances(search_space(trace))]
        [1, 2, 0]
    """
    ids = [s.id for s in space.removable]
    generator = random.Random(seed)
    for k in range(len(ids) + 1):
        is_exact = comb(len(ids), k) <= draws
        sets = combinations(ids, k) if is_exact else (generator.sample(ids, k) for _ in range(draws))
        verdicts = [space.connectivity.is_valid(chosen) for chosen in sets]
        yield Chance(k, sum(verdicts), len(verdicts), is_exact)
