"""GSparsity for filters: channels go by group sparsity, exactly (Chatzimichailidis et al. 2022, section 4.1).

A group is a filter with all that makes or scales its channel: its bias, its row of every norm behind it. So a
group of length zero makes a channel of zeros, and pruning it changes no output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nasviz.optim.groups import TensorGroup
from nasviz.optim.penalty_search import REASON, THRESHOLD, PenaltySearch
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.row_grouping import group_of_rows
from nasviz.optim.search_optimizer import Trial, most_narrowed
from nasviz.saliency.rows import RowIndex

__all__ = ["FilterSparsity"]


class FilterSparsity(PenaltySearch):
    """ProxSGD for a search, pruning of filters at its end, and then the same steps without a penalty.

    Args:
        inner: ProxSGD over all parameters, with a `RowGrouping` of channel groups.
        index: The same channel groups.
        leave_something: Takes those back without which an operator would have no channel.
        projection_steps: Steps of the search.
        threshold: Groups of at most this length are pruned at its end.

    Examples:
        >>> import torch
        >>> from nasviz.optim.row_grouping import RowGrouping
        >>> weight = torch.tensor([[2.0, 0.0], [0.1, 0.1]])
        >>> index = RowIndex((0, 1), [(weight, 0, [0, 1])])
        >>> inner = ProxSGD([weight], RowGrouping(index, (0, 1)), lr=0.5, mu=0.2)
        >>> optimizer = FilterSparsity(inner, index, lambda ids: ids, projection_steps=20)
        >>> for _ in range(21):
        ...     weight.grad = torch.tensor([[-0.3, 0.0], [0.0, 0.0]])
        ...     optimizer.step()
        >>> optimizer.channels, weight[1].tolist(), optimizer.phase
        ((1,), [0.0, 0.0], 'training')
    """

    unit_name = "channel groups"
    cuts_channels = True

    def __init__(
        self,
        inner: ProxSGD,
        index: RowIndex,
        leave_something: Callable[[Sequence[int]], Sequence[int]],
        *,
        projection_steps: int,
        threshold: float = THRESHOLD,
    ) -> None:
        self._leave_something = leave_something
        self._rows = index
        super().__init__(inner, index, projection_steps=projection_steps, threshold=threshold)

    @property
    def channels(self) -> tuple[int, ...]:
        """The channel groups that were pruned; empty until then."""
        return self.pruned

    @property
    def is_valid(self) -> bool:
        """Always: every operator keeps a channel."""
        return True

    @property
    def channels_zeroed_by(self) -> dict[int, str]:
        """What made each channel group zero that is so for good."""
        return dict.fromkeys(self.channels, REASON)

    @property
    def channels_zeroed_at(self) -> dict[int, int]:
        """The step at which each of them became zero for good: the last one of the search."""
        return dict.fromkeys(self.channels, self.projection_steps - 1)

    def tell_pruned(self, trial: Trial) -> None:
        """Record how many channels of which operators go."""
        words = f"{len(self.channels)} of {len(self.unit_ids)} channel groups go"
        trial.tell("selected", words + most_narrowed(self.space, self.channels))

    def group_of(self, ids: Sequence[int]) -> TensorGroup:
        """The rows of these channel groups."""
        return group_of_rows(self._rows, ids)

    def _in(self, groups: frozenset[int]) -> tuple[int, ...]:
        return tuple(self._leave_something(sorted(groups)))
