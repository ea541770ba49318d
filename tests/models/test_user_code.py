"""Which objects a name may reach: what was defined in the trusted folder, and nothing that it imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.catalog.user_modules import is_own_file
from nasviz.errors import InvalidSettingError
from nasviz.models.user_code import build_from_user_code, import_callable

MODULE = """
import functools
import os
from dataclasses import dataclass
from functools import lru_cache, partial
from os import popen, system
from pathlib import Path
from runpy import run_path
from subprocess import getoutput, run

import torch
import torchvision
from torch import nn
from torch.hub import load
from torchvision.models import resnet18

from ruled_pack.inside import Inner, inner


def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class Net(nn.Sequential):
    class Small(nn.Sequential):
        pass

    shell = os.system
    part = nn.Linear

    @classmethod
    def build(cls):
        return cls(nn.Flatten())

    @staticmethod
    def make():
        return net()


@dataclass
class Maker:
    size: int = 64

    def __call__(self):
        return nn.Linear(self.size, 10)


class Borrowed:
    __call__ = os.system


class Frozen(Net):
    __init__ = os.popen


class Heir(Net):
    pass


def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def __getattr__(name):
    return os.system


decorated = logged(net)
wrapped_system = logged(os.system)


@torch.no_grad()
def ungraded():
    return net()


@lru_cache
def cached():
    return net()


alias = net
system_alias = os.system
short = lambda: net()
own_part = partial(net)
foreign_part = partial(os.system, "true")
instance = nn.Linear(64, 10)
maker = Maker()
borrowed = Borrowed()
bound = Net.build
path = Path
exec("def generated(): return 1")
"""

OWN = [
    "net", "Net", "Net.Small", "Net.build", "Net.make", "Maker", "Heir", "decorated", "ungraded", "cached",
    "alias", "short", "own_part", "instance", "maker", "bound", "Inner", "inner",
]  # fmt: skip
FOREIGN = [
    "torch.os.system", "os.system", "os", "torch", "system", "system_alias", "load", "resnet18", "run",
    "getoutput", "torchvision.models.resnet18", "nn", "partial", "wrapped_system", "foreign_part",
    "Net.shell", "Net.part", "Net.forward", "Net.build.__func__", "net.__globals__", "Net.__init__",
    "Borrowed", "borrowed", "path", "missing", "generated", "lru_cache", "Net.__class__",
    "__loader__", "__spec__", "popen", "run_path", "Frozen",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("ruled")
    (folder / "ruled.py").write_text(MODULE)
    (folder / "ruled_pack").mkdir()
    (folder / "ruled_pack" / "__init__.py").touch()
    (folder / "ruled_pack" / "inside.py").write_text(
        "from torch import nn\ndef inner():\n    return nn.Linear(2, 2)\nclass Inner(nn.Linear):\n    pass\n"
    )
    yield folder
    for name in [name for name in sys.modules if name.startswith("ruled")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", OWN)
def test_what_is_defined_in_the_folder_may_be_named(folder: Path, name: str) -> None:
    with import_callable(f"ruled:{name}", [str(folder)]) as found:
        assert callable(found)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_module_imports_or_borrows_may_not(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # where code without a file of its own, as `<frozen os>`, would seem to lie
    with (
        pytest.raises(
            InvalidSettingError, match=r"not defined in the trusted folder|has no .* defined in it"
        ),
        import_callable(f"ruled:{name}", [str(folder)]),
    ):
        pytest.fail("it was handed over")


def test_a_command_from_outside_is_not_run(folder: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in ("torch.os.system", "system", "Net.shell", "wrapped_system"):
        source = NetworkSource(f"ruled:{name}", trust=(str(folder),), settings={"command": f"touch {canary}"})
        with pytest.raises(InvalidSettingError):
            build_from_user_code(source, None)
    assert not canary.exists()


def test_settings_of_a_network_that_stands_already_are_not_ignored(folder: Path) -> None:
    found, _ = build_from_user_code(NetworkSource("ruled:instance", trust=(str(folder),)), None)
    assert isinstance(found, nn.Linear)
    with pytest.raises(InvalidSettingError, match="takes no width"):
        build_from_user_code(
            NetworkSource("ruled:instance", trust=(str(folder),), settings={"width": 2}), None
        )


def test_an_environment_inside_a_trusted_folder_is_not_the_folders_own(tmp_path: Path) -> None:
    assert is_own_file(tmp_path / "nets.py", tmp_path)
    assert not is_own_file(tmp_path / ".venv/lib/python3/site-packages/torch/hub.py", tmp_path)
    assert not is_own_file(tmp_path / "conda/envs/old/lib/python3.9/profile.py", tmp_path)
    assert is_own_file(tmp_path / "lib/python/nets.py", tmp_path)
    assert not is_own_file(tmp_path.parent / "nets.py", tmp_path)
    root, library = Path("/"), Path(pytest.__file__)
    assert not is_own_file(library, root)
    assert not is_own_file(Path(sys.modules["os"].__file__ or ""), root)
