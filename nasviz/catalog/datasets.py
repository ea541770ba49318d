"""Data sets that can be chosen by name."""

from __future__ import annotations

from dataclasses import dataclass

from nasviz.catalog.entry import Entry

__all__ = ["DATASETS", "FACTS", "DataFacts"]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a data set is, as far as it can be known without opening it."""

    name: str
    channels: int
    size: int
    """Height and width of an image as stored, pixels."""
    num_classes: int
    num_train: int
    num_validation: int
    text: str


FACTS: dict[str, DataFacts] = {
    facts.name: facts
    for facts in (
        DataFacts(
            "digits",
            channels=1,
            size=8,
            num_classes=10,
            num_train=1437,
            num_validation=360,
            text="Handwritten digits of 43 people in 8x8 pixels, part of scikit-learn: nothing to download.",
        ),
    )
}
"""By name of the data set."""

_TITLES = {"digits": "Digits (scikit-learn)"}
_CITATIONS = {
    "digits": "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning"
    " Repository, 1998, doi:10.24432/C50P49"
}

DATASETS: dict[str, Entry] = {
    name: Entry(
        name,
        _TITLES[name],
        facts.text,
        citation=_CITATIONS[name],
        published={"num_train": facts.num_train, "num_validation": facts.num_validation},
        family="images",
        num_classes=facts.num_classes,
    )
    for name, facts in FACTS.items()
}
"""By name, the default first."""
