"""Base classes of optimizers over groups, each with one more idea.

- `GroupOptimizer`: an inner `torch.optim` optimizer makes every step, so its foreach and fused paths, its
  parameter groups and its schedules are those of torch. A group that has become zero never leaves it: its
  gradient is taken away before each inner step, its buffers are zero, and its variables are pinned after it.
- `ProjectingOptimizer`: half-space steps, and which groups are redundant and which are zero already.
- `SelectingOptimizer`: a warm-up with averaged saliency scores, and a selection at its end (ASGNAS,
  Algorithm 3, lines 2-11). Once all selected groups are zero, the inner optimizer continues with the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite
from typing import Any, ClassVar, overload

import torch
from torch import Generator, Tensor
from torch.optim import Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError, NonFiniteLossError
from nasviz.optim.groups import GroupScaler, Rows, Select, Selection, TensorGroup, merge, zero_
from nasviz.optim.halfspace import ParameterHistory, RedundantGroups, StepBound, learning_rates
from nasviz.optim.search_optimizer import (
    SearchOptimizer,
    Share,
    below_one,
    check_asked,
    positive_steps,
    require_whole,
)
from nasviz.saliency import AnySaliency, Reductions, StructureIndex, find_for_steps, gradient_cosine
from nasviz.saliency.reductions import gradients
from nasviz.saliency.scores import running_average
from nasviz.settings.schedule import steps_between_scores

__all__ = ["GroupOptimizer", "ProjectingOptimizer", "SelectingOptimizer", "WarmUpScores"]

OWN_STATE = "nasviz"
"""Key of the state dictionary under which everything lies that is not the inner optimizer's."""


class GroupOptimizer(SearchOptimizer):
    """An optimizer around an inner one, whose `param_groups`, `state` and `defaults` it shares.

    Args:
        inner: Any optimizer of `torch.optim` that needs no closure of its own.
        tensors: Tensors that groups may hold besides those of `inner`.
    """

    takes_group_optimizers: ClassVar[bool] = False
    """Whether the inner optimizer may be one of these itself."""

    def __init__(self, inner: Optimizer, tensors: Iterable[Tensor] = ()) -> None:
        is_group_optimizer = isinstance(inner, GroupOptimizer) and not self.takes_group_optimizers
        if isinstance(inner, torch.optim.LBFGS) or is_group_optimizer:
            raise InvalidSettingError(
                f"{type(inner).__name__} cannot be the inner optimizer; take one of torch.optim that keeps"
                " its buffers variable by variable, such as SGD, Adam or AdamW"
            )
        self._other_tensors = tuple(tensors)
        own = [tensor for group in inner.param_groups for tensor in group["params"]]
        require_whole([*own, *self._other_tensors], type(self).__name__)
        self.inner = inner
        self.num_steps = 0
        self._held = GroupScaler(TensorGroup())
        self._is_sharing = False
        super().__init__(inner.param_groups, inner.defaults)
        self._share()

    @property
    def base(self) -> Optimizer:
        """The innermost optimizer."""
        return self.inner.base if isinstance(self.inner, GroupOptimizer) else self.inner

    @property
    def held(self) -> TensorGroup:
        """Everything that is zero for good."""
        return self._held.group

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; the loss that `closure` returns, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._update()
        self.num_steps += 1
        self._after_step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand further parameters to the inner optimizer."""
        if self._is_sharing:
            self.inner.add_param_group(param_group)
        else:  # called by torch's constructor for what the inner optimizer has already
            super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors only: the inner optimizer's state, and our own under the key `nasviz`."""
        return super().state_dict() | {OWN_STATE: self.own_state()}

    def own_state(self) -> dict[str, Any]:
        """Return what is saved besides the inner optimizer's state."""
        held = self._pack(self.held)
        own = {
            "class": type(self).__name__,
            "num_steps": self.num_steps,
            "held": held,
            "asked": dict(self.asked),
        }
        return own | self._own_state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken; the weights are the network's to load.

        The state of a plain inner optimizer is taken too: then the warm-up begins at its first step.

        Raises:
            CheckpointError: The state is that of another optimizer or of other groups.
        """
        own = state_dict.get(OWN_STATE)
        if own is not None:
            self.check_own_state(own)
        super().load_state_dict(state_dict)
        if own is not None:
            self.load_own_state(own)

    def check_own_state(self, own: dict[str, Any]) -> None:
        """Refuse what `own_state` of another optimizer returned."""
        if own.get("class") != type(self).__name__:
            raise CheckpointError(
                f"this state was saved by {own.get('class')!r} and cannot be loaded into"
                f" {type(self).__name__}"
            )
        free = ("target_sparsity",) if self._takes_target_of(own) else ()
        check_asked(own.get("asked", {}), {name: v for name, v in self.asked.items() if name not in free})
        self._check_own_state(own)

    def _takes_target_of(self, own: Mapping[str, Any]) -> bool:
        """Return whether the target sparsity of a saved state replaces that of this optimizer."""
        return False

    def load_own_state(self, own: dict[str, Any]) -> None:
        """Take over what `own_state` returned, after the inner optimizer's state."""
        self.num_steps = own["num_steps"]
        self._held = GroupScaler(self._unpack(own["held"]))
        self._load_own_state(own)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled as a whole; save its state_dict()"
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # torch calls this at the end of a load: the inner optimizer must see the new state, and may amend it.
        self.inner.__setstate__({"state": self.state, "param_groups": self.param_groups})
        self._share()

    @abstractmethod
    def _update(self) -> None:
        """Change the variables; `num_steps` still counts the steps before this one."""

    def _after_step(self) -> None:
        """Do what happens between this step and the next."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """Return what must be saved besides the inner optimizer's state; plain types and tensors."""

    @abstractmethod
    def _check_own_state(self, own: dict[str, Any]) -> None:
        """Raise `CheckpointError` where `_own_state` of another optimizer does not fit this one."""

    @abstractmethod
    def _load_own_state(self, own: dict[str, Any]) -> None:
        """Take over what `_own_state` returned."""

    def _inner_step(self) -> None:
        """Step of the inner optimizer, with the groups that are held at zero left there."""
        if not self.held:
            self.inner.step()
            return
        self._held.drop_gradients_()
        self.inner.step()
        self._held.zero_()

    def _hold_at_zero(self, group: TensorGroup) -> None:
        """Set a group and its buffers to zero, from now on for good."""
        zero_(group, self.state)
        self._held = GroupScaler(merge([self.held, group]))

    def _share(self) -> None:
        self.param_groups = self.inner.param_groups
        self.state = self.inner.state
        self.defaults = self.inner.defaults
        self._is_sharing = True

    def _numbered(self) -> list[Tensor]:
        """All tensors that a group may hold, in an order that lasts from one process to the next."""
        own = [tensor for group in self.param_groups for tensor in group["params"]]
        return list({id(tensor): tensor for tensor in [*own, *self._other_tensors]}.values())

    def _pack(self, group: TensorGroup) -> dict[str, Any]:
        """A group as plain data, its tensors by number."""
        numbers = {id(tensor): number for number, tensor in enumerate(self._numbered())}
        if any(id(t) not in numbers for t in (*group.tensors, *(rows.tensor for rows in group.rows))):
            raise InvalidSettingError("a group holds a tensor that is neither in `inner` nor in `groups`")
        return {
            "tensors": [numbers[id(tensor)] for tensor in group.tensors],
            "rows": [(numbers[id(rows.tensor)], rows.dim, rows.index.tolist()) for rows in group.rows],
        }

    def _unpack(self, packed: dict[str, Any]) -> TensorGroup:
        tensors = self._numbered()
        return TensorGroup(
            tuple(tensors[number] for number in packed["tensors"]),
            tuple(Rows(tensors[n], dim, torch.tensor(index)) for n, dim, index in packed["rows"]),
        )


class ProjectingOptimizer(GroupOptimizer):
    """Brings groups to zero with half-space steps (OTO, section 3.2), around an inner torch optimizer.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        index: The structures with their own tensors.
        epsilon: Offset of the half-space in [0, 1).
    """

    saved_settings: ClassVar[tuple[str, ...]] = ("epsilon",)
    """Settings that are saved with the state, and come back with it."""

    def __init__(self, inner: Optimizer, index: StructureIndex, *, epsilon: float) -> None:
        self.epsilon = below_one("epsilon", epsilon)
        self._index = index
        self._zeroed_by: dict[int, str] = {}
        self._zeroed_at: dict[int, int] = {}
        self._redundant = RedundantGroups({})
        self._bound = StepBound(inner, self._redundant.index)
        super().__init__(inner, index.tensors)

    @property
    def structure_ids(self) -> tuple[int, ...]:
        """The structures, in the order of `norm_vector`."""
        return self._index.ids

    @property
    def zeroed_by(self) -> dict[int, str]:
        """What made each structure zero that is so for good; on a GPU, reading it waits for the last step."""
        self._settle()
        return dict(self._zeroed_by)

    @property
    def zeroed_at(self) -> dict[int, int]:
        """The step at which each structure of `zeroed_by` became zero, counted from 0; waits as that does."""
        self._settle()
        return dict(self._zeroed_at)

    @property
    def known_zero(self) -> frozenset[int]:
        """Those of `zeroed_by` that the host knows of already: it waits for nothing."""
        return frozenset(self._zeroed_by)

    @property
    def num_zero(self) -> Tensor:
        """How many structures are zero for good, on the device: for a record at every step."""
        num_zero, num_known = self._redundant.num_zero, len(self._zeroed_by)
        return num_zero + num_known if num_known else num_zero

    @torch.no_grad()
    def norm_vector(self) -> Tensor:
        """||x_g|| of each structure as it is now, on the device, in the order of `structure_ids`."""
        return self._index.norm(self._index.tensors)

    @torch.no_grad()
    def cosine_vector(self) -> Tensor:
        """cos(x_g, grad f_g) of each structure before a step, on the device, in that order."""
        return gradient_cosine(self._index)

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return the lengths, as long as structures are decided on."""
        return {"norms": self.norm_vector()}

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors only: the inner optimizer's state, and our own under the key `nasviz`."""
        self._settle()
        return super().state_dict()

    def _trial_step(self) -> None:
        """Step of the inner optimizer with the half-space test, which is left out where it cannot fail."""
        if self._bound.looks_back:
            self._inner_step()
            if not self._bound.was_short(self.epsilon):
                self._halfspace(self._bound.origins())
            return
        if self._bound.is_short(self.epsilon):
            self._inner_step()
            return
        before = self._redundant.history.start()
        self._inner_step()
        self._halfspace(before)

    def _shrink(self, factor: float) -> None:
        """Multiply what is redundant and not zero yet."""
        self._redundant.scale_(factor)
        self._bound.scaled(factor)

    def _halfspace(self, before: Sequence[Tensor], limit: int | None = None) -> None:
        """Zero the redundant groups whose trial point has left the half-space of x_t, `before`."""
        self._redundant.judge(before, self.epsilon, self.num_steps, limit)
        if self._redundant.is_lazy:
            self._redundant.zero_()
        else:
            self._settle()

    def _settle(self) -> None:
        """Read which groups have left their half-space, and hold them at zero for good."""
        self._zero("half-space", self._redundant.read())

    def _zero_all(self, reason: str) -> None:
        """Hold everything that is redundant at zero, from this step on."""
        self._settle()
        self._zero(reason, dict.fromkeys(self._redundant.index.ids, self.num_steps))

    def _zero(self, reason: str, steps: Mapping[int, int]) -> None:
        """Set redundant structures to zero for good, and with the last of them what belongs to none alone.

        Args:
            reason: What made them zero.
            steps: The structures, each with the step at which it became zero.
        """
        if not steps:
            return
        members, remainder = self._wanted()
        gone = [members[i] for i in steps]
        if len(steps) == len(self._redundant.index.ids):
            gone.append(remainder)
        self._zeroed_by |= dict.fromkeys(steps, reason)
        self._zeroed_at |= steps
        self._hold_at_zero(merge(gone))
        self._prepare()

    def _prepare(self) -> None:
        """Arrange what is redundant and not zero yet; again after each change of it."""
        members, remainder = self._wanted()
        left = {i: group for i, group in members.items() if i not in self._zeroed_by}
        self._redundant = RedundantGroups(left, remainder if left else None)
        self._bound = StepBound(self.inner, self._redundant.index)

    @abstractmethod
    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        """Return what goes to zero with each redundant structure, and what goes with the last one."""

    def _own_state(self) -> dict[str, Any]:
        return {
            "settings": {name: getattr(self, name) for name in self.saved_settings},
            "structures": list(self.structure_ids),
            "zeroed_by": dict(self._zeroed_by),
            "zeroed_at": dict(self._zeroed_at),
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        if own["structures"] != list(self.structure_ids):
            raise CheckpointError(
                f"this state is of {len(own['structures'])} structures, this optimizer has"
                f" {len(self.structure_ids)} or others; generate the search space from the same network"
            )

    def _load_own_state(self, own: dict[str, Any]) -> None:
        """Settings come back with the state, as torch brings back the learning rate."""
        for name in self.saved_settings:
            setattr(self, name, own["settings"][name])
        self._zeroed_by = dict(own["zeroed_by"])
        self._zeroed_at = dict(own["zeroed_at"])
        self._prepare()


class WarmUpScores:
    """Averaged scores of structures, sampled where a step begins (ASGNAS, Algorithm 3, line 5).

    Args:
        groups: What each structure owns, of which only whole tensors are scored; or an index of its own.
        saliency: Name of a score, a function of `Reductions`, or the scores themselves.
        every: Sample at every n-th step, the first included.
        momentum: Weight of the past in the average, in [0, 1).
        generator: Where a random saliency draws from.
    """

    def __init__(
        self,
        groups: Mapping[int, TensorGroup] | StructureIndex,
        saliency: AnySaliency,
        *,
        every: int,
        momentum: float,
        generator: Generator | None,
    ) -> None:
        self.index = (
            groups
            if isinstance(groups, StructureIndex)
            else StructureIndex({i: group.tensors for i, group in groups.items()})
        )
        self.saliency = find_for_steps(saliency)
        if self.saliency.needs_generator and generator is None:
            raise InvalidSettingError(
                f"saliency {self.saliency.name!r} draws numbers: pass generator=torch.Generator()"
            )
        self.every, self.momentum, self.generator = every, momentum, generator
        self.average: Tensor | None = None
        """On the device, in the order of `index.ids`; `None` before the first sample."""
        self._history: ParameterHistory | None = None
        self.share: Share = lambda tensors: None
        """Averages tensors in place over the processes that train together; nothing where there is one."""

    def by_id(self) -> dict[int, float]:
        """The averaged score of each structure; empty before the first sample."""
        average = [] if self.average is None else self.average.tolist()
        return dict(zip(self.index.ids, average, strict=False))

    def final(self) -> dict[int, float]:
        """The scores for the selection, averaged over the processes: all of them select the same.

        Raises:
            NonFiniteLossError: Some score is no finite number.
        """
        self._history = None  # its memory is not needed any more
        if self.average is not None:
            self.share([self.average])
        scores = self.by_id()
        if odd := [i for i, score in scores.items() if not isfinite(score)]:
            raise NonFiniteLossError(
                f"the scores of structures {odd[:10]} are not finite at the end of the warm-up: the loss or"
                " its gradient has diverged; lower the learning rate"
            )
        return scores

    def around(self, step: Callable[[], None], num_steps: int, groups: Sequence[Mapping[str, Any]]) -> None:
        """Take a step, and every n-th time a sample of the scores at the point where it begins.

        Args:
            step: The step of the inner optimizer.
            num_steps: Steps taken so far.
            groups: The optimizer's parameter groups, for their learning rates.
        """
        if num_steps % self.every:
            step()
            return
        self.average = running_average(self.average, self._sample(step, groups), self.momentum)

    def afresh(
        self, step: Callable[[], None], groups: Sequence[Mapping[str, Any]], keep: Collection[int]
    ) -> None:
        """Take a step, and score anew where it begins; the structures of `keep` keep the score they have."""
        sample = self._sample(step, groups)
        if self.average is not None:
            is_kept = torch.tensor([i in keep for i in self.index.ids], device=sample.device)
            sample = torch.where(is_kept, self.average, sample)
        self.average = sample

    def state(self) -> dict[str, Any]:
        """Return what a later process needs to go on; plain types and tensors."""
        return {
            "saliency": self.saliency.name,
            "every": self.every,
            "momentum": self.momentum,
            "average": self.average,
            "generator": self.generator.get_state() if self.generator else None,
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state of another score."""
        if state["saliency"] != self.saliency.name:
            raise CheckpointError(
                f"this state was saved with saliency {state['saliency']!r}, not {self.saliency.name!r}"
            )

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.every, self.momentum = state["every"], state["momentum"]
        average = state["average"]
        self.average = None if average is None else average.to(self.index.device, copy=True)
        if self.generator is not None and state["generator"] is not None:
            self.generator.set_state(state["generator"].cpu())

    def _sample(self, step: Callable[[], None], groups: Sequence[Mapping[str, Any]]) -> Tensor:
        values = self.index.tensors
        grads = gradients(values) if self.saliency.needs_gradient else [None] * len(values)
        if not self.saliency.needs_direction:
            score = self.saliency.score(Reductions(self.index, values, grads, grads), self.generator)
            step()
            return score
        self._history = self._history or ParameterHistory(values)
        before = self._history.start()
        step()
        moved = self._history.directions(learning_rates(values, groups))
        return self.saliency.score(Reductions(self.index, before, grads, moved), self.generator)


class SelectingOptimizer(ProjectingOptimizer):
    """Until the warm-up ends, and when nothing is selected, the steps are bitwise those of `inner`.

    Args:
        inner: Optimizer of all parameters; its settings and schedules stay in force.
        groups: What each structure owns, whole tensors; saliency looks at these.
        select: Called with the scores when the warm-up ends.
        warmup_steps: T_w, at least 1.
        epsilon: Offset of the half-space in [0, 1); 0 zeroes latest, near 1 soonest.
        saliency: Name of a score in `nasviz.saliency.SALIENCIES`, a function of `Reductions`, or the scores
            themselves by structure, as `nasviz.saliency.score` returns them.
        score_every: Score at every n-th step of the warm-up, the first included. `None`: about 32 times in
            all, for a scored step costs more than a plain one, and the average forgets older samples.
        score_momentum: Weight of the past in the running average of the scores, in [0, 1).
        generator: Where a random saliency draws from.
    """

    is_hierarchical: ClassVar[bool] = True
    """Whether what is left must stay connected; `nasviz.optim.create` selects accordingly."""
    saved_settings: ClassVar[tuple[str, ...]] = ("warmup_steps", "epsilon")

    def __init__(
        self,
        inner: Optimizer,
        groups: Mapping[int, TensorGroup],
        select: Select,
        *,
        warmup_steps: int,
        epsilon: float = 0.0,
        saliency: AnySaliency = "snip",
        score_every: int | None = None,
        score_momentum: float = 0.9,
        generator: Generator | None = None,
    ) -> None:
        self.warmup_steps = positive_steps("warmup_steps", warmup_steps)
        self._scores = WarmUpScores(
            groups,
            saliency,
            every=positive_steps("score_every", steps_between_scores(score_every, warmup_steps)),
            momentum=below_one("score_momentum", score_momentum),
            generator=generator,
        )
        self._select = select
        self._selection: Selection | None = None
        self._is_retargeted = False
        super().__init__(inner, self._scores.index, epsilon=epsilon)

    @property
    def phase(self) -> str:
        """`warm-up`, `projection` as long as something redundant is not known to be zero, then `training`."""
        if self._selection is None:
            return "warm-up"
        return "projection" if self._is_projecting else "training"

    def vectors(self, phase: str) -> dict[str, Tensor]:
        """Return lengths, and during the warm-up the scores."""
        scores = self.score_vector
        is_scored = phase == "warm-up" and scores is not None
        return super().vectors(phase) | ({"scores": scores} if is_scored and scores is not None else {})

    @property
    def score_vector(self) -> Tensor | None:
        """Averaged scores on the device, in the order of `structure_ids`; `None` before the first step."""
        return self._scores.average

    @property
    def scores(self) -> dict[int, float]:
        """Averaged score of each structure; empty before the first step."""
        return self._scores.by_id()

    @property
    def selected(self) -> tuple[int, ...]:
        """The structures chosen as redundant; empty before the warm-up has ended."""
        return self._selection.selected if self._selection else ()

    @property
    def orphaned(self) -> tuple[int, ...]:
        """The structures that go with the selected ones because nothing feeds them any more."""
        return self._selection.orphaned if self._selection else ()

    @property
    def is_valid(self) -> bool | None:
        """Whether the network stays connected without what is selected; `None` before the selection."""
        return self._selection.is_valid if self._selection else None

    def retarget(self, target_sparsity: int) -> None:
        """Remove another number of structures, as long as the warm-up lasts."""
        if self._selection is not None:
            raise InvalidSettingError("the warm-up has ended: the structures to remove are selected already")
        if not isinstance(self._select, partial) or getattr(self, "periods", 1) > 1:
            raise InvalidSettingError("only an optimizer of `create` with one period can change its target")
        space = self._trained
        space.check_sparsity(target_sparsity, limit=None if self.is_hierarchical else len(space.removable))
        self._aim_at(target_sparsity)
        self._is_retargeted = True

    def _aim_at(self, target_sparsity: int) -> None:
        assert isinstance(self._select, partial)
        counted = {"count": target_sparsity} if "count" in self._select.keywords else {}
        self._select = partial(self._select, k=target_sparsity, **counted)
        self.asked = {**self.asked, "target_sparsity": target_sparsity}

    def _takes_target_of(self, own: Mapping[str, Any]) -> bool:
        return isinstance(self._select, partial) and bool(own.get("is_retargeted") or self._is_retargeted)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand further parameters to the inner optimizer; they belong to no structure.

        Raises:
            InvalidSettingError: The warm-up has ended.
        """
        if self._selection is not None:
            raise InvalidSettingError("add parameters before the warm-up ends; the selection has been made")
        super().add_param_group(param_group)

    def share_scores(self, average_: Share) -> None:
        """Average the scores over several processes before the selection.

        Gradients that DistributedDataParallel has averaged give all processes the same scores already, up to
        what devices of two kinds make of them; nothing but rounding may decide then.

        Args:
            average_: Averages tensors in place; called by all processes at the end of the warm-up.
        """
        self._scores.share = average_

    @property
    def _is_projecting(self) -> bool:
        return bool(self._redundant)

    def _update(self) -> None:
        phase = self.phase
        if phase == "warm-up":
            self._scores.around(self._inner_step, self.num_steps, self.param_groups)
        elif phase == "projection":
            self._project(self.num_steps - self.warmup_steps)
        else:
            self._inner_step()

    def _after_step(self) -> None:
        if self._selection is None and self.num_steps >= self.warmup_steps:
            self._choose(self._select)

    @abstractmethod
    def _project(self, step: int) -> None:
        """Take a step that brings the redundant structures closer to zero; `step` counts from the warm-up."""

    def _choose(self, select: Select) -> None:
        """Select by the scores as they are; what has been selected before stays first."""
        before = {structure: place for place, structure in enumerate(self.selected)}
        scores = self._scores.final()
        selection = select(scores | dict.fromkeys(before, float("-inf")) if before else scores)
        if unknown := sorted(set(selection.selected).difference(self.structure_ids)):
            raise InvalidSettingError(f"select returned structures that were never scored: {unknown}")
        self._pack(selection.group)  # refuses tensors that could not be saved
        order = sorted(selection.selected, key=lambda i: before.get(i, len(before)))
        self._selection = replace(selection, selected=tuple(order))
        self._prepare()
        self.num_selections += 1

    def _wanted(self) -> tuple[Mapping[int, TensorGroup], TensorGroup]:
        selection = self._selection or Selection(())
        return selection.members, selection.remainder

    def _own_state(self) -> dict[str, Any]:
        chosen = self._selection
        return super()._own_state() | {
            "is_retargeted": self._is_retargeted,
            "scores": self._scores.state(),
            "selection": chosen
            and {
                "selected": list(chosen.selected),
                "orphaned": list(chosen.orphaned),
                "members": {i: self._pack(group) for i, group in chosen.members.items()},
                "remainder": self._pack(chosen.remainder),
                "is_valid": chosen.is_valid,
            },
        }

    def _check_own_state(self, own: dict[str, Any]) -> None:
        super()._check_own_state(own)
        self._scores.check(own["scores"])

    def _load_own_state(self, own: dict[str, Any]) -> None:
        if self._takes_target_of(own):
            self._aim_at(own["asked"]["target_sparsity"])
            self._is_retargeted = bool(own.get("is_retargeted"))
        self._scores.load(own["scores"])
        chosen = own["selection"]
        self._selection = chosen and Selection(
            selected=tuple(chosen["selected"]),
            orphaned=tuple(chosen["orphaned"]),
            members={i: self._unpack(group) for i, group in chosen["members"].items()},
            remainder=self._unpack(chosen["remainder"]),
            is_valid=chosen["is_valid"],
        )
        super()._load_own_state(own)
