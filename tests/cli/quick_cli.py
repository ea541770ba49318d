"""The command line, with workers that need no torch."""

import sys

from nasviz.cli import main
from nasviz.jobs import launch

if __name__ == "__main__":
    launch.WORKER = "tests.jobs.quick_worker"
    sys.exit(main(sys.argv[1:]))
