"""He initialization is a robust choice across architectures?"""

from itertools import combinations

import pandas as pd
import pytest

from initlab.lessons.claims.architecture import NETWORKS, SCHEMES, draw, judge
from initlab.lessons.finding import Answer
from tests.lessons.made import members, pairs


def tables(*verdicts: str) -> dict[str, pd.DataFrame]:
    """Tables in which He stands in each network to all others as is said."""
    made = {}
    for key, verdict in zip(NETWORKS, verdicts, strict=True):
        made[f"{key}.pairs"] = pairs(
            *((a, b, verdict if a == "he_normal" else "equivalent", 0.1) for a, b in combinations(SCHEMES, 2))
        )
        he = "worse" if verdict == "worse" else "best"
        made[f"{key}.candidates"] = pd.DataFrame(
            [
                {"candidate": name, "score": 0.9 - 0.1 * place, "standing": he if not place else "equivalent"}
                for place, name in enumerate(SCHEMES)
            ]
        )
        made[f"{key}.members"] = members([{"test_score": 0.9}])
    return made


@pytest.mark.parametrize(
    ("verdicts", "expected", "where"),
    [
        (("better", "equivalent", "better", "equivalent"), "holds", ""),
        (("better", "better", "undecided", "worse"), "does not hold", "in the transformer another start"),
        (("worse", "worse", "worse", "undecided"), "does not hold", "in the MLP, CNN and ResNet"),
        (("better", "better", "better", "undecided"), "undecided", "in the transformer"),
    ],
)
def test_the_verdict_follows_where_he_leads(verdicts: tuple[str, ...], expected: Answer, where: str) -> None:
    finding = judge(tables(*verdicts))
    assert finding.answer == expected
    assert where in finding.where
    assert finding.seen[-1].startswith("Mean ranks over the 4 networks are He 1.0, Xavier 2.0")


def test_the_picture_has_a_cell_for_each_scheme_and_network() -> None:
    axes = draw(tables("better", "better", "better", "worse")).axes[0]
    assert [text.get_text() for text in axes.texts].count("0.900\nbest") == 3
    assert [text.get_text() for text in axes.get_xticklabels()] == list(NETWORKS.values())
