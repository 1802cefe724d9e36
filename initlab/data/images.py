"""Small images: one row a picture, shape (channels, height, width)."""

import contextlib
import io
from pathlib import Path
from urllib.error import URLError

import numpy as np
from sklearn.datasets import load_digits
from torchvision import datasets

from initlab.data.dataset import Arrays, Dataset, assemble, data_directory, split_and_assemble
from initlab.errors import UserError

GREY_LEVELS = 255.0


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
        standardize="all" if standardize else None,
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
        standardize: Whether pixels get mean 0 and variance 1 over all training pixels; else they lie in [0, 1].

    Raises:
        UserError: the files are absent and cannot be fetched, or are damaged.
    """
    return _idx_dataset(datasets.MNIST, dir, download, val_fraction, split_seed, stratify, standardize)


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
    return _idx_dataset(datasets.FashionMNIST, dir, download, val_fraction, split_seed, stratify, standardize)


def _idx_dataset(
    source: type[datasets.MNIST],
    folder: str | None,
    download: bool,
    val_fraction: float,
    split_seed: int,
    stratify: bool,
    standardize: bool,
) -> Dataset:
    train, test = (_read_idx(source, data_directory(folder), part, download) for part in (True, False))
    return assemble(
        train,
        test,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize="all" if standardize else None,
    )


def _read_idx(source: type[datasets.MNIST], directory: Path, train: bool, download: bool) -> Arrays:
    """Read one part through torchvision: images in [0, 1], shape (rows, 1, 28, 28), and labels."""
    name = source.__name__
    raw = directory / name / "raw"
    try:
        # torchvision reports each mirror that failed with print.
        with contextlib.redirect_stdout(io.StringIO()):
            part = source(str(directory), train=train, download=download)
    except (RuntimeError, URLError, OSError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"data={'mnist' if source is datasets.MNIST else 'fashion_mnist'}: cannot read {name} from {raw} "
            f"({reason}); put its four IDX files there, point data.dir or INITLAB_DATA to a folder that has "
            f"{name}/raw, or use an embedded data set: data=digits or data=wine"
        ) from error
    images = part.data.unsqueeze(1).numpy().astype(np.float32) / np.float32(GREY_LEVELS)
    return images, part.targets.numpy()
