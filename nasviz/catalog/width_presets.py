"""Experiments of the RARTS dissertation on channel pruning as sweeps (chapter 4)."""

from __future__ import annotations

from typing import Any

from nasviz.catalog.preset import Preset, Printed, Row, small

__all__ = ["WIDTHS"]

_RARTS = "RARTS and SiDT, dissertation, UC Irvine"
_UNSAID = (
    "The weights lambda and beta of RARTS and the learning rate of the scores are not published: 1, 1 and 0.1"
    " here. 60 % of the epochs are the search."
)


def _preresnet(
    name: str, data: str, rows: tuple[tuple[int, float, float, float], ...], baseline: float, others: Any
) -> Preset:
    """Return a preset of PreResNet-164; rows are pruned share, errors without and with distillation, MACs."""
    return Preset(
        name,
        f"Widths of PreResNet-164 by RARTS, {data}",
        _RARTS,
        "table 4.1",
        data,
        "preresnet_164",
        rows=tuple(
            Row(
                f"{share} % pruned{words}",
                {"fraction": share / 100, "distillation": weight},
                Printed(round(100 - error, 2), macs=macs),
            )
            for share, alone, distilled, macs in rows
            for words, weight, error in (("", 0.0, alone), (", distilled", 1.0, distilled))
        ),
        base={
            "method": "rarts_width",
            "groups": "filters",
            "sparsity": 1e-4,
            "lr": 0.1,
            "weight_decay": 1e-4,
            "epochs": 160,
            "batch_size": 64,
        },
        stand_in={"data": "digits", "epochs": 4, "lr": 0.05, "network": small("preresnet_164", 16)},
        baseline_top1=round(100 - baseline, 2),
        others=tuple((system, Printed(round(100 - error, 2), macs=macs)) for system, error, macs in others),
        notes=(
            _UNSAID,
            "Only channels produced by a single convolution are scored: the first two of each block.",
        ),
    )


_SIDT = Preset(
    "sidt",
    "Dimensions of Swin-T by SiDT",
    _RARTS,
    "table 4.4",
    "CIFAR-100",
    "swin_t",
    rows=tuple(
        Row(
            f"{share} % pruned",
            {"fraction": share / 100},
            Printed(top1, params=params * 1e6, macs=macs * 1e9),
        )
        for share, top1, params, macs in (
            (20, 82.75, 23.28, 3.53),
            (40, 82.11, 17.89, 2.60),
            (60, 80.81, 11.92, 1.73),
            (80, 79.35, 7.17, 0.92),
        )
    ),
    base={
        "method": "sidt",
        "base": "adamw",
        "sparsity": 1e-4,
        "lr": 2.5e-4,
        "weight_decay": 0.05,
        "epochs": 160,
        "batch_size": 256,
    },
    stand_in={"data": "digits", "epochs": 2, "batch_size": 64, "network": small("swin_t", 32)},
    baseline_top1=81.78,
    notes=(_UNSAID, "Published training resizes images to 224 x 224, and tunes for another 160 epochs."),
)

WIDTHS: tuple[Preset, ...] = (
    _preresnet(
        "rarts_width",
        "CIFAR-10",
        ((40, 4.58, 4.58, 1.90e8), (60, 4.90, 5.01, 1.33e8)),
        4.22,
        (("NetSlim, 40 %", 5.08, 1.90e8), ("NetSlim, 60 %", 5.27, 1.38e8), ("TAS, distilled", 6.00, 1.78e8)),
    ),
    _preresnet(
        "rarts_width_cifar100",
        "CIFAR-100",
        ((40, 22.64, 21.63, 1.78e8), (60, 23.26, 22.38, 1.23e8)),
        21.83,
        (("NetSlim, 40 %", 22.87, 1.67e8), ("NetSlim, 60 %", 23.91, 1.24e8), ("TAS", 22.24, 1.71e8)),
    ),
    _SIDT,
)
"""Presets in the order of the dissertation."""
