"""Settings are checked when they are made, and come back from JSON as they were."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.catalog import DATASETS, OPTIMIZERS, RECIPE, NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Schedule, plan_steps

DEMO = NetworkSource("demonet")
STEPS = st.none() | st.integers(1, 10**9)

ANY_SETTINGS = st.builds(
    RunSettings,
    network=st.builds(
        NetworkSource, st.sampled_from(["demonet", "resnet18"]), num_classes=st.none() | st.integers(2, 1000)
    ),
    data=st.sampled_from(sorted(DATASETS)),
    data_folder=st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    optimizer=st.just("h2spg"),
    periods=st.integers(1, 1000),
    base=st.sampled_from(["sgd", "adam", "adamw"]),
    lr=st.floats(0, 1000, exclude_min=True),
    momentum=st.floats(0, 1, exclude_max=True),
    weight_decay=st.floats(0, 100),
    target_sparsity=st.integers(0, 10**6) | st.floats(0, 1, exclude_max=True),
    saliency=st.sampled_from(["taylor", "documents", "magnitude", "random"]),
    warmup_steps=STEPS,
    projection_steps=STEPS,
    epsilon=st.floats(0, 1, exclude_max=True),
    projection=st.sampled_from(["halfspace", "progressive", "both"]),
    protect=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=3).map(tuple),
    collapse=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=3).map(tuple),
    lr_periods=st.integers(1, 1000),
    mixup=st.floats(0, 100),
    label_smoothing=st.floats(0, 1, exclude_max=True),
    epochs=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**6),
    seed=st.integers(0, 2**32 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "cuda:1", "mps"]),
    checkpoint_steps=st.integers(1, 10**9),
    eval_every_epochs=st.integers(1, 10**9),
    num_workers=st.integers(0, 256),
)


@given(ANY_SETTINGS)
def test_settings_come_back_from_json_as_they_were(settings: RunSettings) -> None:
    again = RunSettings.from_json(json.loads(json.dumps(settings.to_json())))

    assert again == settings
    assert type(again.target_sparsity) is type(settings.target_sparsity)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "demonet"),
        ("data", "imagenet-of-nobody"),
        ("data_folder", ""),
        ("optimizer", "adagrad"),
        ("base", "lion"),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("lr", "fast"),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("target_sparsity", -1),
        ("target_sparsity", 1.0),
        ("target_sparsity", True),
        ("saliency", "luck"),
        ("warmup_steps", 0),
        ("warmup_steps", 2.5),
        ("projection_steps", -3),
        ("epsilon", 1.0),
        ("projection", "neither"),
        ("protect", ["conv1"]),
        ("protect", ("",)),
        ("collapse", "BasicBlock"),
        ("collapse", ("Block", 3)),
        ("lr_schedule", "step"),
        ("lr_periods", 0),
        ("lr_periods", 1001),
        ("mixup", -0.1),
        ("mixup", float("nan")),
        ("label_smoothing", 1.0),
        ("epochs", 0),
        ("epochs", True),
        ("batch_size", 0),
        ("periods", 0),
        ("regularization", -1.0),
        ("regularization", 0.1),
        ("seed", -1),
        ("seed", 2**32),
        ("device", "gpu0"),
        ("device", "cuda:one"),
        ("checkpoint_steps", 0),
        ("eval_every_epochs", 0),
        ("num_workers", -1),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_possible(name: str, value: Any) -> None:
    with pytest.raises(
        InvalidSettingError, match=rf"^{name}=.* was asked for, but {name} must be .*default is"
    ):
        RunSettings(**{"network": DEMO, name: value})


def test_a_constant_learning_rate_has_no_periods() -> None:
    assert RunSettings(network=DEMO, lr_schedule="constant").lr_periods == 1
    with pytest.raises(
        InvalidSettingError, match=r"lr_periods=2 .*must be 1 where lr_schedule is 'constant'"
    ):
        RunSettings(network=DEMO, lr_schedule="constant", lr_periods=2)


def test_the_recipe_of_the_catalog_has_the_defaults_of_a_run() -> None:
    settings = RunSettings(network=DEMO)
    assert {s.name: s.default for s in RECIPE} == {s.name: getattr(settings, s.name) for s in RECIPE}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_takes_its_own_settings_and_no_others(optimizer: str) -> None:
    known = {setting.name for setting in OPTIMIZERS[optimizer].settings}
    other_values = {"periods": 2, "regularization": 0.1, "amplify": 3.0, "cap": 5.0, "saliency": "magnitude"}
    for name, value in other_values.items():
        asked = {"network": DEMO, "optimizer": optimizer, name: value}
        if name in known:
            settings = RunSettings(**asked)
            assert RunSettings.from_json(settings.to_json()) == settings
        else:
            with pytest.raises(InvalidSettingError, match=f"{name}=.*has no such setting"):
                RunSettings(**asked)


def test_an_unknown_setting_in_json_is_refused_by_name() -> None:
    document = RunSettings(network=DEMO).to_json() | {"temperature": 3}
    with pytest.raises(InvalidSettingError, match=r"'temperature'.*later version"):
        RunSettings.from_json(document)


def test_a_setting_missing_in_json_takes_its_default() -> None:
    assert RunSettings.from_json({"network": DEMO.to_json()}) == RunSettings(network=DEMO)


def test_warm_up_takes_a_tenth_and_projection_a_fifth_unless_told_otherwise() -> None:
    assert plan_steps(num_train=6400, batch_size=64, epochs=4) == Schedule(100, 400, 40, 80)
    assert plan_steps(
        num_train=6400, batch_size=64, epochs=4, warmup_steps=1, projection_steps=399
    ) == Schedule(100, 400, 1, 399)


def test_fewer_images_than_a_batch_make_one_step_an_epoch() -> None:
    assert plan_steps(num_train=10, batch_size=64, epochs=3).total_steps == 3


def test_phases_beyond_the_end_are_refused_before_the_start() -> None:
    with pytest.raises(InvalidSettingError, match=r"ask for 401 steps.*make 400; choose at most 400"):
        plan_steps(num_train=6400, batch_size=64, epochs=4, warmup_steps=1, projection_steps=400)
