"""Optimizers that can be chosen by name, with what each setting does."""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting

__all__ = ["OPTIMIZERS"]

_BASE = (
    Setting("base", "choice", "sgd", choices=("sgd", "adam", "adamw"), help="Update of every trial step."),
    Setting("lr", "float", 0.05, minimum=1e-8, maximum=1000.0, help="Learning rate at the first step."),
    Setting(
        "momentum",
        "float",
        0.9,
        minimum=0.0,
        maximum=1.0,
        below=True,
        help="Share of the last update that is kept; used by sgd.",
    ),
    Setting(
        "weight_decay", "float", 5e-4, minimum=0.0, maximum=100.0, help="Pull of all weights towards zero."
    ),
)
_SELECTION = (
    Setting(
        "saliency",
        "choice",
        "taylor",
        choices=("taylor", "documents", "magnitude", "random"),
        help="Score that ranks the structures; the smallest are redundant.",
    ),
    Setting(
        "warmup_steps",
        "int",
        None,
        minimum=1,
        maximum=10**9,
        help="Plain steps over which the scores are averaged; empty: 10 % of all steps.",
    ),
    Setting(
        "projection_steps",
        "int",
        None,
        minimum=1,
        maximum=10**9,
        help="Steps over which the redundant structures are brought to zero; empty: 20 % of all steps.",
    ),
)
_PROJECTION = (
    Setting(
        "projection",
        "choice",
        "both",
        choices=("halfspace", "progressive", "both"),
        help="What brings a structure to zero: the half-space test, an even shrinking, or both.",
    ),
    Setting(
        "epsilon",
        "float",
        0.0,
        minimum=0.0,
        maximum=1.0,
        below=True,
        help="Half-space offset: 0 zeroes a structure latest, close to 1 soonest.",
    ),
)

OPTIMIZERS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "h2spg",
            "H2SPG",
            "Ranks the structures while warming up, then brings exactly K of them to zero and keeps the"
            " network connected.",
            settings=(*_BASE, *_SELECTION, *_PROJECTION),
            citation="Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023,"
            " Algorithm 3, arXiv:2305.18030",
            family="half-space",
        ),
    )
}
"""By name, the default first."""
