"""Folder of the ablation on digits: a table that grows with each training, and a worker that can be stopped.

The trainings left to do are those missing from the table, so a new worker continues after one that was
stopped or killed.
"""

from __future__ import annotations

from pathlib import Path

from nasviz.errors import RunStateError
from nasviz.runs import lock
from nasviz.runs.ablation import AblationPoint, points_to_csv, read_points
from nasviz.runs.files import CONFIG, is_file, make_folder, read_bytes, write_bytes, write_json
from nasviz.runs.requests import forget_request, read_request, write_request
from nasviz.runs.storage import translate_errors

__all__ = ["ABLATIONS", "AblationFolder"]

ABLATIONS = ".ablations"
LARGEST_TABLE = 64 * 2**20
"""Largest table of results that is read, in bytes."""


class AblationFolder:
    """Results of all trainings with the same number of epochs.

    Args:
        folder: Folder of the ablation; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.parent.resolve() / folder.name
        with translate_errors(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder)
        self.folder = folder
        self.table = folder / "ablation.csv"
        if not is_file(folder / CONFIG):
            write_json(folder / CONFIG, {"ablation": "digits"})

    @classmethod
    def of(cls, runs: Path, epochs: int) -> AblationFolder:
        """Return the ablation in the folder `runs` whose trainings take `epochs` epochs."""
        return cls(runs / ABLATIONS / f"{epochs}-epochs")

    @property
    def points(self) -> list[AblationPoint]:
        """All points recorded so far."""
        content = read_bytes(self.table, LARGEST_TABLE)
        return [] if content is None else read_points(content)

    def write(self, points: list[AblationPoint]) -> None:
        """Replace the table atomically: a reader finds the old one or the new one."""
        write_bytes(self.table, points_to_csv(points).encode())

    @property
    def is_active(self) -> bool:
        """True if a worker is running."""
        return lock.is_held(self.folder)

    @property
    def is_asked_to_stop(self) -> bool:
        """True if the worker has been asked to stop."""
        return read_request(self.folder) == "cancel"

    def ask_to_stop(self) -> None:
        """Ask the worker to stop after the current training.

        Raises:
            RunStateError: No worker is running.
        """
        if not self.is_active:
            raise RunStateError(f"cannot stop the ablation in {self.folder}: it has no worker")
        write_request(self.folder, "cancel")

    def __enter__(self) -> AblationFolder:
        """Become the worker of this ablation.

        Raises:
            RunBusyError: Another worker is running.
        """
        self._lock = lock.acquire(self.folder, "ablation")
        lock.write_pid(self.folder)
        # A launcher that handed the lock over has cleared old requests; one found now is meant for this
        # worker.
        if not self._lock.is_inherited:
            forget_request(self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        forget_request(self.folder)
        self._lock.release()
