"""One thread: the networks are small, and threads would only wait for each other."""

from collections.abc import Iterator

import pytest

from initlab.base.threads import intra_op_threads


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with intra_op_threads(1):
        yield
