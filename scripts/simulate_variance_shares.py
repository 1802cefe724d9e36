"""Measure how often intervals of variance shares hold the truth, on crossed scores whose components are known.

    python scripts/simulate_variance_shares.py [--studies 500] [--seed 0]

Combinations differ in the spread of their scores, and seeds are shared: what one of them brings is common to all
combinations. Prints a table in Markdown: the least and the greatest coverage among the sources of variance, and the
largest mean error of a share.
"""

import argparse
import sys
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.random import Generator

from initlab.results.division import HIGHER, SEED, FloatArray, divide_variance

SEEDS = (5, 10, 20)
SHARED = 0.3  # spread of what all combinations share on a seed, over their own


@dataclass(frozen=True)
class Population:
    """Crossed scores of a known law.

    Attributes:
        sizes: How many values each factor has.
        effects: Spread over its values of each factor by itself.
        interaction: Spread of what is not the sum of the factors.
        noise: Spread over seeds, on average.
    """

    sizes: tuple[int, ...]
    effects: tuple[float, ...]
    interaction: float
    noise: float


POPULATIONS = {
    "two factors, little noise": Population((4, 3), (1.0, 0.5), 0.24, 0.3),
    "two factors, mostly noise": Population((4, 3), (0.1, 0.1), 0.0, 1.0),
    "two factors without effect": Population((4, 3), (0.0, 0.0), 0.0, 1.0),
    "three factors": Population((3, 4, 3), (0.6, 0.3, 0.3), 0.18, 0.4),
}


def main() -> None:
    """Run the simulations and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500, help="of each population and number of seeds")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    header = ("population", "seeds", "coverage of 95 % intervals", "largest mean error of a share")
    say(*header)
    say(*["---"] * len(header))
    for name, population in POPULATIONS.items():
        for seeds in SEEDS:
            rng = np.random.default_rng([arguments.seed, seeds])
            covered, error = simulate(population, seeds, arguments.studies, rng)
            say(name, seeds, f"{100 * min(covered):.1f} to {100 * max(covered):.1f} %", f"{error:.3f}")


def say(*cells: object) -> None:
    """Write a row of the table as soon as it is known."""
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


def simulate(population: Population, seeds: int, studies: int, rng: Generator) -> tuple[list[float], float]:
    """Coverage of each source's interval over some studies, and the largest mean error of a share."""
    means, spreads = means_and_spreads(population, np.random.default_rng(5))
    shared = SHARED * population.noise
    truth = true_shares(means, float((spreads**2).mean()) + shared**2)
    levels = np.stack([places.ravel() for places in np.indices(population.sizes)], axis=1)
    found = []
    for _ in range(studies):
        scores = means.reshape(-1, 1) + spreads.reshape(-1, 1) * rng.standard_normal((means.size, seeds))
        divided = divide_variance(scores + shared * rng.standard_normal(seeds), levels, rng=rng)
        if divided is not None:
            found.append([divided.shares[source] for source in truth])
    true = np.array(list(truth.values()))
    shares, low, high = np.moveaxis(np.array(found), 2, 0)
    covered = ((low <= true + 1e-9) & (true <= high + 1e-9)).mean(0)
    return covered.tolist(), float(np.abs((shares - true).mean(0)).max())


def means_and_spreads(population: Population, rng: Generator) -> tuple[FloatArray, FloatArray]:
    """Mean score of each combination, and its spread over seeds."""
    sizes = population.sizes
    means = population.interaction * rng.standard_normal(sizes)
    for axis, effect in enumerate(population.effects):
        values = rng.standard_normal(sizes[axis])
        values = effect * (values - values.mean()) / values.std()
        means = means + np.expand_dims(values, tuple(other for other in range(len(sizes)) if other != axis))
    return means, population.noise * rng.uniform(0.5, 1.5, sizes)


def true_shares(means: FloatArray, noise: float) -> dict[tuple[int, ...] | str, float]:
    """The shares of a population, by effects written out one by one."""
    axes = range(means.ndim)
    effects: dict[tuple[int, ...], FloatArray] = {(): means.mean(keepdims=True)}
    for count in (1, 2):
        for own in combinations(axes, count):
            mean = means.mean(axis=tuple(axis for axis in axes if axis not in own), keepdims=True)
            smaller = [effect for places, effect in effects.items() if set(places) < set(own)]
            effects[own] = mean - sum(smaller)
    parts: dict[tuple[int, ...] | str, float] = {
        places: float((effect**2).mean()) for places, effect in effects.items() if places
    }
    if means.ndim > 2:
        parts[HIGHER] = float(((means - sum(effects.values())) ** 2).mean())
    whole = float(means.var()) + noise
    return {source: part / whole for source, part in {**parts, SEED: noise}.items()}


if __name__ == "__main__":
    main()
