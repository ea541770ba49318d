"""Optimizers that bring operations to zero by a penalty on their lengths, and its proximal map."""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting
from nasviz.catalog.shared import amount, steps

__all__ = ["PROXIMAL", "proximal_entries"]

PROXIMAL = "proximal"
"""Family of the optimizers that search from their first step on, without warm-up and without a target."""

_SETTINGS = (
    Setting(
        "lr",
        "float",
        0.05,
        minimum=1e-8,
        maximum=1.0,
        help="Epsilon: how far a step goes towards the mapped point; what is dead falls by this share.",
    ),
    Setting(
        "groups",
        "choice",
        "operations",
        choices=("operations", "filters", "channels"),
        help="What lives or dies as one: whole operations; filters, channels that one operator alone makes;"
        " or all channels, also those that residual sums tie.",
    ),
    amount("mu", 1.0, "Weight of the penalty; more of it removes more."),
    Setting(
        "rho", "float", 0.8, minimum=1e-6, maximum=1.0, help="Weight of the new gradient in the momentum."
    ),
    Setting(
        "normalisation",
        "choice",
        "none",
        choices=("none", "div", "mul"),
        help="Penalty of a group by the root of its size: the same for all, divided by it (published for"
        " filters), or times it.",
    ),
    Setting(
        "adaptive",
        "bool",
        False,
        help="Whether the step sizes of a group follow its gradients (published for filters); with constant"
        " ones tau is 1.",
    ),
    amount("threshold", 1e-6, "Groups of at most this length are pruned at the end of the search."),
    steps(
        "projection_steps",
        "Steps of the search; what is left then trains on without the penalty; empty: 60 % of all.",
    ),
)


def proximal_entries() -> tuple[Entry, ...]:
    """The rows of the table."""
    return (
        Entry(
            "gsparsity",
            "GSparsity",
            "Draws all operations, or filters, towards zero with ProxSGD, prunes what has died, and trains"
            " the rest on. Pooling and identity edges take part through switches.",
            settings=_SETTINGS,
            citation="Chatzimichailidis et al., GSparsity: Unifying Network Pruning and Neural Architecture"
            " Search by Group Sparsity, AutoML 2022",
            caution="Takes no target, and knows no hierarchy: with too large a mu nothing connects input and"
            " output any more. A dead structure needs ln(1e6) / lr steps to come down to the threshold.",
            family=PROXIMAL,
            has_target=False,
        ),
    )
