"""What all optimizers over groups share: an inner `torch.optim` optimizer, and groups that stay at zero.

The inner optimizer makes every step, so its foreach and fused paths, its parameter groups and its schedules
are those of torch. A group that has become zero never leaves it: its gradient is taken away before each
inner step, its buffers are zero, and its variables are pinned after the step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from nasviz.errors import CheckpointError, InvalidSettingError
from nasviz.optim.checks import require_whole
from nasviz.optim.groups import GroupScaler, Rows, TensorGroup, merge, zero_
from nasviz.optim.search_optimizer import SearchOptimizer, check_asked

__all__ = ["GroupOptimizer"]

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
        """What is saved besides the inner optimizer's state."""
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
        check_asked(own.get("asked", {}), self.asked)
        self._check_own_state(own)

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
        """What happens between this step and the next."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What must be saved besides the inner optimizer's state; plain types and tensors."""

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
