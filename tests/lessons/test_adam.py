"""Adaptive optimizers make initialization less critical? Its verdict is that of `test_batch_norm`."""

from initlab.lessons.claims.adam import SIDES
from initlab.lessons.lesson import read_lesson


def test_both_sides_train_from_the_same_starts() -> None:
    experiments = read_lesson("adam").experiments
    starts = [[word for word in one.words if word.startswith("init")] for one in experiments.values()]
    assert list(experiments) == list(SIDES)
    assert starts[0] == starts[1]
