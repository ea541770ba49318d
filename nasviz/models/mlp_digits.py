"""Multilayer perceptron of SparseNAS's ablation on digits: 64-40-20-10, ReLU, 3,560 weights and 70 biases.

It has no joints, so no operation can be erased as a whole; it serves for pruning groups of neurons.
"""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

__all__ = ["MlpDigits"]


class MlpDigits(nn.Module):
    """Two hidden layers of 40 and 20 neurons.

    Args:
        num_classes: Size of the output.
        in_channels: Channels of the image.
        size: Height and width of the image.

    Shapes:
        `(N, in_channels, *size)` to `(N, num_classes)`.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, size: tuple[int, ...] = (8, 8)) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear1 = nn.Linear(in_channels * prod(size), 40)
        self.relu1 = nn.ReLU()
        self.linear2 = nn.Linear(40, 20)
        self.relu2 = nn.ReLU()
        self.linear3 = nn.Linear(20, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class scores before the softmax."""
        x = self.relu1(self.linear1(self.flatten(images)))
        scores: Tensor = self.linear3(self.relu2(self.linear2(x)))
        return scores
