"""A network of your own in the catalog.

    nasviz --extension examples/extending/network.py train --model two_branches --set width=8 --epochs 1
    streamlit run app.py -- --extension examples/extending/network.py

The declaration is read by the server, which has no torch: import torch inside the function. An installed
package needs no option; it names the module in its pyproject.toml:

    [project.entry-points."nasviz.networks"]
    two_branches = "my_package.network"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nasviz
from nasviz.catalog import Setting

if TYPE_CHECKING:
    from torch import nn


@nasviz.register_network(
    title="Two branches",
    input_shape=(1, 8, 8),
    num_classes=10,
    settings=(Setting("width", "int", 16, minimum=1, maximum=1024, help="Channels of each branch."),),
)
def two_branches(num_classes: int, in_channels: int, width: int) -> nn.Module:
    """Build two parallel convolutions that are added: either can be erased."""
    from torch import Tensor, nn

    class TwoBranches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
            self.left = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.right = nn.Sequential(nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU())
            self.head = nn.Linear(width, num_classes)

        def forward(self, images: Tensor) -> Tensor:
            x = self.stem(images).relu()
            x = self.left(x) + self.right(x)
            return self.head(x.mean((2, 3)))

    return TwoBranches()
