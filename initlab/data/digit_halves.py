"""The digits as two tasks, so that a network can be trained on one and go on from there with the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits


def half(*, first: bool) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """scikit-learn's digits from 0 to 4, or those from 5 to 9, for `data=function`.

    Args:
        first: Whether the smaller ones are taken.

    Returns:
        Pictures, shape (rows, 1, 8, 8), with values in [0, 1], and the digits as words.
    """
    pixels, labels = load_digits(return_X_y=True)
    chosen = (labels < 5) == first
    return pixels[chosen].reshape(-1, 1, 8, 8) / 16.0, labels[chosen].astype(str)
