"""Some initialization schemes cost more than others?"""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from initlab.cli.run_probe import run_probe
from initlab.lessons.claims.cost import KINDS, draw, judge
from initlab.lessons.evidence import collect
from initlab.lessons.finding import Answer
from initlab.lessons.lesson import Experiment, read_lesson
from tests.helpers import make_job
from tests.lessons.made import members

TWO = ("zeros", "orthogonal")
SCHEMES = [name for names in KINDS.values() for name in names]


def tables(*, dear: float, spread: float = 1.1) -> dict[str, pd.DataFrame]:
    """Tables in which the last scheme takes so many times as long as the others, and an epoch ten times as long."""
    rows = [
        {"init": name, "seed": seed, "seconds": 0.001 * (dear if name == SCHEMES[-1] else 1) * factor}
        for name in SCHEMES
        for seed, factor in enumerate((1.0, 1.0, spread))
    ]
    trained = members([{"test_score": 0.9}]).assign(seconds=0.05, epochs=5)
    return {"filled.seconds": pd.DataFrame(rows), "trained.members": trained}


@pytest.mark.parametrize(
    ("dear", "spread", "expected", "where"),
    [
        (2000, 1.1, "holds", "MetaInit takes 2,000 times as long as He, or 200 epochs of training"),
        (5, 2, "undecided", "none is 3 times as dear"),
        (1.5, 1.1, "does not hold", "all are within a factor of 3"),
    ],
)
def test_the_verdict_follows_the_slowest_and_the_fastest(
    dear: float, spread: float, expected: Answer, where: str
) -> None:
    finding = judge(tables(dear=dear, spread=spread))
    assert finding.answer == expected
    assert finding.where.startswith(where)
    assert "takes 1 ms; an epoch of training takes 10 ms" in finding.seen[0]
    assert finding.seen[1].startswith("Of the schemes that draw, ")
    assert finding.seen[1].endswith("Xavier 1 and zeros 1: up to 0.1 of an epoch.")


def test_the_picture_has_all_schemes_and_an_epoch() -> None:
    figure = draw(tables(dear=50))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()][-1] == "MetaInit"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [*(f"schemes that {kind}" for kind in KINDS), "an epoch of training"]


def test_a_probe_says_what_filling_each_network_takes(tmp_path: Path) -> None:
    jobs = [make_job(f"init={name}", "seeds=3", "report=false", output_dir=tmp_path, config="probe") for name in TWO]
    run_probe(jobs)
    (tmp_path / "test").rename(tmp_path / "cost-filled")
    lesson = replace(read_lesson("cost"), experiments={"filled": Experiment("probe", ())})
    table = collect(lesson, tmp_path)["filled.seconds"]
    assert table.groupby("init")["seed"].apply(list).to_dict() == {name: [0, 1, 2] for name in TWO}
    assert (table["seconds"] > 0).all()
