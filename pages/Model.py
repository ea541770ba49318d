"""Choose a network and show its properties."""

import streamlit as st

from nasviz.ui import frame, network

frame.open_page("Model")
above = st.container(key="model-facts")
network.choose()
with above:
    network.facts()
    frame.next_steps("Trace graph", "Segment graph", "Search and train")
    st.divider()
