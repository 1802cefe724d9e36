"""Means over seeds and test rows, which are samples both: how far from the truth of the problem they may be.

A test score of a few networks is off for two reasons. Other seeds would give other networks; and other test rows would
be easier or harder. More seeds do nothing against the second. So each member's result on each of its test rows is kept,
and the two are told apart as the effects of a two-way table, seeds by rows, are:

    result of member j on row i  =  mean  +  row i's effect  +  member j's effect  +  what is left

Where each member has a split of its own, most cells of that table are empty, and the same moments are solved for it.

Source: Gao & Owen 2017 (arXiv:1601.04625), the moment equations of crossed random effects with missing cells;
Nadeau & Bengio 2003 and Bouthillier et al. 2021 (arXiv:2103.03098) on splits that overlap.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special  # of which stats.t is made, and far quicker

from initlab.results.confidence import LEVEL
from initlab.results.intervals import LEAST_EQUAL

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# A row that tests some members trains others, and moves their scores in both ways. The second way cannot be measured
# from splits of one data set (Bengio & Grandvalet 2004), so that the variance of rows is raised: by how much was found
# by simulation, `python -m scripts.simulate_intervals`. In differences, the difficulty of a row cancels, while what it
# taught does not, so that they take more.
ROWS_OF_A_MEAN: Final = 1.6
ROWS_OF_A_DIFFERENCE: Final = 3.0
LEAST_SPREAD: Final = 0.25
DIGITS: Final = 12  # what differs behind them differs by rounding
FEW_ROWS: Final = 5  # that differ from the others: too few to tell how much rows vary
UNKNOWN: Final = -1  # the place of a row of which it is not known which it is


@dataclass(frozen=True)
class RowScores:
    """What the members of a job scored on each of their test rows.

    Attributes:
        seeds: Of the members, ascending, shape (members,).
        scores: A member's mean over its rows is its test score, shape (members, tested).
        rows: Which rows of the data set each was tested on, shape (members, tested); None: all on the same, in order.
            `UNKNOWN` throughout for a member of which that was not kept, as it diverged.
        trained_on: How many rows each was trained on.
    """

    seeds: IntArray
    scores: FloatArray
    rows: IntArray | None
    trained_on: int

    def of_seeds(self, seeds: IntArray) -> "RowScores":
        """Those of some seeds, each of which must be among these, in the order asked for."""
        if np.array_equal(seeds, self.seeds):
            return self
        places = np.searchsorted(self.seeds, seeds)
        rows = None if self.rows is None else self.rows[places]
        return RowScores(self.seeds[places], self.scores[places], rows, self.trained_on)

    @cached_property
    def one_split(self) -> bool:
        """Whether all were tested on the same rows, given as such or split off once; then no seed trains on them."""
        if self.rows is None:
            return True
        kept = self.rows[(self.rows != UNKNOWN).all(1)]
        return len(kept) > 1 and bool((kept == kept[0]).all())

    @cached_property
    def components(self) -> "_Components":
        """Variances of the effects of members and rows; a job is compared with many others, and solved once."""
        return _components(self.scores, None if self.one_split else self.rows)


@dataclass(frozen=True)
class Estimate:
    """A mean, and how sure it is.

    Attributes:
        mean: Of all cells.
        of_seeds: The part of its variance that more seeds make smaller; NaN where so few seeds do not tell.
        of_rows: The part that only more rows make smaller; NaN where results by row are not known.
        seeds: How many there are.
        rows: How many different rows; 0 where they are not known.
    """

    mean: float
    of_seeds: float
    of_rows: float
    seeds: int
    rows: int

    @property
    def variance(self) -> float:
        """Of the mean: both parts."""
        return self.of_seeds + (0.0 if np.isnan(self.of_rows) else self.of_rows)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the variance (Satterthwaite 1946)."""
        if np.isnan(self.of_rows) or self.variance == 0:
            return max(self.seeds - 1.0, 1.0)
        parts = self.of_seeds**2 / max(self.seeds - 1, 1) + self.of_rows**2 / max(self.rows - 1, 1)
        return float(self.variance**2 / parts)

    @property
    def share_of_rows(self) -> float:
        """Which share of the variance rows make, in [0, 1]; NaN where it is not known."""
        return self.of_rows / self.variance if self.variance else 0.0

    def half_width(self, significance: float) -> float:
        """Half of the interval that leaves out the truth so often; infinite where too few seeds do not tell."""
        if np.isnan(self.of_seeds):
            return np.inf
        return float(-special.stdtrit(self.freedom, significance / 2) * np.sqrt(self.variance))

    def interval(self, level: float = LEVEL, limits: tuple[float, float] = (-np.inf, np.inf)) -> tuple[float, float]:
        """Lower and upper end; NaN where too few seeds do not tell.

        Args:
            level: Coverage that is aimed at, in (0, 1).
            limits: The least and the greatest that the mean can be; the interval ends there.
        """
        half = self.half_width(1 - level)
        if not np.isfinite(half):
            return np.nan, np.nan
        low, high = np.clip((self.mean - half, self.mean + half), *limits)
        return float(low), float(high)

    def p(self) -> float:
        """Two-sided p of a mean of 0; 1 where too few seeds do not tell."""
        if np.isnan(self.of_seeds) or self.mean == 0:
            return 1.0
        if self.variance == 0:
            return 0.0
        return float(2 * special.stdtr(self.freedom, -abs(self.mean) / np.sqrt(self.variance)))


def estimate(known: RowScores, *, weight_of_rows: float, counts: bool) -> Estimate:
    """Mean of all results, and its variance by seeds and by rows.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> difficulty, luck = rng.normal(size=300), rng.normal(size=(10, 1))
        >>> found = estimate(RowScores(np.arange(10), difficulty + luck, None, 5000), weight_of_rows=1.5, counts=False)
        >>> f"{found.of_seeds:.3f} of seeds, {found.of_rows:.4f} of rows"
        '0.187 of seeds, 0.0035 of rows'

    Args:
        known: Results, or differences of results, of at least one member.
        weight_of_rows: How often a row counts that both trains and tests: `ROWS_OF_A_MEAN` or `ROWS_OF_A_DIFFERENCE`.
        counts: Whether a row is right or wrong, so that where hardly any row makes a difference, those that nobody has
            seen may: then the variance of rows is at least as if one of these rows did.
    """
    scores = known.scores
    members, tested = scores.shape
    of_member = scores.mean(1)
    mean = float(scores.mean())
    if members < 2:
        return Estimate(mean, np.nan, np.nan, members, tested)
    cells = known.components
    of_row = max(cells.row, 1 / cells.rows) if counts and cells.telling < FEW_ROWS else cells.row
    # A few members may score the same by chance: they cannot vary much less than what is left of their rows does.
    spread = max(float(of_member.var(ddof=1)), LEAST_SPREAD * cells.left / tested)
    if known.one_split:
        of_rows = of_row * (1 / tested + (weight_of_rows - 1) / known.trained_on)
    else:  # the spread over members with rows of their own has a part of the rows' variance already
        twice = max(0.0, 1 - tested / cells.rows) / scores.size
        of_rows = of_row * max(0.0, weight_of_rows * cells.weight - twice)
    return Estimate(mean, spread / members, of_rows, members, cells.rows)


def estimate_mean(known: RowScores, *, counts: bool) -> Estimate:
    """The mean of a job's results, and how sure it is; the arguments are those of `estimate`."""
    return estimate(known, weight_of_rows=ROWS_OF_A_MEAN, counts=counts)


def estimate_difference(a: RowScores, b: RowScores, *, counts: bool) -> Estimate | None:
    """The mean difference of two jobs' results on the seeds that both have, and how sure it is.

    Args:
        a: Results of one.
        b: Results of the other.
        counts: As in `estimate`.

    Returns:
        None where they share no seed, or members of equal seed were tested on different rows.
    """
    differences = paired(a, b)
    if differences is None:
        return None
    found = estimate(differences, weight_of_rows=ROWS_OF_A_DIFFERENCE, counts=counts)
    if found.seeds < 2:
        return found
    # Rows that both find hard cancel, so that rows say no more of a difference than of both by themselves.
    both = sum(estimate_mean(known.of_seeds(differences.seeds), counts=counts).of_rows for known in (a, b))
    return replace(found, of_rows=min(found.of_rows, both))


def of_seeds_alone(scores: FloatArray) -> Estimate:
    """The same where results by row are not known: what it says holds for these test rows only.

    Of fewer than `LEAST_EQUAL` equal scores nobody knows how much others would vary.

    Args:
        scores: One a member, shape (members,), at least one.
    """
    seeds, varying = len(scores), bool(np.ptp(scores) > 0)  # a variance of equal numbers is not 0, but rounding
    spread = float(scores.var(ddof=1)) if varying else 0.0 if seeds >= LEAST_EQUAL else np.nan
    return Estimate(float(scores.mean()), spread / seeds, np.nan, seeds, 0)


@dataclass(frozen=True)
class _Components:
    """Variances of the effects of a two-way table.

    Attributes:
        row: Of the rows' effects, at least 0.
        left: Of what is left in each cell, at least 0.
        rows: How many rows have a cell.
        telling: How many of them have a mean other than the commonest.
        weight: What the variance of rows is multiplied by in that of the mean: 1/rows where no cell is missing.
    """

    row: float
    left: float
    rows: int
    telling: int
    weight: float


def _components(scores: FloatArray, rows: IntArray | None) -> _Components:
    """Solve the three moment equations of Gao & Owen 2017, section 4, for a table of members by rows."""
    members, tested = scores.shape
    size = members * tested
    centered = scores - scores.mean()
    if rows is not None:
        rows = _told_apart(rows)
    if rows is None:
        counts, sums = np.full(tested, float(members)), centered.sum(0)
    else:
        seen = np.bincount(rows.ravel())
        counts, sums = seen[seen > 0].astype(np.float64), np.bincount(rows.ravel(), centered.ravel())[seen > 0]
    total = float((centered**2).sum())
    within_rows = total - float((sums**2 / counts).sum())
    within_members = total - float((centered.mean(1) ** 2).sum() * tested)
    different = len(counts)
    _, alike = np.unique((sums / counts).round(DIGITS), return_counts=True)
    telling = different - int(alike.max())
    squares = float((counts**2).sum())
    weight = squares / size**2
    if size - different < members:  # hardly a row has been seen twice: all that is no member's is a row's
        return _Components(max(0.0, within_members / max(size - members, 1)), 0.0, different, telling, weight)
    equations = np.array(
        [
            [0.0, size - different, size - different],
            [size - members, 0.0, size - members],
            [size - squares / size, size - tested, size - 1.0],
        ]
    )
    row, _, left = np.linalg.solve(equations, [within_rows, within_members, total])
    return _Components(max(0.0, float(row)), max(0.0, float(left)), different, telling, weight)


def _told_apart(rows: IntArray) -> IntArray:
    """The same rows; those of a member whose rows are unknown count as rows that nobody else has seen."""
    unknown = rows == UNKNOWN
    return np.where(unknown, rows.max() + np.cumsum(unknown).reshape(rows.shape), rows)


def paired(a: RowScores, b: RowScores) -> RowScores | None:
    """Differences of the results of members of equal seed on equal rows; None where they share no seed, or no rows.

    Where the rows of one of two members are unknown, they are those of the other.
    """
    seeds = np.intersect1d(a.seeds, b.seeds)
    if not len(seeds):
        return None
    first, second = a.of_seeds(seeds), b.of_seeds(seeds)
    if first.scores.shape != second.scores.shape or (first.rows is None) != (second.rows is None):
        return None
    rows = None
    if first.rows is not None and second.rows is not None:
        rows = np.where(first.rows == UNKNOWN, second.rows, first.rows)
        if ((second.rows != UNKNOWN) & (second.rows != rows)).any():
            return None
    return RowScores(seeds, first.scores - second.scores, rows, first.trained_on)
