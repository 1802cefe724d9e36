"""Whatever initlab writes of a comparison speaks of better, worse, equivalent and undecided, and of nothing else."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from initlab.base.wording import difference_text, roughly
from initlab.reporting.document import Table
from initlab.reporting.html import to_html
from initlab.reporting.latex import to_latex
from initlab.reporting.markdown import to_markdown
from initlab.reporting.remarks import method
from initlab.reporting.scores import pairs_section
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from initlab.results.study import Study
from initlab.results.summary import write_summary
from tests.fixtures import ROOT
from tests.results.studies import Cell, cell_by_row, inits, study_of

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.02, (4, 10))
GONE = re.compile(r"\bti(?:e|es|ed)\b|significan|\bHolm|sign.flip|not shown to be worse", re.IGNORECASE)


def by_row() -> Study:
    """Images, say, on which some rows are hard; two that are alike, one that is worse, one that diverged often."""
    hard = np.linspace(0.2, 1, 200)
    latent = RNG.random((10, 200))
    cells = [
        cell_by_row({"init.name": "he"}, (latent < hard).astype(float)),
        cell_by_row({"init.name": "xavier"}, (np.roll(latent, 1, axis=0) < hard).astype(float)),
        cell_by_row({"init.name": "zeros"}, (latent < 0.1).astype(float)),
        cell_by_row({"init.name": "normal"}, (latent < hard).astype(float), lost=range(4)),
    ]
    return study_of(*cells)


STUDIES = {
    "by row": by_row(),
    "seeds alone": inits(he=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10, kaiming=0.8 + NOISE[0]),
    "one seed": inits(he=[0.9], zeros=[0.1]),
    "no seed in common": study_of(
        Cell({"init.name": "he"}, [0.9] * 8), Cell({"init.name": "late"}, [0.1] * 8, first_seed=50)
    ),
    "two data sets": study_of(
        *(
            Cell({"init.name": init, "data.name": data}, score + NOISE[k])
            for data in ("wine", "digits")
            for k, (init, score) in enumerate({"he": 0.8, "xavier": 0.79, "zeros": 0.1}.items())
        )
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_reports_never_say_what_is_gone(name: str, tmp_path: Path) -> None:
    analysis = analyse(STUDIES[name])
    report = compose_report(analysis, name)
    pictures = [entry.get_text() for picture in report.pictures for entry in picture.figure.findobj(Text)]
    written = [
        to_markdown(report),
        to_html(report, {picture.name: b"" for picture in report.pictures}),
        *(to_latex(table) for table in report.tables),
        *(table.data.to_csv() for table in report.tables),
        write_summary(tmp_path, analysis.summary).read_text(),
        *pictures,
    ]
    for text in written:
        assert GONE.search(text) is None, GONE.search(text)


def test_documentation_and_configuration_never_say_what_is_gone() -> None:
    """But the changelog, which says what it was, and tests of ranks, where ranks may be tied."""
    paths = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "conf").rglob("*.yaml")]
    said = re.compile(r"\bties with|\ba tie\b|significan|\bHolm|sign.flip|not shown to be worse", re.IGNORECASE)
    for path in paths:
        if path.name not in ("statistics.md", "simulation.md"):  # which compare with the old way
            found = said.search(path.read_text(encoding="utf-8"))
            assert found is None, (path, found)


def test_the_table_of_pairs_shows_each_verdict() -> None:
    study = inits(he=0.8 + NOISE[0], kaiming=0.8 + NOISE[0], xavier=0.8 + NOISE[1], zeros=[0.1] * 10)
    (_, table) = pairs_section(analyse(study)).parts  # type: ignore[union-attr]
    assert isinstance(table, Table)
    shown = table.shown.set_index(["a", "b"])
    assert shown.loc[("he", "kaiming"), "verdict"] == "equivalent"
    assert shown.loc[("he", "zeros"), "verdict"] == "a is better"
    assert shown.loc[("he", "xavier"), "verdict"] == "undecided"
    needed = analyse(study).pairs.set_index(["a", "b"])["seeds_needed"]
    assert shown.loc[("he", "xavier"), "seeds to decide"] == roughly(needed[("he", "xavier")])
    assert shown.loc[("he", "zeros"), "seeds to decide"] == ""
    assert "hold for all pairs of a condition together" in table.caption
    (_, table) = pairs_section(analyse(inits(he=0.8 + NOISE[0], zeros=[0.1] * 10))).parts  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert "seeds to decide" not in table.shown


def test_an_effect_is_infinite_only_where_it_is() -> None:
    cells = [Cell({"init.name": name}, [score] * 8) for name, score in (("he", 0.9), ("zeros", 0.1))]
    cells.append(Cell({"init.name": "late"}, [0.05] * 8, first_seed=50))
    (_, table) = pairs_section(analyse(study_of(*cells))).parts  # type: ignore[union-attr]
    assert isinstance(table, Table)
    effects = dict(zip(zip(table.shown["a"], table.shown["b"], strict=True), table.shown["d"], strict=True))
    assert effects == {("he", "zeros"): "∞", ("he", "late"): "—", ("zeros", "late"): "—"}


def test_the_method_is_what_was_done() -> None:
    of_rows, alone = (" ".join(method(analyse(STUDIES[name]))) for name in ("by row", "seeds alone"))
    assert "take seeds and rows for samples both" in of_rows
    assert "take seeds and rows for samples both" not in alone
    assert "are over seeds alone, since results by row were not kept" in alone
    looked = [
        Cell({"init.name": name}, 0.8 + NOISE[k], metadata={"looks": 5}) for k, name in enumerate(("he", "xavier"))
    ]
    assert "could be looked at 5 times" in " ".join(method(analyse(study_of(*looked))))
    assert "looked at" not in alone


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.0097, 0.0000348, 0.0194), "0.00970 [0.00003, 0.01940]"),
        ((-0.05, -0.1, -0.0004), "-0.0500 [-0.1000, -0.0004]"),
        ((0.05, 0.0, 0.1), "0.050 [0.000, 0.100]"),
        ((0.05, 1e-9, 0.1), "0.050 [0.000, 0.100]"),  # rounding
        ((0.05, np.nan, np.nan), "0.050"),
    ],
)
def test_an_interval_without_0_does_not_look_as_if_it_had_it(ends: tuple[float, float, float], said: str) -> None:
    assert difference_text(*ends) == said
