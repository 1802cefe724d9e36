"""Reading what members scored on each of their test rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from initlab.base.errors import UserError
from initlab.results.crossed import UNKNOWN, RowScores
from initlab.tables.store import read_table


def read_row_scores(folders: Sequence[Path], *, trained_on: int) -> RowScores | None:
    """What the members of a job scored by row, ascending by seed; None where a folder has no such table.

    Members that diverged have no results by row: they count as 0 on each, and which rows these are is unknown.

    Args:
        folders: Of the jobs that count as one, whose seeds differ; of a seed that several have the first one's counts.
        trained_on: How many rows each member was trained on.
    """
    scores: dict[int, np.ndarray | None] = {}
    rows: dict[int, np.ndarray | None] = {}
    for folder in folders:
        try:
            table = read_table(folder, "rows")
        except UserError:
            return None
        for seed, own_scores, own_rows in table[["seed", "scores", "rows"]].to_numpy():
            scores.setdefault(int(seed), own_scores)
            rows.setdefault(int(seed), own_rows)
    tested = {len(values) for values in scores.values() if values is not None}
    if len(tested) != 1:
        return None
    (count,) = tested
    seeds = sorted(scores)
    of_member = [np.zeros(count) if scores[seed] is None else np.asarray(scores[seed], np.float64) for seed in seeds]
    placed = [np.full(count, UNKNOWN) if rows[seed] is None else np.asarray(rows[seed], np.int64) for seed in seeds]
    official = all(rows[seed] is None for seed in seeds)
    return RowScores(np.array(seeds), np.stack(of_member), None if official else np.stack(placed), trained_on)
