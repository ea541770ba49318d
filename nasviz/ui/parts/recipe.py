"""Training recipe: schedule, augmentation, MixUp, label smoothing, and the recipe of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nasviz.catalog import Entry, Value
from nasviz.settings import MethodSettings, RunSettings
from nasviz.ui.parts import controls

__all__ = ["ask_recipe", "offer_published"]

RECIPE = ("lr_schedule", "lr_periods", "augmentation", "mixup", "label_smoothing")


def ask_recipe(method: type[MethodSettings]) -> dict[str, Any]:
    """Show the settings of the recipe and the number of processes in an expander.

    Args:
        method: Chosen method; some train in a single process.
    """
    fields = RunSettings.fields()
    title = "Schedule, augmentation, MixUp, label smoothing, processes"
    with st.expander(title, icon=":material/more_horiz:"):
        values = controls.ask_all((fields[name] for name in RECIPE), "recipe")
        if method.is_distributed:
            processes = fields["processes"]
            values["processes"] = controls.whole(
                processes.title, "processes", 1, 1, 64, help_text=processes.help
            )
    return values


def offer_published(entry: Entry | None, method: type[MethodSettings]) -> None:
    """Show a button that applies the published training recipe of this network."""
    if entry is None or not entry.recipe:
        return
    fields = RunSettings.fields() | method.fields()
    words = ", ".join(f"{fields[name].title.lower()} {value:g}" for name, value in entry.recipe.items())
    st.button(
        "Use published recipe",
        icon=":material/menu_book:",
        key="recipe.take",
        help=f"ASGNAS, appendix A.2: {words}.",
        on_click=_apply,
        args=(entry.recipe, str(method.model_fields["name"].default)),
    )


def _apply(recipe: Mapping[str, Value], method: str) -> None:
    place = dict.fromkeys(RECIPE, "recipe.") | {"lr": f"{method}."}
    controls.overwrite({f"{place.get(name, '')}{name}": value for name, value in recipe.items()})
