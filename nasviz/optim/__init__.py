"""Optimizers that bring removal structures to zero while they train: one optimizer a file."""

from nasviz.optim.binding import count_of
from nasviz.optim.create import OPTIMIZERS, create
from nasviz.optim.groups import Rows, TensorGroup
from nasviz.optim.h2spg import H2SPG
from nasviz.optim.selection import Selection

__all__ = ["H2SPG", "OPTIMIZERS", "Rows", "Selection", "TensorGroup", "count_of", "create"]
