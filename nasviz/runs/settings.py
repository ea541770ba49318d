"""What a run is asked to do: one frozen record, checked when it is made, plain JSON on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from nasviz.catalog import (
    CALLABLE,
    DATASETS,
    OPTIMIZERS,
    PROXIMAL,
    RECIPE,
    RELAXED,
    SALIENCIES,
    WIDTH,
    Entry,
    NetworkSource,
)
from nasviz.errors import InvalidSettingError
from nasviz.runs.schedule import PROJECTION_SHARE, SEARCH_SHARE, Schedule, plan_steps
from nasviz.runs.validation import Choice, Number, Pattern, Rule, Truth, check, refuse, rule_of

__all__ = ["RunSettings"]

_COUNT = Number(1, 10**9, whole=True)
_STEPS = Number(1, 10**9, whole=True, optional=True)
_AMOUNT = Number(0, 10**9, optional=True)
_RULES: Mapping[str, Rule] = {
    "data_folder": Pattern(r"[^\0]+", "a path", optional=True),
    "loss": Pattern(CALLABLE.pattern, "a callable, written package.module:callable", optional=True),
    "optimizer": Choice(tuple(OPTIMIZERS)),
    "base": Choice(("sgd", "adam", "adamw")),
    "lr": Number(0, 1000, above=True),
    "momentum": Number(0, 1, below=True),
    "weight_decay": Number(0, 100),
    "group_divisible": Number(1, 10**6, whole=True),
    "saliency": Choice(tuple(SALIENCIES)),
    "periods": Number(1, 1000, whole=True),
    "regularization": _AMOUNT,
    "amplify": _AMOUNT,
    "cap": _AMOUNT,
    "warmup_steps": _STEPS,
    "score_every": _STEPS,
    "projection_steps": _STEPS,
    "epsilon": Number(0, 1, below=True),
    "projection": Choice(("halfspace", "progressive", "both")),
    "epochs": Number(1, 10**6, whole=True),
    "batch_size": Number(1, 10**6, whole=True),
    "seed": Number(0, 2**32 - 1, whole=True),
    "device": Pattern(r"auto|cpu|mps|cuda(:\d{1,3})?", "'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"),
    "deterministic": Truth(),
    "checkpoint_steps": _COUNT,
    "eval_every_epochs": _COUNT,
    "num_workers": Number(0, 256, whole=True),
    "processes": Number(1, 4096, whole=True),
    "trained_epochs": Number(0, 10**6, whole=True),
    "allow_changed_training": Truth(),
    "from_scratch": Truth(),
    **{setting.name: rule_of(setting) for setting in RECIPE},
}
_OWN = (
    "saliency",
    "score_every",
    "periods",
    "regularization",
    "amplify",
    "cap",
    "architecture_lr",
    "architecture_weight_decay",
    "clip",
    "over",
    "edges_per_node",
    "order",
    "validation_weight",
    "auxiliary_weight",
    "coupling",
    "latency_weight",
    "balance",
    "penalty_step",
    "penalty_cap",
    "groups",
    "fraction",
    "ranking",
    "sparsity",
    "scores_lr",
    "distillation",
    "mu",
    "rho",
    "normalisation",
    "adaptive",
    "threshold",
)
"""Settings that not every optimizer has; the catalog says which, and what they may be."""
_NAMES = ("protect", "collapse", "cells", "emphasis", "trust")
"""Settings that are tuples of names, and lists on disk."""
_K_COUNT = Number(0, 10**6, whole=True)
_K_RATIO = Number(0, 1, below=True)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides what a run computes. Steps count optimizer steps, not epochs.

    Raises:
        InvalidSettingError: A value is out of its range; the message says what was asked and what can be.

    Examples:
        >>> settings = RunSettings(network=NetworkSource("demonet"), target_sparsity=3)
        >>> RunSettings.from_json(settings.to_json()) == settings
        True
    """

    network: NetworkSource
    data: str = "digits"
    """Of the catalog, or a callable of the user's own Python, "package.module:callable"."""
    data_folder: str | None = None
    """Where the data lies; None for data that need no folder."""
    loss: str | None = None
    """A callable of the user's own Python; None: cross-entropy."""
    trust: tuple[str, ...] = field(default=())
    """Folders that the Python of `data` and `loss` may be imported from; the network has its own."""
    optimizer: str = "h2spg"
    base: str = "sgd"
    """Inner update: "sgd", "adam" or "adamw"."""
    lr: float = 0.05
    """At the first step; `lr_schedule` says what becomes of it."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    target_sparsity: int | float = 0
    """K: a whole number counts removal structures, a float in [0, 1) is their share."""
    slim: int | float = 0
    """Channel groups that go besides, counted or as the share of those that the structures leave."""
    group_divisible: int = 1
    """What the widths that slimming leaves shall be multiples of."""
    saliency: str = "snip"
    warmup_steps: int | None = None
    """None: 10 % of all steps."""
    projection_steps: int | None = None
    """None: 20 % of all steps."""
    score_every: int | None = None
    """Steps from one scoring of the warm-up to the next; None: about 32 scorings in all."""
    epsilon: float = 0.0
    """Half-space offset in [0, 1)."""
    projection: str = "both"
    """What zeroes a group: "halfspace", "progressive" or "both"."""
    periods: int = 1
    """Portions in which the structures go."""
    regularization: float | None = None
    """Weight of the lengths of redundant structures in the loss; None: as published for the base."""
    amplify: float | None = None
    cap: float | None = None
    """Bounds of the regularization of one structure; None: as published for the base."""
    architecture_lr: float | None = None
    """Of Adam on the architecture parameters; None, here and below: as published."""
    architecture_weight_decay: float | None = None
    clip: float | None = None
    """Longest gradient of the weights."""
    over: str | None = None
    """What one softmax weighs: "auto", "edge" or "node"."""
    edges_per_node: int | None = None
    """How many edges each node keeps in the end."""
    order: str | None = None
    """Of DARTS and SparseNAS: "first" or "second"."""
    validation_weight: float | None = None
    """Lambda of MiLeNAS."""
    auxiliary_weight: float | None = None
    """Lambda of RARTS, as a search for operations or for widths."""
    coupling: float | None = None
    """Beta of it."""
    latency_weight: float | None = None
    """Gamma of RARTS, for a millisecond."""
    balance: float | None = None
    """Alpha of SparseNAS, from 0 for nodes to 1 for operations."""
    penalty_step: float | None = None
    penalty_cap: float | None = None
    """By how much its lambda rises each epoch, and how far."""
    groups: str | None = None
    """What GSparsity takes for a group: "operations", "filters" or "channels"; what a width search scores."""
    fraction: float | None = None
    """Share of the channels that a width search prunes."""
    ranking: str | None = None
    """Whether it sorts all scores together, "global", or those of each "layer"."""
    sparsity: float | None = None
    """Weight of the l1 norm of its scores."""
    scores_lr: float | None = None
    distillation: float | None = None
    """Weight of the distillation from the network before pruning."""
    mu: float | None = None
    """Weight of the penalty of GSparsity."""
    rho: float | None = None
    """Weight of the new gradient in its momentum."""
    normalisation: str | None = None
    """Of its penalty by the size of a group: "none", "div" or "mul"."""
    adaptive: bool | None = None
    """Whether step sizes follow the gradients, of GSparsity and of SparseNAS."""
    threshold: float | None = None
    """Length up to which a structure is pruned."""
    protect: tuple[str, ...] = field(default=())
    """Structures, vertices or module paths that must stay, by name; structures also as `id:N`."""
    collapse: tuple[str, ...] = field(default=())
    """Modules that count as one vertex each: class names, or patterns of paths such as `cells.*.op*`."""
    cells: tuple[str, ...] = field(default=())
    """Cells in which the same operation lives and dies as one, class names or patterns; GSparsity alone."""
    emphasis: tuple[str, ...] = field(default=())
    """As `layer2=2`: modules, by class or pattern, whose filters have a stronger penalty; GSparsity alone."""
    lr_schedule: str = "cosine"
    """Course of the learning rate: "cosine" falls to 0, "constant" stays."""
    lr_periods: int = 1
    """Times that the cosine runs from `lr` to 0."""
    augmentation: str = "none"
    """How training images vary: "none", "shift", "shift_flip", "cutout" or "resized_crop"."""
    mixup: float = 0.0
    """Parameter of the Beta distribution from which the shares of mixed images are drawn; 0 mixes none."""
    label_smoothing: float = 0.0
    """Share of every label that is spread over all classes."""
    allow_changed_training: bool = False
    """Whether a network is trained although its traced form lacks something that it does in training mode."""
    from_scratch: bool = False
    """Whether all weights are drawn anew, whatever the network has learnt: an architecture is trained."""
    trained_epochs: int = 0
    """Of `epochs`, how many the run has trained that this one continues; see `nasviz.runs.continuing`."""
    epochs: int = 2
    batch_size: int = 64
    seed: int = 0
    device: str = "auto"
    """"auto": the first CUDA device where there is one, else the CPU."""
    deterministic: bool = False
    """On CUDA: only algorithms that give the same bits each time, so that a resumed run ends as one that was
    never stopped. They are often slower, and some operators have none: then the run says which, and ends. The
    CPU needs no such choice: runs there are the same to the bit, given the same measured latencies (`rarts`
    with `latency_weight` times operations at its start, and records what it found)."""
    checkpoint_steps: int = 50
    """Steps from one checkpoint to the next."""
    eval_every_epochs: int = 1
    num_workers: int = 0
    """Processes that load images; 0 loads in the worker itself."""
    processes: int = 1
    """Processes that train together, each on its share of every batch: one a GPU, or on processor cores."""

    def __post_init__(self) -> None:
        if not isinstance(self.network, NetworkSource):
            raise refuse("network", self.network, "a NetworkSource", "NetworkSource('demonet')")
        check({name: getattr(self, name) for name in _RULES}, _RULES, _DEFAULTS)
        rule = _K_RATIO if isinstance(self.target_sparsity, float) else _K_COUNT
        if not rule.allows(self.target_sparsity):
            words = "a whole number of structures from 0, or a share of them from 0.0 to below 1.0"
            raise refuse("target_sparsity", self.target_sparsity, words, 0)
        entry = OPTIMIZERS[self.optimizer]
        if self.target_sparsity and not entry.has_target:
            words = f"left at 0, for {entry.title} finds by itself how much goes"
            raise refuse("target_sparsity", self.target_sparsity, words, 0)
        if self.trained_epochs >= self.epochs:
            words = f"below epochs={self.epochs}, for these count them in"
            raise refuse("trained_epochs", self.trained_epochs, words, 0)
        rule = _K_RATIO if isinstance(self.slim, float) else _K_COUNT
        if not rule.allows(self.slim):
            words = "a whole number of channel groups from 0, or a share of them from 0.0 to below 1.0"
            raise refuse("slim", self.slim, words, 0)
        if self.slim and not entry.has_target:
            raise refuse("slim", self.slim, f"left at 0, for {entry.title} has no target", 0)
        if self.cells and entry.family != PROXIMAL:
            words = f"left empty, for {entry.title} ties no operations"
            raise refuse("cells", self.cells, words, ())
        if self.cells and self.groups not in (None, "operations"):
            raise refuse("cells", self.cells, f"left empty, for {self.groups} are not tied", ())
        self._check_own()
        self._check_processes(entry)
        self._check_user_code()
        if self.lr_periods > 1 and self.lr_schedule != "cosine":
            words = f"1 where lr_schedule is {self.lr_schedule!r}, for only a cosine has periods"
            raise refuse("lr_periods", self.lr_periods, words, 1)
        if self.emphasis and (entry.family != PROXIMAL or self.groups in (None, "operations")):
            words = "left empty, for only GSparsity of filters or channels has stronger penalties by place"
            raise refuse("emphasis", self.emphasis, words, ())
        for name in _NAMES:
            value = getattr(self, name)
            if not isinstance(value, tuple) or not all(isinstance(part, str) and part for part in value):
                raise refuse(name, value, "a tuple of names", ())
        _ = self.multipliers

    @property
    def multipliers(self) -> dict[str, float]:
        """`emphasis` by name.

        Raises:
            InvalidSettingError: An entry does not read `NAME=FACTOR`, with a number above 0.
        """
        found = {}
        for text in self.emphasis:
            name, _, factor = text.rpartition("=")
            try:
                found[name] = float(factor)
            except ValueError:
                found[name] = 0.0
            if not name or not 0 < found[name] < float("inf"):
                raise refuse("emphasis", text, "NAME=FACTOR with a number above 0, such as layer2=2", ())
        return found

    def _check_processes(self, entry: Entry) -> None:
        """Several processes need a step that torch can share out, and shares of equal size."""
        if self.processes == 1:
            return
        if entry.family in (RELAXED, WIDTH):
            words = f"1, for DistributedDataParallel cannot share the gradients that {entry.title} takes"
            raise refuse("processes", self.processes, words, 1)
        if self.batch_size % self.processes:
            words = f"a multiple of processes={self.processes}, so that each takes an equal share of a batch"
            raise refuse("batch_size", self.batch_size, words, _DEFAULTS["batch_size"])
        if self.device == "mps" or ":" in self.device:
            words = f"'auto', 'cpu' or 'cuda' where processes={self.processes}: each has its own"
            raise refuse("device", self.device, words, "auto")

    @property
    def is_user_code(self) -> bool:
        """Whether network, data or loss are Python of the user."""
        return self.network.is_callable or self.loss is not None or ":" in self.data

    def _check_user_code(self) -> None:
        """Data and loss: a name of the catalog, or Python out of a folder to trust."""
        if not isinstance(self.data, str) or not (self.data in DATASETS or CALLABLE.fullmatch(self.data)):
            words = f"one of {', '.join(DATASETS)}, or a callable, written package.module:callable"
            raise refuse("data", self.data, words, "digits")
        for name in ("data", "loss"):
            value = getattr(self, name)
            if value is not None and ":" in value and not self.trust:
                raise InvalidSettingError(
                    f"{name}={value!r} is Python code, and no folder is trusted to run code from; name the"
                    " folder it lies in: --trust DIR on the command line, trust=(DIR,) in Python"
                )
        if self.loss is not None and self.label_smoothing:
            words = "0 where loss is your own, which may smooth them itself"
            raise refuse("label_smoothing", self.label_smoothing, words, 0.0)

    def _check_own(self) -> None:
        """Settings of the chosen optimizer alone, by the catalog."""
        entry = OPTIMIZERS[self.optimizer]
        known = {setting.name: setting for setting in entry.settings}
        for name in _OWN:
            value = getattr(self, name)
            if name in known and value is not None:
                known[name].check(value)
            elif name not in known and value != _DEFAULTS[name]:
                words = f"left at its default, for {entry.title} has no such setting"
                raise refuse(name, value, words, _DEFAULTS[name])

    @property
    def kept_edges(self) -> int:
        """How many edges each node keeps, where a softmax was searched; 0 for all."""
        entry = self.network.entry
        own = 2 if entry is None else entry.edges_per_node
        return own if self.edges_per_node is None else self.edges_per_node

    def schedule(self, num_train: int) -> Schedule:
        """The phases of the run on `num_train` training images.

        Raises:
            InvalidSettingError: Warm-up and projection do not fit into it.
        """
        entry = OPTIMIZERS[self.optimizer]
        is_proximal = entry.family in (PROXIMAL, WIDTH)
        return plan_steps(
            num_train=num_train // entry.num_batches,
            batch_size=self.batch_size,
            epochs=self.epochs,
            warmup_steps=0 if is_proximal else self.warmup_steps,
            projection_share=SEARCH_SHARE if is_proximal else PROJECTION_SHARE,
            projection_steps=0 if entry.family == RELAXED else self.projection_steps,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, ready for `json.dumps`."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        names = {name: list(values[name]) for name in _NAMES}
        return values | {"network": self.network.to_json()} | names

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSettings:
        """The settings that `to_json` wrote. What is missing takes its default.

        Raises:
            InvalidSettingError: A setting is unknown here, or out of its range.
        """
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(data) - known):
            raise InvalidSettingError(
                f"settings hold {', '.join(map(repr, unknown))}, which this nasviz does not know: they were"
                f" written by a later version (update nasviz) or are misspelled; known are"
                f" {', '.join(sorted(known))}"
            )
        if "network" not in data:
            raise InvalidSettingError("settings hold no 'network'; name one, such as 'demonet'")
        values = dict(data)
        if isinstance(values["network"], Mapping):
            values["network"] = NetworkSource.from_json(values["network"])
        for name in _NAMES:
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        if "allow_changed_training" not in data and isinstance(values.get("protect"), tuple):
            # Settings of 0.1 have no such field, and in them digits alone were the id of a structure.
            values["protect"] = tuple(f"id:{w}" if str(w).isdecimal() else w for w in values["protect"])
        return cls(**values)


_DEFAULTS = {item.name: item.default for item in fields(RunSettings) if item.default is not MISSING}
