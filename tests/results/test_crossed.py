"""Means over seeds and rows against textbook formulas, and what they promise by simulation."""

from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import stats

from initlab.results.crossed import (
    LEAST_SPREAD,
    ROWS_OF_A_DIFFERENCE,
    ROWS_OF_A_MEAN,
    UNKNOWN,
    Estimate,
    RowScores,
    estimate,
    of_seeds_alone,
    paired,
)
from initlab.results.intervals import LEAST_EQUAL

WHOLE = 10**9  # training rows of whom a test row is no part worth counting

Array = NDArray[Any]


def on_the_same_rows(scores: Array, trained_on: int = WHOLE) -> RowScores:
    return RowScores(np.arange(len(scores)), np.asarray(scores, dtype=np.float64), None, trained_on)


def drawn(
    rng: Generator, *, members: int, tested: int, of: int | None, row: float, member: float, rest: float
) -> RowScores:
    """Results whose effects have these variances: on the same rows, or on some of the rows of a data set."""
    every = of or tested
    difficulty = rng.normal(0, row**0.5, every)
    places = np.stack([np.sort(rng.permutation(every)[:tested]) for _ in range(members)])
    luck = rng.normal(0, member**0.5, (members, 1))
    scores = 0.5 + difficulty[places] + luck + rng.normal(0, rest**0.5, (members, tested))
    return RowScores(np.arange(members), scores, None if of is None else places, WHOLE)


@pytest.mark.parametrize(("members", "tested", "weight"), [(2, 3, 1.0), (7, 12, 1.6), (10, 300, 2.5), (30, 4, 1.0)])
def test_without_missing_cells_it_is_the_two_way_analysis_of_variance(members: int, tested: int, weight: float) -> None:
    """Mean squares by hand, as in Searle, Casella & McCulloch 1992, section 4.3."""
    rng = np.random.default_rng(members)
    scores = rng.normal(0, 1, (members, tested)) + rng.normal(0, 2, tested) + rng.normal(0, 1, (members, 1))
    of_row, of_member, grand = scores.mean(0), scores.mean(1), scores.mean()
    ms_rows = members * ((of_row - grand) ** 2).sum() / (tested - 1)
    ms_members = tested * ((of_member - grand) ** 2).sum() / (members - 1)
    left = scores - of_row - of_member[:, None] + grand
    ms_rest = (left**2).sum() / (members - 1) / (tested - 1)
    found = estimate(on_the_same_rows(scores, trained_on=500), weight_of_rows=weight, counts=False)
    row = max(0.0, (ms_rows - ms_rest) / members)
    assert found.mean == pytest.approx(grand)
    assert found.of_seeds == pytest.approx(max(ms_members, LEAST_SPREAD * ms_rest) / tested / members)
    assert found.of_rows == pytest.approx(row * (1 / tested + (weight - 1) / 500))
    assert (found.seeds, found.rows) == (members, tested)
    assert found.variance == found.of_seeds + found.of_rows
    assert found.share_of_rows == pytest.approx(found.of_rows / found.variance)
    by_satterthwaite = found.variance**2 / (found.of_seeds**2 / (members - 1) + found.of_rows**2 / (tested - 1))
    assert found.freedom == pytest.approx(by_satterthwaite)
    low, high = found.interval(0.9)
    assert (low, high) == pytest.approx(stats.t(by_satterthwaite, found.mean, found.variance**0.5).interval(0.9))


@pytest.mark.parametrize("weight", [1.0, ROWS_OF_A_MEAN, ROWS_OF_A_DIFFERENCE])
@pytest.mark.parametrize("lost", [0, 2])
def test_rows_that_all_have_seen_may_be_written_down_as_places_too(weight: float, lost: int) -> None:
    """A split made once is for all seeds: none of its test rows trains any of them, whatever diverged."""
    known = drawn(np.random.default_rng(0), members=5, tested=20, of=None, row=1, member=1, rest=1)
    known.scores[:lost] = 0
    places = np.tile(np.arange(100, 120), (5, 1))
    places[:lost] = UNKNOWN
    official, as_places = (RowScores(known.seeds, known.scores, rows, 80) for rows in (None, places))
    assert as_places.one_split
    assert estimate(as_places, weight_of_rows=weight, counts=False) == estimate(
        official, weight_of_rows=weight, counts=False
    )


def test_one_member_does_not_tell_whether_others_have_its_rows() -> None:
    scores = np.ones((3, 2))
    for rows in ([[0, 1], [0, 1], [0, 2]], [[0, 1], [1, 0], [0, 1]], [[0, 1], [UNKNOWN] * 2, [UNKNOWN] * 2]):
        assert not RowScores(np.arange(3), scores, np.array(rows), 9).one_split


@pytest.mark.parametrize("of", [None, 60, 25])
@pytest.mark.parametrize(("row", "member", "rest"), [(1.0, 0.1, 0.5), (0.3, 0.3, 2.0), (2.0, 0.0, 0.5)])
def test_the_variance_of_the_mean_is_what_it_is(of: int | None, row: float, member: float, rest: float) -> None:
    """Over many studies: the mean of the estimates beside the variance of the means, cells missing or not."""
    rng = np.random.default_rng(0)
    found = [
        estimate(
            drawn(rng, members=6, tested=20, of=of, row=row, member=member, rest=rest),
            weight_of_rows=1.0,
            counts=False,
        )
        for _ in range(2_000)
    ]
    truth = np.var([one.mean for one in found])
    # The floor below the spread of the members, where they do not differ, is on the safe side.
    assert 0.88 * truth < np.mean([one.variance for one in found]) < (1.12 if member else 1.2) * truth


@pytest.mark.parametrize("tested", [15, 40])
def test_the_variance_of_rows_is_unbiased_with_missing_cells(tested: int) -> None:
    rng = np.random.default_rng(1)
    members, every, found = 8, 50, []
    for _ in range(600):
        known = drawn(rng, members=members, tested=tested, of=every, row=1.5, member=0.4, rest=1.0)
        of_rows = estimate(known, weight_of_rows=3.0, counts=False).of_rows
        assert known.rows is not None
        seen = np.unique(known.rows, return_counts=True)[1]
        of_one_row = 3 * (seen**2).sum() / known.scores.size**2 - (1 - tested / len(seen)) / known.scores.size
        found.append(of_rows / of_one_row)
    assert np.mean(found) == pytest.approx(1.5, abs=4 * np.std(found) / len(found) ** 0.5)
    assert np.std(found) / len(found) ** 0.5 < 0.03


@pytest.mark.parametrize(("of", "member"), [(None, 0.05), (None, 1.0), (80, 0.05), (80, 1.0)])
def test_intervals_cover(of: int | None, member: float) -> None:
    """Of studies whose splits teach nothing, so that rows count once."""
    rng = np.random.default_rng(2)
    found = [
        estimate(
            drawn(rng, members=10, tested=40, of=of, row=1.0, member=member, rest=1.0),
            weight_of_rows=1.0,
            counts=False,
        )
        for _ in range(1_500)
    ]
    ends = np.array([one.interval() for one in found])
    assert 0.93 < np.mean((ends[:, 0] <= 0.5) & (ends[:, 1] >= 0.5)) < 0.97


def test_more_seeds_do_not_teach_more_about_the_rows() -> None:
    rng = np.random.default_rng(3)
    few, many = (
        estimate(
            drawn(rng, members=members, tested=300, of=None, row=1, member=0.2, rest=1),
            weight_of_rows=1.0,
            counts=False,
        )
        for members in (10, 1_000)
    )
    assert many.of_seeds < few.of_seeds / 50
    assert many.of_rows == pytest.approx(1 / 300, rel=0.3) == pytest.approx(few.of_rows, rel=0.3)
    assert many.share_of_rows > 0.9


def test_the_mean_is_that_of_the_member_scores() -> None:
    rng = np.random.default_rng(4)
    known = RowScores(np.arange(5), rng.normal(size=(5, 9)), rng.integers(0, 30, (5, 9)), 50)
    found = estimate(known, weight_of_rows=ROWS_OF_A_MEAN, counts=False)
    assert found.mean == pytest.approx(known.scores.mean(1).mean())


def test_one_member_has_no_interval() -> None:
    found = estimate(on_the_same_rows(np.ones((1, 9))), weight_of_rows=1.0, counts=True)
    assert np.isnan(found.interval()).all()
    assert (found.p(), found.half_width(0.05), found.seeds) == (1.0, np.inf, 1)


def test_equal_members_vary_by_rows_alone() -> None:
    scores = np.tile(np.repeat([1.0, 0.0], [80, 20]), (10, 1))
    found = estimate(on_the_same_rows(scores), weight_of_rows=1.0, counts=True)
    assert found.of_seeds == pytest.approx(0, abs=1e-12)
    assert found.of_rows == pytest.approx(scores[0].var(ddof=1) / 100)
    assert found.share_of_rows == pytest.approx(1)
    low, high = found.interval(limits=(0, 1))
    assert low == pytest.approx(0.8 - stats.t.isf(0.025, 99) * (0.16 / 99) ** 0.5)
    assert high < 0.9


@pytest.mark.parametrize("wrong", range(5))
def test_rows_that_nobody_has_seen_may_be_wrong(wrong: int) -> None:
    """With fewer than 5 rows that tell, rows vary at least as if one of them did: all right is not surely right."""
    scores = np.ones((10, 200))
    scores[:, :wrong] = 0
    found = estimate(on_the_same_rows(scores), weight_of_rows=1.0, counts=True)
    assert found.of_rows == pytest.approx(max(1 / 200, scores[0].var(ddof=1)) / 200)
    low, high = found.interval(limits=(0, 1))
    assert low < 1 - wrong / 200 <= high <= 1
    sure = estimate(on_the_same_rows(scores), weight_of_rows=1.0, counts=False)
    assert sure.of_rows == pytest.approx(scores[0].var(ddof=1) / 200)


def test_no_row_seen_twice() -> None:
    """Then nothing tells rows from what is left of a cell, and all of it is in the spread of the members."""
    rng = np.random.default_rng(5)
    known = RowScores(np.arange(6), rng.normal(size=(6, 8)), rng.permutation(1_000)[:48].reshape(6, 8), 500)
    found = estimate(known, weight_of_rows=1.0, counts=False)
    within = known.scores - known.scores.mean(1, keepdims=True)
    assert found.rows == 48
    assert found.of_seeds == pytest.approx(known.scores.mean(1).var(ddof=1) / 6)
    row = (within**2).sum() / (48 - 6)
    assert found.of_rows == pytest.approx(row * (1 / 48 - (1 - 8 / 48) / 48))


@pytest.mark.parametrize("rows", [None, np.array([[3], [3], [4]]), np.array([[1], [2], [3]])])
def test_a_single_test_row(rows: Array | None) -> None:
    found = estimate(RowScores(np.arange(3), np.array([[1.0], [0.0], [1.0]]), rows, 9), weight_of_rows=2, counts=True)
    assert found.mean == pytest.approx(2 / 3)
    assert np.isfinite(found.variance)
    assert found.variance > 0


def test_of_seeds_alone_is_students() -> None:
    scores = np.array([0.9, 0.92, 0.85, 0.88])
    found = of_seeds_alone(scores)
    theirs = stats.ttest_1samp(scores, 0)
    assert found.interval(0.99) == pytest.approx(tuple(theirs.confidence_interval(0.99)))
    assert found.p() == pytest.approx(theirs.pvalue)
    assert np.isnan(found.share_of_rows)
    assert (found.seeds, found.rows, found.freedom) == (4, 0, 3)


@pytest.mark.parametrize("seeds", [1, 2, LEAST_EQUAL - 1])
@pytest.mark.parametrize("score", [0.0, 1 / 36])
def test_a_few_equal_differences_are_not_sure(seeds: int, score: float) -> None:
    """One test row of 36 decides two seeds alike, and says nothing of the third."""
    found = of_seeds_alone(np.full(seeds, score))
    assert np.isnan(found.interval()).all()
    assert found.p() == 1


def test_many_equal_differences_are() -> None:
    assert of_seeds_alone(np.full(LEAST_EQUAL, 0.1)).interval() == pytest.approx((0.1, 0.1))
    assert of_seeds_alone(np.full(LEAST_EQUAL, 0.1)).p() == 0
    assert of_seeds_alone(np.zeros(LEAST_EQUAL)).p() == 1


def test_p_is_below_where_the_interval_leaves_out_0() -> None:
    for mean in np.linspace(-1, 1, 41):
        found = Estimate(float(mean), 0.03, 0.05, 12, 40)
        for level in (0.5, 0.9, 0.95, 0.99):
            low, high = found.interval(level)
            assert (found.p() < 1 - level) == (low > 0 or high < 0)


def test_pairs_are_of_equal_seeds() -> None:
    rng = np.random.default_rng(6)
    a, b = (RowScores(np.array(seeds), rng.normal(size=(3, 4)), None, 9) for seeds in ([0, 2, 5], [2, 3, 5]))
    found = paired(a, b)
    assert found is not None
    assert found.seeds.tolist() == [2, 5]
    np.testing.assert_array_equal(found.scores, a.scores[[1, 2]] - b.scores[[0, 2]])
    assert paired(a, RowScores(np.array([7, 8, 9]), b.scores, None, 9)) is None


def test_rows_of_a_member_that_diverged_are_those_of_the_other() -> None:
    a = RowScores(np.arange(3), np.ones((3, 2)), np.array([[0, 1], [UNKNOWN] * 2, [UNKNOWN] * 2]), 9)
    b = RowScores(np.arange(3), np.zeros((3, 2)), np.array([[0, 1], [1, 2], [UNKNOWN] * 2]), 9)
    for first, second in ((a, b), (b, a)):
        found = paired(first, second)
        assert found is not None
        assert found.rows is not None
        assert found.rows.tolist() == [[0, 1], [1, 2], [UNKNOWN] * 2]
    # What nobody knows counts as rows that nobody else has seen.
    found = paired(a, b)
    assert found is not None
    assert estimate(found, weight_of_rows=ROWS_OF_A_DIFFERENCE, counts=True).rows == 5


def test_what_was_tested_on_other_rows_is_not_compared_by_row() -> None:
    a = RowScores(np.arange(2), np.ones((2, 2)), np.array([[0, 1], [1, 2]]), 9)
    assert paired(a, RowScores(a.seeds, a.scores, np.array([[0, 1], [1, 3]]), 9)) is None
    assert paired(a, RowScores(a.seeds, a.scores, None, 9)) is None
    assert paired(a, RowScores(a.seeds, np.ones((2, 3)), np.zeros((2, 3), np.int64), 9)) is None
