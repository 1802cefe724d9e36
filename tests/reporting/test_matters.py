"""What the report says of shares of variance and of profiles is true, and no more than the tables say."""

import re

import numpy as np
import pytest

from initlab.reporting.document import Paragraph, Points, Section, Table
from initlab.reporting.learning import speed_section
from initlab.reporting.matters import matters_section, share_text
from initlab.reporting.profiles import profiles_section
from initlab.reporting.sections import compose_report
from initlab.results.analysis import analyse
from tests.results.studies import Cell, inits, study_of

NOISE = np.random.default_rng(0).normal(0, 0.01, (64, 8))


def cells(*data: str, interaction: float = 0.1) -> list[Cell]:
    """Of the variance of the means, 0.04 is the learning rate's, 0.01 the initializer's."""
    corners = [(d, init, rate) for d in data for init in (-1, 1) for rate in (-1, 1)]
    return [
        Cell(
            {"data.name": d, "init.name": "he" if init > 0 else "zeros", "optim.lr": 10.0**rate},
            0.5 + 0.1 * init + 0.2 * rate + interaction * init * rate + NOISE[place],
        )
        for place, (d, init, rate) in enumerate(corners)
    ]


def section_of(*made: Cell) -> Section:
    found = matters_section(analyse(study_of(*made)))
    assert found is not None
    return found


def table_of(section: Section, name: str) -> Table:
    return next(part for part in section.parts if isinstance(part, Table) and part.name == name)


def test_one_sentence_says_what_makes_how_much() -> None:
    section = section_of(*cells("wine"))
    assert isinstance(section.parts[0], Paragraph)
    text = section.parts[0].text
    numbers = list(map(int, re.findall(r"(\d+) %", text.partition(" With")[0])))
    assert re.sub(r"\d+", "N", text) == (
        "Of the variance of test accuracy on wine, the learning rate makes N %, the initializer N % and their "
        "interaction N %. With its interactions, the initializer has part in N % [N %, N %]."
    )
    assert numbers[:3] == pytest.approx([66, 17, 17], abs=2)


def test_what_does_not_interact_is_not_said_to() -> None:
    text = section_of(*cells("wine", interaction=0.0)).parts[0]
    assert isinstance(text, Paragraph)
    assert "their interaction" not in text.text


def test_an_initializer_that_makes_nothing_is_named_all_the_same() -> None:
    made = [
        Cell({"init.name": init, "optim.lr": rate}, 0.5 + rate + NOISE[0])
        for init in ("he", "xavier")
        for rate in (0.1, 0.4)
    ]
    text = section_of(*made).parts[0]
    assert isinstance(text, Paragraph)
    assert re.search(r"the initializer (0 %|< 1 %)", text.text)


def test_several_data_sets_have_a_sentence_each_and_one_together() -> None:
    points = section_of(*cells("digits", "wine")).parts[0]
    assert isinstance(points, Points)
    starts = [item.partition(",")[0] for item in points.items]
    assert starts == [
        f"Of the variance of test accuracy {where}" for where in ("over all data sets", "on digits", "on wine")
    ]


def test_scores_of_two_kinds_are_told_apart() -> None:
    other = [Cell(one.changes, one.scores, metric="r2") for one in cells("spirals", "teacher")]
    section = section_of(*cells("digits", "wine"), *other)
    table = table_of(section, "variance_shares")
    assert table.folded
    assert set(table.shown["metric"]) == {"accuracy", "R²"}
    points = section.parts[0]
    assert isinstance(points, Points)
    assert points.items[0].startswith("Of the variance of test accuracy over all data sets, ")
    assert sum("test R² over all data sets" in item for item in points.items) == 1


def test_noise_alone_is_said_to_be_the_seeds() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, (4, 8))
    made = [
        Cell({"init.name": init, "optim.lr": rate}, 0.5 + noise[2 * k + j])
        for k, init in enumerate(("he", "xavier"))
        for j, rate in enumerate((0.1, 0.4))
    ]
    text = section_of(*made).parts[0]
    assert isinstance(text, Paragraph)
    share = re.search(r"the seed (\d+) %", text.text)
    assert share is not None
    assert 70 <= int(share[1]) <= 100


def test_the_table_has_every_source_as_a_number_and_adds_up() -> None:
    table = table_of(section_of(*cells("wine")), "variance_shares")
    assert table.data["share"].sum() == pytest.approx(1)
    assert {"data", "metric", "source", "share", "low", "high", "takes_part", "variance", "seeds", "filled"} <= set(
        table.data
    )
    assert set(table.data["confidence_level"]) == {0.95}
    shares = dict(zip(table.shown["source"], table.shown["share"], strict=True))
    assert re.fullmatch(r"\d+ % \[\d+ %, \d+ %\]", shares["learning rate"])


def test_what_has_no_job_is_said() -> None:
    made = [
        Cell({"init.name": f"s{init}", "optim.lr": 10.0**rate}, 0.5 + 0.1 * init + 0.05 * rate + NOISE[3 * init + rate])
        for init in range(3)
        for rate in range(3)
    ]
    text = section_of(*made[1:]).parts[0]
    assert isinstance(text, Paragraph)
    assert text.text.endswith("1 of 9 combinations has no job, and was filled in by least squares from the others.")
    assert "filled" not in str(section_of(*made).parts[0])


def test_nothing_is_said_where_nothing_was_crossed() -> None:
    analysis = analyse(inits(he=0.9 + NOISE[0], zeros=0.1 + NOISE[1]))
    assert matters_section(analysis) is None
    methods = compose_report(analysis, "x").sections[-1].parts[0]
    assert isinstance(methods, Points)
    assert not any("Shares of variance" in item for item in methods.items)
    assert any("Performance profiles" in item for item in methods.items)


@pytest.mark.parametrize(
    ("share", "text"),
    [(-0.01, "0 %"), (0.0, "0 %"), (0.004, "< 1 %"), (0.006, "1 %"), (0.613, "61 %"), (1.02, "100 %")],
)
def test_shares_in_whole_percent(share: float, text: str) -> None:
    assert share_text(share) == text


def test_a_profile_says_how_often_each_is_near_the_best() -> None:
    analysis = analyse(inits(he=[0.9, 0.9, 0.8, 0.9], xavier=[0.89, 0.8, 0.9, 0.85], zeros=[0.1] * 4))
    section = profiles_section(analysis)
    assert section is not None
    shown = table_of(section, "score_profile").shown.set_index("candidate")
    assert list(shown.columns) == ["best", "within 0.01", "within 0.05", "within 0.1"]
    assert [str(cell).split(" ")[0] for cell in shown.loc["he"]] == ["0.750", "0.750", "0.750", "1.000"]
    assert [str(cell).split(" ")[0] for cell in shown.loc["xavier"]] == ["0.250", "0.500", "0.750", "1.000"]
    assert profiles_section(analyse(inits(he=[0.9, 0.8]))) is None


def test_time_profiles_stand_beside_the_speed() -> None:
    section = speed_section(analyse(inits(he=[0.95] * 4, zeros=[0.95, 0.95, 0.1, 0.1])))
    shown = table_of(section, "time_profile").shown
    fastest = dict(zip(shown["candidate"], shown["fastest"].astype(str), strict=True))
    assert fastest["zeros"].startswith("0.500 [")
    assert fastest["he"].startswith("1.000 [")
    none = speed_section(analyse(inits(he=[0.2] * 4, zeros=[0.1] * 4)))
    assert [part.name for part in none.parts if isinstance(part, Table)] == ["speed"]
