"""Everything that a run trains with, made from its settings alone."""

from __future__ import annotations

import copy
import inspect
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LRScheduler,
)
from torch.utils import _pytree as pytree

from nasviz import data, models
from nasviz.catalog import ACCURACY, Metric
from nasviz.errors import InvalidSettingError
from nasviz.graph import SearchSpace, search_space
from nasviz.models.weights import describe_origin
from nasviz.optim.groups import count_of
from nasviz.optim.search_optimizer import SearchOptimizer, Training
from nasviz.settings import CROSS_ENTROPY, RunSettings, Schedule
from nasviz.trace import trace_quietly
from nasviz.train.batches import argument_names, arguments, moved
from nasviz.train.metrics import ACCURACY_ALONE, Meter, load_meters
from nasviz.train.objective import load_loss, own_loss
from nasviz.train.processes import ALONE, Processes, running_statistics
from nasviz.train.windows import first_step, require_step

if TYPE_CHECKING:
    from nasviz.data import DataSplit, Opened
    from nasviz.trace import TracedNetwork
    from nasviz.train.change_over import Change
    from nasviz.train.evaluation import Measured
    from nasviz.train.objective import Loss

__all__ = [
    "Session",
    "choose_device",
    "make_scheduler",
    "open_session",
    "require_same_training",
    "seed_everything",
]


@dataclass
class Session:
    """A run in memory. `step` counts the optimizer steps that are done; everything else follows from it."""

    settings: RunSettings
    schedule: Schedule
    device: torch.device
    network: fx.GraphModule
    """The network in training: the traced one, or since the `change` the sub-network."""
    traced: TracedNetwork
    space: SearchSpace
    split: DataSplit
    optimizer: SearchOptimizer
    scheduler: LRScheduler
    target_sparsity: int
    """K as a count."""
    loss: Loss | None = None
    """Other than cross-entropy, for which it is None."""
    meters: Sequence[Meter] = ACCURACY_ALONE
    """Metrics of an evaluation."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Sums of the code and the weights that the network was made of, and the revision of the user's code."""
    step: int = 0
    best_step: int | None = None
    """Last step before the best evaluation since everything selected is zero."""
    best: Measured | None = None
    """That evaluation."""
    change: Change | None = None
    """Set as soon as the sub-network has taken the place of the full network."""
    drop_path_epoch: int | None = None
    """Epoch whose probability of dropping an operation is in force."""
    is_evaluation_due: bool = False
    """An epoch ended and was not evaluated yet: a cancel may come in between."""
    processes: Processes = ALONE
    """Those that train the run together; each has a session of its own."""
    measured: tuple[int, Measured] | None = None
    """The last evaluation, and how often parameters had been written to by then (`writes`)."""
    model: nn.Module = field(init=False)
    """What a step runs: the network, or what averages its gradients over the processes."""
    running: list[Tensor] = field(init=False)
    """Running statistics of the network, which are means over the processes after every step."""

    def __post_init__(self) -> None:
        self.running = [] if self.processes.is_alone else running_statistics(self.network)
        self.model = self.network if self.processes.is_alone else _averaging(self)
        if self.settings.compile != "off":
            self.model = compiled(self.network, self.settings.compile)
        if not self.processes.is_alone:
            self.optimizer.share_scores(self.processes.average_)

    def replace_network(self, module: fx.GraphModule, optimizer: SearchOptimizer) -> None:
        """Train another network by another optimizer; the schedule of the learning rate begins anew."""
        self.network, self.optimizer = module, optimizer
        self.scheduler = make_scheduler(optimizer, self.settings, self.schedule)
        self.__post_init__()

    def forward(self, run: Callable[[nn.Module], Any]) -> Any:
        """Return what `run` makes of the network, in the precision of the settings; floats are in float32."""
        if self.settings.precision != "bfloat16":
            return run(self.model)
        with torch.autocast(self.device.type, torch.bfloat16):
            output = run(self.model)
        return pytree.tree_map_only(Tensor, _in_float32, output)

    @property
    def metric(self) -> Metric:
        """The metric that decides which network is better."""
        return self.meters[0].metric

    @property
    def is_scored(self) -> bool:
        """Return whether the accuracy of every step is recorded: it is what evaluations measure first."""
        return self.metric == ACCURACY

    @property
    def writes(self) -> int:
        """How often parameters of the network were written to: an equal count means equal weights."""
        return sum(tensor._version for tensor in (*self.network.parameters(), *self.network.buffers()))

    @property
    def resolved(self) -> dict[str, Any]:
        """Settings of the method with all that was worked out: steps, published values, kept edges."""
        return self.settings.planned(self.schedule).values

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.schedule.total_steps


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch that a network or its data may draw from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the one that a user's network may draw from)
    torch.manual_seed(seed)


def choose_device(name: str, processes: Processes = ALONE) -> torch.device:
    """The device of that name; "auto" is the first CUDA device where there is one, else the CPU.

    Of several processes each takes the CUDA device of its own number on its machine.

    Raises:
        InvalidSettingError: This machine has no such device.
    """
    if not processes.is_alone and name in ("auto", "cuda"):
        local, num_gpus = processes.local_rank, torch.cuda.device_count()
        if local >= num_gpus and (name == "cuda" or num_gpus):
            raise InvalidSettingError(
                f"process {local} of this machine needs a GPU of its own, and torch sees {num_gpus}: start as"
                " many processes as there are GPUs, or choose device='cpu'"
            )
        name = f"cuda:{local}" if num_gpus else "cpu"
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    num_gpus = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= num_gpus:
        raise InvalidSettingError(
            f"device={name!r} was asked for, but torch sees {num_gpus} CUDA devices; choose 'auto' or 'cpu'"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidSettingError("device='mps' was asked for, but torch finds no Metal here; choose 'auto'")
    return device


def open_session(settings: RunSettings, processes: Processes = ALONE) -> Session:
    """Build what `settings` describe, ready for the first step.

    Everything that cannot work is refused here: phases that do not fit, a K beyond K_max, a device that is
    not there. Seeds the global generators. Each of several processes builds the same, and draws numbers of
    its own in training.

    Raises:
        InvalidSettingError: The settings do not fit each other or this machine.
        InvalidSparsityError: More structures were asked for than can go.
        TraceError: The network cannot be traced.
        DataError: The data are missing or damaged.
    """
    if settings.processes != processes.count:
        raise InvalidSettingError(
            f"processes={settings.processes} was asked for, and {processes.count} are there; start the run by"
            " `nasviz train --nproc N`, or by torchrun with as many processes as its settings say"
        )
    device = choose_device(settings.device, processes)
    seed_everything(settings.seed)
    opened, loss = _open_data(settings)
    network, space, example_shape, origin = _trace_network(settings, opened)
    split = _split(settings, opened, network, example_shape, loss)
    schedule = settings.schedule(len(split.train))
    _require_batches(settings, processes, network, split)
    entry, method = settings.network.entry, settings.planned(schedule)
    training = Training(
        steps_per_epoch=schedule.steps_per_epoch,
        seed=settings.seed,
        cells=entry.cells if entry is not None else (),
    )
    network, space = method.prepare(network, space, training)
    network.to(device)
    if device.type == "cuda":
        _choose_algorithms(is_deterministic=settings.deterministic, is_tf32=settings.precision == "tf32")
        split = split.to(device) if settings.num_workers == 0 else split

    def inputs() -> tuple[Any, ...]:
        chosen = torch.arange(min(settings.batch_size, len(split.train)))
        return first_step(network, moved(split.train.batch(chosen)[0], device))

    def batches() -> list[tuple[Any, Any]]:
        chosen = torch.arange(min(2 * settings.batch_size, len(split.train)))
        found = [moved(split.train.batch(part), device) for part in chosen.chunk(2)]
        if loss is None:
            return [(x if isinstance(x, Tensor) else arguments(network, x), y) for x, y in found]
        return [(arguments(network, x), (x, y)) for x, y in found]

    def scoring_loss(output: Any, batch: tuple[Any, Any]) -> Tensor:
        assert loss is not None
        return own_loss(loss, output, batch[1], batch[0], is_scored=False)[0]

    scoring = None if loss is None else scoring_loss
    training = replace(training, inputs=inputs, batches=batches, loss=scoring)
    optimizer = method.build(network, space, training)
    # What building and tracing drew must not decide what training draws.
    seed_everything(_seed_of(settings.seed, processes.rank))
    return Session(
        settings=settings,
        schedule=schedule,
        device=device,
        network=network,
        traced=network,
        space=space,
        split=split,
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer, settings, schedule),
        target_sparsity=count_of(settings.value("target_sparsity", 0), len(space.removable)),
        processes=processes,
        loss=loss,
        meters=load_meters(settings.metrics, settings.trust),
        origin=origin,
    )


def _open_data(settings: RunSettings) -> tuple[Opened, Loss | None]:
    """Open the data, and import the user's loss; refuse what the data alone rule out."""
    opened = data.open_data(
        settings.data,
        folder=settings.data_folder,
        trust=settings.trust,
        image_shape=settings.network.input_shape,
        seed=settings.seed,
    )
    loss = load_loss(settings.loss, settings.trust)
    settings.schedule(opened.facts.num_train)
    if opened.facts.kind == "text" and settings.mixup:
        raise InvalidSettingError(f"mixup={settings.mixup}: symbols of a text cannot be mixed; leave it at 0")
    return opened, loss


def _trace_network(
    settings: RunSettings, opened: Opened
) -> tuple[TracedNetwork, SearchSpace, tuple[int, ...], Mapping[str, Any]]:
    """Build and trace the network; return it, its search space, the shape of an example, and its origin."""
    model, example_inputs = models.build(settings.network, opened.facts, seed=settings.seed)
    if settings.from_scratch:
        models.reset_(model, settings.seed)
    _require_trainable(model)
    origin = describe_origin(settings.network, model)
    network = trace_quietly(model, example_inputs)
    _require_any_batch_size(network)
    entry = settings.network.entry
    # Operations of a recurrent cell share weights and read several values: only whole they can be weighed.
    own = entry.collapse if entry is not None and opened.facts.kind == "text" else ()
    space = search_space(network, settings.protect, settings.collapse or own, frozen=settings.frozen)
    first = next(leaf for leaf in pytree.tree_leaves(example_inputs) if isinstance(leaf, Tensor))
    return network, space, tuple(first.shape[1:]), origin


def _split(
    settings: RunSettings,
    opened: Opened,
    network: TracedNetwork,
    example_shape: tuple[int, ...],
    loss: Loss | None,
) -> DataSplit:
    """Split the data; refuse labels that the network has no output for."""
    split = opened.split(example_shape)
    if opened.facts.kind == "text":
        require_step(network)
    _require_classes(settings, opened)
    if loss is None and opened.facts.kind != "text" and (outputs := _num_outputs(network)) is not None:
        split = data.require_labels(split, outputs, settings.data)
    inputs, labels = split.train.batch(torch.arange(1))
    if not isinstance(inputs, Tensor):
        arguments(network, inputs)  # raises where the names differ
        if isinstance(inputs, tuple) and len(inputs) != len(names := argument_names(network)):
            raise InvalidSettingError(
                f"{network.trace_graph.name} takes {len(names)} inputs ({', '.join(names)}), and an example"
                f" of {settings.data} is a tuple of {len(inputs)}"
            )
    is_plain = isinstance(inputs, Tensor) and isinstance(labels, Tensor) and labels.dim() == 1
    for name in ("mixup", "augmentation"):
        if getattr(settings, name) not in (0, "none") and not (
            isinstance(inputs, Tensor) and (name == "augmentation" or is_plain)
        ):
            raise InvalidSettingError(
                f"{name}={getattr(settings, name)!r} is for single images with one label each; vary the"
                " examples in your data set instead"
            )
    return split.limited(settings.train_images)


def make_scheduler(optimizer: Optimizer, settings: RunSettings, schedule: Schedule) -> LRScheduler:
    """Return the scheduler of the learning rate, stepped once after every step (ASGNAS, A.2)."""
    total_steps = schedule.total_steps - settings.first_step(schedule)
    if settings.rate_schedule == "constant":
        return LambdaLR(optimizer, lambda step: 1.0)
    if settings.rate_schedule == "step":
        interval, factor = settings.lr_decay_epochs * schedule.steps_per_epoch, settings.lr_decay
        return LambdaLR(optimizer, lambda step: factor ** (step // interval))
    if settings.lr_periods == 1:
        return CosineAnnealingLR(optimizer, T_max=total_steps)
    return CosineAnnealingWarmRestarts(optimizer, T_0=-(-total_steps // settings.lr_periods))


def require_same_training(session: Session) -> None:
    """Refuse to begin training a network that was traced without something that its training needs.

    Raises:
        InvalidSettingError: The settings do not allow it.
    """
    changes = session.traced.parity.changed_training
    if changes and session.step == 0 and not session.settings.allow_changed_training:
        raise InvalidSettingError(
            f"allow_changed_training=False, and training {session.traced.trace_graph.name} as traced is not"
            f" training it as written: {'; '.join(changes)}. Change its code so that torch.export can follow"
            " it in training mode, or allow it: --allow-changed-training on the command line,"
            " allow_changed_training=True in Python, the checkbox in the app"
        )


def _seed_of(seed: int, rank: int) -> int:
    """Processes draw unlike numbers, for dropout above all; the first one those of a run on one process."""
    return seed if rank == 0 else int.from_bytes(sha256(f"{seed}/rank {rank}".encode()).digest()[:4], "big")


def _averaging(session: Session) -> nn.Module:
    """The network, with its gradients averaged over the processes.

    Unused parameters are looked for at every step. Networks have them (heads that are switched off), but that
    is not all: without the search, torch groups gradients anew after its first step, so the first steps of a
    resumed run would be summed in another order than the same steps of one that was never stopped.
    """
    norms = {id(tensor) for tensor in session.running}
    others = [b for b in session.network.buffers() if b.is_floating_point() and id(b) not in norms]
    # Running statistics are averaged; what else changes is that of the first process. Newer torch renames it.
    known = inspect.signature(DistributedDataParallel).parameters
    sync = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {"find_unused_parameters": True, sync: bool(others)}
    devices = [session.device] if session.device.type == "cuda" else None
    return DistributedDataParallel(session.network, device_ids=devices, **options)


def _in_float32(output: Tensor) -> Tensor:
    return output.float() if output.dtype == torch.bfloat16 else output


def compiled(network: nn.Module, mode: str) -> nn.Module:
    """Return a network compiled by inductor; on a CPU without a C++ compiler, captured and run as it is.

    The network itself stays what is evaluated, saved and cut: the two share their tensors.
    """
    devices = {tensor.device.type for tensor in network.parameters()}
    if devices == {"cpu"} and not _has_compiler():
        return cast("nn.Module", torch.compile(network, backend="eager"))
    return cast("nn.Module", torch.compile(network, mode=mode))


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++"))


def _choose_algorithms(*, is_deterministic: bool, is_tf32: bool = False) -> None:
    """Choose which algorithms CUDA may take, in this process from here on."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = is_tf32
    # Cheap, and two runs with the same seed then differ by the order of atomic sums alone.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    # cuBLAS reads this when it is first used, and refuses to be deterministic without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(is_deterministic)


def _require_trainable(model: nn.Module) -> None:
    """Parameters that gradients can move, of the precision that data come in."""
    found = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    if not any(parameter.requires_grad for parameter in found):
        raise InvalidSettingError(
            f"{type(model).__name__} has {len(found)} parameters and none of them is trained; set"
            " requires_grad on those that training may move"
        )
    if all(parameter.dtype != torch.float32 for parameter in found):
        raise InvalidSettingError(
            f"{type(model).__name__} computes in {found[0].dtype}, and training does in torch.float32;"
            " convert it with `.float()`"
        )


def _require_batches(
    settings: RunSettings, processes: Processes, network: TracedNetwork, split: DataSplit
) -> None:
    """Batches that BatchNorm can take: of one example, it may have a single value for each channel."""
    num_examples = len(split.train) // settings.method.num_batches
    if min(settings.batch_size, num_examples) // processes.count != 1 or split.facts.kind == "text":
        return
    trial = copy.deepcopy(network).train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial(*arguments(network, split.train.batch(torch.arange(1))[0]))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InvalidSettingError(
            f"batch_size={settings.batch_size} leaves one example a step, and a BatchNorm of"
            f" {network.trace_graph.name} then sees a single value a channel; choose batch_size=2 or more"
        ) from error


def _num_outputs(network: TracedNetwork) -> int | None:
    """Classes that the network tells apart; None where its output is no row of scores."""
    source = network.trace_graph.outputs[0].source
    shape = network.trace_graph[source].shape if source in network.trace_graph else ()
    return shape[1] if len(shape) == 2 and shape[1] > 0 else None


def _require_classes(settings: RunSettings, opened: Opened) -> None:
    """A label beyond the last class would stop a CUDA device without a word."""
    asked, known = settings.network.num_classes, opened.facts.num_classes
    if asked is not None and known > asked and settings.loss == CROSS_ENTROPY:
        raise InvalidSettingError(
            f"the network was asked for {asked} classes, and {settings.data} has {known}; leave the number of"
            " classes out, or give at least as many"
        )


def _require_any_batch_size(network: TracedNetwork) -> None:
    (first, *_) = network.trace_graph.inputs
    if first.shape and first.shape[0] != -1:
        raise InvalidSettingError(
            f"{network.trace_graph.name} could be traced for batches of {first.shape[0]} only, and training"
            " needs any size: its code fixes the size of the batch somewhere, use x.shape[0] there"
        )
