"""Methods that search with architecture parameters: DARTS, MiLeNAS and RARTS."""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting

__all__ = ["RELAXED", "relaxed_entries"]

RELAXED = "relaxed"
"""Family of the optimizers that weigh operations by softmaxes, and derive a network at the end."""

_ARCHITECTURE = (
    Setting(
        "warmup_steps",
        "int",
        None,
        minimum=1,
        maximum=10**9,
        help="Steps at the start in which only the weights learn; empty: 10 % of all steps.",
    ),
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
    Setting(
        "clip", "float", 5.0, minimum=1e-6, maximum=1e9, help="Longest gradient of the weights in a step."
    ),
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
        2,
        minimum=0,
        maximum=1000,
        help="How many edges each node keeps in the end, with the best operation of each; 0: all.",
    ),
)
_CAUTION = (
    "Every operation starts with the same share. The network that is derived has lost most of what the large"
    " one computed: train it anew before you judge it."
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
                Setting(
                    "order",
                    "choice",
                    "first",
                    choices=("first", "second"),
                    help="Second order looks one step of the weights ahead, at about four times the cost.",
                ),
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
                Setting(
                    "validation_weight",
                    "float",
                    1.0,
                    minimum=0.0,
                    maximum=1e6,
                    help="Lambda: how much the second half counts for the architecture, beside the first.",
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
                Setting(
                    "auxiliary_weight",
                    "float",
                    1.0,
                    minimum=0.0,
                    maximum=1e6,
                    help="Lambda: how much the auxiliary copy counts; not published for networks.",
                ),
                Setting(
                    "coupling",
                    "float",
                    1.0,
                    minimum=0.0,
                    maximum=1e6,
                    help="Beta: strength of the spring between the copies; not published for networks.",
                ),
                Setting(
                    "latency_weight",
                    "float",
                    0.0,
                    minimum=0.0,
                    maximum=1e6,
                    help="Gamma: price of a millisecond, measured on the device; published: 0.002.",
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
    )
