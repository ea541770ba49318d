"""K from a budget: the exact DemoNet figures, and the estimate that stands in for them."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import pytest

from nasviz.errors import InvalidSettingError
from nasviz.graph import search_space
from nasviz.graph.budget import cost_band, fit_budget, random_orders
from tests.graph.networks import demonet, stacked_unets

EXACT = {  # K: number of valid sets, mean, least and most parameters over all of them
    0: (1, 817_010, 817_010, 817_010),
    1: (6, 709_943, 578_114, 813_370),
    2: (14, 594_267, 406_778, 786_442),
    3: (16, 462_446, 235_442, 615_106),
    4: (8, 315_554, 200_650, 443_770),
}


@pytest.mark.parametrize("k", EXACT)
def test_parameters_over_all_valid_sets_of_demonet(k: int) -> None:
    space = search_space(demonet())
    ids = [s.id for s in space.removable]
    sizes = [space.plan(c).params_after for c in combinations(ids, k) if space.is_valid(c)]
    assert (len(sizes), round(mean(sizes)), min(sizes), max(sizes)) == EXACT[k]


def test_a_budget_of_0_45_million_parameters_asks_for_four() -> None:
    fit = fit_budget(search_space(demonet()), 450_000)
    assert (fit.k, fit.is_reached) == (4, True)
    assert [band.k for band in fit.bands] == sorted(band.k for band in fit.bands)


def test_a_certain_budget_holds_for_every_drawn_selection() -> None:
    space = search_space(demonet())
    by_mean, certain = (fit_budget(space, space.trace.macs * 0.6, "macs", certain=c) for c in (False, True))
    assert by_mean.k < certain.k
    orders = random_orders(space)
    costs = [cost_band(space, k, "macs", orders).maximum / space.trace.macs for k in (by_mean.k, certain.k)]
    assert costs[1] <= 0.6 < costs[0]


def test_the_estimate_lies_inside_the_exact_range_and_falls_with_k() -> None:
    space = search_space(demonet())
    orders = random_orders(space, 24, seed=3)
    bands = [cost_band(space, k, "parameters", orders) for k in range(5)]
    assert all(EXACT[b.k][2] <= b.minimum <= b.mean <= b.maximum <= EXACT[b.k][3] for b in bands)
    assert [b.mean for b in bands] == sorted((b.mean for b in bands), reverse=True)


def test_a_budget_out_of_reach_says_so_and_a_senseless_one_is_refused() -> None:
    space = search_space(stacked_unets())
    fit = fit_budget(space, 1.0, draws=2)
    assert (fit.k, fit.is_reached) == (space.max_sparsity, False)
    with pytest.raises(InvalidSettingError, match="must be above 0"):
        fit_budget(space, 0.0)
