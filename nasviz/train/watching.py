"""Recording of any training loop: `nasviz.watch`.

A watched loop makes an ordinary run folder. Its network is the stored graph, so that no code of the loop is
needed to look at it. Hooks on the optimizer record what a step decides; the loop adds what it alone knows.
"""

from __future__ import annotations

import atexit
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from nasviz import subnet
from nasviz.catalog import NetworkSource
from nasviz.errors import InvalidSettingError, NasvizError, RunStateError, TrainingError
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
from nasviz.runs.files import REQUEST, SPACE, SUBNET, write_json
from nasviz.runs.requests import read_target
from nasviz.settings import METHODS, MethodSettings
from nasviz.settings.schedule import Schedule
from nasviz.subnet import Subnetwork
from nasviz.train.change_over import construct_found, report_of_search
from nasviz.train.conclusion import NO_PATH_LEFT, VALID, numbers, save_subnet, write_spaces
from nasviz.train.evaluation import Measured, measure
from nasviz.train.gpu import GpuGauge
from nasviz.train.loop import Gauge
from nasviz.train.objective import Loss
from nasviz.train.recorder import Recorder, read_back

__all__ = ["LoopRecorder", "watch"]

LOGGED = ("loss", "accuracy", "lr", "epoch", "examples")
_UNCUT = {"outcome": "not constructed", "is_valid": False}
"""Result of a watched run that ended without a sub-network because none was asked for."""
_CANCEL, _PAUSE, _RESUME, _TARGET = 1, 2, 3, 4
_POLL_S = 0.1
_NAN = float("nan")


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

    Raises:
        InvalidSettingError: The optimizer searches nothing, or the network was not traced.
        RunNotFoundError: There is no run with this id.
        RunStateError: That run is done, or was not made by `watch`.
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
    while not hasattr(net, "trace_graph") and isinstance(inner := _wrapped(net), nn.Module):
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
    if not is_first:
        return LoopRecorder(net, space, found, None, schedule, steps_per_epoch)
    store = Store(runs)
    if run is None:
        label = re.sub(r"[^A-Za-z0-9_]+", "_", str(getattr(net.trace_graph, "name", ""))).strip("_")
        chosen: dict[str, Any] = {
            "protect": tuple(map(protection_text, space.protect)),
            "collapse": tuple(space.collapse),
            "frozen": space.frozen,
        }
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
    writer = Writer(taken, read_back=read_back, mirrors=mirrors)
    writer.__enter__()
    recorder = LoopRecorder(net, space, found, writer, schedule, steps_per_epoch)
    try:
        recorder.introduce(total_steps, is_resumed=run is not None)
    except BaseException as error:
        writer.__exit__(type(error), error, error.__traceback__)
        raise
    return recorder


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
    ) -> None:
        self.net, self.space, self.optimizer = net, space, optimizer
        self._writer = writer
        self._schedule, self._steps_per_epoch = schedule, steps_per_epoch
        self._device = next(net.parameters()).device
        self._row: dict[str, Any] | None = None
        """Row of the latest step, until the next one begins: the loop may still log its loss."""
        self._next: dict[str, Any] = {}
        """What was logged for the step to come."""
        self._num_examples = 0
        self._penalty: Tensor | float | None = None
        self._is_paused = self._is_stopped = False
        self._has_polled = self._has_diverged = False
        self._logged: set[int] = set()
        self._batches: Iterable[tuple[Tensor, Tensor]] | None = None
        self._loss: Loss | None = None
        self._found: dict[str, tuple[int, Measured]] = {}
        """Latest evaluation of each network, with the number of steps before it."""
        self._last_step = optimizer.num_steps - 1
        self._hooks: list[Any] = []
        self._recorder: Recorder | None = None
        if writer is None:
            return
        self._gauge, self._gpu = Gauge(self._device), GpuGauge(self._device)
        self._requests = writer.folder / REQUEST
        method = METHODS[optimizer.method]()
        self._recorder = Recorder(optimizer, space, writer, method.phases(schedule), optimizer.num_steps)
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
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
        """Whether `wants_stop` has told the loop to stop."""
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
        elif self._is_stopped:
            self.stop()
        elif self._hooks:
            self.finish()

    # ---- what the loop knows ----

    def log(self, **values: Any) -> None:
        """Record what the loop knows of a step, before or after `optimizer.step()`.

        A value belongs to the latest step, or to the next one if the latest has such a value already. Tensors
        stay on their device until the next flush.

        Args:
            **values: `loss`, `accuracy` in [0, 1], `lr` (by default that of the first parameter group),
                `epoch` and `examples`, the number of examples in the step.

        Raises:
            InvalidSettingError: A name is unknown, or a tensor is no single number.
        """
        if unknown := sorted(values.keys() - set(LOGGED)):
            raise InvalidSettingError(
                f"log() does not record {', '.join(unknown)}; it takes {', '.join(LOGGED)}"
            )
        for name, value in values.items():
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    raise InvalidSettingError(f"{name} has shape {tuple(value.shape)}; log a single number")
                value = value.detach()
            if name == "examples":
                self._num_examples = int(value)
            elif self._row is not None and name not in self._row["given"]:
                self._row["given"][name] = value
            else:
                self._next[name] = value

    def evaluate(
        self,
        batches: Iterable[tuple[Tensor, Tensor]] | None = None,
        *,
        loss: float | Loss | None = None,
        accuracy: float | None = None,
        num_examples: int = 0,
        network: str = "full",
    ) -> Measured:
        """Record an evaluation: measured here on `batches`, or the numbers that the loop has measured.

        Args:
            batches: Pairs of inputs and labels, such as a data loader. It evaluates the sub-network in
                `finish` as well, if it can be read again.
            loss: The measured loss; with `batches` a function of output and labels, by default
                cross-entropy.
            accuracy: The measured accuracy in [0, 1].
            num_examples: Number of examples of the measured evaluation.
            network: "full" for the network in training, "subnet" for a sub-network made of it.

        Raises:
            InvalidSettingError: Neither batches nor numbers are given, or both.
        """
        if (batches is None) == (accuracy is None and not isinstance(loss, int | float)):
            raise InvalidSettingError("evaluate() takes either batches, or a loss and an accuracy")
        if batches is None:
            known = (_NAN if v is None or callable(v) else float(v) for v in (loss, accuracy))
            found = Measured(*known)
        else:
            own = loss if callable(loss) else None
            counted = _Counted(batches)
            found = measure(self.net, counted, device=self._device, loss=own)
            num_examples = counted.num_examples
            if iter(batches) is not batches:
                self._batches, self._loss = batches, own
        self._record_evaluation(network, found, num_examples)
        return found

    # ---- what a person asks for ----

    @property
    def wants_stop(self) -> bool:
        """Whether a person asked the loop to stop; waits here while the run is paused.

        Ask once per step. The app offers Pause, Cancel and another K only to loops that ask. Another K is
        applied here, as long as the warm-up lasts. Where several processes train, all of them must ask.
        """
        if not self._has_polled:
            self._has_polled = True
            if self._writer is not None:
                self._writer.fact("obeys", True)
                self._writer.flush()
        while True:
            asked = self._agree(self._read_request())
            if asked >= _TARGET:
                self._retarget(asked - _TARGET)
                return False
            if asked == _PAUSE:
                self._pause()
                time.sleep(_POLL_S)
                continue
            if self._is_paused:
                self._go_on()
            if self._writer is not None and asked == _RESUME:
                self._writer.forget_request("resume")
            self._is_stopped = self._is_stopped or asked == _CANCEL
            return self._is_stopped

    @property
    def target_sparsity(self) -> int:
        """K: the number of structures to remove, as last asked for."""
        return int(self.optimizer.asked.get("target_sparsity", len(self.optimizer.selected)))

    # ---- the end ----

    def finish(self, *, construct: bool = True, network: nn.Module | None = None) -> Subnetwork | None:
        """End the run; construct, save and return the sub-network of what became zero.

        Args:
            construct: Whether there shall be a sub-network.
            network: Network whose weights it takes instead of those of `net`, such as its moving average. Its
                selected structures need not be zero.

        Returns:
            The sub-network on the CPU; None without one, and in all processes but the first.

        Raises:
            ConstructionError: The sub-network would not compute what the network computes.
            RunStateError: The run has ended.
        """
        writer = self._writer
        if writer is None:
            return None
        if not self._hooks:
            raise RunStateError(f"run {writer.run.id} has ended")
        try:
            self._write_row(is_last=True)
            writer.flush()
            sub, result = (
                self._conclude(network) if construct else (None, {**_UNCUT, **self._numbers("full")})
            )
            writer.event(max(0, self._last_step), "end", "the run is done")
            writer.finish("done", result=result)
        except BaseException as error:
            self.close(error)
            raise
        self.close()
        return sub

    def stop(self) -> None:
        """End the run as cancelled, without a sub-network."""
        if self._writer is not None and self._hooks:
            self._write_row(is_last=True)
            self._writer.event(
                max(0, self._last_step), "cancel", f"stopped after {self._last_step + 1} steps"
            )
            self._writer.finish("cancelled")
        self.close()

    def close(self, error: BaseException | None = None) -> None:
        """Stop recording. Without `finish` before, the run counts as crashed, or with an error as failed."""
        if not self._hooks or self._writer is None:
            return
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._recorder is not None:
            self._recorder.close()
        atexit.unregister(self.close)
        if error is None and self._row is not None:
            self._write_row(is_last=True)
        self._writer.__exit__(None if error is None else type(error), error, None)

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
        writer.flush()

    def _before_step(self, *_: object) -> None:
        self._write_row()
        self._penalty = self.optimizer.penalty()

    def _after_step(self, *_: object) -> None:
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
            "given": self._next,
        }
        self._next = {}

    def _write_row(self, *, is_last: bool = False) -> None:
        """Write the row of the latest step, with what was logged for it."""
        row, self._row = self._row, None
        writer, recorder = self._writer, self._recorder
        if row is None or writer is None or recorder is None:
            return
        given, step = row.pop("given"), row["step"]
        if (busy := self._gpu.read()) is not None:
            writer.fact("gpu", busy)
        epoch = int(given.get("epoch", step // self._steps_per_epoch if self._steps_per_epoch else 0))
        if "loss" in given:
            self._logged.add(step)
        record = StepRecord(
            epoch=epoch,
            loss=given.get("loss", _NAN),
            accuracy=given.get("accuracy", _NAN),
            **row | {name: float(given[name]) for name in ("lr",) if name in given},
        )
        read = recorder.write(record)
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

    def _record_evaluation(self, network: str, found: Measured, num_examples: int) -> None:
        writer, step = self._writer, max(0, self._last_step)
        self._found[network] = self.optimizer.num_steps, found
        if writer is None:
            return
        self._write_row()
        epoch = step // self._steps_per_epoch if self._steps_per_epoch else 0
        writer.evaluation(Evaluation(step, epoch, network, found.loss, found.accuracy, num_examples))
        self._gauge.restart()

    def accuracy(self) -> float:
        """Return the accuracy of the network as it is now: asked for by methods that prune at their end.

        Raises:
            TrainingError: `evaluate` was never called with batches that can be read again.
        """
        if self._batches is None:
            raise TrainingError(
                f"{type(self.optimizer).__name__} prunes by accuracy at its end: call rec.evaluate(loader)"
                " with validation data before"
            )
        return measure(self.net, self._batches, device=self._device, loss=self._loss).accuracy

    def tell(self, kind: str, text: str, structure: int | None = None) -> None:
        """Record an event at the latest step."""
        if self._writer is not None:
            self._writer.event(max(0, self._last_step), kind, text, structure)

    def _conclude(self, network: nn.Module | None) -> tuple[Subnetwork | None, dict[str, Any]]:
        """Construct and save the sub-network; return it with the report of the run."""
        writer, optimizer, space = self._writer, self.optimizer, self.space
        assert writer is not None, "another process records"
        optimizer.end_search(self)
        with _on_cpu(self.net), _on_cpu(network or self.net):
            found = optimizer.conclude(self.net, space)
            write_spaces(space, writer.folder, found.space)
            for event in found.events:
                self.tell(*event)
            result = report_of_search(optimizer, space, self.target_sparsity, found)
            result["outcome"] = VALID if result["is_valid"] else NO_PATH_LEFT
            result |= self._numbers("full")
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
            small = measure(sub.module, self._batches, device=torch.device("cpu"), loss=self._loss)
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
        return {key: value for key, value in numbers(name, found).items() if value == value}

    def _read_request(self) -> int:
        """Return what a person asked for, as a number that processes can share."""
        if self._writer is None or not self._requests.exists():
            return 0
        request = self._writer.request
        if request is not None:
            return {"cancel": _CANCEL, "pause": _PAUSE, "resume": _RESUME}[request]
        target = read_target(self._writer.folder)
        return 0 if target is None else _TARGET + target

    def _agree(self, number: int) -> int:
        """Return the number of the first process, in all of them."""
        if not _is_distributed() or distributed.get_world_size() == 1:
            return number
        shared = torch.tensor([number], dtype=torch.int64, device=self._device)
        distributed.broadcast(shared, src=0)
        return int(shared.item())

    def _pause(self) -> None:
        if not self._is_paused and self._writer is not None:
            self._write_row()
            self.tell("pause", f"paused after {self._last_step + 1} steps")
            self._writer.flush()
            self._writer.mark_paused(self._last_step + 1)
        self._is_paused = True

    def _go_on(self) -> None:
        self._is_paused = False
        if self._writer is not None:
            self._writer.mark_paused(None)
            self.tell("resume", f"went on after {self._last_step + 1} steps")
            self._gauge.restart()

    def _retarget(self, target_sparsity: int) -> None:
        before = self.target_sparsity
        try:
            self.optimizer.retarget(target_sparsity)
            self.tell("target", f"K was {before} and is {target_sparsity}, as asked for")
        except NasvizError as error:
            self.tell("warning", f"K stays {before}: {error}")
        if self._writer is not None:
            self._writer.forget_request("target")
            self._writer.fact("target_sparsity", self.target_sparsity)
            self._writer.flush()


@dataclass
class _Counted:
    """Batches, and how many examples they held."""

    batches: Iterable[tuple[Tensor, Tensor]]
    num_examples: int = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, labels in self.batches:
            self.num_examples += len(labels)
            yield inputs, labels


@contextmanager
def _on_cpu(network: nn.Module) -> Iterator[None]:
    """Move a network to the CPU, and back with its mode."""
    device, was_training = next(network.parameters()).device, network.training
    network.to("cpu")
    try:
        yield
    finally:
        network.to(device).train(was_training)


def _wrapped(net: Any) -> Any:
    """Return what DistributedDataParallel, DataParallel or torch.compile has wrapped."""
    return getattr(net, "module", getattr(net, "_orig_mod", None))


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
