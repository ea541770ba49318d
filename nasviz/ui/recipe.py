"""How a run learns besides its method: schedule, augmentation, MixUp, labels; and a document's recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz.catalog import Entry, Value
from nasviz.settings import RELAXED, MethodSettings, RunSettings
from nasviz.ui import controls

__all__ = ["ask_recipe", "offer_published"]

RECIPE = ("lr_schedule", "lr_periods", "augmentation", "mixup", "label_smoothing")


def ask_recipe(method: type[MethodSettings]) -> dict[str, Any]:
    """Show controls for every setting of the recipe and for the processes, folded up.

    Args:
        method: Searches by architecture parameters take one process.
    """
    fields = RunSettings.fields()
    title = "More: schedule, augmentation, MixUp, smoothed labels, processes"
    with st.expander(title, icon=":material/more_horiz:"):
        values = controls.ask_all((fields[name] for name in RECIPE), "recipe")
        if method.family != RELAXED:
            processes = fields["processes"]
            values["processes"] = controls.whole(
                processes.title, "processes", 1, 1, 64, help_text=processes.help
            )
    return values


def offer_published(entry: Entry | None, method: type[MethodSettings]) -> None:
    """Show how the documents train this network, with a button that takes it over."""
    if entry is None or not entry.recipe:
        return
    fields = RunSettings.fields() | method.fields()
    words = ", ".join(f"{fields[name].title.lower()} {value:g}" for name, value in entry.recipe.items())
    st.button(
        "Train as published",
        icon=":material/menu_book:",
        key="recipe.take",
        help=f"ASGNAS, appendix A.2: {words}.",
        on_click=_take,
        args=(entry.recipe, str(method.model_fields["name"].default)),
    )


def _take(recipe: Mapping[str, Value], method: str) -> None:
    place = dict.fromkeys(RECIPE, "recipe.") | {"lr": f"{method}."}
    controls.overwrite({f"{place.get(name, '')}{name}": value for name, value in recipe.items()})
