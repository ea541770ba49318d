"""The ablation on digits in a folder: its table grows training by training, its worker can be stopped.

What there is to do is what the table does not show: after a worker that was stopped or killed another goes
on.
"""

from __future__ import annotations

from pathlib import Path

from nasviz.errors import RunStateError
from nasviz.runs import lock
from nasviz.runs.ablation import AblationPoint, points_to_csv, read_points
from nasviz.runs.files import CONFIG, is_file, make_folder, read_bytes, write_bytes, write_json
from nasviz.runs.requests import forget_request, read_request, write_request
from nasviz.runs.storage import told

__all__ = ["ABLATIONS", "AblationFolder"]

ABLATIONS = ".ablations"
LARGEST_TABLE = 64 * 2**20
"""Bytes of a table of results that are read."""


class AblationFolder:
    """Where the results of trainings of one length are kept.

    Args:
        folder: Made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.parent.resolve() / folder.name
        with told(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder)
        self.folder = folder
        self.table = folder / "ablation.csv"
        if not is_file(folder / CONFIG):
            write_json(folder / CONFIG, {"ablation": "digits"})

    @classmethod
    def of(cls, runs: Path, epochs: int) -> AblationFolder:
        """The one in a runs folder whose trainings take so many epochs."""
        return cls(runs / ABLATIONS / f"{epochs}-epochs")

    @property
    def points(self) -> list[AblationPoint]:
        """All results so far."""
        content = read_bytes(self.table, LARGEST_TABLE)
        return [] if content is None else read_points(content)

    def write(self, points: list[AblationPoint]) -> None:
        """Replace the table as a whole: a reader finds the old one or the new one."""
        write_bytes(self.table, points_to_csv(points).encode())

    @property
    def is_active(self) -> bool:
        """Whether somebody works here."""
        return lock.is_held(self.folder)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether somebody has asked the worker to stop."""
        return read_request(self.folder) == "cancel"

    def ask_to_stop(self) -> None:
        """Ask the worker to stop after its training.

        Raises:
            RunStateError: There is no worker.
        """
        if not self.is_active:
            raise RunStateError(f"cannot stop the ablation in {self.folder}: nobody works there")
        write_request(self.folder, "cancel")

    def __enter__(self) -> AblationFolder:
        """Take the place of the worker.

        Raises:
            RunBusyError: Somebody else works here.
        """
        self._lock = lock.acquire(self.folder, "ablation")
        lock.write_pid(self.folder)
        if not self._lock.is_inherited:  # who took the lock for it has done so, and may ask to stop since
            forget_request(self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        forget_request(self.folder)
        self._lock.release()
