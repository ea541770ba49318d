"""nasviz in the browser: `streamlit run app.py -- --runs DIR --trust DIR`."""

from nasviz.ui import frame, welcome

frame.open_page("Start")
welcome.greet()
