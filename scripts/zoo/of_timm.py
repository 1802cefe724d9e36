"""Architectures of timm: one of each family, small as it is or with few and narrow layers."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import timm
from timm.layers.mlp import GatedMlp, GluMlp
from timm.models.efficientnet import _gen_efficientnet_condconv
from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock, SpatialGatingBlock
from torch import nn

from scripts.zoo.architecture import Architecture
from scripts.zoo.batches import numbers

FEW: Final[Mapping[str, Any]] = {"depths": (1, 1, 1, 1)}
NARROW: Final[Mapping[str, Any]] = {"channels": (16, 16, 32, 64)}
TINY: Final[Mapping[str, Any]] = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
WINDOWS: Final[Mapping[str, Any]] = {
    "img_size": 32, "window_size": 4, "embed_dim": 16, "depths": (1, 1, 1), "num_heads": (1, 2, 2)}  # fmt: skip
PYRAMID: Final[Mapping[str, Any]] = {
    "img_size": 64, "embed_dims": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}  # fmt: skip

# By name, what is set beside; without an image's size, the rows are 32 pixels wide.
CONVOLUTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "test_resnet": {},
    "test_convnext": {},
    "test_convnext2": {},
    "test_convnext3": {},
    "test_efficientnet": {},
    "test_efficientnet_evos": {},
    "test_efficientnet_gn": {},
    "test_efficientnet_ln": {},
    "test_nfnet": {},
    "test_byobnet": {},
    "test_mambaout": {},
    "resnet18": NARROW,
    "resnet18d": NARROW,
    "resnetblur18": NARROW,
    "skresnet18": NARROW,
    "resnetv2_18": NARROW,
    "ecaresnet26t": {**NARROW, "layers": [1, 1, 1, 1]},
    "seresnext26d_32x4d": {"layers": [1, 1, 1, 1]},
    "res2net50_26w_4s": {"layers": [1, 1, 1, 1], "base_width": 8},
    "res2next50": {"layers": [1, 1, 1, 1]},
    "resnest14d": {},
    "resnext26ts": {},
    "gcresnext26ts": {},
    "regnetx_002": {},
    "regnety_002": {},
    "regnetz_005": {},
    "efficientnet_lite0": {},
    "tf_efficientnetv2_b0": {},
    "mixnet_s": {},
    "mnasnet_small": {},
    "fbnetc_100": {},
    "spnasnet_100": {},
    "hardcorenas_a": {},
    "mobilenetv2_035": {},
    "mobilenetv3_small_050": {},
    "tf_mobilenetv3_small_minimal_100": {},
    "mobilenetv4_conv_small_035": {},
    "mobilenetv4_hybrid_medium": {},
    "lcnet_035": {},
    "lcnetv2_small": {},
    "tinynet_e": {},
    "ghostnet_050": {},
    "ghostnetv2_100": {"img_size": 64},
    "rexnetr_100": {},
    "semnasnet_050": {},
    "convnext_atto": {**FEW, "dims": (8, 16, 32, 64)},
    "convnextv2_atto": {**FEW, "dims": (8, 16, 32, 64)},
    "inception_next_atto": {},
    "edgenext_xx_small": {},
    "fastvit_t8": {},
    "fasternet_t0": {},
    "repvit_m0_9": {},
    "repghostnet_050": {},
    "mobileone_s0": {},
    "starnet_s050": {},
    "densenet121": {"block_config": (1, 1, 1, 1), "growth_rate": 8},
    "dla46_c": {},
    "ese_vovnet19b_slim_dw": {},
    "cs3darknet_focus_s": {},
    "hgnetv2_b0": {},
    "nf_regnet_b0": {},
    "gernet_s": {},
}
ATTENTION: Final[Mapping[str, Mapping[str, Any]]] = {
    "test_vit": {},
    "test_vit4": {},
    "vit_tiny_patch16_224": TINY,
    "vit_relpos_small_patch16_224": TINY,
    "vit_small_patch16_18x2_224": TINY,
    "vit_base_patch16_siglip_224": TINY,
    "vit_xsmall_patch16_clip_224": TINY,
    "vit_medium_patch16_rope_reg1_gap_256": TINY,
    "vit_small_patch16_dinov3": TINY,
    "vit_tiny_r_s16_p8_224": {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2},
    "flexivit_small": TINY,
    "naflexvit_base_patch16_gap": {"embed_dim": 32, "depth": 2, "num_heads": 2},
    "deit_tiny_distilled_patch16_224": TINY,
    "deit3_small_patch16_224": TINY,
    "beit_base_patch16_224": TINY,
    "beitv2_base_patch16_224": TINY,
    "eva02_tiny_patch14_224": TINY,
    "eva02_base_patch14_224": TINY,
    "cait_xxs24_224": TINY,
    "xcit_nano_12_p16_224": TINY,
    "convit_tiny": {**TINY, "local_up_to_layer": 1},
    "samvit_base_patch16": {"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2, "window_size": 2,
                            "global_attn_indexes": (1,), "neck_chans": 16},
    "swin_tiny_patch4_window7_224": WINDOWS,
    "swinv2_tiny_window8_256": WINDOWS,
    "swinv2_cr_tiny_224": {"img_size": 64, "window_size": 2, "embed_dim": 16, **FEW, "num_heads": (1, 2, 2, 2)},
    "swin_s3_tiny_224": {"img_size": 64, "window_size": (2, 2, 2, 2), "embed_dim": 16, **FEW,
                         "num_heads": (1, 2, 2, 2)},
    "twins_svt_small": {**PYRAMID, "wss": (2, 2, 2, 2)},
    "twins_pcpvt_small": PYRAMID,
    "coat_lite_tiny": {"img_size": 64, "embed_dims": (16, 16, 32, 32)},
    "visformer_tiny": {"img_size": 64, "embed_dim": 64, "depth": (1, 1, 1)},
    "davit_tiny": {**FEW, "embed_dims": (16, 32, 32, 64), "num_heads": (1, 2, 2, 2), "window_size": 4},
    "hiera_tiny_224": {"img_size": 64, "embed_dim": 16, "stages": (1, 1, 1, 1)},
    "sam2_hiera_tiny": {"embed_dim": 16, "stages": (1, 1, 1, 1)},
    "sequencer2d_s": {"layers": (1, 1, 1, 1), "embed_dims": (16,) * 4, "hidden_sizes": (8,) * 4,
                      "mlp_ratios": (2, 2, 2, 2)},
    "pvt_v2_b0": FEW,
    "pit_ti_224": {"img_size": 64},
    "levit_128s": {"img_size": 64},
    "mobilevit_xxs": {},
    "mobilevitv2_050": {},
    "efficientvit_b0": {},
    "efficientvit_m0": {},
    "efficientvim_m1": {},
    "shvit_s1": {},
    "swiftformer_xs": {},
    "iformer_t": {},
    "tiny_vit_5m_224": {},
    "lambda_resnet26t": {},
    "test_maxvit": {"img_size": 64},
    "test_coatnet": {"img_size": 64},
}  # fmt: skip
# The family of MLP-Mixer, of which `create_model` sets the sizes itself.
MIXERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mixer_s16_224": {},
    "gmlp_ti16_224": {"mlp_ratio": 6, "block_layer": SpatialGatingBlock, "mlp_layer": GatedMlp},
    "gmixer_12_224": {"mlp_ratio": (1.0, 4.0), "mlp_layer": GluMlp, "act_layer": nn.SiLU},
    "resmlp_12_224": {"mlp_ratio": 4, "block_layer": ResBlock, "norm_layer": Affine},
}
SMALL_MIXER: Final[Mapping[str, Any]] = {
    "num_classes": 10,
    "img_size": 32,
    "patch_size": 8,
    "num_blocks": 2,
    "embed_dim": 32,
}


def networks() -> Iterator[Architecture]:
    """Every architecture that is built from timm."""
    for family, kinds in (("timm: convolutions", CONVOLUTIONS), ("timm: attention", ATTENTION)):
        for name, settings in kinds.items():
            fixed = family == "timm: convolutions"
            size = settings.get("img_size", 32)
            own = {key: value for key, value in settings.items() if not (fixed and key == "img_size")}
            build = partial(timm.create_model, name, pretrained=False, num_classes=10, **own)
            yield Architecture(f"timm/{name}", family, build, partial(numbers, 3, size, size))
    thin = {"channel_multiplier": 0.25, "depth_multiplier": 0.3, "num_classes": 10}
    yield Architecture(
        "timm/tf_efficientnet_cc_b0_4e",
        "timm: convolutions",
        partial(_gen_efficientnet_condconv, "tf_efficientnet_cc_b0_4e", **thin),
        partial(numbers, 3, 32, 32),
    )
    for name, settings in MIXERS.items():
        mixer = partial(MlpMixer, **SMALL_MIXER, **settings)
        yield Architecture(f"timm/{name}", "timm: attention", mixer, partial(numbers, 3, 32, 32))
