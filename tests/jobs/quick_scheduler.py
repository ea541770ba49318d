"""The detached scheduler, with workers that need no torch."""

from nasviz.jobs import launch
from nasviz.jobs.scheduler import main

if __name__ == "__main__":
    launch.WORKER = "tests.jobs.quick_worker"
    main()
