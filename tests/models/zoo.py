"""What the tests of the zoo share: counting without arithmetic, and small forms of every network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

SMALL: dict[str, dict[str, Any]] = {
    "demonet": {"width": 0.25},
    "stacked_unets": {"width": 0.25},
    "darts_8": {"channels": 4, "cells": 2},
    "darts_14": {"channels": 4, "cells": 2},
    "darts_v2": {"channels": 4, "cells": 3},
    "cells": {"channels": 4, "cells": 3},
    "super_resnet_1m": {"width": 0.1},
    "super_resnet_2m": {"width": 0.1},
    "regnet_800m": {},
    "nas_bench_201": {"channels": 4, "cells": 1},
    "preresnet_164": {"channels": 4, "blocks": 2},
    "mlp_digits": {},
}
"""Settings under which a network of the zoo is quick."""


def macs_of_layers(model: nn.Module, image: Tensor) -> dict[str, int]:
    """Multiply-accumulates of convolutions and linear layers, by their names, for one image."""
    macs: dict[str, int] = {}

    def counter(name: str) -> object:
        def count(module: nn.Module, _: object, output: Tensor) -> None:
            macs[name] = macs.get(name, 0) + output.numel() * module.weight[0].numel()

        return count

    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [module.register_forward_hook(counter(name)) for name, module in layers]
    with torch.no_grad():
        model.eval()(image)
    for handle in handles:
        handle.remove()
    return macs


def counts(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Parameters and multiply-accumulates; nothing is computed, the model ends on the meta device."""
    model.to("meta")
    image = torch.empty(1, *shape, device="meta")
    return sum(p.numel() for p in model.parameters()), sum(macs_of_layers(model, image).values())
