"""The first page, and the server: `streamlit run app.py -- --runs DIR --trust DIR`, or `nasviz app`.

The server imports this file and finds Streamlit behind the gate. Streamlit runs it as a script for each visit
to the first page.
"""

import streamlit as st

from nasviz.ui import frame, serving

if __name__ == "__main__":
    frame.show("Start")
else:
    app = st.App(__file__, middleware=serving.middleware(), lifespan=serving.lifespan)
