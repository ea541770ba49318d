"""The eleven search methods of the documents: one class per method, declared once.

A class says what a method is called, what it does, where it is published, and what can be set. Settings that
methods share are base classes. Where a document prints no value, the help or the source says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from nasviz.catalog import SALIENCIES, step_saliencies
from nasviz.settings.base import refuse
from nasviz.settings.fields import (
    AUTO,
    Auto,
    Choices,
    Names,
    Share,
    Steps,
    StepsOrNone,
    choice,
    number,
    setting,
)
from nasviz.settings.method import COSINES, NORMS, RATE, MethodSettings, Phase, Vector, register_method
from nasviz.settings.schedule import Schedule

__all__ = [
    "DECISIVE",
    "PUBLISHED_ARCHITECTURE_LR",
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
"""Group of the settings that control how the weights are trained."""
_ANY_AMOUNT = 1e6
_LEARNED = ("rarts", "darts_first", "darts_second")
"""Searches that learn scores of channels."""
DECISIVE = 1.25
"""Ratio of the two largest shares of a softmax below which a search has not decided between them."""
PUBLISHED_ARCHITECTURE_LR = 3e-4
"""Architecture learning rate of DARTS, MiLeNAS and RARTS, for `_PUBLISHED_STEPS` steps of search."""
_PUBLISHED_STEPS = 19_500
"""50 epochs of 390 batches of 64: one half of CIFAR-10."""
_LARGEST_RATE = 0.1
_SHORTENED = 25.0
"""Length by which HSPG must be able to shorten structures of length 4 to 5, whose gradients prolong them:
half of those of a small DemoNet on digits become zero."""
_LEAST_STRENGTH = 1e-3
_ADAPTIVE_MU = 0.05
"""Mu of GSparsity where tau adapts: the middle of what is published for filters."""
_REACHED_LAMBDA = 0.15
"""Lambda that silences half of the operations of a small NAS-Bench-201 network on digits."""
_XUE = "Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures, 2022"
_ESCHOLARSHIP = "escholarship.org/uc/item/3wt239sm"


class _WithBase(MethodSettings):
    """Methods that wrap a base optimizer of the weights."""

    base: Literal["sgd", "adam", "adamw"] = choice(
        "sgd", "Base optimizer", "Optimizer of the weights that the method extends.", group=WEIGHTS
    )
    momentum: float = setting(
        0.9,
        "Momentum",
        "Momentum factor of SGD.",
        needs={"base": ("sgd",)},
        group=WEIGHTS,
        ge=0,
        lt=1,
    )
    weight_decay: float = number(5e-4, 0, 100, "Weight decay", "Weight decay of all weights.", group=WEIGHTS)


class _WithTarget(_WithBase):
    """Methods that remove a given number of structures, and optionally channels."""

    target_sparsity: Share = setting(
        0,
        "Target sparsity K",
        "Number of structures to remove: a count such as 3, or a fraction such as 0.5.",
        metavar="K",
        source="ASGNAS, equation (1)",
    )
    slim: Share = setting(
        0,
        "Channels to remove",
        "Channel groups to remove in addition: a fraction of those in the remaining structures, such as 0.5,"
        " or a count.",
        metavar="SHARE",
        source="OTOv2",
    )
    group_divisible: int = number(
        1, 1, 10**6, "Widths as multiples of", "Remaining widths are multiples of this number."
    )
    saliency: Annotated[str, Choices(lambda: tuple(SALIENCIES))] = setting(
        "snip",
        "Saliency",
        "Score that ranks the structures; those with the lowest scores are redundant. Zero-shot proxies, such"
        " as zen, score the network as it is before the first step.",
    )
    score_momentum: float = setting(
        0.9,
        "Omega: score momentum",
        "Weight of the past in the running average of the scores over the warm-up.",
        ge=0,
        lt=1,
        source="OTOv3, Algorithm 3, line 7; value not published",
    )
    switches: bool = setting(
        default=False,
        label="Switches",
        text="Give a switch, a trained factor that starts at 1, to operations without variables, such as"
        " pooling and skip connections, so that they may be removed too.",
        source="ASGNAS, A.1, future work",
    )
    warmup_steps: Steps = setting(
        0.1,
        "Warm-up steps",
        "Number of steps before projection, over which scores are averaged; below 1: a fraction of all"
        " steps.",
        unit="steps",
        source="not published",
    )
    score_every: Annotated[int, Field(ge=1, le=10**9)] | Auto = setting(
        AUTO,
        "Scoring interval",
        "Number of steps between two scorings during warm-up; auto: about 32 scorings in total.",
        unit="steps",
    )
    projection_steps: Steps = setting(
        0.2,
        "Projection steps",
        "Number of steps in which redundant structures are projected to zero; below 1: a fraction of all"
        " steps.",
        unit="steps",
        source="not published",
    )

    def model_post_init(self, context: Any, /) -> None:
        """Check that the saliency can score channels where channels go."""
        if self.slim and self.saliency not in step_saliencies():
            expected = f"one of {', '.join(step_saliencies())} with slim: a proxy scores no channels"
            raise refuse("saliency", self.saliency, expected, "snip")

    def in_short(self) -> list[str]:
        """Return K, and the share of the channels that goes."""
        k, slim = self.target_sparsity, self.slim
        parts = [f"{k:.0%} of the structures" if isinstance(k, float) else f"K = {k}"]
        if slim:
            parts.append(f"{slim:.0%} of the channels" if isinstance(slim, float) else f"{slim} channels")
        return parts


class _WithHierarchy(MethodSettings):
    """Methods that keep the network connected."""

    lookahead: bool = setting(
        default=True,
        label="Lookahead",
        text="Pass over a structure whose removal would leave fewer than K removable, so that K is always"
        " reached; off: the pass as printed, which may end below K.",
        source="ASGNAS, Algorithm 3, lines 6-10",
    )


class _WithEpsilon(MethodSettings):
    """Methods with a half-space step."""

    epsilon: float = setting(
        0.0,
        "Half-space offset ε",
        "Offset of the half-space: with 0 structures reach zero latest, close to 1 earliest.",
        ge=0,
        lt=1,
        source="ASGNAS, Algorithm 3, line 15",
    )


PUBLISHED_REGULARIZATION: Mapping[str, tuple[float, float, float]] = {
    "sgd": (1e-3, 2.0, 10.0),
    "adam": (1e-2, 20.0, 1e3),
    "adamw": (1e-2, 20.0, 1e3),
}
"""Values of `regularization`, `amplify` and `cap` in the public code of DHSPG, by base optimizer."""


class _WithRegularization(_WithEpsilon, _WithTarget):
    """Methods that drive redundant structures to zero by a penalty on their norms."""

    regularization: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Regularization",
        "Weight of the norms of redundant structures in the loss; auto: 0.001 for sgd, 0.01 for adam and"
        " adamw.",
        source="public code of DHSPG",
    )
    amplify: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Amplification",
        "Factor on the smallest coefficient that shrinks a structure, applied to structures that grow; auto:"
        " 2 for sgd, 20 for adam and adamw.",
        source="public code of DHSPG",
    )
    cap: Annotated[float, Field(ge=1, le=1e9)] | Auto = setting(
        AUTO,
        "Maximum amplification",
        "Maximum coefficient of a structure, as a multiple of the regularization; auto: 10 for sgd, 1000 for"
        " adam and adamw.",
        source="public code of DHSPG",
    )

    forced: bool = setting(
        default=True,
        label="Zero at the end",
        text="Set what is not yet zero at the end of the projection to zero; off, as printed: the regularizer"
        " works on to the end of the run, and K may not be reached.",
        source="OTOv3, Algorithm 3",
    )

    def resolved(self, schedule: Schedule | None = None) -> dict[str, Any]:
        """Return the settings by name, with "auto" replaced by the published value for the base optimizer."""
        names = ("regularization", "amplify", "cap")
        published = dict(zip(names, PUBLISHED_REGULARIZATION[self.base], strict=True))
        values = self.values
        return values | {name: published[name] for name in names if values[name] == AUTO}


@register_method
class H2SPGSettings(_WithHierarchy, _WithEpsilon, _WithTarget):
    """Hierarchical half-space projected gradient (ASGNAS, Algorithm 3)."""

    title = "H2SPG"
    summary = (
        "Ranks the structures during warm-up, then projects exactly K of them to zero and keeps the network"
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
        "How structures reach zero: half-space projection, gradual shrinking, or both.",
    )
    periods: int = number(
        1,
        1,
        1000,
        "Pruning rounds",
        "Number of pruning rounds; each selects its structures by new scores.",
    )


@register_method
class H2SPGOTOv3Settings(_WithHierarchy, _WithRegularization):
    """H2SPG with a regularizer in addition to the half-space step (OTOv3, Algorithm 3)."""

    title = "H2SPG of OTOv3"
    summary = (
        "Ranks the structures during warm-up, then drives K of them to zero by a regularizer on their norms"
        " and keeps the network connected."
    )
    citation = (
        "Chen et al., OTOv3: Towards Automatic Sub-Network Search Within General Super Deep Neural Networks,"
        " 2023, Algorithm 3, arXiv:2305.18030v1"
    )
    caution = (
        "The regularizer alone rarely reaches exact zeros; what remains is set to zero at the end of the"
        " projection."
    )
    implementation = "nasviz.optim.create"

    name: Literal["h2spg_otov3"] = "h2spg_otov3"


@register_method
class DHSPGSettings(_WithRegularization):
    """Dual half-space projected gradient (OTOv2): as H2SPG of OTOv3, without the hierarchy."""

    title = "DHSPG"
    summary = (
        "As H2SPG of OTOv3, on the K structures of lowest score, whether or not the network stays connected."
    )
    citation = "Chen et al., OTOv2: Automatic, Generic, User-Friendly, 2023, arXiv:2303.06862"
    caution = (
        "Ignores the hierarchy: the larger K, the more often input and output become disconnected, and no"
        " sub-network can be constructed."
    )
    implementation = "nasviz.optim.create"

    name: Literal["dhspg"] = "dhspg"


@register_method
class HSPGSettings(_WithEpsilon, _WithBase):
    """Half-space stochastic projected gradient (OTO, Algorithm 2)."""

    title = "HSPG"
    summary = "Regularizes all structures; the half-space step decides which ones become zero."
    citation = (
        "Chen et al., Only Train Once: A One-Shot Neural Network Training And Pruning Framework, 2021,"
        " arXiv:2107.07467"
    )
    caution = "Has a limit, but no target, and ignores the hierarchy: a sub-network may not exist."
    implementation = "nasviz.optim.create"
    projection_share = 0.2

    name: Literal["hspg"] = "hspg"
    warmup_steps: Steps = setting(
        0.1,
        "Warm-up steps",
        "Number of steps before half-space projection begins; below 1: a fraction of all steps.",
        unit="steps",
    )
    regularization: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Regularization",
        "Weight of the norms of all structures in the loss; larger values remove more; auto: 0.001, or for"
        f" short runs as much more as may shorten a structure by {_SHORTENED:g} in all steps.",
    )

    max_zeros: float = setting(
        0.5,
        "Largest share of zeros",
        "Share of the structures that may become zero: once it is reached, regularization and half-space test"
        " leave all others alone; 1: no limit, as published.",
        gt=0,
        le=1,
        source="not published",
    )

    def strength(self, schedule: Schedule) -> float:
        """Return the weight of the norms in a run.

        Examples:
            >>> round(HSPGSettings(lr=0.05).strength(Schedule(22, 200, 20, 40)), 3)
            2.5
            >>> HSPGSettings(lr=0.1).strength(Schedule(391, 1_000_000, 100_000, 0))
            0.001
        """
        if self.regularization != AUTO:
            return float(self.regularization)
        return max(_LEAST_STRENGTH, _SHORTENED / (self.lr * schedule.total_steps))

    def resolved(self, schedule: Schedule | None = None) -> dict[str, Any]:
        """Return the settings by name, with the regularization for this number of steps."""
        values = self.values
        if schedule is not None:
            return values | {"regularization": self.strength(schedule)}
        return values | ({"regularization": _LEAST_STRENGTH} if self.regularization == AUTO else {})

    def notes(self, schedule: Schedule) -> dict[str, str]:
        """Return by how much the regularization can shorten a structure."""
        strength, steps = self.strength(schedule), schedule.total_steps
        reach = strength * self.lr * steps
        return {
            "regularization": f"{strength:.3g} shortens a structure by at most {reach:.3g} in {steps:,} steps"
            f" at a learning rate of {self.lr:g}"
        }

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether the regularization can bring a structure to zero."""
        strength, steps = self.strength(schedule), schedule.total_steps
        if (reach := strength * self.lr * steps) >= 1:
            return []
        return [
            f"regularization={strength:g} shortens a structure by at most {reach:.2g} in {steps:,} steps at"
            f" lr={self.lr:g}, so none becomes zero; choose about {_SHORTENED / (self.lr * steps):.2g}, or"
            " more epochs"
        ]

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return lengths and cosines: nothing is ranked."""
        return (NORMS, COSINES)


@register_method
class GSparsitySettings(MethodSettings):
    """Group sparsity by ProxSGD (GSparsity)."""

    title = "GSparsity"
    summary = (
        "Drives operations, or filters, to zero with ProxSGD, prunes the zeros, and continues training"
        " without the penalty. Pooling and identity edges take part through switches."
    )
    citation = (
        "Chatzimichailidis et al., GSparsity: Unifying Network Pruning and Neural Architecture Search by"
        " Group Sparsity, AutoML 2022"
    )
    caution = (
        "Has a limit, but no target, and ignores the hierarchy: a mu that is too large disconnects input and"
        " output."
    )
    implementation = "nasviz.optim.gsparsity"
    lr_schedule = "constant"
    stages = (
        ("projection", "of search with the penalty"),
        ("training", "of training without it"),
    )

    name: Literal["gsparsity"] = "gsparsity"
    lr: float = setting(
        0.05,
        "Learning rate",
        "Step size epsilon towards the proximal point; dead groups shrink by this fraction in every step.",
        gt=0,
        le=1,
    )
    groups: Literal["operations", "switches", "filters", "channels"] = choice(
        "operations",
        "Groups",
        "Unit of pruning: whole operations; switches, a factor on every operation, with the penalty on it"
        " alone (appendix E); filters (channels produced by a single operator); or all"
        " channels, including those tied by residual additions.",
    )
    mu: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Mu",
        "Weight of the penalty; larger values remove more; auto: as much as brings even the longest group,"
        " unless the loss holds it, to zero in a quarter of the search; 0.05 with adaptive steps; 1 with"
        " other updates.",
    )
    max_zeros: float = setting(
        0.75,
        "Largest share of zeros",
        "Share of the groups that the penalty may bring to zero: once so many are dead, the penalty leaves"
        " all others alone; 1: no limit, as published, where mu = 50 removes 141 of 196.",
        gt=0,
        le=1,
        source="not published",
    )
    rho: float = number(0.8, 1e-6, 1, "Rho", "Weight of the new gradient in the momentum.")
    normalisation: Literal["none", "div", "mul"] = choice(
        "none",
        "Normalization",
        "How the penalty of a group depends on the square root of its size: not at all, divided by it"
        " (published for filters), or multiplied by it.",
    )
    adaptive: bool = setting(
        default=False,
        label="Adaptive",
        text="Adapt the step sizes of each group to its gradients (published for filters); otherwise tau is"
        " constant at 1.",
    )
    beta: float = setting(
        0.999,
        "Beta",
        "Weight of the old average of squared gradients in tau; GSparsity searches ImageNet with 0.1.",
        needs={"adaptive": (True,)},
        ge=0,
        lt=1,
        source="GSparsity, appendices B and F",
    )
    update: Literal["proximal", "subgradient", "soft_threshold", "hard_threshold"] = choice(
        "proximal",
        "Update",
        "How groups become short: by the proximal map of ProxSGD; by the subgradient of the same objective"
        " (SGD, appendix G); or by relaxed variable splitting (RVSM) with soft or hard thresholds of groups.",
        source="GSparsity, Algorithm 1, appendix G; RARTS, equation (2.6)",
    )
    coupling: float = setting(
        1.0,
        "Beta of RVSM",
        "Weight of the quadratic penalty between the weights and their thresholded copy; the threshold is mu"
        " over beta, and the square root of twice that if hard.",
        needs={"update": ("soft_threshold", "hard_threshold")},
        gt=0,
        le=_ANY_AMOUNT,
        source="RARTS, equation (2.6)",
    )
    pruning: Literal["proximal", "threshold"] = choice(
        "proximal",
        "Pruning",
        "Groups that are pruned at the end of the search: proximal: also those whose proximal point is zero,"
        " which only lack the steps to get there; threshold: only those that the threshold finds, as"
        " published. The subgradient has no proximal point, so there the threshold decides.",
    )
    threshold: float = number(
        1e-6,
        0,
        _ANY_AMOUNT,
        "Threshold",
        "Groups with at most this norm are pruned at the end of the search.",
        source="GSparsity, table 2",
    )
    projection_steps: Steps = setting(
        0.6,
        "Search steps",
        "Number of search steps; afterwards training continues without the penalty; below 1: a fraction of"
        " all.",
        unit="steps",
    )
    cells: Names = setting(
        (),
        "Tied cells",
        "Classes or path patterns of cells: the same operation in all cells of a class forms one group.",
        needs={"groups": ("operations", "switches")},
        metavar="NAME",
        is_axis=False,
    )
    outside: bool = setting(
        default=False,
        label="Penalty outside of cells",
        text="Penalize operations outside of the tied cells too; without tied cells all are penalized.",
        needs={"groups": ("operations", "switches")},
    )
    emphasis: Names = setting(
        (),
        "Penalty multipliers",
        "Factors on the penalty of filters in modules, given by class or path pattern; published for"
        " ResNet-50: layer2=2, layer3=2.",
        needs={"groups": ("filters", "channels")},
        metavar="NAME=FACTOR",
        is_axis=False,
    )

    def model_post_init(self, context: Any, /) -> None:
        """Check that every entry of `emphasis` is a name and a factor."""
        _ = self.multipliers

    def in_short(self) -> list[str]:
        """Return what the groups are, and mu."""
        usual = ("operations", "proximal")
        names = [name.replace("_", " ") for name in (self.groups, self.update) if name not in usual]
        return [*names, f"mu = {self.mu}" if self.mu == AUTO else f"mu = {self.mu:g}"]

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the lengths, which decide what goes, and cosines."""
        return (Vector("scores", "Length", zero_at=self.threshold), COSINES)

    @property
    def num_steps_to_threshold(self) -> float:
        """Number of steps in which a dead group of norm 1 shrinks to the threshold; infinite for 0."""
        if self.threshold >= 1:
            return 0
        # The group is multiplied by 1 - lr in each step.
        rest = math.log1p(-self.lr) if self.lr < 1 else -math.inf
        return math.ceil(math.log(self.threshold) / rest) if self.threshold else math.inf

    def strength(self, length: float, num_steps: int) -> float:
        """Return the mu that brings a group of this length to zero in a quarter of so many search steps.

        Examples:
            >>> GSparsitySettings().strength(6.4, 432)
            1.0
            >>> GSparsitySettings(mu=0.2).strength(6.4, 432)
            0.2
        """
        if self.fixed_mu is not None:
            return self.fixed_mu
        # A group loses lr mu in a step until it is as short as mu; from then on its proximal point is zero.
        return length / (1 + self.lr * num_steps / 4)

    @property
    def fixed_mu(self) -> float | None:
        """Mu where it does not depend on the network; None where it does."""
        if self.mu != AUTO:
            return float(self.mu)
        if self.update != "proximal":
            return 1.0
        return _ADAPTIVE_MU if self.adaptive else None

    @property
    def swing(self) -> float:
        """Length at which the subgradient leaves a group that should be zero; without normalization."""
        return self.lr * (self.fixed_mu or 0.0)

    @property
    def reach(self) -> float:
        """Length up to which RVSM sets the copy of a group to zero; without normalization."""
        gamma = (self.fixed_mu or 0.0) / self.coupling
        return (2 * gamma) ** 0.5 if self.update == "hard_threshold" else gamma

    def notes(self, schedule: Schedule) -> dict[str, str]:
        """Return what mu reaches, how many steps the threshold needs, and how many steps there are."""
        return self._note_of_mu(schedule.projection_steps) | self._notes_of_update(schedule)

    def _note_of_mu(self, steps: int) -> dict[str, str]:
        fixed = self.fixed_mu
        if fixed is None:
            return {"mu": f"auto: the length of the longest group over {1 / self.strength(1, steps):.3g}"}
        if self.adaptive or self.update != "proximal":
            return {"mu": f"auto: {fixed:g}"} if self.mu == AUTO else {}
        longest = fixed * (1 + self.lr * steps)
        return {"mu": f"{steps:,} steps of search bring groups of up to {longest:.3g} to zero"}

    def _notes_of_update(self, schedule: Schedule) -> dict[str, str]:
        if self.update == "subgradient":
            swing = f"a group that should be zero swings at a length of about lr mu = {self.swing:.2g}"
            return {"threshold": f"{swing}, without normalization or emphasis"}
        if self.update != "proximal":
            words = (
                f"a group goes if its length is at most {self.reach:.3g}, without normalization or emphasis"
            )
            return {"coupling": words}
        needed, there = self.num_steps_to_threshold, schedule.projection_steps
        left = (1 - self.lr) ** there
        text = (
            f"{needed:,} steps bring a dead group from 1 down to {self.threshold:g}; the search has"
            f" {there:,}, which leave {left:.2g}"
        )
        if there < needed and self.pruning == "proximal":
            text += ": groups whose proximal point is zero are set to zero at its end"
        return {"threshold": text}

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether groups can get to zero in the search, and whether its steps are stable."""
        if self.update == "subgradient":
            if not self.swing or self.threshold >= self.swing:
                return []
            return [
                f"threshold={self.threshold:g}: the subgradient brings no group to it, steps have a length of"
                f" their own; raise it above lr mu = {self.swing:.2g}, where groups that should be zero swing"
            ]
        found = []
        if self.update != "proximal" and self.lr * self.coupling >= 2:
            found.append(
                f"lr={self.lr:g} times coupling={self.coupling:g} is {self.lr * self.coupling:g}: from 2 on"
                " each step overshoots the copy by more than it was away, and the weights diverge; lower one"
                " of them"
            )
        if self.pruning == "proximal":
            return found
        if self.update != "proximal":
            words = "weights stay where gradient and coupling balance, only their copy becomes zero"
            return [*found, f"threshold={self.threshold:g}: {words}; choose pruning=proximal"]
        if not self.threshold:
            return [
                "threshold=0 is never reached: a dead group only shrinks; choose 1e-6, or pruning=proximal"
            ]
        needed = self.num_steps_to_threshold
        if schedule.projection_steps >= needed:
            return []
        return [
            f"the search takes {schedule.projection_steps} steps, and a dead group needs {needed} to come"
            f" down to threshold={self.threshold:g} at lr={self.lr:g}; raise lr, the threshold or the epochs,"
            " or choose pruning=proximal"
        ]

    @property
    def multipliers(self) -> dict[str, float]:
        """Factors in `emphasis`, by name.

        Raises:
            InvalidSettingError: An entry is not `NAME=FACTOR` with a factor above 0.
        """
        found = {}
        for text in self.emphasis:
            name, _, factor = text.rpartition("=")
            try:
                found[name] = float(factor)
            except ValueError:
                found[name] = 0.0
            if not name or not 0 < found[name] < float("inf"):
                raise refuse("emphasis", text, "NAME=FACTOR with a factor above 0, such as layer2=2", ())
        return found


class _WithClip(_WithBase):
    """Methods that clip the gradient of the weights."""

    clip: float = number(5.0, 1e-6, 1e9, "Gradient clipping", "Maximum norm of the gradient of the weights.")


def _copies_setting(label: str, text: str, **more: Any) -> Any:
    """Declare lambda or beta of RARTS."""
    source = "RARTS, figure 2.1; not published for networks"
    return number(10.0, 0, _ANY_AMOUNT, label, text, source=source, **more)


_auxiliary_weight = partial(
    _copies_setting,
    "Lambda: weight of the auxiliary copy",
    "Weight of the loss of the auxiliary copy of the weights; above 1/2 in the analysis.",
)
_coupling = partial(
    _copies_setting,
    "Beta: coupling strength",
    "Weight of the quadratic penalty that couples the two copies of the weights; above 3/2 in the analysis.",
)


class _WithCopies(_WithClip):
    """Variants of RARTS: two copies of the weights, coupled by a quadratic penalty."""

    lr: float = setting(
        0.01,
        "Learning rate",
        "Learning rate at the first step; lower than for other methods, because the auxiliary copy learns at"
        " lambda times this rate.",
        **RATE,
    )
    auxiliary_weight: float = _auxiliary_weight()
    coupling: float = _coupling()

    def check(self, schedule: Schedule) -> list[str]:
        """Return the conditions of the document that these settings violate."""
        reasons = super().check(schedule)
        if self.auxiliary_weight <= 0.5 or self.coupling <= 1.5:
            reasons.append(
                f"auxiliary_weight={self.auxiliary_weight:g} and coupling={self.coupling:g} are outside of"
                " lambda > 1/2 and beta > 3/2, the conditions under which the document shows that RARTS"
                " converges (examples 2.4 and 2.7); figure 2.1 has 10 and 10"
            )
        # Theorem 2.2 bounds both rates by 1/2 (beta/2 + a multiple of L)^-1, which is below 1 / beta.
        if self.base == "sgd" and self.coupling * self.lr >= 1:
            reasons.append(
                f"lr={self.lr:g} is not below 1 / coupling = {1 / self.coupling:g}: the Lagrangian may rise"
                " at any smoothness of the loss (theorem 2.2)"
            )
        return reasons


class _WithArchitecture(_WithClip):
    """Methods whose architecture parameters are switches at the inputs of joint vertices."""

    num_batches = 2
    is_distributed = False
    data_kinds = ("images", "text")
    implementation = "nasviz.nas.create"
    stages: ClassVar[tuple[tuple[str, str], ...]] = (("warm-up", "of warm-up"), ("search", "of search"))

    warmup_steps: StepsOrNone = setting(
        0.1,
        "Warm-up steps",
        "Number of initial steps that train only the weights; below 1: a fraction of all steps; 0: none, as"
        " published.",
        unit="steps",
    )


class _WithSoftmax(_WithArchitecture):
    """Methods that weight operations by a softmax and keep the strongest."""

    caution = (
        "Every operation starts with the same weight. The derived network loses most of what the full network"
        " has learned: retrain it before you evaluate it."
    )

    architecture_lr: Annotated[float, Field(gt=0, le=1000)] | Auto = setting(
        AUTO,
        "Architecture learning rate",
        "Learning rate of Adam for the architecture parameters; auto:"
        f" {PUBLISHED_ARCHITECTURE_LR:g}, as published for {_PUBLISHED_STEPS:,} steps of search, and for"
        f" fewer steps as much more, at most {_LARGEST_RATE:g}.",
        source="DARTS, section 3.1",
    )
    architecture_weight_decay: float = number(
        1e-3,
        0,
        100,
        "Architecture weight decay",
        "Weight decay of the architecture parameters; at zero all operations have equal weight.",
        source="DARTS, section 3.1",
    )
    over: Literal["auto", "edge", "node"] = choice(
        "auto",
        "Softmax over",
        "Scope of each softmax: the candidates of one edge, or all inputs of a joint vertex; auto: edges if"
        " the network consists of cells.",
    )
    edges_per_node: Annotated[int, Field(ge=0, le=1000)] | Auto = setting(
        AUTO,
        "Edges per node",
        "Number of edges that each node keeps, with the strongest operation of each; 0: all; auto: as"
        " published for the cells, 2 in DARTS.",
    )

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the shares of the softmax; each node keeps the strongest operations."""
        return (Vector("scores", "Weight", zero_at=0.0, weighs=True, num_kept=kept_edges),)

    def rate(self, schedule: Schedule) -> float:
        """Return the architecture learning rate of a run.

        Examples:
            >>> DARTSSettings().rate(Schedule(390, 19_500, 0, 0))
            0.0003
            >>> round(DARTSSettings().rate(Schedule(11, 110, 10, 0)), 4)
            0.0585
        """
        if self.architecture_lr != AUTO:
            return float(self.architecture_lr)
        scaled = PUBLISHED_ARCHITECTURE_LR * _PUBLISHED_STEPS / max(1, _search_steps(schedule))
        return min(max(scaled, PUBLISHED_ARCHITECTURE_LR), _LARGEST_RATE)

    def resolved(self, schedule: Schedule | None = None) -> dict[str, Any]:
        """Return the settings by name, with the architecture learning rate for this number of steps."""
        if schedule is None:
            return self.values
        return self.values | {"architecture_lr": self.rate(schedule)}

    def notes(self, schedule: Schedule) -> dict[str, str]:
        """Return the architecture learning rate, and how far it can carry a parameter."""
        steps, rate = _search_steps(schedule), self.rate(schedule)
        return {
            "architecture_lr": f"{rate:.3g} over {steps:,} steps of search: a parameter can move by"
            f" {rate * steps:.2g} (published: {PUBLISHED_ARCHITECTURE_LR * _PUBLISHED_STEPS:.2g})"
        }

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether the architecture parameters can move far enough to prefer an operation."""
        num_steps, rate = _search_steps(schedule), self.rate(schedule)
        # Adam moves a parameter by about its rate, so two of them drift apart by twice that in a step.
        ratio = math.exp(min(2 * rate * num_steps, 700))
        reasons = super().check(schedule)
        if ratio < DECISIVE:
            needed = math.log(DECISIVE) / (2 * max(1, num_steps))
            reasons.append(
                f"at architecture_lr={rate:g} no operation gets more than {ratio:.2f} times the share of"
                f" another in {num_steps} search steps; choose at least {needed:.1g}, or more epochs"
            )
        return reasons


def _search_steps(schedule: Schedule) -> int:
    """Return the number of steps in which a relaxed method moves the architecture."""
    return schedule.total_steps - schedule.warmup_steps


class _WithOrder(_WithArchitecture):
    """Methods with a first-order and a second-order approximation."""

    order: Literal["first", "second"] = choice(
        "first",
        "Order",
        "Second order differentiates through one step of the weights, at about four times the cost.",
    )


@register_method
class DARTSSettings(_WithSoftmax, _WithOrder):
    """Differentiable architecture search (DARTS)."""

    title = "DARTS"
    summary = (
        "Weights operations by a softmax; trains the weights on one half of the images, the architecture on"
        " the other."
    )
    citation = "Liu et al., DARTS: Differentiable Architecture Search, 2019, arXiv:1806.09055"

    name: Literal["darts"] = "darts"


@register_method
class MiLeNASSettings(_WithSoftmax):
    """Mixed-level search (MiLeNAS)."""

    title = "MiLeNAS"
    summary = "As first-order DARTS, but trains the architecture on both halves of the images."
    citation = (
        "He et al., MiLeNAS: Efficient Neural Architecture Search via Mixed-Level Reformulation, 2020,"
        " arXiv:2003.12238"
    )

    name: Literal["milenas"] = "milenas"
    validation_weight: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Lambda: validation weight",
        "Weight of the loss on the second half of the images, added to that on the first half.",
    )


@register_method
class RARTSSettings(_WithSoftmax, _WithCopies):
    """Relaxed architecture search by splitting (RARTS)."""

    title = "RARTS"
    summary = (
        "Trains two coupled copies of the weights, each on one half of the images, with a shared"
        " architecture."
    )
    citation = f"{_XUE}, algorithm 2, {_ESCHOLARSHIP}"

    name: Literal["rarts"] = "rarts"
    latency_weight: float = number(
        0.0,
        0,
        _ANY_AMOUNT,
        "Gamma: latency weight",
        "Penalty per millisecond of latency, measured on the device; published: 0.002.",
        unit="1/ms",
        source="RARTS, section 3.4",
    )


@register_method
class SparseNASSettings(_WithOrder):
    """Sparse group lasso on the weights of operations (SparseNAS)."""

    title = "SparseNAS"
    summary = (
        "Gives every operation a weight, with a growing sparse group lasso whose zeros are exact; any number"
        " of operations may remain at each node."
    )
    citation = "Wu et al., Neural Architecture Search as Sparse Supernet, AAAI 2021, arXiv:2101.06658"
    caution = "The penalty acts per epoch: with few steps no operation reaches zero."
    stages = (("warm-up", "of warm-up"), ("search", "of search"), ("training", "of training without penalty"))

    name: Literal["sparsenas"] = "sparsenas"
    architecture_lr: float = setting(
        0.01,
        "Architecture learning rate",
        "Learning rate of HAPG for the weights of operations.",
        **RATE,
        source="not published",
    )
    adaptive: bool = setting(
        default=True, label="Adaptive", text="Use AdamHAPG, with the step sizes of Adam, instead of HAPG."
    )
    balance: float = number(
        0.5,
        0,
        1,
        "Alpha: group lasso balance",
        "With 1 single operations become zero, with 0 whole nodes; published: 0.5.",
        source="SparseNAS, table 4",
    )
    penalty_step: Annotated[float, Field(ge=0, le=_ANY_AMOUNT)] | Auto = setting(
        AUTO,
        "Lambda per epoch",
        "Increase of lambda, the weight of the penalty, per epoch; auto: the published 0.01, or as much more"
        " as takes lambda to its maximum in the last epoch of a search that ends at a target share, and to"
        f" {_REACHED_LAMBDA:g} in one without.",
        source="SparseNAS, effect of lambda",
    )
    penalty_cap: float = number(
        1.0, 0, _ANY_AMOUNT, "Maximum lambda", "Upper bound of lambda.", source="not published"
    )
    inertia_cap: float = number(
        0.9,
        0,
        1,
        "Maximum inertia",
        "Upper bound of the momentum u_t = (t - 2) / (t + 1) of HAPG; 1: none, as published, which diverges"
        " with the noise of batches.",
        source="SparseNAS, equation (8)",
    )
    target_zeros: float = setting(
        0.5,
        "Target share of zeros",
        "Share of the operations that the search silences: once it is reached, or the search steps are done,"
        " zeros are held, and training continues without the penalty; what lambda has not silenced by then is"
        " completed by the smallest weights; 0: no target, lambda rises to the end of the run, as published.",
        ge=0,
        lt=1,
        source="not published",
    )
    search_steps: Steps = setting(
        0.75,
        "Maximum search steps",
        "Number of steps in which lambda rises at most, if there is a target share; training without the"
        " penalty takes the rest; below 1: a fraction of all steps.",
        unit="steps",
        source="not published",
    )

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return the weights of the operations; those at 0 are silenced."""
        return (Vector("scores", "Weight", zero_at=0.0, weighs=True),)

    def num_search_steps(self, schedule: Schedule) -> int:
        """Return the number of steps in which lambda may rise: without a target all after the warm-up."""
        rest = _search_steps(schedule)
        if not self.target_zeros:
            return rest
        asked = self.search_steps
        wanted = max(1, round(schedule.total_steps * asked)) if isinstance(asked, float) else asked
        return min(wanted, rest)

    def step_of_lambda(self, schedule: Schedule) -> float:
        """Return the increase of lambda per epoch.

        Examples:
            >>> SparseNASSettings(target_zeros=0.0).step_of_lambda(Schedule(11, 440, 44, 0))
            0.01
            >>> round(SparseNASSettings().step_of_lambda(Schedule(11, 440, 44, 0)), 4)
            0.0345
        """
        if self.penalty_step != AUTO:
            return float(self.penalty_step)
        last = (self.num_search_steps(schedule) - 1) // schedule.steps_per_epoch
        reached = self.penalty_cap if self.target_zeros else _REACHED_LAMBDA
        return max(0.01, reached / max(1, last))

    def resolved(self, schedule: Schedule | None = None) -> dict[str, Any]:
        """Return the settings by name, with steps of lambda and of the search for this number of steps."""
        if schedule is None:
            return self.values
        found = {
            "penalty_step": self.step_of_lambda(schedule),
            "search_steps": self.num_search_steps(schedule),
        }
        return self.values | found

    def phases(self, schedule: Schedule) -> tuple[Phase, ...]:
        """Return the phases of a run whose search takes as long as it may."""
        search = self.num_search_steps(schedule)
        lengths = (schedule.warmup_steps, search, _search_steps(schedule) - search)
        stages = zip(self.stages, lengths, strict=True)
        return tuple(Phase(name, steps, purpose) for (name, purpose), steps in stages if steps)

    def notes(self, schedule: Schedule) -> dict[str, str]:
        """Return how far lambda can rise."""
        step, last = self.step_of_lambda(schedule), self._last_epoch(schedule)
        reached = min(step * last, self.penalty_cap)
        return {
            "penalty_step": f"{step:.3g} per epoch: lambda rises to at most {reached:.3g} in"
            f" {last + 1} epochs of search (published: 0.5 in 50 epochs)"
        }

    def check(self, schedule: Schedule) -> list[str]:
        """Return whether lambda, which is 0 in the first epoch, rises, and whether the steps suffice."""
        step, last = self.step_of_lambda(schedule), self._last_epoch(schedule)
        if min(last * step, self.penalty_cap) <= 0:
            return [
                f"lambda rises with each epoch from 0, and stays there: penalty_step={step:g},"
                f" penalty_cap={self.penalty_cap:g} and {max(0, last) + 1} epochs of search"
            ]
        # A weight starts at 1, and Adam moves it by about the rate in a step.
        needed = math.ceil(1 / self.architecture_lr)
        if (steps := self.num_search_steps(schedule)) < needed:
            epochs = math.ceil(needed / steps * schedule.total_steps / schedule.steps_per_epoch)
            return [
                f"operations start at weight 1, and need about {needed} steps to reach 0 at architecture_lr="
                f"{self.architecture_lr:g}; the search has {steps}: train about {epochs} epochs"
            ]
        return []

    def _last_epoch(self, schedule: Schedule) -> int:
        return max(0, (self.num_search_steps(schedule) - 1) // schedule.steps_per_epoch)


class _WidthSettings(_WithCopies):
    """Methods that score channels and prune a fraction of them (RARTS dissertation, chapter 4)."""

    num_batches = 2
    is_distributed = False
    implementation = "nasviz.nas.width_search"
    stages = (("projection", "of scoring"), ("training", "of tuning"))

    search: Literal["rarts", "darts_first", "darts_second", "random"] = choice(
        "rarts",
        "Search",
        "What moves the scores: RARTS with two copies of the weights; DARTS of first or second order, weights"
        " on one half of the images and scores on the other; random: nothing, channels go at random.",
        source="RARTS, table 4.2",
    )
    auxiliary_weight: float = _auxiliary_weight(needs={"search": ("rarts",)})
    coupling: float = _coupling(needs={"search": ("rarts",)})
    fraction: float = setting(
        0.4,
        "Fraction to prune",
        "Fraction of the channels to prune, in order of score; 0: those whose score is exactly 0.",
        ge=0,
        lt=1,
    )
    ranking: Literal["global", "layer"] = choice(
        "global", "Ranking", "Rank all channels together, or prune the same fraction of each layer."
    )
    sparsity: float = number(
        1e-4,
        0,
        _ANY_AMOUNT,
        "Gamma: L1 weight",
        "Weight of the L1 norm of the scores; published: 0.0001.",
        needs={"search": _LEARNED},
        source="RARTS, section 4.1",
    )
    scores_lr: float = setting(
        0.1,
        "Learning rate of scores",
        "Learning rate of the channel scores.",
        **RATE,
        needs={"search": _LEARNED},
        source="not published",
    )
    distillation: float = number(
        1.0,
        0,
        _ANY_AMOUNT,
        "Distillation weight",
        "Weight of distillation from the network before pruning; 0: none.",
    )
    temperature: float = setting(
        4.0,
        "Distillation temperature T",
        "Divisor of the logits of both networks in the distillation.",
        gt=0,
        le=1000,
        source="RARTS, section 4.2",
    )
    projection_steps: Steps = setting(
        0.6,
        "Search steps",
        "Number of search steps, before fine-tuning; below 1: a fraction of all steps.",
        unit="steps",
    )

    def in_short(self) -> list[str]:
        """Return the share that is pruned, and how it is searched for where that is not RARTS."""
        share = f"{self.fraction:.0%} of the {getattr(self, 'groups', 'channels')}"
        names = [] if self.search == "rarts" else [self.search.replace("_", " ")]
        return [*([share] if self.fraction else []), *names]

    def model_post_init(self, context: Any, /) -> None:
        """Check that random channels are asked for by their share."""
        if self.search == "random" and not self.fraction:
            raise refuse("fraction", self.fraction, "above 0 with search='random': no score becomes 0", 0.4)

    def check(self, schedule: Schedule) -> list[str]:
        """Return the conditions of RARTS that these settings violate."""
        return super().check(schedule) if self.search == "rarts" else []

    def vectors(self, kept_edges: int = 0) -> tuple[Vector, ...]:
        """Return nothing: scores are those of channels, not of structures."""
        return ()


@register_method
class RARTSWidthSettings(_WidthSettings):
    """RARTS for channel scores."""

    title = "RARTS width search"
    summary = (
        "Two copies of the weights share channel scores; the channels with the lowest scores are pruned, and"
        " the rest is fine-tuned with distillation."
    )
    citation = f"{_XUE}, algorithm 3, {_ESCHOLARSHIP}"
    caution = "Removes channels only. A step costs four passes over two batches."

    name: Literal["rarts_width"] = "rarts_width"
    groups: Literal["channels", "filters"] = choice(
        "channels", "Groups", "Scored channels: all, or only those produced by a single operator."
    )


@register_method
class SiDTSettings(_WidthSettings):
    """RARTS for the dimensions of transformers (SiDT)."""

    title = "SiDT"
    summary = (
        "RARTS width search for transformers: scores every head dimension, shared by queries, keys, values"
        " and all heads, and every hidden dimension of the feed-forward layers."
    )
    citation = f"{_XUE}, section 4.3, {_ESCHOLARSHIP}"
    caution = "Applies to networks with linear layers. Every head keeps at least one dimension."

    name: Literal["sidt"] = "sidt"
