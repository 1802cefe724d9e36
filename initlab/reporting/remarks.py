"""What a reader should know before believing the answer, and how the numbers were made."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from initlab.base.wording import counted, listed, rate_text
from initlab.results.analysis import Analysis
from initlab.results.baseline import failure_lines
from initlab.results.candidates import CONDITION
from initlab.results.comparison import count_pairs, seeds_needed
from initlab.results.confidence import percent, significance
from initlab.results.differences import RATE
from initlab.tables.schema import METRICS


def remarks(analysis: Analysis) -> list[str]:
    """What a reader should know before believing the answer: points, of a sentence or two each."""
    found = [
        *_about_data(analysis),
        *_about_rates(analysis),
        *_about_recipes(analysis),
        *_about_seeds(analysis),
        *_about_members(analysis),
        *_about_machines(analysis),
    ]
    found += failure_lines(analysis.study)
    if analysis.study.failed:
        found.append(f"{counted(len(analysis.study.failed), 'job')} failed: see below.")
    found += [f"Left out: {line}" for line in analysis.study.unreadable]
    return found


def _about_data(analysis: Analysis) -> list[str]:
    found, metadata = [], analysis.study.metadata
    on_test = [job for job in analysis.jobs.index if metadata.get(str(job), {}).get("validates_on_test")]
    if on_test:
        data = listed(list(dict.fromkeys(analysis.jobs.loc[on_test, "data"])))
        tuned = " A learning rate chosen on them makes the scores too good." if analysis.axes.tuned else ""
        found.append(f"On {data} the validation rows are the test rows.{tuned}")
    kinds = analysis.jobs[["data", "name", "metric"]].drop_duplicates()
    apart = kinds[kinds["data"] != kinds["name"]]
    if len(apart):
        found.append(f"Data sets of one name have different rows, and are kept apart: {listed(list(apart['data']))}.")
    if kinds["metric"].nunique() > 1:
        names = listed([f"{data} ({METRICS[metric]})" for data, _, metric in kinds.to_numpy()])
        found.append(f"Their scores do not compare, and are kept apart: {names}.")
    return found


def _about_rates(analysis: Analysis) -> list[str]:
    table = analysis.candidates
    edges = table[table["at_edge"].astype(bool) & (table["score"].notna())]
    if edges.empty:
        return []
    names = [
        f"{name} ({rate_text(rate)})"
        for name, rate in zip(_candidates_and_conditions(analysis, edges), edges["rate"], strict=True)
    ]
    return [
        f"The best learning rate is the first or last that was tried, so that a better one may lie outside, in "
        f"{len(edges)} of {counted(len(table), 'case')}: {listed(names, 4)}."
    ]


def _about_recipes(analysis: Analysis) -> list[str]:
    """That data sets share a grid of learning rates, though their recipes train by different optimizers."""
    if not analysis.axes.tuned:
        return []
    names = [analysis.study.configs.get(str(job), {}).get("optim.name") for job in analysis.jobs.index]
    optimizer = pd.Series(names, index=analysis.jobs.index, dtype=object)
    jobs = analysis.jobs.assign(optimizer=optimizer).dropna(subset=["optimizer"]).groupby("data", sort=False)
    optimizers = {str(data): tuple(dict.fromkeys(rows["optimizer"])) for data, rows in jobs}
    grids = {tuple(sorted(set(rows["rate"]))) for _, rows in jobs}
    if len(set(optimizers.values())) < 2 or len(grids) == len(optimizers):
        return []
    recipes = [f"{data} trains by {listed(list(several))}" for data, several in optimizers.items()]
    return [
        f"{listed(recipes)}, at the same learning rates: what is a fine grid for one optimizer may be too high or too "
        "low for another."
    ]


def _candidates_and_conditions(analysis: Analysis, rows: pd.DataFrame) -> list[str]:
    """`he on wine, tanh` for each row."""
    columns = ["candidate", *CONDITION]
    return [f"{name} on {analysis.title(condition)}" for name, *condition in rows[columns].to_numpy()]


def _about_seeds(analysis: Analysis) -> list[str]:
    found, counts = [], sorted(set(analysis.candidates["seeds"]))
    if len(counts) > 1:
        found.append(f"Jobs have {counts[0]} to {counts[-1]} seeds; pairs are compared on those that both have.")
    short, hopeless = [], 0
    for _, table in analysis.candidates.groupby(CONDITION, sort=False):
        needed = seeds_needed(count_pairs(len(table)), level=analysis.level)
        hopeless += needed is None
        if len(table) > 1 and needed is not None and needed > table["seeds"].max():
            short.append(needed)
    several = len(analysis.conditions)
    if short and max(counts) > 1 and several > 1:
        found.append(
            f"Under {len(short)} of {several} conditions there are so few seeds that not even the clearest difference "
            f"could be significant after the correction for all pairs: it takes at least {max(short)}, or fewer "
            "candidates at a time."
        )
    if hopeless and max(counts) > 1 and several > 1:
        found.append(
            f"Under {hopeless} of {several} conditions there are so many candidates that no number of seeds shows a "
            "difference after the correction for all pairs: compare fewer at a time."
        )
    return found


def _about_members(analysis: Analysis) -> list[str]:
    found, table = [], analysis.candidates
    lost = int(table["diverged"].sum())
    if lost:
        at_best = " at the learning rates chosen" if analysis.axes.tuned else ""
        found.append(
            f"{lost} of {counted(int(table['seeds'].sum()), 'network')} diverged{at_best}; they count as score 0 "
            "in every comparison, and means and intervals are over the others. Where they decide, compare how many."
        )
    if any((analysis.by_job[job]["test_score"] < 0).any() for job in table["job"]):
        found.append("Some R² are negative, which is worse than predicting the mean; in comparisons they count as 0.")
    still = table[(table["std"] == 0) & (table["seeds"] > 1) & (table["diverged"] == 0) & (table["score"] < 1)]
    if len(still):
        where = zip(_candidates_and_conditions(analysis, still), still["score"], strict=True)
        names = [f"{name} ({score:.3f})" for name, score in where]
        found.append(f"Every seed has the very same score: {listed(names, 5)}.")
    return found


def _about_machines(analysis: Analysis) -> list[str]:
    found = []
    for key, what in {"device": "devices", "commit": "commits of initlab"}.items():
        values = sorted({str(entry.get(key)) for entry in analysis.study.metadata.values() if entry.get(key)})
        if len(values) > 1:
            found.append(f"The jobs ran on different {what}: {listed(values)}.")
    own = sorted(
        {str(entry.get("versions", {}).get("initlab")) for entry in analysis.study.metadata.values()} - {"None"}
    )
    if len(own) > 1:
        found.append(f"The jobs ran with different versions of initlab: {listed(own)}.")
    versions = {_versions_of_libraries(entry) for entry in analysis.study.metadata.values()}
    if len(versions) > 1:
        found.append("The jobs ran with different versions of the libraries: see below.")
    return found


def _versions_of_libraries(metadata: Mapping[str, Any]) -> str:
    """The versions of all packages but initlab's own, as one text."""
    return str(sorted((name, known) for name, known in metadata.get("versions", {}).items() if name != "initlab"))


def method(analysis: Analysis) -> Sequence[str]:
    """How the numbers were made, and what they do not say: points, of a few sentences each."""
    rate = [
        f"Each candidate has the learning rate ({RATE}) with the highest mean validation score; what is reported and "
        "compared are its test scores."
    ]
    return [
        "Means and intervals are over seeds, of the networks that did not diverge. A seed draws the weights and the "
        "order of the data; the rows for training, validation and test stay the same, so that the intervals say "
        "nothing of other rows or other data.",
        f"{percent(analysis.level)} intervals: BCa bootstrap of mean and interquartile mean, widened for small "
        "samples, percentile bootstrap of the median; of the mean of fewer than 10 seeds, Student's. Of shares: "
        "Clopper and Pearson's. They know no more than the seeds show: where all score the same, they have no width, "
        "and where one network in ten fails outright, ten seeds may show none.",
        "Differences are paired by seed: two-sided sign-flip permutation test of the mean difference, Holm's "
        f"correction over all pairs of a condition; what is below {significance(analysis.level):g} is shown. A tie is "
        "a difference that was not shown, which is not the same as none: its interval tells what is still possible. "
        "That interval is for the mean of one difference by itself: "
        "it may leave out 0 where the test, corrected for all pairs, shows nothing, and hold 0 where a few seeds are "
        "far off the others. The test takes it that without a difference either sign is as likely on each seed.",
        "P(a beats b): share of seeds on which a scores higher, an equal score counting half, with Wilson's interval. "
        "d: difference in standard deviations over seeds (Cohen).",
        "For the order, the choice of learning rates and all comparisons a network that diverged counts as score 0, "
        "and so does a negative R².",
        *(rate if analysis.axes.tuned else []),
        "Epochs to a threshold: median over all networks, those that never reached it counting as later than all.",
    ]
