"""Each number is computed once: whatever shows a candidate's score shows the same mean and the same interval."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from initlab.base.wording import interval_text
from initlab.cli.tables import summary_table
from initlab.reporting.sections import compose_report
from initlab.reporting.words import answer
from initlab.results.analysis import Analysis, analyse
from tests.results.studies import Cell, study_of


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """Two initializers at three learning rates, on skewed scores of 12 seeds, of which one diverges."""
    rng = np.random.default_rng(3)
    cells = []
    for init, best in (("he", 0.93), ("xavier", 0.9)):
        for rate in (0.01, 0.1, 1.0):
            scores = best - rng.exponential(0.02 * (1 + rate), 12)
            cells.append(Cell({"init.name": init, "optim.lr": rate}, [*scores[:-1], np.nan if rate == 0.1 else 0.5]))
    return analyse(study_of(*cells))


def test_the_tables_agree(analysis: Analysis) -> None:
    summary = analysis.summary.set_index("job")
    assert len(analysis.candidates) == 2
    for _, row in analysis.candidates.iterrows():
        of_job = summary.loc[row["job"]]
        for name, column in (("score", "test_score"), ("loss", "test_loss")):
            for end, suffix in (("", "_mean"), ("_low", "_low"), ("_high", "_high")):
                assert row[f"{name}{end}"] == of_job[f"{column}{suffix}"], (row["candidate"], name, end)


def test_whatever_a_person_reads_agrees(analysis: Analysis) -> None:
    report = compose_report(analysis, "one number")
    tables = {table.name: table.shown for table in report.tables}
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(analysis.summary, width=200, best=set(analysis.candidates["job"])))
    assert isinstance(console.file, io.StringIO)
    terminal, words = console.file.getvalue(), " ".join(answer(analysis))
    for place, (_, row) in enumerate(analysis.candidates.iterrows()):
        text = interval_text(row["score"], row["score_low"], row["score_high"])
        assert text in terminal
        assert text in set(tables["candidates"]["test accuracy"])
        assert text in set(tables["jobs"]["test accuracy"])
        assert place > 0 or text in words


def test_equal_tables_give_equal_numbers(analysis: Analysis) -> None:
    again = analyse(analysis.study)
    pd.testing.assert_frame_equal(again.candidates, analysis.candidates)
    pd.testing.assert_frame_equal(again.summary, analysis.summary)
