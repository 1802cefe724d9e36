"""What lessons call the schemes: the words of a first year, in place of the names that commands have."""

from collections.abc import Mapping
from typing import Final

SCHEME_NAMES: Final[Mapping[str, str]] = {
    "data_dependent": "data-dependent",
    "gradinit": "GradInit",
    "he_normal": "He",
    "lecun_normal": "LeCun",
    "lsuv": "LSUV",
    "metainit": "MetaInit",
    "torch_default": "PyTorch's",
    "xavier_normal": "Xavier",
    "xavier_uniform": "Xavier",
}


def scheme_name(name: str) -> str:
    """A scheme's name in a sentence: `he_normal` is He, and what has no other word keeps its own."""
    return SCHEME_NAMES.get(name, name)
