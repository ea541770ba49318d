"""The trial of all defaults: random genotypes of one size, connected cells, and the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from nasviz.catalog import DATASETS, FACTS, NETWORKS
from nasviz.catalog.genotype import read_genotype
from nasviz.settings import METHODS
from tests.science import defaults
from tests.science.findings import markdown

MIXED = "|nor_conv_3x3~0|+|nor_conv_1x1+nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|skip_connect~1|nor_conv_1x1~2|"
SINGLE = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


def operations(text: str) -> list[str]:
    return sorted(name for node in read_genotype(text).cells[0].nodes for name, _ in node if name != "none")


def test_a_random_genotype_has_as_many_convolutions_at_other_places() -> None:
    drawn = {defaults.random_genotype(MIXED, seed) for seed in range(8)}
    assert len(drawn) > 4
    for text in drawn:
        assert [n for n in operations(text) if "conv" in n] == [n for n in operations(MIXED) if "conv" in n]
        assert len(operations(text)) == len(operations(MIXED))
    for seed in range(4):  # one operation on each edge stays one
        assert all(text.count("+") == 0 for text in defaults.random_genotype(SINGLE, seed).split("|+|"))
        assert len(operations(defaults.random_genotype(SINGLE, seed))) == 6


def test_a_genotype_is_read_and_written() -> None:
    conv_1, conv_3 = "nor_conv_1x1", "nor_conv_3x3"
    edges = [{conv_3}, {conv_1, conv_3}, {"avg_pool_3x3"}, set[str](), {"skip_connect"}, {conv_1}]
    assert read_genotype(defaults.written(edges)) == read_genotype(MIXED)


def test_a_cell_whose_output_hears_nothing_of_its_input_is_not_drawn() -> None:
    empty, skip = set[str](), {"skip_connect"}
    assert not defaults.is_connected([skip, skip, skip, empty, empty, empty])
    assert not defaults.is_connected([empty, empty, empty, empty, skip, skip])
    assert defaults.is_connected([skip, empty, skip, empty, empty, skip])


@pytest.fixture
def registered() -> Iterator[None]:
    """Networks and data of the trial, taken out of the catalog again for the tests that follow."""
    tables: tuple[dict[str, Any], ...] = (NETWORKS, DATASETS, FACTS)
    before = [dict(table) for table in tables]
    defaults.register()
    yield
    for table, known in zip(tables, before, strict=True):
        table.clear()
        table.update(known)


@pytest.mark.usefixtures("registered")
def test_every_method_is_tried_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(defaults.STUDIES) == set(METHODS)
    trained = []

    def fake(source, **settings):
        trained.append((source, json.dumps(settings, sort_keys=True, default=list)))
        own = {"params_before": 10, "params_after": 5, "accuracy": 0.9, "num_selected": 3, "num_channels": 0}
        return own | {"num_structures": 6, "outcome": "valid", "genotype": SINGLE}

    monkeypatch.setattr(defaults, "trained", fake)
    rows = [row | {"data": "digits", "seed": 0} for row in defaults.results("digits", 0, [], None)]
    assert len(trained) == len(set(trained))
    count = len(trained)
    assert list(defaults.results("digits", 0, rows, None)) == []
    assert len(trained) == count
    table = markdown(rows, {name: method.title for name, method in METHODS.items()})
    assert "| DHSPG | 1 | `demonet` | 3.0 of 6 structures gone | 50 % | 90.0 | 90.0 |" in table


def test_what_a_search_finds_is_compared_with_random_on_the_same_seeds() -> None:
    shared = {"data": "digits", "method": "darts", "params_after": 10}
    rows = [
        {**shared, "part": part, "seed": seed, "genotype": genotype, "accuracy": accuracy}
        for part, seed, genotype, accuracy in (
            ("found", 0, SINGLE, 0.5),
            ("random", 0, SINGLE, 0.5),
            ("found", 1, SINGLE, 0.9),
            ("random", 1, MIXED, 0.8),
        )
    ]
    table = markdown(rows, {"darts": "DARTS"})
    assert "| DARTS | 1 | 10 | 90.0 | 80.0 | 1 of 1 |" in table
    assert "| method |" not in table, "no line, no table"
    assert "| search |" not in markdown(rows[:2], {"darts": "DARTS"})
