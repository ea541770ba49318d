"""Networks: those of the papers, torchvision's classifiers, and the user's own, with their weights.

`nasviz.zoo` is this package. A network of the papers is a module here and an entry in `nasviz.catalog`.
"""

from nasviz.models.building import build, create, names, reset_
from nasviz.models.weights import load_weights

__all__ = ["build", "create", "load_weights", "names", "reset_"]
