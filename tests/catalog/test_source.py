"""A network source names one network exactly, or is refused before anything is built."""

import json
from dataclasses import FrozenInstanceError

import pytest

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, UnknownNameError

SOURCES = [
    NetworkSource("demonet"),
    NetworkSource("demonet", (1, 28, 28), 10, settings={"width": 0.25}),
    NetworkSource("resnet18", (3, 32, 32), 5, "weights.safetensors"),
    NetworkSource("package.module:Network.create", trust=("/somewhere",), settings={"depth": 3}),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_survives_json_and_can_be_hashed(source: NetworkSource) -> None:
    again = NetworkSource.from_json(json.loads(json.dumps(source.to_json())))
    assert again == source
    assert hash(again) == hash(source)


def test_the_order_of_settings_does_not_matter() -> None:
    one = NetworkSource("m:f", trust=("d",), settings={"a": 1, "b": 2})
    two = NetworkSource("m:f", trust=("d",), settings={"b": 2, "a": 1})
    assert one == two


def test_a_source_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        NetworkSource("demonet").name = "resnet18"  # type: ignore[misc]


def test_a_callable_without_a_trusted_folder_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"no trusted folder.*--trust DIR"):
        NetworkSource("package.module:create")


@pytest.mark.parametrize(
    "name", ["", "a b", "../x", "a:b:c", "a.:b", ":f", "os;rm:x", "a" * 65, "a:" + "b" * 300, "x\0", 3, None]
)
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettingError):
        NetworkSource(name, trust=("/somewhere",))


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="resnet18"):
        NetworkSource("resnet17")


@pytest.mark.parametrize(
    "shape",
    [(28, 28), (1, 28, 28, 1), (0, 28, 28), (1, -1, 1), (1, 2.0, 2), "1,2,3", (1, True, 1), (3, 9999, 9)],
)
def test_a_malformed_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidSettingError, match=r"\(channels, height, width\)"):
        NetworkSource("demonet", shape)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"num_classes": 0}, "num_classes"),
        ({"num_classes": True}, "num_classes"),
        ({"weights": ""}, "weights"),
        ({"trust": "folder"}, "trust"),
        ({"trust": (3,)}, "trust"),
        ({"settings": {"depth": 3}}, "no setting 'depth'"),
        ({"settings": {"width": 0.0}}, "width"),
    ],
)
def test_a_malformed_part_is_refused(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        NetworkSource("demonet", **arguments)


@pytest.mark.parametrize("data", [{}, {"name": "demonet", "colour": 1}, "demonet", None])
def test_json_of_something_else_is_refused(data: object) -> None:
    with pytest.raises(InvalidSettingError, match="a network source is a mapping"):
        NetworkSource.from_json(data)


def test_a_saved_sub_network_is_data_whatever_it_was_cut_out_of() -> None:
    own = NetworkSource("package.module:Net", trust=("/somewhere",))
    cut = NetworkSource(own.name_of_subnet, subnet="/runs/x/subnet")
    assert NetworkSource.from_json(json.loads(json.dumps(cut.to_json()))) == cut
    assert (cut.is_callable, cut.entry, cut.form) == (False, None, None)
    assert cut.title == "Sub-network of package_module_Net"
    again = NetworkSource(cut.name_of_subnet, subnet="/runs/y/subnet")
    assert again.title == "Sub-network 2 of package_module_Net"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a:b"},
        {"name": ""},
        {"subnet": ""},
        {"subnet": 3},
        {"num_classes": 3},
        {"input_shape": (1, 8, 8)},
        {"weights": "w.pt"},
        {"settings": {"width": 0.5}},
    ],
)
def test_a_saved_sub_network_has_its_own_input_classes_and_weights(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidSettingError, match="sub-network"):
        NetworkSource(**{"name": "demonet_subnet", "subnet": "/x", **changes})  # type: ignore[arg-type]
