"""Networks of the publications, with their settings and published figures.

`published` and `counted` are exact counts of the networks in `nasviz.models`: parameters, MACs of
convolutions and linear layers for one image, removal structures with `collapse`, and the maximum K. Each
`Figure` is a published number, with the reason if the count here differs.
"""

from __future__ import annotations

from collections.abc import Mapping

from nasviz.catalog.entry import Configuration, Entry, Figure, Selection, Setting, Value
from nasviz.catalog.genotype import DARTS_V2

__all__ = ["DOCUMENTS", "RECURRENT"]


def million(what: str, text: str, source: str, note: str = "") -> Figure:
    """Return a figure published in millions.

    Examples:
        >>> million("params", "0.82", "ASGNAS, table 1").value
        820000.0
    """
    return Figure(what, f"{text} M", float(text) * 1e6, source, note)


def percent(what: str, number: float, source: str, note: str = "") -> Figure:
    """Return a figure published in percent."""
    return Figure(what, f"{number:g} %", number, source, note)


def counted(params: int, macs: int, num_structures: int, max_sparsity: int, **more: int) -> dict[str, int]:
    """Return the exact counts of a network here, by quantity."""
    return {
        "params": params,
        "macs": macs,
        "num_structures": num_structures,
        "max_sparsity": max_sparsity,
    } | more


def network(
    name: str,
    title: str,
    summary: str,
    citation: str,
    *configurations: Configuration,
    settings: tuple[Setting, ...] = (),
    input_shape: tuple[int, int, int] = (3, 32, 32),
    least_size: int = 1,
    num_classes: int = 10,
    collapse: tuple[str, ...] = (),
    cells: tuple[str, ...] = (),
    edges_per_node: int = 2,
    recipe: Mapping[str, Value] | None = None,
    selection: Selection | None = None,
    builder: str,
) -> Entry:
    """Return a zoo entry; the first configuration is the default."""
    return Entry(
        name,
        title,
        summary,
        settings=settings,
        citation=citation,
        published=configurations[0].counted,
        configurations=configurations,
        recipe=recipe or {},
        selection=selection,
        collapse=collapse,
        cells=cells,
        edges_per_node=edges_per_node,
        family="documents",
        input_shape=input_shape,
        least_size=least_size,
        num_classes=num_classes,
        builder=builder,
    )


_ASGNAS = "Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023, arXiv:2305.18030"
_DARTS = "Liu, Simonyan and Yang, DARTS: Differentiable Architecture Search, ICLR 2019, arXiv:1806.09055"
_ZENNAS = "Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition, ICCV 2021"

_WIDTH = Setting(
    "width",
    "float",
    1.0,
    minimum=0.01,
    maximum=16.0,
    help="Multiplier of the channels of every convolution; 0.25 trains on a laptop in seconds.",
)
_STEM = ("cifar", "imagenet")
_AFFINE_POOLS = Setting(
    "affine_pools",
    "bool",
    default=False,
    help="Adds scale and shift to the norms after pooling, which makes pooling a removal structure.",
)
_SPACE = Setting(
    "space",
    "choice",
    "full",
    choices=("full", "s1", "s2", "s4"),
    help="Operations per edge. full: the seven of DARTS. RobustDARTS: s1, two selected per edge; s2, skip and"
    " separable convolution; s4, noise and separable convolution.",
)
_NONE = Setting(
    "none",
    "bool",
    default=False,
    help="Adds the operation none to every edge: it takes part in the softmax and outputs zeros.",
)
_KERNELS = Setting(
    "kernels",
    "choice",
    "all",
    choices=("all", "best"),
    help="all: three parallel kernel sizes; best: only those selected by ZenNAS.",
)
_DARTS_OPERATIONS = ("FactorizedReduce",)
_MORE_IN_PRINT = "The published count includes more than convolutions and linear layers."


def _channels(
    default: int, words: str = "Channels of the first cell; each reduction cell doubles them."
) -> Setting:
    return Setting("channels", "int", default, minimum=2, maximum=512, help=words)


def _cells(
    default: int, words: str = "Number of cells; those at 1/3 and 2/3 of the depth are reduction cells."
) -> Setting:
    return Setting("cells", "int", default, minimum=1, maximum=64, help=words)


def _stem(default: str, factor: str = "eight") -> Setting:
    words = f"cifar keeps the image size for the first cells; imagenet divides it by {factor}."
    return Setting("stem", "choice", default, choices=_STEM, help=words)


_T1 = "ASGNAS, table 1"
_DEMONET = network(
    "demonet",
    "DemoNet",
    "The example of ASGNAS: six removable structures, one concatenation and two additions.",
    _ASGNAS,
    Configuration(
        "Fashion-MNIST",
        (
            million("params", "0.82", _T1),
            million("macs", "209", _T1),
            percent("top1", 84.9, _T1),
            million("sub_params", "0.45", _T1, "Without conv2, conv3 and conv8."),
            million("sub_macs", "107", _T1),
            percent("sub_top1", 84.7, _T1),
        ),
        counted(817_010, 208_871_584, 6, 4, sub_params=447_410, sub_macs=106_813_600),
    ),
    settings=(_WIDTH,),
    input_shape=(1, 28, 28),
    recipe={"lr": 0.1, "epochs": 300},
    selection=Selection("ASGNAS, figure 4", ("conv2", "conv3", "conv8")),
    builder="nasviz.models.demonet:DemoNet",
)
_STACKED_UNETS = network(
    "stacked_unets",
    "StackedUnets",
    "Two parallel U-Nets, one with pooling and one with strided convolutions; six removable structures.",
    _ASGNAS,
    Configuration(
        "SVHN",
        (
            million("params", "0.80", _T1),
            million("macs", "184", _T1),
            percent("top1", 95.3, _T1),
            million(
                "sub_params", "0.37", _T1, "Without the right U-Net and the deepest path of the left one."
            ),
            million("sub_macs", "115", _T1),
            percent("sub_top1", 96.1, _T1),
        ),
        counted(795_466, 183_915_136, 6, 5, sub_params=369_370, sub_macs=114_573_952),
    ),
    settings=(_WIDTH,),
    least_size=8,
    recipe={"lr": 0.1, "epochs": 300},
    selection=Selection("ASGNAS, figure 5", ("conv14", "conv50", "conv63", "conv73")),
    builder="nasviz.models.stacked_unets:StackedUnets",
)
_DARTS_8 = network(
    "darts_8",
    "DARTS, 8 cells",
    "Cells with seven summed operations per edge, without architecture weights.",
    _ASGNAS,
    Configuration(
        "STL-10, resized to 32x32",
        (
            million(
                "params",
                "4.05",
                _T1,
                "Also 4.05 M here if a norm counts one parameter per channel, as after export.",
            ),
            million("macs", "614", _T1, _MORE_IN_PRINT),
            percent("top1", 74.6, _T1),
            million("sub_params", "0.64", _T1),
            million("sub_macs", "127", _T1),
            percent("sub_top1", 75.1, _T1),
        ),
        counted(4_083_058, 600_002_304, 464, 464),
    ),
    settings=(_channels(24), _cells(8), _stem("cifar"), _SPACE, _NONE, _AFFINE_POOLS),
    recipe={"lr": 0.01, "lr_periods": 2, "epochs": 50},
    collapse=_DARTS_OPERATIONS,
    cells=("SearchCell",),
    builder="nasviz.models.darts:Darts",
)
_T3 = "ASGNAS, table 3"
_DARTS_14 = network(
    "darts_14",
    "DARTS, 14 cells",
    "DARTS for ImageNet: three convolutions reduce the image by a factor of eight before the first cell.",
    _ASGNAS,
    Configuration(
        "ImageNet",
        (
            million("sub_params", "4.8", _T3),
            million("sub_macs", "547", _T3),
            percent("sub_top1", 75.3, _T3),
            percent("sub_top5", 92.5, _T3),
        ),
        counted(25_532_896, 2_835_022_080, 800, 800),
    ),
    settings=(
        _channels(
            48, "Channels of the first cell; not published by ASGNAS, but 16 would be below its sub-network."
        ),
        _cells(14),
        _stem("imagenet"),
        _SPACE,
        _NONE,
        _AFFINE_POOLS,
    ),
    input_shape=(3, 224, 224),
    num_classes=1000,
    recipe={"lr": 0.01, "lr_periods": 2, "epochs": 50, "batch_size": 128},
    collapse=_DARTS_OPERATIONS,
    cells=("SearchCell",),
    builder="nasviz.models.darts:Darts",
)
_DARTS_V2 = network(
    "darts_v2",
    "DARTS_V2",
    "The network derived by second-order DARTS on CIFAR-10, with two operations per node.",
    _DARTS,
    Configuration(
        "CIFAR-10",
        (
            million("params", "3.3", "DARTS, table 1"),
            percent("error", 2.76, "DARTS, table 1"),
            million("params", "3.1", "ASGNAS, table 2", "DARTS reports 3.3 M."),
            percent("top1", 97.2, "ASGNAS, table 2"),
        ),
        counted(3_349_342, 528_359_040, 108, 108),
    ),
    Configuration(
        "ImageNet",
        (
            million("params", "4.7", _T3),
            million("macs", "574", _T3, _MORE_IN_PRINT),
            percent("top1", 73.3, _T3),
            percent("top5", 91.3, _T3),
        ),
        counted(4_718_752, 529_911_552, 72, 72),
        settings={"channels": 48, "cells": 14, "stem": "imagenet"},
        input_shape=(3, 224, 224),
        num_classes=1000,
    ),
    settings=(_channels(36), _cells(20), _stem("cifar")),
    collapse=_DARTS_OPERATIONS,
    builder="nasviz.models.derived:DartsV2",
)
_CELLS = network(
    "cells",
    "Network of a genotype",
    "The cells that a search has found, in a larger network: of DARTS, NAS-Bench-201 or a recurrent network.",
    f"{_DARTS}, section 3.2",
    Configuration(
        "DARTS_V2 on CIFAR-10",
        (million("params", "3.3", "DARTS, table 1"), percent("error", 2.76, "DARTS, table 1")),
        counted(3_349_342, 528_359_040, 108, 108),
    ),
    settings=(
        Setting(
            "genotype",
            "genotype",
            DARTS_V2.text,
            help="What the cells compute: the id of a finished search, a file, the text, or darts_v2.",
        ),
        Setting(
            "channels",
            "int",
            0,
            minimum=0,
            maximum=512,
            help="Channels of the first cell, or width of the state of a recurrent cell; 0: as published, 36"
            " for DARTS, 16 for NAS-Bench-201.",
        ),
        Setting(
            "cells",
            "int",
            0,
            minimum=0,
            maximum=64,
            help="Number of cells, of each stage for NAS-Bench-201; 0: as published, 20 for DARTS, 5 for"
            " NAS-Bench-201.",
        ),
        _stem("cifar"),
        Setting(
            "auxiliary",
            "float",
            0.0,
            minimum=0.0,
            maximum=10.0,
            help="Weight of the loss of an auxiliary head behind two thirds of the cells; 0: none; published:"
            " 0.4.",
            source="DARTS, section 3.2",
        ),
        Setting(
            "drop_path",
            "float",
            0.0,
            minimum=0.0,
            maximum=0.9,
            help="Probability with which training drops an operation, per image; rises evenly from 0 over the"
            " epochs. Published: 0.2 by DARTS, 0.3 by GSparsity.",
            source="DARTS, section 3.2; GSparsity, appendix E",
        ),
    ),
    collapse=_DARTS_OPERATIONS,
    builder="nasviz.models.derived:derived_network",
)


def _super_resnet(
    size: str, full: dict[str, int], best: dict[str, int], printed: tuple[Figure, ...], *zen: Figure
) -> Entry:
    return network(
        f"super_resnet_{size[0]}m",
        f"SuperResNet-{size}",
        "ResNet with parallel 3x3, 5x5 and 7x7 convolutions; contains the optimum of ZenNAS as"
        " a sub-network.",
        f"{_ASGNAS}; {_ZENNAS}",
        Configuration("CIFAR-10", printed, full),
        Configuration("Optimum of ZenNAS on CIFAR-10", zen, best, settings={"kernels": "best"}),
        settings=(_WIDTH, _KERNELS),
        # The number of cosine periods is not published.
        recipe={"lr": 0.1, "lr_periods": 2, "mixup": 0.2, "epochs": 50},
        builder=f"nasviz.models.super_resnet:super_resnet_{size.lower()}",
    )


_SUPER_RESNET_1M = _super_resnet(
    "1M",
    counted(3_201_442, 295_114_752, 134, 128),
    counted(993_762, 159_213_568, 38, 32),
    (million("sub_params", "1.0", "OTOv3, table 2"), percent("sub_top1", 96.3, "OTOv3, table 2")),
    million("params", "1.0", "OTOv3, table 2"),
    percent("top1", 96.2, "OTOv3, table 2"),
)
_SUPER_RESNET_2M = _super_resnet(
    "2M",
    counted(7_763_322, 1_808_610_304, 151, 144),
    counted(1_980_602, 481_432_576, 43, 36),
    (million("sub_params", "2.0", "ASGNAS, table 2"), percent("sub_top1", 97.5, "ASGNAS, table 2")),
    million("params", "2.0", "ASGNAS, table 2"),
    percent("top1", 97.5, "ASGNAS, table 2"),
)
_T4 = "ASGNAS, table 4"
_TV = "torchvision"
_REGNET_800M = network(
    "regnet_800m",
    "RegNet-800M",
    "The network of the ablation in ASGNAS: 16 residual branches and 4 shortcuts; maximum K 16.",
    "Radosavovic et al., Designing Network Design Spaces, CVPR 2020, arXiv:2003.13678",
    Configuration(
        "CIFAR-10",
        (
            percent("top1", 95.01, _T4),
            *(
                million("sub_params", params, _T4, f"H2SPG at a target sparsity of {share:g}: {top1} %.")
                for share, params, top1 in (
                    (0.1, "5.58", "95.30"),
                    (0.3, "3.54", "95.08"),
                    (0.5, "1.83", "94.61"),
                    (0.7, "1.16", "91.92"),
                    (0.9, "0.82", "87.91"),
                )
            ),
        ),
        counted(6_593_386, 65_233_472, 20, 16),
    ),
    Configuration(
        "RegNetX-800MF on ImageNet",
        (million("params", "7.26", _TV), million("macs", "800", _TV), percent("top1", 75.21, _TV)),
        counted(7_259_656, 799_699_712, 20, 16),
        settings={"stem": "imagenet"},
        input_shape=(3, 224, 224),
        num_classes=1000,
    ),
    Configuration(
        "RegNetY-800MF on ImageNet",
        (million("params", "6.43", _TV), million("macs", "834", _TV), percent("top1", 76.42, _TV)),
        counted(6_432_512, 833_856_256, 18, 14),
        settings={"family": "y", "stem": "imagenet"},
        input_shape=(3, 224, 224),
        num_classes=1000,
    ),
    settings=(
        Setting(
            "family",
            "choice",
            "x",
            choices=("x", "y"),
            help="y has a gate in every block; x is the network of the table.",
        ),
        _stem("cifar", "two"),
        Setting(
            "scale",
            "choice",
            "800M",
            choices=("200M", "400M", "600M", "800M"),
            help="Smaller networks of the family x, with which ASGNAS compares its sub-networks.",
        ),
    ),
    recipe={"lr": 0.1, "epochs": 50},
    builder="nasviz.models.regnet_800m:regnet_800m",
)
_NAS_BENCH_201 = network(
    "nas_bench_201",
    "NAS-Bench-201",
    "The skeleton of NAS-Bench-201 with four summed operations on each of the six edges of a cell.",
    "Dong and Yang, NAS-Bench-201, ICLR 2020, arXiv:2001.00326",
    Configuration("CIFAR-10", (), counted(1_699_546, 243_712_640, 184, 182)),
    settings=(
        _channels(16, "Channels of the first stage; the others have two and four times as many."),
        _cells(5, "Cells per stage; there are three stages."),
        _NONE,
    ),
    cells=("NasBench201Cell",),
    edges_per_node=0,
    builder="nasviz.models.nas_bench_201:NasBench201",
)
_T41 = "RARTS dissertation, table 4.1"
_PRERESNET_164 = network(
    "preresnet_164",
    "PreResNet-164",
    "54 pre-activation bottlenecks; each is removable as long as a shortcut remains.",
    "He et al., Identity Mappings in Deep Residual Networks, ECCV 2016, arXiv:1603.05027",
    Configuration(
        "CIFAR-10",
        (million("params", "1.7", _T41), million("macs", "248", _T41), percent("error", 4.22, _T41)),
        counted(1_703_258, 247_646_720, 57, 54),
    ),
    Configuration(
        "CIFAR-100",
        (million("params", "1.7", _T41), million("macs", "248", _T41), percent("error", 21.83, _T41)),
        counted(1_726_388, 247_669_760, 57, 54),
        num_classes=100,
    ),
    settings=(
        _channels(16, "Channels of the first convolution and of the bottlenecks of the first stage."),
        Setting(
            "blocks",
            "int",
            18,
            minimum=1,
            maximum=128,
            help="Bottlenecks per stage; the depth is 9 n + 2.",
        ),
    ),
    builder="nasviz.models.preresnet_164:PreResNet",
)
_MLP_DIGITS = network(
    "mlp_digits",
    "Perceptron for digits",
    "64-40-20-10, the network of the ablation in SparseNAS. No branches, so no removal structures.",
    "SparseNAS (2020), after Scardapane et al., Group Sparse Regularization for Deep Neural Networks, 2017",
    Configuration("Digits", (), counted(3_630, 3_560, 0, 0)),
    input_shape=(1, 8, 8),
    builder="nasviz.models.mlp_digits:MlpDigits",
)

RECURRENT = Entry(
    "recurrent_cell",
    "Recurrent cell",
    "One time step of a language model: a cell whose nodes read all previous states by four activations.",
    settings=(
        Setting("hidden", "int", 32, minimum=1, maximum=4096, help="Width of embeddings and states."),
        Setting("nodes", "int", 8, minimum=1, maximum=16, help="Nodes of the cell; DARTS takes 8."),
        _NONE,
    ),
    citation=f"{_DARTS}; Wu et al., Neural Architecture Search as Sparse Supernet, AAAI 2021",
    published={"params": 26_720, "macs": 302_080, "num_structures": 1, "max_sparsity": 1},
    collapse=("Highway",),
    cells=("RecurrentCell",),
    edges_per_node=1,
    family="text",
    num_classes=96,
    builder="nasviz.models.recurrent:RecurrentStep",
)
"""Network for text; its structures share their weights, so only switches can select among them."""

DOCUMENTS: tuple[Entry, ...] = (
    _DEMONET,
    _STACKED_UNETS,
    _DARTS_8,
    _DARTS_14,
    _DARTS_V2,
    _CELLS,
    _SUPER_RESNET_1M,
    _SUPER_RESNET_2M,
    _REGNET_800M,
    _NAS_BENCH_201,
    _PRERESNET_164,
    _MLP_DIGITS,
)
"""Networks in the order of the Model page, DemoNet first."""
