"""A printed number stands beside a network of exactly the form that it is printed of."""

import pytest

from nasviz.catalog import NETWORKS, NetworkSource
from nasviz.ui.parts.published import WORDS

FOR_IMAGENET = {"channels": 48, "cells": 14, "stem": "imagenet"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (NetworkSource("darts_v2"), "CIFAR-10"),
        (NetworkSource("darts_v2", (3, 32, 32), 10, settings={"cells": 20}), "CIFAR-10"),
        (NetworkSource("darts_v2", num_classes=100), None),
        (NetworkSource("darts_v2", (3, 96, 96)), None),
        (NetworkSource("darts_v2", (3, 224, 224), 1000, settings=FOR_IMAGENET), "ImageNet"),
        (NetworkSource("darts_v2", (3, 224, 224), 1000), None),
        (NetworkSource("resnet18"), "ImageNet"),
        (NetworkSource("module:callable", trust=("/folder",)), None),
    ],
)
def test_a_source_is_of_a_form_where_all_that_counts_agrees(
    source: NetworkSource, expected: str | None
) -> None:
    assert (source.form.title if source.form else None) == expected


def test_every_printed_number_has_words() -> None:
    printed = [f for entry in NETWORKS.values() for form in entry.configurations for f in form.printed]
    assert {figure.what for figure in printed} == WORDS.keys()
    assert all(figure.source for figure in printed)
