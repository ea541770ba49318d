"""Optimizers that search for the width of operators by scores of their channels: RARTS, and SiDT."""

from __future__ import annotations

from collections.abc import Mapping

from nasviz.catalog.entry import Entry, Setting
from nasviz.catalog.shared import CLIP, COPIES, amount, steps

__all__ = ["WIDTH", "width_entries"]

WIDTH = "width"
"""Family of the optimizers that score channels, prune a share of them, and tune the rest."""

_CITATION = (
    "Xue, Relaxation and Optimization for Automated Learning of Neural Network Architectures, 2022, {},"
    " escholarship.org/uc/item/3wt239sm"
)


def _settings(base: tuple[Setting, ...], groups: tuple[str, ...]) -> tuple[Setting, ...]:
    shared: Mapping[str, Setting] = {setting.name: setting for setting in base}
    return (
        *shared.values(),
        Setting(
            "fraction",
            "float",
            0.4,
            minimum=0.0,
            maximum=1.0,
            below=True,
            help="Share of the channels that goes, those of lowest score; 0: those whose score is exactly 0.",
        ),
        Setting(
            "ranking",
            "choice",
            "global",
            choices=("global", "layer"),
            help="Whether all scores are sorted together, or each layer keeps the same share.",
        ),
        *(
            [Setting("groups", "choice", groups[0], choices=groups, help="Which channels have scores.")]
            if len(groups) > 1
            else []
        ),
        amount("sparsity", 1e-4, "Gamma: weight of the l1 norm of the scores; published: 0.0001."),
        Setting(
            "scores_lr",
            "float",
            0.1,
            minimum=1e-8,
            maximum=1000.0,
            help="Learning rate of the scores; not published.",
        ),
        *COPIES,
        amount(
            "distillation",
            1.0,
            "Weight of the distillation, at temperature 4, from the network before pruning; 0: none.",
        ),
        CLIP,
        steps("projection_steps", "Steps of the search; what is left is tuned then; empty: 60 % of all."),
    )


def width_entries(base: tuple[Setting, ...]) -> tuple[Entry, ...]:
    """The rows of the table; `base` are the settings of the optimizer of the weights."""
    return (
        Entry(
            "rarts_width",
            "RARTS width search",
            "Two copies of the weights share a score for every channel; the lowest go, and what is left is"
            " tuned and distilled from the network before.",
            settings=_settings(base, ("channels", "filters")),
            citation=_CITATION.format("algorithm 3"),
            caution="Every operation stays. A step costs four passes, and sees two batches.",
            family=WIDTH,
            has_target=False,
            num_batches=2,
        ),
        Entry(
            "sidt",
            "SiDT",
            "The same for transformers: a score for every dimension of the heads of an attention, shared by"
            " queries, keys, values and all heads, and for every hidden dimension of its layers.",
            settings=_settings(base, ("dimensions",)),
            citation=_CITATION.format("section 4.3"),
            caution="Only networks with linear layers inside have such dimensions. Heads keep one at least.",
            family=WIDTH,
            has_target=False,
            num_batches=2,
        ),
    )
