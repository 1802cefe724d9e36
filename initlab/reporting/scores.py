"""Sections of a report on how good the candidates are: the leaderboard, every seed, the curves, all pairs."""

import math

import numpy as np
import pandas as pd

from initlab.base.wording import counted, difference_text, interval_text, p_text, roughly, shortest
from initlab.figures.curves import learning_curves
from initlab.figures.pairwise import pairwise_matrix
from initlab.figures.seeds import seeds_as_dots
from initlab.reporting.cells import (
    CONDITION_HEADINGS,
    condition_columns,
    intervals,
    score_name,
    which_panels,
    with_level,
)
from initlab.reporting.document import Picture, Section, Table
from initlab.results.analysis import Analysis
from initlab.results.baseline import baseline_name, baseline_under, learned_candidates
from initlab.results.confidence import percent
from initlab.results.pairs import MOST_SEEDS


def leaderboard(analysis: Analysis) -> Section:
    """The section with all candidates, best first under each condition."""
    table = analysis.candidates
    shown = condition_columns(analysis, table)
    learned = learned_candidates(analysis)
    marks = table["standing"].map({"best": " ●", "equivalent": " ●", "undecided": " ○", "worse": "", "alone": ""})
    shown["candidate"] = table["candidate"] + marks.where(learned | (marks != " ●"), "")
    shown[score_name(analysis)] = intervals(table, "score")  # behind the name, in sight in a narrow window, too
    if len(table) > len(analysis.conditions):
        shown["beside the best"] = table["standing"]
    if table["diverged"].any():
        shown["diverged as 0"] = table["test"].map(interval_text)
    if analysis.axes.tuned:
        shown["learning rate"] = [shortest(float(f"{rate:.3g}")) for rate in table["rate"]]
    same_seeds = table["seeds"].nunique() == 1
    if not same_seeds:
        shown["seeds"] = table["seeds"].astype(str)
    if table["diverged"].any():
        shown["diverged"] = [
            f"{lost} of {seeds}" if lost else "0" for lost, seeds in zip(table["diverged"], table["seeds"], strict=True)
        ]
    names = {"median": "median", "iqm": "interquartile mean", "loss": "test loss"}
    for name, heading in names.items():
        shown[heading] = intervals(table, name)
    if "bits_mean" in analysis.summary:
        bits = analysis.summary.set_index("job").loc[table["job"], ["bits_mean", "bits_low", "bits_high"]]
        shown["bits a step"] = [interval_text(*row) for row in bits.to_numpy(np.float64)]
    shown = _with_baselines(analysis, shown, score_name(analysis))
    over = counted(int(table["seeds"].iloc[0]), "seed") if same_seeds else "seeds"
    caption = (
        f"Mean [{percent(analysis.level)} interval] over {over}. ● is best, or equivalent to the best: less than "
        f"{analysis.margin:g} apart."
    )
    if not learned.all():
        caption = caption.removesuffix(".") + ", and clearly above what knowing nothing of the inputs scores."
    if table["diverged"].any():
        caption += " Candidates are compared by their means with what diverged as 0."
    if (table["standing"] == "undecided").any():
        caption += " ○: undecided."
    caption += " The interquartile mean, the median and the loss have intervals over seeds alone."
    return Section("Leaderboard", [Table("candidates", caption, with_level(analysis, table), shown)])


def _with_baselines(analysis: Analysis, shown: pd.DataFrame, heading: str) -> pd.DataFrame:
    """The leaderboard with a row for what knowing nothing of the inputs scores, in its place under each condition."""
    parts = []
    for condition in analysis.conditions:
        table = analysis.candidates_under(condition)
        rows, baseline = shown.loc[table.index], baseline_under(analysis, condition)
        if math.isfinite(baseline):
            cells = dict.fromkeys(shown.columns, "")
            cells |= {name: rows[name].iloc[0] for name in CONDITION_HEADINGS if name in rows}
            cells |= {"candidate": f"({baseline_name(condition[1])})", heading: interval_text(baseline)}
            above = int((table["score"].fillna(-math.inf) >= baseline).sum())
            rows = pd.concat([rows.iloc[:above], pd.DataFrame([cells]), rows.iloc[above:]])
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def seeds_section(analysis: Analysis) -> Section:
    """The section with the test score of every member."""
    caption = f"Test score of every network, and means with their {percent(analysis.level)} intervals." + which_panels(
        analysis
    )
    return Section("Every seed", [Picture("seeds", caption, seeds_as_dots(analysis))])


def curves_section(analysis: Analysis) -> Section:
    """The section with the learning curves."""
    at_best = ", each at its best learning rate" if analysis.axes.tuned else ""
    caption = (
        f"Validation score over epochs{at_best}, mean and {percent(analysis.level)} interval over seeds; epoch 0 is "
        f"the untrained network.{which_panels(analysis)}"
    )
    return Section("Learning curves", [Picture("curves", caption, learning_curves(analysis))])


def pairs_section(analysis: Analysis) -> Section | None:
    """The section with all pairs of candidates; None where there are none."""
    pairs = analysis.pairs
    if pairs.empty:
        return None
    shown = condition_columns(analysis, pairs)
    shown["a"], shown["b"] = pairs["a"], pairs["b"]
    words = {"better": "a is better", "worse": "b is better"}
    shown["verdict"] = pairs["verdict"].map(lambda verdict: words.get(verdict, verdict))
    columns = zip(pairs["difference"], pairs["low"], pairs["high"], strict=True)
    shown["a − b"] = [difference_text(*row) for row in columns]
    columns = zip(pairs["superiority"], pairs["superiority_low"], pairs["superiority_high"], strict=True)
    shown["P(a beats b)"] = [interval_text(*row) for row in columns]
    shown["d"] = pairs["effect"].map(_effect_text)
    shown["p"], shown["p, corrected"] = pairs["p"].map(p_text), pairs["p_adjusted"].map(p_text)
    shown["seeds"] = pairs["seeds"].astype(str)
    if (pairs["verdict"] == "undecided").any():
        shown["seeds to decide"] = list(map(_seeds_text, pairs["seeds_needed"], pairs["share_of_rows"]))
    caption = (
        f"Test scores compared seed by seed. The {percent(analysis.level)} intervals of a − b hold for all pairs of a "
        f"condition together; equivalent: the whole interval is within ±{analysis.margin:g}."
    )
    return Section(
        "Pair by pair",
        [
            Picture("pairs", "Mean difference in test score." + which_panels(analysis), pairwise_matrix(analysis)),
            Table("pairs", caption, with_level(analysis, pairs), shown),
        ],
    )


def _effect_text(deviations: float) -> str:
    """An effect size: a dash if it is NaN."""
    if math.isnan(deviations):
        return "—"
    return f"{deviations:.2f}".replace("inf", "∞")


def _seeds_text(needed: float, share_of_rows: float) -> str:
    """How many seeds would probably decide a pair; empty where it is decided, or nothing tells.

    Args:
        needed: The number; infinite where none would do.
        share_of_rows: Which share of the variance rows make; NaN where that is not known.
    """
    if math.isnan(needed):
        return ""
    if math.isfinite(needed):
        return roughly(needed)
    return "more rows" if share_of_rows > 0 else f"> {MOST_SEEDS:,}"


def all_jobs(analysis: Analysis) -> Section:
    """The section with one row a job, as summary.csv has it."""
    data = analysis.summary
    differing = [str(key) for key in analysis.study.differing]
    shown = data[differing].map(shortest)
    shown["seeds"], shown["diverged"] = data["seeds"].astype(str), data["diverged"].astype(str)
    for column, heading in {
        "test_score": score_name(analysis),
        "test_loss": "test loss",
        "bits": "bits a step",
    }.items():
        if f"{column}_mean" not in data:
            continue
        ends = data[[f"{column}_mean", f"{column}_low", f"{column}_high"]].to_numpy(np.float64)
        shown[heading] = [interval_text(*row) for row in ends]
    caption = f"Every finished job: mean [{percent(analysis.level)} interval] over its seeds."
    return Section("All jobs", [Table("jobs", caption, with_level(analysis, data), shown, folded=True)])
