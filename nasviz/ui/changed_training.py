"""Ask whether a network is trained although tracing lost something that it does in training mode."""

from __future__ import annotations

import streamlit as st

from nasviz.ui import controls, session
from nasviz.ui.words import sentence

__all__ = ["ask_for_leave", "changes"]


def changes() -> tuple[str, ...]:
    """Return in what training the current network as traced differs from training it as written."""
    return session.require_analysis().changed_training


def ask_for_leave() -> bool:
    """Tell the differences and ask for leave to train; there is nothing to ask where there are none."""
    if not changes():
        return False
    words = f"Training this network is not training it as written: {sentence('; '.join(changes()))}"
    st.warning(words, icon=":material/warning:")
    return controls.yes(
        "Train it all the same",
        "allow_changed_training",
        help_text="Without this its runs are refused before they begin.",
    )
