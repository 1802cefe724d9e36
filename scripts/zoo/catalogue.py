"""Every architecture of the zoo by its name."""

from scripts.zoo import handmade, of_timm, of_torchvision, of_transformers
from scripts.zoo.architecture import Architecture


def catalogue() -> dict[str, Architecture]:
    """All of them, in the order of the table."""
    groups = (handmade, of_torchvision, of_timm, of_transformers)
    return {each.name: each for group in groups for each in group.networks()}
