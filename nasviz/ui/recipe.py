"""How a run learns, beside its optimizer: schedule, augmentation, MixUp, labels; and a document's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz.catalog import RECIPE, RELAXED, Entry, Value
from nasviz.ui import controls

__all__ = ["ask_recipe", "offer_published"]

TITLES = {"lr": "learning rate", "lr_periods": "cosines", "batch_size": "batch size", "mixup": "MixUp"}
"""Where the name of a setting is not what people say."""


def ask_recipe(family: str) -> dict[str, Any]:
    """Controls for every setting of the recipe and for the processes, folded up.

    Args:
        family: Of the optimizer; searches by architecture parameters take one process.
    """
    values: dict[str, Any] = {}
    title = "More: schedule, augmentation, MixUp, smoothed labels, processes"
    with st.expander(title, icon=":material/more_horiz:"):
        columns = st.columns(2)
        for number, setting in enumerate(RECIPE):
            with columns[number % 2]:
                values[setting.name] = controls.ask(setting, f"recipe.{setting.name}")
        if family != RELAXED:
            values["processes"] = controls.whole(
                "Processes",
                "processes",
                1,
                1,
                64,
                help_text="That train together, each on its share of every batch: one a GPU, or a core.",
            )
    if values["lr_schedule"] != "cosine":
        values["lr_periods"] = 1  # only a cosine has periods
    return values


def offer_published(entry: Entry | None, optimizer: str) -> None:
    """How the documents train this network, with a button that takes it over."""
    if entry is None or not entry.recipe:
        return
    words = ", ".join(f"{TITLES.get(name, name)} {value:g}" for name, value in entry.recipe.items())
    st.button(
        "Train as published",
        icon=":material/menu_book:",
        key="recipe.take",
        help=f"ASGNAS, appendix A.2: {words}.",
        on_click=_take,
        args=(entry.recipe, optimizer),
    )


def _take(recipe: Mapping[str, Value], optimizer: str) -> None:
    place = {setting.name: "recipe." for setting in RECIPE} | {"lr": f"{optimizer}."}
    controls.overwrite({f"{place.get(name, '')}{name}": value for name, value in recipe.items()})
