"""What a reader should know before believing the answer, and how the numbers were made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from initlab.base.wording import counted, listed, rate_text, settled
from initlab.results.analysis import Analysis
from initlab.results.baseline import failure_lines
from initlab.results.candidates import CONDITION
from initlab.results.confidence import ENOUGH_SEEDS, FEW_SEEDS, percent
from initlab.results.differences import RATE
from initlab.results.first_losses import first_loss_lines
from initlab.tables.schema import METRICS

# Schemes that are not `random`; a report is made without torch, and cannot ask them. Of zeros nobody needs to be told.
DRAW_NOTHING: Final = frozenset(
    {"constant", "identity", "ones", "pretrained", "sinusoidal", "weight_selection", "zero_hadamard"}
)


def draw_weights(analysis: Analysis, jobs: Iterable[object]) -> bool:
    """Whether the weights of any of some jobs depend on the seed.

    Args:
        analysis: As `analyse` returns it.
        jobs: Their names.
    """
    configs = (analysis.study.configs.get(str(job), {}) for job in jobs)
    return not {str(config.get("init.name")) for config in configs} <= DRAW_NOTHING


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
    found += first_loss_lines(analysis.study)
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
    table = analysis.candidates
    few = table[table["seeds"] < FEW_SEEDS]
    if len(few) and len(table) > 1:
        where = zip(_candidates_and_conditions(analysis, few), few["seeds"], strict=True)
        names = [f"{name} ({seeds})" for name, seeds in where]
        found.append(
            f"Too few seeds to tell how much they scatter, in {len(few)} of {len(table)} cases: {listed(names, 4)}. "
            f"{ENOUGH_SEEDS} tell more."
        )
    configs = [analysis.study.configs.get(str(job), {}) for job in analysis.jobs.index]
    fixed = [name for name in dict.fromkeys(config.get("init.name") for config in configs) if name in DRAW_NOTHING]
    if fixed:
        found.append(
            f"{listed(fixed)} {'draws' if len(fixed) == 1 else 'draw'} no weights: all seeds start from the same "
            "ones, and differ by the order of the data, by the split, and by what else of a network is drawn."
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
        names = [f"{name} ({settled(score):.3f})" for name, score in where]
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
    weights = "the weights, " if draw_weights(analysis, analysis.jobs.index) else ""
    by_row = bool((analysis.candidates["covers"] != "seeds").any())
    if by_row:
        intervals = (
            "take seeds and rows for samples both: the variance of seeds and that of rows are told apart by what each "
            "member scores on each row (moments of crossed random effects; Gao and Owen 2017), Student's t, degrees "
            "of freedom by Satterthwaite. Rows that test some networks and train others count more than once. "
            "docs/guides/statistics.md shows by simulation how often they hold. Where results by row were not kept, "
            "they are over seeds alone."
        )
    else:
        intervals = "are over seeds alone, since results by row were not kept: they hold for these very test rows."
    return [
        f"Means are over seeds and test rows, of the networks that did not diverge. A seed draws {weights}the order "
        "of the data, and the split, where a data set has no official test rows.",
        f"{percent(analysis.level)} intervals of mean scores and of differences {intervals}",
        "Of median and interquartile mean: bootstrap over seeds, and so for losses; of shares: Clopper and Pearson's.",
        "Differences are paired by seed. Their intervals hold for all pairs of a condition together "
        "(Bonferroni). Better: the interval leaves out 0. Equivalent: all of it is within the margin of "
        f"{analysis.margin:g}. Undecided: neither; nothing is said then."
        + (
            f" The study could be looked at {analysis.study.looks} times before seeds were added, and each look may be "
            "wrong in its share of the cases only."
            if analysis.study.looks > 1
            else ""
        ),
        "P(a beats b): share of seeds on which a scores higher, an equal score counting half, with Wilson's interval. "
        "d: difference in standard deviations over seeds (Cohen).",
        "For the order, the choice of learning rates and all comparisons a network that diverged counts as score 0, "
        "and so does a negative R².",
        *(rate if analysis.axes.tuned else []),
        "Epochs to a threshold: median over all networks, those that never reached it counting as later than all.",
    ]
