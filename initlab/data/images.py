"""Small images: one row a picture, shape (channels, height, width)."""

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from typing import Any, Literal
from urllib.error import URLError

import numpy as np
from sklearn.datasets import load_digits
from torchvision import datasets

from initlab.base.errors import UserError
from initlab.data.assemble import Arrays, assemble
from initlab.data.dataset import Dataset, data_directory

LEVELS = 255.0


@dataclass(frozen=True)
class _Source:
    """A data set of torchvision.

    Attributes:
        name: What `data=` calls it.
        read: torchvision's class.
        folder: Where its files lie, below `data.dir`.
        files: What there is to put there.
    """

    name: str
    read: Callable[..., Any]
    folder: str
    files: str


IDX_FILES = "its four IDX files"
SOURCES: Mapping[str, _Source] = MappingProxyType(
    {
        "MNIST": _Source("mnist", datasets.MNIST, "MNIST/raw", IDX_FILES),
        "FashionMNIST": _Source("fashion_mnist", datasets.FashionMNIST, "FashionMNIST/raw", IDX_FILES),
        "KMNIST": _Source("kmnist", datasets.KMNIST, "KMNIST/raw", IDX_FILES),
        "CIFAR10": _Source("cifar10", datasets.CIFAR10, "cifar-10-batches-py", "the files of cifar-10-python.tar.gz"),
    }
)


def digits(
    *,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """scikit-learn's digits: 1,797 handwritten digits of 8×8 pixels. Needs no file.

    Raises:
        UserError: a fraction leaves a part without rows.
    """
    pixels, labels = load_digits(return_X_y=True)
    return assemble(
        (pixels.reshape(-1, 1, 8, 8) / 16.0, labels),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def torchvision_images(
    *,
    source: Literal["MNIST", "FashionMNIST", "KMNIST", "CIFAR10"],
    dir: str | None = None,
    download: bool = True,
    val_fraction: float = 0.1,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """Pictures with official training and test rows, of 10 classes, that torchvision reads and downloads.

    MNIST (LeCun et al. 1998), Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) and Kuzushiji-MNIST (Clanuwat et al.
    2018, arXiv:1812.01718) have 60,000 and 10,000 grey pictures of 28×28 pixels; CIFAR-10 (Krizhevsky 2009) has 50,000
    and 10,000 of 32×32 in colour.

    Args:
        source: torchvision's name.
        dir: Folder with the files in torchvision's layout, e.g. MNIST/raw/; None: the user's cache.
        download: Whether to fetch the files where they are absent.
        val_fraction: Share of the training rows to validate on; 0 validates on the test rows.
        split_seed: Seed of that split.
        stratify: Whether each class keeps its share in the split.
        standardize: Whether each channel gets mean 0 and variance 1 over all training pixels; else they lie in [0, 1].

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    train, test = (_read(SOURCES[source], dir, part, download) for part in (True, False))
    return assemble(
        train,
        test,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _read(source: _Source, folder: str | None, train: bool, download: bool) -> Arrays:
    """Read one part through torchvision: images in [0, 1], shape (rows, channels, height, width), and labels."""
    directory = data_directory(folder)
    try:
        # torchvision reports each mirror that failed with print.
        with contextlib.redirect_stdout(io.StringIO()):
            part = source.read(str(directory), train=train, download=download)
    except (RuntimeError, URLError, HTTPException, OSError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"data={source.name}: cannot read {source.read.__name__} from {directory / source.folder} ({reason}); put "
            f"{source.files} there, point data.dir or INITLAB_DATA to a folder that has {source.folder}, or use an "
            "embedded data set: data=digits or data=wine"
        ) from error
    pixels = np.asarray(part.data)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)  # torchvision: colours last
    return pixels.astype(np.float32, order="C") / np.float32(LEVELS), np.asarray(part.targets)
