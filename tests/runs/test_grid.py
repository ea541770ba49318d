"""Grids of settings: how they are written, how they unfold, and what is refused."""

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, SweepSettings, axis, expand, parse_axis


def test_a_grid_takes_one_point_of_each_axis_in_all_ways() -> None:
    points = expand((axis("target_sparsity", (1, 2)), axis("optimizer", ("h2spg", "dhspg"))))
    assert [tuple(point.values()) for point in points] == [
        (1, "h2spg"),
        (1, "dhspg"),
        (2, "h2spg"),
        (2, "dhspg"),
    ]
    assert expand(()) == ({},)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("target_sparsity=1,2,0.5", [1, 2, 0.5]),
        ("seed=0..3", [0, 1, 2, 3]),
        ("seed=7,1..2", [7, 1, 2]),
        ("optimizer=h2spg,dhspg", ["h2spg", "dhspg"]),
        ("set.width=0.1", [0.1]),
        ("warmup-steps=0.1,5", [0.1, 5]),
    ],
)
def test_an_axis_is_read_as_it_is_written(text: str, values: list[object]) -> None:
    assert [next(iter(point.values())) for point in parse_axis(text)] == values


@pytest.mark.parametrize("text", ["seed", "=1", "seed=", "colour=red", "set.=1", "seed=1..99999"])
def test_what_is_no_axis_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError):
        parse_axis(text)


def test_points_may_change_several_settings_and_the_network_itself(settings: RunSettings) -> None:
    methods = (
        {"optimizer": "dhspg", "target_sparsity": 2},
        {"optimizer": "h2spg", "target_sparsity": 0.5, "network": NetworkSource("stacked_unets")},
    )
    sweep = SweepSettings(settings, (methods, axis("set.width", (0.1, 0.2))))
    assert [
        (run.method.name, run.network.name, dict(run.network.settings)["width"]) for run in sweep.runs
    ] == [
        ("dhspg", "demonet", 0.1),
        ("dhspg", "demonet", 0.2),
        ("h2spg", "stacked_unets", 0.1),
        ("h2spg", "stacked_unets", 0.2),
    ]
    assert SweepSettings.from_json(sweep.to_json()) == sweep


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ((axis("seed", (1, 1)),), "the same run twice"),
        ((axis("seed", (1,)), axis("seed", (2,))), "two axes of the grid change seed"),
        ((axis("lr", (0.1, -1)),), r"at lr=-1: lr=-1 is invalid"),
        (
            (axis("optimizer", ("h2spg", "dhspg")), axis("periods", (2,))),
            "at method=dhspg, periods=2: DHSPG has no setting 'periods'",
        ),
        (((),), "has no values"),
        ((axis("steps", (100, 200)), axis("epochs", (3, 4))), "steps or epochs, not both"),
        ((({"steps": 100, "epochs": 3},),), "steps or epochs, not both"),
        ((axis("seed", range(101)), axis("epochs", range(1, 101))), "at most 10,000"),
        ((axis("network", ("no_such_net",)),), "no_such_net"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_before_anything_runs(
    settings: RunSettings, axes: tuple[tuple[dict[str, object], ...], ...], words: str
) -> None:
    with pytest.raises((InvalidSettingError, KeyError), match=words):
        SweepSettings(settings, axes)
