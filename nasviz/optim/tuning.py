"""Training of a constructed sub-network, by the optimizer that its search trained the weights with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nasviz.errors import TrainingError
from nasviz.graph.trace_graph import is_switch_parameter
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.search_optimizer import Batch, SearchOptimizer

__all__ = ["Tuning", "carried_over"]

Sliced = Callable[[str, Tensor], Tensor]


class Tuning(GroupOptimizer):
    """Goes on with the sub-network where the search has left the full network.

    Args:
        search: Optimizer of the search, which has ended.
        network: Its network.
        module: The sub-network, on the device of the run.
        sliced: Cuts a tensor as the parameter of a name was cut.
        scaled: Parameters of the sub-network that are not those of the network, as by a factor that was
            folded into them; their state starts empty.

    Raises:
        TrainingError: The search has no optimizer of the weights that could go on.
    """

    def __init__(
        self,
        search: SearchOptimizer,
        network: nn.Module,
        module: nn.Module,
        sliced: Sliced,
        scaled: frozenset[str] = frozenset(),
    ) -> None:
        if search.base is None:
            raise TrainingError(
                f"{type(search).__name__} names no `base`, the optimizer of the weights, so the sub-network"
                " cannot be trained on; choose change_over='off'"
            )
        super().__init__(carried_over(search.base, network, module, sliced, scaled))
        self.num_steps, self._num_zero = search.num_steps, int(search.num_zero)
        self._net, self._clip = module, search.clip
        self._distilled = search.distilled if search.distils else None
        self._by_batch = search.tunes_by_batch

    @property
    def phase(self) -> str:
        """Always `training`."""
        return "training"

    @property
    def num_zero(self) -> int:
        """How many structures were zero when the search ended."""
        return self._num_zero

    def train_step(self, batches: Sequence[Batch]) -> tuple[Tensor, Tensor]:
        """Take one step on all batches together, or one on each as the search did.

        Returns:
            The last loss, and the accuracy on the first batch before its step.
        """
        first, *others = batches
        if self._by_batch and others:
            made = [self.train_step([batch]) for batch in batches]
            self.num_steps -= len(others)  # a step of the run is one of the search
            return made[-1][0], made[0][1]
        self._net.zero_grad(set_to_none=True)  # also of switches, which stay as they are
        if self._distilled is not None:
            examples, judge = first.joined(others)
            output = self._net(*examples)
            loss, accuracy = judge(output)
            loss = loss + self._distilled(first, examples, output)
        else:
            loss, accuracy = first.loss(others)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._clip < float("inf"):
            nn.utils.clip_grad_norm_([p for g in self.param_groups for p in g["params"]], self._clip)
        self.step()
        return loss.detach(), accuracy

    def _update(self) -> None:
        self._inner_step()

    def _own_state(self) -> dict[str, Any]:
        return {}

    def _check_own_state(self, own: dict[str, Any]) -> None:
        """Accept: the sub-network and its parameters are compared when they are loaded."""

    def _load_own_state(self, own: dict[str, Any]) -> None:
        """Load nothing: all is state of the inner optimizer."""


@torch.no_grad()
def carried_over(
    base: Optimizer,
    network: nn.Module,
    module: nn.Module,
    sliced: Sliced,
    scaled: frozenset[str] = frozenset(),
) -> Optimizer:
    """Return an optimizer of the sub-network with the settings and the sliced state of `base`.

    Args:
        base: Optimizer of parameters of `network`.
        network: The full network.
        module: The sub-network, whose parameters have the names that they have in `network`.
        sliced: Cuts a tensor as the parameter of a name was cut.
        scaled: Parameters whose state starts empty.

    Examples:
        >>> full, small = nn.Linear(3, 1, bias=False), nn.Linear(2, 1, bias=False)
        >>> sgd = torch.optim.SGD(full.parameters(), lr=0.1, momentum=0.9)
        >>> full.weight.grad = torch.tensor([[1.0, 2.0, 3.0]])
        >>> sgd.step()
        >>> made = carried_over(sgd, full, small, lambda name, value: value[:, ::2])
        >>> made.state[small.weight]["momentum_buffer"]
        tensor([[1., 3.]])
    """
    names = {id(p): name for name, p in network.named_parameters()}
    live = dict(module.named_parameters())
    groups: list[dict[str, Any]] = []
    held: set[str] = set()
    for group in base.param_groups:
        own = [names[id(p)] for p in group["params"] if names.get(id(p)) in live]
        held.update(own)
        groups.append({**group, "params": [live[name] for name in own]})
    # A bias that construction has added, to hold what met a constant. Switches stay as the search left them.
    groups[0]["params"] += [
        p
        for name, p in live.items()
        if name not in names.values() and p.requires_grad and not is_switch_parameter(name)
    ]
    if isinstance(base, ProxSGD):
        made: Optimizer = base.like(groups, {number: live[n] for number, n in names.items() if n in live})
    else:
        known = inspect.signature(type(base)).parameters
        made = type(base)(groups, **{name: value for name, value in base.defaults.items() if name in known})
    for parameter, state in base.state.items():
        name = names.get(id(parameter))
        if name in held and name is not None and name not in scaled:
            made.state[live[name]] = {
                key: _carried(value, parameter, live[name], partial(sliced, name))
                for key, value in state.items()
            }
    return made


def _carried(value: Any, parameter: Tensor, small: Tensor, sliced: Callable[[Tensor], Tensor]) -> Any:
    """Return an entry of the state; one value per entry of the parameter is sliced as the parameter was."""
    if not isinstance(value, Tensor):
        return value
    if value.shape != parameter.shape or value.dim() == 0:
        return value.clone()
    return sliced(value).to(small.device).clone()
