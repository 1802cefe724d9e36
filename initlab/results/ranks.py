"""Ranks across data sets: Friedman's test, and which mean ranks differ. The samples are data sets, never seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from initlab.results.confidence import LEVEL

FloatArray = NDArray[np.float64]

PERMUTATIONS = 9_999


@dataclass(frozen=True)
class Ranks:
    """What several data sets say together of some treatments: here the candidates of a study.

    Attributes:
        mean: Mean rank of each treatment, 1 the best, shape (treatments,).
        data_sets: Number of data sets, which are the samples.
        friedman: Friedman's chi-square, corrected for ties.
        friedman_p: p of `friedman` by the chi-square law.
        iman_davenport: Iman and Davenport's F, less conservative; infinite where all data sets agree.
        iman_davenport_p: p of `iman_davenport` by the F law.
        permutation_p: p of `friedman` by shuffling ranks within data sets: right for few data sets, too.
        critical_difference: Nemenyi's: mean ranks further apart than that differ.
    """

    mean: FloatArray
    data_sets: int
    friedman: float
    friedman_p: float
    iman_davenport: float
    iman_davenport_p: float
    permutation_p: float
    critical_difference: float

    @property
    def can_differ(self) -> bool:
        """Whether mean ranks of so few data sets could be further apart than the critical difference."""
        return self.critical_difference < len(self.mean) - 1


def rank_across(scores: FloatArray, *, rng: Generator, level: float = LEVEL) -> Ranks:
    """Rank treatments on each data set and test whether they differ.

    Args:
        scores: One a data set and treatment, larger is better, shape (data sets, treatments), at least 2 by 2.
        rng: Draws the permutations; an equal state gives an equal p.
        level: Confidence level of the critical difference, in (0, 1).

    Source: Demšar 2006, section 3.2.2; Iman & Davenport 1980.
    """
    blocks, treatments = scores.shape
    ranks = stats.rankdata(-scores, axis=1)
    chi2 = float(friedman_statistic(ranks))
    agreement = blocks * (treatments - 1) - chi2
    f = (blocks - 1) * chi2 / agreement if agreement > 1e-9 else np.inf
    degrees = (treatments - 1, (treatments - 1) * (blocks - 1))
    shuffled = rng.permuted(np.broadcast_to(ranks, (PERMUTATIONS, blocks, treatments)), axis=2)
    as_large = (friedman_statistic(shuffled) >= chi2 - 1e-9).sum()
    return Ranks(
        mean=ranks.mean(0),
        data_sets=blocks,
        friedman=chi2,
        friedman_p=float(stats.chi2.sf(chi2, treatments - 1)),
        iman_davenport=float(f),
        iman_davenport_p=float(stats.f.sf(f, *degrees)),
        permutation_p=float((1 + as_large) / (1 + PERMUTATIONS)),
        critical_difference=critical_difference(treatments, blocks, level=level),
    )


def friedman_statistic(ranks: FloatArray) -> FloatArray:
    """Friedman's chi-square, corrected for ties; 0 where every data set has nothing but ties.

    Args:
        ranks: Ranks within each data set, 1 the best, shape (…, data sets, treatments).

    Returns:
        Shape (…).
    """
    blocks, treatments = ranks.shape[-2:]
    middle = (treatments + 1) / 2
    between = blocks**2 * ((ranks.mean(-2) - middle) ** 2).sum(-1)
    within = ((ranks - middle) ** 2).sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(within > 0, (treatments - 1) * between / within, 0.0))


def critical_difference(treatments: int, data_sets: int, *, level: float = LEVEL) -> float:
    """Nemenyi's critical difference of mean ranks (Demšar 2006, section 3.2.2).

    Args:
        treatments: How many are ranked, at least 2.
        data_sets: How many they are ranked on, at least 1.
        level: Confidence level, in (0, 1).
    """
    q = stats.studentized_range.ppf(level, treatments, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(treatments * (treatments + 1) / (6 * data_sets)))


def data_sets_needed(treatments: int, *, level: float = LEVEL) -> int:
    """The least number of data sets with which Nemenyi's test can tell the best of so many treatments from the worst.

    Args:
        treatments: How many are ranked, at least 2.
        level: Confidence level of the test, in (0, 1).
    """
    return int(np.floor(critical_difference(treatments, 1, level=level) ** 2 / (treatments - 1) ** 2) + 1)
