"""What is told of a GPU: nothing where there is none, and no driver's mood ends a run."""

import sys

import pytest
import torch

from nasviz.train.gpu import GpuGauge


@pytest.fixture
def gauge(monkeypatch: pytest.MonkeyPatch) -> GpuGauge:
    """As if there were a device; who answers for its use is the real library, or nobody."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (6 * 2**30, 8 * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    return GpuGauge(torch.device("cuda:0"))


def test_a_run_on_a_processor_has_nothing_to_read() -> None:
    assert GpuGauge(torch.device("cpu")).read() is None


def test_the_real_library_without_a_driver_leaves_the_share_out(gauge: GpuGauge) -> None:
    if torch.cuda.is_available():
        assert 0 <= gauge.read()["utilisation"] <= 1
    else:
        expected = {"name": "a GPU", "memory_used_mb": 2048, "memory_total_mb": 8192}
        assert gauge.read() == expected
    assert gauge.read() is None  # once a second


def test_without_the_library_the_rest_is_told(gauge: GpuGauge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(torch.cuda, "_HAS_PYNVML", False, raising=False)
    monkeypatch.setattr(torch.cuda, "_PYNVML_ERR", ModuleNotFoundError("pynvml"), raising=False)
    assert gauge.read()["memory_used_mb"] == 2048


def test_any_error_of_the_driver_leaves_the_share_out(
    gauge: GpuGauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynvml import NVMLError_NotSupported

    def refuse(device: torch.device) -> int:
        raise NVMLError_NotSupported

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    assert "utilisation" not in gauge.read()
