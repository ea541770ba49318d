"""Networks of the documents: what they are, what can be set, and every number that is printed of them.

`published` and `counted` are exact counts of the networks in `nasviz.models`: parameters, MACs of
convolutions and linear layers for one image, removal structures with `collapse`, and the most of them that
can go together. Each `Figure` is a number as its document prints it, with the reason where the count here is
another.
"""

from __future__ import annotations

from nasviz.catalog.entry import Configuration, Entry, Figure, Setting
from nasviz.catalog.figures import counted, million, network, percent

__all__ = ["DOCUMENTS", "RECURRENT"]

_ASGNAS = "Chen et al., Automated Search-Space Generation Neural Architecture Search, 2023, arXiv:2305.18030"
_DARTS = "Liu, Simonyan and Yang, DARTS: Differentiable Architecture Search, ICLR 2019, arXiv:1806.09055"
_ZENNAS = "Lin et al., Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition, ICCV 2021"

_WIDTH = Setting(
    "width",
    "float",
    1.0,
    minimum=0.01,
    maximum=16.0,
    help="Multiplies the channels of every convolution; 0.25 trains on a laptop in seconds.",
)
_STEM = ("cifar", "imagenet")
_AFFINE_POOLS = Setting(
    "affine_pools",
    "bool",
    default=False,
    help="Gives the norms behind pooling a scale and a shift: pooling then counts as a structure and can go.",
)
_SPACE = Setting(
    "space",
    "choice",
    "full",
    choices=("full", "s1", "s2", "s4"),
    help="What each edge carries: full, the seven of DARTS; of RobustDARTS s1, two chosen for each edge, s2,"
    " skip and separable convolution, s4, noise and separable convolution.",
)
_NONE = Setting(
    "none",
    "bool",
    default=False,
    help="Puts the operation none on every edge too: it takes its share of a softmax, and adds zeros.",
)
_KERNELS = Setting(
    "kernels",
    "choice",
    "all",
    choices=("all", "best"),
    help="all puts three sizes side by side; best builds what ZenNAS has chosen, and nothing else.",
)
_DARTS_OPERATIONS = ("FactorizedReduce",)
_MORE_IN_PRINT = "The printed count takes in more than convolutions and linear layers."


def _channels(default: int, words: str = "C of the first cell; each reduction doubles it.") -> Setting:
    return Setting("channels", "int", default, minimum=2, maximum=512, help=words)


def _cells(default: int, words: str = "Cells; those at one and two thirds of the way reduce.") -> Setting:
    return Setting("cells", "int", default, minimum=1, maximum=64, help=words)


def _stem(default: str, factor: str = "eight") -> Setting:
    words = f"cifar keeps the size of the image for the first cells; imagenet divides it by {factor} at once."
    return Setting("stem", "choice", default, choices=_STEM, help=words)


_T1 = "ASGNAS, table 1"
_DEMONET = network(
    "demonet",
    "DemoNet",
    "The documents' example: six removable structures around one concatenation and two additions.",
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
)
_STACKED_UNETS = network(
    "stacked_unets",
    "StackedUnets",
    "Two U-Nets side by side on one image, one pools and one strides; six removable structures.",
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
)
_DARTS_8 = network(
    "darts_8",
    "DARTS, 8 cells",
    "Cells whose edges carry seven operations each, all summed, without architecture weights.",
    _ASGNAS,
    Configuration(
        "STL-10, resized to 32x32",
        (
            million(
                "params",
                "4.05",
                _T1,
                "Here 4.05 M too, if a norm counts one variable a channel, as after export.",
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
)
_T3 = "ASGNAS, table 3"
_DARTS_14 = network(
    "darts_14",
    "DARTS, 14 cells",
    "The same for ImageNet: three convolutions divide the image by eight before the first cell.",
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
            48, "C of the first cell; ASGNAS does not say which, but 16 would be below its sub-network."
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
)
_DARTS_V2 = network(
    "darts_v2",
    "DARTS_V2",
    "The network that second-order DARTS derived on CIFAR-10, two operations for each node.",
    _DARTS,
    Configuration(
        "CIFAR-10",
        (
            million("params", "3.3", "DARTS, table 1"),
            percent("error", 2.76, "DARTS, table 1"),
            million("params", "3.1", "ASGNAS, table 2", "DARTS itself prints 3.3 M."),
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
)


def _super_resnet(
    size: str, full: dict[str, int], best: dict[str, int], printed: tuple[Figure, ...], *zen: Figure
) -> Entry:
    return network(
        f"super_resnet_{size[0]}m",
        f"SuperResNet-{size}",
        "ResNet with 3x3, 5x5 and 7x7 convolutions side by side; ZenNAS's optimum is among its sub-networks.",
        f"{_ASGNAS}; {_ZENNAS}",
        Configuration("CIFAR-10", printed, full),
        Configuration("ZenNAS's optimum on CIFAR-10", zen, best, settings={"kernels": "best"}),
        settings=(_WIDTH, _KERNELS),
        # How many cosines is not printed.
        recipe={"lr": 0.1, "lr_periods": 2, "mixup": 0.2, "epochs": 50},
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
    "The network of ASGNAS's ablation: 16 residual branches and 4 shortcuts, of which 16 can go together.",
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
            "family", "choice", "x", choices=("x", "y"), help="y has a gate in every block; x fits the table."
        ),
        _stem("cifar", "two"),
    ),
    recipe={"lr": 0.1, "epochs": 50},
)
_NAS_BENCH_201 = network(
    "nas_bench_201",
    "NAS-Bench-201",
    "The skeleton of NAS-Bench-201 with four operations on each of the six edges of a cell, all summed.",
    "Dong and Yang, NAS-Bench-201, ICLR 2020, arXiv:2001.00326",
    Configuration("CIFAR-10", (), counted(1_699_546, 243_712_640, 184, 182)),
    settings=(
        _channels(16, "C of the first stage; the others have twice and four times as many."),
        _cells(5, "Cells of each of the three stages."),
        _NONE,
    ),
    cells=("NasBench201Cell",),
    edges_per_node=0,
)
_T41 = "RARTS dissertation, table 4.1"
_PRERESNET_164 = network(
    "preresnet_164",
    "PreResNet-164",
    "54 bottlenecks in which norm and ReLU come before each convolution; each can go, if a shortcut stays.",
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
        _channels(16, "Of the first convolution and the first stage's bottlenecks."),
        Setting(
            "blocks",
            "int",
            18,
            minimum=1,
            maximum=128,
            help="Bottlenecks of each stage; the depth is 9 n + 2.",
        ),
    ),
)
_MLP_DIGITS = network(
    "mlp_digits",
    "Perceptron for digits",
    "64-40-20-10, of SparseNAS's ablation. Without branches, nothing in it can be erased as a whole.",
    "SparseNAS (2020), after Scardapane et al., Group Sparse Regularization for Deep Neural Networks, 2017",
    Configuration("Digits", (), counted(3_630, 3_560, 0, 0)),
    input_shape=(1, 8, 8),
)

RECURRENT = Entry(
    "recurrent_cell",
    "Recurrent cell",
    "A step in time of a language model: a cell whose nodes read all states before, by four activations.",
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
)
"""What searches text; its structures share their weights, so that switches alone can choose among them."""

DOCUMENTS: tuple[Entry, ...] = (
    _DEMONET,
    _STACKED_UNETS,
    _DARTS_8,
    _DARTS_14,
    _DARTS_V2,
    _SUPER_RESNET_1M,
    _SUPER_RESNET_2M,
    _REGNET_800M,
    _NAS_BENCH_201,
    _PRERESNET_164,
    _MLP_DIGITS,
)
"""In the order of the Model page, DemoNet first."""
