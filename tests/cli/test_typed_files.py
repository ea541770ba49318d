"""A Python file that a person types is trusted with its folder; one that a file of settings names is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nasviz.cli.options import NetworkOptions, settings_of, source_of
from nasviz.errors import InvalidSettingError

NETWORK = "class Tiny:\n    pass\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for place in ("nets.py", "pack/__init__.py", "pack/deep.py", "other/data.py"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(NETWORK)
    return tmp_path


def config(folder: Path, **values: Any) -> Path:
    path = folder / "settings.json"
    path.write_text(json.dumps({"network": "demonet"} | values))
    return path


@pytest.mark.parametrize(
    ("text", "name", "folder"),
    [
        ("./nets.py:Tiny", "nets:Tiny", "."),
        ("nets.py:Tiny", "nets:Tiny", "."),
        ("./pack/deep.py:Tiny", "pack.deep:Tiny", "."),
        ("other/data.py:Tiny", "data:Tiny", "other"),
    ],
)
def test_a_typed_file_is_trusted_with_its_folder(text: str, name: str, folder: str, here: Path) -> None:
    found = source_of(text, NetworkOptions())
    assert (found.name, found.trust) == (name, (str((here / folder).resolve()),))


def test_given_folders_are_the_only_ones(here: Path) -> None:
    found = source_of("other/data.py:Tiny", NetworkOptions(trust=(here,)))
    assert (found.name, found.trust) == ("other.data:Tiny", (str(here),))
    with pytest.raises(InvalidSettingError, match="outside the trusted folders"):
        source_of(f"{here}/nets.py:Tiny", NetworkOptions(trust=(here / "other",)))


def test_a_module_or_a_missing_file_is_not_trusted() -> None:
    with pytest.raises(InvalidSettingError, match="trust"):
        source_of("nets:Tiny", NetworkOptions())
    with pytest.raises(InvalidSettingError, match=r"no file \./absent\.py"):
        source_of("./absent.py:Tiny", NetworkOptions())


def test_typed_settings_are_trusted_with_the_network(here: Path) -> None:
    given = {"data": "other/data.py:Tiny", "loss": "./nets.py:Tiny", "metric": ("./nets.py:Tiny:min",)}
    found = settings_of("demonet", None, NetworkOptions(), given)
    assert (found.data, found.loss, found.metric) == ("data:Tiny", "nets:Tiny", ("nets:Tiny:min",))
    assert set(found.trust) == {str(here), str(here / "other")}


@pytest.mark.parametrize(
    "values", [{"data": "nets:Tiny"}, {"loss": "nets:Tiny"}, {"network": "./nets.py:Tiny"}]
)
@pytest.mark.parametrize("given", [{}, {"metric": ("./nets.py:Tiny",)}])
def test_code_that_a_file_of_settings_names_is_refused_whatever_is_typed(
    values: dict[str, Any], given: dict[str, Any], here: Path
) -> None:
    with pytest.raises(InvalidSettingError, match="trust"):
        settings_of(None, config(here, **values), NetworkOptions(), given)
    instead = dict.fromkeys(values, "./nets.py:Tiny")
    model = instead.pop("network", None)
    typed = settings_of(model, config(here, **values), NetworkOptions(), instead)
    assert (typed.trust or typed.network.trust) == (str(here),)
