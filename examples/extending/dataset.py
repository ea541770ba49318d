"""A data set of your own in the catalog.

    nasviz --extension examples/extending/dataset.py train --model demonet --set width=0.1 --data stripes

An installed package names the module in its pyproject.toml instead:

    [project.entry-points."nasviz.datasets"]
    stripes = "my_package.dataset"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import nasviz

if TYPE_CHECKING:
    from torch import Tensor


@nasviz.register_dataset(
    title="Stripes", channels=1, size=12, num_classes=2, num_train=128, num_validation=32
)
def stripes(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Noisy stripes, horizontal or vertical: nothing to download."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (160,), generator=generator)
    rows = (torch.arange(12) % 4 < 2).float().expand(12, 12)
    images = torch.where(labels[:, None, None] == 1, rows, rows.T).unsqueeze(1)
    images = images + 0.3 * torch.randn(images.shape, generator=generator)
    images = (255 * images).clamp(0, 255).to(torch.uint8)  # bytes are resized to what the network reads
    return (images[:128], labels[:128]), (images[128:], labels[128:])
