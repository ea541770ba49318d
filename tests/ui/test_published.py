"""A printed number stands beside a network of exactly the form that it is printed of."""

import pytest

from nasviz.catalog import NETWORKS, NetworkSource
from nasviz.ui.published import WORDS, is_form

DARTS_V2 = NETWORKS["darts_v2"]
FOR_IMAGENET = {"channels": 48, "cells": 14, "stem": "imagenet"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (NetworkSource("darts_v2"), [True, False]),
        (NetworkSource("darts_v2", (3, 32, 32), 10, settings={"cells": 20}), [True, False]),
        (NetworkSource("darts_v2", num_classes=100), [False, False]),
        (NetworkSource("darts_v2", (3, 96, 96)), [False, False]),
        (NetworkSource("darts_v2", (3, 224, 224), 1000, settings=FOR_IMAGENET), [False, True]),
        (NetworkSource("darts_v2", (3, 224, 224), 1000), [False, False]),
    ],
)
def test_a_source_is_of_a_form_where_all_that_counts_agrees(
    source: NetworkSource, expected: list[bool]
) -> None:
    assert [is_form(source, DARTS_V2, form) for form in DARTS_V2.configurations] == expected


def test_every_printed_number_has_words() -> None:
    printed = [f for entry in NETWORKS.values() for form in entry.configurations for f in form.printed]
    assert {figure.what for figure in printed} == WORDS.keys()
    assert all(figure.source for figure in printed)
