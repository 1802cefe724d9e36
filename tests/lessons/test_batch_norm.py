"""Batch normalization and Adam make initialization less critical?"""

import pandas as pd
import pytest

from initlab.lessons.claims import adam, batch_norm
from initlab.lessons.finding import Answer
from tests.lessons.made import pairs


def side(name: str, spread: float) -> dict[str, pd.DataFrame]:
    """An experiment of two starts whose scores differ by a spread."""
    names = ["init.std=0.1", "init.std=1"]
    candidates = pd.DataFrame({"candidate": names, "init.std": ["0.1", "1"], "score": [0.9, 0.9 - spread]})
    candidates = candidates.assign(score_low=candidates["score"] - 0.01, score_high=candidates["score"] + 0.01)
    verdict = "better" if spread > 0.01 else "undecided"
    return {
        f"{name}.candidates": candidates.assign(seeds=10, diverged=0),
        f"{name}.pairs": pairs((names[0], names[1], verdict, spread)),
    }


@pytest.mark.parametrize(
    ("without", "helped", "expected"),
    [(0.5, 0.0, "holds"), (0.1, 0.5, "does not hold"), (0.1, 0.09, "undecided")],
)
def test_the_verdict_follows_the_spread_over_starts(without: float, helped: float, expected: Answer) -> None:
    for module in (batch_norm, adam):
        first, second = module.SIDES
        made = side(first, without) | side(second, helped)
        finding = module.judge(made)
        assert finding.answer == expected
        assert f"differ by {without:.3f}" in finding.seen[0]
        assert finding.certainty.endswith("of best minus worst lie apart.")
        assert [line.get_label() for line in module.draw(made).axes[0].get_lines()] == list(module.SIDES.values())
