"""A saved sub-network is a network like any other: analysed, trained, searched and cut again."""

from __future__ import annotations

from pathlib import Path

import torch

import nasviz as library
from nasviz.runs import Run, Store
from tests.cli.conftest import SMALL, Command

QUICK = ("--batch-size", "256", "--epochs", "1", "--runs", "@runs", "--quiet")


def test_what_a_run_has_left_is_searched_and_fine_tuned_again(
    nasviz: Command, done: Run, tmp_path: Path
) -> None:
    store, first, left = Store(tmp_path / "runs"), done, done.folder / "subnet"

    said = nasviz("analyze", left)
    assert said.code == 0, said.err
    assert said.out.startswith("demonet_subnet\n")
    assert f"{first.end.result['params_after']:,}" in said.out

    assert nasviz("train", "--model", left, "--target-sparsity", "1", *QUICK).code == 0
    second = store.open(store.list()[0].id)
    assert second.cut_from == first.id
    result = second.end.result
    assert result["params_before"] == first.end.result["params_after"] > result["params_after"]
    assert result["bytes_before"] == first.end.result["bytes_after"] > result["bytes_after"]

    # With a learning rate that moves nothing, the run ends where the sub-network began.
    assert nasviz("train", "--model", left, "--lr", "1e-30", "--weight-decay", "0", *QUICK).code == 0
    third = store.open(store.list()[0].id)
    start, end = library.load(left), library.load(third.folder / "subnet")
    for name, value in start.named_parameters():
        torch.testing.assert_close(end.get_parameter(name), value, rtol=0, atol=1e-12)
    said = nasviz("runs", "show", third.id, "--runs", "@runs")
    assert f"cut from    run {first.id}" in said.out


def test_options_that_a_saved_sub_network_cannot_take_are_refused(nasviz: Command, tmp_path: Path) -> None:
    assert nasviz("construct", *SMALL, "--erase", "2", "--folder", tmp_path / "cut").code == 0
    said = nasviz("analyze", tmp_path / "cut", "--classes", "3")
    assert said.code == 2
    assert "leave them out" in said.err
