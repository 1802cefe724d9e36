"""Bad initialization kills ReLU units?"""

import pandas as pd
import pytest

from initlab.lessons.claims.dying_relu import draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import layers


def tables(*, start: dict[float, float], after: dict[float, float]) -> dict[str, pd.DataFrame]:
    """By scale, the share of dead units before and after training."""
    shape = {"model.depth": 10, "all_dead": 0.0}
    before = [
        {"job": f"{scale} {width}", "init.scale": scale, "model.width": width, **shape, "dead": dead}
        for scale, dead in start.items()
        for width in (4, 64)
    ]
    trained = [
        {"job": f"{scale} {rate}", "init.scale": scale, "optim.lr": rate, "epoch": epoch, "dead": dead}
        for scale, dead in after.items()
        for rate in (0.01, 0.1)
        for epoch in (0, 30)
    ]
    members = pd.DataFrame({"job": sorted({row["job"] for row in trained}), "status": "finished"})
    signals = {"start.signal": layers(before, "dead"), "trained.signal": layers(trained, "dead")}
    return signals | {"trained.members": members}


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        ({0.02: 0.1, 2: 0.1}, {0.02: 0.3, 2: 0.1}, "holds only where"),
        ({0.02: 0.1, 2: 0.1}, {0.02: 0.1, 2: 0.1}, "does not hold"),
        ({0.02: 0.3, 2: 0.1}, {0.02: 0.3, 2: 0.1}, "holds"),
        ({0.02: 0.05, 2: 0.1}, {0.02: 0.3, 2: 0.1}, "undecided"),
    ],
)
def test_the_verdict_follows_dead_units_before_and_after_training(
    start: dict[float, float], after: dict[float, float], expected: Answer
) -> None:
    made = tables(start=start, after=after)
    finding = judge(made)
    assert finding.answer == expected
    if expected == "holds only where":
        assert finding.where.startswith(
            "the network has trained: then weights of scale 0.02 (0.01 times He's variance) at learning rates 0.01 "
            "and 0.1 leave more dead units than He's weights"
        )
        assert "weights of all 2 sizes kill the same units" in finding.seen[0]
    assert len(draw(made).axes) == 2
