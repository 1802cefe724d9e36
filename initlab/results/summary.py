"""The summary of a study: one row a job."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from initlab.base.files import write_whole
from initlab.results.bits import BIT, is_in_bits
from initlab.results.confidence import LEVEL
from initlab.results.crossed import RowScores, estimate_mean
from initlab.results.intervals import mean_and_interval
from initlab.results.pooling import pool_seeds
from initlab.results.scores import counted_scores
from initlab.results.speed import epochs_to_threshold, median_epochs
from initlab.results.study import Study
from initlab.tables.schema import LIMITS


def summarize(study: Study, *, seed: int = 0, level: float = LEVEL) -> pd.DataFrame:
    """One row a job, best first within each data set: scores on different data do not compare.

    Jobs that differ in their seeds only are one, as `pool_seeds` makes it.

    Means and intervals are over the members that did not diverge; these are counted in `diverged`. The order is that
    of `counted_scores`, so that a scheme does not rank by its few survivors.

    Args:
        study: Finished jobs, as `read_study` returns them.
        seed: Seed of the bootstrap; equal tables and seeds give equal numbers.
        level: Confidence level of the intervals, in (0, 1).

    Returns:
        job, the differing keys, seeds (how many), diverged (how many), metric; of test_score and test_loss the _mean,
        and _low and _high, the ends of its interval; the same of bits, the test loss in bits a step, where some job has
        it, as `is_in_bits` says, and NaN for others; covers, what the interval of the test score holds for: `splits`
        (other seeds, splits and rows), `rows` (other seeds and test rows) or `seeds` (other seeds on these test rows);
        share_of_rows, which share of its variance rows make; counted_score, the mean of `counted_scores` over all
        members, by which jobs are compared; threshold; epochs_to_threshold, the median over all members, where those
        that never reached it count as later than all others: NaN unless more than half did; and reached, how many did,
        whatever became of them later.
    """
    study = pool_seeds(study)
    rows = []
    data_sets = list(study.members["data"].unique())
    members, differing = study.members, study.differing.to_dict("index")
    all_finished = (members["status"] == "finished").to_numpy()
    scores = {name: members[name].to_numpy(np.float64, na_value=np.nan) for name in ("test_score", "test_loss")}
    counted, all_epochs = counted_scores(members).to_numpy(), epochs_to_threshold(members)
    seeds, thresholds = members["seed"].to_numpy(np.int64), members["threshold"].to_numpy(np.float64)
    metrics, data = members["metric"].to_numpy(), members["data"].to_numpy()
    for job, places in members.groupby("job", sort=False).indices.items():
        rng = np.random.default_rng([seed, len(places)])
        finished, first = all_finished[places], places[0]
        row: dict[str, Any] = {
            "job": job,
            **{str(key): value for key, value in differing[str(job)].items()},
            "seeds": len(places),
            "diverged": int((~finished).sum()),
            "metric": metrics[first],
        }
        for column, limits in (("test_score", LIMITS[row["metric"]]), ("test_loss", LIMITS["loss"])):
            values = np.where(finished, scores[column][places], np.nan)
            mean, low, high = mean_and_interval(values, rng=rng, limits=limits, level=level)
            row |= {f"{column}_mean": mean, f"{column}_low": low, f"{column}_high": high}
        if is_in_bits(study, str(job)):
            row |= {f"bits_{end}": row[f"test_loss_{end}"] / BIT for end in ("mean", "low", "high")}
        row |= _by_row(study.row_scores(str(job)), np.sort(seeds[places][finished]), str(row["metric"]), level)
        row["counted_score"] = float(counted[places].mean())
        epochs = all_epochs[places]
        median, _, _ = median_epochs(epochs)
        row |= {
            "threshold": float(thresholds[first]),
            "epochs_to_threshold": median if np.isfinite(median) else np.nan,
            "reached": int(np.isfinite(epochs).sum()),
        }
        row["_data"] = data_sets.index(data[first])
        rows.append(row)
    order = {"_data": True, "metric": True, "counted_score": False, "test_loss_mean": True}
    table = pd.DataFrame(rows).sort_values(list(order), ascending=list(order.values()), kind="stable")
    return table.drop(columns="_data").reset_index(drop=True)


def _by_row(known: RowScores | None, seeds: NDArray[np.int64], metric: str, level: float) -> dict[str, Any]:
    """The interval of the mean test score over seeds and rows, and what it covers; without the first if not known.

    Args:
        known: Results of all members by test row.
        seeds: Those of the members that did not diverge, ascending.
        metric: What the scores are, a name of `schema.METRICS`.
        level: Confidence level of the interval.
    """
    if known is None or not len(seeds) or not np.isin(seeds, known.seeds).all():
        return {"covers": "seeds", "share_of_rows": np.nan}
    found = estimate_mean(known.of_seeds(seeds), counts=metric == "accuracy")
    low, high = found.interval(level, LIMITS[metric])
    covers = "rows" if known.one_split else "splits"
    return {"test_score_low": low, "test_score_high": high, "covers": covers, "share_of_rows": found.share_of_rows}


def write_summary(folder: Path, table: pd.DataFrame) -> Path:
    """Write summary.csv into a study's folder, and return its path.

    Args:
        folder: The study's folder, which is made if it is absent.
        table: One row a job, as `summarize` returns it.
    """
    path = folder / "summary.csv"
    write_whole(path, lambda partial: table.to_csv(partial, index=False))
    return path
