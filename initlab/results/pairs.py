"""All pairs of candidates under one condition, compared by seed and by test row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from scipy import stats

from initlab.results.candidates import CONDITION
from initlab.results.comparison import FloatArray, all_pairs, effect_size, superiority
from initlab.results.confidence import LEVEL, MARGIN, significance
from initlab.results.crossed import Estimate, IntArray, RowScores, estimate_difference, of_seeds_alone
from initlab.results.multiplicity import adjusted_p, pairwise_significance
from initlab.results.scores import DIGITS, counted_rows, counted_scores
from initlab.results.study import Study

MOST_COMPARED: Final = 20  # candidates; of more only the pairs with the best are shown, corrected for all
MOST_SEEDS: Final = 10_000  # that anyone would train to decide a pair
FARTHEST: Final = (-1.0, 1.0)  # that scores in [0, 1] can be apart
COLUMNS: Final = [
    *("a", "b", "seeds", "difference", "low", "high"),
    *("superiority", "superiority_low", "superiority_high", "effect"),
    *("p", "p_adjusted", "verdict", "seeds_needed", "share_of_rows", "of_seeds", "of_rows", "rows"),
]

# Of a, beside b: `worse` is b better than a.
Verdict = Literal["better", "worse", "equivalent", "undecided"]


def compare_pairs(
    study: Study, candidates: pd.DataFrame, *, level: float = LEVEL, margin: float = MARGIN, looks: int = 1
) -> pd.DataFrame:
    """Compare the candidates of each condition pair by pair, on the seeds that both have.

    Members of equal seed are paired: under one condition they see the same rows in the same order. Scores are
    `counted_scores` on test rows. Intervals hold for all pairs of a condition, and all looks, together; a verdict says
    what its interval says.

    Args:
        study: Finished jobs, as `read_study` returns them.
        candidates: One row a candidate and condition, as `choose_rates` returns it; of a pair the earlier one is a.
        level: Confidence level of all intervals of a condition together, in (0, 1).
        margin: A difference of the scores that does not matter.
        looks: How often a study may be looked at before more seeds are added.

    Returns:
        data, metric, setting, a, b, seeds, difference (a's mean less b's) with low and high, superiority (the
        probability that a beats b on a seed) with superiority_low and superiority_high of this pair alone, effect
        (Cohen's d), p, p_adjusted (for the number of pairs and looks), verdict (`better` or `worse` for a, where the
        interval leaves out 0; `equivalent` where it lies within the margin; else `undecided`), seeds_needed (how many
        would probably decide what is undecided; infinite where only more test rows do, or more than 10,000),
        share_of_rows (of the variance), and the parts of that: of_seeds, of_rows, and rows (how many different ones; 0
        where they are not known).
    """
    members = study.members[study.members["job"].isin(candidates["job"])]
    counted = members.assign(counted=counted_scores(members)).set_index("seed").sort_index()
    by_job = {str(job): rows for job, rows in counted.groupby("job", sort=False)}
    parts = []
    for (data, metric, setting), group in candidates.groupby(CONDITION, sort=False):
        if len(group) > 1:
            entries = [
                _candidate(str(name), by_job[str(job)], study.row_scores(str(job)))
                for name, job in group[["candidate", "job"]].to_numpy()
            ]
            pairs = _pairs_of(entries, significance(level) / looks, margin, counts=metric == "accuracy", level=level)
            pairs["p_adjusted"] = np.minimum(1.0, pairs["p_adjusted"] * looks)
            parts.append(pairs.assign(data=str(data), metric=str(metric), setting=str(setting)))
    if not parts:
        return pd.DataFrame(columns=[*CONDITION, *COLUMNS])
    return pd.concat(parts, ignore_index=True)[[*CONDITION, *COLUMNS]]


@dataclass(frozen=True)
class _Candidate:
    """What is known of a candidate under a condition.

    Attributes:
        name: As the tables call it.
        seeds: Of its members, ascending, shape (members,).
        counted: The score that each member is compared by, shape (members,).
        measured: Test score and test loss of each, without what differs by rounding only, shape (members, 2).
        by_row: Their counted results by test row; None where these are not known.
    """

    name: str
    seeds: IntArray
    counted: FloatArray
    measured: FloatArray
    by_row: RowScores | None


def _candidate(name: str, members: pd.DataFrame, known: RowScores | None) -> _Candidate:
    """One from its members by seed, with a column `counted`, and what they scored by row."""
    return _Candidate(
        name,
        members.index.to_numpy(np.int64),
        members["counted"].to_numpy(np.float64),
        members[["test_score", "test_loss"]].to_numpy(np.float64, na_value=np.nan).round(DIGITS),
        None if known is None else counted_rows(known, members),
    )


def _pairs_of(
    entries: Sequence[_Candidate], error: float, margin: float, *, counts: bool, level: float
) -> pd.DataFrame:
    """All pairs of one condition, or of many candidates those with the first.

    Args:
        entries: The candidates, at least two.
        error: How seldom any of the pairs may be wrong.
        margin: A difference that does not matter.
        counts: Whether a row is right or wrong.
        level: Confidence level of what is said of each pair by itself, how often a beats b.
    """
    of_pair = pairwise_significance(error, len(entries))
    shown = [pair for pair in all_pairs(len(entries)) if pair[0] == 0 or len(entries) <= MOST_COMPARED]
    table = pd.DataFrame([_row(entries[i], entries[j], of_pair, margin, counts, level) for i, j in shown])
    table["p_adjusted"] = adjusted_p(table["p"].to_numpy(np.float64), len(entries))
    return table


def _row(a: _Candidate, b: _Candidate, of_pair: float, margin: float, counts: bool, level: float) -> dict[str, Any]:
    seeds, of_a, of_b = np.intersect1d(a.seeds, b.seeds, assume_unique=True, return_indices=True)
    row: dict[str, Any] = {"a": a.name, "b": b.name, "seeds": len(seeds)}
    if not len(seeds):
        numbers = [name for name in COLUMNS if name not in (*row, "verdict")]
        return row | dict.fromkeys(numbers, np.nan) | {"p": 1.0, "verdict": "undecided"}
    first, second = a.counted[of_a], b.counted[of_b]
    differences = (first - second).round(DIGITS)  # what differs by rounding only is equal
    found = _estimate(a, b, differences, seeds, counts=counts)
    same_networks = np.array_equal(a.measured[of_a], b.measured[of_b], equal_nan=True)
    if same_networks and len(seeds) > 1:
        found = replace(found, mean=0.0, of_seeds=0.0, of_rows=0.0)
    share, share_low, share_high = superiority(differences, level=level)
    low, high = found.interval(1 - of_pair, FARTHEST)
    verdict = verdict_of(low, high, margin)
    return row | {
        "difference": float(differences.mean()),
        "low": low,
        "high": high,
        "superiority": share,
        "superiority_low": share_low,
        "superiority_high": share_high,
        "effect": effect_size(first, second),
        "p": found.p(),
        "verdict": verdict,
        "seeds_needed": seeds_to_decide(found, of_pair, margin) if verdict == "undecided" else np.nan,
        "share_of_rows": found.share_of_rows,
        "of_seeds": found.of_seeds,
        "of_rows": found.of_rows,
        "rows": found.rows,
    }


def _estimate(a: _Candidate, b: _Candidate, differences: FloatArray, seeds: IntArray, *, counts: bool) -> Estimate:
    """Mean difference on some seeds and its variance, by rows too where both are known by row."""
    if a.by_row is not None and b.by_row is not None:
        found = estimate_difference(a.by_row, b.by_row, counts=counts)
        if found is not None and found.seeds == len(seeds) and np.isin(seeds, a.by_row.seeds).all():
            return found
    return of_seeds_alone(differences)


def verdict_of(low: float, high: float, margin: float) -> Verdict:
    """What the interval of a difference says.

    Args:
        low: Its lower end; NaN where there is none.
        high: Its upper end.
        margin: A difference that does not matter.
    """
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if -margin <= low and high <= margin else "undecided"


def seeds_to_decide(found: Estimate, error: float, margin: float) -> float:
    """With how many seeds a pair would probably be decided: if its difference and variances are as they look now.

    Args:
        found: Its difference.
        error: How seldom its interval may be wrong.
        margin: A difference that does not matter.

    Returns:
        Infinite where no number of seeds decides it, or none below 10,000; NaN where so few do not tell.
    """
    if np.isnan(found.of_seeds):
        return np.nan

    def decided(seeds: int) -> bool:
        then = replace(found, of_seeds=found.of_seeds * found.seeds / seeds, seeds=seeds)
        return verdict_of(*then.interval(1 - error, FARTHEST), margin) != "undecided"

    if not decided(MOST_SEEDS):
        return np.inf
    least, most = found.seeds, MOST_SEEDS
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if decided(middle) else (middle + 1, most)
    return float(most)


def chance_to_be_decided(found: Estimate, error: float, margin: float, seeds: int) -> float:
    """How probably a pair is decided once there are so many seeds, by what is known now.

    With more seeds the difference moves by no more than what its variance then lacks of today's.

    Args:
        found: Its difference, of at least 2 seeds.
        error: How seldom its interval may be wrong.
        margin: A difference that does not matter.
        seeds: How many there will be, at least as many as now.
    """
    then = replace(found, of_seeds=found.of_seeds * found.seeds / seeds, seeds=seeds)
    half = then.half_width(error)
    law = stats.norm(found.mean, np.sqrt(max(found.variance - then.variance, 1e-300)))
    better = law.sf(half) + law.cdf(-half)
    equivalent = law.cdf(margin - half) - law.cdf(half - margin) if half < margin else 0.0
    return float(min(1.0, better + equivalent))
