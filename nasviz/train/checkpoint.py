"""Exact resume: all that decides the next step, in files that are never half written.

A checkpoint holds tensors and plain types only, so that it loads with `weights_only=True`. The last two are
kept. Their SHA-256 sums stand in a document of their own, written before a checkpoint is put in its place: at
every moment each whole file on disk has its sum there, and a damaged one has not.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasviz.errors import CheckpointError, DataError, NonFiniteLossError
from nasviz.runs import RunSettings
from nasviz.runs.checking import BEST
from nasviz.runs.files import (
    CHANGE,
    CHANGE_SUM,
    CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    START,
    START_SUM,
    SUMS,
    is_file,
    place,
    read_bytes,
    read_table,
    require_folder,
    stage,
    unstage,
    write_bytes,
    write_json,
)
from nasviz.runs.subnets import placeless
from nasviz.train.change_over import change_over
from nasviz.train.evaluation import Measured
from nasviz.train.processes import Processes
from nasviz.train.session import Session, make_scheduler

__all__ = [
    "SUMS",
    "keep_best",
    "keep_change",
    "require_finite",
    "restore",
    "save",
    "settle",
    "stored_best",
    "stored_network",
]

VERSION = 1


def save(session: Session, folder: Path | None) -> str | None:
    """Save where `session` stands; the checkpoint before it is kept as the previous one.

    Several processes save together: the first one writes, and what each of them draws its numbers from is
    part of what it writes.

    Args:
        session: Of this process.
        folder: Of the run; None on all processes but the first.

    Returns:
        The digest of the parameters that all processes were found to hold; None where there is only one.

    Raises:
        NonFiniteLossError: A parameter is NaN or infinite; nothing was saved.
        ProcessesError: The processes do not hold the same parameters; nothing was saved.
        RunNotFoundError: The run's folder is gone.
        StorageError: There is no room for it; the checkpoints before it are as they were.
    """
    require_finite(session)
    processes = session.processes
    common = None if processes.is_alone else processes.require_equal(session)
    drawn_from = [_random_state()] if processes.is_alone else _gathered(processes)
    if folder is None:
        return common
    require_folder(folder)
    buffer = io.BytesIO()
    torch.save(_state(session, drawn_from), buffer)
    content = buffer.getvalue()
    # On the disk before anything else is touched: where there is no room for it, nothing has changed.
    staged = stage(folder / CHECKPOINT, content)
    try:
        sums = [hashlib.sha256(content).hexdigest(), *_sums(folder)]
        write_json(folder / SUMS, {"sha256": sums[:3], "step": session.step})
        if is_file(folder / CHECKPOINT):
            place(folder / CHECKPOINT, folder / PREVIOUS_CHECKPOINT)
        place(staged, folder / CHECKPOINT)
    except BaseException:
        unstage(staged)
        raise
    return common


def settle(folder: Path) -> None:
    """Keep on record the sums of the checkpoints that are there, and no others.

    To be called by whoever goes on from one of them: workers that were killed between putting a sum on record
    and the file in its place would else push out, one by one, the sums of the files that are there.
    """
    known = _sums(folder)
    there = [
        found
        for name in (CHECKPOINT, PREVIOUS_CHECKPOINT)
        if (content := read_bytes(folder / name)) is not None
        and (found := hashlib.sha256(content).hexdigest()) in known
    ]
    if there != known:
        write_json(folder / SUMS, {"sha256": there})


def restore(session: Session, folder: Path | None) -> str | None:
    """Put `session` where the latest whole checkpoint in `folder` left it.

    Of several processes the first one reads, and hands on what it has read.

    Args:
        session: Of this process.
        folder: Of the run; None on all processes but the first.

    Returns:
        The name of that checkpoint; None where none was saved.

    Raises:
        CheckpointError: There are checkpoints, but none is whole, or they are those of another run.
    """
    found = None if folder is None else _find(session.settings, folder)
    path_text = session.processes.agree(None if found is None else str(found[0]))
    if path_text is None:
        return None
    path, content = Path(path_text), session.processes.share(b"" if found is None else found[1])
    (_begin_from if path.name == START else _load)(session, _read(content, path), path, folder)
    return str(path.name)


def stored_network(folder: Path) -> dict[str, torch.Tensor] | None:
    """Return the tensors of the full network in the latest checkpoint of a run; None where there is none.

    Raises:
        CheckpointError: The checkpoint is damaged.
    """
    content = read_bytes(folder / CHECKPOINT)
    if content is None:
        return None
    if hashlib.sha256(content).hexdigest() not in _sums(folder)[:1]:
        raise CheckpointError(f"{folder / CHECKPOINT} is damaged: it does not have the sum on record")
    network: dict[str, torch.Tensor] = _read(content, folder / CHECKPOINT)["network"]
    return network


def _find(settings: RunSettings, folder: Path) -> tuple[Path, bytes] | None:
    """The latest whole checkpoint, else that of the run which this one continues, else None."""
    found = []
    sums = _sums(folder)
    for name in (CHECKPOINT, PREVIOUS_CHECKPOINT):
        content = read_bytes(folder / name)
        if content is None:
            continue
        found.append(name)
        if hashlib.sha256(content).hexdigest() in sums:
            return folder / name, content
    if not found and (done := settings.trained_steps or settings.trained_epochs):
        path = folder / START
        if not is_file(path):
            raise CheckpointError(
                f"{done} trained steps or epochs say that this run goes on from another, but {path} is"
                " missing: let nasviz.runs.continue_run make it, or set trained_epochs=0 and trained_steps=0"
            )
        return path, _whole(path, folder / START_SUM)
    if found:
        raise CheckpointError(
            f"{' and '.join(found)} in {folder} are damaged: their contents do not have the sums on record;"
            " restore one from a copy, or start a new run with the same settings"
        )
    return None


def _whole(path: Path, sum_path: Path) -> bytes:
    """Return what a run goes on from, if it is as it was put there.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    content = read_bytes(path) or b""
    document = read_table(sum_path) or {}  # earlier versions kept no sum of the start
    if document.get("sha256", found := hashlib.sha256(content).hexdigest()) != found:
        raise CheckpointError(
            f"{path} is damaged: its contents do not have the sum on record; restore it from a copy, or"
            " start a new run with the same settings"
        )
    return content


def require_finite(session: Session) -> None:
    """Check that no parameter has become NaN or infinite.

    Raises:
        NonFiniteLossError: One has.
    """
    parameters = [p.detach() for p in session.network.parameters() if p.is_floating_point()]
    norms = torch.stack(torch._foreach_norm(parameters, float("inf")))
    if not bool(torch.isfinite(norms).all()):
        raise NonFiniteLossError(
            f"parameters became NaN or infinite by step {session.step - 1}; the last good checkpoint is kept:"
            " lower lr and start again"
        )


def _state(session: Session, drawn_from: list[dict[str, Any]]) -> dict[str, Any]:
    first, *others = drawn_from
    change = session.change
    return {
        "version": VERSION,
        "settings": session.settings.to_json(),
        "step": session.step,
        "best": [session.best_step, *(session.best or [None])],
        "is_evaluation_due": session.is_evaluation_due,
        "network": session.network.state_dict(),
        "optimizer": session.optimizer.state_dict(),
        "scheduler": session.scheduler.state_dict(),
        "random": first,
        "change": None if change is None else [change.step, change.loss, change.accuracy, change.metrics],
    } | ({"random of further ranks": others} if others else {})


def keep_change(folder: Path) -> None:
    """Keep the checkpoint that was just saved as that of the change-over, with its sum."""
    content = read_bytes(folder / CHECKPOINT)
    assert content is not None, "saved before"
    write_json(folder / CHANGE_SUM, {"sha256": hashlib.sha256(content).hexdigest()})
    write_bytes(folder / CHANGE, content)


def _changed(session: Session, folder: Path | None, change: list[Any]) -> None:
    """Repeat the change-over of a run: from its full network at that step to the sub-network."""
    processes = session.processes
    own = b"" if folder is None else _whole(folder / CHANGE, folder / CHANGE_SUM)
    state = _read(processes.share(own), Path(CHANGE))
    step, loss, accuracy, *metrics = change  # earlier versions saved no metrics
    if state["step"] != step:
        raise CheckpointError(f"{CHANGE} is of step {state['step']}, not of the change-over at {step}")
    _take(session, state)
    change_over(session, Measured(loss, accuracy, None, *metrics))


def stored_best(folder: Path, step: int) -> dict[str, torch.Tensor]:
    """Return the tensors of the best iterate of a run, which is that of `step`.

    Raises:
        CheckpointError: The file is missing, damaged, or of another step.
    """
    content = read_bytes(folder / BEST)
    state = {} if content is None else _read(content, folder / BEST)
    if state.get("step") != step:
        raise CheckpointError(
            f"{folder / BEST} does not hold the best iterate, that of step {step}; restore it from a copy"
        )
    network: dict[str, torch.Tensor] = state["network"]
    return network


def keep_best(session: Session, folder: Path) -> None:
    """Write the network in training as the best iterate, unless it is there.

    Called after the checkpoint of the same step, and by a worker that starts from this checkpoint: so the
    file is always that of the best step on record.
    """
    step = session.best_step
    if session.settings.result != "best" or step is None or step != session.step - 1:
        return
    buffer = io.BytesIO()
    torch.save({"step": step, "network": session.network.state_dict()}, buffer)
    write_bytes(folder / BEST, buffer.getvalue())


def _read(content: bytes, path: Path) -> dict[str, Any]:
    """Return tensors and plain types from the content of a file.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} is damaged and cannot be read: restore it from a copy") from error
    return state


def _load(session: Session, state: Mapping[str, Any], path: Path, folder: Path | None) -> None:
    if state.get("version") != VERSION:
        raise CheckpointError(f"{path} has version {state.get('version')}, this nasviz reads {VERSION}")
    # What an older nasviz did not know takes its default, as when the run itself is opened.
    # The device says where a run computes, not what: a cut by hand opens any run on the CPU.
    saved = RunSettings.from_json(state["settings"]).changed(device=session.settings.device)
    if placeless(saved) != placeless(session.settings):
        raise CheckpointError(f"{path} belongs to a run with other settings; it cannot be resumed with these")
    if state.get("change") is not None:
        _changed(session, folder, state["change"])
    _take(session, state)
    session.scheduler.load_state_dict(state["scheduler"])
    session.is_evaluation_due = state.get("is_evaluation_due", False)


def _take(session: Session, state: Mapping[str, Any]) -> None:
    """Load network, optimizer, position and random generators."""
    session.network.load_state_dict(state["network"])
    session.optimizer.load_state_dict(state["optimizer"])
    session.step = state["step"]
    session.best_step, *best = state["best"]
    if best[0] is not None:  # earlier versions saved the accuracy alone
        session.best = Measured(*best) if len(best) > 1 else Measured(float("nan"), best[0])
    _set_random_state(_own(state, session.processes))


def _own(state: Mapping[str, Any], processes: Processes) -> Mapping[str, Any]:
    """Return what this process drew its numbers from."""
    every = [state["random"], *state.get("random of further ranks", [])]
    if len(every) != processes.count:
        raise CheckpointError(
            f"the checkpoint is that of {len(every)} processes and cannot be resumed exactly by"
            f" {processes.count}; start as many again"
        )
    own: Mapping[str, Any] = every[processes.rank]
    return own


def _begin_from(session: Session, state: Mapping[str, Any], path: Path, folder: Path | None) -> None:
    """Put `session` where the run ended that it continues; the course of its learning rate begins anew.

    Raises:
        CheckpointError: That run's last checkpoint ends elsewhere, or is that of another number of processes.
    """
    settings = session.settings
    if state["step"] != (start := settings.first_step(session.schedule)):
        raise CheckpointError(f"{path} ends after {state['step']} steps, and this run goes on after {start}")
    first = [group["lr"] for group in session.optimizer.param_groups]
    if state.get("change") is not None:
        _changed(session, folder, state["change"])
    _take(session, state)
    for group, lr in zip(session.optimizer.param_groups, first, strict=True):
        group["lr"] = group["initial_lr"] = lr
    if state.get("change") is not None:
        session.scheduler = make_scheduler(session.optimizer, settings, session.schedule)


def _random_state() -> dict[str, Any]:
    """States of all global generators, as tensors and plain types."""
    numpy_state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (the one that others draw from)
    return {
        "python": random.getstate(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
    }


def _gathered(processes: Processes) -> list[dict[str, Any]]:
    """Return the random states of all processes, by rank."""
    buffer = io.BytesIO()
    torch.save(_random_state(), buffer)
    contents = processes.gather(buffer.getvalue())
    return [torch.load(io.BytesIO(content), map_location="cpu", weights_only=True) for content in contents]


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    numpy_state = state["numpy"]
    key = numpy_state["key"].numpy().astype(np.uint32)
    np.random.set_state(  # noqa: NPY002 (the one that others draw from)
        ("MT19937", key, numpy_state["pos"], numpy_state["has_gauss"], numpy_state["gauss"])
    )


def _sums(folder: Path) -> list[str]:
    try:
        sums = (read_table(folder / SUMS) or {}).get("sha256")
    except DataError:
        return []
    return [s for s in sums if isinstance(s, str)] if isinstance(sums, list) else []
