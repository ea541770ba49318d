"""Weights are read as tensors only, and a file that does not fit changes nothing."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.errors import WeightsError
from nasviz.models import build, load_weights

SOURCE = NetworkSource("demonet", settings={"width": 0.1})


@pytest.fixture
def trained() -> nn.Module:
    return build(SOURCE, seed=1)[0]


@pytest.fixture
def fresh() -> nn.Module:
    return build(SOURCE, seed=2)[0]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "legacy", "wrapped", "parallel", "source"])
def test_weights_come_back(kind: str, trained: nn.Module, fresh: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    state = trained.state_dict()
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "parallel":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        content = {"state_dict": state, "epoch": 3} if kind == "wrapped" else state
        torch.save(content, path, _use_new_zipfile_serialization=kind != "legacy")
    assert not same(trained, fresh)
    if kind == "source":
        fresh, _ = build(NetworkSource("demonet", weights=str(path), settings={"width": 0.1}))
    else:
        load_weights(fresh, path)
    assert same(trained, fresh)


def test_differences_are_named_briefly_and_nothing_changes(
    trained: nn.Module, fresh: nn.Module, tmp_path: Path
) -> None:
    state = trained.state_dict()
    state["linear9.weight"] = torch.zeros(3, 3)
    del state["conv1.bias"]
    state |= {f"extra{number}\n\x1b[31m": torch.zeros(1) for number in range(9)}
    path = tmp_path / "other.safetensors"
    save_file(state, path)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(fresh, path)
    message = str(caught.value)
    assert "conv1.bias missing" in message
    assert "linear9.weight (3, 3) for (10, 14) of another shape" in message
    assert "and 6 more unexpected" in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())


def test_shared_tensors_may_stand_under_one_name(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].weight = model[0].weight
        return model

    one, other = tied(), tied()
    state = {name: value for name, value in one.state_dict().items() if name != "1.weight"}
    save_file(state, tmp_path / "tied.safetensors")
    load_weights(other, tmp_path / "tied.safetensors")
    assert same(one, other)


class Hostile:
    def __reduce__(self) -> object:
        return os.mkdir, ("code_of_the_file_ran",)


def archive(compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        file.writestr("archive/data.pkl", b"\0" * 1_000_000)
    return buffer.getvalue()


FILES = {
    "absent.pt": (None, "no file of weights"),
    "empty.pt": (b"", "cannot be read as tensors only"),
    "text.pt": (b"not a file of weights", "cannot be read as tensors only"),
    "bomb.pt": (archive(zipfile.ZIP_DEFLATED), "rejected unopened"),
    "strange.pt": (archive(zipfile.ZIP_STORED), "cannot be read as tensors only"),
    "cut.pt": (archive(zipfile.ZIP_STORED)[:-30], "cannot be read as tensors only"),
    "program.pt2": (b"PK", "weights are read from .safetensors"),
    "empty.safetensors": (b"", "no safetensors file"),
    "header.safetensors": (struct.pack("<Q", 2**60) + b"{}", "no safetensors file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_weights_is_refused(name: str, fresh: nn.Module, tmp_path: Path) -> None:
    content, word = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=word):
        load_weights(fresh, tmp_path / name)


def test_code_in_a_file_is_not_run(fresh: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0")
    torch.save({"conv1.weight": Hostile()}, tmp_path / "hostile.pt")
    with pytest.raises(WeightsError, match="cannot be read as tensors only"):
        load_weights(fresh, tmp_path / "hostile.pt")
    assert not (tmp_path / "code_of_the_file_ran").exists()


@pytest.mark.parametrize("content", [{}, [1, 2], {"a": 1}, torch.zeros(3), {1: torch.zeros(1)}])
def test_a_file_of_something_else_is_refused(content: object, fresh: nn.Module, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_weights(fresh, tmp_path / "other.pt")
