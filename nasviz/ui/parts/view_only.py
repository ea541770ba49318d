"""Message for pages that need weights while an ONNX file is open."""

from __future__ import annotations

import streamlit as st

from nasviz.catalog import NetworkSource
from nasviz.ui import frame, session
from nasviz.ui.parts.escaping import inert
from nasviz.ui.parts.onnx_files import OnnxFile

__all__ = ["network", "tell"]


def network() -> NetworkSource | None:
    """Return the source of the current network, or None, after a message, if it is view-only."""
    source = session.current().source
    if isinstance(source, OnnxFile):
        tell(source)
        return None
    return source


def tell(source: OnnxFile) -> None:
    """Explain that ONNX files are view-only, and the alternative."""
    st.info(
        f"**{inert(source.name)}** is an ONNX file: it can be viewed, but not trained or pruned. Its weights"
        " were not loaded, and the exporter may have folded operators that training needs.\n\n"
        "Open the PyTorch version on the page **Model** instead: from the zoo, torchvision, timm or your"
        " Python code, with your trained weights. Its structures are the same, except for folded norms.",
        icon=":material/visibility:",
    )
    frame.next_steps("Model", "Segment graph")
