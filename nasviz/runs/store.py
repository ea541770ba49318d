"""Run store: a folder with one folder per run."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from builtins import list as builtin_list
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasviz.errors import DataError, NasvizError, RunBusyError, RunNotFoundError, RunStateError, StorageError
from nasviz.guarded_files import PRIVATE_FOLDER, exists, sync_folder
from nasviz.runs import lock
from nasviz.runs.files import CONFIG, TRASH, has_config, make_folder, require_folder, write_json
from nasviz.runs.listing import RunSummary, summarize
from nasviz.runs.marks import make_mark
from nasviz.runs.run import Run
from nasviz.runs.storage import describe_problem, storage_error, translate_errors
from nasviz.runs.subnets import keep_subnet, origin_of, portable
from nasviz.runs.trust import imports_of
from nasviz.settings import RunSettings

if TYPE_CHECKING:
    from nasviz.runs.sweep import Sweep

__all__ = ["Store", "create_folder", "open_run"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DELETED = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[0-9a-f]{6})?")


class Store:
    """Creates, opens, lists and deletes runs.

    Args:
        folder: The runs folder; created with the first run.

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

    def create(
        self,
        settings: RunSettings,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        continues: str | None = None,
        taken_from: Run | Sweep | None = None,
    ) -> Run:
        """Create a run atomically, without starting it.

        A sub-network that it trains is first copied into the runs folder, and the run it comes from is
        recorded.

        Args:
            settings: Settings of the run.
            run_id: Id of the run; None to generate one.
            parent: Id of the sweep that the run belongs to.
            continues: Id of the run that is continued.
            taken_from: Run or sweep that the settings come from; a run with the settings of another user's
                run does not count as this user's own. None if this user has written the settings.

        Raises:
            RunStateError: A run with this id exists.
            WeightsError: The sub-network to train is gone.
        """
        if run_id is not None and not _ID.fullmatch(run_id):
            raise _invalid_id(run_id)
        word = re.sub(r"[^A-Za-z0-9]+", "-", settings.network.name).strip("-")[:24] or "network"
        if settings.network.subnet is not None:
            settings = settings.changed(network=keep_subnet(self.folder, settings.network))
        origin: dict[str, Any] = {
            "parent": parent,
            "continues": continues,
            "cut_from": origin_of(settings.network),
        }
        document = {"settings": portable(self.folder, settings)}
        # Only user code needs a mark: everything else in a run is treated as data, whatever its origin.
        if imports_of(settings) and (taken_from is None or taken_from.is_own):
            origin["mark"] = make_mark("run", document["settings"])
        document |= {n: v for n, v in origin.items() if v is not None}
        return Run(create_folder(self.folder, word, document, name=run_id))

    def open(self, run_id: str) -> Run:
        """Return the run with the id `run_id`.

        Raises:
            RunNotFoundError: There is none, or `run_id` is not a valid id.
        """
        return Run(self._locate(run_id))

    def list(self) -> builtin_list[RunSummary]:
        """Return a summary of every run, newest first; damaged runs have a `problem`.

        Raises:
            StorageError: The user lacks permission to read the folder.
        """
        return _summaries(_folders(self.folder, _ID))

    def delete(self, run_id: str) -> Path:
        """Move a run to the trash, from which it can be restored, and return its new path.

        Raises:
            RunBusyError: The run has a worker.
            RunNotFoundError: There is no such run.
        """
        folder = self._locate(run_id)
        trash = self.folder / TRASH
        make_folder(trash)
        with translate_errors(trash), _held(folder, run_id):
            target = trash / run_id
            while exists(target):
                target = trash / f"{run_id}.{secrets.token_hex(3)}"
            folder.rename(target)
        sync_folder(self.folder)
        return target

    def trash(self) -> builtin_list[RunSummary]:
        """Return a summary of every deleted run, newest first; `id` is the name in the trash."""
        trash = self.folder / TRASH
        return [] if trash.is_symlink() else _summaries(_folders(trash, _DELETED))

    def restore(self, name: str) -> Run:
        """Restore a deleted run.

        Args:
            name: Name of its folder in the trash.

        Raises:
            RunNotFoundError: The trash holds no such run.
            RunStateError: Another run with this id exists.
        """
        source, run_id = self._locate_deleted(name), name.partition(".")[0]
        target = self.folder / run_id
        if exists(target):
            raise RunStateError(f"cannot restore run {run_id}: a run with this id already exists")
        with translate_errors(target):
            source.rename(target)
        sync_folder(self.folder)
        return Run(target)

    def erase(self, name: str) -> None:
        """Delete a run in the trash permanently.

        Raises:
            RunNotFoundError: The trash holds no such run.
        """
        folder = self._locate_deleted(name)
        with translate_errors(folder):
            shutil.rmtree(folder)

    def _locate_deleted(self, name: str) -> Path:
        trash = self.folder / TRASH
        folder = trash / name
        if not _DELETED.fullmatch(name) or trash.is_symlink() or not has_config(folder):
            raise RunNotFoundError(f"no run {name!r} in the trash of {self.folder}")
        return folder

    def _locate(self, run_id: str) -> Path:
        if not _ID.fullmatch(run_id):
            raise _invalid_id(run_id)
        folder = self.folder / run_id
        if folder.is_symlink():
            raise RunNotFoundError(f"{run_id!r} is a link out of the runs folder {self.folder}")
        if not has_config(folder):
            raise RunNotFoundError(f"no run {run_id!r} in {self.folder}; see the list of runs")
        return folder


def open_run(run: str | Path, folder: str | Path = "runs") -> Run:
    """Open a run by its id or its folder. Reading is possible while a worker is running.

    Args:
        run: Id, or path of the folder of a run, which contains a slash.
        folder: Runs folder in which an id is looked up.

    Raises:
        RunNotFoundError: There is no such run.

    Examples:
        >>> from tempfile import mkdtemp
        >>> from nasviz.catalog import NetworkSource
        >>> made = Store(mkdtemp()).create(RunSettings(network=NetworkSource("demonet")))
        >>> tail = open_run(made.id, made.folder.parent).tail(after_step=-1)
        >>> len(tail.steps), tail.last_step
        (0, -1)
    """
    path = Path(run)
    return Run(path.expanduser().resolve()) if len(path.parts) > 1 else Store(folder).open(str(run))


def create_folder(place: Path, word: str, document: Mapping[str, Any], *, name: str | None = None) -> Path:
    """Create a folder in `place` with the configuration `document`, atomically.

    Args:
        place: Parent folder; created if missing.
        word: Part of a generated name.
        document: Entries of the configuration, in addition to id, time and version.
        name: Name of the folder; None to generate one.

    Raises:
        RunStateError: A folder of that name exists.
        StorageError: The disk is full, or the user lacks write permission.
    """
    from nasviz import __version__

    with translate_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    chosen = name or f"{stamp}-{word}-{secrets.token_hex(3)}"
    while name is None and (place / chosen).exists():
        chosen = f"{stamp}-{word}-{secrets.token_hex(3)}"
    hidden = place / f".new-{chosen}-{secrets.token_hex(3)}"
    with translate_errors(place):
        hidden.mkdir(mode=PRIVATE_FOLDER)
    try:
        write_json(hidden / CONFIG, {"id": chosen, "created": now, "nasviz": __version__, **document})
    except StorageError:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    try:
        hidden.rename(place / chosen)
    except OSError as error:
        shutil.rmtree(hidden)
        if not exists(place / chosen):
            raise
        raise RunStateError(f"{chosen} already exists in {place}; open it, or choose another id") from error
    sync_folder(place)
    return place / chosen


@contextmanager
def _held(folder: Path, run_id: str) -> Iterator[None]:
    """Hold the lock of a run that is about to be moved; a run whose lock is damaged has no worker."""
    try:
        require_folder(folder)
        if lock.is_held(folder):
            raise RunBusyError(f"run {run_id} is running: cancel it first, then delete it")
        taken = lock.acquire(folder)
    except DataError:
        yield
        return
    try:
        yield
    finally:
        taken.release()


def _summaries(folders: Iterable[Path]) -> list[RunSummary]:
    summaries = []
    for folder in folders:
        try:
            summaries.append(summarize(Run(folder)))
        except RunNotFoundError:
            continue
        except NasvizError as error:
            summaries.append(RunSummary(folder.name, "failed", 0.0, None, problem=describe_problem(error)))
    return sorted(summaries, key=lambda summary: (-summary.created, summary.id))


def _folders(place: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        with os.scandir(place) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(place, error) from error


def _invalid_id(text: str) -> RunNotFoundError:
    return RunNotFoundError(
        f"{text!r} is not a run id: ids have 1 to 64 letters, digits, hyphens and underscores"
    )
