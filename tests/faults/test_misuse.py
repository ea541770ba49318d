"""Every public function refuses wrong arguments in a sentence: which argument, what was found, what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nasviz
from nasviz.errors import NasvizError


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


MODEL = nn.Sequential(nn.Linear(3, 3), Residual(), Residual(), Residual(), nn.Linear(3, 2))
X = torch.zeros(2, 3)


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    net = nasviz.trace(MODEL, X)
    return net, nasviz.search_space(net)


def scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(nn.ReLU())


TRACE: dict[str, tuple[Callable[[], Any], str]] = {
    "a class": (lambda: nasviz.trace(nn.Linear, X), "model .*class Linear itself.*instance"),
    "a function": (lambda: nasviz.trace(torch.relu, X), "model must be a torch.nn.Module, not builtin"),
    "wrong order": (lambda: nasviz.trace(X, MODEL), "wrong order"),
    "no inputs": (lambda: nasviz.trace(MODEL), "example_inputs=None holds no tensor; pass"),
    "no arguments": (lambda: nasviz.trace(MODEL, ()), r"example_inputs=\(\) holds no tensor; pass"),
    "a shape": (lambda: nasviz.trace(MODEL, (2, 3)), "holds no tensor; pass"),
    "lists of numbers": (lambda: nasviz.trace(MODEL, [[1.0, 2.0, 3.0]]), "holds no tensor; pass"),
    "an array": (
        lambda: nasviz.trace(MODEL, np.zeros((2, 3), dtype=np.float32)),
        r"NumPy ndarray of shape \(2, 3\).*torch.from_numpy",
    ),
    "its module": (
        lambda: nasviz.trace(torch.export.export(MODEL, (X,)).module(), X),
        "cannot switch between training and evaluation mode.*trace the program",
    ),
    "TorchScript": (lambda: nasviz.trace(scripted(), X), "ReLU is a TorchScript module.*trace the Python"),
    "a part of TorchScript": (
        lambda: nasviz.trace(nn.Sequential(nn.Linear(3, 3), scripted()), X),
        "1 is TorchScript",
    ),
    "a part by number": (lambda: nasviz.trace_submodule(MODEL, 1, X), "path must be .*not int"),
    "a part in wrong order": (lambda: nasviz.trace_submodule("1", MODEL, X), "model must be .*not str"),
    "splice in wrong order": (lambda: nasviz.splice(MODEL, MODEL, "1"), "path must be .*not Sequential"),
    "a space of a model": (lambda: nasviz.search_space(MODEL), "network must be a traced .*trace the model"),
    "a folder by number": (lambda: nasviz.load(3), "folder must be .*not int"),
    "a network by number": (lambda: nasviz.zoo.create(3), "a network's name must be text"),
}

WITH_A_NETWORK: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "construct a model": (lambda net, space: nasviz.construct(MODEL, space), "net must be a traced .*trace"),
    "construct, wrong order": (lambda net, space: nasviz.construct(space, net), "net must be .*SearchSpace"),
    "construct without a space": (
        lambda net, space: nasviz.construct(net, net),
        "space must be .*search_space",
    ),
    "erased": (
        lambda net, space: nasviz.construct(net, space, 1),
        r"erased must be a list of ids, not int.*\[1\]",
    ),
    "gates": (lambda net, space: nasviz.construct(net, space, (), gates=1), "gates must be a list of ids"),
    "channels": (lambda net, space: nasviz.construct(net, space, (), channels=1), "channels must be a list"),
    "create, wrong order": (
        lambda net, space: nasviz.optim.create(net, "h2spg", space),
        "name must be .*h2spg",
    ),
    "create without a network": (lambda net, space: nasviz.optim.create("h2spg", space, net), "net must be"),
    "create without a space": (lambda net, space: nasviz.optim.create("h2spg", net, MODEL), "space must be"),
    "relax, wrong order": (lambda net, space: nasviz.nas.create("darts", space, net), "net must be"),
    "switches on a model": (lambda net, space: nasviz.add_switches(MODEL, space), "net must be a traced"),
    "switches without a space": (lambda net, space: nasviz.add_switches(net, net), "space must be"),
    "fold a model": (lambda net, space: nasviz.fold_switches(MODEL), "net must be a traced"),
    "settle a model": (lambda net, space: nasviz.settle_switches(MODEL, space), "net must be a traced"),
    "project, wrong order": (lambda net, space: nasviz.project_to_zero_(space, net, ()), "net must be"),
    "save a network": (lambda net, space: nasviz.save(net, "x"), "sub must be .*nasviz.construct"),
    "export a space": (lambda net, space: nasviz.export_onnx(space, "x.onnx"), "net must be"),
    "export, wrong order": (lambda net, space: nasviz.export_onnx("x.onnx", net), "net must be .*not str"),
    "export nowhere": (lambda net, space: nasviz.export_pt2(net, 3), "path must be .*not int"),
    "protect one text": (lambda net, space: nasviz.search_space(net, protect="3"), r"write protect=\['3'\]"),
    "protect nothing": (lambda net, space: nasviz.search_space(net, protect=None), "protect=None is no list"),
    "protect a share": (
        lambda net, space: nasviz.search_space(net, protect=[1.5]),
        "ids of structures as int",
    ),
    "protect a lost id": (
        lambda net, space: nasviz.search_space(net, protect=[99]),
        "no structure has this id",
    ),
    "protect digits": (
        lambda net, space: nasviz.search_space(net, protect=["9" * 5000]),
        "no structure, vertex or module.*an int, or id:N",
    ),
    "protect an endless id": (
        lambda net, space: nasviz.search_space(net, protect=["id:" + "9" * 5000]),
        "no structure, vertex or module",
    ),
}


@pytest.mark.parametrize("name", TRACE)
def test_a_wrong_argument_is_refused_in_a_sentence(name: str) -> None:
    call, words = TRACE[name]
    with pytest.raises(NasvizError, match=words) as caught:
        call()
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("name", WITH_A_NETWORK)
def test_a_wrong_argument_beside_a_network_is_refused_in_a_sentence(name: str, made: tuple[Any, Any]) -> None:
    call, words = WITH_A_NETWORK[name]
    with pytest.raises(NasvizError, match=words) as caught:
        call(*made)
    assert len(str(caught.value)) < 1200


def test_digits_are_the_name_of_a_module_and_ints_are_ids(made: tuple[Any, Any], tmp_path: Path) -> None:
    net, space = made
    free = {s.id: s.name for s in space.removable}

    def stays(wish: int | str) -> set[str]:
        left = {s.id for s in nasviz.search_space(net, protect=[wish]).removable}
        return {name for i, name in free.items() if i not in left}

    assert stays("2") == stays("2.body") == {"2.body"}
    some = next(i for i, name in free.items() if name == "3.body")
    assert stays(some) == stays(f"id:{some}") == {"3.body"}


def test_a_space_of_the_first_version_keeps_its_ids(made: tuple[Any, Any]) -> None:
    net, space = made
    some = space.removable[0].id
    document = nasviz.search_space(net, protect=[some]).to_json()
    old = {key: value for key, value in document.items() if key != "version"} | {"protect": [str(some)]}

    assert type(space).from_json(old).protected == type(space).from_json(document).protected == {some}
