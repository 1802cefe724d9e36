"""With how many seeds a study is looked at."""

from itertools import pairwise

import pytest

from initlab.jobs.looks import FIRST_LOOK, look_sizes
from tests.helpers import make_job


@pytest.mark.parametrize("most", [2, 9, 10, 11, 12, 15, 50, 200, 1000])
def test_looks_grow_to_what_is_allowed_and_none_is_for_a_few_seeds_more(most: int) -> None:
    sizes = look_sizes(most)
    assert sizes[0] == min(most, FIRST_LOOK) or sizes == [most]
    assert sizes[-1] == most
    assert all(more >= 1.2 * fewer for fewer, more in pairwise(sizes))
    assert all(more <= 1.9 * fewer for fewer, more in pairwise(sizes))


def test_a_job_has_the_seeds_of_the_first_look() -> None:
    job = make_job("seeds=auto", "seed=100", "max_seeds=50")
    assert job.seeds == tuple(range(100, 110))
    assert job.looks == len(look_sizes(50)) == 5
    assert make_job("seeds=auto", "max_seeds=4").seeds == (0, 1, 2, 3)
    assert make_job("seeds=20").looks == make_job("seeds=auto", "max_seeds=10").looks == 1
