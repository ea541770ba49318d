"""Training in lower precision, or compiled: what is selected, evaluated and cut stays exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError
from nasviz.runs import RunSettings, Store
from nasviz.train import Session, open_session, session, train, work
from tests.train.conftest import short_settings
from tests.train.resuming import ended_straight_and_resumed


def trained(**changes: Any) -> Session:
    opened = open_session(short_settings(**changes))
    losses = [float(record.loss) for record in train(opened)]
    assert losses[-1] < losses[0]
    return opened


FEW = {
    "precision": "bfloat16",
    "network": NetworkSource("demonet", input_shape=(1, 8, 8), settings={"width": 0.125}),
    "steps": 9,
    "warmup_steps": 4,
    "projection_steps": 4,
}


def test_bfloat16_reaches_the_products_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[str, set[torch.dtype]] = {"convolution": set(), "output": set()}
    opened = open_session(short_settings(**FEW))
    convolution = next(m for m in opened.network.modules() if isinstance(m, nn.Conv2d))
    convolution.register_forward_hook(lambda module, args, out: kinds["convolution"].add(out.dtype))
    before = opened.forward
    monkeypatch.setattr(
        opened, "forward", lambda run: (out := before(run), kinds["output"].add(out.dtype))[0]
    )
    for _ in train(opened):
        pass
    assert kinds == {"convolution": {torch.bfloat16}, "output": {torch.float32}}
    tensors = (*opened.network.parameters(), *opened.network.buffers())
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}


def test_a_run_in_bfloat16_is_cut_exactly(store: Store) -> None:
    run = store.create(short_settings(**FEW))
    assert work(run) == "done"
    assert len(run.end.result["selected"]) == 3
    assert run.end.result["max_relative_error"] < 1e-5


@pytest.mark.slow
def test_a_run_in_bfloat16_resumes_to_the_bit(tmp_path) -> None:
    ended_straight_and_resumed(short_settings(**FEW), 5, tmp_path)


def test_without_a_compiler_a_captured_network_trains_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_has_compiler", lambda: False)
    plain, compiled = trained(), trained(compile="default")
    assert compiled.model is not compiled.network
    assert compiled.optimizer.selected == plain.optimizer.selected
    for name, value in plain.network.state_dict().items():
        torch.testing.assert_close(compiled.network.state_dict()[name], value, msg=name)


@pytest.mark.slow
def test_a_compiled_run_selects_the_same_resumes_to_the_bit_and_is_cut_exactly(
    tmp_path, store: Store
) -> None:
    plain, compiled = trained(), trained(compile="default")
    assert compiled.optimizer.selected == plain.optimizer.selected
    ended_straight_and_resumed(short_settings(compile="default"), 10, tmp_path)
    run = store.create(short_settings(compile="default", change_over="auto"))
    assert work(run) == "done"
    assert run.end.result["max_relative_error"] < 1e-5


@pytest.mark.parametrize(
    "changes", [{"optimizer": "darts"}, {"optimizer": "rarts_width"}, {"processes": 2}], ids=str
)
def test_what_cannot_be_compiled_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError, match=r"compile='default'.*'off' with"):
        RunSettings.of(network="demonet", compile="default", **changes)
