"""What `signal.every` recorded is drawn over epochs, and stands in the report."""

from pathlib import Path

import numpy as np
import pytest

from initlab.cli.run_report import run_report
from initlab.figures.signal_in_training import PANELS, signal_in_training
from initlab.reporting.document import Picture
from initlab.reporting.theory import signal_sections
from initlab.results.analysis import analyse
from initlab.results.study import read_study
from initlab.tables.store import read_table
from tests.helpers import QUICK, run


def test_the_figure_and_its_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = f"-m init=he,xavier model.depth=3 activation=tanh signal.every=1 {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    page = run_report([study]).read_text()
    assert "<h2>Signal while training</h2>" in page
    assert (study / "figures" / "training.svg").exists()
    (folder,) = study.glob("*init=he")
    table = read_table(folder, "signal")
    figure = signal_in_training({"he": table})
    hidden = table[table["position"] < 4]
    for panel, (title, column, factors) in zip(figure.axes, PANELS, strict=True):
        (line,) = panel.get_lines()
        assert panel.get_title() == title
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
        values = hidden[column].astype(float)
        means = (values.map(np.log) if factors else values).groupby(hidden["epoch"]).mean().to_numpy()
        drawn = np.asarray(line.get_ydata(), dtype=float)
        np.testing.assert_allclose(drawn, np.exp(means) if factors else means, rtol=1e-9)


def test_the_caption_says_at_which_rates_the_candidates_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = f"-m init=he,xavier optim.lr=0.01,0.1,0.2 activation=tanh signal.every=1 {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    analysis = analyse(read_study(tmp_path / "outputs" / "study"))
    (section,) = (found for found in signal_sections(analysis) if found.title == "Signal while training")
    (picture,) = section.parts
    assert isinstance(picture, Picture)
    rates = analysis.candidates.set_index("candidate")["rate"]
    names = list(analysis.candidates["candidate"])
    said = " and ".join(f"{name} {rates[name]:g}" for name in names)
    assert picture.caption.endswith(f"Each at its best learning rate: {said}.")


def test_what_is_not_measured_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"init=zeros signal.every=2 {QUICK}", monkeypatch, tmp_path) == 0
    (folder,) = (tmp_path / "outputs" / "study").glob("*/")
    figure = signal_in_training({"zeros": read_table(folder, "signal")})
    texts = [[text.get_text() for text in panel.texts] for panel in figure.axes]
    assert texts[1:] == [["zero in every layer"], [], ["does not apply to ReLU\nand its kin"]]
    dead = figure.axes[2].get_lines()[0].get_ydata()
    assert np.all(np.asarray(dead) == 1.0)
