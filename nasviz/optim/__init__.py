"""Optimizers that bring removal structures to zero while they train.

`search_optimizer` is the protocol of every method; `groups` ties a search space to tensors; `group_optimizer`
holds the base classes; `halfspace` and `prox` hold the two maps that zero groups.
"""

from nasviz.optim.create import OPTIMIZERS, build, create
from nasviz.optim.group_optimizer import GroupOptimizer
from nasviz.optim.groups import Rows, Selection, SpaceBinding, TensorGroup, count_of
from nasviz.optim.gsparsity import SWITCH_START, FilterSparsity, GSparsity, PenaltySearch, create_gsparsity
from nasviz.optim.h2spg import DHSPG, H2SPG, HSPG, H2SPGOTOv3
from nasviz.optim.hapg import HAPG, AdamHAPG
from nasviz.optim.prox import Slices
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.search_optimizer import Conclusion, SearchOptimizer, Training
from nasviz.optim.slim import Slim

__all__ = [
    "DHSPG",
    "H2SPG",
    "HAPG",
    "HSPG",
    "OPTIMIZERS",
    "SWITCH_START",
    "AdamHAPG",
    "Conclusion",
    "FilterSparsity",
    "GSparsity",
    "GroupOptimizer",
    "H2SPGOTOv3",
    "PenaltySearch",
    "ProxSGD",
    "Rows",
    "SearchOptimizer",
    "Selection",
    "Slices",
    "Slim",
    "SpaceBinding",
    "TensorGroup",
    "Training",
    "build",
    "count_of",
    "create",
    "create_gsparsity",
]
