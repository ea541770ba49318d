"""Networks: those of the papers, torchvision's classifiers, and the user's own, with their weights.

`nasviz.zoo` is this package.
"""

from nasviz.models.building import build, create, names, reset_
from nasviz.models.darts import Darts, DartsV2
from nasviz.models.demonet import DemoNet
from nasviz.models.nas_bench_201 import NasBench201
from nasviz.models.preresnet_164 import PreResNet
from nasviz.models.stacked_unets import StackedUnets
from nasviz.models.super_resnet import SuperResNet
from nasviz.models.weights import load_weights

__all__ = [
    "Darts",
    "DartsV2",
    "DemoNet",
    "NasBench201",
    "PreResNet",
    "StackedUnets",
    "SuperResNet",
    "build",
    "create",
    "load_weights",
    "names",
    "reset_",
]
