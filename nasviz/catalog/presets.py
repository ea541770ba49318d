"""Published experiments as sweeps, with the settings and published results of every table row.

If a publication does not state a setting, `notes` documents the choice made here.
"""

from __future__ import annotations

from typing import Any

from nasviz.catalog.networks import NETWORKS
from nasviz.catalog.preset import Preset, Printed, Row, small
from nasviz.catalog.search_presets import SEARCHES
from nasviz.catalog.stages import TRANSFERS
from nasviz.catalog.width_presets import WIDTHS
from nasviz.errors import UnknownNameError

__all__ = ["PRESETS", "Preset", "Printed", "Row", "find_preset"]

_ASGNAS = "Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023"
_SEARCH = {"epochs": 50, "lr": 0.1, "batch_size": 64, "lr_schedule": "cosine", "saliency": "documents"}
"""Search settings of ASGNAS: section 3.2 for the saliency, appendix A.2 for the rest."""
_OURS = ("augmentation", "momentum", "weight_decay", "warmup_steps", "projection_steps", "epsilon")
"""What its experiments leave unsaid."""
_ON_DIGITS = {"data": "digits", "epochs": 8, "lr": 0.01, "augmentation": "none"}
"""With half of the published learning rate, RegNet still diverges on the few steps of digits."""
_NO_K = (
    "K is not published: it is chosen here so that the sub-network has the published number of parameters."
)


def _line(method: str, share: float, printed: Printed) -> Row:
    k: int | float = share
    label = f"{method.upper()}, {share:g}"
    if (method, share) == ("h2spg", 0.9):
        k, label = 16, f"{label} (K = 16)"
    return Row(label, {"method": method, "target_sparsity": k}, printed)


def _full(scale: str, printed: Printed) -> Row:
    """Return the row of a full RegNet, as which a sub-network of RegNet-800M is to be judged."""
    return Row(
        f"RegNet-{scale}, full",
        {"network": {"name": "regnet_800m", "settings": {"scale": scale}}, "target_sparsity": 0},
        printed,
        small=small("regnet_800m", 16, scale=scale),
    )


_REGNET = Preset(
    "h2spg_against_dhspg",
    "H2SPG vs. DHSPG on RegNet-800M",
    _ASGNAS,
    "table 4",
    "CIFAR-10",
    "regnet_800m",
    rows=(
        _line("dhspg", 0.1, Printed(95.26, 0.13, 5.56e6, 0.02e6, num_valid=3)),
        _line("dhspg", 0.3, Printed(95.01, None, 3.40e6, num_valid=1)),
        _line("dhspg", 0.5, Printed(num_valid=0)),
        _line("dhspg", 0.7, Printed(num_valid=0)),
        _line("dhspg", 0.9, Printed(num_valid=0)),
        _line("h2spg", 0.1, Printed(95.30, 0.10, 5.58e6, 0.01e6, num_valid=3)),
        _line("h2spg", 0.3, Printed(95.08, 0.14, 3.54e6, 0.15e6, num_valid=3)),
        _line("h2spg", 0.5, Printed(94.61, 0.19, 1.83e6, 0.09e6, num_valid=3)),
        _line("h2spg", 0.7, Printed(91.92, 0.24, 1.16e6, 0.12e6, num_valid=3)),
        _line("h2spg", 0.9, Printed(87.91, 0.32, 0.82e6, 0.17e6, num_valid=3)),
        _full("800M", Printed(95.01)),
        *(_full(scale, Printed()) for scale in ("600M", "400M", "200M")),
    ),
    base=_SEARCH | {"augmentation": "shift_flip"},
    stand_in=_ON_DIGITS | {"network": small("regnet_800m", 16)},
    ours=_OURS,
    notes=(
        "Runs whose selection disconnects the network are marked by a cross, as published.",
        "At most 16 of the 20 structures can be removed, so H2SPG at 0.9 removes 16 instead of 18.",
        "RegNet-200M to 600M are compared with in figure and text; the document prints no numbers of them.",
    ),
)
_SMALL_DARTS = small("darts_8", 16)
"""Network with the published parameters; with 32 x 32 images, an epoch of digits takes one core eight"
" minutes."""


def _searched(network: str, k: int) -> dict[str, Any]:
    """Return the changes of a row: a network with its published recipe, and K."""
    collapse = {"collapse": ["FactorizedReduce"]} if NETWORKS[network].cells else {}
    return {"network": {"name": network}, "target_sparsity": k, **NETWORKS[network].recipe, **collapse}


_TABLE_1 = Preset(
    "super_networks",
    "Sub-networks of DemoNet, StackedUnets and DARTS",
    _ASGNAS,
    "table 1",
    "Fashion-MNIST, SVHN and STL-10",
    "demonet",
    rows=(
        Row(
            "DemoNet, full",
            _searched("demonet", 0),
            Printed(84.9, params=0.82e6, macs=209e6),
            "Fashion-MNIST",
        ),
        Row(
            "DemoNet, ASGNAS",
            _searched("demonet", 3),
            Printed(84.7, params=0.45e6, macs=107e6),
            "Fashion-MNIST",
        ),
        Row(
            "StackedUnets, full",
            _searched("stacked_unets", 0),
            Printed(95.3, params=0.80e6, macs=184e6),
            "SVHN",
        ),
        Row(
            "StackedUnets, ASGNAS",
            _searched("stacked_unets", 4),
            Printed(96.1, params=0.37e6, macs=115e6),
            "SVHN",
        ),
        Row(
            "DARTS, 8 cells, full",
            _searched("darts_8", 0),
            Printed(74.6, params=4.05e6, macs=614e6),
            "STL-10",
            _SMALL_DARTS,
        ),
        Row(
            "DARTS, 8 cells, ASGNAS",
            _searched("darts_8", 411),
            Printed(75.1, params=0.64e6, macs=127e6),
            "STL-10",
            _SMALL_DARTS,
        ),
    ),
    base=_SEARCH,
    stand_in={"data": "digits", "epochs": 4},
    ours=(*_OURS, "target_sparsity"),
    notes=(_NO_K,),
)
_TABLE_2 = Preset(
    "super_resnet",
    "SuperResNet at one and two million parameters",
    f"{_ASGNAS}; its first version, OTOv3, for the one million",
    "table 2",
    "CIFAR-10",
    "super_resnet_1m",
    rows=(
        Row(
            "SuperResNet-1M",
            {"network": {"name": "super_resnet_1m"}, "target_sparsity": 70},
            Printed(96.3, params=1.0e6, search_days=0.1),
            small=small("super_resnet_1m", 16),
        ),
        Row(
            "SuperResNet-2M",
            {"network": {"name": "super_resnet_2m"}, "target_sparsity": 81},
            Printed(97.5, params=2.0e6, search_days=0.1),
            small=small("super_resnet_2m", 16),
        ),
    ),
    base=_SEARCH | {"mixup": 0.2, "lr_periods": 2, "augmentation": "shift_flip"},
    stand_in={"data": "digits", "epochs": 4, "augmentation": "none"},
    ours=(*_OURS, "target_sparsity", "mixup", "lr_periods"),
    others=(
        ("Zen-Score-1M (OTOv3)", Printed(96.2, params=1.0e6, search_days=0.4)),
        ("Synflow (OTOv3)", Printed(95.1, params=1.0e6, search_days=0.4)),
        ("NASWOT (OTOv3)", Printed(96.0, params=1.0e6, search_days=0.5)),
        ("Zen-Score-2M", Printed(97.5, params=2.0e6, search_days=0.5)),
        ("TENAS", Printed(97.4, params=3.8e6, search_days=0.04)),
        ("SANAS-DARTS", Printed(97.5, params=3.2e6, search_days=1.2)),
        ("ISTA-NAS", Printed(97.5, params=3.3e6, search_days=0.1)),
        ("CDEP", Printed(97.2, params=3.2e6, search_days=1.3)),
        ("DARTS (2nd order)", Printed(97.2, params=3.1e6, search_days=1)),
        ("PrDARTS", Printed(97.6, params=3.4e6, search_days=0.2)),
        ("P-DARTS", Printed(97.5, params=3.6e6, search_days=0.3)),
        ("PC-DARTS", Printed(97.4, params=3.9e6, search_days=0.1)),
    ),
    notes=(
        _NO_K,
        "Published training uses MixUp and several cosine periods without stating their values: 0.2, as in"
        " ZenNAS, and 2 here.",
    ),
)
_IMAGENET = {"collapse": ["FactorizedReduce"], "augmentation": "resized_crop"}
_TABLE_3 = Preset(
    "darts_imagenet",
    "DARTS with 14 cells on ImageNet",
    _ASGNAS,
    "table 3",
    "ImageNet",
    "darts_14",
    rows=(
        Row(
            "DARTS, 14 cells, ASGNAS",
            {"target_sparsity": 0.8},
            Printed(75.3, params=4.8e6, macs=547e6, top5=92.5),
        ),
    ),
    base=_SEARCH | dict(NETWORKS["darts_14"].recipe) | _IMAGENET,
    stand_in=_ON_DIGITS | {"network": small("darts_14", 64, channels=8), "epochs": 4},
    ours=(*_OURS, "target_sparsity"),
    others=(
        ("DARTS (2nd order) (CIFAR10)", Printed(73.3, params=4.7e6, macs=574e6, top5=91.3)),
        ("P-DARTS (CIFAR10)", Printed(75.6, params=4.9e6, macs=557e6, top5=92.6)),
        ("PC-DARTS (CIFAR10)", Printed(74.9, params=5.3e6, macs=586e6, top5=92.2)),
        ("SANAS (CIFAR10)", Printed(75.2, top5=91.7)),
        ("Inception-v1", Printed(69.8, params=6.6e6, macs=1448e6, top5=89.9)),
        ("ShuffleNet 2x (v2)", Printed(74.9, params=5.0e6, macs=591e6)),
        ("NASNet-A", Printed(74.0, params=5.3e6, macs=564e6, top5=91.6)),
        ("MnasNet-92", Printed(74.8, params=4.4e6, macs=388e6, top5=92)),
        ("AmoebaNet-C", Printed(75.7, params=6.4e6, macs=570e6, top5=92.4)),
        ("ProxylessNAS (ImageNet)", Printed(75.1, params=7.1e6, macs=465e6, top5=92.5)),
        ("PC-DARTS (ImageNet)", Printed(75.8, params=5.3e6, macs=597e6, top5=92.7)),
        ("ISTA-NAS (ImageNet)", Printed(76.0, params=5.7e6, macs=638e6, top5=92.9)),
    ),
    notes=(_NO_K,),
)

_OWN = (_REGNET, _TABLE_1, _TABLE_2, _TABLE_3)
PRESETS: dict[str, Preset] = {preset.name: preset for preset in (*_OWN, *SEARCHES, *TRANSFERS, *WIDTHS)}
"""Presets by name."""


def find_preset(name: str) -> Preset:
    """Return a preset by name.

    Raises:
        UnknownNameError: The name is unknown; the message lists all presets.

    Examples:
        >>> find_preset("h2spg_against_dhspg").table
        'table 4'
    """
    if name not in PRESETS:
        raise UnknownNameError(f"unknown preset {str(name)[:60]!r}; available: {', '.join(PRESETS)}")
    return PRESETS[name]
