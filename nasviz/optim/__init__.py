"""Optimizers that bring removal structures to zero while they train: one optimizer a file."""

from nasviz.optim.binding import count_of
from nasviz.optim.create import OPTIMIZERS, create
from nasviz.optim.create_gsparsity import SWITCH_START, create_gsparsity
from nasviz.optim.filter_sparsity import FilterSparsity
from nasviz.optim.grouping import Slices
from nasviz.optim.groups import Rows, TensorGroup
from nasviz.optim.gsparsity import GSparsity
from nasviz.optim.h2spg import H2SPG
from nasviz.optim.h2spg_otov3 import DHSPG, H2SPGOTOv3
from nasviz.optim.hapg import HAPG, AdamHAPG
from nasviz.optim.hspg import HSPG
from nasviz.optim.penalty_search import PenaltySearch
from nasviz.optim.proxsgd import ProxSGD
from nasviz.optim.search_optimizer import Conclusion, SearchOptimizer, Training
from nasviz.optim.selection import Selection
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
    "H2SPGOTOv3",
    "PenaltySearch",
    "ProxSGD",
    "Rows",
    "SearchOptimizer",
    "Selection",
    "Slices",
    "Slim",
    "TensorGroup",
    "Training",
    "count_of",
    "create",
    "create_gsparsity",
]
