"""All pairs of candidates under one condition, compared by seed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator

from initlab.results.candidates import CONDITION
from initlab.results.comparison import (
    FloatArray,
    all_pairs,
    effect_size,
    holm,
    least_p,
    sign_flip_p,
    superiority,
)
from initlab.results.confidence import LEVEL, significance
from initlab.results.intervals import bootstrap_intervals
from initlab.results.scores import DIGITS, counted_scores
from initlab.results.study import Study

MOST_COMPARED = 20  # candidates; of more only the pairs with the best are shown, corrected for all


def compare_pairs(study: Study, candidates: pd.DataFrame, *, rng: Generator, level: float = LEVEL) -> pd.DataFrame:
    """Compare the candidates of each condition pair by pair, on the seeds that both have.

    Members of equal seed are paired: under one condition they see the data in the same order. Scores are
    `counted_scores` on test rows. Holm's correction is over all pairs of a condition.

    Args:
        study: Finished jobs, as `read_study` returns them.
        candidates: One row a candidate and condition, as `choose_rates` returns it; of a pair the earlier one is a.
        rng: Draws permutations and resamples; an equal state gives equal numbers.
        level: Confidence level of intervals and tests, in (0, 1).

    Returns:
        data, metric, setting, a, b, seeds, difference (a's mean less b's) with low and high, superiority (the
        probability that a beats b on a seed) with superiority_low and superiority_high, effect (Cohen's d), p, p_holm,
        verdict: `better` or `worse` (a, significantly), `equal` (the same scores on every seed), `tie` (no difference
        was shown), or `open` (so few seeds could not show any).
    """
    scores = study.members.assign(counted=counted_scores(study.members)).set_index("seed")
    by_seed = {str(job): rows[["counted", "test_score"]] for job, rows in scores.groupby("job", sort=False)}
    parts = []
    for (data, metric, setting), group in candidates.groupby(CONDITION, sort=False):
        if len(group) > 1:
            pairs = _pairs_of(list(group["candidate"]), [by_seed[job] for job in group["job"]], rng, level)
            parts.append(pairs.assign(data=str(data), metric=str(metric), setting=str(setting)))
    if not parts:
        return pd.DataFrame(columns=[*CONDITION, *COLUMNS])
    return pd.concat(parts, ignore_index=True)[[*CONDITION, *COLUMNS]]


COLUMNS = [
    *("a", "b", "seeds", "difference", "low", "high"),
    *("superiority", "superiority_low", "superiority_high", "effect", "p", "p_holm", "verdict"),
]


def _pairs_of(names: Sequence[str], scores: Sequence[pd.DataFrame], rng: Generator, level: float) -> pd.DataFrame:
    """All pairs of one condition, or of many candidates those with the first."""
    pairs = all_pairs(len(names))
    p = np.ones(len(pairs))
    for places, a, b in _by_common_seeds(pairs, [entry["counted"] for entry in scores]):
        if a.shape[1]:
            p[places] = sign_flip_p(_differences(a, b), rng=rng, level=level)
    shown = [place for place, (i, _) in enumerate(pairs) if i == 0 or len(names) <= MOST_COMPARED]
    rows: dict[int, dict[str, Any]] = {}
    for places, a, b in _by_common_seeds([pairs[place] for place in shown], [entry["counted"] for entry in scores]):
        ends = np.full((2, len(places)), np.nan)
        if a.shape[1] > 1:
            ends = np.clip(bootstrap_intervals(_differences(a, b), level=level, rng=rng), -1, 1)
        low, high = ends
        rows |= {place: _row(a[k], b[k], level) | {"low": low[k], "high": high[k]} for k, place in enumerate(places)}
    table = pd.DataFrame([rows[place] for place in range(len(shown))])
    table["a"], table["b"] = ([names[pairs[place][side]] for place in shown] for side in (0, 1))
    table["p"], table["p_holm"] = p[shown], holm(p)[shown]
    below = significance(level)
    possible = [least_p(seeds, len(pairs), level=level) * len(pairs) < below for seeds in table["seeds"]]
    equal = [_equal(scores[pairs[place][0]], scores[pairs[place][1]]) for place in shown]
    facts = zip(table["difference"], equal, table["p_holm"] < below, possible, strict=True)
    table["verdict"] = [_verdict(*fact) for fact in facts]
    return table


def _differences(a: FloatArray, b: FloatArray) -> FloatArray:
    """A less b, where what differs by rounding only is equal."""
    return np.asarray((a - b).round(DIGITS))


def _equal(a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two jobs have the same scores on all of their seeds, as they are."""
    return bool(a["test_score"].round(DIGITS).equals(b["test_score"].round(DIGITS)))


def _by_common_seeds(
    pairs: Sequence[tuple[int, int]], scores: Sequence[pd.Series]
) -> Iterator[tuple[list[int], FloatArray, FloatArray]]:
    """The places of the pairs that share the same seeds, with both sides' scores, shape (pairs, seeds)."""
    groups: dict[tuple[int, ...], list[int]] = {}
    common: dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[int, ...]] = {}
    seeds = [tuple(series.index) for series in scores]
    for place, (i, j) in enumerate(pairs):
        both = seeds[i], seeds[j]
        if both not in common:
            common[both] = tuple(sorted(set(both[0]) & set(both[1])))
        groups.setdefault(common[both], []).append(place)
    for shared, places in groups.items():
        of_all = {i: scores[i].loc[list(shared)].to_numpy(np.float64) for place in places for i in pairs[place]}
        a, b = (np.stack([of_all[pairs[place][side]] for place in places]) for side in (0, 1))
        yield places, a, b


def _row(a: FloatArray, b: FloatArray, level: float) -> dict[str, Any]:
    if not len(a):
        nothing = ("difference", "superiority", "superiority_low", "superiority_high", "effect")
        return {"seeds": 0, **dict.fromkeys(nothing, np.nan)}
    differences = _differences(a, b)
    share, low, high = superiority(differences, level=level)
    return {
        "seeds": len(a),
        "difference": float(differences.mean()),
        "superiority": share,
        "superiority_low": low,
        "superiority_high": high,
        "effect": effect_size(a, b),
    }


def _verdict(difference: float, equal: bool, shown: bool, possible: bool) -> str:
    if shown:
        return "better" if difference > 0 else "worse"
    if equal:
        return "equal"
    return "tie" if possible else "open"
