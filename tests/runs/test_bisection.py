"""The search for mu finds what a falling staircase allows, in few trials."""

from __future__ import annotations

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.runs import bisect_mu

PUBLISHED = ((0.1, 162), (10, 120), (50, 55), (100, 17), (200, 7), (500, 4), (1000, 0))
"""Operations that survive a given mu (GSparsity, appendix H; normal and reduction cells together)."""


def staircase(mu: float) -> int:
    return next((count for limit, count in reversed(PUBLISHED) if mu >= limit), 196)


def test_the_published_curve_brackets_the_published_choice() -> None:
    found = bisect_mu(staircase, 55)
    assert found.survivors == 55
    assert 50 <= found.mu < 100
    assert len(found.trials) <= 10
    assert [t.survivors for t in found.curve] == sorted((t.survivors for t in found.curve), reverse=True)


def test_a_count_that_no_mu_gives_ends_at_the_next_smaller_one() -> None:
    found = bisect_mu(staircase, 30, most_trials=30)
    assert found.survivors == 17
    assert found.mu == pytest.approx(100, rel=0.02)


def test_trials_are_counted() -> None:
    seen: list[float] = []
    bisect_mu(lambda mu: seen.append(mu) or (3 if mu < 70 else 0), 1, most_trials=6)
    assert len(seen) == 6


def test_a_target_out_of_reach_says_so() -> None:
    with pytest.raises(InvalidSettingError, match="mu=100 still leaves 17 groups, but the target is 5"):
        bisect_mu(staircase, 5)
    with pytest.raises(InvalidSettingError, match="ascending values"):
        bisect_mu(staircase, 5, grid=(10, 1))
