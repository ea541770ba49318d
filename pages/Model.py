"""Choose a network, and see what it is."""

import streamlit as st

from nasviz.ui import frame, network

frame.open_page("Model")
network.choose()
st.divider()
network.facts()
frame.next_steps("Trace graph", "Segment graph", "Search and train")
