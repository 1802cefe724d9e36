"""How many threads work on what: every decision, and that nothing else decides."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from initlab.base import threads
from initlab.base.threads import (
    LARGE_COHORT,
    LARGE_PRODUCT,
    LoopThreads,
    cores_of_process,
    intra_op_threads,
    start_worker,
    threads_of_cohort,
    threads_of_loop,
    threads_of_probe,
)
from tests.fixtures import ROOT

LARGE = int(LARGE_PRODUCT)
# What is asked, of a machine with 8 cores, and what is answered.
DECISIONS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = [
    # Worker processes divide the cores of this machine; on a cluster each has the one that it asked for.
    (cores_of_process, (1,), {}, 8),
    (cores_of_process, (3,), {}, 2),
    (cores_of_process, (8,), {}, 1),
    (cores_of_process, (20,), {}, 1),
    (cores_of_process, (2,), {"backend": "loky"}, 4),
    (cores_of_process, (2,), {"backend": "ray"}, 1),
    (cores_of_process, (1,), {"backend": "dask"}, 1),
    # A number counts; else small dense networks train on one thread, large cohorts and convolutions on all.
    (threads_of_cohort, (3,), {"alone": False, "members": 1}, 3),
    (threads_of_cohort, (3,), {"alone": True, "members": LARGE_COHORT, "cores": 2}, 3),
    (threads_of_cohort, ("auto",), {"alone": False, "members": 1}, 1),
    (threads_of_cohort, ("auto",), {"alone": False, "members": LARGE_COHORT}, 1),
    (threads_of_cohort, ("auto",), {"alone": False, "members": LARGE_COHORT + 1}, 8),
    (threads_of_cohort, ("auto",), {"alone": False, "members": LARGE_COHORT + 1, "cores": 2}, 2),
    (threads_of_cohort, ("auto",), {"alone": True, "members": 1}, 8),
    (threads_of_cohort, ("auto",), {"alone": True, "members": 1, "cores": 2}, 2),
    # Not those of which one must go after the other.
    (threads_of_cohort, ("auto",), {"alone": True, "members": 20, "one_queue": True}, 1),
    (threads_of_cohort, ("auto",), {"alone": False, "members": LARGE_COHORT + 1, "one_queue": True}, 8),
    (threads_of_cohort, ("auto",), {"alone": True, "members": LARGE_COHORT, "one_queue": True}, 1),
    (threads_of_cohort, (3,), {"alone": True, "members": 20, "one_queue": True}, 3),
    # Members share the threads of a cohort, a member each; what is left over goes into its operations.
    (threads_of_loop, (8,), {"members": 20, "one_queue": False}, LoopThreads(workers=8, intra_op=1)),
    (threads_of_loop, (8,), {"members": 8, "one_queue": False}, LoopThreads(workers=8, intra_op=1)),
    (threads_of_loop, (8,), {"members": 3, "one_queue": False}, LoopThreads(workers=3, intra_op=2)),
    (threads_of_loop, (8,), {"members": 1, "one_queue": False}, LoopThreads(workers=1, intra_op=8)),
    (threads_of_loop, (8,), {"members": 20, "one_queue": True}, LoopThreads(workers=1, intra_op=8)),
    (threads_of_loop, (1,), {"members": 20, "one_queue": False}, LoopThreads(workers=1, intra_op=1)),
    # Untrained networks are measured on all cores where they are large.
    (threads_of_probe, ("auto",), {"products": LARGE, "convolutional": False}, 1),
    (threads_of_probe, ("auto",), {"products": LARGE + 1, "convolutional": False}, 8),
    (threads_of_probe, ("auto",), {"products": 1, "convolutional": True}, 8),
    (threads_of_probe, (3,), {"products": 1, "convolutional": False}, 3),
    (threads_of_probe, (3,), {"products": LARGE + 1, "convolutional": True}, 3),
]


@pytest.mark.parametrize(
    ("decide", "asked", "settings", "answer"),
    DECISIONS,
    ids=[f"{decide.__name__}-{asked}-{settings}" for decide, asked, settings, _ in DECISIONS],
)
def test_who_works_on_what(
    decide: Callable[..., Any],
    asked: tuple[Any, ...],
    settings: dict[str, Any],
    answer: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 8)
    assert decide(*asked, **settings) == answer


def test_the_threads_of_an_operation_are_put_back() -> None:
    before = torch.get_num_threads()
    with intra_op_threads(before + 2):
        assert torch.get_num_threads() == before + 2
        with intra_op_threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before
    with pytest.raises(ArithmeticError), intra_op_threads(before + 1):
        raise ArithmeticError
    assert torch.get_num_threads() == before


def test_a_worker_starts_with_one_thread() -> None:
    found = []

    def work() -> None:
        start_worker()
        found.append(torch.get_num_threads())

    with intra_op_threads(torch.get_num_threads()):  # puts back what of it the process shares
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [1]


def test_nothing_else_sets_a_number_of_threads() -> None:
    setting = {
        str(path.relative_to(ROOT))
        for folder in ("initlab", "hydra_plugins")
        for path in (ROOT / folder).rglob("*.py")
        if "set_num_threads" in path.read_text()
    }
    assert setting == {"initlab/base/threads.py"}
