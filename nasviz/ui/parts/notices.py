"""Notices of networks that cannot be trained, or train differently from the original."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.ui import frame, session
from nasviz.ui.parts import controls
from nasviz.ui.parts.escaping import inert, sentence
from nasviz.ui.parts.onnx_files import OnnxFile

__all__ = ["changed_training", "confirm_changed_training", "explain_view_only", "trainable_network"]


def trainable_network() -> NetworkSource | None:
    """Return the source of the current network, or None, after a message, if it is view-only."""
    source = session.current().source
    if isinstance(source, OnnxFile) or source.graph is not None:
        explain_view_only(source)
        return None
    return source


def explain_view_only(source: session.Source) -> None:
    """Explain that ONNX files and graphs of watched loops are view-only, and the alternative."""
    if not isinstance(source, OnnxFile):
        st.info(
            f"**{inert(source.name)}** was trained by a loop of its own, and only its graph is stored: it"
            " can be viewed. Train it in that loop, or open a sub-network of it.",
            icon=":material/visibility:",
        )
        frame.next_steps("Segment graph", "Sub-network")
        return
    st.info(
        f"**{inert(source.name)}** is an ONNX file: it can be viewed, but not trained or pruned. Its weights"
        " were not loaded, and the exporter may have folded operators that training needs.\n\n"
        "Open the PyTorch version on the page **Model** instead: from the zoo, torchvision, timm or your"
        " Python code, with your trained weights. Its structures are the same, except for folded norms.",
        icon=":material/visibility:",
    )
    frame.next_steps("Model", "Segment graph")


def changed_training() -> tuple[str, ...]:
    """Return how training the traced network differs from training the original."""
    return session.require_analysis().result.changed_training


def confirm_changed_training() -> bool:
    """Show the differences, if any, and return whether the user accepts them."""
    if not changed_training():
        return False
    words = (
        f"The traced network trains differently from the original: {sentence('; '.join(changed_training()))}"
    )
    st.warning(words, icon=":material/warning:")
    return controls.yes(
        "Train anyway",
        "allow_changed_training",
        help_text="Otherwise, runs of this network are rejected.",
    )
