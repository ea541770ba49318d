"""A saliency in one file: the length of a structure's parameter vector.

nasviz train --extension examples/extending/norm_saliency.py \
        --model demonet --target-sparsity 2 --saliency norm
"""

from __future__ import annotations

from typing import Any

import nasviz


@nasviz.register_saliency(
    "norm",
    title="Norm",
    formula="s = |x|_2",
    caution="Knows nothing of the data, and keeps large structures.",
    needs_gradient=False,
)
def norm(reductions: Any) -> Any:
    """Length of the parameter vector; short structures are redundant."""
    return reductions.norm
