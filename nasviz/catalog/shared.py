"""Settings that optimizers of several families have."""

from __future__ import annotations

from nasviz.catalog.entry import Setting

__all__ = ["CLIP", "COPIES", "amount", "steps"]


def steps(name: str, words: str) -> Setting:
    """A number of steps; left empty, a share of all."""
    return Setting(name, "int", None, minimum=1, maximum=10**9, help=words)


def amount(name: str, default: float, words: str) -> Setting:
    """A number from 0 on."""
    return Setting(name, "float", default, minimum=0.0, maximum=1e6, help=words)


CLIP = Setting(
    "clip", "float", 5.0, minimum=1e-6, maximum=1e9, help="Longest gradient of the weights in a step."
)
COPIES = (
    amount(
        "auxiliary_weight", 1.0, "Lambda: how much the auxiliary copy counts; not published for networks."
    ),
    amount("coupling", 1.0, "Beta: strength of the spring between the copies; not published for networks."),
)
"""Of RARTS, whatever it searches."""
