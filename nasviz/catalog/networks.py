"""Networks that can be chosen by name: those of the documents, and torchvision's classifiers.

Published numbers of the documents' networks: ASGNAS (2023), table 1. Parameters and multiply-accumulates are
exact counts of the networks in `nasviz.models`, which round to the printed ones.
"""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting
from nasviz.catalog.torchvision_networks import TORCHVISION

__all__ = ["NETWORKS"]

_ASGNAS = "Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023, arXiv:2305.18030"
_WIDTH = Setting(
    "width",
    "float",
    1.0,
    minimum=0.01,
    maximum=16.0,
    help="Multiplies the channels of every convolution; 0.25 trains on a laptop in seconds.",
)

_DOCUMENTS = (
    Entry(
        "demonet",
        "DemoNet",
        "The documents' example: six removable structures around one concatenation and two additions.",
        settings=(_WIDTH,),
        citation=_ASGNAS,
        published={
            "params": 817_010,
            "macs": 208_871_584,
            "top1": 84.9,
            "sub_params": 447_410,
            "sub_macs": 106_813_600,
            "sub_top1": 84.7,
            "num_structures": 6,
            "max_sparsity": 4,
        },
        family="documents",
        input_shape=(1, 28, 28),
        num_classes=10,
    ),
    Entry(
        "stacked_unets",
        "StackedUnets",
        "Two U-Nets side by side on one image, one pools and one strides; six removable structures.",
        settings=(_WIDTH,),
        citation=_ASGNAS,
        published={
            "params": 795_466,
            "macs": 183_915_136,
            "top1": 95.3,
            "sub_params": 369_370,
            "sub_macs": 114_573_952,
            "sub_top1": 96.1,
            "num_structures": 6,
            "max_sparsity": 5,
        },
        family="documents",
        input_shape=(3, 32, 32),
        least_size=8,
        num_classes=10,
    ),
)

NETWORKS: dict[str, Entry] = {entry.name: entry for entry in (*_DOCUMENTS, *TORCHVISION)}
"""By name, the documents' first."""
