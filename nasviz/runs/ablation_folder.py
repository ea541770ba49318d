"""The ablation on digits in a folder: its table grows training by training, its worker can be stopped.

What there is to do is what the table does not show: after a worker that was stopped or killed another goes
on.
"""

from __future__ import annotations

from pathlib import Path

from nasviz.errors import RunStateError
from nasviz.runs import lock
from nasviz.runs.ablation import AblationPoint, read_points, write_points
from nasviz.runs.files import CONFIG, write_json
from nasviz.runs.requests import forget_request, read_request, write_request

__all__ = ["ABLATIONS", "AblationFolder"]

ABLATIONS = ".ablations"


class AblationFolder:
    """Where the results of trainings of one length are kept.

    Args:
        folder: Made where it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.table = folder / "ablation.csv"
        if not (folder / CONFIG).exists():
            write_json(folder / CONFIG, {"ablation": "digits"})

    @classmethod
    def of(cls, runs: Path, epochs: int) -> AblationFolder:
        """The one in a runs folder whose trainings take so many epochs."""
        return cls(runs / ABLATIONS / f"{epochs}-epochs")

    @property
    def points(self) -> list[AblationPoint]:
        """All results so far."""
        return read_points(self.table) if self.table.exists() else []

    def write(self, points: list[AblationPoint]) -> None:
        """Replace the table as a whole: a reader finds the old one or the new one."""
        fresh = self.table.with_suffix(".new")
        write_points(points, fresh)
        fresh.replace(self.table)

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
        forget_request(self.folder)
        return self

    def __exit__(self, *error: object) -> None:
        forget_request(self.folder)
        self._lock.release()
