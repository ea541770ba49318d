"""Optimizers that can be chosen by name, with what each setting does."""

from __future__ import annotations

from nasviz.catalog.entry import Entry, Setting
from nasviz.catalog.proximal import proximal_entries
from nasviz.catalog.relaxed import relaxed_entries
from nasviz.catalog.saliencies import SALIENCIES, STEP
from nasviz.catalog.shared import amount, steps
from nasviz.catalog.widths import width_entries

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
        "snip",
        choices=tuple(name for name, entry in SALIENCIES.items() if entry.family == STEP),
        help="Score that ranks the structures; the smallest are redundant.",
    ),
    steps("warmup_steps", "Plain steps over which the scores are averaged; empty: 10 % of all steps."),
    steps(
        "score_every",
        "Steps from one scoring of the warm-up to the next, 1 for every step; empty: about 32 scorings"
        " in all.",
    ),
    steps(
        "projection_steps",
        "Steps over which the redundant structures are brought to zero; empty: 20 % of all steps.",
    ),
)
_EPSILON = Setting(
    "epsilon",
    "float",
    0.0,
    minimum=0.0,
    maximum=1.0,
    below=True,
    help="Half-space offset: 0 zeroes a structure latest, close to 1 soonest.",
)
_PROJECTION = (
    Setting(
        "projection",
        "choice",
        "both",
        choices=("halfspace", "progressive", "both"),
        help="What brings a structure to zero: the half-space test, an even shrinking, or both.",
    ),
    _EPSILON,
    Setting(
        "periods",
        "int",
        1,
        minimum=1,
        maximum=1000,
        help="Portions in which the structures go; every portion is selected by scores of its own.",
    ),
)
_REGULARIZATION = (
    Setting(
        "regularization",
        "float",
        None,
        minimum=0.0,
        maximum=1e6,
        help="Weight of the lengths of the redundant structures in the loss; empty: 0.001 for sgd, 0.01 for"
        " adam and adamw.",
    ),
    Setting(
        "amplify",
        "float",
        None,
        minimum=0.0,
        maximum=1e6,
        help="How many times what would just shrink a structure that grows; empty: 2 for sgd, 20 for adam"
        " and adamw.",
    ),
    Setting(
        "cap",
        "float",
        None,
        minimum=1.0,
        maximum=1e9,
        help="How many times the regularization a structure gets at most; empty: 10 for sgd, 1000 for adam"
        " and adamw.",
    ),
    _EPSILON,
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
        Entry(
            "h2spg_otov3",
            "H2SPG of OTOv3",
            "Ranks the structures while warming up, then lets a regulariser of their lengths draw K of them"
            " to zero and keeps the network connected.",
            settings=(*_BASE, *_SELECTION, *_REGULARIZATION),
            citation="Chen et al., OTOv3: Towards Automatic Sub-Network Search Within General Super Deep"
            " Neural Networks, 2023, Algorithm 3, arXiv:2305.18030v1",
            caution="The regulariser alone seldom ends at zero; what is left then is cut off at the end of"
            " the projection.",
            family="half-space",
        ),
        Entry(
            "dhspg",
            "DHSPG",
            "The same steps on the K structures of lowest score, whether or not the network stays connected.",
            settings=(*_BASE, *_SELECTION, *_REGULARIZATION),
            citation="Chen et al., OTOv2: Automatic, Generic, User-Friendly, 2023, arXiv:2303.06862",
            caution="Knows no hierarchy: the larger K, the more often nothing is left that connects input and"
            " output, and no sub-network can be constructed.",
            family="half-space",
        ),
        Entry(
            "hspg",
            "HSPG",
            "Draws all structures towards zero with one regulariser; the half-space test decides which go.",
            settings=(
                *_BASE,
                steps("warmup_steps", "Steps before the half-space test begins; empty: 10 % of all steps."),
                amount(
                    "regularization",
                    1e-3,
                    "Weight of the lengths of all structures in the loss; more of it removes more.",
                ),
                _EPSILON,
            ),
            citation="Chen et al., Only Train Once: A One-Shot Neural Network Training And Pruning Framework,"
            " 2021, arXiv:2107.07467",
            caution="Takes no target, and knows no hierarchy: the sub-network may not exist.",
            family="half-space",
            has_target=False,
        ),
        *proximal_entries(),
        *relaxed_entries(_BASE),
        *width_entries(_BASE),
    )
}
"""By name, the default first."""
