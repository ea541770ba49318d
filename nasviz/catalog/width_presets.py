"""Experiments of the RARTS dissertation on channel pruning as sweeps (chapter 4)."""

from __future__ import annotations

from typing import Any

from nasviz.catalog.preset import Preset, Printed, Row, small

__all__ = ["WIDTHS"]

_RARTS = "RARTS and SiDT, dissertation, UC Irvine"
_OURS = (
    "auxiliary_weight",
    "coupling",
    "scores_lr",
    "clip",
    "augmentation",
    "momentum",
    "lr_schedule",
    "base",
)
_TWICE: dict[str, Any] = {"epochs": 320, "projection_steps": 0.5, "lr_periods": 2}
"""160 epochs of search, then as many of tuning with the same settings."""
_ONCE: dict[str, Any] = {"data": "digits", "projection_steps": 0.6, "lr_periods": 1, "augmentation": "none"}


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
            "batch_size": 64,
            "temperature": 4.0,
            "augmentation": "shift_flip",
            **_TWICE,
        },
        stand_in=_ONCE | {"epochs": 4, "lr": 0.05, "network": small("preresnet_164", 16)},
        ours=(*_OURS, "batch_size", "groups"),
        baseline_top1=round(100 - baseline, 2),
        others=tuple((system, Printed(round(100 - error, 2), macs=macs)) for system, error, macs in others),
        notes=("Only channels produced by a single convolution are scored: the first two of each block.",),
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
        "batch_size": 256,
        "augmentation": "shift_flip",
        **_TWICE,
    },
    stand_in=_ONCE | {"epochs": 2, "batch_size": 64, "network": small("swin_t", 32)},
    baseline_top1=81.78,
    ours=(*_OURS, "distillation"),
    notes=("Published training resizes images to 224 x 224.",),
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
