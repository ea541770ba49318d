"""Propagation of "exactly zero" through sums and products.

A result is a sum of terms, and a term is a product of factors. A factor is zero when the input is, when the
parameters are, or never. A product is zero if any factor is; a sum is zero only if all its terms are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "INPUT",
    "KEEPS",
    "NOTHING",
    "OTHER",
    "PARAMETER",
    "ZERO",
    "Behaviour",
    "product_at_zero",
    "sum_at_zero",
]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Conditions under which the result of a call is exactly zero."""

    keeps_zero: bool = False
    annihilates: bool = False
    closes: bool = False


NOTHING = Behaviour()
KEEPS = Behaviour(keeps_zero=True, closes=True)
INPUT, PARAMETER, OTHER = KEEPS, Behaviour(annihilates=True, closes=True), NOTHING
"""Factors: zero with the input, with the parameters, never."""
ZERO = None
"""The factor that is always zero."""


def product_at_zero(factors: Iterable[Behaviour | None]) -> Behaviour | None:
    """Return when a product is zero: if any factor is; `ZERO` if one always is."""
    factors = list(factors)
    if ZERO in factors:
        return ZERO
    keeps, annihilates = (any(getattr(f, k) for f in factors) for k in ("keeps_zero", "annihilates"))
    return Behaviour(keeps, annihilates, keeps or annihilates)


def sum_at_zero(terms: Iterable[Behaviour | None]) -> Behaviour:
    """Return when a sum is zero: only if all its terms are."""
    terms = [term for term in terms if term is not None]
    return Behaviour(*(all(getattr(t, k) for t in terms) for k in ("keeps_zero", "annihilates", "closes")))
