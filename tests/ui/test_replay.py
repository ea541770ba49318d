from __future__ import annotations

import pytest

from nasviz.ui.replay import SPEEDS, pace


@pytest.mark.parametrize("last", [1, 43, 700, 15_000, 10**6])
def test_a_run_of_any_length_is_replayed_in_about_a_quarter_of_a_minute(last: int) -> None:
    speed = pace(last)
    assert speed in SPEEDS
    assert last / speed <= 15 or speed == SPEEDS[-1]
