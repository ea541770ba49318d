"""Architecture search by relaxation: architecture parameters train beside the weights, on other examples.

A room of its own beside `nasviz.optim`: the optimizers there know groups of tensors and one gradient a
step, while these methods take several gradients a step, at several points and on two batches, and so have to
evaluate a network at weights that are not its own.
"""

from nasviz.nas.architecture import (
    Architecture,
    Derived,
    construct_derived,
    derived_network,
    with_architecture,
)
from nasviz.nas.create import METHODS, create
from nasviz.nas.relaxed_optimizer import RelaxedOptimizer
from nasviz.nas.sparsenas import SparseNAS, derived_sparse
from nasviz.nas.width_search import WidthSearch, create_width

__all__ = [
    "METHODS",
    "Architecture",
    "Derived",
    "RelaxedOptimizer",
    "SparseNAS",
    "WidthSearch",
    "construct_derived",
    "create",
    "create_width",
    "derived_network",
    "derived_sparse",
    "with_architecture",
]
