"""Settings of how a run learns, beside its optimizer: course of the rate, augmentation, MixUp, labels.

ASGNAS (2023), appendix A.2: cosine annealing; twice in a row for DARTS; several times, with MixUp after
ZenNAS, for SuperResNet. Smoothed labels: ZenNAS's training, and GSparsity's on ImageNet. Cutout: GSparsity's
training of what it found, after DARTS; crops and mirrors: as everywhere on CIFAR and ImageNet.
"""

from __future__ import annotations

from nasviz.catalog.entry import Setting

__all__ = ["RECIPE"]

RECIPE: tuple[Setting, ...] = (
    Setting(
        "lr_schedule",
        "choice",
        "cosine",
        choices=("cosine", "constant"),
        help="Course of the learning rate: down to 0 along half a cosine, or the same all the time.",
    ),
    Setting(
        "lr_periods",
        "int",
        1,
        minimum=1,
        maximum=1000,
        help="How many times the cosine runs from the top to 0; ASGNAS takes 2 for DARTS.",
    ),
    Setting(
        "augmentation",
        "choice",
        "none",
        choices=("none", "shift", "shift_flip", "cutout", "resized_crop"),
        help="How training images vary: shifted by up to an eighth; mirrored too; with half of the width cut"
        " out too, as in DARTS; or a random part resized, and mirrored, as on ImageNet.",
    ),
    Setting(
        "mixup",
        "float",
        0.0,
        minimum=0.0,
        maximum=100.0,
        help="MixUp of pairs of images, at shares from Beta(a, a); ZenNAS takes a = 0.2, and 0 is off.",
    ),
    Setting(
        "label_smoothing",
        "float",
        0.0,
        minimum=0.0,
        maximum=1.0,
        below=True,
        help="Share of every label that is spread over all classes; 0.1 is common, 0 is off.",
    ),
)
"""In the order in which they are shown; a run has a setting of each name."""
