"""The app of a clone: `streamlit run app.py -- --runs DIR --trust DIR`."""

import streamlit as st

from nasviz.ui import serving

app = st.App(serving.SCRIPT, middleware=serving.middleware(), lifespan=serving.lifespan)
