"""Settings of a run: what every run has, and the settings of its search method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, SerializeAsAny, model_validator

from nasviz.catalog import CALLABLE, DATASETS, NetworkSource
from nasviz.errors import InvalidSettingError, NasvizError
from nasviz.settings.base import Settings, nearest, refuse
from nasviz.settings.fields import AUTO, Names, choice, number, setting
from nasviz.settings.method import METHODS, MethodSettings, find_method, method_settings, methods_with
from nasviz.settings.methods import H2SPGSettings
from nasviz.settings.migration import migrated
from nasviz.settings.schedule import Schedule, plan_steps, steps_between_scores

__all__ = ["CROSS_ENTROPY", "METHOD", "SEARCH_SPACE", "RunSettings"]

CROSS_ENTROPY = "cross_entropy"
"""Loss of a run that names no function of its own; earlier versions recorded it as null."""
METHOD = ("method", "optimizer")
"""Names under which flat settings name the search method."""
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
    """Everything that decides what a run computes. Steps count optimizer steps, not epochs.

    Raises:
        InvalidSettingError: A value is out of its range; the message says what was asked and what can be.

    Examples:
        >>> settings = RunSettings(network="demonet", method=H2SPGSettings(target_sparsity=3))
        >>> RunSettings.from_json(settings.to_json()) == settings
        True
        >>> settings == RunSettings.of(network="demonet", method="h2spg", target_sparsity=3)
        True
    """

    network: Network
    method: Method = H2SPGSettings()
    """The search method, with its settings."""
    protect: Names = setting(
        (),
        "Protect",
        "Structure, vertex or module that must stay, by name; a structure also by its id, as id:N.",
        group=SEARCH_SPACE,
        metavar="NAME",
        is_axis=False,
    )
    collapse: Names = setting(
        (),
        "Collapse",
        "Modules that count as one vertex each: a class, or a pattern of paths, such as cells.*.op*.",
        group=SEARCH_SPACE,
        metavar="NAME",
        is_axis=False,
    )
    frozen: Literal["protected", "removable"] = choice(
        "protected",
        "Frozen parameters",
        "Whether structures with a parameter that does not require gradients must stay, or may be removed.",
        group=SEARCH_SPACE,
        is_axis=False,
    )
    trust: Names = ()
    """Folders that the Python of `data` and `loss` may be imported from; the network has its own."""
    trained_epochs: int = 0
    """How many of `epochs` were trained by the run that this one continues; see `nasviz.runs.continuing`."""

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
        "Folder of the data",
        "Folder of the data, for data that need one.",
        group=DATA,
        metavar="DIR",
        expected="a path",
        pattern=r"^[^\x00]+$",
    )
    loss: Annotated[str, BeforeValidator(lambda value: CROSS_ENTROPY if value is None else value)] = setting(
        CROSS_ENTROPY,
        "Loss",
        f"{CROSS_ENTROPY}, or your own PACKAGE.MODULE:CALLABLE, a function of output and labels.",
        group=DATA,
        metavar="NAME",
        expected=f"{CROSS_ENTROPY}, or a callable, written package.module:callable",
    )
    lr_schedule: Literal["cosine", "constant"] = choice(
        "cosine",
        "Learning-rate schedule",
        "Learning-rate schedule: down to 0 along half a cosine, or constant.",
        group=RECIPE,
        source="ASGNAS, A.2",
    )
    lr_periods: int = number(
        1,
        1,
        1000,
        "Cosine restarts",
        "How many times the cosine runs from the top to 0; ASGNAS takes 2 for DARTS.",
        group=RECIPE,
        needs={"lr_schedule": ("cosine",)},
        source="ASGNAS, A.2",
    )
    augmentation: Literal["none", "shift", "shift_flip", "cutout", "resized_crop"] = choice(
        "none",
        "Augmentation",
        "How training images vary: shifted by up to an eighth; mirrored too; with half of the width cut out"
        " too, as in DARTS; or a random part resized, and mirrored, as on ImageNet.",
        group=RECIPE,
    )
    mixup: float = number(
        0.0,
        0,
        100,
        "MixUp",
        "MixUp of pairs of images, at shares from Beta(a, a); ZenNAS takes a = 0.2, and 0 is off.",
        group=RECIPE,
        source="ASGNAS, A.2",
    )
    label_smoothing: float = setting(
        0.0,
        "Label smoothing",
        "Share of every label that is spread over all classes; 0.1 is common, 0 is off.",
        group=RECIPE,
        source="ZenNAS",
        ge=0,
        lt=1,
    )
    allow_changed_training: bool = setting(
        default=False,
        label="Allow changed training",
        text="Train a network although tracing lost something that it does in training mode.",
        group=RUN,
    )
    from_scratch: bool = setting(
        default=False,
        label="From scratch",
        text="Draw all weights again, whatever the network has learnt: train an architecture.",
        group=RECIPE,
    )
    epochs: int = number(
        2, 1, 10**6, "Epochs", "Passes over the training images.", group=RECIPE, unit="epochs"
    )
    batch_size: int = number(64, 1, 10**6, "Batch size", "Images per step.", group=RECIPE, unit="images")
    seed: int = number(
        0, 0, 2**32 - 1, "Seed", "Seed of the weights and of the order of the images.", group=RUN
    )
    device: str = setting(
        "auto",
        "Device",
        "Where the run trains: cpu, cuda, cuda:N or mps; auto: the first CUDA device, else the CPU.",
        group=RUN,
        expected="'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'",
        pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,3})?)$",
    )
    deterministic: bool = setting(
        default=False,
        label="Same bits on CUDA",
        text="On CUDA: the same bits each time, also after a resume; often slower, and not for every"
        " operator.",
        group=RUN,
    )
    """The CPU needs no such choice: runs there are the same to the bit anyway."""
    checkpoint_steps: int = number(
        50,
        1,
        _COUNT,
        "Checkpoint every",
        "Steps from one checkpoint to the next.",
        group=RUN,
        unit="steps",
    )
    eval_every_epochs: int = number(
        1,
        1,
        _COUNT,
        "Evaluate every",
        "Epochs from one evaluation to the next.",
        group=RUN,
        unit="epochs",
    )
    num_workers: int = number(
        0, 0, 256, "Loader processes", "Processes that load images; 0 loads in the worker itself.", group=RUN
    )
    processes: int = number(
        1,
        1,
        4096,
        "Processes",
        "Processes that train together, each on its share of every batch: one per GPU, or on processor"
        " cores.",
        group=RUN,
        aliases=("nproc",),
    )

    @classmethod
    def of(cls, network: Any, **values: Any) -> Self:
        """Return settings from flat names: those of the method stand beside those of the run.

        Command line, sweeps and forms name settings this way. `method`, or `optimizer`, names the method.

        Raises:
            NasvizError: A name is unknown, the method lacks a setting, or a value is out of its range.

        Examples:
            >>> RunSettings.of(network="demonet", method="gsparsity", momentum=0.3)
            Traceback (most recent call last):
            ...
            nasviz.errors.InvalidSettingError: GSparsity has no setting 'momentum' (available for: h2spg, ...
        """
        given = [name for name in METHOD if name in values]
        if len(given) > 1:
            raise InvalidSettingError("method and optimizer are two names of one setting; give one of them")
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
        """Return these settings with other values, by flat names.

        Another method takes over the settings that both have and that are not at their defaults.

        Raises:
            NasvizError: As for `of`; also where the new method lacks a setting that was chosen here.
        """
        values = dict(values)
        method = next((values.pop(name) for name in METHOD if name in values), self.method)
        if isinstance(method, str):
            method = find_method(method)
            same = method is type(self.method)
            kept = self.method.values if same else self.method.chosen()
            method, values = method.model_fields["name"].default, kept | values
        common = {name: getattr(self, name) for name in type(self).model_fields if name != "method"}
        return type(self).of(**(common | {"method": method} | values))

    @classmethod
    def unknown(cls, name: str) -> NasvizError:
        """Return the error for an unknown name, with the nearest one."""
        if holders := ", ".join(methods_with(name)):
            return InvalidSettingError(
                f"{name!r} is a setting of search methods ({holders}): give it to `method`, or use"
                " RunSettings.of"
            )
        known = [*cls.names(), *cls.model_fields]
        return InvalidSettingError(
            f"no setting is called {name!r}{nearest(name, known)}; it is misspelled, or was written by a"
            " later version (then update nasviz)"
        )

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return all flat names: those of the run, then those of all methods."""
        own = [name for kind in METHODS.values() for name in kind.fields()]
        return tuple(dict.fromkeys(["method", *cls.fields(), *own]))

    def value(self, name: str, default: Any = None) -> Any:
        """Return a setting by its flat name; `default` where the method does not have it."""
        if name in METHOD:
            return self.method.name
        return getattr(self, name) if name in type(self).model_fields else getattr(self.method, name, default)

    def flat(self) -> dict[str, Any]:
        """Return everything as plain data by flat names, for tables and comparisons."""
        values = self.to_json()
        own = values.pop("method")
        return {"network": values.pop("network"), "method": own.pop("name"), **values, **own}

    @property
    def is_user_code(self) -> bool:
        """Whether network, data or loss are Python of the user."""
        return self.network.is_callable or ":" in self.loss + self.data

    @property
    def kept_edges(self) -> int:
        """How many edges each node keeps, where a softmax was searched; 0 for all."""
        entry = self.network.entry
        published = 2 if entry is None else entry.edges_per_node
        asked = self.value("edges_per_node", AUTO)
        return published if asked == AUTO else int(asked)

    def schedule(self, num_train: int) -> Schedule:
        """Return the phases of the run on `num_train` training images.

        Raises:
            InvalidSettingError: Warm-up and projection do not fit into it.
        """
        return plan_steps(
            num_train=num_train // self.method.num_batches,
            batch_size=self.batch_size,
            epochs=self.epochs,
            warmup_steps=self.value("warmup_steps", 0.0),
            projection_steps=self.value("projection_steps", self.method.projection_share),
        )

    def planned(self, schedule: Schedule) -> MethodSettings:
        """Return the settings of the method with numbers in place of shares of steps and of "auto"."""
        found = self.method.resolved()
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
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the settings that `to_json` wrote, here or in 0.1. What is missing takes its default.

        Raises:
            InvalidSettingError: A setting is unknown here, or out of its range.
        """
        return cls(**migrated(data, cls.model_fields))

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Check what follows from several settings."""
        if not (self.data in DATASETS or CALLABLE.fullmatch(self.data)):
            names = ", ".join(DATASETS)  # with those that were registered since this class was made
            raise self._refuse("data", f"one of {names}, or a callable, written package.module:callable")
        if self.loss != CROSS_ENTROPY and not CALLABLE.fullmatch(self.loss):
            raise self._refuse("loss")
        for name in ("data", "loss"):
            value = getattr(self, name)
            if ":" in value and not self.trust:
                raise InvalidSettingError(
                    f"{name}={value!r} is Python code, and no folder is trusted to run code from; name the"
                    " folder it lies in: --trust DIR on the command line, trust=(DIR,) in Python"
                )
        if self.loss != CROSS_ENTROPY and self.label_smoothing:
            raise self._refuse("label_smoothing", "0 with a loss of your own, which may smooth labels itself")
        if not 0 <= self.trained_epochs < self.epochs:
            raise refuse(
                "trained_epochs",
                self.trained_epochs,
                f"from 0 to below epochs={self.epochs}, which include them",
                0,
            )
        if self.processes > 1:
            self._check_processes()
        return self

    def _check_processes(self) -> None:
        """Several processes need a step that torch can share, and shares of equal size."""
        if not self.method.is_distributed:
            words = f"1: DistributedDataParallel cannot share the gradients that {self.method.title} takes"
            raise self._refuse("processes", words)
        if self.batch_size % self.processes:
            words = f"a multiple of processes={self.processes}, so that each takes an equal share of a batch"
            raise self._refuse("batch_size", words)
        if self.device == "mps" or ":" in self.device:
            words = f"'auto', 'cpu' or 'cuda' where processes={self.processes}: each has its own"
            raise self._refuse("device", words)

    def _refuse(self, name: str, expected: str = "") -> InvalidSettingError:
        field = self.fields()[name]
        return refuse(name, getattr(self, name), expected or field.describe(), field.default)
