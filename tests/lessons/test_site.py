"""The textbook in the documentation: what its pages say is what the tables beside them say today."""

import re
from pathlib import Path

import pandas as pd
import pytest

from initlab.cli.run_textbook import main
from initlab.lessons import site
from initlab.lessons.book import read_tables, write_tables
from initlab.lessons.chapter import finding_of
from initlab.lessons.evidence import collect
from initlab.lessons.lesson import all_lessons, lesson_names, read_lesson
from tests.lessons.made import layers, members, pairs

DOCS = Path(__file__).parents[2] / "docs" / "textbook"


@pytest.mark.parametrize("name", lesson_names())
def test_a_page_says_what_its_tables_say(name: str) -> None:
    lesson = read_lesson(name)
    tables, facts = site.read_kept(lesson, DOCS)
    page = site.page_of(lesson, tables, facts)
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == page
    assert facts["seeds"] >= lesson.seeds
    for picture in (f"{name}.svg", f"{name}_dark.svg"):
        assert f"({picture}#only-" in page
        assert (DOCS / picture).stat().st_size > 1000


@pytest.mark.parametrize("name", lesson_names())
def test_what_a_page_says_is_free_of_names_from_the_configuration(name: str) -> None:
    lesson = read_lesson(name)
    tables, facts = site.read_kept(lesson, DOCS)
    finding = finding_of(lesson, tables, seeds=facts["seeds"])
    said = " ".join((str(finding), *finding.seen, finding.certainty))
    assert not re.findall(r"\w+_(?:normal|uniform|default)|\w\.\w+=|[a-z]=", said)


@pytest.mark.slow
@pytest.mark.parametrize("name", lesson_names())
def test_at_its_real_size_a_lesson_finds_what_its_page_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main([name, "--output-dir", str(tmp_path)])
    lesson = read_lesson(name)
    tables, facts = site.read_kept(lesson, DOCS)
    kept = finding_of(lesson, tables, seeds=facts["seeds"])
    assert finding_of(lesson, collect(lesson, tmp_path)).answer == kept.answer


def test_the_list_has_every_lesson_and_nothing_lies_beside_them() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    assert text == site.index_of(DOCS)
    topics = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert topics == [*dict.fromkeys(lesson.topic for lesson in all_lessons()), "How to read a page"]
    assert [lesson.name for lesson in site.kept_lessons(DOCS)] == lesson_names()
    known = {f"{name}{end}" for name in lesson_names() for end in (".md", ".svg", "_dark.svg")}
    assert {path.name for path in DOCS.iterdir()} == known | {"index.md", "tables"}
    assert {path.name for path in (DOCS / "tables").iterdir()} == set(lesson_names())


def test_all_tables_together_are_small() -> None:
    assert sum(path.stat().st_size for path in (DOCS / "tables").rglob("*")) < 4e6


def test_a_page_is_made_of_the_tables_that_its_verdict_reads(tmp_path: Path) -> None:
    lesson = read_lesson("symmetry_relu")
    rows = [
        {"init": init, "distinct_units": units, "weight_norm": 0.0}
        for init, units in {"zeros": 1, "he_normal": 64}.items()
    ]
    scores = [{"init": init, "test_score": score} for init, score in {"zeros": 0.4, "he_normal": 0.9}.items()]
    tables = {
        "trained.signal": layers(rows, "distinct_units", "weight_norm", networks=12),
        "trained.members": members(scores, networks=12),
        "trained.pairs": pairs(("he_normal", "zeros", "better", 0.5)),
        "trained.history": pd.DataFrame({"epoch": [1]}),
    }
    (tmp_path / "tables" / "symmetry_relu").mkdir(parents=True)
    (tmp_path / "tables" / "symmetry_relu" / "former.csv").write_text("a\n1\n")
    site.add_page(lesson, tables, tmp_path)
    assert {path.name for path in (tmp_path / "tables" / "symmetry_relu").iterdir()} == {
        "made.json",
        "trained.members.csv",
        "trained.pairs.csv",
        "trained.signal.csv",
    }
    page = (tmp_path / "symmetry_relu.md").read_text(encoding="utf-8")
    assert "**It does not hold: the units stay copies" in page
    assert "with 12 networks of each kind" in page
    assert (tmp_path / "symmetry_relu_dark.svg").read_text() != (tmp_path / "symmetry_relu.svg").read_text()
    site.write_index(tmp_path)
    assert "(symmetry_relu.md) | It does not hold: " in (tmp_path / "index.md").read_text(encoding="utf-8")


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"gradient_clip": ["null", "1.0"], "epochs": [3, 4], "score": [0.5, float("nan")]})
    write_tables({"trained.members": table}, tmp_path)
    pd.testing.assert_frame_equal(read_tables(tmp_path)["trained.members"], table, check_dtype=False)
