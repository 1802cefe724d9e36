"""Equal scores of a few seeds have no interval: it would be exact, and that nobody knows."""

import numpy as np
import pytest

from initlab.base.wording import difference_text, interval_text
from initlab.results.intervals import LEAST_EQUAL, bootstrap_interval, mean_and_interval


@pytest.mark.parametrize("seeds", [2, 3, LEAST_EQUAL - 1])
def test_a_few_equal_scores_have_no_interval(seeds: int) -> None:
    rng = np.random.default_rng(0)
    found = mean_and_interval(np.full(seeds, 0.889), rng=rng)
    assert interval_text(*found) == "0.889"
    assert np.isnan(bootstrap_interval(np.zeros(seeds), rng=rng)).all()
    assert difference_text(0.0, *bootstrap_interval(np.zeros(seeds), rng=rng)) == "0.0000"


def test_many_equal_scores_have_one_without_width() -> None:
    assert bootstrap_interval(np.full(LEAST_EQUAL, 0.889), rng=np.random.default_rng(0)) == (0.889, 0.889)
