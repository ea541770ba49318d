"""A run: a folder whose files hold its complete state."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nasviz.catalog.genotype import Genotype, read_genotype
from nasviz.errors import DataError, RunBusyError, RunStateError
from nasviz.extras import data_frame, repr_html
from nasviz.runs import lock
from nasviz.runs.documents import first_invalid, is_table, is_text, is_time, or_none
from nasviz.runs.ending import Ending, read_end, write_end
from nasviz.runs.files import (
    CONFIG,
    END,
    ENVIRONMENT,
    PAUSED,
    PID,
    has_config,
    is_file,
    read_table,
    require_folder,
)
from nasviz.runs.labels import Labels, read_labels, write_labels
from nasviz.runs.marks import is_marked
from nasviz.runs.median_rule import clear_verdict
from nasviz.runs.records import Tail
from nasviz.runs.requests import Request, forget_request, write_request, write_target
from nasviz.runs.storage import as_damage
from nasviz.runs.subnets import located
from nasviz.runs.tail import read_position, read_tail
from nasviz.settings import RunSettings

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Run", "State"]

State = Literal["created", "running", "paused", "done", "cancelled", "failed", "crashed"]
_CONFIG_CHECKS = {
    "settings": is_table,
    "created": or_none(is_time),
    **dict.fromkeys(("id", "nasviz", "parent", "continues", "cut_from"), or_none(is_text)),
}


class Run:
    """One training run, read from its folder; objects of this class hold no state of their own.

    Args:
        folder: Folder of the run; its name is the id of the run.

    Raises:
        RunNotFoundError: `folder` is not a run.
    """

    def __init__(self, folder: Path) -> None:
        # Links in the path of the runs folder are allowed; the folder of the run itself must not be a link.
        self.folder = folder = folder.parent.resolve() / folder.name
        if not has_config(folder):
            require_folder(folder)
        self.id = folder.name

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    _repr_html_ = repr_html

    def table(self) -> DataFrame:
        """Return the recorded steps as a pandas data frame, one row per step."""
        return data_frame(self.tail().steps).set_index("step")

    @cached_property
    def config(self) -> dict[str, Any]:
        """Document written when the run was created: id, time, version, settings.

        Raises:
            DataError: The document is damaged.
        """
        require_folder(self.folder)
        config = read_table(self.folder / CONFIG) or {}
        if (wrong := first_invalid(config, _CONFIG_CHECKS)) is not None:
            raise DataError(
                f"{self.folder / CONFIG} is damaged: its entry {wrong} is missing or invalid; restore it"
                " from a backup, or delete the run"
            )
        return config

    @cached_property
    def settings(self) -> RunSettings:
        """Settings of the run.

        Raises:
            InvalidSettingError: The settings were written by a later version, or edited by hand.
        """
        with as_damage(self.folder / CONFIG):
            return located(self.folder.parent, self.config["settings"], self.folder)

    @property
    def is_own(self) -> bool:
        """True if this user has written the settings on this machine, and they are unchanged."""
        return is_marked("run", self.config["settings"], self.config.get("mark"))

    @property
    def genotype(self) -> Genotype:
        """The genotype that the run has found, to build a larger network from: `cells` of the zoo.

        Raises:
            RunStateError: The run is not done, or its cells are not equal within their types.
        """
        text = None if self.end is None else self.end.result.get("genotype")
        if text is None:
            raise RunStateError(
                f"run {self.id} ({self.state}) has no genotype: it must be done, and its cells of one type"
                " must have kept the same operations; search with tied cells (DARTS, RARTS, SparseNAS, or"
                " GSparsity with --cells)"
            )
        return read_genotype(text)

    @property
    def state(self) -> State:
        """State of the run, read from its files; a damaged run counts as failed.

        Raises:
            RunNotFoundError: The folder does not exist.
            StorageError: The user lacks read permission.
        """
        try:
            require_folder(self.folder)
            # The lock comes first: a worker that resumes deletes the old end only after taking the lock.
            if lock.is_held(self.folder):
                return "paused" if is_file(self.folder / PAUSED) else "running"
            if (end := self.end) is not None:
                return end.state
            return "crashed" if is_file(self.folder / PID) else "created"
        except DataError:
            return "failed"

    @property
    def is_active(self) -> bool:
        """True if a worker holds the lock."""
        return lock.is_held(self.folder)

    def has_ended_in(self, states: Collection[str]) -> bool:
        """Return whether the run has ended in one of `states`; a damaged run has failed. Ignores the lock."""
        try:
            return (end := self.end) is not None and end.state in states
        except DataError:
            return "failed" in states

    @property
    def parent(self) -> str | None:
        """Id of the sweep that the run belongs to."""
        parent = self.config.get("parent")
        return parent if isinstance(parent, str) else None

    @property
    def cut_from(self) -> str | None:
        """Id of the run whose sub-network this one trains or searches in."""
        origin = self.config.get("cut_from")
        return origin if isinstance(origin, str) else None

    @property
    def labels(self) -> Labels:
        """Name, tags and note."""
        return read_labels(self.folder)

    def write_labels(self, labels: Labels) -> None:
        """Replace the labels."""
        write_labels(self.folder, labels)

    @property
    def end(self) -> Ending | None:
        """How the run ended; None if it has not."""
        return read_end(self.folder)

    @property
    def environments(self) -> list[dict[str, Any]]:
        """Versions and device of each start, oldest first."""
        starts = (read_table(self.folder / ENVIRONMENT) or {}).get("starts")
        return [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []

    @property
    def progress(self) -> float | None:
        """Fraction of the steps done, in [0, 1]; None before the run has started."""
        last_step, total_steps = read_position(self.folder)
        return None if not total_steps else min(1.0, (last_step + 1) / total_steps)

    def tail(self, after_step: int = -1, *, every: int = 1) -> Tail:
        """Return everything recorded after `after_step`; see `read_tail`."""
        return read_tail(self.folder, after_step, every=every)

    def request(self, request: Request) -> None:
        """Ask the worker to cancel, pause or resume, which it does after the current step.

        A run without a worker that has not ended is marked as cancelled at once; a worker that is just
        starting finds the request when it begins.

        Raises:
            RunStateError: There is no worker.
            RunNotFoundError: The folder does not exist.
        """
        self._require_worker(request)
        write_request(self.folder, request)
        if self.state not in ("created", "crashed"):
            return
        try:
            held = lock.acquire(self.folder)
        except RunBusyError:
            return  # a worker has started in the meantime and finds the request
        with held:
            if self.end is None:
                write_end(self.folder, "cancelled")

    def request_target(self, target_sparsity: int) -> None:
        """Ask a watched loop to remove another number of structures; it does so while its warm-up lasts.

        Raises:
            RunStateError: The loop has ended, or the run is not a watched one.
        """
        self._require_worker("change the target of")
        if not self.settings.is_watched:
            raise RunStateError(f"cannot change the target of run {self.id}: start a new run with another K")
        write_target(self.folder, target_sparsity)

    def _require_worker(self, request: str) -> None:
        state = self.state
        if state not in ("running", "paused") and (request != "cancel" or self.end is not None):
            raise RunStateError(f"cannot {request} run {self.id}: it is {state} and has no running worker")

    def make_ready(self) -> lock.FolderLock:
        """Take the lock for a worker that is about to start, and clear the state of an earlier one.

        Requests to the earlier worker, its end and its verdict are deleted. Requests made from here on are
        kept for the new worker. The caller hands the lock over, or releases it.

        Raises:
            RunBusyError: The run has a worker.
            RunStateError: The run is done.
            DataError: `end.json` is damaged.
        """
        now = time.time()
        held = lock.acquire(self.folder)
        try:
            if (end := self.end) is not None and end.state == "done":
                raise RunStateError(f"run {self.id} is done; start a new run with its settings to repeat it")
            forget_request(self.folder, before=now)
            clear_verdict(self.folder)
            for name in (PAUSED, END):
                (self.folder / name).unlink(missing_ok=True)
        except BaseException:
            held.release()
            raise
        return held

    def forget_request(self) -> None:
        """Delete a request that an earlier worker left unanswered."""
        forget_request(self.folder)
