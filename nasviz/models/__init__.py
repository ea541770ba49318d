"""Networks: those of the documents, torchvision's classifiers, and the user's own, with their weights.

`nasviz.zoo` is this package.
"""

from nasviz.models.building import build, create, names
from nasviz.models.demonet import DemoNet
from nasviz.models.stacked_unets import StackedUnets
from nasviz.models.weights import load_weights

__all__ = ["DemoNet", "StackedUnets", "build", "create", "load_weights", "names"]
