"""Settings are checked when they are made, and come back from JSON as they were."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasviz.catalog import DATASETS, NetworkSource, Setting
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.settings import METHODS, GSparsitySettings, RunSettings, Schedule, plan_steps, refuse
from nasviz.settings.files import read_settings, schema

DEMO = NetworkSource("demonet")
FIELDS = [(name, field) for name, kind in METHODS.items() for field in kind.fields().values()]
STEPS = st.integers(1, 10**9) | st.floats(0, 1, exclude_min=True, exclude_max=True)

ANY_SETTINGS = st.builds(
    RunSettings.of,
    network=st.builds(
        NetworkSource, st.sampled_from(["demonet", "resnet18"]), num_classes=st.none() | st.integers(2, 1000)
    ),
    data=st.sampled_from(sorted(DATASETS)),
    data_folder=st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1),
    method=st.just("h2spg"),
    periods=st.integers(1, 1000),
    lr=st.floats(0, 1000, exclude_min=True),
    momentum=st.floats(0, 1, exclude_max=True),
    weight_decay=st.floats(0, 100),
    target_sparsity=st.integers(0, 10**6) | st.floats(0, 1, exclude_max=True),
    saliency=st.sampled_from(["taylor", "documents", "magnitude", "random"]),
    warmup_steps=STEPS,
    score_every=st.just("auto") | st.integers(1, 10**9),
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
    for name in ("target_sparsity", "warmup_steps"):
        assert type(again.value(name)) is type(settings.value(name))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", 3),
        ("data", "imagenet-of-nobody"),
        ("data_folder", ""),
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
        ("warmup_steps", None),
        ("score_every", "often"),
        ("projection_steps", -3),
        ("epsilon", 1.0),
        ("projection", "neither"),
        ("protect", ("",)),
        ("lr_schedule", "stairs"),
        ("lr_periods", 0),
        ("lr_periods", 1001),
        ("mixup", -0.1),
        ("mixup", float("nan")),
        ("label_smoothing", 1.0),
        ("epochs", 0),
        ("epochs", True),
        ("epochs", 2.0),
        ("batch_size", 0),
        ("periods", 0),
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
    with pytest.raises(InvalidSettingError, match=rf"^{name}=.* is invalid: {name} must be .*default is"):
        RunSettings.of(**{"network": DEMO, name: value})


@pytest.mark.parametrize(("method", "field"), FIELDS, ids=lambda x: x if isinstance(x, str) else x.name)
def test_every_setting_takes_its_default_and_refuses_what_it_excludes(method: str, field: Setting) -> None:
    kind = METHODS[method]
    assert getattr(kind(), field.name) == field.default
    assert kind(**{field.name: field.default}) == kind()
    assert field.title
    assert field.help.endswith(".")
    wrong: list[Any] = [object(), None, b"", float("nan")]
    if field.minimum is not None:
        wrong.append(field.minimum if field.above else field.minimum - 1)
    if field.maximum is not None:
        wrong.append(field.maximum if field.below else field.maximum * 2)
    for value in wrong:
        with pytest.raises(InvalidSettingError, match=field.name):
            kind(**{field.name: value})
    assert str(field.default) in str(refuse(field.name, 0, field.describe(), field.default))


@pytest.mark.parametrize(("method", "field"), FIELDS, ids=lambda x: x if isinstance(x, str) else x.name)
def test_a_setting_is_taken_by_the_methods_that_have_it_and_by_no_other(method: str, field: Setting) -> None:
    for other, kind in METHODS.items():
        values = {"network": DEMO, "method": other, field.name: field.default}
        if kind.has(field.name):
            continue
        with pytest.raises(
            InvalidSettingError, match=rf"{kind.title} has no setting '{field.name}'.*{method}"
        ):
            RunSettings.of(**values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"method": "gsparsity", "momentum": 0.3},
            r"GSparsity has no setting 'momentum' \(available for: h2spg,",
        ),
        ({"method": "h2spg", "balance": 0.2}, r"H2SPG has no setting 'balance' \(available for: sparsenas\)"),
        ({"method": "gsparsity", "lr": 5.0}, r"lr=5.0 .* above 0 and at most 1"),
        ({"momentun": 0.3}, "'momentun'; nearest: momentum"),
        ({"base": "adam", "momentum": 0.3}, "momentum=0.3 .* base is 'adam'.*effect with base 'sgd'"),
        ({"lr_schedule": "constant", "lr_periods": 2}, "lr_periods=2 .*lr_schedule is 'constant'"),
        ({"method": "gsparsity", "groups": "filters", "cells": ("Cell",)}, "cells=.*groups is 'filters'"),
        ({"method": "gsparsity", "emphasis": ("a=2",)}, "emphasis=.*groups is 'operations'"),
        ({"method": "gsparsity", "groups": "filters", "emphasis": ("a",)}, "emphasis='a'.*NAME=FACTOR"),
        ({"processes": 3}, "batch_size=64 .*a multiple of processes=3"),
        ({"processes": 2, "method": "darts"}, "processes=2 .*DARTS"),
        ({"method": "h2spg", "optimizer": "h2spg"}, "two names of one setting"),
        ({"trained_epochs": 2}, "trained_epochs=2 .*epochs=2"),
        ({"loss": "own:loss"}, "no folder is trusted"),
        ({"data": "own:data"}, "no folder is trusted"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidSettingError, match=words):
        RunSettings.of(DEMO, **values)


def test_names_of_methods_are_not_case_sensitive_and_answered_with_the_nearest() -> None:
    assert RunSettings.of(DEMO, method="H2SPG-OTOv3").method.name == "h2spg_otov3"
    with pytest.raises(UnknownNameError, match="'h2spq'; nearest: h2spg"):
        RunSettings.of(DEMO, method="h2spq")


def test_another_method_takes_over_what_was_chosen_and_both_have() -> None:
    settings = RunSettings.of(DEMO, lr=0.2, epochs=7)
    assert settings.changed(method="gsparsity", mu=2.0) == RunSettings.of(
        DEMO, method="gsparsity", lr=0.2, mu=2.0, epochs=7
    )
    with pytest.raises(InvalidSettingError, match="GSparsity has no setting 'target_sparsity'"):
        settings.changed(target_sparsity=2).changed(method="gsparsity")


def test_settings_never_change() -> None:
    settings = RunSettings.of(DEMO)
    with pytest.raises(ValueError, match="frozen"):
        settings.epochs = 3
    assert len({settings, RunSettings.of(DEMO), settings.changed(seed=1)}) == 2


def test_auto_is_worked_out_by_the_base_optimizer() -> None:
    sgd, adam = (RunSettings.of(DEMO, method="dhspg", base=base, cap=5.0).method for base in ("sgd", "adam"))
    assert [sgd.resolved()[name] for name in ("regularization", "amplify", "cap")] == [1e-3, 2.0, 5.0]
    assert [adam.resolved()[name] for name in ("regularization", "amplify", "cap")] == [1e-2, 20.0, 5.0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'network = "demonet"\n[method]\nname = "gsparsity"\nmu = 1e-3\ncells = ["Cell"]\n'),
        ("a.yaml", "network: demonet\nmethod: gsparsity\nmu: 1e-3\ncells: [Cell]\n"),
        (
            "a.json",
            '{"network": {"name": "demonet"}, "optimizer": "gsparsity", "mu": 1e-3, "cells": ["Cell"]}',
        ),
    ],
)
def test_a_file_says_what_the_same_names_say_in_python(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    expected = RunSettings.of(DEMO, method="gsparsity", mu=1e-3, cells=("Cell",))
    assert RunSettings.of(**read_settings(tmp_path / name)) == expected


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("none.toml", lambda path: None),
        ("list.json", lambda path: path.write_text("[1]")),
        ("broken.yaml", lambda path: path.write_text("a: [")),
        ("code.yaml", lambda path: path.write_text("network: !!python/object/apply:os.getcwd []")),
        ("binary.json", lambda path: path.write_bytes(b"\xff\xfe")),
        ("deep.json", lambda path: path.write_text("[" * 100_000)),
    ],
)
def test_a_file_that_holds_no_settings_is_refused_in_a_sentence(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    with pytest.raises(InvalidSettingError, match=name):
        read_settings(tmp_path / name)


def test_the_schema_names_every_setting_with_its_bounds() -> None:
    found = schema()
    method = found["$defs"][GSparsitySettings.__name__]["properties"]
    assert set(method) == {"name", *GSparsitySettings.fields()}
    assert (method["lr"]["exclusiveMinimum"], method["lr"]["maximum"], method["lr"]["default"]) == (
        0,
        1,
        0.05,
    )
    assert set(found["properties"]) == set(RunSettings.model_fields)
    assert len(found["properties"]["method"]["oneOf"]) == len(METHODS)


def test_warm_up_takes_a_tenth_and_projection_a_fifth_unless_told_otherwise() -> None:
    assert plan_steps(num_train=6400, batch_size=64, epochs=4) == Schedule(100, 400, 40, 80)
    assert plan_steps(
        num_train=6400, batch_size=64, epochs=4, warmup_steps=1, projection_steps=399
    ) == Schedule(100, 400, 1, 399)
    assert plan_steps(num_train=6400, batch_size=64, epochs=1, warmup_steps=0.001).warmup_steps == 1


def test_fewer_images_than_a_batch_make_one_step_an_epoch() -> None:
    assert plan_steps(num_train=10, batch_size=64, epochs=3).total_steps == 3


def test_phases_beyond_the_end_are_refused_before_the_start() -> None:
    with pytest.raises(InvalidSettingError, match=r"take 401 steps.* only 400.*at most 400"):
        plan_steps(num_train=6400, batch_size=64, epochs=4, warmup_steps=1, projection_steps=400)


def test_settings_load_no_torch() -> None:
    code = "import sys, nasviz.settings.files; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_the_names_that_a_choice_lists_are_all_accepted() -> None:
    for method, field in FIELDS:
        for value in field.choices:
            assert getattr(METHODS[method](**{field.name: value}), field.name) == value
    annotation = RunSettings.model_fields["augmentation"].annotation
    assert RunSettings.fields()["augmentation"].choices == get_args(annotation)
