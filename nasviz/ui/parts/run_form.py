"""Parts of the form of a run: recipe, explanations, and the estimated size of the sub-network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from nasviz.catalog import METRICS, Entry, Setting, Value
from nasviz.draw.labels import count
from nasviz.graph import SearchSpace
from nasviz.graph.budget import cost_band, random_orders
from nasviz.jobs.slots import describe_devices
from nasviz.settings import AUTO, MethodSettings, RunSettings
from nasviz.ui import session
from nasviz.ui.parts import controls
from nasviz.ui.parts.controls import keep, kept
from nasviz.ui.parts.escaping import inert

__all__ = ["BASES", "ask_recipe", "explain_device", "explain_method", "offer_published", "size_forecast"]

INTERVALS = ("checkpoint_steps", "eval_every_epochs")
SPEED = ("precision", "compile")
RECIPE = (
    *("steps", "train_images", "lr_schedule", "lr_periods", "lr_decay", "lr_decay_epochs"),
    *("augmentation", "mixup", "label_smoothing", "change_over", "result"),
)


def ask_recipe(method: type[MethodSettings], trust: tuple[str, ...] = ()) -> dict[str, Any]:
    """Show the settings of the recipe and the number of processes in an expander.

    Args:
        method: Chosen method; some train in a single process.
        trust: Folders that code may be imported from.
    """
    fields = RunSettings.fields()
    title = (
        "Steps, subset, schedule, augmentation, MixUp, smoothing, intervals, precision, metrics, processes"
    )
    with st.expander(title, icon=":material/more_horiz:"):
        values = controls.ask_all((fields[name] for name in (*RECIPE, *INTERVALS, *SPEED)), "recipe")
        values |= _ask_metrics(fields["metric"], trust)
        if method.is_distributed:
            processes = fields["processes"]
            values["processes"] = controls.whole(
                processes.title, "processes", 1, 1, 64, help_text=processes.help
            )
    return values


def _ask_metrics(setting: Setting, trust: tuple[str, ...]) -> dict[str, Any]:
    """Show the choice of the metrics, with callables of the user where folders are trusted."""
    words = setting.help if trust else f"{setting.help} Your own: start the app with --trust DIR."
    chosen = st.multiselect(
        setting.title,
        tuple(dict.fromkeys([*METRICS, *kept("recipe.metric", ())])),
        kept("recipe.metric", ()),
        placeholder=AUTO,
        help=words,
        key="recipe.metric.chosen",
        accept_new_options=bool(trust),
    )
    keep("recipe.metric", tuple(chosen))
    own = {"trust": trust} if any(":" in name for name in chosen) else {}
    return {"metric": tuple(chosen) or (AUTO,)} | own


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


BASES: Mapping[str, str] = {
    "sgd": "SGD with momentum: the step is the gradient plus a fraction of the previous step.",
    "adam": "Adam: each weight has its own step size, estimated from its past gradients.",
    "adamw": "AdamW: Adam with weight decay applied to the weights instead of the gradient.",
}
"""Description of each base update."""


def explain_method(entry: type[MethodSettings], base: str | None, settings: Iterable[Setting]) -> None:
    """Show the summary of an optimizer, its base update and one line per setting."""
    base_line = f" Base update: {BASES[base]}" if base is not None and base in BASES else ""
    st.caption(f"**{entry.title}.** {entry.summary}{base_line}")
    with st.expander("About these settings", icon=":material/help:"):
        st.markdown("\n".join(f"- **{s.title}**: {s.help}" for s in settings if s.help))
        if entry.caution:
            st.markdown(f"**Note:** {entry.caution}")
        if entry.citation:
            st.caption(inert(entry.citation))


def explain_device(chosen: str) -> None:
    """Show the name and memory of the device that a run would use."""
    gpus, processor = _devices()
    if chosen == "cpu" or (chosen == "auto" and not gpus):
        none = " No GPU found." if chosen == "auto" else ""
        st.caption(f"{inert(processor)}.{none}")
    elif chosen in ("auto", "cuda") and gpus:
        st.caption(f"{inert(gpus[0])}." + (f" {len(gpus) - 1} more available." if len(gpus) > 1 else ""))
    elif chosen == "cuda":
        st.caption("No GPU found: a run on cuda would be rejected.")


@st.cache_data(ttl=600, show_spinner=False)
def _devices() -> tuple[tuple[str, ...], str]:
    return describe_devices()


DRAWS = 8
LARGE = 1000
"""Number of operators above which fewer selections are drawn, so that the slider stays responsive."""


def size_forecast(space: SearchSpace, k: int) -> None:
    """Show the range of remaining parameters and MACs over random selections of K structures."""
    if k:
        st.caption(_words(session.key_of(space), k, space))


@st.cache_data(max_entries=200, show_spinner=False)
def _words(key: str, k: int, _space: SearchSpace) -> str:
    orders = random_orders(_space, 3 if len(_space.trace) > LARGE else DRAWS)
    params = cost_band(_space, k, "parameters", orders)
    macs = cost_band(_space, k, "macs", orders)
    return (
        f"Estimated size: {count(params.minimum)} to {count(params.maximum)} parameters and"
        f" {count(macs.minimum)} to {count(macs.maximum)} MACs, over {len(orders)} random valid selections."
    )
