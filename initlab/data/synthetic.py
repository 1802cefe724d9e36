"""Made-up data of any size. The same arguments give the same rows, whatever the seeds of the networks."""

from typing import Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from initlab.activations import ACTIVATIONS, ALIASES, Activation
from initlab.base.errors import UserError, nearest
from initlab.data.assemble import assemble
from initlab.data.dataset import Dataset
from initlab.data.limits import LEAST_ROWS, at_least
from initlab.theory.moments import second_moment

FloatArray = NDArray[np.float64]


def teacher(
    *,
    rows: int = 4000,
    features: int = 10,
    outputs: int = 1,
    width: int = 10,
    depth: int = 2,
    activation: str = "tanh",
    noise: float = 0.1,
    task: Literal["regression", "classification"] = "regression",
    seed: int = 0,
    test_fraction: float = 0.25,
    val_fraction: float = 0.2,
    split_seed: int = 42,
) -> Dataset:
    """A random network's answers to standard normal inputs, plus noise: what can be learned of it is known.

    Each output has mean 0 and variance 1 before the noise is added. So a regression reaches an R² of 1/(1 + noise²) at
    best, and a network that always predicts the mean one of 0.

    Args:
        rows: Samples before they are split, at least 10.
        features: Inputs of a sample, at least 1.
        outputs: How many numbers there are to fit; in a classification how many classes: a sample's is the place of its
            largest output.
        width: Units of each hidden layer of the teacher.
        depth: Hidden layers of the teacher; 0: it is linear.
        activation: The teacher's nonlinearity, by a registered name.
        noise: Standard deviation of the normal noise that is added to each output.
        task: `"regression"` for numbers to fit, `"classification"` for classes.
        seed: Seed of the inputs, the teacher's weights and the noise.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.

    Raises:
        UserError: a size out of range, an unknown activation, or a fraction that leaves a part without rows.
    """
    at_least(rows=(rows, LEAST_ROWS), features=(features, 1), outputs=(outputs, 1), width=(width, 1), depth=(depth, 0),
              noise=(noise, 0), seed=(seed, 0))  # fmt: skip
    known = [*ACTIVATIONS, *ALIASES]
    if activation not in known:
        raise UserError(f"data.activation={activation}: unknown activation; {nearest(activation, known)}")
    if task == "classification" and outputs < 2:
        raise UserError(f"data.outputs={outputs}: a classification needs at least 2, one a class")
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((rows, features))
    answers = _answers(inputs, [width] * depth + [outputs], Activation(activation), rng=rng)
    answers = (answers - answers.mean(0)) / answers.std(0) + noise * rng.standard_normal(answers.shape)
    return assemble(
        (inputs, answers if task == "regression" else answers.argmax(1)),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=False,
        standardize=False,
        task=task,
        note=f"the noise leaves an R² of {1 / (1 + noise**2):.3f} at best" if noise and task == "regression" else "",
    )


def spirals(
    *,
    rows: int = 1500,
    classes: int = 3,
    turns: float = 1.5,
    noise: float = 0.02,
    seed: int = 0,
    test_fraction: float = 0.2,
    val_fraction: float = 0.2,
    split_seed: int = 42,
    stratify: bool = True,
    standardize: bool = True,
) -> Dataset:
    """Interleaved spirals in the plane, one for each class: easy to see, but not to be learned without hidden layers.

    Args:
        rows: Points in all, at least 10, spread evenly over the spirals.
        classes: How many spirals there are, at least 2.
        turns: How often each winds around the origin on its way from radius 0 to 1.
        noise: Standard deviation of the normal noise that is added to both coordinates.
        seed: Seed of the points and their noise.
        test_fraction: Share of all rows to test on, in (0, 1).
        val_fraction: Share of the remaining rows to validate on, in [0, 1); 0 validates on the test rows.
        split_seed: Seed of both splits; those that are made anew for a network's seed depend on it, too.
        stratify: Whether each class keeps its share in the splits.
        standardize: Whether both coordinates get mean 0 and variance 1, by the training rows.

    Raises:
        UserError: a size out of range, or a fraction that leaves a part without rows.
    """
    at_least(rows=(rows, LEAST_ROWS), classes=(classes, 2), turns=(turns, 0), noise=(noise, 0), seed=(seed, 0))
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    radius = rng.uniform(size=rows)
    angle = 2 * np.pi * (turns * radius + labels / classes)
    points = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return assemble(
        (points + noise * rng.standard_normal(points.shape), labels),
        test_fraction,
        val_fraction=val_fraction,
        split_seed=split_seed,
        stratify=stratify,
        standardize=standardize,
    )


def _answers(inputs: FloatArray, sizes: list[int], activation: Activation, *, rng: Generator) -> FloatArray:
    """Outputs of a random network without biases, shape (rows, sizes[-1]).

    The weights are normal, of a variance that keeps the sums of every layer at a mean square of about 1, so that a deep
    teacher still tells its inputs apart.

    Args:
        inputs: Shape (rows, features), of mean square 1.
        sizes: Units of each layer, the outputs last.
        activation: The nonlinearity after each layer but the last.
        rng: What the weights are drawn from.
    """
    signal, power = inputs, 1.0
    for position, size in enumerate(sizes):
        fan_in = signal.shape[1]
        signal = signal @ rng.normal(0.0, (fan_in * power) ** -0.5, (fan_in, size))
        if position < len(sizes) - 1:
            signal, power = activation.function(torch.from_numpy(signal)).numpy(), second_moment(activation)
    return signal
