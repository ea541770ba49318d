"""All runs of one place: a folder with one folder a run."""

from __future__ import annotations

import os
import re
import secrets
import time
from builtins import list as builtin_list
from pathlib import Path

from nasviz.errors import RunBusyError, RunNotFoundError
from nasviz.runs import lock
from nasviz.runs.files import CONFIG, require_folder, sync_folder, write_json
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.run import Run
from nasviz.runs.settings import RunSettings

__all__ = ["TRASH", "Store"]

TRASH = ".trash"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Store:
    """Creates, opens, lists and deletes runs.

    Args:
        folder: Holds the runs; made when the first one is created.

    Examples:
        >>> from tempfile import mkdtemp
        >>> from nasviz.catalog import NetworkSource
        >>> store = Store(mkdtemp())
        >>> run = store.create(RunSettings(network=NetworkSource("demonet")))
        >>> run.state, [summary.id == run.id for summary in store.list()]
        ('created', [True])
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).expanduser().resolve()

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def create(self, settings: RunSettings) -> Run:
        """A new run with a new id; nothing is started. It appears complete, or not at all."""
        from nasviz import __version__

        self.folder.mkdir(parents=True, exist_ok=True)
        word = re.sub(r"[^A-Za-z0-9]+", "-", settings.network.name).strip("-")[:24] or "network"
        while True:
            now = time.time()
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
            run_id = f"{stamp}-{word}-{secrets.token_hex(3)}"
            if not (self.folder / run_id).exists():
                break
        hidden = self.folder / f".new-{run_id}"
        hidden.mkdir()
        config = {"id": run_id, "created": now, "nasviz": __version__, "settings": settings.to_json()}
        write_json(hidden / CONFIG, config)
        hidden.rename(self.folder / run_id)
        sync_folder(self.folder)
        return Run(self.folder / run_id)

    def open(self, run_id: str) -> Run:
        """The run with the id `run_id`.

        Raises:
            RunNotFoundError: There is none, or `run_id` is no id.
        """
        return Run(self._locate(run_id))

    def list(self) -> builtin_list[RunSummary]:
        """A summary of every run, newest first; damaged ones say what is wrong with them."""
        summaries = []
        for folder in self._folders():
            try:
                summaries.append(summarize(Run(folder)))
            except RunNotFoundError:
                continue
        return sorted(summaries, key=lambda summary: (-summary.created, summary.id))

    def delete(self, run_id: str) -> Path:
        """Move the run to the folder `.trash`, from where it can be moved back; return where it is now.

        Raises:
            RunBusyError: The run has a worker.
            RunNotFoundError: There is no such run.
        """
        folder = self._locate(run_id)
        require_folder(folder)
        if lock.is_held(folder):
            raise RunBusyError(f"run {run_id} is running: cancel it first, then delete it")
        with lock.acquire(folder):
            trash = self.folder / TRASH
            trash.mkdir(exist_ok=True)
            target = trash / run_id
            while target.exists():
                target = trash / f"{run_id}.{secrets.token_hex(3)}"
            folder.rename(target)
        sync_folder(self.folder)
        return target

    def _locate(self, run_id: str) -> Path:
        if not _ID.fullmatch(run_id):
            raise RunNotFoundError(
                f"{run_id!r} is no run id: ids have 1 to 64 letters, digits, hyphens and underscores"
            )
        folder = (self.folder / run_id).resolve()
        if folder.parent != self.folder:
            raise RunNotFoundError(f"{run_id!r} leads out of the runs folder {self.folder}")
        if not (folder / CONFIG).is_file():
            raise RunNotFoundError(
                f"no run {run_id!r} in {self.folder}; see the list of runs for what is there"
            )
        return folder

    def _folders(self) -> builtin_list[Path]:
        try:
            with os.scandir(self.folder) as entries:
                return [
                    Path(entry.path)
                    for entry in entries
                    if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []
