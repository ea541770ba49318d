from __future__ import annotations

import pytest
import torch

from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, UnknownNameError
from nasviz.models.building import build
from nasviz.models.torchvision_networks import timm_names


def test_a_network_of_timm_is_built_by_name_for_any_image_and_number_of_classes() -> None:
    model, (images,) = build(NetworkSource("timm.resnet10t", (1, 32, 32), 7), seed=0)
    assert images.shape == (2, 1, 32, 32)
    with torch.no_grad():
        assert model(images).shape == (2, 7)


def test_a_transformer_of_timm_is_fitted_to_the_size_of_the_image() -> None:
    model, (images,) = build(NetworkSource("timm.vit_tiny_patch16_224", (3, 32, 32), 4), seed=0)
    with torch.no_grad():
        assert model(images).shape == (2, 4)


def test_the_nearest_names_are_told() -> None:
    assert "resnet18" in timm_names()
    with pytest.raises(UnknownNameError, match=r"nearest: .*resnet"):
        build(NetworkSource("timm.resnet1818"))


def test_settings_that_could_name_files_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="an input shape and a number of classes only"):
        NetworkSource("timm.resnet18", settings={"checkpoint_path": "/tmp/x.pth"})


def test_a_source_of_timm_survives_json() -> None:
    source = NetworkSource("timm.resnet18", (3, 64, 64))
    assert NetworkSource.from_json(source.to_json()) == source
    assert source.entry is None
    assert not source.is_callable
