"""What is said where weights are needed and only an ONNX file is open."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.ui import frame, session
from nasviz.ui.onnx_files import OnnxFile
from nasviz.ui.words import inert

__all__ = ["network", "tell"]


def network() -> NetworkSource | None:
    """The source of the current network; None, after saying so, where it can only be looked at."""
    source = session.current().source
    if isinstance(source, OnnxFile):
        tell(source)
        return None
    return source


def tell(source: OnnxFile) -> None:
    """That an ONNX file is to look at, and what to do instead."""
    st.info(
        f"**{inert(source.name)}** is an ONNX file: it can be looked at, but not trained or cut. Its weights"
        " were not read, and an exporter may have folded away what training needs.\n\n"
        "Open the same network as PyTorch instead: on the page **Model**, from the zoo, from torchvision, or"
        " from your own Python, with your trained weights. Its structures are those that you see here, but"
        " for norms that were folded away.",
        icon=":material/visibility:",
    )
    frame.next_steps("Model", "Segment graph")
