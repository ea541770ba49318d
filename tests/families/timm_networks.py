"""One or two networks of every corner of timm, the smallest of each kind on small images."""

from __future__ import annotations

import re

import timm
import torch
from torch import nn

__all__ = ["NAMES", "create"]

NAMES = tuple(
    """
    beit_base_patch16_224 botnet26t_256 halonet26t lambda_resnet26t eca_resnext26ts gcresnext26ts gernet_s
    mobileone_s1 repvgg_a0 cait_xxs24_224 coat_lite_tiny coat_tiny convit_tiny convmixer_768_32
    convnext_atto convnextv2_atto crossvit_9_240 cs3darknet_s cspresnet50 darknet53 davit_tiny
    deit_tiny_distilled_patch16_224 deit3_small_patch16_224 densenetblur121d dla34 dla60_res2net dpn48b
    edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_b0 efficientnet_b0_g8_gn
    efficientnet_lite0 efficientnetv2_rw_t efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224
    fasternet_t0 fastvit_t8 fastvit_sa12 focalnet_tiny_srf gcvit_xxtiny ghostnet_050 ghostnetv2_100
    ghostnetv3_050 hardcorenas_a hgnet_tiny hgnetv2_b0 hiera_tiny_224 hrnet_w18_small inception_next_atto
    inception_resnet_v2 inception_v4 levit_128s levit_conv_128s mambaout_femto coatnet_nano_rw_224
    maxvit_rmlp_pico_rw_256 caformer_s18 poolformer_s12 poolformerv2_s12 gmixer_12_224 gmlp_ti16_224
    mixer_s32_224 resmlp_12_224 lcnet_050 mobilenetv3_small_050 mobilenetv4_conv_small_050
    mobilenetv4_hybrid_medium mobilevit_xxs mobilevitv2_050 mvitv2_tiny nasnetalarge nest_tiny
    nextvit_small dm_nfnet_f0 eca_nfnet_l0 nf_regnet_b0 nf_resnet26 pit_ti_224 pnasnet5large pvt_v2_b0
    rdnet_tiny regnetx_002 regnety_002 regnetv_040 regnetz_005 repghostnet_050 repvit_m0_9
    res2net50_14w_8s resnest14d resnet18d resnetaa50 resnetblur18 resnetrs50 seresnet18 ecaresnet26t
    resnetv2_50x1_bit resnetv2_50d_gn rexnet_100 selecsls42 legacy_seresnext26_32x4d sequencer2d_s
    shvit_s1 skresnet18 skresnext50_32x4d starnet_s1 swiftformer_xs swin_tiny_patch4_window7_224
    swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_patch16_224 tresnet_m
    twins_pcpvt_small twins_svt_small visformer_tiny vit_tiny_patch16_224 vit_tiny_r_s16_p8_224
    vit_relpos_small_patch16_224 vitamin_small_224 volo_d1_224 eca_vovnet39b ese_vovnet19b_slim_dw
    legacy_xception xception41 xcit_nano_12_p16_224
    """.split()
)
_TAKES_IMAGE_SIZE = (
    "test_vit beit deit convit cait eva mixer gmixer gmlp resmlp swin pit_ vit_tiny_patch vit_relpos xcit "
    "twins"
).split()
_FREE_SIZE = re.compile(
    "resn|densenet|dla|dpn|eff|ghost|hrnet|vovnet|convnext|repv|regnet|reg|mobile|lcnet|hgnet|nf_|xception|"
    "skres|starnet|cs3|csp|darknet|fasternet|poolformer|caformer|rexnet|inception_next|mambaout|convmixer|"
    "dm_nf|eca_|ese_|gernet|hardcore|rdnet|repghost|res2|ecares|ser|legacy_se|selecsls|tresnet|shvit|edgenext"
)


def create(name: str) -> tuple[nn.Module, torch.Tensor]:
    """A network and images that are as small as it allows."""
    settings = {"num_classes": 10}
    size = timm.get_pretrained_cfg(name).input_size[-1]
    if name.startswith(tuple(_TAKES_IMAGE_SIZE)) and "swin" not in name:
        size = settings["img_size"] = 28 * 2 if "patch14" in name else 64
    elif (name.startswith("test_") and "coat" not in name) or (
        _FREE_SIZE.match(name) and not name.startswith("efficientformer")
    ):
        size = 64
    return timm.create_model(name, pretrained=False, **settings), torch.randn(2, 3, size, size)
