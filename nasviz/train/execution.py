"""A run from its first step, or its latest checkpoint, to its end.

Everything that a person sees of a run passes through the writer; everything that a later worker needs passes
through the checkpoint. Both are brought up to date together.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from nasviz.errors import InvalidSettingError, NonFiniteLossError
from nasviz.nas import RelaxedOptimizer, WidthSearch
from nasviz.nas.methods import RARTS
from nasviz.optim import PenaltySearch
from nasviz.runs import (
    EndState,
    Evaluation,
    Run,
    RunSettings,
    Writer,
    admit,
    record_environment,
    require_trusted,
)
from nasviz.runs.checking import BEST
from nasviz.runs.files import SPACE, write_bytes, write_json
from nasviz.runs.requests import Request
from nasviz.train.checkpoint import restore, save, settle
from nasviz.train.conclusion import NO_PATH_LEFT, conclude
from nasviz.train.divergence import why_diverged
from nasviz.train.evaluation import evaluate
from nasviz.train.gpu import GpuGauge
from nasviz.train.loop import Gauge, train
from nasviz.train.processes import ALONE, Processes
from nasviz.train.progress import Listener, Progress
from nasviz.train.pruning import end_search
from nasviz.train.recorder import Recorder
from nasviz.train.session import Session, open_session, require_same_training
from nasviz.train.silent import Silent

__all__ = ["Progress", "execute", "take_part"]

DIVERGED = "diverged"
"""What the report says of a run that ended, and taught its network nothing."""


REQUESTS: tuple[Request | None, ...] = (None, "cancel", "pause", "resume")
"""By the numbers under which the processes of a run pass them on."""


class _Cancelled(Exception):  # noqa: N818 (a cancel is no error)
    """A person asked for it."""


def execute(
    run: Run,
    writer: Writer,
    listener: Listener | None = None,
    processes: Processes = ALONE,
    *,
    trust: Iterable[str | Path] | None = None,
) -> EndState:
    """Train `run` to its end and write its sub-network; return how it ended.

    Resumes exactly where the latest whole checkpoint left it. `listener` hears when training begins, of
    every flush and evaluation, and when construction begins.

    Args:
        run: Its settings say what is done.
        writer: Of this run, entered.
        listener: Called in this thread.
        processes: Those that train the run together, of which this is the first; the others `take_part`.
        trust: Folders that user code may be imported from; None: those that the run names itself, where this
            user has made it.

    Raises:
        NonFiniteLossError: The loss became NaN or infinite; the last good checkpoint is kept.
        ProcessesError: The processes do not hold the same parameters; the last good checkpoint is kept.
        LostProcessError: Another process ended; the run reads as crashed and may be resumed.
        UntrustedCodeError: The run would import other code.
        NasvizError: The settings cannot be carried out.
    """
    admit(run, trust)
    try:
        with processes.telling_of_deaths():
            session = open_session(run.settings, processes)
            name = restore(session, run.folder)
            require_same_training(session)
            settle(run.folder)
            if name is None:
                _recall_latencies(run, session)
            writer.rewind(session.step - 1)
            _introduce(run, session, writer, name)
            return _Execution(session, run.folder, writer, listener).to_the_end()
    except RuntimeError as error:
        if "deterministic implementation" not in str(error):
            raise
        words = str(error).partition(",")[0]
        raise InvalidSettingError(
            f"deterministic=True cannot be kept: {words}; leave it out (runs with one seed then differ in the"
            f" last bits), choose another network, or train on the CPU"
        ) from error


def take_part(settings: RunSettings, processes: Processes, *, trust: Iterable[str | Path] = ()) -> EndState:
    """Train a run as one of its processes but the first, which records, saves and exports; how it ended.

    Args:
        settings: Of the run.
        processes: Those that train it together.
        trust: Folders that user code may be imported from.

    Raises:
        UntrustedCodeError: The run would import other code.
        NasvizError: As `execute` does.
    """
    require_trusted(settings, trust)
    with processes.telling_of_deaths():
        session = open_session(settings, processes)
        restore(session, None)
        require_same_training(session)
        return _Execution(session, None, Silent(), None).to_the_end()


def _latencies(session: Session) -> list[list[float]]:
    """Milliseconds that were measured for each operation of each edge; empty where none were."""
    found = session.optimizer.latencies if isinstance(session.optimizer, RARTS) else []
    return [table.tolist() for table in found]


def _in_short(latencies: list[list[float]]) -> dict[str, Any]:
    """Their sum, and a digest by which two runs can be told apart."""
    digest = sha256(json.dumps(latencies).encode()).hexdigest()
    return {"total_ms": sum(map(sum, latencies)), "sha256": digest}


def _recall_latencies(run: Run, session: Session) -> None:
    """Use what an earlier worker measured, though it died before its first checkpoint."""
    known = run.tail().facts.get("latencies") if _latencies(session) else None
    if known:
        assert isinstance(session.optimizer, RARTS)
        session.optimizer.latencies = [torch.tensor(table) for table in known]


def _introduce(run: Run, session: Session, writer: Writer, checkpoint: str | None) -> None:
    """Put on record what is about to be trained, on what, and from where."""
    device, schedule = session.device, session.schedule
    is_cuda = device.type == "cuda"
    record_environment(
        run.folder,
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if is_cuda else "cpu",
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
        seed=run.settings.seed,
        step=session.step,
        processes=session.processes.count,
        is_deterministic=torch.are_deterministic_algorithms_enabled(),
        parity=dict(session.network.parity.max_relative_error),
        traced_by=session.network.parity.rung,
        **session.origin,
    )
    write_json(run.folder / SPACE, session.space.to_json())
    writer.describe(
        total_steps=schedule.total_steps,
        steps_per_epoch=schedule.steps_per_epoch,
        warmup_steps=schedule.warmup_steps,
        projection_steps=schedule.projection_steps,
        target_sparsity=session.target_sparsity,
        num_structures=len(session.space.removable),
        max_sparsity=session.space.max_sparsity,
        device=str(device),
        settings=session.resolved,
    )
    if latencies := _latencies(session):
        writer.fact("latencies", latencies)
    count = session.processes.count
    together = f" and {count - 1} more process{'es' * (count > 2)}" if count > 1 else ""
    if checkpoint is None:
        aim = f"{session.target_sparsity} of {len(session.space.removable)} structures to be removed"
        if isinstance(session.optimizer, RelaxedOptimizer):
            aim = f"{len(session.space.switches)} operations to be weighed"
        if isinstance(session.optimizer, WidthSearch):
            aim = f"{len(session.optimizer.channel_scores)} channels to be scored"
        if isinstance(session.optimizer, PenaltySearch):
            words = "structures" if session.optimizer.structure_ids else "channel groups"
            aim = f"{len(session.optimizer.unit_ids)} {words} under a penalty"
        if slim := session.settings.value("slim"):
            share = f"{slim:.0%}" if isinstance(slim, float) else f"{slim}"
            aim += f", and {share} of {len(session.space.channels)} channel groups"
        words = f"start on {device}{together}: {schedule.total_steps} steps, {aim}"
        writer.event(0, "start", words)
        for change in session.network.parity.changed_training:
            writer.event(0, "changed training", f"this is not training the network as written: {change}")
    else:
        place = f"after {session.step} of {schedule.total_steps} steps"
        words = f"resumed on {device}{together} from {checkpoint}, {place}"
        writer.event(max(0, session.step - 1), "resume", words)
    writer.flush()


class _Execution:
    """The steps of `execute`, with what they share; every process of a run takes them side by side.

    `folder` is None on all processes but the first.
    """

    def __init__(
        self, session: Session, folder: Path | None, writer: Writer, listener: Listener | None
    ) -> None:
        self.session, self.folder, self.writer = session, folder, writer
        self.processes = session.processes
        self.listener = listener or (lambda progress: None)
        self.gauge = Gauge(session.device)
        self.gpu = GpuGauge(session.device)
        self.loss: float | None = None
        self.accuracy: float | None = None

    def to_the_end(self) -> EndState:
        try:
            self._train()
            self._obey()
            if self.folder is None:
                return "done"
            self._tell("construction")
            self.writer.begin_conclusion(self.session.step - 1)
            words = why_diverged(self.session, self.folder)
            if words is not None:
                self.writer.event(self.session.step - 1, "diverged", words)
            result = conclude(self.session, self.folder, self.writer)
            if words is not None:
                result["diverged"] = words
                if result.get("outcome") != NO_PATH_LEFT:  # which has equal outputs too, and says more
                    result["outcome"] = DIVERGED
            if latencies := _latencies(self.session):
                result |= {"latencies": _in_short(latencies)}
        except _Cancelled:
            self.writer.finish("cancelled")
            return "cancelled"
        self.writer.event(self.session.step - 1, "end", "the run is done")
        self.writer.finish("done", result=result)
        return "done"

    def _train(self) -> None:
        session, settings = self.session, self.session.settings
        recorder = Recorder(session, self.writer)
        self._obey()
        self._tell()
        self._evaluate()
        self.gauge.restart()
        for record in train(session, self.gauge):
            if session.optimizer.phase != record.phase:
                end_search(session, self.writer)
                self.gauge.restart()
            if self.processes.is_first:
                if (busy := self.gpu.read()) is not None:
                    self.writer.fact("gpu", busy)
                self._check(recorder.observe(record))
            epoch, left = divmod(session.step, session.schedule.steps_per_epoch)
            is_asked = epoch % settings.eval_every_epochs == 0 or session.is_finished
            session.is_evaluation_due = left == 0 and is_asked
            self._evaluate()
            if session.step % settings.checkpoint_steps == 0 or session.is_finished:
                self._save()
            self._obey()
        if self.processes.is_first:
            recorder.tell_zero()

    def _check(self, losses: Iterable[tuple[int, float]]) -> None:
        """Stop at the first loss that is no finite number; tell the listener of the last one."""
        read = list(losses)
        for step, loss in read:
            if not math.isfinite(loss):
                words = (
                    f"the loss became {loss} at step {step}; the last good checkpoint is kept:"
                    f" lower lr={self.session.settings.method.lr:g} and start a new run"
                )
                self.writer.event(step, "failed", words)
                raise NonFiniteLossError(words)
        if read:
            self.loss = read[-1][1]
            self._tell()

    def _evaluate(self) -> None:
        """Evaluate the full network where that is due: the first process does it, the others wait."""
        session = self.session
        if not session.is_evaluation_due:
            return
        while not self.processes.agree_on_number(self.folder is None or self._judge(self.folder)):
            self._obey()  # a cancel: the checkpoint knows that the evaluation is still due
        session.is_evaluation_due = False
        self.gauge.restart()

    def _judge(self, folder: Path) -> bool:
        """Loss and accuracy, put on record; whether no cancel came before."""
        session = self.session
        self._check(self.writer.flush())
        images = session.split.validation
        try:
            with session.counting():
                loss, accuracy = evaluate(
                    session.network,
                    images,
                    device=session.device,
                    num_workers=session.settings.num_workers,
                    loss=session.loss,
                    before_batch=self._stop_if_cancelled,
                )
        except _Cancelled:
            return False
        step, epoch = session.step - 1, (session.step - 1) // session.schedule.steps_per_epoch
        self.writer.evaluation(Evaluation(step, epoch, "full", loss, accuracy, len(images)))
        self.accuracy = accuracy
        self._tell()
        is_zero = session.optimizer.phase == "training"
        if is_zero and accuracy > (session.best_accuracy or 0.0) and math.isfinite(loss):
            session.best_step, session.best_accuracy = step, accuracy
            buffer = io.BytesIO()
            torch.save(session.network.state_dict(), buffer)
            write_bytes(folder / BEST, buffer.getvalue())
        return True

    def _save(self) -> None:
        """Checkpoint, after everything before it is on record and was found good."""
        self._check(self.writer.flush())
        common = save(self.session, self.folder)
        if common is not None:
            checked = {"step": self.session.step - 1, "sha256": common}
            self.writer.fact("checked", checked)
            self.writer.flush()
        self.gauge.restart()

    def _obey(self) -> None:
        """Do what a person asked for since the last step; all processes do it after the same one."""
        asked = REQUESTS.index(self.writer.request)
        request = REQUESTS[self.processes.agree_on_number(asked)]
        if request is None:
            return
        if request == "pause":
            self._save()
            step = self.session.step
            self.writer.event(max(0, step - 1), "pause", f"paused after {step} steps")
            request = self.processes.agree(self.writer.wait_while_paused(step))
            self.writer.event(max(0, step - 1), "resume", f"went on after {step} steps")
            self.gauge.restart()
        if request == "cancel":
            self._save()
            step = self.session.step
            self.writer.event(max(0, step - 1), "cancel", f"cancelled after {step} steps")
            raise _Cancelled
        self.writer.forget_request("resume")

    def _stop_if_cancelled(self) -> None:
        """In an evaluation: leave it."""
        if self.writer.request == "cancel":
            raise _Cancelled

    def _tell(self, phase: str | None = None) -> None:
        session = self.session
        self.listener(
            Progress(
                session.step,
                session.schedule.total_steps,
                phase or session.optimizer.phase,
                self.loss,
                self.accuracy,
            )
        )
