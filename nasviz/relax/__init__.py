"""Architecture search by relaxation: architecture parameters train beside the weights, on other examples.

A room of its own beside `nasviz.optim`: the optimizers there know groups of tensors and one gradient a
step, while these methods take several gradients a step, at several points and on two batches, and so have to
evaluate a network at weights that are not its own.
"""

from nasviz.relax.architecture import (
    Architecture,
    Derived,
    construct_derived,
    derived_network,
    with_architecture,
)
from nasviz.relax.create import METHODS, create
from nasviz.relax.create_width import create_width
from nasviz.relax.relaxed_optimizer import RelaxedOptimizer
from nasviz.relax.sparsenas import SparseNAS, derived_sparse
from nasviz.relax.width_search import WidthSearch

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
