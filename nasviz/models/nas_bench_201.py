"""NAS-Bench-201 (Dong and Yang, 2020): a small cell on a fixed skeleton, 15,625 networks in all.

| CIFAR-10, counted | parameters | MACs |
| --- | --- | --- |
| four operations on every edge | 1,699,546 | 243,712,640 |
| the same, norms without variables, as in search | 1,685,722 | 243,712,640 |
| 3x3 on every edge | 1,531,546 | 220,119,680 |
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from nasviz.models.cells import MixedOperation, edge_operations, edges_of, total
from nasviz.models.operations import NAS_BENCH_201_OPERATIONS, Norms, relu_conv_norm

__all__ = ["NasBench201", "NasBench201Cell"]

NUM_NODES = 3
"""Number of nodes after the input; the last one is the output of a cell."""


class NasBench201Cell(nn.Module):
    """Three nodes after one input; every edge sums its operations.

    Args:
        channels: Channels of input and output.
        operations: Names for all six edges, or per edge: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
        norms: Configuration of the norms.

    Shapes:
        `(N, channels, H, W)`, in and out.
    """

    def __init__(
        self, channels: int, operations: Sequence[str] | Sequence[Sequence[str]], norms: Norms | None = None
    ) -> None:
        super().__init__()
        edges = edges_of(NUM_NODES, num_inputs=1)
        self.edges = nn.ModuleList(
            MixedOperation(names, channels, 1, norms or Norms())
            for names in edge_operations(operations, len(edges))
        )

    def forward(self, x: Tensor, weights: Sequence[Tensor] | None = None) -> Tensor:
        """Return the last node; `weights` holds one vector per edge, over its operations."""
        states = [x]
        edge = 0
        for node in range(NUM_NODES):
            reads = []
            for state in states[: node + 1]:
                reads.append(self.edges[edge](state, None if weights is None else weights[edge]))
                edge += 1
            states.append(total(reads))
        return states[-1]


class ReductionBlock(nn.Module):
    """Residual block between two stages: doubles the channels, halves the image."""

    def __init__(self, in_channels: int, norms: Norms) -> None:
        super().__init__()
        out_channels = 2 * in_channels
        self.first = relu_conv_norm(in_channels, out_channels, 3, 2, norms)
        self.second = relu_conv_norm(out_channels, out_channels, 3, 1, norms)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(in_channels, out_channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both paths."""
        y: Tensor = self.second(self.first(x)) + self.shortcut(x)
        return y


class NasBench201(nn.Module):
    """Three stages of cells with C, 2 C and 4 C channels, and a reduction block between two stages.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        channels: C of the first stage.
        cells: Cells of each stage.
        operations: Names for all six edges, or per edge; by default all four except `none`.
        none: Whether every edge also carries `none`, as in NAS-Bench-201 itself.
        norms: Configuration of all norms.

    Shapes:
        `(N, in_channels, H, W)` to `(N, num_classes)`.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        channels: int = 16,
        cells: int = 5,
        operations: Sequence[str] | Sequence[Sequence[str]] = NAS_BENCH_201_OPERATIONS,
        none: bool = False,
        norms: Norms | None = None,
    ) -> None:
        super().__init__()
        norms = norms or Norms()
        if none:
            edges = edge_operations(operations, len(edges_of(NUM_NODES, num_inputs=1)))
            operations = [("none", *names) for names in edges]
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.stages = nn.ModuleList()
        for stage in range(3):
            blocks: list[nn.Module] = [ReductionBlock(channels // 2, norms)] if stage else []
            blocks += [NasBench201Cell(channels, operations, norms) for _ in range(cells)]
            self.stages.append(nn.Sequential(*blocks))
            channels *= 2
        channels //= 2
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        scores: Tensor = self.classifier(self.flatten(self.pool(self.relu(self.norm(x)))))
        return scores
