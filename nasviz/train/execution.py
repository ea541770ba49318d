"""A run from its first step, or its latest checkpoint, to its end.

Everything that a person sees of a run passes through the writer; everything that a later worker needs passes
through the checkpoint. Both are brought up to date together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path

import torch

from nasviz.errors import InvalidSettingError, NonFiniteLossError
from nasviz.optim import waiting
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
from nasviz.runs.files import SPACE, write_json
from nasviz.runs.requests import Request
from nasviz.train.change_over import Change, change_over, is_change_due
from nasviz.train.checkpoint import keep_best, keep_change, restore, save, settle
from nasviz.train.conclusion import NO_PATH_LEFT, Judgement, conclude
from nasviz.train.divergence import why_diverged
from nasviz.train.evaluation import Measured, evaluate
from nasviz.train.gpu import GpuGauge
from nasviz.train.loop import Gauge, train
from nasviz.train.processes import ALONE, Processes
from nasviz.train.progress import Listener, Progress
from nasviz.train.recorder import Recorder
from nasviz.train.session import Session, open_session, require_same_training

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
                # What an earlier worker has measured, though it died before its first checkpoint.
                session.optimizer.recall(run.tail().facts)
            writer.rewind(session.step - 1)
            _introduce(run, session, writer, name)
            return _Execution(session, run.folder, writer, listener).run()
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
        return _Execution(session, None, None, None).run()


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
        parity=dict(session.traced.parity.max_relative_error),
        traced_by=session.traced.parity.strategy,
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
        metrics=[meter.metric.label for meter in session.meters],
    )
    for name, value in session.optimizer.measured.items():
        writer.fact(name, value)
    count = session.processes.count
    together = f" and {count - 1} more process{'es' * (count > 2)}" if count > 1 else ""
    if checkpoint is None:
        aim = session.optimizer.aim(session.target_sparsity)
        words = f"start on {device}{together}: {schedule.total_steps} steps, {aim}"
        writer.event(0, "start", words)
        method = run.settings.method
        for name, text in method.notes(schedule).items():
            writer.event(0, "start", f"{method.fields()[name].title}: {text}")
        for reason in method.check(schedule):
            writer.event(0, "warning", reason)
        for change in session.traced.parity.changed_training:
            writer.event(0, "changed training", f"this is not training the network as written: {change}")
    else:
        place = f"after {session.step} of {schedule.total_steps} steps"
        words = f"resumed on {device}{together} from {checkpoint}, {place}"
        writer.event(max(0, session.step - 1), "resume", words)
    writer.flush()


class _Execution:
    """The steps of `execute`, with what they share; the processes of a run take them in parallel.

    `folder` and `writer` are None on all processes but the first, which records for all.
    """

    def __init__(
        self, session: Session, folder: Path | None, writer: Writer | None, listener: Listener | None
    ) -> None:
        self.session, self.folder, self.writer = session, folder, writer
        self.processes = session.processes
        self.listener = listener or (lambda progress: None)
        self.gauge = Gauge(session.device)
        self.gpu = GpuGauge(session.device)
        self.loss: float | None = None
        self.accuracy: float | None = None
        self._is_judged_search = False
        """Return whether a change-over was decided on when the search had ended."""
        self._is_changing = False
        """Whether what is evaluated is the full network, whose place the sub-network takes next."""

    def run(self) -> EndState:
        try:
            self._train()
            self._handle_requests()
            if self.folder is None or self.writer is None:
                return "done"
            self._report("construction")
            self.writer.begin_conclusion(self.session.step - 1)
            words = why_diverged(self.session, self.folder)
            if words is not None:
                self._record("diverged", words)
            result = conclude(self.session, self.folder, self.writer)
            if words is not None:
                result["diverged"] = words
                if result.get("outcome") != NO_PATH_LEFT:  # which has equal outputs too, and says more
                    result["outcome"] = DIVERGED
        except _Cancelled:
            if self.writer is not None:
                self.writer.finish("cancelled")
            return "cancelled"
        self._record("end", "the run is done")
        self.writer.finish("done", result=result)
        return "done"

    def _record(self, kind: str, text: str) -> None:
        """Record an event at the last step."""
        if self.writer is not None:
            self.writer.event(max(0, self.session.step - 1), kind, text)

    def _train(self) -> None:
        session, settings, writer = self.session, self.session.settings, self.writer
        if self.folder is not None:
            keep_best(session, self.folder)
        if (change := session.change) is not None and session.step == change.step:
            self._tell_change(change)  # resumed at the change-over, whose events were rewound
        self._handle_requests()
        self._report()
        if self._looks:
            self._change_over()
        self._evaluate()
        while not session.is_finished:
            phases = settings.method.phases(session.schedule)
            recorder = None
            if writer is not None:
                recorder = Recorder(session.optimizer, session.space, writer, phases, session.step)
            self.gauge.restart()
            for record in train(session, self.gauge):
                if recorder is None:
                    session.optimizer.news()
                else:
                    recorder.tell_news(record.step)
                looks = self._looks
                if looks and record.phase == "projection" and settings.change_over != "off":
                    # A GPU tells late what is zero; all processes, and a resumed run, must see one phase.
                    _ = session.optimizer.zeroed_by
                if session.optimizer.phase == "training" != record.phase:
                    session.optimizer.end_search(Judgement(session, writer))
                    self.gauge.restart()
                if recorder is not None and writer is not None:
                    if (busy := self.gpu.read()) is not None:
                        writer.fact("gpu", busy)
                    self._check(recorder.observe(record, is_last=session.is_finished))
                epoch, left = divmod(session.step, session.schedule.steps_per_epoch)
                is_asked = left == 0 and epoch % settings.eval_every_epochs == 0
                session.is_evaluation_due = is_asked or session.is_finished
                if looks and session.optimizer.phase == "training" and not self._is_judged_search:
                    self._is_judged_search = True
                    if is_change_due(session):
                        break
                self._evaluate()
                if session.step % settings.checkpoint_steps == 0 or session.is_finished:
                    self._save()
                self._handle_requests()
            if recorder is not None:
                recorder.tell_zero()
            self._change_over()

    @property
    def _looks(self) -> bool:
        """Return whether zeros are read after this step, at the latest where a phase ends."""
        session = self.session
        lengths = (phase.num_steps for phase in session.settings.method.phases(session.schedule))
        is_end = session.is_finished or session.step in accumulate(lengths)
        return is_end or waiting.looks_at(session.step, session.device)

    def _change_over(self) -> None:
        """Train the sub-network from here on, where its time has come."""
        session = self.session
        if not is_change_due(session):
            return
        session.is_evaluation_due = self._is_changing = True
        self._evaluate()  # the full network, for the last time
        self._is_changing = False
        self._save()
        found = Measured(*self.processes.agree(session.measured and session.measured[1]))
        if not math.isfinite(found.loss):
            return  # there is nothing to be compared in a construction; the next losses end the run
        if self.folder is not None:
            keep_change(self.folder)
        change = change_over(session, found)
        session.best_step, session.best = session.step - 1, found
        self._tell_change(change)
        self._save()
        if self.folder is not None:
            keep_best(session, self.folder)
        self.gauge.restart()
        self._handle_requests()

    def _tell_change(self, change: Change) -> None:
        """Record the change-over as events of the step to come.

        A worker that is killed before the next checkpoint rewinds to before that step, and records it again.
        """
        step, writer = self.session.step, self.writer
        if writer is None:
            return
        for kind, text, structure in change.events:
            writer.event(step, kind, text, structure)
        report = change.sub.report
        words = (
            "change-over: from here on the sub-network is trained, with"
            f" {report.params_after / max(1, report.params_before):.1%} of the parameters; its outputs"
            f" differ by at most {report.max_relative_error:.1g} of the largest"
        )
        writer.event(step, "phase", words)
        writer.fact("changed_at", step)

    def _check(self, losses: Iterable[tuple[int, float]]) -> None:
        """Stop at the first loss that is no finite number; report the last one to the listener."""
        read = list(losses)
        for step, loss in read:
            if not math.isfinite(loss):
                words = (
                    f"the loss became {loss} at step {step}; the last good checkpoint is kept:"
                    f" lower lr={self.session.settings.method.lr:g} and start a new run"
                )
                if self.writer is not None:
                    self.writer.event(step, "failed", words)
                raise NonFiniteLossError(words)
        if read:
            self.loss = read[-1][1]
            self._report()

    def _evaluate(self) -> None:
        """Evaluate the full network where that is due: the first process does it, the others wait."""
        session = self.session
        if not session.is_evaluation_due:
            return
        while not self.processes.agree_on_number(self._is_judged()):
            self._handle_requests()  # a cancel: the checkpoint knows that the evaluation is still due
        session.is_evaluation_due = False
        best = session.best_step == session.step - 1
        if session.settings.result == "best" and self.processes.agree_on_number(best):
            self._save()  # so that the best step on record is always that of the file
            if self.folder is not None:
                keep_best(session, self.folder)
        self.gauge.restart()

    def _is_judged(self) -> bool:
        """Evaluate and record on the first process; return False where a cancel came before."""
        session, writer, folder = self.session, self.writer, self.folder
        if writer is None or folder is None:
            return True
        self._check(writer.flush())
        images = session.split.validation
        try:
            with session.optimizer.evaluating():
                found = evaluate(
                    session.network,
                    images,
                    device=session.device,
                    num_workers=session.settings.num_workers,
                    loss=session.loss,
                    meters=session.meters,
                    before_batch=self._stop_if_cancelled,
                )
        except _Cancelled:
            return False
        step, epoch = session.step - 1, (session.step - 1) // session.schedule.steps_per_epoch
        numbers = found.loss, found.accuracy, len(images), found.metrics
        writer.evaluation(Evaluation(step, epoch, "full", *numbers))
        session.measured = session.writes, found
        self.accuracy = found.accuracy
        self._report()
        is_zero = session.optimizer.phase == "training" and not self._is_changing
        best = session.best
        is_better = best is None or session.metric.sign * (found.accuracy - best.accuracy) > 0
        if is_zero and is_better and math.isfinite(found.loss) and not math.isnan(found.accuracy):
            session.best_step, session.best = step, found
        return True

    def _save(self) -> None:
        """Checkpoint, after everything before it is on record and was found good."""
        if self.writer is not None:
            self._check(self.writer.flush())
        common = save(self.session, self.folder)
        if common is not None and self.writer is not None:
            self.writer.fact("checked", {"step": self.session.step - 1, "sha256": common})
            self.writer.flush()
        self.gauge.restart()

    def _handle_requests(self) -> None:
        """Do what a person asked for since the last step; all processes do it after the same one."""
        writer, step = self.writer, self.session.step
        asked = REQUESTS.index(None if writer is None else writer.request)
        request = REQUESTS[self.processes.agree_on_number(asked)]
        if request is None:
            return
        if request == "pause":
            self._save()
            self._record("pause", f"paused after {step} steps")
            waited = "resume" if writer is None else writer.wait_while_paused(step)
            request = self.processes.agree(waited)
            self._record("resume", f"went on after {step} steps")
            self.gauge.restart()
        if request == "cancel":
            self._save()
            self._record("cancel", f"cancelled after {step} steps")
            raise _Cancelled
        if writer is not None:
            writer.forget_request("resume")

    def _stop_if_cancelled(self) -> None:
        """Leave an evaluation where a cancel has come."""
        if self.writer is not None and self.writer.request == "cancel":
            raise _Cancelled

    def _report(self, phase: str | None = None) -> None:
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
