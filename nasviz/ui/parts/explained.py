"""Short explanations of the chosen optimizer, its settings and the device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from nasviz.catalog import Setting
from nasviz.jobs.devices import describe_devices
from nasviz.settings import MethodSettings
from nasviz.ui.parts.escaping import inert

__all__ = ["BASES", "device", "optimizer"]

BASES: Mapping[str, str] = {
    "sgd": "SGD with momentum: the step is the gradient plus a fraction of the previous step.",
    "adam": "Adam: each weight has its own step size, estimated from its past gradients.",
    "adamw": "AdamW: Adam with weight decay applied to the weights instead of the gradient.",
}
"""Description of each base update."""


def optimizer(entry: type[MethodSettings], base: str | None, settings: Iterable[Setting]) -> None:
    """Show the summary of an optimizer, its base update and one line per setting."""
    base_line = f" Base update: {BASES[base]}" if base is not None and base in BASES else ""
    st.caption(f"**{entry.title}.** {entry.summary}{base_line}")
    with st.expander("About these settings", icon=":material/help:"):
        st.markdown("\n".join(f"- **{s.title}**: {s.help}" for s in settings if s.help))
        if entry.caution:
            st.markdown(f"**Note:** {entry.caution}")
        if entry.citation:
            st.caption(inert(entry.citation))


def device(chosen: str) -> None:
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
