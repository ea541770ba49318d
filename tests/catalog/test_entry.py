"""A setting accepts what its row says, and refuses the rest in words."""

import math

import pytest

from nasviz.catalog import Entry, Setting
from nasviz.errors import InvalidSettingError

LR = Setting("lr", "float", 0.05, minimum=0.0, maximum=1.0)
STEPS = Setting("warmup_steps", "int", None, minimum=1)
BASE = Setting("base", "choice", "sgd", choices=("sgd", "adam"))
AUX = Setting("aux", "bool", default=True)


@pytest.mark.parametrize(
    ("setting", "value"),
    [(LR, 0.0), (LR, 1.0), (LR, 1), (STEPS, None), (STEPS, 7), (BASE, "adam"), (AUX, False)],
)
def test_a_value_in_range_is_returned(setting: Setting, value: object) -> None:
    assert setting.check(value) == value


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (LR, -0.1),
        (LR, 1.5),
        (LR, math.nan),
        (LR, "0.1"),
        (LR, None),
        (LR, True),
        (STEPS, 0),
        (STEPS, 1.5),
        (BASE, "lion"),
        (AUX, 1),
        (Setting("momentum", "float", 0.9, minimum=0.0, maximum=1.0, below=True), 1.0),
        (Setting("free", "float", 0.9), math.nan),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(setting: Setting, value: object) -> None:
    with pytest.raises(InvalidSettingError, match=f"'{setting.name}' must be"):
        setting.check(value)


def test_an_entry_fills_in_defaults_and_refuses_strangers() -> None:
    entry = Entry("x", "X", "An entry.", settings=(LR, BASE))
    assert entry.complete({"lr": 1}) == {"lr": 1.0, "base": "sgd"}
    with pytest.raises(InvalidSettingError, match=r"no setting 'rate'.*lr, base"):
        entry.complete({"rate": 1})
