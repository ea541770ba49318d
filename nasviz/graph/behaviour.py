"""When the result of a call is exactly zero, put together from its operands.

A result is a sum of terms, a term a product of factors. A factor is zero with the input, with the parameters,
or never. A product is zero where one factor is; a sum only where all its terms are.
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
    """When the result of a call is exactly zero."""

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
    """How a product is zero: where one factor is; `ZERO` where one always is."""
    factors = list(factors)
    if ZERO in factors:
        return ZERO
    keeps, annihilates = (any(getattr(f, k) for f in factors) for k in ("keeps_zero", "annihilates"))
    return Behaviour(keeps, annihilates, keeps or annihilates)


def sum_at_zero(terms: Iterable[Behaviour | None]) -> Behaviour:
    """How a sum is zero: only where all its terms are."""
    terms = [term for term in terms if term is not None]
    return Behaviour(*(all(getattr(t, k) for t in terms) for k in ("keeps_zero", "annihilates", "closes")))
