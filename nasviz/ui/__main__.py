"""Serve the app: `python -m nasviz.ui [options of Streamlit] -- [options of the app]`; see `nasviz app`."""

import sys

from streamlit.web import cli

from nasviz.ui.serving import SCRIPT

if __name__ == "__main__":
    sys.exit(cli.main(["run", str(SCRIPT), *sys.argv[1:]], prog_name="nasviz app"))
