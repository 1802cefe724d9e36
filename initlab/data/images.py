"""Small images: one row a picture, shape (channels, height, width)."""

import contextlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from urllib.error import URLError

import numpy as np
from sklearn.datasets import load_digits

from initlab.base.errors import UserError
from initlab.base.lock import locked
from initlab.data.assemble import Arrays, assemble
from initlab.data.dataset import Dataset, data_directory
from initlab.data.limits import at_least

LEVELS = 255.0
# What torchvision raises where files are missing, damaged or not to be had.
FAILURES = (RuntimeError, URLError, HTTPException, OSError, ValueError, AssertionError)


@dataclass(frozen=True)
class _Source:
    """A data set that torchvision reads.

    Attributes:
        name: What `data=` calls it, e.g. mnist.
        reader: Name of torchvision's class.
        folder: Where its files lie, below `data.dir`.
        files: In words, which files belong there, for the message where they are missing.
    """

    name: str
    reader: str
    folder: str
    files: str

    def read(self, directory: Path, *, train: bool, download: bool) -> Any:
        """What torchvision makes of one part's files."""
        from torchvision import datasets  # a second, which data without it need not wait for

        return getattr(datasets, self.reader)(str(directory), train=train, download=download)


IDX_FILES = "its four IDX files"
SOURCES: Mapping[str, _Source] = MappingProxyType(
    {
        "MNIST": _Source("mnist", "MNIST", "MNIST/raw", IDX_FILES),
        "FashionMNIST": _Source("fashion_mnist", "FashionMNIST", "FashionMNIST/raw", IDX_FILES),
        "KMNIST": _Source("kmnist", "KMNIST", "KMNIST/raw", IDX_FILES),
        "CIFAR10": _Source("cifar10", "CIFAR10", "cifar-10-batches-py", "the files of cifar-10-python.tar.gz"),
    }
)


def digits(
    *,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
    sequential: bool = False,
    permute_seed: int | None = None,
) -> Dataset:
    """scikit-learn's digits: 1,797 handwritten digits of 8×8 pixels, 10 classes. Needs no file.

    Args:
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether all pixels together get mean 0 and variance 1, by the training rows; else they lie
            in [0, 1].
        sequential: Whether a row is its 64 pixels one by one, shape (64, 1), line by line from the top left.
        permute_seed: With `sequential`, seed of an order in which the pixels of all pictures come; None: their own.

    Raises:
        UserError: a fraction is out of range, or leaves a part without rows.
    """
    pixels, labels = load_digits(return_X_y=True)
    return _assemble(
        (pixels.reshape(-1, 1, 8, 8) / 16.0, labels),
        test_fraction,
        sequential=sequential,
        permute_seed=permute_seed,
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
    sequential: bool = False,
    permute_seed: int | None = None,
) -> Dataset:
    """Pictures of 10 classes with official training and test rows, which torchvision reads and downloads.

    MNIST (LeCun et al. 1998), Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747) and Kuzushiji-MNIST (Clanuwat et al.
    2018, arXiv:1812.01718) have 60,000 and 10,000 grey pictures of 28×28 pixels; CIFAR-10 (Krizhevsky 2009) has 50,000
    and 10,000 of 32×32 in colour.

    Args:
        source: The data set, by the name of torchvision's class.
        dir: Folder with the files in torchvision's layout, e.g. MNIST/raw/; None: `~/.cache/initlab`.
        download: Whether to fetch the files where they are missing.
        val_fraction: Share of the training rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of the split into training and validation rows, whatever the seeds of the networks.
        stratify: Whether each class keeps its share in that split.
        standardize: Whether each channel gets mean 0 and variance 1 over all training pixels; else they lie in [0, 1].
        sequential: Whether a row is its pixels one by one, shape (pixels, channels), line by line from the top left, as
            in Le et al. 2015, arXiv:1504.00941.
        permute_seed: With `sequential`, seed of an order in which the pixels of all pictures come; None: their own.

    Raises:
        UserError: the files are missing and cannot be fetched, or are damaged.
    """
    train, test = (_read(SOURCES[source], dir, part, download) for part in (True, False))
    return _assemble(
        train,
        test,
        sequential=sequential,
        permute_seed=permute_seed,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _assemble(
    train: Arrays,
    test: Arrays | float,
    *,
    sequential: bool,
    permute_seed: int | None,
    standardize: bool,
    **splits: Any,
) -> Dataset:
    """A data set of images, or of their pixels one by one; these are standardized as those are, channel by channel.

    Args:
        train: Images, shape (rows, channels, height, width), and labels.
        test: The same, or the share of the rows to test on.
        sequential: Whether rows are pixels, shape (height · width, channels).
        permute_seed: Seed of the order of the pixels; None: line by line.
        standardize: Whether each channel gets mean 0 and variance 1.
        **splits: Further arguments of `assemble`.

    Raises:
        UserError: an order of the pixels is asked for where they do not come one by one, or of a negative seed.
    """
    if not sequential:
        if permute_seed is not None:
            raise UserError(
                f"data.permute_seed={permute_seed}: orders pixels that come one by one; set data.sequential=true"
            )
        return assemble(train, test, standardize=standardize, **splits)
    if permute_seed is not None:
        at_least(permute_seed=(permute_seed, 0))
    pixels = math.prod(train[0].shape[2:])
    order = None if permute_seed is None else np.random.default_rng(permute_seed).permutation(pixels)

    def one_by_one(images: np.ndarray) -> np.ndarray:
        rows = images.reshape(len(images), -1, pixels).swapaxes(1, 2)
        return rows if order is None else rows[:, order]

    return assemble(
        (one_by_one(train[0]), train[1]),
        (one_by_one(test[0]), test[1]) if isinstance(test, tuple) else test,
        standardize=standardize,
        features_last=True,
        **splits,
    ).as_sequences()


def _found_or_fetched(source: _Source, directory: Path, train: bool, download: bool) -> Any:
    """What torchvision makes of one part's files, fetched if need be and allowed: by one process at a time.

    It writes them in place, where another process would take half of one for the whole.
    """
    try:
        return source.read(directory, train=train, download=False)
    except FAILURES:
        if not download:
            raise
    with contextlib.ExitStack() as held:
        with contextlib.suppress(UserError):  # nobody can write there, as torchvision is about to say
            held.enter_context(locked(directory / f".{source.name}.lock", wait=True))
        return source.read(directory, train=train, download=True)


def _read(source: _Source, folder: str | None, train: bool, download: bool) -> Arrays:
    """Read one part through torchvision.

    Returns:
        Images in [0, 1], shape (rows, channels, height, width), float32, and labels, shape (rows,).

    Raises:
        UserError: the files are missing and cannot be fetched, or are damaged.
    """
    directory = data_directory(folder)
    try:
        # torchvision reports each mirror that failed with print.
        with contextlib.redirect_stdout(io.StringIO()):
            part = _found_or_fetched(source, directory, train, download)
    except FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"data={source.name}: cannot read {source.reader} from {directory / source.folder} ({reason}); put "
            f"{source.files} there, point data.dir or INITLAB_DATA to a folder that has {source.folder}, or use an "
            "embedded data set: data=digits or data=wine"
        ) from error
    pixels = np.asarray(part.data)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)  # torchvision: colours last
    return pixels.astype(np.float32, order="C") / np.float32(LEVELS), np.asarray(part.targets)
