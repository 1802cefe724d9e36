"""ReLU halves the signal, and He's factor 2 makes up for it?"""

import pandas as pd
import pytest

from initlab.lessons.claims.he_relu import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(*, he: float, others: float, spread: float = 1.0) -> dict[str, pd.DataFrame]:
    rows = [
        {"init": init, "position": layer, "layer": f"hidden.{layer - 1}"}
        | {"pre_second_moment": factor**layer, "post_second_moment": factor**layer / 2}
        | {"pre_second_moment_min": factor**layer / spread, "pre_second_moment_max": factor**layer * spread}
        for init, factor in (("he_normal", he), ("xavier_normal", others), ("lecun_normal", others))
        for layer in range(1, 31)
    ]
    return {"probed.signal": layers(rows)}


@pytest.mark.parametrize(
    ("he", "others", "spread", "expected"),
    [
        (1.0, 0.5, 1.0, "holds"),
        (1.0, 0.5, 3.0, "holds"),
        (1.2, 0.5, 1.0, "does not hold"),
        (1.0, 0.8, 1.0, "does not hold"),
        (1.1, 0.5, 2.0, "undecided"),
    ],
)
def test_the_verdict_follows_the_factors_a_layer(he: float, others: float, spread: float, expected: Answer) -> None:
    finding = judge(tables(he=he, others=others, spread=spread))
    assert finding.answer == expected
    assert f"multiplied by {he:.2f} from" in finding.seen[1]
    assert "0.50 to 0.50" in finding.seen[0]
    assert f"from {he:.1f} in the first layer to {he**30:.1f} in the last of 30 (" in finding.seen[2]


def test_the_picture_has_a_line_for_each_start() -> None:
    lines = draw(tables(he=1.0, others=0.5)).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["he_normal", "xavier_normal", "lecun_normal"]
