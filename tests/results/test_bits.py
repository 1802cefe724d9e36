"""Bits a step: where the loss of a study tells them, and what stands where a user looks for them."""

import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from initlab.cli.tables import summary_table
from initlab.reporting.document import Table
from initlab.reporting.scores import all_jobs, leaderboard
from initlab.results.analysis import analyse
from initlab.results.bits import is_in_bits
from initlab.results.study import Study
from initlab.results.summary import summarize
from tests.helpers import run
from tests.results.studies import Cell, study_of

SCORES = {"he": [0.5, 0.6, 0.4], "zeros": [0.2, 0.3, 0.1]}  # their losses are 1 - these


def texts(**loss: object) -> Study:
    """A study of two initializers on sequences."""
    changes = {f"loss.{key}": value for key, value in loss.items()}
    return study_of(
        *(
            Cell({"init.name": name, **changes}, scores, metadata={"task": "sequence"})
            for name, scores in SCORES.items()
        )
    )


def test_bits_are_the_loss_by_the_logarithm_of_two() -> None:
    summary = summarize(texts())
    assert list(summary["bits_mean"]) == pytest.approx([0.5 / math.log(2), 0.8 / math.log(2)])
    for end in ("low", "high"):
        np.testing.assert_allclose(2.0 ** summary[f"bits_{end}"], np.exp(summary[f"test_loss_{end}"]))


def test_bits_stand_in_the_terminal_and_in_the_report() -> None:
    study = texts()
    out = io.StringIO()
    Console(file=out, width=120).print(summary_table(summarize(study), width=120))
    lines = out.getvalue().splitlines()
    assert any("test loss" in line and "bits a step" in line for line in lines)
    assert "0.721 [" in next(line for line in lines if line.strip().startswith("he"))
    analysis = analyse(study)
    for section in (leaderboard(analysis), all_jobs(analysis)):
        (table,) = section.parts
        assert isinstance(table, Table)
        assert [cell.partition(" ")[0] for cell in table.shown["bits a step"] if cell] == ["0.721", "1.154"]


@pytest.mark.parametrize(
    "loss", [{"name": "hinge"}, {"label_smoothing": 0.1}, {"class_weights": "balanced"}, {"_target_": "mine.loss"}]
)
def test_other_losses_tell_no_bits(loss: dict[str, object]) -> None:
    study = texts(**loss)
    assert not any(is_in_bits(study, str(job)) for job in study.differing.index)
    assert "bits_mean" not in summarize(study)
    assert is_in_bits(texts(name="cross_entropy"), "init=he,loss=cross_entropy")


def test_what_is_no_sequence_has_no_bits_beside_one_that_is() -> None:
    plain = Cell({"data.name": "digits", "init.name": "he"}, [0.9, 0.8])
    text = Cell({"data.name": "text", "init.name": "he"}, [0.5, 0.6], metadata={"task": "sequence"})
    assert "bits_mean" not in summarize(study_of(plain))
    summary = summarize(study_of(plain, text)).set_index("data")
    assert bool(summary["bits_mean"].isna()["digits"])
    assert summary.loc["text", "bits_mean"] == pytest.approx(0.45 / math.log(2))
    out = io.StringIO()
    Console(file=out, width=140).print(
        summary_table(summary.reset_index()[list(summarize(study_of(plain, text)))], width=140)
    )
    assert "—" in next(line for line in out.getvalue().splitlines() if line.strip().startswith("digits"))
    (table,) = leaderboard(analyse(study_of(plain, text))).parts
    assert isinstance(table, Table)
    assert {cell.partition(" ")[0] for cell in table.shown["bits a step"]} == {"—", "0.649"}


READER = """
import torch
from torch import Tensor, nn


class Reader(nn.Module):
    def __init__(self, out_features: int, *, vocabulary: int, every_step: bool) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, 8)
        self.output = nn.Linear(8, out_features)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.output(torch.tanh(self.tokens(inputs)))
"""


def test_a_text_is_trained_on_and_its_bits_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a user of a network of their own does; the recipe's networks are tested with their data sets."""
    (tmp_path / "reader.py").write_text(READER)
    (tmp_path / "book.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    monkeypatch.syspath_prepend(tmp_path)
    command = (
        "data=text data.path=book.txt data.context=16 model=mlp model._target_=reader.Reader seeds=2 "
        "trainer.max_epochs=2 logger=none name=study"
    )
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "all 2,640 characters of book.txt, 28 kinds" in said
    assert "bits a step" in said
    (row,) = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv").to_dict("records")
    assert row["bits_mean"] == pytest.approx(row["test_loss_mean"] / math.log(2))
    assert row["bits_mean"] < math.log2(28)
