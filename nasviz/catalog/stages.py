"""Second stages of published tables: what a search has found, trained from scratch at full size.

SparseNAS and the RARTS dissertation follow the settings of DARTS (Liu et al., 2019, section 3.2) and print
none of their own; GSparsity prints those of its sections 4.3 and appendices E and F. Where NAS-Bench-201 is
queried in print, its own training is repeated (Dong and Yang, 2020, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nasviz.catalog.preset import Preset, Printed, Row
from nasviz.catalog.search_presets import SEARCHES

__all__ = ["SECOND_STAGES", "SMALL_STAGE", "TRANSFERS"]

Stage = Mapping[str, Any]

_DARTS: Stage = {
    "set.channels": 36,
    "set.cells": 20,
    "set.auxiliary": 0.4,
    "set.drop_path": 0.2,
    "epochs": 600,
    "batch_size": 96,
    "lr": 0.025,
    "weight_decay": 3e-4,
    "augmentation": "cutout",
}
_IMAGENET: Stage = {
    "data": "image_folder",
    "input_shape": [3, 224, 224],
    "num_classes": 1000,
    "set.stem": "imagenet",
    "set.channels": 48,
    "set.cells": 14,
    "set.auxiliary": 0.4,
    "epochs": 250,
    "batch_size": 128,
    "lr": 0.1,
    "lr_schedule": "step",
    "lr_decay": 0.97,
    "lr_decay_epochs": 1,
    "weight_decay": 3e-5,
    "label_smoothing": 0.1,
    "augmentation": "resized_crop",
}
_GSPARSITY: Stage = {**_DARTS, "set.cells": 14, "set.drop_path": 0.3}
_GSPARSITY_IMAGENET: Stage = {
    **{name: value for name, value in _IMAGENET.items() if not name.startswith("lr_")},
    "batch_size": 512,
    "lr": 0.5,
}
_NAS_BENCH_201: Stage = {"epochs": 200, "batch_size": 256, "lr": 0.1, "augmentation": "shift_flip"}
SMALL_STAGE: Stage = {"set.channels": 8, "set.cells": 3, "epochs": 8, "batch_size": 64, "lr": 0.05}
"""For runs on digits."""


def _table(name: str, source: str, title: str, table: str, *rows: tuple[int, Printed], **more: Any) -> Preset:
    """Return another table that begins with the search of a preset, with printed figures by row of that.

    Its `others` are its own, none if left out.
    """
    search = next(preset for preset in SEARCHES if preset.name == source)
    own: tuple[Row, ...] = tuple(replace(search.rows[place], printed=printed) for place, printed in rows)
    return replace(search, name=name, title=title, table=table, rows=own, **{"others": ()} | more)


def _error(percent: float, top5: float, params: float) -> Printed:
    """Return the accuracies of two test errors in percent, with millions of parameters."""
    return Printed(round(100 - percent, 2), params=params * 1e6, top5=round(100 - top5, 2))


def _accuracy(top1: float, top5: float, days: float, params: float) -> Printed:
    """Return two accuracies in percent, with GPU days of the search and millions of parameters."""
    return Printed(top1, params=params * 1e6, top5=top5, search_days=days)


TRANSFERS: tuple[Preset, ...] = (
    _table(
        "sparsenas_imagenet",
        "sparsenas",
        "SparseNAS, transferred to ImageNet",
        "table 2",
        (0, _error(25.48, 8.1, 5.3)),
        (1, _error(24.67, 7.6, 5.7)),
        others=(
            ("MobileNet", _error(29.40, 10.5, 4.2)),
            ("DARTS (second order)", _error(26.70, 8.7, 4.7)),
            ("FairDARTS-B", _error(24.90, 7.5, 4.8)),
            ("DSO-NAS", _error(26.20, 8.6, 4.7)),
            ("BayesNAS", _error(26.50, 8.9, 3.9)),
        ),
    ),
    _table(
        "gsparsity_darts_best",
        "gsparsity_darts",
        "GSparsity on the space of DARTS, best of three",
        "table 8",
        (0, Printed(97.24, 0.03)),
        others=(
            ("DARTS (second order)", Printed(97.09, 0.09)),
            ("P-DARTS", Printed(97.25, 0.07)),
            ("PC-DARTS", Printed(97.38, 0.08)),
            ("DrNAS", Printed(96.98, 0.07)),
            ("GDAS", Printed(96.77, 0.11)),
            ("ISTA-NAS", Printed(96.86, 0.02)),
            ("GAEA", Printed(96.57, 0.04)),
        ),
    ),
    _table(
        "gsparsity_imagenet",
        "gsparsity_darts",
        "GSparsity, transferred to ImageNet",
        "table 9",
        (0, _accuracy(75.29, 92.42, 0.5, 6.29)),
        others=(
            ("DARTS", _accuracy(71.09, 89.83, 2.9, 5.54)),
            ("P-DARTS", _accuracy(74.11, 91.73, 0.3, 3.67)),
            ("PC-DARTS, searched on ImageNet", _accuracy(75.71, 92.68, 3.1, 5.57)),
            ("DrNAS, searched on ImageNet", _accuracy(65.25, 86.23, 7.3, 3.33)),
            ("GSparsity, searched on ImageNet", _accuracy(75.51, 92.60, 3.3, 6.22)),
        ),
    ),
    _table(
        "rarts_imagenet",
        "rarts",
        "RARTS and DARTS, transferred to ImageNet",
        "table 3.2",
        (1, _error(26.7, 8.7, 4.7)),
        (3, _error(25.9, 8.3, 4.7)),
        others=(
            ("SNAS", _error(27.3, 9.2, 4.3)),
            ("GDAS", _error(26.0, 8.5, 5.3)),
            ("ProxylessNAS, searched on ImageNet", _error(24.9, 7.5, 7.1)),
            ("FairDARTS", _error(24.9, 7.5, 4.8)),
            ("FairDARTS, searched on ImageNet", _error(24.4, 7.4, 4.3)),
            ("P-DARTS", _error(24.4, 7.4, 4.9)),
            ("PC-DARTS", _error(25.1, 7.8, 5.3)),
            ("PC-DARTS, searched on ImageNet", _error(24.2, 7.3, 5.3)),
            ("MiLeNAS", _error(25.4, 7.9, 4.9)),
        ),
    ),
)
"""Tables that print only what becomes of a search elsewhere."""

SECOND_STAGES: Mapping[str, tuple[Stage, ...]] = {
    "sparsenas": (_DARTS, {**_DARTS, "data": "cifar100"}),
    "sparsenas_alpha": (_DARTS,),
    "sparsenas_imagenet": (_IMAGENET,),
    "gsparsity_darts": (_GSPARSITY,),
    "gsparsity_darts_cifar100": (_GSPARSITY,),
    "gsparsity_darts_best": (_GSPARSITY,),
    "gsparsity_spaces": (_GSPARSITY,),
    "gsparsity_imagenet": (_GSPARSITY_IMAGENET,),
    "rarts": (_DARTS,),
    "rarts_imagenet": (_IMAGENET,),
    **dict.fromkeys(
        (
            "gsparsity_nas_bench_201",
            "gsparsity_nas_bench_201_cifar100",
            "rarts_nats_bench",
            "rarts_nats_bench_cifar100",
        ),
        (_NAS_BENCH_201,),
    ),
}
"""By the name of the preset; the first one is what the printed figures are of."""
