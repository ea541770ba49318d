"""Recording of any training loop: `nasviz.watch`.

A watched loop makes an ordinary run folder. Its network is the stored graph, so that no code of the loop is
needed to look at it. Hooks on the optimizer record what a step decides; the loop adds what it alone knows.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, distributed, fx, nn
from torch.optim import Optimizer

from nasviz import subnet
from nasviz.catalog import Metric, NetworkSource, find_metric
from nasviz.data import parts_of
from nasviz.errors import (
    ConstructionError,
    InvalidSettingError,
    NasvizError,
    NasvizWarning,
    RunStateError,
    TrainingError,
)
from nasviz.graph import SearchSpace
from nasviz.graph.space import protection_text, require_space
from nasviz.optim.create import INNER_OPTIMIZERS
from nasviz.optim.search_optimizer import SearchOptimizer
from nasviz.runs import (
    Evaluation,
    Labels,
    Mirror,
    Run,
    RunSettings,
    StepRecord,
    Store,
    Writer,
    record_environment,
)
from nasviz.runs.files import REQUEST, SPACE, SUBNET, TARGET, read_table, write_json
from nasviz.runs.requests import forget_request, read_target
from nasviz.settings import METHODS, MethodSettings
from nasviz.settings.schedule import Schedule
from nasviz.subnet import Subnetwork
from nasviz.train.change_over import construct_found, report_of_search
from nasviz.train.conclusion import NO_PATH_LEFT, VALID, numbers, save_subnet, write_spaces
from nasviz.train.evaluation import Measured, measure, modes_of, restore_modes
from nasviz.train.gpu import GpuGauge
from nasviz.train.loop import Gauge
from nasviz.train.metrics import ACCURACY_ALONE, Meter, load_meters, own_meter
from nasviz.train.objective import Loss, num_examples
from nasviz.train.recorder import Recorder, read_back

__all__ = ["LoopRecorder", "keywords_of", "watch"]

LOGGED = ("loss", "accuracy", "lr", "epoch", "examples")
_UNCUT = {"outcome": "not constructed", "is_valid": False}
"""Result of a watched run that ended without a sub-network because none was asked for."""
_CANCEL, _PAUSE, _RESUME, _TARGET = 1, 2, 3, 4
_POLL_S = 0.1
_POLL_STEPS = 8
"""Steps between two looks for requests where several processes have to agree, which costs a broadcast."""
_NAN = float("nan")
_FAILURES = NasvizError, OSError, sqlite3.Error
"""What stops the recording, and not the training."""


def watch(
    net: nn.Module,
    space: SearchSpace,
    optimizer: Optimizer,
    *,
    runs: str | Path = "runs",
    name: str = "",
    total_steps: int | None = None,
    steps_per_epoch: int | None = None,
    run: str | None = None,
    mirrors: Sequence[Mirror] = (),
    validation: Iterable[Any] | None = None,
    metrics: Sequence[str | Callable[..., Any]] | None = None,
) -> LoopRecorder:
    """Record a training loop as a run, which the app, the command line and exports show like any other.

    Hooks on the optimizer record scores, norms, cosines, phases and what becomes zero. Where several
    processes train together, call it in all of them: the first one records.

    Args:
        net: The traced network. The loop may train the original model, with which it shares its parameters.
        space: Its search space.
        optimizer: One of `nasviz.optim.create`, or a wrapper of Lightning or accelerate around it.
        runs: Folder of runs.
        name: Name of the run in lists.
        total_steps: Number of steps that the loop will take, if known: progress is measured against it.
        steps_per_epoch: Number of steps in an epoch, if known.
        run: Id of the run to go on with after the loop has resumed from a checkpoint of its own. Load the
            state of the optimizer first: what was recorded after its last step is replaced.
        mirrors: Trackers that receive the same numbers live: `TensorBoard`, `MLflow`, `WandB` and `Trackio`
            of `nasviz.runs`.
        validation: Batches that evaluate the sub-network in `finish`. Methods that prune by accuracy at their
            end need them, unless `LoopRecorder.evaluate` is called with batches.
        metrics: What an evaluation measures; the first one decides which network is better. Names, such as
            "f1" and "auroc", which torchmetrics measures, and your own functions of all outputs and targets,
            or classes with `update(output, target)` and `compute()`. Set the attribute `higher_is_better`
            of yours to False if smaller values are better. By default accuracy, or the metrics of `run`.

    Raises:
        InvalidSettingError: The optimizer searches nothing, or the network was not traced.
        UnknownNameError: There is no such metric.
        RunNotFoundError: There is no run with this id.
        RunStateError: That run is done, was not made by `watch`, or has another method, search space or
            metrics.
        RunBusyError: Another loop records it now.

    Examples:
        >>> import tempfile, torch, nasviz
        >>> model, inputs = nasviz.zoo.create("demonet", width=0.25)
        >>> net = nasviz.trace(model, inputs)
        >>> space = nasviz.search_space(net)
        >>> settings = {"lr": 0.1, "target_sparsity": 2, "warmup_steps": 2, "projection_steps": 2}
        >>> optimizer = nasviz.optim.create("h2spg", net, space, **settings)
        >>> with nasviz.watch(net, space, optimizer, runs=tempfile.mkdtemp(), name="mine") as rec:
        ...     for _ in range(5):
        ...         optimizer.zero_grad()
        ...         loss = net(*inputs).square().mean()
        ...         loss.backward()
        ...         optimizer.step()
        ...         rec.log(loss=loss)
        ...     sub = rec.finish()
        >>> rec.run.state, len(rec.run.tail().steps), len(rec.run.end.result["selected"])
        ('done', 5, 2)
    """
    require_space(space)
    found: Any = optimizer
    while not isinstance(found, SearchOptimizer) and isinstance(getattr(found, "optimizer", None), Optimizer):
        found = found.optimizer
    if not isinstance(found, SearchOptimizer):
        raise InvalidSettingError(
            f"{type(found).__name__} searches nothing; wrap it:"
            ' nasviz.optim.create("h2spg", net, space, base=optimizer, target_sparsity=K, warmup_steps=...,'
            " projection_steps=...)"
        )
    # What torch.compile wraps forwards all attributes, so that its class alone tells it apart.
    while not isinstance(net, fx.GraphModule) and isinstance(inner := _wrapped(net), nn.Module):
        net = inner
    if not hasattr(net, "trace_graph"):
        raise InvalidSettingError(
            f"{type(net).__name__} is no traced network; give nasviz.trace(model, inputs)"
        )
    if found.method not in METHODS:
        raise InvalidSettingError(
            f"{type(found).__name__} belongs to no registered method; set its attribute `method` to one of"
            f" {', '.join(METHODS)}"
        )
    is_first = not _is_distributed() or distributed.get_rank() == 0
    schedule = _schedule(found, total_steps, steps_per_epoch)
    meters = None if metrics is None else _meters_of(metrics)
    if not is_first:
        if meters is None and run is not None:
            with suppress(NasvizError):  # the folder of runs may lie on the first machine alone
                meters = _meters_of(Store(runs).open(run).settings.metrics)
        silent = LoopRecorder(net, space, found, None, schedule, steps_per_epoch, meters or ACCURACY_ALONE)
        silent.validate_on(validation)
        return silent
    store = Store(runs)
    if run is None:
        meters = meters or ACCURACY_ALONE
        label = re.sub(r"[^A-Za-z0-9_]+", "_", str(getattr(net.trace_graph, "name", ""))).strip("_")
        chosen: dict[str, Any] = {
            "protect": tuple(map(protection_text, space.protect)),
            "collapse": tuple(space.collapse),
            "frozen": space.frozen,
        }
        if meters != ACCURACY_ALONE:
            chosen["metric"] = tuple(meter.metric.label for meter in meters)
        usual = RunSettings.model_fields
        given = {key: value for key, value in chosen.items() if value != usual[key].default}
        source = NetworkSource(label[:64] or "network", graph=".")
        taken = store.create(RunSettings(network=source, method=_method_of(found), **given))
        if name:
            taken.write_labels(Labels(name))
    else:
        taken = store.open(run)
        if not taken.settings.is_watched:
            raise RunStateError(f"run {run} was not made by nasviz.watch; resume it by nasviz.jobs.start_run")
        _require_same(taken, found, space)
        if meters is None:
            meters = _meters_of(taken.settings.metrics)
        kinds = [metric.label for metric in taken.settings.metrics], [m.metric.label for m in meters]
        if kinds[0] != kinds[1]:
            recorded, others = map(", ".join, kinds)
            raise RunStateError(
                f"run {run} records {recorded}, not {others}; leave `metrics` out, or begin a new run without"
                " `run`"
            )
    begun = time.time()
    writer = Writer(taken, read_back=read_back, mirrors=mirrors)
    writer.__enter__()
    forget_request(taken.folder, before=begun)  # to an earlier loop
    recorder: LoopRecorder | None = None
    try:
        recorder = LoopRecorder(net, space, found, writer, schedule, steps_per_epoch, meters)
        recorder.validate_on(validation)
        recorder.introduce(total_steps, is_resumed=run is not None)
    except BaseException as error:
        if recorder is None:
            writer.__exit__(type(error), error, error.__traceback__)
        else:
            recorder.close(error)
        raise
    return recorder


def _meters_of(metrics: Sequence[str | Callable[..., Any] | Metric | Meter]) -> tuple[Meter, ...]:
    """Return how metrics are computed: those of nasviz by their names, and the user's own objects.

    Raises:
        InvalidSettingError: There is none, or one twice, or a callable is only named.
    """
    meters: list[Meter] = []
    for one in metrics:
        if isinstance(one, Meter):
            meters.append(one)
            continue
        metric = find_metric(one) if isinstance(one, str) else one
        if isinstance(metric, Metric):
            if metric.is_own:
                raise InvalidSettingError(
                    f"metric {metric.label} is your own code: give nasviz.watch the function or class"
                    f" itself, metrics=({metric.title},)"
                )
            meters.append(Meter(metric))
            continue
        name = getattr(one, "__name__", type(one).__name__)
        label = f"{getattr(one, '__module__', '__main__')}:{name}"
        label = re.sub(r"[^A-Za-z0-9_.:]", "_", label)
        label += ":min" if getattr(one, "higher_is_better", None) is False else ""
        meters.append(own_meter(find_metric(label), one))
    if not meters or len({meter.metric.name for meter in meters}) < len(meters):
        raise InvalidSettingError("metrics: give one or more, each once")
    return tuple(meters)


def _require_same(run: Run, optimizer: SearchOptimizer, space: SearchSpace) -> None:
    """Check that a run can go on with an optimizer and a search space.

    Raises:
        RunStateError: It was recorded with others.
    """
    recorded_with = run.settings.method
    if type(recorded_with) is not METHODS[optimizer.method]:
        raise RunStateError(
            f"run {run.id} was recorded with method {recorded_with.name}, not {optimizer.method}"
        )
    recorded = read_table(run.folder / SPACE)
    if recorded is not None and recorded != json.loads(json.dumps(space.to_json())):
        raise RunStateError(
            f"run {run.id} was recorded with another network or search space; begin a new run without `run`"
        )


class LoopRecorder:
    """Records a training loop; made by `watch`, best used as a context manager.

    Leaving the block finishes the run, and constructs the sub-network; after `wants_stop` it ends the run as
    cancelled. An exception ends it as failed, an interrupt as cancelled. A loop that ends without either
    leaves it "crashed": `watch(run=...)` goes on with it.
    """

    def __init__(
        self,
        net: nn.Module,
        space: SearchSpace,
        optimizer: SearchOptimizer,
        writer: Writer | None,
        schedule: Schedule,
        steps_per_epoch: int | None = None,
        meters: Sequence[Meter] = ACCURACY_ALONE,
    ) -> None:
        self.metrics = tuple(meter.metric for meter in meters)
        self._meters, self._keywords = tuple(meters), keywords_of(meters)
        self.net, self.space, self.optimizer = net, space, optimizer
        self._writer = writer
        self._schedule, self._steps_per_epoch = schedule, steps_per_epoch
        self._device = next(net.parameters()).device
        self._row: dict[str, Any] | None = None
        """Row of the latest step, until the next one begins: the loop may still log its loss."""
        self._is_changed = False
        """Return whether the row holds what was not written yet."""
        self._next: dict[str, Any] = {}
        """Return what was logged before the first step."""
        self._num_examples = 0
        self._penalty: Tensor | float | None = None
        self._is_paused = self._is_stopped = self._has_ended = False
        self._failure: Exception | None = None
        """Why recording stopped before the loop did."""
        self._polled_at: int | None = None
        self._target: dict[str, Any] | None = None
        """Request for another K that is being answered."""
        self._has_polled = self._has_diverged = False
        self._logged: set[int] = set()
        self._batches: Iterable[Any] | None = None
        self._loss: Loss | None = None
        self._found: dict[str, tuple[int, Measured]] = {}
        """Latest evaluation of each network, with the number of steps before it."""
        self._last_step = optimizer.num_steps - 1
        self._hooks: list[Any] = []
        self._recorder: Recorder | None = None
        if writer is None:
            return
        self._gauge, self._gpu = Gauge(self._device), GpuGauge(self._device)
        self._requests = str(writer.folder / REQUEST), str(writer.folder / TARGET)
        method = METHODS[optimizer.method]()
        self._recorder = Recorder(optimizer, space, writer, method.phases(schedule), optimizer.num_steps)
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
            optimizer.register_state_dict_pre_hook(self._before_checkpoint),
        ]
        atexit.register(self.close)

    def __repr__(self) -> str:
        where = "another process records" if self._writer is None else f"run={self._writer.run.id!r}"
        return f"LoopRecorder({where}, step={self._last_step}, phase={self.optimizer.phase!r})"

    @property
    def run_id(self) -> str | None:
        """Id of the run; None where another process records."""
        return None if self._writer is None else self._writer.run.id

    @property
    def is_stopped(self) -> bool:
        """Return whether `wants_stop` has asked the loop to stop."""
        return self._is_stopped

    @property
    def run(self) -> Run:
        """The run; its folder can be read at any time.

        Raises:
            RunStateError: Another process records.
        """
        if self._writer is None:
            raise RunStateError("only the first process records: read the run there")
        return self._writer.run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.close(error)
        elif not self._has_ended:
            self.finish()

    # ---- what the loop knows ----

    def log(self, **values: Any) -> None:
        """Record what the loop knows of the latest step; call it after `optimizer.step()`.

        The first value after a step counts. Others before the next step belong to no step: they come from
        micro-batches, or from a step that a `GradScaler` skipped. What is logged before the first step counts
        for it unless another value follows. Tensors stay on their device until the next flush.

        Args:
            **values: `loss`, `accuracy` in [0, 1] or the first metric by its name, `lr` (by default that of
                the first parameter group), `epoch` and `examples`, the number of examples in the step.

        Raises:
            InvalidSettingError: A name is unknown, or a tensor is no single number.
            RunStateError: The run has ended.
        """
        self._require_open()
        known = (*LOGGED, self._keywords[0])
        if unknown := sorted(values.keys() - set(known)):
            raise InvalidSettingError(
                f"log() does not record {', '.join(unknown)}; it takes {', '.join(dict.fromkeys(known))}"
            )
        for name, value in values.items():
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    raise InvalidSettingError(f"{name} has shape {tuple(value.shape)}; log a single number")
                value = value.detach().clone()  # the loop may go on to accumulate in it
            name = name if name in LOGGED else "accuracy"
            if self._row is None:
                self._next[name] = value
            elif name not in self._row["given"]:
                self._row["given"][name] = value
                self._is_changed = True

    def evaluate(
        self,
        batches: Iterable[Any] | None = None,
        *,
        loss: float | Loss | None = None,
        num_examples: int = 0,
        network: str = "full",
        **measured: float | None,
    ) -> Measured:
        """Record an evaluation: measured here on `batches`, or the numbers that the loop has measured.

        Args:
            batches: Pairs of inputs and labels, or dicts with labels, such as a data loader. It evaluates the
                sub-network in `finish` as well, if it can be read again.
            loss: The measured loss; with `batches` a function of output and labels, or of output and `batch`,
                by default cross-entropy.
            num_examples: Number of examples of the measured evaluation.
            network: "full" for the network in training, "subnet" for a sub-network made of it, of which only
                numbers are taken: `finish` measures it.
            **measured: The measured metrics of the run by name: `accuracy` in [0, 1], unless it has others.

        Raises:
            InvalidSettingError: Neither batches nor numbers are given, or both; the batches hold no example,
                or the network is not one of these.
            RunStateError: The run has ended.
        """
        self._require_open()
        if network not in ("full", "subnet"):
            raise InvalidSettingError(f"network={network!r}: must be 'full' or 'subnet'")
        if network == "subnet" and batches is not None:
            raise InvalidSettingError(
                "evaluate(batches) measures the network in training; give the loss and the accuracy of a"
                " sub-network, or leave it to finish()"
            )
        names = self._keywords
        if unknown := sorted(measured.keys() - set(names)):
            raise InvalidSettingError(
                f"evaluate() does not record {', '.join(unknown)}; the metrics of this run are"
                f" {', '.join(names)}: name others as metrics= of nasviz.watch"
            )
        known = {
            metric.name: float(value)
            for name, metric in zip(names, self.metrics, strict=True)
            if (value := measured.get(name)) is not None
        }
        if (batches is None) == (not known and not isinstance(loss, int | float)):
            raise InvalidSettingError(f"evaluate() takes either batches, or a loss and {', '.join(names)}")
        if batches is None:
            number = float(loss) if isinstance(loss, int | float) else _NAN
            found = Measured(number, known.get(self.metrics[0].name, _NAN), None, known)
        else:
            own = loss if callable(loss) else None
            counted = _Counted(batches)
            try:
                found = self._measure(self.net, counted, own)
            except ZeroDivisionError:
                if counted.num_examples:
                    raise
                raise InvalidSettingError("evaluate() was given batches without an example") from None
            num_examples = counted.num_examples
            self.validate_on(batches, own)
        self._record_evaluation(network, found, num_examples)
        return found

    def validate_on(self, batches: Iterable[Any] | None, loss: Loss | None = None) -> None:
        """Evaluate on these batches in `finish`, if they can be read again."""
        if batches is not None and iter(batches) is not batches:
            self._batches, self._loss = batches, loss

    # ---- what a person asks for ----

    @property
    def wants_stop(self) -> bool:
        """Return whether a person asked the loop to stop; wait here while the run is paused.

        Ask once per step. The app offers Pause, Cancel and another K only to loops that ask. Another K is
        applied here, as long as the warm-up lasts. Where several processes train, all of them must ask, and
        they look every 8 steps.

        Raises:
            RunStateError: The run has ended.
        """
        self._require_open()
        steps = self.optimizer.num_steps
        is_soon = self._polled_at is not None and steps - self._polled_at < _POLL_STEPS
        if self._is_stopped or (is_soon and _is_distributed() and distributed.get_world_size() > 1):
            return self._is_stopped
        self._polled_at = steps
        if not self._has_polled:
            self._has_polled = True
            with self._recording():
                if (writer := self._open) is not None:
                    writer.fact("obeys", True)
                    writer.flush()
        while True:
            asked = self._agree(self._read_request())
            if asked >= _TARGET:
                self._retarget(asked - _TARGET)
                continue
            if asked == _PAUSE:
                self._pause()
                time.sleep(_POLL_S)
                continue
            if self._is_paused:
                self._go_on()
            if asked == _RESUME and (writer := self._open) is not None:
                writer.forget_request("resume")
            self._is_stopped = asked == _CANCEL
            return self._is_stopped

    @property
    def target_sparsity(self) -> int:
        """K: the number of structures to remove, as last asked for."""
        return int(self.optimizer.asked.get("target_sparsity", len(self.optimizer.selected)))

    # ---- the end ----

    def finish(self, *, construct: bool = True, network: nn.Module | None = None) -> Subnetwork | None:
        """End the run; construct, save and return the sub-network of what became zero.

        After `wants_stop` has asked the loop to stop, the run ends as cancelled and there is no sub-network.

        Args:
            construct: Whether there shall be a sub-network.
            network: Network whose weights it takes instead of those of `net`, such as its moving average. Its
                selected structures need not be zero.

        Returns:
            The sub-network on the CPU; None without one, and in all processes but the first.

        Raises:
            ConstructionError: The sub-network would not compute what the network computes, or weights that
                became zero were replaced.
            RunStateError: The run has ended, or could not be recorded.
            TrainingError: The method prunes by accuracy, and was given no validation data. The run goes on:
                call `evaluate` with batches, and `finish` again.
        """
        if self._failure is not None:
            raise RunStateError(
                f"run {self.run.id} was not recorded to its end: {self._failure};"
                " nasviz.construct(net, space) constructs the sub-network"
            ) from self._failure
        self._require_open()
        if self._is_stopped:
            self.stop()
            return None
        writer = self._open
        if writer is None:
            self._has_ended = True
            return None
        try:
            self._write_row(keep=True, is_last=True)
            writer.flush()
            sub, result = (
                self._conclude(network) if construct else (None, {**_UNCUT, **self._numbers("full")})
            )
            writer.event(max(0, self._last_step), "end", "the run is done")
            writer.finish("done", result=result)
        except _NoValidationError:
            raise
        except BaseException as error:
            self.close(error)
            raise
        self.close()
        return sub

    def stop(self) -> None:
        """End the run as cancelled, without a sub-network."""
        try:
            if (writer := self._open) is not None:
                self._write_row(is_last=True)
                words = f"stopped after {self._last_step + 1} steps"
                writer.event(max(0, self._last_step), "cancel", words)
                writer.finish("cancelled")
        except BaseException as error:
            self.close(error)
            raise
        self.close()

    def close(self, error: BaseException | None = None) -> None:
        """Stop recording. Without `finish` before, the run counts as crashed, or with an error as failed."""
        writer, self._has_ended = self._open, True
        if writer is None:
            return
        try:
            self._write_row(is_last=True)
        except Exception as reason:
            if error is None:
                error = reason
                raise
            error.add_note(f"the last step could not be recorded: {reason}")
        finally:
            for hook in self._hooks:
                hook.remove()
            self._hooks = []
            if self._recorder is not None:
                self._recorder.close()
            atexit.unregister(self.close)
            writer.__exit__(None if error is None else type(error), error, None)

    # ---- inside ----

    def introduce(self, total_steps: int | None, *, is_resumed: bool) -> None:
        """Put on record what is about to be trained, and from where."""
        writer, optimizer, space, step = self._writer, self.optimizer, self.space, self._last_step + 1
        assert writer is not None, "another process records"
        parity = getattr(self.net, "parity", None)
        record_environment(
            writer.folder,
            device=str(self._device),
            cuda=torch.version.cuda,
            threads=torch.get_num_threads(),
            step=step,
            processes=distributed.get_world_size() if _is_distributed() else 1,
            parity=dict(parity.max_relative_error) if parity is not None else {},
        )
        if is_resumed:
            writer.rewind(step - 1)
            if self._recorder is not None:
                self._recorder.recall(writer.run.tail().events)
        write_json(writer.folder / SPACE, space.to_json())
        writer.describe(
            total_steps=total_steps,
            steps_per_epoch=self._steps_per_epoch,
            warmup_steps=self._schedule.warmup_steps,
            projection_steps=self._schedule.projection_steps,
            target_sparsity=self.target_sparsity,
            num_structures=len(space.removable),
            max_sparsity=space.max_sparsity,
            device=str(self._device),
            metrics=[metric.label for metric in self.metrics],
            obeys=False,
        )
        for name, value in optimizer.measured.items():
            writer.fact(name, value)
        if is_resumed:
            writer.event(max(0, step - 1), "resume", f"the loop goes on after {step} steps")
        else:
            words = f"watching a loop on {self._device}: {optimizer.aim(self.target_sparsity)}"
            writer.event(step, "start", words)
            for change in getattr(parity, "changed_training", ()):
                words = f"training the traced network is not training the network as written: {change}"
                writer.event(step, "changed training", words)
        if optimizer.judges and self._batches is None:
            words = (
                f"{type(optimizer).__name__} prunes by {self.metrics[0].title} at its end, and there is no"
                " validation data yet: give `validation` to nasviz.watch, or call rec.evaluate(loader) before"
                " rec.finish()"
            )
            writer.event(step, "warning", words)
            warnings.warn(words, NasvizWarning, stacklevel=3)
        writer.flush()

    @property
    def _open(self) -> Writer | None:
        """The writer, as long as this process records."""
        return self._writer if self._hooks else None

    def _require_open(self) -> None:
        if self._has_ended and self._failure is None:
            raise RunStateError(f"{self!r} has ended")

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Stop recording where that fails, as on a full disk, and let the training go on."""
        try:
            yield
        except _FAILURES as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.close(error)
        warnings.warn(f"run {self.run.id} is not recorded any more: {error}", NasvizWarning, stacklevel=4)

    # The hooks of a step catch errors themselves: entering a context costs as much as their work.

    def _before_step(self, *_: object) -> None:
        try:
            self._write_row()
            self._penalty = self.optimizer.penalty()
        except _FAILURES as error:
            self._fail(error)

    def _before_checkpoint(self, *_: object) -> None:
        """Write all that came before a checkpoint: a loop that goes on from it records what follows."""
        with self._recording():
            if (writer := self._open) is not None and self._recorder is not None:
                self._write_row(keep=True, is_last=True)
                self._recorder.tell_zero()
                writer.flush()

    def _after_step(self, *_: object) -> None:
        try:
            self._take_step()
        except _FAILURES as error:
            self._fail(error)

    def _take_step(self) -> None:
        """Record what the step has decided; its row is written once the loop can have logged its loss."""
        optimizer, recorder = self.optimizer, self._recorder
        assert recorder is not None
        self._last_step = step = optimizer.num_steps - 1
        seconds, speed = self._gauge.lap(self._num_examples)
        recorder.tell_news(step)
        recorder.look(step, recorder.phase)
        self._row = {
            "step": step,
            "phase": recorder.phase,
            "lr": float(optimizer.param_groups[0]["lr"]),
            "seconds": seconds,
            "examples_per_second": speed if self._num_examples else _NAN,
            "memory_mb": self._gauge.memory_mb,
            "zero_groups": optimizer.num_zero,
            "penalty": _NAN if self._penalty is None else self._penalty,
            "given": {},
            "early": self._next,
        }
        self._next, self._is_changed = {}, True

    def _write_row(self, *, keep: bool = False, is_last: bool = False) -> None:
        """Write the row of the latest step, with what was logged for it.

        Args:
            keep: Whether the loop may still log values of this step, which then replace the row.
            is_last: Whether all is flushed at once.
        """
        row, writer, recorder = self._row, self._open, self._recorder
        if not keep:
            self._row = None
        if row is None or writer is None or recorder is None:
            return
        read = self._record_row(row, writer, recorder) if self._is_changed else []
        self._is_changed = False
        if is_last:
            read = [*read, *writer.flush()]
            recorder.tell_zero()
        for number, loss in read:
            if number in self._logged and not abs(loss) < float("inf") and not self._has_diverged:
                self._has_diverged = True
                writer.event(
                    number, "warning", f"the loss became {loss} at step {number}; lower the learning rate"
                )
        if read:
            self._logged.clear()

    def _record_row(
        self, row: Mapping[str, Any], writer: Writer, recorder: Recorder
    ) -> list[tuple[int, float]]:
        """Record a row with what was logged for it; return the losses that a flush read back."""
        given, step = row["early"] | row["given"], row["step"]
        measured = {name: value for name, value in row.items() if name not in ("early", "given")}
        if "examples" in given:
            self._num_examples = int(given["examples"])
            measured["examples_per_second"] = self._gauge.count(self._num_examples)
        if (busy := self._gpu.read()) is not None:
            writer.fact("gpu", busy)
        epoch = int(given.get("epoch", step // self._steps_per_epoch if self._steps_per_epoch else 0))
        if "loss" in given:
            self._logged.add(step)
        record = StepRecord(
            epoch=epoch,
            loss=given.get("loss", _NAN),
            accuracy=given.get("accuracy", _NAN),
            **measured | {name: float(given[name]) for name in ("lr",) if name in given},
        )
        return recorder.write(record)

    def _record_evaluation(self, network: str, found: Measured, num_examples: int) -> None:
        writer, step = self._open, max(0, self._last_step)
        self._found[network] = self.optimizer.num_steps, found
        if writer is None:
            return
        with self._recording():
            self._write_row(keep=True)
            epoch = step // self._steps_per_epoch if self._steps_per_epoch else 0
            measured = found.loss, found.accuracy, num_examples, found.metrics
            writer.evaluation(Evaluation(step, epoch, network, *measured))
            self._gauge.restart()

    def accuracy(self) -> float:
        """Return the first metric of the network as it is now; larger is better. Methods prune by it.

        Raises:
            TrainingError: There is no validation data that can be read again.
        """
        if self._batches is None:
            raise _NoValidationError(
                f"{type(self.optimizer).__name__} prunes by accuracy at its end: give `validation` to"
                " nasviz.watch, or call rec.evaluate(loader) before"
            )
        return self.metrics[0].sign * self._measure(self.net, self._batches, self._loss).accuracy

    def words(self, accuracy: float) -> str:
        """Return an accuracy with the name of the metric that it is."""
        metric = self.metrics[0]
        return metric.words(metric.sign * accuracy)

    def _measure(self, network: nn.Module, batches: Iterable[Any], loss: Loss | None) -> Measured:
        """Evaluate a network where its parameters are."""
        device = next((p.device for p in network.parameters()), self._device)
        return measure(network, batches, device=device, loss=loss, meters=load_meters(self._meters))

    def tell(self, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event at the latest step."""
        if (writer := self._open) is not None:
            writer.event(max(0, self._last_step), kind, text, structure)

    def _conclude(self, network: nn.Module | None) -> tuple[Subnetwork | None, dict[str, Any]]:
        """Construct and save the sub-network; return it with the report of the run."""
        writer, optimizer, space = self._writer, self.optimizer, self.space
        assert writer is not None, "another process records"
        optimizer.end_search(self)
        if network is None:
            _require_zero(optimizer)
        with _on_cpu(self.net), _on_cpu(network or self.net):
            found = optimizer.conclude(self.net, space)
            write_spaces(space, writer.folder, found.space)
            for event in found.events:
                self.tell(*event)
            result = report_of_search(optimizer, space, self.target_sparsity, found)
            result["metrics"] = [metric.label for metric in self.metrics]
            result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
            if network is None:
                result |= self._numbers("full")
            elif self._batches is not None:
                result |= numbers("full", self._measure(network, self._batches, self._loss))
            if not result["is_valid"]:
                self.tell("warning", f"{NO_PATH_LEFT}: what became zero cuts the network apart")
                return None, result
            traced: Any = network
            if traced is None:
                sub = construct_found(optimizer, found)
            elif found.construct is None and not optimizer.cuts_channels:
                sub = subnet.construct(traced, space, found.erased, thorough=True)
            else:
                raise InvalidSettingError(
                    f"what {type(optimizer).__name__} finds is cut from the network that it trained; leave"
                    " `network` out"
                )
        result |= save_subnet(sub, writer.folder / SUBNET)
        if self._batches is not None:
            small = self._measure(sub.module, self._batches, self._loss)
            self._record_evaluation("subnet", small, 0)
        result |= self._numbers("subnet")
        ratio = result["params_after"] / max(1, result["params_before"])
        self.tell("constructed", f"sub-network constructed: {ratio:.1%} of the parameters")
        return sub, result

    def _numbers(self, name: str) -> dict[str, float]:
        """Return the evaluation of a network for the report, if it was made after the last step."""
        steps, found = self._found.get(name, (-1, None))
        if found is None or steps != self.optimizer.num_steps:
            return {}
        return {key: value for key, value in numbers(name, found).items() if value == value and value != {}}

    def _read_request(self) -> int:
        """Return what a person asked for, as a number that processes can share."""
        writer = self._open
        if writer is None or not any(map(os.path.exists, self._requests)):
            return 0
        if (target := read_target(writer.folder)) is not None:
            self._target = target
            return _TARGET + int(target["target_sparsity"])
        request = writer.request
        return 0 if request is None else {"cancel": _CANCEL, "pause": _PAUSE, "resume": _RESUME}[request]

    def _agree(self, number: int) -> int:
        """Return the number of the first process, in all of them."""
        if not _is_distributed() or distributed.get_world_size() == 1:
            return number
        shared = torch.tensor([number], dtype=torch.int64, device=self._device)
        distributed.broadcast(shared, src=0)
        return int(shared.item())

    def _pause(self) -> None:
        writer = self._open
        if not self._is_paused and writer is not None:
            with self._recording():
                self._write_row(keep=True)
                self.tell("pause", f"paused after {self._last_step + 1} steps")
                writer.flush()
                writer.mark_paused(self._last_step + 1)
        self._is_paused = True

    def _go_on(self) -> None:
        self._is_paused = False
        if (writer := self._open) is not None:
            writer.mark_paused(None)
            self.tell("resume", f"went on after {self._last_step + 1} steps")
            self._gauge.restart()

    def _retarget(self, target_sparsity: int) -> None:
        before = self.target_sparsity
        try:
            self.optimizer.retarget(target_sparsity)
            self.tell("target", f"K was {before} and is {target_sparsity}, as asked for")
        except NasvizError as error:
            self.tell("warning", f"K stays {before}: {error}")
        if (writer := self._open) is not None:
            with self._recording():
                forget_request(writer.folder, only=self._target)
                writer.fact("target_sparsity", self.target_sparsity)
                writer.flush()


class _NoValidationError(TrainingError):
    """A method prunes by accuracy, and there is nothing to measure it on."""


def _require_zero(optimizer: SearchOptimizer) -> None:
    """Check that what an optimizer has set to zero is still zero.

    Raises:
        ConstructionError: The weights were replaced.
    """
    held: Any = getattr(optimizer, "held", None)
    if held is None:
        return
    parts = [*held.tensors, *(r.tensor.index_select(r.dim, r.index.to(r.tensor.device)) for r in held.rows)]
    # Statistics of normalization are no parameters: a forward pass after the last step changes them.
    learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    owners = [*held.tensors, *(rows.tensor for rows in held.rows)]
    if any(bool(part.any()) for part, owner in zip(parts, owners, strict=True) if id(owner) in learned):
        raise ConstructionError(
            "weights that became zero are not zero any more: they were replaced after the last step, as by a"
            " checkpoint of better accuracy. Construct from the trained weights, or give a network with other"
            " weights as finish(network=...)"
        )


@dataclass
class _Counted:
    """Batches, and how many examples they held."""

    batches: Iterable[Any]
    num_examples: int = 0

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            self.num_examples += num_examples(parts_of(batch)[0])
            yield batch


@contextmanager
def _on_cpu(network: nn.Module) -> Iterator[None]:
    """Move a network to the CPU, and back with its mode."""
    device, modes = next(network.parameters()).device, modes_of(network)
    network.to("cpu")
    try:
        yield
    finally:
        network.to(device)
        restore_modes(modes)


def _wrapped(net: Any) -> Any:
    """Return what DistributedDataParallel, DataParallel or torch.compile has wrapped."""
    return getattr(net, "module", getattr(net, "_orig_mod", None))


def keywords_of(metrics: Sequence[str | Callable[..., Any]] | Sequence[Meter]) -> list[str]:
    """Return the keywords under which a loop gives the values of metrics."""
    found = (meter.metric for meter in _meters_of(metrics))
    return [metric.name.rpartition(":")[2] for metric in found]


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _schedule(optimizer: SearchOptimizer, total_steps: int | None, steps_per_epoch: int | None) -> Schedule:
    """Return the phases of a loop; of unknown length, it ends with the projection."""
    values = _values_of(optimizer)
    warmup, projection = (int(values.get(f"{name}_steps") or 0) for name in ("warmup", "projection"))
    total = max(total_steps or 0, warmup + projection + 1)
    return Schedule(steps_per_epoch or total, total, warmup, projection)


def _values_of(optimizer: Any) -> Mapping[str, Any]:
    """Return what an optimizer tells of its settings, by the names of its method."""
    group = optimizer.param_groups[0]
    base: Any = optimizer.base
    names = [name for name, kind in INNER_OPTIMIZERS.items() if type(base) is kind]
    known: dict[str, Any] = {name: group[name] for name in ("momentum", "weight_decay") if name in group}
    known |= {"lr": float(group.get("initial_lr", group["lr"])), **({"base": names[0]} if names else {})}
    inner = getattr(optimizer, "inner", None)
    for owner in (inner, optimizer):
        for name in METHODS[optimizer.method].fields() if isinstance(owner, SearchOptimizer) else ():
            value = getattr(owner, name, None)
            if isinstance(value, int | float | str):
                known[name] = value
    return known | dict(optimizer.asked)


def _method_of(optimizer: SearchOptimizer) -> MethodSettings:
    """Return the settings of the optimizer's method, with those that are known of it and valid.

    Raises:
        InvalidSettingError: It belongs to no method.
    """
    kind = METHODS[optimizer.method]
    known: dict[str, Any] = {"name": optimizer.method}
    values = _values_of(optimizer)
    for name in kind.fields():
        if name not in values:
            continue
        try:
            kind(**known, **{name: values[name]})
        except NasvizError:  # a base of torch that the settings do not know, with values of its own
            continue
        known[name] = values[name]
    return kind(**known)
