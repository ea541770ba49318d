"""The 80 classifiers of torchvision, as data: one row per network.

Image size, parameters, GMACs and top-1 accuracy on ImageNet-1K are those of the first weights that
torchvision publishes for each network (`weights.meta`; parameters exclude auxiliary heads). The least size
is the smallest supported square image, measured in training mode.
"""

from __future__ import annotations

from nasviz.catalog.entry import Configuration, Entry, Figure

__all__ = ["TORCHVISION"]

# family: (summary, citation)
_FAMILIES = {
    "alexnet": (
        "Five convolutions and three linear layers in one chain.",
        "Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997",
    ),
    "convnext": (
        "Residual blocks of depthwise 7x7 convolutions, layer norms and scaled branches.",
        "Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545",
    ),
    "densenet": (
        "Every layer reads the concatenation of all layers before it in its block.",
        "Huang et al., Densely Connected Convolutional Networks, 2017, arXiv:1608.06993",
    ),
    "efficientnet": (
        "Inverted residual blocks with squeeze-and-excitation, scaled in depth, width and image size.",
        "Tan and Le, EfficientNet: Rethinking Model Scaling for CNNs, 2019, arXiv:1905.11946",
    ),
    "efficientnet_v2": (
        "Inverted residual blocks, the early ones fused into plain convolutions.",
        "Tan and Le, EfficientNetV2: Smaller Models and Faster Training, 2021, arXiv:2104.00298",
    ),
    "googlenet": (
        "Blocks of four parallel branches, concatenated; two auxiliary classifiers while training.",
        "Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842",
    ),
    "inception": (
        "Parallel factorised convolutions, concatenated; one auxiliary classifier while training.",
        "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015, arXiv:1512.00567",
    ),
    "maxvit": (
        "Convolutions followed by attention within windows and across a grid.",
        "Tu et al., MaxViT: Multi-Axis Vision Transformer, 2022, arXiv:2204.01697",
    ),
    "mnasnet": (
        "Inverted residual blocks found by a search that measured latency on a phone.",
        "Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2018, arXiv:1807.11626",
    ),
    "mobilenet_v2": (
        "Inverted residual blocks with linear bottlenecks.",
        "Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381",
    ),
    "mobilenet_v3": (
        "Searched inverted residual blocks with hard swish and squeeze-and-excitation.",
        "Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244",
    ),
    "regnet": (
        "Residual stages of grouped convolutions whose widths follow one straight line.",
        "Radosavovic et al., Designing Network Design Spaces, 2020, arXiv:2003.13678",
    ),
    "resnet": (
        "Residual blocks: each adds its branch to what came in.",
        "He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385",
    ),
    "resnext": (
        "Residual blocks of grouped convolutions.",
        "Xie et al., Aggregated Residual Transformations for Deep Neural Networks, 2016, arXiv:1611.05431",
    ),
    "shufflenet": (
        "Splits, depthwise convolutions and a shuffle of the channels.",
        "Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, 2018,"
        " arXiv:1807.11164",
    ),
    "squeezenet": (
        "Blocks that squeeze to few channels, then expand through two concatenated convolutions.",
        "Iandola et al., SqueezeNet, 2016, arXiv:1602.07360",
    ),
    "swin": (
        "Attention within windows that shift from block to block.",
        "Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, 2021,"
        " arXiv:2103.14030",
    ),
    "swin_v2": (
        "Attention within shifted windows, with cosine similarity and continuous position bias.",
        "Liu et al., Swin Transformer V2: Scaling Up Capacity and Resolution, 2021, arXiv:2111.09883",
    ),
    "vgg": (
        "A chain of 3x3 convolutions and three linear layers.",
        "Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014,"
        " arXiv:1409.1556",
    ),
    "vit": (
        "A transformer over patches of the image.",
        "Dosovitskiy et al., An Image is Worth 16x16 Words, 2020, arXiv:2010.11929",
    ),
    "wide_resnet": (
        "Residual blocks of twice the inner width.",
        "Zagoruyko and Komodakis, Wide Residual Networks, 2016, arXiv:1605.07146",
    ),
}

# name, title, family, image size, least size, parameters, GMACs, top-1 accuracy in percent
_TABLE = (
    ("alexnet", "AlexNet", "alexnet", 224, 63, 61_100_840, 0.714, 56.522),
    ("convnext_base", "ConvNeXt-Base", "convnext", 224, 32, 88_591_464, 15.355, 84.062),
    ("convnext_large", "ConvNeXt-Large", "convnext", 224, 32, 197_767_336, 34.361, 84.414),
    ("convnext_small", "ConvNeXt-Small", "convnext", 224, 32, 50_223_688, 8.684, 83.616),
    ("convnext_tiny", "ConvNeXt-Tiny", "convnext", 224, 32, 28_589_128, 4.456, 82.52),
    ("densenet121", "DenseNet-121", "densenet", 224, 29, 7_978_856, 2.834, 74.434),
    ("densenet161", "DenseNet-161", "densenet", 224, 29, 28_681_000, 7.728, 77.138),
    ("densenet169", "DenseNet-169", "densenet", 224, 29, 14_149_480, 3.36, 75.6),
    ("densenet201", "DenseNet-201", "densenet", 224, 29, 20_013_928, 4.291, 76.896),
    ("efficientnet_b0", "EfficientNet-B0", "efficientnet", 224, 1, 5_288_548, 0.386, 77.692),
    ("efficientnet_b1", "EfficientNet-B1", "efficientnet", 240, 1, 7_794_184, 0.687, 78.642),
    ("efficientnet_b2", "EfficientNet-B2", "efficientnet", 288, 1, 9_109_994, 1.088, 80.608),
    ("efficientnet_b3", "EfficientNet-B3", "efficientnet", 300, 1, 12_233_232, 1.827, 82.008),
    ("efficientnet_b4", "EfficientNet-B4", "efficientnet", 380, 1, 19_341_616, 4.394, 83.384),
    ("efficientnet_b5", "EfficientNet-B5", "efficientnet", 456, 1, 30_389_784, 10.266, 83.444),
    ("efficientnet_b6", "EfficientNet-B6", "efficientnet", 528, 1, 43_040_704, 19.068, 84.008),
    ("efficientnet_b7", "EfficientNet-B7", "efficientnet", 600, 1, 66_347_960, 37.746, 84.122),
    ("efficientnet_v2_l", "EfficientNetV2-L", "efficientnet_v2", 480, 1, 118_515_272, 56.08, 85.808),
    ("efficientnet_v2_m", "EfficientNetV2-M", "efficientnet_v2", 480, 1, 54_139_356, 24.582, 85.112),
    ("efficientnet_v2_s", "EfficientNetV2-S", "efficientnet_v2", 384, 1, 21_458_488, 8.366, 84.228),
    ("googlenet", "GoogLeNet", "googlenet", 224, 15, 6_624_904, 1.498, 69.778),
    ("inception_v3", "Inception v3", "inception", 299, 299, 27_161_264, 5.713, 77.294),
    ("maxvit_t", "MaxViT-T", "maxvit", 224, 224, 30_919_624, 5.558, 83.7),
    ("mnasnet0_5", "MNASNet 0.5", "mnasnet", 224, 1, 2_218_512, 0.104, 67.734),
    ("mnasnet0_75", "MNASNet 0.75", "mnasnet", 224, 1, 3_170_208, 0.215, 71.18),
    ("mnasnet1_0", "MNASNet 1.0", "mnasnet", 224, 1, 4_383_312, 0.314, 73.456),
    ("mnasnet1_3", "MNASNet 1.3", "mnasnet", 224, 1, 6_282_256, 0.526, 76.506),
    ("mobilenet_v2", "MobileNetV2", "mobilenet_v2", 224, 1, 3_504_872, 0.301, 71.878),
    ("mobilenet_v3_large", "MobileNetV3-Large", "mobilenet_v3", 224, 1, 5_483_032, 0.217, 74.042),
    ("mobilenet_v3_small", "MobileNetV3-Small", "mobilenet_v3", 224, 1, 2_542_856, 0.057, 67.668),
    ("regnet_x_16gf", "RegNetX-16GF", "regnet", 224, 1, 54_278_536, 15.941, 80.058),
    ("regnet_x_1_6gf", "RegNetX-1.6GF", "regnet", 224, 1, 9_190_136, 1.603, 77.04),
    ("regnet_x_32gf", "RegNetX-32GF", "regnet", 224, 1, 107_811_560, 31.736, 80.622),
    ("regnet_x_3_2gf", "RegNetX-3.2GF", "regnet", 224, 1, 15_296_552, 3.177, 78.364),
    ("regnet_x_400mf", "RegNetX-400MF", "regnet", 224, 1, 5_495_976, 0.414, 72.834),
    ("regnet_x_800mf", "RegNetX-800MF", "regnet", 224, 1, 7_259_656, 0.8, 75.212),
    ("regnet_x_8gf", "RegNetX-8GF", "regnet", 224, 1, 39_572_648, 7.995, 79.344),
    ("regnet_y_128gf", "RegNetY-128GF", "regnet", 224, 1, 644_812_894, 127.518, 86.068),
    ("regnet_y_16gf", "RegNetY-16GF", "regnet", 224, 1, 83_590_140, 15.912, 80.424),
    ("regnet_y_1_6gf", "RegNetY-1.6GF", "regnet", 224, 1, 11_202_430, 1.612, 77.95),
    ("regnet_y_32gf", "RegNetY-32GF", "regnet", 224, 1, 145_046_770, 32.28, 80.878),
    ("regnet_y_3_2gf", "RegNetY-3.2GF", "regnet", 224, 1, 19_436_338, 3.176, 78.948),
    ("regnet_y_400mf", "RegNetY-400MF", "regnet", 224, 1, 4_344_144, 0.402, 74.046),
    ("regnet_y_800mf", "RegNetY-800MF", "regnet", 224, 1, 6_432_512, 0.834, 76.42),
    ("regnet_y_8gf", "RegNetY-8GF", "regnet", 224, 1, 39_381_472, 8.473, 80.032),
    ("resnet101", "ResNet-101", "resnet", 224, 1, 44_549_160, 7.801, 77.374),
    ("resnet152", "ResNet-152", "resnet", 224, 1, 60_192_808, 11.514, 78.312),
    ("resnet18", "ResNet-18", "resnet", 224, 1, 11_689_512, 1.814, 69.758),
    ("resnet34", "ResNet-34", "resnet", 224, 1, 21_797_672, 3.664, 73.314),
    ("resnet50", "ResNet-50", "resnet", 224, 1, 25_557_032, 4.089, 76.13),
    ("resnext101_32x8d", "ResNeXt-101 32x8d", "resnext", 224, 1, 88_791_336, 16.414, 79.312),
    ("resnext101_64x4d", "ResNeXt-101 64x4d", "resnext", 224, 1, 83_455_272, 15.46, 83.246),
    ("resnext50_32x4d", "ResNeXt-50 32x4d", "resnext", 224, 1, 25_028_904, 4.23, 77.618),
    ("shufflenet_v2_x0_5", "ShuffleNetV2 x0.5", "shufflenet", 224, 1, 1_366_792, 0.04, 60.552),
    ("shufflenet_v2_x1_0", "ShuffleNetV2 x1.0", "shufflenet", 224, 1, 2_278_604, 0.145, 69.362),
    ("shufflenet_v2_x1_5", "ShuffleNetV2 x1.5", "shufflenet", 224, 1, 3_503_624, 0.296, 72.996),
    ("shufflenet_v2_x2_0", "ShuffleNetV2 x2.0", "shufflenet", 224, 1, 7_393_996, 0.583, 76.23),
    ("squeezenet1_0", "SqueezeNet 1.0", "squeezenet", 224, 21, 1_248_424, 0.819, 58.092),
    ("squeezenet1_1", "SqueezeNet 1.1", "squeezenet", 224, 17, 1_235_496, 0.349, 58.178),
    ("swin_b", "Swin-B", "swin", 224, 4, 87_768_224, 15.431, 83.582),
    ("swin_s", "Swin-S", "swin", 224, 4, 49_606_258, 8.741, 83.196),
    ("swin_t", "Swin-T", "swin", 224, 4, 28_288_354, 4.491, 81.474),
    ("swin_v2_b", "Swin v2-B", "swin_v2", 256, 4, 87_930_848, 20.325, 84.112),
    ("swin_v2_s", "Swin v2-S", "swin_v2", 256, 4, 49_737_442, 11.546, 83.712),
    ("swin_v2_t", "Swin v2-T", "swin_v2", 256, 4, 28_351_570, 5.94, 82.072),
    ("vgg11", "VGG-11", "vgg", 224, 32, 132_863_336, 7.609, 69.02),
    ("vgg11_bn", "VGG-11 BN", "vgg", 224, 32, 132_868_840, 7.609, 70.37),
    ("vgg13", "VGG-13", "vgg", 224, 32, 133_047_848, 11.308, 69.928),
    ("vgg13_bn", "VGG-13 BN", "vgg", 224, 32, 133_053_736, 11.308, 71.586),
    ("vgg16", "VGG-16", "vgg", 224, 32, 138_357_544, 15.47, 71.592),
    ("vgg16_bn", "VGG-16 BN", "vgg", 224, 32, 138_365_992, 15.47, 73.36),
    ("vgg19", "VGG-19", "vgg", 224, 32, 143_667_240, 19.632, 72.376),
    ("vgg19_bn", "VGG-19 BN", "vgg", 224, 32, 143_678_248, 19.632, 74.218),
    ("vit_b_16", "ViT-B/16", "vit", 224, 16, 86_567_656, 17.564, 81.072),
    ("vit_b_32", "ViT-B/32", "vit", 224, 32, 88_224_232, 4.409, 75.912),
    ("vit_h_14", "ViT-H/14", "vit", 224, 14, 632_045_800, 167.295, 85.708),
    ("vit_l_16", "ViT-L/16", "vit", 224, 16, 304_326_632, 61.555, 79.662),
    ("vit_l_32", "ViT-L/32", "vit", 224, 32, 306_535_400, 15.378, 76.972),
    ("wide_resnet101_2", "Wide ResNet-101-2", "wide_resnet", 224, 1, 126_886_696, 22.753, 78.848),
    ("wide_resnet50_2", "Wide ResNet-50-2", "wide_resnet", 224, 1, 68_883_240, 11.398, 78.468),
)


def _printed(name: str, params: int, gmacs: float, top1: float) -> tuple[Figure, ...]:
    note = "Without the auxiliary heads." if name in ("googlenet", "inception_v3") else ""
    return (
        Figure("params", f"{params:,}", params, "torchvision", note),
        Figure("macs", f"{gmacs:g} G", gmacs * 1e9, "torchvision", note),
        Figure("top1", f"{top1:g} %", top1, "torchvision"),
    )


def _entry(
    name: str, title: str, family: str, size: int, least: int, params: int, gmacs: float, top1: float
) -> Entry:
    summary, citation = _FAMILIES[family]
    return Entry(
        name,
        title,
        summary,
        citation=citation,
        published={"params": params, "macs": round(gmacs * 1e9), "top1": top1},
        configurations=(Configuration("ImageNet", _printed(name, params, gmacs, top1), {}),),
        family="torchvision",
        input_shape=(3, size, size),
        least_size=least,
        num_classes=1000,
    )


TORCHVISION: tuple[Entry, ...] = tuple(_entry(*row) for row in _TABLE)
"""Networks in alphabetical order."""
