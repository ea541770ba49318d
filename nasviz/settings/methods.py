"""The eleven search methods of the documents: one class per method, declared once.

A class says what a method is called, what it does, where it is published, and what can be set. Settings that
methods share are base classes. Where a document prints no value, the help or the source says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nasviz.catalog import step_saliencies
from nasviz.settings.base import refuse
from nasviz.settings.fields import AUTO, Auto, Choices, Names, Share, Steps, choice, number, setting
from nasviz.settings.method import COSINES, NORMS, RATE, MethodSettings, Vector, register_method
from nasviz.settings.schedule import Schedule

__all__ = [
    "PUBLISHED_REGULARIZATION",
    "WEIGHTS",
    "DARTSSettings",
    "DHSPGSettings",
    "GSparsitySettings",
    "H2SPGOTOv3Settings",
    "H2SPGSettings",
    "HSPGSettings",
    "MiLeNASSettings",
    "RARTSSettings",
    "RARTSWidthSettings",
    "SiDTSettings",
    "SparseNASSettings",
]

WEIGHTS = "Weights"
"""Group of the settings that say how the weights learn, whatever the method searches."""
_ANY_AMOUNT = 1e6
_DECISIVE = 1.25
"""Ratio of two shares of a softmax below which a search has decided nothing."""
_XUE = "Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures, 2022"
_ESCHOLARSHIP = "escholarship.org/uc/item/3wt239sm"


class _WithBase(MethodSettings):
    """Methods around an ordinary optimizer of the weights."""

    base: Literal["sgd", "adam", "adamw"] = choice(
        "sgd", "Base optimizer", "Optimizer of the weights, whose steps the method uses.", group=WEIGHTS
    )
    momentum: float = setting(
        0.9,
        "Momentum",
        "Share of the last update that is kept.",
        needs={"base": ("sgd",)},
        group=WEIGHTS,
        ge=0,
        lt=1,
    )
    weight_decay: float = number(
        5e-4, 0, 100, "Weight decay", "Pull of all weights towards zero.", group=WEIGHTS
    )


class _WithTarget(_WithBase):
    """Methods that remove a chosen number of structures, and channels if asked to."""

    target_sparsity: Share = setting(
        0,
        "Target sparsity K",
        "Structures to remove: a count, such as 3, or a share of them, such as 0.5.",
        metavar="K",
        source="ASGNAS, equation (1)",
    )
    slim: Share = setting(
        0,
        "Channels to remove",
        "Channel groups to remove as well: a share of those that the structures leave, such as 0.5, or a"
        " count.",
        metavar="SHARE",
        source="OTOv2",
    )
    group_divisible: int = number(
        1, 1, 10**6, "Widths as multiples of", "Slimmed widths are multiples of this number."
    )
    saliency: Annotated[str, Choices(step_saliencies)] = setting(
        "snip",
        "Saliency",
        "Score that ranks the structures; the smallest are redundant.",
    )
    warmup_steps: Steps = setting(
        0.1,
        "Warm-up steps",
        "Plain steps over which the scores are averaged; below 1: a share of all steps.",
        unit="steps",
        source="not published",
    )
    score_every: Annotated[int, Field(ge=1, le=10**9)] | Auto = setting(
        AUTO,
        "Score every n-th step",
        "Steps from one scoring of the warm-up to the next; auto: about 32 scorings in all.",
        unit="steps",
    )
    projection_steps: Steps = setting(
        0.2,
        "Projection steps",
        "Steps over which the redundant structures are brought to zero; below 1: a share of all steps.",
        unit="steps",
        source="not published",
    )

    def in_short(self) -> list[str]:
        """Return K, and the share of the channels that goes."""
        k, slim = self.target_sparsity, self.slim
        parts = [f"{k:.0%} of the structures" if isinstance(k, float) else f"K = {k}"]
        if slim:
            parts.append(f"{slim:.0%} of the channels" if isinstance(slim, float) else f"{slim} channels")
        return parts


class _WithEpsilon(MethodSettings):
    epsilon: float = setting(
        0.0,
        "Half-space offset ε",
        "Offset of the half-space: 0 zeroes a structure latest, close to 1 soonest.",
        ge=0,
        lt=1,
        source="ASGNAS, Algorithm 3, line 15",
    )


PUBLISHED_REGULARIZATION: Mapping[str, tuple[float, float, float]] = {
    "sgd": (1e-3, 2.0, 10.0),
    "adam": (1e-2, 20.0, 1e3),
    "adamw": (1e-2, 20.0, 1e3),
}
"""By base optimizer: `regularization`, `amplify` and `cap` of the public code of DHSPG."""


class _WithRegularization(_WithEpsilon, _WithTarget):
    """Methods that pull redundant structures to zero by a penalty on their lengths."""

    regularization: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Regularization",
        "Weight of the lengths of the redundant structures in the loss; auto: 0.001 for sgd, 0.01 for adam"
        " and adamw.",
        source="public code of DHSPG",
    )
    amplify: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Amplification",
        "How many times the smallest value that shrinks a structure is taken for one that grows; auto: 2 for"
        " sgd, 20 for adam and adamw.",
        source="public code of DHSPG",
    )
    cap: Annotated[float, Field(ge=1, le=1e9)] | Auto = setting(
        AUTO,
        "Largest multiple",
        "How many times the regularization a structure gets at most; auto: 10 for sgd, 1000 for adam and"
        " adamw.",
        source="public code of DHSPG",
    )

    def resolved(self) -> dict[str, Any]:
        """Return its settings with the published values for its base optimizer in place of "auto"."""
        names = ("regularization", "amplify", "cap")
        published = dict(zip(names, PUBLISHED_REGULARIZATION[self.base], strict=True))
        values = self.values
        return values | {name: published[name] for name in names if values[name] == AUTO}


@register_method
class H2SPGSettings(_WithEpsilon, _WithTarget):
    """Hierarchical half-space projected gradient (ASGNAS, Algorithm 3)."""

    title = "H2SPG"
    summary = (
        "Ranks the structures while warming up, then brings exactly K of them to zero and keeps the network"
        " connected."
    )
    citation = (
        "Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023, Algorithm 3,"
        " arXiv:2305.18030"
    )
    implementation = "nasviz.optim.create"

    name: Literal["h2spg"] = "h2spg"
    projection: Literal["halfspace", "progressive", "both"] = choice(
        "both",
        "Projection",
        "What brings a structure to zero: the half-space test, an even shrinking, or both.",
    )
    periods: int = number(
        1,
        1,
        1000,
        "Rounds",
        "Rounds in which the structures go; each is selected by scores of its own.",
    )


@register_method
class H2SPGOTOv3Settings(_WithRegularization):
    """H2SPG with a regularizer in place of the half-space step alone (OTOv3, Algorithm 3)."""

    title = "H2SPG of OTOv3"
    summary = (
        "Ranks the structures while warming up, then lets a regulariser of their lengths draw K of them to"
        " zero and keeps the network connected."
    )
    citation = (
        "Chen et al., OTOv3: Towards Automatic Sub-Network Search Within General Super Deep Neural Networks,"
        " 2023, Algorithm 3, arXiv:2305.18030v1"
    )
    caution = (
        "The regulariser alone seldom ends at zero; what is left then is cut off at the end of the"
        " projection."
    )
    implementation = "nasviz.optim.create"

    name: Literal["h2spg_otov3"] = "h2spg_otov3"


@register_method
class DHSPGSettings(_WithRegularization):
    """Dual half-space projected gradient (OTOv2): the same steps without the hierarchy."""

    title = "DHSPG"
    summary = (
        "The same steps on the K structures of lowest score, whether or not the network stays connected."
    )
    citation = "Chen et al., OTOv2: Automatic, Generic, User-Friendly, 2023, arXiv:2303.06862"
    caution = (
        "Knows no hierarchy: the larger K, the more often nothing is left that connects input and output, and"
        " no sub-network can be constructed."
    )
    implementation = "nasviz.optim.create"

    name: Literal["dhspg"] = "dhspg"


@register_method
class HSPGSettings(_WithEpsilon, _WithBase):
    """Half-space stochastic projected gradient (OTO, Algorithm 2)."""

    title = "HSPG"
    summary = "Draws all structures towards zero with one regulariser; the half-space test decides which go."
    citation = (
        "Chen et al., Only Train Once: A One-Shot Neural Network Training And Pruning Framework, 2021,"
        " arXiv:2107.07467"
    )
    caution = "Takes no target, and knows no hierarchy: the sub-network may not exist."
    implementation = "nasviz.optim.create"
    projection_share = 0.2

    name: Literal["hspg"] = "hspg"
    warmup_steps: Steps = setting(
        0.1,
        "Warm-up steps",
        "Steps before the half-space test begins; below 1: a share of all steps.",
        unit="steps",
    )
    regularization: float = number(
        1e-3,
        0,
        _ANY_AMOUNT,
        "Regularization",
        "Weight of the lengths of all structures in the loss; more of it removes more.",
    )

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return lengths and cosines: nothing is ranked."""
        return (NORMS, COSINES)


@register_method
class GSparsitySettings(MethodSettings):
    """Group sparsity by ProxSGD (GSparsity)."""

    title = "GSparsity"
    summary = (
        "Draws all operations, or filters, towards zero with ProxSGD, prunes what has died, and trains the"
        " rest on. Pooling and identity edges take part through switches."
    )
    citation = (
        "Chatzimichailidis et al., GSparsity: Unifying Network Pruning and Neural Architecture Search by"
        " Group Sparsity, AutoML 2022"
    )
    caution = (
        "Takes no target, and knows no hierarchy: with too large a mu nothing connects input and output any"
        " more. A dead structure needs ln(1e6) / lr steps to come down to the threshold."
    )
    implementation = "nasviz.optim.create_gsparsity"
    stages = (
        ("projection", "of search with the penalty"),
        ("training", "of training without it"),
    )

    name: Literal["gsparsity"] = "gsparsity"
    lr: float = setting(
        0.05,
        "Learning rate",
        "Epsilon: how far a step goes towards the mapped point; what is dead falls by this share.",
        gt=0,
        le=1,
    )
    groups: Literal["operations", "filters", "channels"] = choice(
        "operations",
        "Groups",
        "What lives or dies as one: whole operations; filters, channels that one operator alone makes; or all"
        " channels, also those that residual sums tie.",
    )
    mu: float = number(1.0, 0, _ANY_AMOUNT, "Mu", "Weight of the penalty; more of it removes more.")
    rho: float = number(0.8, 1e-6, 1, "Rho", "Weight of the new gradient in the momentum.")
    normalisation: Literal["none", "div", "mul"] = choice(
        "none",
        "Normalisation",
        "Penalty of a group by the root of its size: the same for all, divided by it (published for filters),"
        " or times it.",
    )
    adaptive: bool = setting(
        default=False,
        label="Adaptive",
        text="Whether the step sizes of a group follow its gradients (published for filters); with constant"
        " ones tau is 1.",
    )
    threshold: float = number(
        1e-6,
        0,
        _ANY_AMOUNT,
        "Threshold",
        "Groups of at most this length are pruned at the end of the search.",
        source="GSparsity, table 2",
    )
    projection_steps: Steps = setting(
        0.6,
        "Search steps",
        "Steps of the search; what is left then trains on without the penalty; below 1: a share of all.",
        unit="steps",
    )
    cells: Names = setting(
        (),
        "Cells whose operations are tied",
        "Classes, or patterns of paths: the same operation in all cells of one class is one group, and lives"
        " or dies as one.",
        needs={"groups": ("operations",)},
        metavar="NAME",
        is_axis=False,
    )
    emphasis: Names = setting(
        (),
        "Stronger penalty in",
        "Modules, by class or pattern of paths, with the number that the penalty on their filters is"
        " multiplied by; published for ResNet-50: layer2=2, layer3=2.",
        needs={"groups": ("filters", "channels")},
        metavar="NAME=FACTOR",
        is_axis=False,
    )

    def model_post_init(self, context: Any, /) -> None:
        """Check that every entry of `emphasis` is a name and a factor."""
        _ = self.multipliers

    def in_short(self) -> list[str]:
        """Return what the groups are, and mu."""
        return [*([self.groups] if self.groups != "operations" else []), f"mu = {self.mu:g}"]

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the lengths, which decide what goes, and cosines."""
        return (Vector("scores", "Length", zero_at=self.threshold), COSINES)

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether a dead structure can come down to the threshold during the search."""
        if not self.threshold:
            return ["threshold=0 is never reached: a dead structure only shrinks; choose 1e-6"]
        # x <- (1 - lr) x where the proximal point is 0, so ln(1 / threshold) / lr steps at a constant rate.
        needed = math.ceil(math.log(1 / self.threshold) / self.lr) if self.threshold < 1 else 0
        if schedule.projection_steps >= needed:
            return []
        return [
            f"the search takes {schedule.projection_steps} steps, and a dead structure needs {needed} to come"
            f" down to threshold={self.threshold:g} at lr={self.lr:g}; raise lr, the threshold or the epochs"
        ]

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


class _WithClip(_WithBase):
    clip: float = number(5.0, 1e-6, 1e9, "Gradient clipping", "Longest gradient of the weights in a step.")


class _WithCopies(_WithClip):
    """RARTS, whatever it searches: two copies of the weights, tied by a spring."""

    auxiliary_weight: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Lambda: weight of the auxiliary copy",
        "How much the loss of the auxiliary copy counts.",
        source="not published for networks",
    )
    coupling: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Beta: coupling strength",
        "Strength of the spring between the two copies of the weights.",
        source="not published for networks",
    )


class _WithArchitecture(_WithClip):
    """Searches whose architecture parameters are switches at the inputs of joint vertices."""

    num_batches = 2
    is_distributed = False
    data_kinds = ("images", "text")
    implementation = "nasviz.nas.create"
    stages = (("warm-up", "of warm-up"), ("search", "of search"))

    warmup_steps: Steps = setting(
        0.1,
        "Warm-up steps",
        "Steps at the start in which only the weights learn; below 1: a share of all steps.",
        unit="steps",
    )


class _WithSoftmax(_WithArchitecture):
    """Searches that weigh operations by a softmax and keep the strongest."""

    caution = (
        "Every operation starts with the same share. The network that is derived has lost most of what the"
        " large one computed: train it anew before you judge it."
    )

    architecture_lr: float = setting(
        3e-4,
        "Architecture learning rate",
        "Learning rate of the architecture parameters, which Adam moves; small data need far more.",
        **RATE,
        source="DARTS, section 3.1",
    )
    architecture_weight_decay: float = number(
        1e-3,
        0,
        100,
        "Architecture weight decay",
        "Pull of the architecture parameters towards zero, where all operations count alike.",
        source="DARTS, section 3.1",
    )
    over: Literal["auto", "edge", "node"] = choice(
        "auto",
        "Softmax over",
        "What one softmax weighs: the candidates of an edge, or all that comes into a joint; auto takes edges"
        " where the network is made of cells.",
    )
    edges_per_node: Annotated[int, Field(ge=0, le=1000)] | Auto = setting(
        AUTO,
        "Edges per node",
        "How many edges each node keeps in the end, with the best operation of each; 0: all; auto: as the"
        " paper of the cells does, 2 in DARTS.",
    )

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the shares of the softmax; each node keeps the strongest operations."""
        return (Vector("scores", "Weight", zero_at=0.0, weighs=True, num_kept=kept_edges),)

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether the architecture parameters can move far enough to prefer an operation."""
        num_steps = schedule.total_steps - schedule.warmup_steps
        # Adam moves a parameter by about its rate, so two of them drift apart by twice that in a step.
        ratio = math.exp(min(2 * self.architecture_lr * num_steps, 700))
        if ratio >= _DECISIVE:
            return []
        needed = math.log(_DECISIVE) / (2 * max(1, num_steps))
        return [
            f"at architecture_lr={self.architecture_lr:g} no operation gets more than {ratio:.2f} times the"
            f" share of another in {num_steps} search steps; choose at least {needed:.1g}, or more epochs"
        ]


class _WithOrder(_WithArchitecture):
    order: Literal["first", "second"] = choice(
        "first",
        "Order",
        "Second order looks one step of the weights ahead, at about four times the cost.",
    )


@register_method
class DARTSSettings(_WithSoftmax, _WithOrder):
    """Differentiable architecture search (DARTS)."""

    title = "DARTS"
    summary = (
        "Weighs operations by a softmax; the weights learn from one half of the images, the architecture from"
        " the other."
    )
    citation = "Liu et al., DARTS: Differentiable Architecture Search, 2019, arXiv:1806.09055"

    name: Literal["darts"] = "darts"


@register_method
class MiLeNASSettings(_WithSoftmax):
    """Mixed-level search (MiLeNAS)."""

    title = "MiLeNAS"
    summary = "As first-order DARTS, but the architecture learns from both halves of the images."
    citation = (
        "He et al., MiLeNAS: Efficient Neural Architecture Search via Mixed-Level Reformulation, 2020,"
        " arXiv:2003.12238"
    )

    name: Literal["milenas"] = "milenas"
    validation_weight: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Lambda: weight of the second half",
        "How much the second half of the images counts for the architecture, in addition to the first.",
    )


@register_method
class RARTSSettings(_WithSoftmax, _WithCopies):
    """Relaxed architecture search by splitting (RARTS)."""

    title = "RARTS"
    summary = (
        "Two copies of the weights, tied by a spring, learn from one half of the images each and share one"
        " architecture."
    )
    citation = f"{_XUE}, algorithm 2, {_ESCHOLARSHIP}"

    name: Literal["rarts"] = "rarts"
    latency_weight: float = number(
        0.0,
        0,
        _ANY_AMOUNT,
        "Gamma: latency weight",
        "Price of a millisecond, measured on the device; published: 0.002.",
        unit="1/ms",
        source="RARTS, section 3.4",
    )


@register_method
class SparseNASSettings(_WithOrder):
    """Sparse group lasso on the weights of operations (SparseNAS)."""

    title = "SparseNAS"
    summary = (
        "Gives every operation a plain weight and raises a sparse group lasso on them, whose zeros are exact;"
        " any number of operations stays at each node."
    )
    citation = "Wu et al., Neural Architecture Search as Sparse Supernet, AAAI 2021, arXiv:2101.06658"
    caution = (
        "How much goes follows from the penalty and the number of epochs. The momentum of HAPG is capped at"
        " 0.9: as printed it tends to 1, and diverges."
    )

    name: Literal["sparsenas"] = "sparsenas"
    architecture_lr: float = setting(
        0.01,
        "Architecture learning rate",
        "Learning rate of the weights of operations, which HAPG moves.",
        **RATE,
        source="not published",
    )
    adaptive: bool = setting(
        default=True, label="Adaptive", text="AdamHAPG, with the step sizes of Adam; plain HAPG otherwise."
    )
    balance: float = number(
        0.5,
        0,
        1,
        "Alpha: group lasso balance",
        "1 silences single operations, 0 whole nodes; published: 0.5.",
        source="SparseNAS, table 4",
    )
    penalty_step: float = number(
        0.01,
        0,
        _ANY_AMOUNT,
        "Lambda per epoch",
        "By how much lambda, the weight of the penalty, rises with each epoch; published: 0.01.",
        source="SparseNAS",
    )
    penalty_cap: float = number(
        1.0, 0, _ANY_AMOUNT, "Largest lambda", "Largest lambda.", source="not published"
    )

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the weights of the operations; those at 0 are silenced."""
        return (Vector("scores", "Weight", zero_at=0.0, weighs=True),)

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether the penalty, which is 0 in the first epoch, ever rises."""
        last = (schedule.total_steps - schedule.warmup_steps - 1) // schedule.steps_per_epoch
        if min(last * self.penalty_step, self.penalty_cap) > 0:
            return []
        return [
            f"lambda rises with each epoch from 0, and stays there: penalty_step={self.penalty_step:g},"
            f" penalty_cap={self.penalty_cap:g} and {max(0, last) + 1} epochs of search"
        ]


class _WidthSettings(_WithCopies):
    """Searches that score channels and prune a share of them (RARTS dissertation, chapter 4)."""

    num_batches = 2
    is_distributed = False
    implementation = "nasviz.nas.width_search"
    stages = (("projection", "of scoring"), ("training", "of tuning"))

    fraction: float = setting(
        0.4,
        "Fraction to prune",
        "Share of the channels that goes, those of lowest score; 0: those whose score is exactly 0.",
        ge=0,
        lt=1,
    )
    ranking: Literal["global", "layer"] = choice(
        "global", "Ranking", "Whether all scores are sorted together, or each layer keeps the same share."
    )
    sparsity: float = number(
        1e-4,
        0,
        _ANY_AMOUNT,
        "Gamma: l1 weight",
        "Weight of the l1 norm of the scores; published: 0.0001.",
        source="RARTS, section 4.1",
    )
    scores_lr: float = setting(
        0.1,
        "Learning rate of the scores",
        "Learning rate of the scores of channels.",
        **RATE,
        source="not published",
    )
    distillation: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Distillation weight",
        "Weight of the distillation, at temperature 4, from the network before pruning; 0: none.",
    )
    projection_steps: Steps = setting(
        0.6,
        "Search steps",
        "Steps of the search; what is left is fine-tuned then; below 1: a share of all.",
        unit="steps",
    )

    def in_short(self) -> list[str]:
        """Return the share that is pruned."""
        return [f"{self.fraction:.0%} of the {getattr(self, 'groups', 'channels')}"] if self.fraction else []

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return nothing: scores are those of channels, not of structures."""
        return ()


@register_method
class RARTSWidthSettings(_WidthSettings):
    """RARTS on the scores of channels."""

    title = "RARTS width search"
    summary = (
        "Two copies of the weights share a score for every channel; the lowest go, and what is left is tuned"
        " and distilled from the network before."
    )
    citation = f"{_XUE}, algorithm 3, {_ESCHOLARSHIP}"
    caution = "Every operation stays. A step costs four passes, and sees two batches."

    name: Literal["rarts_width"] = "rarts_width"
    groups: Literal["channels", "filters"] = choice(
        "channels", "Groups", "Which channels have scores: all, or those that one operator alone makes."
    )


@register_method
class SiDTSettings(_WidthSettings):
    """RARTS on the dimensions of transformers (SiDT)."""

    title = "SiDT"
    summary = (
        "The same for transformers: a score for every dimension of the heads of an attention, shared by"
        " queries, keys, values and all heads, and for every hidden dimension of its layers."
    )
    citation = f"{_XUE}, section 4.3, {_ESCHOLARSHIP}"
    caution = "Only networks with linear layers inside have such dimensions. Heads keep one at least."

    name: Literal["sidt"] = "sidt"
