"""Slim: channel groups brought to zero beside whole structures (OTOv2's DHSPG, over any search optimizer).

A channel group is a few rows of several tensors. Warm-up: the search optimizer trains, and groups are scored.
At its end those of lowest score are selected, as many as every operator can spare. Then they come to zero as
structures do: by the half-space test, by shrinking, or by regularisation and the test.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor

from nasviz.errors import CheckpointError, InvalidSettingError, InvalidSparsityError
from nasviz.graph import SearchSpace
from nasviz.optim import waiting
from nasviz.optim.group_optimizer import GroupOptimizer, SelectingOptimizer, WarmUpScores
from nasviz.optim.groups import Rows, SpaceBinding, TensorGroup, count_of
from nasviz.optim.h2spg import H2SPG, H2SPGOTOv3, Regularization
from nasviz.optim.halfspace import ParameterHistory, has_left_halfspace, learning_rates, progressive_factor
from nasviz.optim.search_optimizer import Share, below_one, positive_steps
from nasviz.saliency import AnySaliency
from nasviz.saliency.reductions import RowIndex
from nasviz.settings.schedule import steps_between_scores

__all__ = ["SelectChannels", "Slim", "check_slim", "slimming"]

_PHASES = ("warm-up", "projection", "training")
_SHARED = ("warmup_steps", "epsilon", "score_every", "score_momentum", "generator")
"""Settings that channel groups take over from the search."""

SelectChannels = Callable[[Mapping[int, float], Collection[int]], Sequence[int]]
"""Scores of all channel groups, and the structures that go, to the groups that go."""


class Slim(GroupOptimizer):
    """A search optimizer that slims the operators it leaves.

    Args:
        inner: Brings structures to zero, and trains; its settings and schedules stay in force.
        index: The channel groups.
        select: Called with the scores when the warm-up ends.
        warmup_steps: T_w, at least 1.
        projection_steps: At whose end all selected groups are set to zero; `None`: nothing is forced.
        projection: `both` tests the half-space and shrinks; `progressive` and `halfspace` do one of these.
        regularization: How groups are pulled to zero before the test (DHSPG), instead of shrinking.
        epsilon: Offset of the half-space in [0, 1).
        saliency: A score that can be read from a step.
        score_every: Score at every n-th step of the warm-up; `None`: about 32 times in all.
        score_momentum: Weight of the past in the running average of the scores.
        generator: Where a random saliency draws from.
    """

    takes_group_optimizers = True
    cuts_channels = True
    inner: SelectingOptimizer

    def __init__(
        self,
        inner: SelectingOptimizer,
        index: RowIndex,
        select: SelectChannels,
        *,
        warmup_steps: int,
        projection_steps: int | None,
        projection: str = "both",
        regularization: Regularization | None = None,
        epsilon: float = 0.0,
        saliency: AnySaliency = "snip",
        score_every: int | None = None,
        score_momentum: float = 0.9,
        generator: Generator | None = None,
    ) -> None:
        self.slim_warmup_steps = positive_steps("warmup_steps", warmup_steps)
        self.slim_projection_steps = projection_steps
        self.projection, self.epsilon = projection, below_one("epsilon", epsilon)
        self._rule = regularization
        self._index, self._select = index, select
        self._scores = WarmUpScores(
            index,
            saliency,
            every=positive_steps("score_every", steps_between_scores(score_every, warmup_steps)),
            momentum=below_one("score_momentum", score_momentum),
            generator=generator,
        )
        self._history = ParameterHistory(index.tensors)
        self._chosen: Tensor | None = None
        """Which groups are selected, on the device; `None` before the warm-up has ended."""
        self._left_at = torch.full((len(index.ids),), -1, dtype=torch.int64, device=index.device)
        """Step at which each group left its half-space, on the device; -1 where it has not."""
        self._ended_at: int | None = None
        """Step at whose end all selected groups are held at zero."""
        self._is_lazy = not waiting.reads_at_once(index.device)
        """Whether reading a decision would make the host wait."""
        super().__init__(inner, index.tensors)

    def share_scores(self, average_: Share) -> None:
        """Average the scores of structures and channel groups over several processes before the selection."""
        self._scores.share = average_
        self.inner.share_scores(average_)

    def aim(self, num_selected: int) -> str:
        """Return what goes: structures, and channel groups besides."""
        slim, space = self.asked["slim"], self.space
        share = f"{slim:.0%}" if isinstance(slim, float) else f"{slim}"
        return f"{super().aim(num_selected)}, and {share} of {len(space.channels)} channel groups"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return what the search optimizer records."""
        return self.inner.vectors(phase)

    @property
    def phase(self) -> str:
        """The earlier of both phases."""
        return min(self.inner.phase, self.slim_phase, key=_PHASES.index)

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self.inner.structure_ids

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures chosen as redundant."""
        return self.inner.selected

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The structures that go with the selected ones."""
        return self.inner.orphaned

    @property
    def is_valid(self) -> bool | None:
        """Whether the network stays connected without what is selected."""
        return self.inner.is_valid

    @property
    def scores(self) -> dict[int, float]:
        """Averaged score of each structure."""
        return self.inner.scores

    @property
    def score_vector(self) -> Tensor | None:
        """Averaged scores of the structures, on the device."""
        return self.inner.score_vector

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure of `zeroed_by` became zero."""
        return self.inner.zeroed_at

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by` that the host knows of already."""
        return self.inner.known_zero

    @property
    def num_zero(self) -> Tensor:
        """How many structures are zero for good, on the device."""
        return self.inner.num_zero

    def norm_vector(self) -> Tensor:
        """||x_g|| of each structure as it is now, on the device."""
        return self.inner.norm_vector()

    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of each structure before a step, on the device."""
        return self.inner.cosine_vector()

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel groups chosen as redundant; empty before the warm-up has ended."""
        return () if self._chosen is None else self._ids(self._chosen)

    @property
    def channel_scores(self) -> dict[int, float]:
        """Averaged score of each channel group; empty before the first step."""
        return self._scores.by_id()

    @property
    def channels_zeroed_by(self) -> dict[int, str]:
        """What made each channel group zero that is so for good; on a GPU, reading it waits for a step."""
        reason = "progressive" if self._rule is None else "end of projection"
        return {i: "half-space" if left >= 0 else reason for i, left in self._zeroed()}

    @property
    def channels_zeroed_at(self) -> dict[int, int]:
        """The step at which each of `channels_zeroed_by` became zero, counted from 0; waits as that does."""
        return {i: left if left >= 0 else self._ended_at or 0 for i, left in self._zeroed()}

    @property
    def slim_phase(self) -> str:
        """`warm-up`, `projection` as long as something selected is not known to be zero, then `training`."""
        if self._chosen is None:
            return "warm-up"
        return "training" if self._is_done else "projection"

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good; on a GPU, reading it waits for the last step."""
        self._settle()
        return self.inner.zeroed_by

    @property
    def _is_done(self) -> bool:
        return self._ended_at is not None

    @property
    def _is_zero(self) -> Tensor:
        """Which groups have been made zero, on the device."""
        if self._chosen is not None and self._is_done:
            return self._chosen
        return self._left_at >= 0

    def _zeroed(self) -> list[tuple[int, int]]:
        """The groups that are zero, each with the step at which it left its half-space, or -1."""
        self._settle()
        found = zip(self._index.ids, self._left_at.tolist(), self._is_zero.tolist(), strict=True)
        return [(i, left) for i, left, is_zero in found if is_zero]

    @property
    def _is_forced(self) -> bool:
        """Whether all selected groups are set to zero at the end of the projection."""
        return self.slim_projection_steps is not None and (
            self._rule is not None or self.projection != "halfspace"
        )

    def _update(self) -> None:
        phase = self.slim_phase
        if phase == "warm-up":
            self._scores.around(self._inner_step, self.num_steps, self.param_groups)
        elif phase == "projection":
            self._project(self.num_steps - self.slim_warmup_steps)
        else:
            self._inner_step()

    def _after_step(self) -> None:
        self.num_selections = self.inner.num_selections
        if self._chosen is None and self.num_steps >= self.slim_warmup_steps:
            chosen = set(self._select(self._scores.final(), (*self.inner.selected, *self.inner.orphaned)))
            mask = torch.tensor([i in chosen for i in self._index.ids], dtype=torch.bool)
            self._chosen = mask.to(self._index.device)
            self._ended_at = None if chosen else self.num_steps - 1

    def _project(self, step: int) -> None:
        """Trial step, pull, half-space test, shrink."""
        assert self._chosen is not None
        tests = self.projection != "progressive" or self._rule is not None
        before = self._history.start() if tests else []
        self._inner_step()
        if self._rule is not None:
            self._pull(before, self._rule)
        if tests:
            dot, square = (self._index.dot(side, before) for side in (self._index.tensors, before))
            has_left = self._chosen & has_left_halfspace(dot, square, self.epsilon) & (self._left_at < 0)
            self._left_at = torch.where(has_left, self.num_steps, self._left_at)
        last = self.slim_projection_steps if self._is_forced else None
        if last is not None and step >= last - 1:
            self._hold()
            return
        factor = progressive_factor(step, last) if last is not None and self._rule is None else 1.0
        values = torch.where(self._chosen, factor, 1.0) * ~self._is_zero
        torch._foreach_mul_(self._index.tensors, self._index.factors(values))
        if not self._is_lazy:
            self._settle()

    def _settle(self) -> None:
        """Read whether all selected groups have left their half-space; then hold them at zero for good."""
        if self._chosen is None or self._is_done or self._is_forced:
            return
        if bool((self._is_zero | ~self._chosen).all()):
            self._hold()

    def _pull(self, before: Sequence[Tensor], rule: Regularization) -> None:
        """Subtract lr lambda_g x_t / ||x_t|| in the selected groups (OTOv2's DHSPG)."""
        assert self._chosen is not None
        index = self._index
        rates = learning_rates(index.tensors, self.param_groups)
        moved = self._history.directions(rates)
        norm = index.norm(before)
        coefficients = rule.coefficients(index.dot(before, moved), norm, index.norm(moved))
        pull = torch.where(self._chosen & (norm > 0), coefficients / norm, 0.0)
        # `factors` gives rows of no group a 1: what is subtracted there is multiplied by nothing.
        for tensor, value, factor, rate in zip(
            index.tensors, before, index.factors(1 - pull), rates, strict=True
        ):
            tensor.add_(value * (1 - factor), alpha=-rate)

    def _hold(self) -> None:
        """Set all selected groups to zero for good."""
        assert self._chosen is not None
        self._ended_at = self.num_steps
        rows = zip(self._index.tensors, self._index.dims, self._index.rows_of(self._chosen), strict=True)
        self._hold_at_zero(TensorGroup((), tuple(Rows(t, d, i) for t, d, i in rows if len(i))))

    def _ids(self, mask: Tensor) -> tuple[int, ...]:
        return tuple(i for i, is_in in zip(self._index.ids, mask.tolist(), strict=True) if is_in)

    def _own_state(self) -> dict[str, Any]:
        self._settle()
        return {
            "search": self.inner.own_state(),
            "channel_scores": self._scores.state(),
            "channels": None if self._chosen is None else list(self.channels),
            "channels_left_at": self._left_at,
            "channels_ended_at": self._ended_at,
            "num_channels": len(self._index.ids),
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        self.inner.check_own_state(own["search"])
        self._scores.check(own["channel_scores"])
        if own["num_channels"] != len(self._index.ids):
            raise CheckpointError(
                f"this state is of {own['num_channels']} channel groups, this optimizer has"
                f" {len(self._index.ids)}; generate the search space from the same network"
            )

    def _load_own_state(self, own: dict[str, Any]) -> None:
        self.inner.load_own_state(own["search"])
        self._scores.load(own["channel_scores"])
        device = self._index.device
        channels = None if own["channels"] is None else set(own["channels"])
        if channels is None:
            self._chosen = None
        else:
            self._chosen = torch.tensor([i in channels for i in self._index.ids], dtype=torch.bool).to(device)
        self._left_at = own["channels_left_at"].to(device, copy=True)
        self._ended_at = own["channels_ended_at"]


def check_slim(space: SearchSpace, slim: int | float, divisible: int) -> int:
    """Return the requested number of channel groups, after a check that so many can go.

    Raises:
        InvalidSparsityError: More than every operator can spare.
        InvalidSettingError: The network has no channel groups, or widths cannot be multiples of `divisible`.
    """
    channels = space.channels
    if not isinstance(divisible, int) or divisible < 1:
        raise InvalidSettingError(f"group_divisible={divisible!r}: must be a whole number, at least 1")
    if not len(channels):
        raise InvalidSettingError(
            f"slim={slim}: this network has no channels that can be cut;"
            " `space.channels.why_not(vertex)` says why, so leave slim at 0"
        )
    count, most = count_of(slim, len(channels), "slim", "channel groups"), channels.max_groups()
    if not 0 <= count <= most and isinstance(slim, int):
        raise InvalidSparsityError(
            f"slim={slim} asks to cut {count} of {len(channels)} channel groups, but only {most} can go"
            f" before an operator has no channel left; choose at most {most}"
        )
    return min(count, most)


def slimming(
    inner: H2SPG | H2SPGOTOv3,
    binding: SpaceBinding,
    slim: int | float,
    divisible: int,
    settings: Mapping[str, Any],
) -> Slim:
    """`inner` with channel groups besides; they are scored, selected and projected as its structures are."""
    chosen = {name: settings[name] for name in _SHARED if name in settings}
    saliency = settings.get("saliency", "snip")
    if isinstance(saliency, Mapping):
        saliency = "snip"  # finished scores are of structures
    if isinstance(inner, H2SPG):
        chosen["projection"] = inner.projection
    else:
        chosen["regularization"] = Regularization(inner.regularization, inner.amplify, inner.cap)
    return Slim(
        inner,
        binding.channel_index(),
        partial(binding.select_channels, slim=slim, divisible=divisible),
        projection_steps=inner.projection_steps,
        saliency=saliency,
        **chosen,
    )
