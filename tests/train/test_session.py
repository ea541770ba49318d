"""What cannot work is refused before the first step, in words that help."""

import os
from pathlib import Path

import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, InvalidSparsityError
from nasviz.runs import Store
from nasviz.train import open_session, work
from tests import mixed_network
from tests.train.conftest import short_settings


def test_more_than_can_go_is_refused_with_what_can() -> None:
    with pytest.raises(InvalidSparsityError, match=r"target_sparsity=5 .*of 6 .*only 4 can go.*at most 4"):
        open_session(short_settings(target_sparsity=5))


FIXED = """
from torch import nn

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(x.reshape(2, 64))
"""


def test_a_network_that_fixes_its_batch_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "with_fixed_batch.py").write_text(FIXED)
    source = NetworkSource("with_fixed_batch:Fixed", input_shape=(1, 8, 8), trust=(str(tmp_path),))
    with pytest.raises(InvalidSettingError, match=r"batches of 2 only.*use x\.shape\[0\]"):
        open_session(short_settings(network=source, target_sparsity=0))


def test_a_share_counts_structures() -> None:
    assert open_session(short_settings(target_sparsity=0.5)).target_sparsity == 3


def test_what_is_protected_counts_no_longer() -> None:
    with pytest.raises(InvalidSparsityError, match="only 3 can go"):
        open_session(short_settings(target_sparsity=4, protect=("conv7", "conv8")))


def test_a_collapsed_module_is_one_structure_of_the_run(tmp_path: Path) -> None:
    settings = short_settings(network=mixed_network.source(tmp_path / "trust"), target_sparsity=1)
    apart, collapsed = settings, settings.changed(collapse=("FactorizedReduce",))
    assert len(open_session(apart).space.removable) == 5
    session = open_session(collapsed)
    assert [s.name for s in session.space.removable] == ["reduce", "plain", "mix"]


def test_phases_longer_than_the_run_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"only 22.*at most 22"):
        open_session(short_settings(warmup_steps=20))


@pytest.mark.skipif(torch.cuda.device_count() > 7, reason="the machine has the device")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match=r"torch sees \d+ CUDA devices"):
        open_session(short_settings(device="cuda:7"))


def test_the_same_seed_gives_the_same_network_and_another_one_does_not() -> None:
    first, second, third = (open_session(short_settings(seed=seed)) for seed in (0, 0, 1))
    weights = [
        torch.cat([p.detach().view(-1) for p in s.network.parameters()]) for s in (first, second, third)
    ]

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_cuda_can_be_asked_for_the_same_bits_each_time_and_the_cpu_need_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nasviz.train.session import _choose_algorithms

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    open_session(short_settings(deterministic=True))
    assert not torch.are_deterministic_algorithms_enabled(), "the CPU is exact as it is"
    try:
        _choose_algorithms(is_deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        _choose_algorithms(is_deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()


def test_an_operator_that_cannot_be_deterministic_ends_the_run_with_the_remedy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised as torch raises it on CUDA: `max_unpool2d` has no deterministic form on any device."""
    (words,) = _torchs_own_words()
    run = store.create(short_settings(deterministic=True))

    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr("nasviz.train.loop.classification_loss", refuse)
    with pytest.raises(InvalidSettingError, match=r"deterministic=True cannot be kept: .*train on the CPU"):
        work(run)
    assert run.state == "failed"


def _torchs_own_words() -> list[str]:
    torch.use_deterministic_algorithms(True)
    try:
        torch.nn.functional.max_unpool2d(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1).long(), 2)
    except RuntimeError as error:
        return [str(error)]
    finally:
        torch.use_deterministic_algorithms(False)
    return []
