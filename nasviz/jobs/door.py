"""The door between the light wing and the torch wing: work goes out as data, results come back as data.

Networks of the catalog are served by one warm child in turn. Python of the user gets a fresh child each time,
so that nothing it does to its interpreter reaches anybody else's work. Results are kept by source, settings
and the content of the weights.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasviz.catalog import NetworkSource
from nasviz.errors import OnnxError
from nasviz.guarded_files import is_regular
from nasviz.jobs.cache import ResultCache, key_of
from nasviz.jobs.job import Job
from nasviz.jobs.kept_files import files_of, saved_files
from nasviz.jobs.process import ChildProcess, Limits
from nasviz.jobs.trust import TRUSTED, allow
from nasviz.jobs.warm import WarmChild
from nasviz.runs.files import CHECKPOINT, END

__all__ = [
    "Door",
    "analyze",
    "close",
    "construct",
    "download",
    "export",
    "preview",
    "reopen",
    "shared_door",
    "time_subnet",
    "time_vertices",
    "timm_names",
    "view_onnx",
    "warm",
]

FRESH_AT_ONCE = 2
"""How many children with user Python may work at the same time; more wait."""
DOWNLOAD_TIME_S = 6 * 3600.0
"""STL-10 is 2.6 GB."""
VIEW_LIMITS = Limits(time_s=60, memory_mb=4096)
"""Of looking at a file that somebody has handed in."""


class Door:
    """Hands work to child processes.

    Args:
        limits: Time and memory of one piece of work.
        module: What a child runs.
    """

    def __init__(self, *, limits: Limits | None = None, module: str = "nasviz.jobs.child") -> None:
        self.limits = limits or Limits()
        self.cache = ResultCache()
        self._module = module
        self._lock = threading.Lock()
        self._warm: WarmChild | None = None
        self._turn = threading.BoundedSemaphore(FRESH_AT_ONCE)
        self._fresh: set[Job] = set()

    @property
    def warm_pid(self) -> int | None:
        """Process id of the warm child; None before it was started."""
        return self._warm.pid if self._warm is not None else None

    def warm(self) -> None:
        """Start the warm child, where it does not run yet; returns at once."""
        with self._lock:
            if self._warm is None:
                self._warm = WarmChild(self._module)

    def submit(
        self,
        task: str,
        arguments: Mapping[str, Any],
        *,
        is_user_code: bool = False,
        files: Iterable[str] | None = None,
        limits: Limits | None = None,
        trust: Iterable[str | Path] | None = None,
    ) -> Job:
        """Hand in a task of the child.

        Args:
            task: Name in the child's table of tasks.
            arguments: Plain data.
            is_user_code: Give it a fresh child, and forget the result; so is all that imports user code.
            files: Files whose content decides the result; None where it must not be kept.
            limits: Others than the door's own.
            trust: Folders that a run in the arguments may import from; None: those of this process.

        Raises:
            UntrustedCodeError: It would import user code that this process does not trust.
        """
        trusted = allow(arguments, trust)
        if trusted is not None:
            is_user_code, arguments = True, dict(arguments) | {TRUSTED: trusted}
        key = None if files is None or is_user_code else key_of(task, arguments, files)
        if key is not None and (known := self.cache.get(key)) is not None:
            job = Job(task)
            job.finish(known)
            return job
        job = Job(task, on_done=None if key is None else lambda result: self.cache.put(key, result))
        if is_user_code:
            threading.Thread(
                target=self._serve_fresh, args=(job, arguments, limits or self.limits), daemon=True
            ).start()
        else:
            self.warm()
            assert self._warm is not None
            self._warm.submit(job, arguments, limits or self.limits)
        return job

    def close(self) -> None:
        """End all children; jobs at work are cancelled. A later job starts a new warm child."""
        with self._lock:
            for job in tuple(self._fresh):
                job.cancel()
            if self._warm is not None:
                self._warm.close()
                self._warm = None
        for job in tuple(self._fresh):
            job.wait()

    def _serve_fresh(self, job: Job, arguments: Mapping[str, Any], limits: Limits) -> None:
        self._fresh.add(job)
        try:
            with self._turn:
                if job.is_asked_to_cancel:
                    job.stop()
                    return
                child = ChildProcess(self._module)
                try:
                    child.serve(job, arguments, limits)
                finally:
                    child.close()
        finally:
            self._fresh.discard(job)


_DOOR = Door()
atexit.register(_DOOR.close)


def shared_door() -> Door:
    """The door of this process."""
    return _DOOR


def warm() -> None:
    """Start the warm child ahead of the first job."""
    _DOOR.warm()


def close() -> None:
    """End all children of this process."""
    _DOOR.close()


def analyze(source: NetworkSource, protect: Iterable[str] = (), collapse: Iterable[str] = ()) -> Job:
    """Build a network, trace it, generate its search space.

    Args:
        source: The network.
        protect: What must stay (see `search_space`).
        collapse: Classes or path patterns of modules that count as one vertex each.

    The result holds `space` (what `SearchSpace.from_json` reads), `parity`, `rung`, `warnings`, `seconds`.

    Raises:
        WeightsError: The file of weights cannot be read.
    """
    arguments = {"source": source.to_json(), "protect": list(protect), "collapse": list(collapse)}
    return _DOOR.submit("analyze", arguments, files=files_of(source))


def preview(
    source: NetworkSource,
    data: str,
    *,
    saliency: str = "snip",
    data_folder: str | None = None,
    trust: Sequence[str] = (),
    protect: Iterable[str] = (),
    collapse: Iterable[str] = (),
    batch_size: int = 64,
    seed: int = 0,
) -> Job:
    """Score every removal structure of the untrained network on one batch.

    Args:
        source: The network.
        data: Name of the data set, or a callable of the user's own.
        saliency: Name of the score.
        data_folder: Where the data lie.
        trust: Folders that a callable may be imported from.
        protect: Of the search space.
        collapse: Likewise.
        batch_size: Examples of the batch.
        seed: Of weights and order.

    The result holds `scores` (a list of structure id and score) and `seconds`.

    Raises:
        WeightsError: The file of weights cannot be read.
    """
    arguments = {
        "source": source.to_json(),
        "data": data,
        "data_folder": data_folder,
        "trust": list(trust),
        "saliency": saliency,
        "protect": list(protect),
        "collapse": list(collapse),
        "batch_size": batch_size,
        "seed": seed,
    }
    # What lies in a folder of data may change: only what comes with the package is kept.
    files = files_of(source) if data_folder is None else None
    return _DOOR.submit("preview", arguments, files=files)


def construct(
    network: Path | str | NetworkSource,
    erased: Iterable[int],
    *,
    gates: Iterable[int] = (),
    folder: Path | str | None = None,
    protect: Iterable[str] = (),
    collapse: Iterable[str] = (),
    trust: Iterable[str | Path] | None = None,
) -> Job:
    """Set structures to zero, cut them out, compare the two networks, write the smaller one to a folder.

    Args:
        network: Folder of a run, whose latest weights are taken; or a source, as it is built.
        erased: Structure ids.
        gates: Ids of gates to replace by their value at zero.
        folder: Where the sub-network is written; `by-hand` in the run's folder when it is left out.
        protect: Of the search space of a source; a run has its own.
        collapse: Likewise.
        trust: Folders that a run's code may be imported from; None: those of this process, or those that the
            run names itself where this user has made it.

    The result holds `report`, `plan` and `folder`.
    """
    arguments: dict[str, Any] = {"erased": sorted(erased), "gates": sorted(gates)}
    arguments |= {"folder": None if folder is None else str(folder)}
    if isinstance(network, NetworkSource):
        wishes = {"protect": list(protect), "collapse": list(collapse)}
        arguments |= {"source": network.to_json()} | wishes
    else:
        arguments |= {"run": str(network)}
    return _DOOR.submit("construct", arguments, trust=trust)


def download(data: str, folder: Path | str) -> Job:
    """Put a published data set into a folder, in a child of its own.

    The result holds `folder`.
    """
    limits = Limits(time_s=DOWNLOAD_TIME_S, memory_mb=_DOOR.limits.memory_mb)
    # A fresh child, for it takes minutes, and the warm one serves everybody.
    return _DOOR.submit("download", {"data": data, "folder": str(folder)}, is_user_code=True, limits=limits)


def export(
    folder: Path | str,
    inputs: Sequence[Sequence[int]],
    kinds: Iterable[str] = ("onnx", "source"),
    run: Path | str | None = None,
) -> Job:
    """Write a constructed sub-network in forms that other programs read, and check each by reading it again.

    Args:
        folder: Where `construct` or a run has left it.
        inputs: Shapes of its inputs, batch first.
        kinds: `onnx` (model.onnx, compared under onnxruntime), `onnx_plain` (the same, not simplified), `pt2`
            (model.pt2, read by torch.export) and `source` (model.zip: Python and weights, run by itself).
        run: Folder of the run that has left it, whose stored full network it is compared with.

    The result holds `full`, what that comparison has shown, and `files`: for each kind its path, size and
    largest difference.
    """
    shapes = [list(shape) for shape in inputs]
    arguments: dict[str, Any] = {"folder": str(folder), "inputs": shapes, "kinds": list(kinds)}
    files = saved_files(folder)
    if run is not None:  # by another name than that of the run to be built: none of its code is imported
        arguments["of_run"] = str(run)
        files += [str(path) for path in (Path(run) / CHECKPOINT, Path(run) / END) if is_regular(path)]
    limits = Limits(time_s=900, memory_mb=_DOOR.limits.memory_mb)
    return _DOOR.submit("export", arguments, files=files, limits=limits)


def lesson(name: str, **numbers: Any) -> Job:
    """One of the sums of `nasviz.train.lessons`, by its name."""
    return _DOOR.submit("lesson", {"name": name, "numbers": numbers})


def reopen(folder: Path | str, inputs: Sequence[Sequence[int]]) -> Job:
    """Read a constructed sub-network back and trace it, to look at it as at any other network.

    The result holds `space`.
    """
    arguments = {"folder": str(folder), "inputs": [list(shape) for shape in inputs]}
    return _DOOR.submit("reopen", arguments, files=saved_files(folder))


def time_vertices(
    source: NetworkSource, *, data: str | None = None, batch_size: int = 1, device: str = "auto"
) -> Job:
    """Time every operator of a network, for K from a budget of milliseconds.

    Args:
        source: The network; what its weights are plays no part.
        data: Name of the data set that it would be built for.
        batch_size: Examples of one forward pass.
        device: As for a run: "auto", "cpu", "cuda".

    The result holds `table`, which `LatencyTable.from_json` reads. It is measured anew each time.
    """
    arguments = {"source": source.to_json(), "data": data, "batch_size": batch_size, "device": device}
    return _DOOR.submit("time_vertices", arguments)


def time_subnet(
    source: NetworkSource,
    folder: Path | str,
    *,
    data: str | None = None,
    batch_size: int = 1,
    device: str = "auto",
) -> Job:
    """Time a constructed sub-network beside the network that it was cut out of.

    Args:
        source: The full network.
        folder: Where `construct` or a run has left the sub-network.
        data: Name of the data set that the full network was built for.
        batch_size: Examples of one forward pass.
        device: As for a run: "auto", "cpu", "cuda".

    The result holds `full` and `subnet` (median, spread and number of repeats, device and batch size) and
    `table`, which `LatencyTable.from_json` reads. It is measured anew each time.

    Raises:
        WeightsError: The sub-network is gone.
    """
    saved_files(folder)
    arguments = {"source": source.to_json(), "data": data, "batch_size": batch_size, "device": device}
    return _DOOR.submit("time_subnet", arguments | {"folder": str(folder)})


def timm_names() -> Job:
    """The result holds `names`: every network that the installed timm can build."""
    return _DOOR.submit("timm_names", {}, files=())


def view_onnx(
    path: Path | str,
    protect: Iterable[str] = (),
    collapse: Iterable[str] = (),
    *,
    name: str | None = None,
    limits: Limits = VIEW_LIMITS,
) -> Job:
    """Read an ONNX file that nobody vouches for, to look at its graphs.

    It is parsed in a child of its own, which ends with it. The result has the form of that of `analyze`;
    `parity` is empty, for nothing was run that could be compared.

    Args:
        path: The file.
        protect: What must stay (see `search_space`).
        collapse: Classes or path patterns of modules that count as one vertex each.
        name: What its owner calls it, for errors; the name of the file where it is left out.
        limits: Time and memory of the child.

    Raises:
        OnnxError: There is no such file.
    """
    file = Path(path)
    if not file.is_file():
        raise OnnxError("there is no such ONNX file any more; choose it again")
    wishes = {"protect": list(protect), "collapse": list(collapse)}
    arguments = {"path": str(file.resolve()), "name": name or file.name} | wishes
    return _DOOR.submit("view_onnx", arguments, is_user_code=True, limits=limits)
