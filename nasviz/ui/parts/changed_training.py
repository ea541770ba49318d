"""Confirmation for networks whose traced copy trains differently from the original."""

from __future__ import annotations

import streamlit as st

from nasviz.ui import session
from nasviz.ui.parts import controls
from nasviz.ui.parts.escaping import sentence

__all__ = ["ask_for_leave", "changes"]


def changes() -> tuple[str, ...]:
    """Return how training the traced network differs from training the original."""
    return session.require_analysis().result.changed_training


def ask_for_leave() -> bool:
    """Show the differences, if any, and return whether the user accepts them."""
    if not changes():
        return False
    words = f"The traced network trains differently from the original: {sentence('; '.join(changes()))}"
    st.warning(words, icon=":material/warning:")
    return controls.yes(
        "Train anyway",
        "allow_changed_training",
        help_text="Otherwise, runs of this network are rejected.",
    )
