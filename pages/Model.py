"""Choose a network and show its properties."""

import streamlit as st

from nasviz.ui import frame
from nasviz.ui.pages import model

frame.open_page("Model")
above = st.container(key="model-facts")
model.choose()
with above:
    model.facts()
    frame.next_steps("Trace graph", "Segment graph", "Search and train")
    st.divider()
