"""Methods that search with architecture parameters: DARTS, MiLeNAS, RARTS and SparseNAS."""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting
from nasviz.catalog.shared import CLIP, COPIES, amount, steps

__all__ = ["RELAXED", "relaxed_entries"]

RELAXED = "relaxed"
"""Family of the optimizers that weigh operations by parameters, and derive a network at the end."""

_ORDER = Setting(
    "order",
    "choice",
    "first",
    choices=("first", "second"),
    help="Second order looks one step of the weights ahead, at about four times the cost.",
)
_ARCHITECTURE = (
    steps("warmup_steps", "Steps at the start in which only the weights learn; empty: 10 % of all steps."),
    Setting(
        "architecture_lr",
        "float",
        3e-4,
        minimum=1e-8,
        maximum=1000.0,
        help="Learning rate of the architecture parameters, which Adam moves; small data want far more.",
    ),
    Setting(
        "architecture_weight_decay",
        "float",
        1e-3,
        minimum=0.0,
        maximum=100.0,
        help="Pull of the architecture parameters towards zero, where all operations count alike.",
    ),
    CLIP,
    Setting(
        "over",
        "choice",
        "auto",
        choices=("auto", "edge", "node"),
        help="What one softmax weighs: the candidates of an edge, or all that comes into a joint; auto takes"
        " edges where the network is made of cells.",
    ),
    Setting(
        "edges_per_node",
        "int",
        None,
        minimum=0,
        maximum=1000,
        help="How many edges each node keeps in the end, with the best operation of each; 0: all; empty: as"
        " the paper of the cells does, 2 in DARTS.",
    ),
)
_CAUTION = (
    "Every operation starts with the same share. The network that is derived has lost most of what the large"
    " one computed: train it anew before you judge it."
)


_SPARSE = (
    Setting(
        "adaptive",
        "bool",
        True,
        help="AdamHAPG, with the step sizes of Adam; plain HAPG otherwise.",
    ),
    Setting(
        "balance",
        "float",
        0.5,
        minimum=0.0,
        maximum=1.0,
        help="Alpha: 1 silences single operations, 0 whole nodes; published: 0.5.",
    ),
    amount(
        "penalty_step",
        0.01,
        "By how much lambda, the weight of the penalty, rises with each epoch; published: 0.01.",
    ),
    amount("penalty_cap", 1.0, "Largest lambda; not published."),
)


def relaxed_entries(base: tuple[Setting, ...]) -> tuple[Entry, ...]:
    """The rows of the table; `base` are the settings of the optimizer of the weights."""
    return (
        Entry(
            "darts",
            "DARTS",
            "Weighs operations by a softmax; the weights learn from one half of the images, the architecture"
            " from the other.",
            settings=(
                *base,
                _ORDER,
                *_ARCHITECTURE,
            ),
            citation="Liu et al., DARTS: Differentiable Architecture Search, 2019, arXiv:1806.09055",
            caution=_CAUTION,
            family=RELAXED,
            has_target=False,
            num_batches=2,
        ),
        Entry(
            "milenas",
            "MiLeNAS",
            "As first-order DARTS, but the architecture learns from both halves of the images.",
            settings=(
                *base,
                amount(
                    "validation_weight",
                    1.0,
                    "Lambda: how much the second half counts for the architecture, beside the first.",
                ),
                *_ARCHITECTURE,
            ),
            citation="He et al., MiLeNAS: Efficient Neural Architecture Search via Mixed-Level Reformulation,"
            " 2020, arXiv:2003.12238",
            caution=_CAUTION,
            family=RELAXED,
            has_target=False,
            num_batches=2,
        ),
        Entry(
            "rarts",
            "RARTS",
            "Two copies of the weights, tied by a spring, learn from one half of the images each and share"
            " one architecture.",
            settings=(
                *base,
                *COPIES,
                amount(
                    "latency_weight",
                    0.0,
                    "Gamma: price of a millisecond, measured on the device; published: 0.002.",
                ),
                *_ARCHITECTURE,
            ),
            citation="Xue, Relaxation and Optimization for Automated Learning of Neural Network"
            " Architectures, 2022, algorithm 2, escholarship.org/uc/item/3wt239sm",
            caution=_CAUTION,
            family=RELAXED,
            has_target=False,
            num_batches=2,
        ),
        Entry(
            "sparsenas",
            "SparseNAS",
            "Gives every operation a plain weight and raises a sparse group lasso on them, whose zeros are"
            " exact; any number of operations stays at each node.",
            settings=(
                *base,
                _ORDER,
                *(s for s in _ARCHITECTURE if s.name in ("warmup_steps", "clip")),
                Setting(
                    "architecture_lr",
                    "float",
                    0.01,
                    minimum=1e-8,
                    maximum=1000.0,
                    help="Learning rate of the weights of operations, which HAPG moves; not published.",
                ),
                *_SPARSE,
            ),
            citation="Wu et al., Neural Architecture Search as Sparse Supernet, AAAI 2021, arXiv:2101.06658",
            caution="How much goes follows from the penalty and the number of epochs. The momentum of HAPG is"
            " capped at 0.9: as printed it tends to 1, and diverges.",
            family=RELAXED,
            has_target=False,
            num_batches=2,
        ),
    )
