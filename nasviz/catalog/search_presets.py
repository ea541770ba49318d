"""Experiments of SparseNAS, GSparsity and the RARTS dissertation as sweeps.

The publications search on a small network, and report the accuracy of a larger network derived from it and
trained from scratch. A sweep performs the search and evaluates the derived network as it is. Transfer to
ImageNet, object detection and Penn Treebank are not included.
"""

from __future__ import annotations

from typing import Any

from nasviz.catalog.preset import Preset, Printed, Row, small

__all__ = ["SEARCHES"]

_SPARSENAS = "Wu et al., Neural Architecture Search as Sparse Supernet (SparseNAS), 2020"
_GSPARSITY = "Chatzimichailidis et al., GSparsity: Unifying Network Pruning and NAS by Group Sparsity, 2022"
_RARTS = "RARTS and SiDT, dissertation, UC Irvine"
_RETRAINED = (
    "The published accuracy is that of a larger network of the derived cells, trained from scratch for"
    " hundreds of epochs, which is the second stage of the sweep."
)
_UNCAPPED = (
    "The momentum of HAPG is the published one, which tends to 1; where it diverges, cap it:"
    " inertia_cap=0.9, as on digits."
)
_HALVES = {
    "epochs": 50,
    "lr": 0.025,
    "momentum": 0.9,
    "weight_decay": 3e-4,
    "batch_size": 64,
    "warmup_steps": 0,
    "collapse": ["FactorizedReduce"],
    "augmentation": "shift_flip",
}
"""Search settings of DARTS and of the methods that follow it; no step warms up."""
_HALVES_OURS = ("augmentation", "clip", "lr_schedule")
_ON_DIGITS: dict[str, Any] = {"data": "digits", "epochs": 4, "warmup_steps": 0.1, "augmentation": "none"}
_ON_DIGITS |= {"architecture_lr": "auto"}
_SMALL_CELLS = small("darts_8", 16, channels=4, cells=3)
_SMALL_NB201 = small("nas_bench_201", 16, channels=4, cells=1)


def _of_error(
    error: float, std: float | None = None, params: float | None = None, days: float | None = None
) -> Printed:
    """Return the accuracy of a test error, both in percent, with millions of parameters and GPU days."""
    return Printed(round(100 - error, 2), std, None if params is None else params * 1e6, search_days=days)


_SPARSE_ON_DIGITS = _ON_DIGITS | {
    "network": _SMALL_CELLS,
    "epochs": 16,
    "architecture_lr": 0.01,
    "order": "first",
    "inertia_cap": 0.9,
    "target_zeros": 0.5,
}
_OTHERS_ON_CIFAR = (
    ("P-DARTS", _of_error(2.50, None, 3.4, 0.3)),
    ("PC-DARTS", _of_error(2.57, 0.07, 3.6, 0.1)),
)
_SPARSE = Preset(
    "sparsenas",
    "SparseNAS on the space of DARTS",
    _SPARSENAS,
    "table 1",
    "CIFAR-10",
    "darts_8",
    rows=(
        Row("SparseNAS with HAPG", {"adaptive": False}, _of_error(2.73, 0.05, 3.8, 1)),
        Row("SparseNAS with AdamHAPG", {"adaptive": True}, _of_error(2.69, 0.03, 4.2, 1)),
    ),
    base=_HALVES
    | {
        "method": "sparsenas",
        "network": {"name": "darts_8", "settings": {"channels": 16}},
        "order": "second",
        "balance": 0.5,
        "penalty_step": 0.01,
        "inertia_cap": 1.0,
        "target_zeros": 0.0,
    },
    stand_in=_SPARSE_ON_DIGITS,
    ours=(*_HALVES_OURS, "architecture_lr", "penalty_cap"),
    others=(
        ("DARTS (first order)", _of_error(3.00, 0.14, 3.3, 1.5)),
        ("DARTS (second order)", _of_error(2.76, 0.09, 3.3, 4)),
        *_OTHERS_ON_CIFAR,
        ("FairDARTS", _of_error(2.54, 0.05, 3.3, 0.5)),
        ("CoNAS", _of_error(2.62, 0.06, 4.8, 0.7)),
        ("DSO-NAS", _of_error(2.84, 0.07, 3.0, 1)),
        ("BayesNAS", _of_error(2.81, 0.04, 3.4, 0.2)),
    ),
    notes=(_RETRAINED, _UNCAPPED),
)
_SPARSE_ALPHA = Preset(
    "sparsenas_alpha",
    "SparseNAS between nodes and operations",
    _SPARSENAS,
    "table 4",
    "CIFAR-10",
    "darts_8",
    rows=tuple(
        Row(f"alpha = {alpha:g}", {"balance": alpha}, _of_error(error))
        for alpha, error in ((0.3, 3.30), (0.5, 2.69), (0.7, 2.79))
    ),
    base={name: value for name, value in _SPARSE.base.items() if name != "balance"} | {"adaptive": True},
    stand_in=_SPARSE.stand_in,
    ours=_SPARSE.ours,
    notes=(_RETRAINED, _UNCAPPED),
)


def _gsparsity(mu: float, epochs: int, **settings: Any) -> dict[str, Any]:
    """Return the settings of a search by GSparsity, which takes the whole run: retraining is another one."""
    return {
        "method": "gsparsity",
        "mu": mu,
        "lr": 0.001,
        "lr_schedule": "constant",
        "rho": 0.8,
        "adaptive": False,
        "normalisation": "div",
        "max_zeros": 1.0,
        "pruning": "threshold",
        "threshold": 1e-6,
        "projection_steps": 1.0,
        "epochs": epochs,
        "batch_size": 64,
        "augmentation": "shift_flip",
        "collapse": ["FactorizedReduce"],
    } | settings


_FAST: dict[str, Any] = {"data": "digits", "epochs": 12, "lr": 0.1, "pruning": "proximal"}
_FAST |= {"lr_schedule": "constant", "projection_steps": 0.6, "augmentation": "none"}
_GSPARSITY_OURS = ("augmentation", "batch_size")
_NOT_TUNED = (
    "On digits, the learning rate is 0.1, and 40 % of the epochs train without the penalty; mu is as"
    " published, not tuned."
)
_SPACE = {"name": "darts_8", "settings": {"channels": 16}}
_CELL = {"cells": ["SearchCell"]}
_DARTS_V2 = Preset(
    "gsparsity_darts_v2",
    "Operations of DARTS_V2 pruned by GSparsity",
    _GSPARSITY,
    "table 2",
    "CIFAR-10",
    "darts_v2",
    rows=tuple(
        Row(f"mu = {mu:g}", {"mu": mu}, Printed(retrained, params=round(3_349_342 * share / 100)))
        for mu, retrained, share in (
            (0.0, 97.50, 100),
            (0.0001, 97.45, 78.25),
            (0.0002, 97.44, 61.60),
            (0.0005, 97.32, 52.09),
            (0.002, 97.09, 39.54),
            (0.004, 96.84, 32.80),
        )
    ),
    base={k: v for k, v in _gsparsity(0.0, 50, normalisation="none").items() if k != "mu"},
    stand_in=_FAST | {"network": small("darts_v2", 16, channels=4, cells=3)},
    ours=(*_GSPARSITY_OURS, "epochs", "lr", "rho"),
    retraining={"momentum": 0.9},
    notes=(
        "Published accuracies are those after retraining; parameters are the published fractions of 3.35 M."
        " Before retraining, the published accuracies are 96.4 to 96.5 %.",
        _NOT_TUNED,
    ),
)


def _found(name: str, data: str, mu: float, epochs: int, printed: Printed, others: Any) -> Preset:
    return Preset(
        name,
        f"GSparsity on the space of DARTS, {data}",
        _GSPARSITY,
        "table 3",
        data,
        "darts_8",
        rows=(Row("GSparsity", {"mu": mu}, printed),),
        base=_gsparsity(mu, epochs, **_CELL, network=_SPACE),
        stand_in=_FAST | {"network": _SMALL_CELLS},
        ours=_GSPARSITY_OURS,
        others=tuple((system, Printed(top1, std, search_days=days)) for system, (top1, std), days in others),
        notes=(_RETRAINED, _NOT_TUNED),
    )


_FOUND_10 = _found(
    "gsparsity_darts",
    "CIFAR-10",
    60.0,
    50,
    Printed(97.17, 0.11, search_days=0.42),
    (
        ("DARTS (2nd order)", (96.98, 0.13), 1.46),
        ("P-DARTS", (97.05, 0.20), 0.25),
        ("PC-DARTS", (97.13, 0.16), 0.13),
        ("DrNAS", (96.95, 0.08), 0.83),
        ("GDAS", (96.63, 0.12), 0.18),
        ("ISTA-NAS", (96.64, 0.15), 0.03),
        ("GAEA", (96.12, 0.29), 0.22),
    ),
)
_FOUND_100 = _found(
    "gsparsity_darts_cifar100",
    "CIFAR-100",
    120.0,
    100,
    Printed(83.56, 0.34, search_days=0.78),
    (
        ("DARTS (2nd order)", (73.40, 7.79), 1.33),
        ("P-DARTS", (83.46, 0.24), 0.34),
        ("PC-DARTS", (82.57, 0.71), 0.15),
        ("DrNAS", (83.15, 0.23), 0.9),
        ("GDAS", (80.99, 0.34), 0.36),
        ("ISTA-NAS", (82.25, 0.77), 0.03),
        ("GAEA", (79.10, 0.89), 0.22),
    ),
)
_SPACES = Preset(
    "gsparsity_spaces",
    "GSparsity and DARTS on the spaces of RobustDARTS",
    _GSPARSITY,
    "table 4",
    "CIFAR-10",
    "darts_8",
    rows=tuple(
        Row(f"GSparsity, {space.upper()}", {"set.space": space}, Printed(*figures))
        for space, figures in (("s1", (96.94, 0.14)), ("s2", (97.40, 0.11)), ("s4", (97.36, 0.12)))
    ),
    base=_gsparsity(60.0, 50, **_CELL, network=_SPACE),
    stand_in=_FAST | {"network": _SMALL_CELLS},
    ours=(*_GSPARSITY_OURS, "mu"),
    others=(
        ("DARTS, S1", Printed(95.34, 0.71)),
        ("DARTS, S2", Printed(95.58, 0.40)),
        ("DARTS, S4", Printed(93.05, 0.18)),
        ("DARTS stopped early, S1", Printed(96.95, 0.07)),
        ("DARTS stopped early, S2", Printed(96.59, 0.14)),
        ("DARTS stopped early, S4", Printed(95.83, 0.21)),
    ),
    notes=(_RETRAINED, _NOT_TUNED),
)


def _nb201(name: str, data: str, printed: Printed, others: Any) -> Preset:
    return Preset(
        name,
        f"GSparsity on NAS-Bench-201, {data}",
        _GSPARSITY,
        "table 10",
        data,
        "nas_bench_201",
        rows=(Row("GSparsity", {"mu": 200.0}, printed),),
        base=_gsparsity(200.0, 100, cells=["NasBench201Cell"], collapse=[]),
        stand_in=_FAST | {"network": _SMALL_NB201},
        ours=(*_GSPARSITY_OURS, "lr", "rho"),
        others=tuple((system, Printed(*figures)) for system, figures in others),
        notes=(
            "Published accuracies are the test accuracies of the found cells in the benchmark.",
            _NOT_TUNED,
        ),
    )


_NB201_10 = _nb201(
    "gsparsity_nas_bench_201",
    "CIFAR-10",
    Printed(93.76, 0.0),
    (
        ("DARTS (1st order)", (59.84, 7.84)),
        ("DARTS (2nd order)", (65.38, 7.84)),
        ("P-DARTS", (71.43, 14.2)),
        ("GAEA", (83.18, 1.20)),
        ("PC-DARTS", (93.06, 0.99)),
        ("DrNAS", (93.76, 0.0)),
    ),
)
_NB201_100 = _nb201(
    "gsparsity_nas_bench_201_cifar100",
    "CIFAR-100",
    Printed(71.11, 0.0),
    (
        ("DARTS (1st order)", (38.97, 0.0)),
        ("DARTS (2nd order)", (38.97, 0.0)),
        ("P-DARTS", (38.97, 0.0)),
        ("GAEA", (54.88, 0.17)),
        ("PC-DARTS", (67.76, 1.00)),
        ("DrNAS", (67.62, 1.69)),
    ),
)
_FILTERS = Preset(
    "gsparsity_filters",
    "Filters of ResNet-50 pruned by GSparsity",
    _GSPARSITY,
    "table 5",
    "ImageNet",
    "resnet50",
    rows=tuple(
        Row(f"mu = {mu:g}", {"mu": mu}, Printed(top1, params=params * 1e6, macs=macs * 1e9))
        for mu, top1, macs, params in (
            (0.01, 76.01, 3.22, 22.70),
            (0.02, 75.21, 2.60, 17.08),
            (0.03, 74.93, 2.36, 15.59),
            (0.04, 74.35, 2.17, 14.67),
            (0.05, 74.33, 2.06, 14.03),
            (0.06, 74.10, 1.97, 13.56),
            (0.07, 74.00, 1.92, 13.22),
            (0.08, 73.62, 1.83, 12.86),
            (0.09, 73.41, 1.77, 12.51),
            (0.10, 73.34, 1.74, 12.36),
        )
    ),
    base={
        "method": "gsparsity",
        "groups": "filters",
        "normalisation": "div",
        "adaptive": True,
        "beta": 0.999,
        "rho": 0.9,
        "emphasis": ["layer2=2", "layer3=2"],
        "lr": 0.001,
        "lr_schedule": "step",
        "lr_decay_epochs": 30,
        "max_zeros": 1.0,
        "pruning": "threshold",
        "threshold": 1e-6,
        "projection_steps": 1.0,
        "epochs": 90,
        "batch_size": 256,
        "augmentation": "resized_crop",
    },
    stand_in=_FAST | {"batch_size": 64, "network": small("resnet18", 16)},
    ours=_GSPARSITY_OURS,
    retraining={"epochs": 90, "lr": 0.1, "lr_schedule": "step", "momentum": 0.9, "batch_size": 256},
    baseline_top1=76.13,
    others=(
        ("SSS", Printed(74.18)),
        ("ThiNet-70", Printed(72.04)),
        ("FPGM, as reported", Printed(74.83)),
        ("Hinge", Printed(74.70)),
        ("RRBP", Printed(73.00)),
        ("GAL", Printed(72.80)),
    ),
    notes=(
        "Published accuracies are those after retraining for 90 epochs.",
        _NOT_TUNED,
    ),
)
_RARTS_OURS = (*_HALVES_OURS, "auxiliary_weight", "coupling")
_FIRST, _SECOND = {"method": "darts", "order": "first"}, {"method": "darts", "order": "second"}
_RELAXED = Preset(
    "rarts",
    "RARTS vs. DARTS and MiLeNAS",
    _RARTS,
    "table 3.1",
    "CIFAR-10",
    "darts_8",
    rows=(
        Row("DARTS, first order", _FIRST, _of_error(3.00, 0.14, 3.3, 1.5)),
        Row("DARTS, second order", _SECOND, _of_error(2.76, 0.09, 3.3, 4)),
        Row("MiLeNAS", {"method": "milenas"}, _of_error(2.80, 0.04, 2.9, 0.3)),
        Row("RARTS", {"method": "rarts", "latency_weight": 0.002}, _of_error(2.65, 0.07, 3.2, 1.1)),
    ),
    base=_HALVES
    | {
        "method": "darts",
        "architecture_lr": 3e-4,
        "architecture_weight_decay": 1e-3,
        "network": {"name": "darts_8", "settings": {"channels": 16, "none": True}},
    },
    stand_in=_ON_DIGITS | {"network": small("darts_8", 16, channels=4, cells=3, none=True)},
    others=(
        *_OTHERS_ON_CIFAR,
        ("FairDARTS", _of_error(2.54, 0.05, 3.3, 0.4)),
        ("Random", _of_error(3.29, 0.15, 3.2, 4)),
        ("GDAS", _of_error(2.82, None, 2.5, 0.2)),
        ("AmoebaNet-B", _of_error(2.55, 0.05, 2.8, 3150)),
        ("SNAS, mild", _of_error(2.98, None, 2.9, 1.5)),
        ("SNAS, moderate", _of_error(2.85, 0.02, 2.8, 1.5)),
        ("ProxylessNAS", _of_error(2.08, None, 5.7, 4.0)),
    ),
    ours=_RARTS_OURS,
    notes=(_RETRAINED,),
)


def _nats(name: str, data: str, errors: tuple[float, float, float], *notes: str) -> Preset:
    rows = zip(
        ("DARTS, first order", "DARTS, second order", "RARTS"),
        (_FIRST, _SECOND, {"method": "rarts"}),
        errors,
        strict=True,
    )
    return Preset(
        name,
        f"RARTS vs. DARTS on NATS-Bench, {data}",
        _RARTS,
        "table 3.3",
        data,
        "nas_bench_201",
        rows=tuple(Row(label, changes, _of_error(error)) for label, changes, error in rows),
        base=_HALVES
        | {
            "method": "darts",
            "weight_decay": 5e-4,
            "architecture_lr": 3e-4,
            "architecture_weight_decay": 1e-3,
            "collapse": [],
            "network": {"name": "nas_bench_201", "settings": {"none": True}},
        },
        stand_in=_ON_DIGITS | {"network": small("nas_bench_201", 16, channels=4, cells=1, none=True)},
        ours=_RARTS_OURS,
        notes=(
            "Published accuracies are the test accuracies of the found cells, trained from scratch.",
            *notes,
        ),
    )


SEARCHES: tuple[Preset, ...] = (
    _SPARSE,
    _SPARSE_ALPHA,
    _DARTS_V2,
    _FOUND_10,
    _FOUND_100,
    _SPACES,
    _NB201_10,
    _NB201_100,
    _FILTERS,
    _RELAXED,
    _nats(
        "rarts_nats_bench",
        "CIFAR-10",
        (40.16, 34.62, 11.48),
        "Both orders of DARTS converge to skip connections only, RARTS to none.",
    ),
    _nats("rarts_nats_bench_cifar100", "CIFAR-100", (38.74, 39.51, 32.37)),
)
"""Presets in the order of the publications."""
