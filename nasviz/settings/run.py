"""Settings of a run: those that every run has, and those of its search method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, SerializeAsAny, model_validator

from nasviz.catalog import ACCURACY, CALLABLE, DATASETS, METRICS, Metric, NetworkSource, find_metric
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.settings.base import Settings, nearest, refuse
from nasviz.settings.fields import AUTO, Names, choice, number, setting
from nasviz.settings.method import METHODS, MethodSettings, find_method, method_settings, methods_with
from nasviz.settings.methods import H2SPGSettings
from nasviz.settings.migration import migrated
from nasviz.settings.schedule import Schedule, plan_steps, steps_between_scores

__all__ = ["CROSS_ENTROPY", "LOSSES", "METHOD", "NETWORK_LOSS", "SEARCH_SPACE", "RunSettings", "laid_over"]

CROSS_ENTROPY = "cross_entropy"
"""Loss of a run that names no function of its own; earlier versions recorded it as null."""
NETWORK_LOSS = "network"
"""Loss that the network returns itself, as networks of transformers do that are given labels."""
LOSSES = {CROSS_ENTROPY: "accuracy", NETWORK_LOSS: "accuracy", "mse": "mse", "mae": "mae"}
"""Losses by name, with the metric of each where none is asked for."""
METHOD = ("method", "optimizer")
"""Names of the search method in flat settings."""
SEARCH_SPACE, DATA, RECIPE, RUN = "Search space", "Data", "Recipe", "Run"
"""Groups of the common settings."""
_COUNT = 10**9


def _network(value: object) -> NetworkSource:
    if isinstance(value, NetworkSource):
        return value
    if isinstance(value, str):
        return NetworkSource(value)
    if isinstance(value, Mapping):
        return NetworkSource.from_json(value)
    raise refuse("network", value, "a NetworkSource, or the name of a network", "NetworkSource('demonet')")


Network = Annotated[
    NetworkSource, PlainValidator(_network), PlainSerializer(lambda network: network.to_json())
]
Method = Annotated[SerializeAsAny[MethodSettings], PlainValidator(method_settings)]


class RunSettings(Settings):
    """Everything that determines the result of a run. Steps are optimizer steps, not epochs.

    Raises:
        InvalidSettingError: A value is out of range; the message states the accepted values.

    Examples:
        >>> settings = RunSettings(network="demonet", method=H2SPGSettings(target_sparsity=3))
        >>> RunSettings.from_json(settings.to_json()) == settings
        True
        >>> settings == RunSettings.of(network="demonet", method="h2spg", target_sparsity=3)
        True
    """

    network: Network
    method: Method = H2SPGSettings()
    """Search method with its settings."""
    protect: Names = setting(
        (),
        "Protect",
        "Structure, vertex or module that must not be removed, by name; a structure also by its id, as id:N.",
        group=SEARCH_SPACE,
        metavar="NAME",
        is_axis=False,
    )
    collapse: Names = setting(
        (),
        "Collapse",
        "Modules to treat as one vertex each: a class, or a path pattern such as cells.*.op*.",
        group=SEARCH_SPACE,
        metavar="NAME",
        is_axis=False,
    )
    frozen: Literal["protected", "removable"] = choice(
        "protected",
        "Frozen parameters",
        "Whether structures with a parameter that does not require gradients are protected or removable.",
        group=SEARCH_SPACE,
        is_axis=False,
    )
    trust: Names = ()
    """Folders from which the code of `data`, `loss` and `metric` may be imported; the network has its own."""
    trained_epochs: int = 0
    """Number of `epochs` trained by the run that this one continues; see `nasviz.runs.continuing`."""
    trained_steps: int = 0
    """Number of `steps` trained by it, where the length is given in steps."""

    data: str = setting(
        "digits",
        "Data",
        f"Data set: {', '.join(DATASETS)}, or your own PACKAGE.MODULE:CALLABLE.",
        group=DATA,
        metavar="NAME",
        expected=f"one of {', '.join(DATASETS)}, or a callable, written package.module:callable",
    )
    data_folder: str | None = setting(
        None,
        "Data folder",
        "Folder of the data set, if it needs one.",
        group=DATA,
        metavar="DIR",
        expected="a path",
        pattern=r"^[^\x00]+$",
    )
    train_images: int = number(
        0,
        0,
        _COUNT,
        "Training images",
        "Number of training images to use, the same random ones in every run of the data set, by class where"
        " they are in memory; 0: all.",
        group=DATA,
        unit="images",
    )
    loss: Annotated[str, BeforeValidator(lambda value: CROSS_ENTROPY if value is None else value)] = setting(
        CROSS_ENTROPY,
        "Loss",
        f"{', '.join(LOSSES)} (the loss that the network returns), or your own PACKAGE.MODULE:CALLABLE, a"
        " function of output and labels, or of output and batch.",
        group=DATA,
        metavar="NAME",
        expected=f"one of {', '.join(LOSSES)}, or a callable, written package.module:callable",
    )
    metric: Names = setting(
        (AUTO,),
        "Metrics",
        f"Metrics of an evaluation: {', '.join(METRICS)}, or your own PACKAGE.MODULE:CALLABLE[:min]. The"
        " first one decides which network is better; auto: accuracy, or the loss of a regression.",
        group=DATA,
        metavar="NAME",
        is_axis=False,
    )
    lr_schedule: Literal["auto", "cosine", "constant", "step"] = choice(
        AUTO,
        "Learning-rate schedule",
        "Learning-rate schedule: cosine annealing to 0; constant; step: times a factor every few epochs;"
        " auto: constant for GSparsity, whose rate is the speed at which dead groups vanish, else cosine.",
        group=RECIPE,
        source="ASGNAS, A.2",
    )
    lr_decay: float = setting(
        0.1,
        "Decay factor",
        "Factor on the learning rate after every decay interval.",
        group=RECIPE,
        needs={"lr_schedule": ("step",)},
        source="GSparsity, appendix B",
        gt=0,
        lt=1,
    )
    lr_decay_epochs: int = number(
        30,
        1,
        10**6,
        "Decay interval",
        "Epochs between two decays of the learning rate.",
        group=RECIPE,
        unit="epochs",
        needs={"lr_schedule": ("step",)},
        source="GSparsity, appendix B",
    )
    lr_periods: int = number(
        1,
        1,
        1000,
        "Cosine restarts",
        "Number of cosine cycles, each from `lr` to 0; ASGNAS uses 2 for DARTS.",
        group=RECIPE,
        needs={"lr_schedule": (AUTO, "cosine")},
        source="ASGNAS, A.2",
    )
    augmentation: Literal["none", "shift", "shift_flip", "cutout", "resized_crop"] = choice(
        "none",
        "Augmentation",
        "Augmentation of training images: shift by up to an eighth; shift and flip; these and cutout of half"
        " the width, as in DARTS; or random resized crop and flip, as on ImageNet.",
        group=RECIPE,
    )
    mixup: float = number(
        0.0,
        0,
        100,
        "MixUp",
        "Parameter a of MixUp, whose mixing ratio is drawn from Beta(a, a); 0 is off, ZenNAS uses 0.2.",
        group=RECIPE,
        source="ASGNAS, A.2",
    )
    label_smoothing: float = setting(
        0.0,
        "Label smoothing",
        "Label smoothing factor; 0 is off, 0.1 is common.",
        group=RECIPE,
        source="ZenNAS",
        ge=0,
        lt=1,
    )
    change_over: Literal["auto", "off"] = choice(
        "auto",
        "Change-over",
        "auto: construct the sub-network as soon as the search has ended, and train it in the rest of the run"
        " by the same optimizer, its state sliced; off: train the full network with its zeros to the end.",
        group=RECIPE,
        source="ASGNAS, A.2",
    )
    result: Literal["final", "best"] = choice(
        "final",
        "Result",
        "Weights of the sub-network: those after the last step, or those of the best evaluation after the"
        " search.",
        group=RECIPE,
        source="ASGNAS, Algorithm 3, line 16",
    )
    allow_changed_training: bool = setting(
        default=False,
        label="Allow changed training",
        text="Train a network even if tracing has lost part of its behaviour in training mode.",
        group=RUN,
    )
    from_scratch: bool = setting(
        default=False,
        label="From scratch",
        text="Reinitialize all weights, to train the architecture from scratch.",
        group=RECIPE,
    )
    steps: int = number(
        0,
        0,
        _COUNT,
        "Steps",
        "Length of the run in optimizer steps, in place of epochs; 0: as many as the epochs have.",
        group=RECIPE,
        unit="steps",
    )
    epochs: int = number(
        2,
        1,
        10**6,
        "Epochs",
        "Passes over the training images.",
        group=RECIPE,
        unit="epochs",
        needs={"steps": (0,)},
    )
    batch_size: int = number(64, 1, 10**6, "Batch size", "Images per step.", group=RECIPE, unit="images")
    seed: int = number(
        0, 0, 2**32 - 1, "Seed", "Random seed of the weights and of the order of the images.", group=RUN
    )
    device: str = setting(
        "auto",
        "Device",
        "Device: cpu, cuda, cuda:N or mps; auto: the first CUDA device, else the CPU.",
        group=RUN,
        expected="'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'",
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$",
    )
    deterministic: bool = setting(
        default=False,
        label="Deterministic on CUDA",
        text="On CUDA: bit-identical results, also after a resume; often slower, and not available for every"
        " operator.",
        group=RUN,
    )
    """Has no effect on the CPU, where runs are always bit-identical."""
    precision: Literal["float32", "tf32", "bfloat16"] = choice(
        "float32",
        "Precision",
        "Precision of forward and backward passes in training: float32; tf32: products of 10 bits on CUDA;"
        " bfloat16: autocast. Weights, gradients, selection and evaluation stay in float32.",
        group=RUN,
    )
    compile: Literal["off", "default", "reduce-overhead"] = choice(
        "off",
        "Compile",
        "Compile the network with torch.compile in this mode, for training only. Needs a C++ compiler on the"
        " CPU; steps differ from those of a run without it by rounding.",
        group=RUN,
    )
    checkpoint_steps: int = number(
        50,
        1,
        _COUNT,
        "Checkpoint every",
        "Number of steps between checkpoints.",
        group=RUN,
        unit="steps",
    )
    eval_every_epochs: int = number(
        1,
        1,
        _COUNT,
        "Evaluate every",
        "Number of epochs between evaluations.",
        group=RUN,
        unit="epochs",
    )
    num_workers: int = number(
        0,
        0,
        256,
        "Data-loader workers",
        "Number of processes that load images; 0: the main process.",
        group=RUN,
    )
    processes: int = number(
        1,
        1,
        4096,
        "Processes",
        "Number of data-parallel training processes, each with an equal part of every batch: one per GPU, or"
        " on the CPU.",
        group=RUN,
        aliases=("nproc",),
    )

    @classmethod
    def of(cls, network: Any, **values: Any) -> Self:
        """Return settings from flat names, which mix those of the run and of the method.

        Command line, sweeps and forms use this form. `method` or `optimizer` is the name of the method.

        Raises:
            NasvizError: A name is unknown, the method lacks a setting, or a value is out of range.

        Examples:
            >>> RunSettings.of(network="demonet", method="gsparsity", momentum=0.3)
            Traceback (most recent call last):
            ...
            nasviz.errors.InvalidSettingError: GSparsity has no setting 'momentum' (available for: h2spg, ...
        """
        given = [name for name in METHOD if name in values]
        if len(given) > 1:
            raise InvalidSettingError("method and optimizer are two names of one setting; give only one")
        method = values.pop(given[0]) if given else cls.model_fields["method"].default
        kind = find_method(method) if isinstance(method, str) else type(method_settings(method))
        start = {} if isinstance(method, str) else method_settings(method).values
        own = {name: value for name, value in values.items() if name not in cls.model_fields}
        for name in own:
            if not kind.has(name):
                raise kind.unknown(name) if methods_with(name) else cls.unknown(name)
        common = {name: value for name, value in values.items() if name not in own}
        return cls(network=network, method=kind(**(start | own)), **common)

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values, by flat names.

        If the method changes, the settings that differ from their defaults are carried over.

        Raises:
            NasvizError: As for `of`, or the new method lacks a setting that is carried over.
        """
        values = dict(values)
        method = next((values.pop(name) for name in METHOD if name in values), self.method)
        if isinstance(method, str):
            method = find_method(method)
            same = method is type(self.method)
            kept = self.method.values if same else self.method.chosen()
            method, values = method.model_fields["name"].default, kept | values
        common = {name: getattr(self, name) for name in type(self).model_fields if name != "method"}
        common = laid_over(common, values)
        return type(self).of(**(common | {"method": method} | values))

    @classmethod
    def unknown(cls, name: str) -> NasvizError:
        """Return the error for an unknown name, with suggestions."""
        if holders := ", ".join(methods_with(name)):
            return InvalidSettingError(
                f"{name!r} is a setting of search methods ({holders}): pass it to the settings of the method,"
                " or use RunSettings.of"
            )
        known = [*cls.names(), *cls.model_fields]
        return InvalidSettingError(
            f"there is no setting {name!r}{nearest(name, known)}; it is misspelled, or was written by a later"
            " version (then update nasviz)"
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return all flat names, first those of the run, then those of all methods."""
        own = [name for kind in METHODS.values() for name in kind.fields()]
        return tuple(dict.fromkeys(["method", *cls.fields(), *own]))

    def value(self, name: str, default: Any = None) -> Any:
        """Return a setting by its flat name, or `default` if the method does not have it."""
        if name in METHOD:
            return self.method.name
        return getattr(self, name) if name in type(self).model_fields else getattr(self.method, name, default)

    def flat(self) -> dict[str, Any]:
        """Return all settings as plain data by flat names, for tables and comparisons."""
        values = self.to_json()
        own = values.pop("method")
        return {"network": values.pop("network"), "method": own.pop("name"), **values, **own}

    @property
    def rate_schedule(self) -> str:
        """Learning-rate schedule of the run: "auto" is that of the method."""
        return self.method.lr_schedule if self.lr_schedule == AUTO else self.lr_schedule

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Metrics of an evaluation; the first one decides which network is better."""
        names = (LOSSES.get(self.loss, ACCURACY.name),) if self.metric == (AUTO,) else self.metric
        return tuple(map(find_metric, names))

    @property
    def own_code(self) -> dict[str, str]:
        """Callables of the user that data, loss and metrics name, by their use."""
        named = {"data": self.data, "loss": self.loss}
        named |= {f"metric {i + 1}": metric.name for i, metric in enumerate(self.metrics)}
        return {use: name for use, name in named.items() if ":" in name}

    @property
    def is_watched(self) -> bool:
        """Return whether the run records a training loop of the user."""
        return self.network.graph is not None

    @property
    def is_user_code(self) -> bool:
        """Whether network, data, loss or a metric are Python of the user."""
        return self.network.is_callable or bool(self.own_code)

    @property
    def kept_edges(self) -> int:
        """Number of edges that each node keeps after a search with a softmax; 0 for all."""
        entry = self.network.entry
        published = 2 if entry is None else entry.edges_per_node
        asked = self.value("edges_per_node", AUTO)
        return published if asked == AUTO else int(asked)

    def schedule(self, num_train: int) -> Schedule:
        """Return the phases of the run on data with `num_train` training images.

        Raises:
            InvalidSettingError: Warm-up and projection take more steps than the run has, or there are fewer
                images than `train_images`.
        """
        if self.train_images > num_train:
            raise self._refuse("train_images", f"at most {num_train}, the training images of {self.data}")
        return plan_steps(
            num_train=(self.train_images or num_train) // self.method.num_batches,
            batch_size=self.batch_size,
            epochs=self.epochs,
            warmup_steps=self.value("warmup_steps", 0.0),
            projection_steps=self.value("projection_steps", self.method.projection_share),
            steps=self.steps,
        )

    def first_step(self, schedule: Schedule) -> int:
        """Return the number of steps that were trained by the run that this one continues."""
        return self.trained_steps or self.trained_epochs * schedule.steps_per_epoch

    @property
    def length(self) -> str:
        """Length of the run in words.

        Examples:
            >>> RunSettings(network="demonet").length, RunSettings(network="demonet", steps=500).length
            ('2 epochs', '500 steps')
        """
        count, unit = (self.steps, "step") if self.steps else (self.epochs, "epoch")
        return f"{count:,} {unit}{'s' * (count > 1)}"

    def planned(self, schedule: Schedule) -> MethodSettings:
        """Return the settings of the method with numbers in place of shares of steps and of "auto"."""
        found = self.method.resolved(schedule)
        for name in ("warmup_steps", "projection_steps"):
            if name in found:
                found[name] = getattr(schedule, name)
        if found.get("score_every") == AUTO:
            found["score_every"] = steps_between_scores(None, schedule.warmup_steps)
        if "edges_per_node" in found:
            found["edges_per_node"] = self.kept_edges
        return self.method.model_copy(update=found)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, ready for `json.dumps`."""
        if not self.is_watched:
            return self.model_dump(mode="json")
        values = self.model_dump(mode="json", exclude_unset=True)
        return values | {"method": {"name": self.method.name, **values["method"]}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the settings that `to_json` wrote, in this version or 0.1; missing ones take their defaults.

        Raises:
            InvalidSettingError: A setting is unknown or out of range.
        """
        return cls(**migrated(data, cls.model_fields))

    def _check_conflicts(self) -> None:
        if self.steps and self.epochs != type(self).model_fields["epochs"].default:
            given = f"steps={self.steps} and epochs={self.epochs}"
            raise InvalidSettingError(f"{given} are both a length: give steps or epochs, not both")

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Check combinations of settings."""
        if not (self.data in DATASETS or CALLABLE.fullmatch(self.data)):
            names = ", ".join(DATASETS)  # with those that were registered since this class was made
            raise self._refuse("data", f"one of {names}, or a callable, written package.module:callable")
        if self.loss not in LOSSES and not CALLABLE.fullmatch(self.loss):
            raise self._refuse("loss")
        if not self.metric or len(set(self.metric)) < len(self.metric):
            raise self._refuse("metric", "one or more names, each once")
        for use, name in self.own_code.items():
            if not self.trust and not self.is_watched:  # which imports nothing
                raise InvalidSettingError(
                    f"{use}={name!r} is user code, but no folder is trusted; name its folder:"
                    " --trust DIR on the command line, trust=(DIR,) in Python"
                )
        if self.lr_periods != 1 and self.rate_schedule != "cosine":
            expected = "1, unless lr_schedule is 'cosine', or 'auto' for a method whose schedule is that"
            raise self._refuse("lr_periods", expected)
        if self.loss != CROSS_ENTROPY and self.label_smoothing:
            raise self._refuse(
                "label_smoothing", "0 with a loss other than cross_entropy, which may smooth labels itself"
            )
        if not 0 <= self.trained_epochs < self.epochs:
            raise refuse(
                "trained_epochs",
                self.trained_epochs,
                f"at least 0 and less than epochs={self.epochs}, which includes them",
                0,
            )
        if not 0 <= self.trained_steps < max(1, self.steps):
            raise self._refuse("trained_steps", f"at least 0 and less than steps={self.steps}")
        if self.processes > 1:
            self._check_processes()
        if self.compile != "off" and (self.method.num_batches > 1 or self.processes > 1):
            kind = (
                "several processes"
                if self.processes > 1
                else f"{self.method.title}, which changes weights in a step"
            )
            raise self._refuse("compile", f"'off' with {kind}")
        return self

    def _check_processes(self) -> None:
        """Check that DistributedDataParallel supports the method, and that batches can be split evenly."""
        if not self.method.is_distributed:
            raise self._refuse(
                "processes", f"1: {self.method.title} does not support DistributedDataParallel"
            )
        if self.batch_size % self.processes:
            raise self._refuse("batch_size", f"a multiple of processes={self.processes}")
        if self.device == "mps" or ":" in self.device:
            expected = f"'auto', 'cpu' or 'cuda' with processes={self.processes}: each has its own device"
            raise self._refuse("device", expected)

    def _refuse(self, name: str, expected: str = "") -> InvalidSettingError:
        default = type(self).model_fields[name].default
        return refuse(name, getattr(self, name), expected or self.fields()[name].describe(), default)


def laid_over(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat settings with others laid over them: a length in steps replaces one in epochs, or reversed.

    Examples:
        >>> laid_over({"lr": 0.1, "epochs": 8}, {"steps": 500}), laid_over({"steps": 500}, {"epochs": 8})
        ({'lr': 0.1, 'steps': 500}, {'epochs': 8})
    """
    replaced = {"epochs", "trained_epochs"} if over.get("steps") else set()
    if "epochs" in over and not over.get("steps"):
        replaced = {"steps", "trained_steps"}
    return {name: value for name, value in values.items() if name not in replaced} | dict(over)
