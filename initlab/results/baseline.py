"""What knowing nothing of the inputs scores, and which candidates have learned more than that."""

import math
from typing import Literal

import numpy as np
import pandas as pd

from initlab.base.wording import counted, interval_text, listed
from initlab.results.analysis import Analysis, Condition
from initlab.results.confidence import MARGIN
from initlab.results.differences import RATE
from initlab.results.study import Study

Split = Literal["test", "val"]
FEW_STEPS = 100  # of an optimizer, in which hardly any network gets under way
LEARNED = 0.05  # the share of the way from the baseline to a perfect score that counts as having learned


def baseline_of_job(study: Study, job: str, split: Split = "test") -> float:
    """Score of the commonest training class, or of the mean, on rows of a job; NaN where an old job has not it.

    Args:
        study: As `read_study` returns it.
        job: Name of the job.
        split: Whose rows: those to test or those to validate on.
    """
    known = study.metadata.get(job, {}).get("baseline" if split == "test" else "validation_baseline")
    return float(known) if isinstance(known, int | float) else math.nan


def baseline_under(analysis: Analysis, condition: Condition, split: Split = "test") -> float:
    """The same for the data of a condition."""
    jobs = analysis.candidates_under(condition)["job"]
    known = [baseline_of_job(analysis.study, str(job), split) for job in jobs]
    return next((value for value in known if math.isfinite(value)), math.nan)


def baseline_name(metric: str) -> str:
    """What scores the baseline: `the commonest class` or `the mean`."""
    return "the commonest class" if metric == "accuracy" else "the mean"


def has_learned(candidate: pd.Series, baseline: float) -> bool:
    """Whether a candidate is clearly above the baseline: its interval is, and its mean by a twentieth of what is left.

    Args:
        candidate: Its row in `Analysis.candidates`.
        baseline: Test score of knowing nothing of the inputs; NaN where that is not known, and all count as learned.
    """
    if not math.isfinite(baseline):
        return True
    mean, low = float(candidate["score"]), float(candidate["score_low"])
    above = mean - baseline > LEARNED * (1 - baseline)
    return above and not low <= baseline  # NaN where there is no interval


def learned_candidates(analysis: Analysis) -> pd.Series:
    """Of each row of `Analysis.candidates`, whether it has learned, as far as the baseline is known."""
    baselines = {condition: baseline_under(analysis, condition) for condition in analysis.conditions}
    table = analysis.candidates
    learned = [has_learned(row, baselines[row["data"], row["metric"], row["setting"]]) for _, row in table.iterrows()]
    return pd.Series(learned, index=table.index, dtype=bool)


def learned_nothing(members: pd.DataFrame, baseline: object) -> bool:
    """Whether the networks of a job ended where knowing nothing of the inputs does, or all of them diverged.

    Not where each is above the baseline by more than a margin.

    Args:
        members: The job's rows of the members table.
        baseline: As metadata.json has it; anything but a number where that is not known.
    """
    scores = members["test_score"].to_numpy(np.float64, na_value=np.nan)[(members["status"] == "finished").to_numpy()]
    if not len(scores):
        return True
    if not isinstance(baseline, int | float) or not math.isfinite(baseline):
        return False
    if float(scores.min()) > baseline + MARGIN:  # each of them, if only by little, as on a text
        return False
    return float(scores.mean()) - baseline <= LEARNED * (1 - baseline)


def failure_lines(study: Study) -> list[str]:
    """Why networks that learned nothing did not, a line a reason: what the probe said of them before training.

    What learned at another learning rate has learned: nobody is surprised that it does not at the wrong one. Where a
    probe finds little against the networks, and they took only a few steps, it is the steps.
    """
    found: dict[str, dict[str, str]] = {}  # by the reason, what the jobs are but for their rates, and are called
    learned: set[str] = set()
    but_for_rates = study.differing.drop(columns=RATE, errors="ignore").to_dict("index")
    for job, rows in study.members.groupby("job", sort=False):
        metadata = study.metadata.get(str(job), {})
        but_for_rate = str(but_for_rates[str(job)])
        if not learned_nothing(rows, metadata.get("baseline")):
            learned.add(but_for_rate)
            continue
        outlook, reason = metadata.get("outlook"), metadata.get("reason")
        why = [str(reason)] if outlook in ("not trainable", "hard to train") else []
        few = _few_steps(study, str(job), rows)
        if few and outlook in ("trainable", "hard to train"):
            why.append(few)
        if why:
            found.setdefault("; ".join(why), {})[but_for_rate] = study.label(str(job), without=[RATE])
    blamed = {
        reason: list(dict.fromkeys(name for what, name in names.items() if what not in learned))
        for reason, names in found.items()
    }
    return [f"{listed(names)} learned nothing: {reason}." for reason, names in blamed.items() if names]


def _few_steps(study: Study, job: str, members: pd.DataFrame) -> str:
    """That a job's networks took only a few steps, in words; empty where they took more, or it is not known."""
    rows, size = study.metadata.get(job, {}).get("training_rows"), study.configs.get(job, {}).get("batch_size")
    if not isinstance(rows, int) or not isinstance(size, int) or (members["status"] == "diverged").any():
        return ""
    whole, rest = divmod(rows, min(size, rows))
    steps = int(members["epochs"].max()) * (whole + (rest > 1))  # a single row that remains is no step
    return f"training took {counted(steps, 'step')} only" if 0 < steps < FEW_STEPS else ""


def baseline_lines(study: Study) -> list[str]:
    """A line for each data set whose baseline is known, to stand below a table of scores."""
    found: dict[str, str] = {}
    for job, rows in study.members.groupby("job", sort=False):
        value, metric = baseline_of_job(study, str(job)), str(rows["metric"].iloc[0])
        if math.isfinite(value):
            what = "Knowing only the commonest class" if metric == "accuracy" else "Predicting the mean"
            line = f"{what} scores {'' if metric == 'accuracy' else 'an R² of '}{interval_text(value)}"
            found.setdefault(str(rows["data"].iloc[0]), line)
    return [f"{data}: {line}." for data, line in found.items()]
