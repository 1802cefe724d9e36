"""What a study says, in sentences. Each is true of the tables, and says no more than they do."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from initlab.base.wording import (
    counted,
    difference_text,
    interval_text,
    listed,
    p_words,
    rate_text,
    roughly,
    settled,
    shortest,
)
from initlab.reporting.remarks import draw_weights
from initlab.results.analysis import Analysis, Condition
from initlab.results.baseline import baseline_name, baseline_under, learned_candidates
from initlab.results.candidates import CONDITION
from initlab.results.comparison import count_pairs
from initlab.results.confidence import significance
from initlab.results.numeric_axes import NumericAxis, numeric_axes
from initlab.results.pairs import MOST_SEEDS
from initlab.results.ranks import data_sets_needed
from initlab.tables.schema import METRICS

VERDICTS = ("better", "worse", "equivalent", "undecided")
MOST_CONDITIONS = 12  # that get a sentence of their own
# What the intervals of a candidate hold for, by its column `covers`.
COVERS: Mapping[str, str] = MappingProxyType(
    {
        "splits": "Intervals{where} are for other seeds, splits and rows: a seed draws {drawn}order and split.",
        "rows": "Intervals{where} are for other seeds and other test rows; the training rows stay.",
        "seeds": "Intervals{where} are for other seeds on these very test rows, whose results were not kept by row.",
    }
)
SAME = 1e-9  # means that differ by less differ by rounding


def answer(analysis: Analysis) -> list[str]:
    """The answer in paragraphs.

    For a single condition, which candidate is best under it; for several, how often each candidate is among the best,
    how far along an axis of numbers each learned, and what ranks across data sets say.
    """
    conditions = analysis.conditions
    covers = [coverage_words(analysis)] if analysis.candidates["score_low"].notna().any() else []
    if len(conditions) == 1:
        return [condition_words(analysis, conditions[0]), *covers]
    reached = [reach_words(found) for found in numeric_axes(analysis) if found.key in analysis.axes.conditions]
    paragraphs = [_overview(analysis), *filter(None, reached), *covers]
    if analysis.ranks is not None:
        paragraphs.append(across_data(analysis))
    return paragraphs


def condition_words(analysis: Analysis, condition: Condition, *, brief: bool = False) -> str:
    """Which candidate is best under a condition, by how much, and how sure that is.

    Args:
        analysis: As `analyse` returns it.
        condition: One of `analysis.conditions`: data set, metric and setting.
        brief: Whether to leave out differences and how they were tested; the tables have them.
    """
    table, pairs = analysis.candidates_under(condition), analysis.pairs_under(condition)
    best = table.iloc[0]
    where, name = f"On {analysis.title(condition)}", str(best["candidate"])
    if table["score"].isna().all():
        return f"{where}, every network diverged: there is nothing to compare."
    score = score_words(best, condition[1], tuned=bool(analysis.axes.tuned))
    if len(table) == 1:
        return f"{where}, {name} has {score}; there is nothing to compare it with."
    if (table["seeds"] == 1).all():
        return f"{where}, {name} has the highest test score, {score}: one seed each, so there is nothing to conclude."
    of_best = pairs[pairs["a"] == name].assign(counted=lambda rows: rows["b"].map(_counted_as_0(table)))
    parts = {verdict: of_best[of_best["verdict"] == verdict] for verdict in VERDICTS}
    learned = bool(learned_candidates(analysis)[table.index].any())
    beats_all = learned and len(parts["better"]) == len(of_best)
    sentences = [f"{where}, {name} {'is best' if beats_all else 'ranks first'}: {score}."]
    if not learned:
        baseline = interval_text(baseline_under(analysis, condition))
        sentences.append(f"No candidate is clearly above {baseline_name(condition[1])}, which scores {baseline}.")
    if len(parts["worse"]):
        sentences.append(
            f"On the seeds that both have, it is worse than {listed(_others(parts['worse'], brief=True))}."
        )
    if len(parts["better"]):
        beaten = _others(parts["better"], brief=brief, by="" if brief else " by ")
        p = float(parts["better"]["p_adjusted"].max())
        largest = f"{'' if len(beaten) == 1 else 'largest '}{p_words(p)}"
        pairs_made = count_pairs(len(table))
        how = "" if brief or pairs_made == 1 else f", corrected for {counted(pairs_made, 'pair')}"
        sentences.append(f"It is better than {listed(beaten)} ({largest}{how}).")
    if len(parts["equivalent"]):
        names = listed(_others(parts["equivalent"], brief=brief))
        sentences.append(f"It is equivalent to {names}: less than {analysis.margin:g} apart.")
    if len(parts["undecided"]):
        sentences += _undecided(parts["undecided"], brief=brief)
    return " ".join(sentences)


def score_words(best: pd.Series, metric: str, *, tuned: bool) -> str:
    """A candidate's score, over how many seeds, and at which learning rate.

    Args:
        best: The candidate's row in `Analysis.candidates`.
        metric: What its scores are, a name of `schema.METRICS`.
        tuned: Whether to name the learning rate.
    """
    seeds, diverged = int(best["seeds"]), int(best["diverged"])
    over = f"over {counted(seeds, 'seed')}"
    if diverged:
        over = f"over the {seeds - diverged} of {seeds} seeds that did not diverge"
    score = interval_text(best["score"], best["score_low"], best["score_high"])
    if abs(float(best["score"]) - float(best["test"])) > SAME:
        over += f" (mean {settled(best['test']):.3f} of all, with what diverged or is negative as 0)"
    rate = f", at learning rate {rate_text(best['rate'])}" if tuned else ""
    return f"test {METRICS[metric]} {score} {over}{rate}"


def _counted_as_0(table: pd.DataFrame) -> dict[str, str]:
    """By candidate, which of its networks count as 0 where it is compared; empty where none does."""
    words = {}
    for name, score, test, diverged, seeds in table[["candidate", "score", "test", "diverged", "seeds"]].to_numpy():
        lost = f"the {diverged} of {seeds} that diverged" if diverged else "a negative R²"
        words[str(name)] = "" if abs(score - test) <= SAME else f"counting {lost} as 0"
    return words


def _others(pairs: pd.DataFrame, *, brief: bool, by: str = "") -> list[str]:
    """Whom the best is compared with, what counts as 0 of them, and the differences."""
    texts = []
    for name, counting, *ends in pairs[["b", "counted", "difference", "low", "high"]].to_numpy():
        difference = "" if brief else difference_text(*ends)
        remark = "; ".join(filter(None, [counting, "" if by else difference]))
        texts.append(f"{name}{f' ({remark})' if remark else ''}{by}{difference if by else ''}")
    return texts


def _undecided(pairs: pd.DataFrame, *, brief: bool) -> list[str]:
    """Between whom it is undecided, and what would probably decide it.

    Args:
        pairs: The pairs whose verdict is undecided, the best being a.
        brief: Without the differences.
    """
    apart, known = pairs[pairs["seeds"] == 0], pairs[pairs["seeds"] > 0]
    sentences = []
    if len(apart):
        sentences.append(f"It shares no seed with {listed(_others(apart, brief=True))}, and is not compared.")
    if len(known):
        sentences.append(f"Undecided between it and {listed(_others(known, brief=brief))}.")
    if brief:
        return sentences
    needed, by_rows = known["seeds_needed"], known["share_of_rows"] > 0
    parts = {
        "About {most} seeds would probably decide {which}.": known[needed < math.inf],
        "For {which} no number of seeds would do: that takes more test rows.": known[(needed == math.inf) & by_rows],
        f"More than {MOST_SEEDS:,} seeds would be needed to decide {{which}}.": known[(needed == math.inf) & ~by_rows],
    }
    for words, part in parts.items():
        if len(part):
            it = "it" if len(part) == 1 else "them"
            which = it if len(part) == len(known) else listed(list(part["b"]))
            sentences.append(words.format(most=roughly(part["seeds_needed"].max()), which=which))
    return sentences


def coverage_words(analysis: Analysis) -> str:
    """What the intervals hold for, and which share of the uncertainty is seeds and which rows."""
    table = analysis.candidates[analysis.candidates["score_low"].notna()]
    sentences = []
    for covers, rows in table.groupby("covers", sort=False):
        of_these = "" if table["covers"].nunique() == 1 else f" on {listed(list(dict.fromkeys(rows['data'])), 4)}"
        shares = rows["share_of_rows"].dropna()
        share = f" Of the variance of a mean, rows make {shares.median():.0%}" if len(shares) else ""
        share += ", seeds the rest." if len(shares) == 1 else " (median), seeds the rest." if share else ""
        drawn = "weights, " if draw_weights(analysis, rows["job"]) else ""
        sentences.append(f"{COVERS[str(covers)].format(where=of_these, drawn=drawn)}{share.replace('%', ' %')}")
    return " ".join(sentences)


def _overview(analysis: Analysis) -> str:
    """How often each candidate is among the best of the conditions in which any learned."""
    table = analysis.candidates
    conditions = len(analysis.conditions)
    several = table.groupby(CONDITION, sort=False)["candidate"].transform("size") > 1
    if not several.any():
        return (
            f"{counted(conditions, 'condition').capitalize()}, each with one candidate: there is nothing to compare "
            "within any of them, and scores on different data do not compare."
        )
    what = f"{counted(table['candidate'].nunique(), 'candidate').capitalize()} under {_conditions(analysis)}."
    table = table.assign(learned=learned_candidates(analysis))
    above_0 = table.groupby(CONDITION, sort=False)["test"].transform("max") > 0
    if not (several & above_0).any():
        return f"{what} None of them scores above 0 anywhere: there is nothing to compare."
    taught = above_0 & table.groupby(CONDITION, sort=False)["learned"].transform("any")
    sentences = [what]
    if not taught[several].all():
        keys = table.loc[several & ~taught, CONDITION].drop_duplicates().to_numpy().tolist()
        where = listed([analysis.title(key) for key in keys], 4)
        count = f"{len(keys)} of {counted(conditions, 'condition')}"
        sentences.append(f"Under {count} no candidate learned, and they do not count: {where}.")
    if (several & taught).any():
        sentences += _leaders(analysis, table[several & taught])
        if analysis.axes.tuned:
            sentences.append("Each at its own best learning rate, chosen on validation rows.")
    return " ".join(sentences)


def _leaders(analysis: Analysis, table: pd.DataFrame) -> list[str]:
    """Who is among the best how often, and of whom it is undecided.

    Args:
        analysis: As `analyse` returns it.
        table: Rows of its candidates, of conditions in which somebody learned; with a column `learned`.
    """
    if table["standing"].isin(["best", "undecided"]).all():
        return ["It is undecided which of them is best anywhere."]
    among_best = table["learned"] & table["standing"].isin(["best", "equivalent"])
    facts = table.assign(among_best=among_best, undecided=table["standing"] == "undecided")
    groups = facts.groupby("candidate", sort=False)[["among_best", "undecided"]].sum()
    groups["size"] = facts.groupby("candidate", sort=False).size()
    groups = groups.loc[[name for name in analysis.by_overall_rank if name in groups.index]]
    groups = groups.sort_values("among_best", ascending=False, kind="stable")
    counts = [f"{name} in {row['among_best']} of {row['size']}" for name, row in groups.iterrows()]
    sentences = [f"First, or equivalent to the first: {listed(counts, 8)}."]
    left_open = [f"{name} in {row['undecided']}" for name, row in groups.iterrows() if row["undecided"]]
    if left_open:
        sentences.append(f"Undecided, beside the first: {listed(left_open, 8)}.")
    return sentences


def reach_words(found: NumericAxis) -> str:
    """At which values of an axis each line learned, a sentence a panel; empty if all did, none did, or nobody can tell.

    Args:
        found: One of the axes that `numeric_axes` returns.
    """
    points = found.points
    if points["learned"].isna().any() or points["learned"].nunique() < 2:
        return ""
    sentences = []
    for panel, rows in list(points.groupby("panel", sort=False))[:MOST_CONDITIONS]:
        lines: dict[str, list[str]] = {}  # by the values at which they learned
        for line, of_line in rows.groupby("line", sort=False):
            lines.setdefault(_reached(of_line, found.key), []).append(str(line))
        where = [f"{listed(names, 8)} {values}".strip() for values, names in lines.items()]
        baseline = baseline_name(str(rows["metric"].iloc[0]))
        sentences.append(f"Clearly above {baseline} on {panel}: {'; '.join(where)}.")
    return " ".join(sentences)


def _reached(points: pd.DataFrame, key: str) -> str:
    """At which values of an axis a line learned.

    Args:
        points: Of the line, in the order of their values.
        key: Of the axis.
    """
    learned, values = points["learned"].to_numpy(bool), [shortest(value) for value in points["value"]]
    if learned.all():
        return f"at every {key}"
    if not learned.any():
        return f"at no {key}"
    count = int(learned.sum())
    if count > 1 and learned[:count].all():
        return f"up to {key}={values[count - 1]}"
    if count > 1 and learned[-count:].all():
        return f"from {key}={values[-count]} on"
    return f"at {key}={listed([value for value, yes in zip(values, learned, strict=True) if yes], 8)}"


def _conditions(analysis: Analysis) -> str:
    """How many conditions there are, and of what they are made where they are all combinations."""
    conditions = pd.DataFrame(analysis.conditions, columns=CONDITION)
    data_sets, settings = conditions["data"].nunique(), conditions["setting"].nunique()
    count = counted(len(conditions), "condition")
    apart = data_sets > analysis.candidates["name"].nunique()
    if data_sets * settings != len(conditions) or apart:
        return count
    what = counted(data_sets, "data set")
    if settings > 1:
        what += f" × {counted(settings, 'setting')} of {listed(list(analysis.axes.conditions))}"
    return f"{count} ({what})"


def across_data(analysis: Analysis) -> str:
    """What the ranks across data sets say, in one paragraph; the analysis must have ranks."""
    ranks = analysis.ranks
    assert ranks is not None
    by_rank = sorted(zip(ranks.mean, analysis.ranked, strict=True), key=lambda entry: entry[0])
    (first, best), (last, worst) = by_rank[0], by_rank[-1]
    sentences = [
        f"Across {ranks.data_sets} data sets, which are the samples here, mean ranks go from {first:.2f} ({best}) to "
        f"{last:.2f} ({worst})."
    ]
    differ = "differ" if ranks.permutation_p < significance(analysis.level) else "are not shown to differ"
    sentences.append(f"By Friedman's test they {differ} ({p_words(ranks.permutation_p)}, by permutation).")
    if not ranks.can_differ:
        needed = data_sets_needed(len(by_rank), level=analysis.level)
        sentences.append(
            f"So few data sets could not tell any two apart: Nemenyi's critical difference is "
            f"{ranks.critical_difference:.2f}, and ranks of {len(by_rank)} differ by at most {len(by_rank) - 1}; it "
            f"takes at least {needed} data sets."
        )
        return " ".join(sentences)
    apart = [name for mean, name in by_rank if mean - first > ranks.critical_difference]
    if apart:
        sentences.append(f"By Nemenyi's test {best} ranks before {listed(apart)}.")
    else:
        sentences.append("Nemenyi's test tells no two of them apart.")
    return " ".join(sentences)
