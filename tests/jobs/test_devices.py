from __future__ import annotations

from nasviz.jobs.slots import describe_devices, read_gpus


def test_gpus_are_told_by_name_and_memory() -> None:
    said = "NVIDIA H200, 143771 MiB\nTesla T4, 15360 MiB\n\nsomething else\n"
    assert read_gpus(said) == ("NVIDIA H200, 140 GiB", "Tesla T4, 15 GiB")


def test_the_processor_is_told_with_its_cores_and_memory() -> None:
    _, processor = describe_devices()
    assert " core" in processor
    assert processor.endswith("GiB of memory")
