"""nasviz in the browser: `streamlit run app.py -- --runs DIR --trust DIR`.

The server: Streamlit behind the gate of nasviz. Its first page is start.py, the others lie under pages/.
"""

import streamlit as st

from nasviz.ui import serving

app = st.App("start.py", middleware=serving.middleware(), lifespan=serving.lifespan)
