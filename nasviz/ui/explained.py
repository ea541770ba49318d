"""What an optimizer, its settings and the device are, in a line each, beside what chooses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from nasviz.catalog import Setting
from nasviz.jobs.devices import describe_devices
from nasviz.settings import MethodSettings
from nasviz.ui.words import inert

__all__ = ["BASES", "device", "optimizer"]

BASES: Mapping[str, str] = {
    "sgd": "SGD with momentum: the step is the gradient, plus a share of the last step.",
    "adam": "Adam: every weight gets a step size of its own, from the size of its past gradients.",
    "adamw": "AdamW: Adam, with the pull towards zero applied to the weights and not to the gradient.",
}
"""What each base update does."""


def optimizer(entry: type[MethodSettings], base: str | None, settings: Iterable[Setting]) -> None:
    """What the optimizer does, what its trial step is, and a line for each of its settings."""
    base_line = f" Its steps are those of {BASES[base]}" if base is not None and base in BASES else ""
    st.caption(f"**{entry.title}.** {entry.summary}{base_line}")
    with st.expander("What each setting does", icon=":material/help:"):
        st.markdown("\n".join(f"- **{s.title}**: {s.help}" for s in settings if s.help))
        if entry.caution:
            st.markdown(f"**Mind:** {entry.caution}")
        if entry.citation:
            st.caption(inert(entry.citation))


def device(chosen: str) -> None:
    """Name and memory of what a run would be trained on."""
    gpus, processor = _devices()
    if chosen == "cpu" or (chosen == "auto" and not gpus):
        none = " No GPU was found." if chosen == "auto" else ""
        st.caption(f"{inert(processor)}.{none}")
    elif chosen in ("auto", "cuda") and gpus:
        st.caption(f"{inert(gpus[0])}." + (f" {len(gpus) - 1} more beside it." if len(gpus) > 1 else ""))
    elif chosen == "cuda":
        st.caption("No GPU was found here: a run on cuda would be refused.")


@st.cache_data(ttl=600, show_spinner=False)
def _devices() -> tuple[tuple[str, ...], str]:
    return describe_devices()
