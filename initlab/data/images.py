"""Small images: one row a picture, shape (channels, height, width)."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import URLError

import numpy as np
from sklearn.datasets import load_digits
from torchvision import datasets

from initlab.data.assemble import Arrays, assemble, split_and_assemble
from initlab.data.dataset import Dataset, data_directory
from initlab.errors import UserError

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


MNIST = _Source("mnist", datasets.MNIST, "MNIST/raw", "its four IDX files")
FASHION_MNIST = _Source("fashion_mnist", datasets.FashionMNIST, "FashionMNIST/raw", "its four IDX files")
KMNIST = _Source("kmnist", datasets.KMNIST, "KMNIST/raw", "its four IDX files")
CIFAR10 = _Source("cifar10", datasets.CIFAR10, "cifar-10-batches-py", "the files of cifar-10-python.tar.gz")


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
    return split_and_assemble(
        (pixels.reshape(-1, 1, 8, 8) / 16.0, labels),
        test_fraction=test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def mnist(
    *,
    dir: str | None = None,
    download: bool = True,
    val_fraction: float = 0.1,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """MNIST (LeCun et al. 1998): 60,000 and 10,000 handwritten digits of 28×28 pixels.

    Args:
        dir: Folder with MNIST/raw/, torchvision's layout; None: the user's cache.
        download: Whether to fetch the files where they are absent.
        val_fraction: Share of the 60,000 to validate on; 0 validates on the 10,000 test images.
        split_seed: Seed of that split.
        stratify: Whether each class keeps its share in the split.
        standardize: Whether each channel gets mean 0 and variance 1 over all training pixels; else they lie in [0, 1].

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    return _images(MNIST, dir, download, val_fraction, split_seed, stratify, standardize)


def fashion_mnist(
    *,
    dir: str | None = None,
    download: bool = True,
    val_fraction: float = 0.1,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 pictures of clothes, 28×28 pixels.

    The arguments are those of `mnist`; the files lie under FashionMNIST/raw/.

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    return _images(FASHION_MNIST, dir, download, val_fraction, split_seed, stratify, standardize)


def kmnist(
    *,
    dir: str | None = None,
    download: bool = True,
    val_fraction: float = 0.1,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """Kuzushiji-MNIST (Clanuwat et al. 2018, arXiv:1812.01718): 60,000 and 10,000 cursive Japanese characters, 28×28.

    The arguments are those of `mnist`; the files lie under KMNIST/raw/.

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    return _images(KMNIST, dir, download, val_fraction, split_seed, stratify, standardize)


def cifar10(
    *,
    dir: str | None = None,
    download: bool = True,
    val_fraction: float = 0.1,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 photographs of 10 kinds of things, 32×32 pixels in 3 colours.

    The arguments are those of `mnist`; the files lie under cifar-10-batches-py/.

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    return _images(CIFAR10, dir, download, val_fraction, split_seed, stratify, standardize)


def _images(
    source: _Source,
    folder: str | None,
    download: bool,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: bool,
) -> Dataset:
    train, test = (_read(source, folder, part, download) for part in (True, False))
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
