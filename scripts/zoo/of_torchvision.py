"""Architectures of torchvision: small ones as they are, large ones with few and narrow layers."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.maxvit import MaxVit
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformer, SwinTransformerBlockV2

from scripts.zoo.architecture import Architecture
from scripts.zoo.batches import numbers


def named(name: str, **settings: Any) -> Callable[[], nn.Module]:
    """A network by its name in torchvision, without weights."""
    return partial(models.get_model, name, weights=None, num_classes=10, **settings)


def narrow(name: str, features: int, **settings: Any) -> Callable[[], nn.Module]:
    """A network whose classifier of many million weights has few units.

    Args:
        name: Its name in torchvision.
        features: How many numbers enter the classifier.
        **settings: Of the network.
    """

    def build() -> nn.Module:
        model: nn.Module = named(name, **settings)()
        model.classifier = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))
        return model

    return build


def networks() -> Iterator[Architecture]:
    """Every architecture that is built from torchvision."""
    convolutions, attention = "torchvision: convolutions", "torchvision: attention"
    classifiers: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "alexnet": (narrow("alexnet", 9216), 64),
        "vgg11": (narrow("vgg11", 25088), 32),
        "vgg11_bn": (narrow("vgg11_bn", 25088), 32),
        "squeezenet1_0": (named("squeezenet1_0"), 64),
        "squeezenet1_1": (named("squeezenet1_1"), 64),
        "resnet18": (named("resnet18"), 32),
        "resnet of bottlenecks": (lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10, width_per_group=8), 32),
        "resnext": (lambda: ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10, groups=8, width_per_group=2), 32),
        "resnet with zeros last": (
            lambda: ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10, zero_init_residual=True), 32),
        "mobilenet_v2": (named("mobilenet_v2", width_mult=0.35), 32),
        "mobilenet_v3_small": (named("mobilenet_v3_small"), 32),
        "mobilenet_v3_large": (named("mobilenet_v3_large", width_mult=0.5), 32),
        "shufflenet_v2_x0_5": (named("shufflenet_v2_x0_5"), 32),
        "shufflenet_v2_x1_0": (named("shufflenet_v2_x1_0"), 32),
        "mnasnet0_5": (named("mnasnet0_5"), 32),
        "mnasnet1_0": (named("mnasnet1_0"), 32),
        "efficientnet_b0": (named("efficientnet_b0"), 32),
        "efficientnet_v2_s": (_efficientnet_v2, 32),
        "densenet121": (lambda: models.DenseNet(8, (1, 1, 1, 1), 16, num_classes=10), 32),
        "regnet_x_400mf": (named("regnet_x_400mf"), 32),
        "regnet_y_400mf": (named("regnet_y_400mf"), 32),
        "googlenet": (named("googlenet", aux_logits=False, init_weights=False), 32),
        "inception_v3": (named("inception_v3", aux_logits=False, init_weights=False), 75),
        "convnext": (lambda: ConvNeXt([CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 1), CNBlockConfig(64, None, 1)],
                                      num_classes=10), 32),
    }  # fmt: skip
    for name, (build, size) in classifiers.items():
        yield Architecture(f"torchvision/{name}", convolutions, build, partial(numbers, 3, size, size))
    vision: dict[str, Callable[[], nn.Module]] = {
        "vit": lambda: models.VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=10),
        "swin": lambda: SwinTransformer([4, 4], 16, [1, 1], [2, 2], [4, 4], num_classes=10),
        "swin_v2": lambda: SwinTransformer([4, 4], 16, [1, 1], [2, 2], [4, 4], num_classes=10,
                                           block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
        "maxvit": lambda: MaxVit((32, 32), 16, 4, [16, 32], [1, 1], 16, 0.1, num_classes=10),
    }  # fmt: skip
    for name, build in vision.items():
        yield Architecture(f"torchvision/{name}", attention, build, partial(numbers, 3, 32, 32))
    segment, detect = "torchvision: segmentation", "torchvision: detection"
    for name in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"):
        yield Architecture(
            f"torchvision/{name}", segment, named(name, weights_backbone=None), partial(numbers, 3, 32, 32)
        )
    yield Architecture(
        "torchvision/ssdlite320_mobilenet_v3_large", detect,
        named("ssdlite320_mobilenet_v3_large", weights_backbone=None),
        lambda: (list(numbers(3, 64, 64)[:2]),),  # which it enlarges to 320
    )  # fmt: skip
    yield Architecture(
        "torchvision/fasterrcnn_mobilenet_v3_large_320_fpn", detect,
        named("fasterrcnn_mobilenet_v3_large_320_fpn", weights_backbone=None, min_size=64, max_size=64),
        lambda: (list(numbers(3, 64, 64)),),
    )  # fmt: skip
    yield Architecture("torchvision/r3d_18", "torchvision: video", _video, partial(numbers, 3, 4, 32, 32))


def _efficientnet_v2() -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    settings = [FusedMBConvConfig(1, 3, 1, 16, 16, 1), FusedMBConvConfig(4, 3, 2, 16, 32, 1),
                MBConvConfig(4, 3, 2, 32, 48, 1), MBConvConfig(6, 3, 2, 48, 64, 1)]  # fmt: skip
    model: nn.Module = EfficientNet(settings, 0.1, num_classes=10, last_channel=128)
    return model


def _video() -> nn.Module:
    from torchvision.models.video import resnet

    model: nn.Module = resnet.VideoResNet(
        resnet.BasicBlock, [resnet.Conv3DSimple] * 4, [1, 1, 1, 1], resnet.BasicStem, num_classes=10
    )
    return model
