"""The quick worker, on a machine so slow that it needs a second to reach its run."""

import sys
import time
from pathlib import Path

from tests.jobs.quick_worker import main

if __name__ == "__main__":
    time.sleep(1.0)
    main(Path(sys.argv[1]))
