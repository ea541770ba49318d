"""Latency as a penalty on architecture parameters (dissertation, section 3.1.4; FBNet, Wu et al. 2019).

P(alpha) = sum over edges of <softmax(alpha_ij), LAT_ij>: the latency that is expected when every edge draws
its operation with the weights it has now.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from nasviz.errors import InvalidSettingError
from nasviz.nas.update_steps import Tensors

__all__ = ["LatencyPenalty", "latency_gradient"]


class LatencyPenalty:
    """P of a table of latencies, for any number of edges at once.

    Args:
        latencies: Of each edge the latency of each of its operations, `(num_operations,)`; edges may differ
            in their number. Any one unit, such as milliseconds.

    Examples:
        >>> penalty = LatencyPenalty([torch.tensor([5.0, 1.0, 3.0])])
        >>> round(penalty([torch.tensor([1.0, 2.0, 0.0])]).item(), 6)
        2.158975
    """

    def __init__(self, latencies: Tensors) -> None:
        if any(table.dim() != 1 or not len(table) for table in latencies):
            shapes = [tuple(table.shape) for table in latencies]
            raise InvalidSettingError(f"latencies must be one vector an edge, not empty; got shapes {shapes}")
        self._counts = [len(table) for table in latencies]
        self.latencies = [table.detach().clone() for table in latencies]
        """As given."""
        self._table = pad_sequence(list(latencies), batch_first=True) if latencies else torch.zeros(0, 0)

    def __call__(self, alphas: Tensors) -> Tensor:
        """P, a scalar that can be differentiated.

        Args:
            alphas: Architecture parameters of each edge, `(num_operations,)`, before the softmax.

        Raises:
            InvalidSettingError: They do not fit the latencies.
        """
        if [len(alpha) for alpha in alphas] != self._counts:
            raise InvalidSettingError(
                f"the latencies are of edges with {self._counts} operations, the parameters of edges with"
                f" {[len(alpha) for alpha in alphas]}"
            )
        if not alphas:
            return torch.zeros(())
        padded = pad_sequence(list(alphas), batch_first=True, padding_value=float("-inf"))
        return (padded.softmax(dim=1) * self._table.to(padded)).sum()


def latency_gradient(alpha: Tensor, latencies: Tensor | Sequence[float]) -> Tensor:
    """Gradient of one edge's part of P in closed form: s_k (c_k - <s, c>), whose entries sum to zero.

    Examples:
        >>> alpha = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
        >>> [round(value, 6) for value in latency_gradient(alpha, [5, 1, 3]).tolist()]
        [0.69528, -0.770998, 0.075718]
    """
    shares = alpha.softmax(dim=0)
    costs = torch.as_tensor(latencies, dtype=alpha.dtype, device=alpha.device)
    return shares * (costs - shares.dot(costs))
