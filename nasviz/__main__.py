"""Run the command line: `python -m nasviz`."""

import sys

from nasviz.cli import main

if __name__ == "__main__":
    sys.exit(main())
