"""Performance profiles against counts by hand, and their bands against simulation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from initlab.results.analysis import analyse
from initlab.results.profiles import Profile, score_profiles, time_profiles
from tests.results.studies import Cell, inits, study_of


def share(profile: Profile, name: str, distance: float) -> float:
    return float(profile.at(distance)[0, profile.names.index(name)])


def test_shares_of_seeds_are_counts() -> None:
    (found,) = score_profiles(analyse(inits(he=[0.9, 0.8, 0.7, 0.9], xavier=[0.8, 0.8, 0.9, 0.89], zeros=[0.1] * 4)))
    assert (found.samples, found.of_data_sets, found.title) == (4, False, "wine")
    # he is best on seeds 0, 1 (with xavier) and 3; xavier on 1 and 2.
    assert share(found, "he", 0.0) == 0.75
    assert share(found, "xavier", 0.0) == 0.5
    assert share(found, "xavier", 0.01) == 0.75
    assert share(found, "xavier", 0.1) == 1
    assert share(found, "he", 0.1999) == 0.75
    assert share(found, "he", 0.2) == 1
    assert share(found, "zeros", 0.69) == 0
    assert share(found, "zeros", 0.7) == 0.25
    assert found.within[0] == 0
    assert (np.diff(found.shares, axis=1) >= 0).all()


def test_what_diverged_is_as_far_as_can_be() -> None:
    (found,) = score_profiles(analyse(inits(he=[0.9, 0.9], xavier=[np.nan, 0.9])))
    assert share(found, "xavier", 0.89) == 0.5
    assert share(found, "xavier", 0.9) == 1


def test_only_seeds_that_all_candidates_have_count() -> None:
    first, second = (
        Cell({"init.name": "he"}, [0.5, 0.9, 0.9]),
        Cell({"init.name": "zeros"}, [0.8, 0.1, 0.1], first_seed=1),
    )
    (found,) = score_profiles(analyse(study_of(first, second)))
    assert found.samples == 2
    assert share(found, "he", 0.0) == 1
    apart = Cell({"init.name": "zeros"}, [0.8, 0.1], first_seed=10)
    assert score_profiles(analyse(study_of(first, apart))) == []


def test_each_condition_of_one_data_set_has_a_profile() -> None:
    cells = [
        Cell({"activation.name": a, "init.name": i}, [0.9 - 0.1 * (i == "zeros")] * 3)
        for a in ("relu", "tanh")
        for i in ("he", "zeros")
    ]
    found = score_profiles(analyse(study_of(*cells)))
    assert [profile.title for profile in found] == ["wine, relu", "wine, tanh"]
    assert score_profiles(analyse(study_of(cells[0]))) == []


def test_data_sets_are_the_samples_where_there_are_several_and_settings_share_a_weight() -> None:
    scores = {
        ("d0", "relu"): (0.9, 0.8), ("d0", "tanh"): (0.7, 0.9), ("d1", "relu"): (0.9, 0.89), ("d1", "tanh"): (0.8, 0.6),
    }  # fmt: skip
    cells = [
        Cell({"data.name": d, "activation.name": a, "init.name": i}, [score, score, score])
        for (d, a), both in scores.items()
        for i, score in zip(("he", "xavier"), both, strict=True)
    ]
    (found,) = score_profiles(analyse(study_of(*cells)))
    assert (found.samples, found.of_data_sets) == (2, True)
    assert share(found, "he", 0.0) == 0.75
    assert share(found, "xavier", 0.0) == 0.25
    assert share(found, "xavier", 0.01) == 0.5
    assert share(found, "xavier", 0.1) == 0.75
    np.testing.assert_array_equal(found.low, found.shares)  # every seed says the same
    np.testing.assert_array_equal(found.high, found.shares)


def timed(**epochs: list[float]) -> list[Profile]:
    """The profiles of initializers with so many epochs to the threshold on each seed; infinity: never reached."""
    study = inits(**{name: [0.5] * len(times) for name, times in epochs.items()})
    reached = [int(time) if np.isfinite(time) else None for times in epochs.values() for time in times]
    members = study.members.assign(epochs_to_threshold=pd.array(reached, dtype="Int64"))
    return time_profiles(analyse(replace(study, members=members)))


def test_times_are_factors_of_the_fastest_and_never_is_within_none() -> None:
    never = float("inf")
    (found,) = timed(he=[2, 4, never, never], lsuv=[4, 2, 9, never], zeros=[never] * 4)
    assert share(found, "he", 1.0) == 0.25
    assert share(found, "lsuv", 1.0) == 0.5
    assert share(found, "he", 1.99) == 0.25
    assert share(found, "he", 2.0) == 0.5
    assert share(found, "lsuv", 1e9) == 0.75  # on the last seed nobody is
    assert share(found, "zeros", 1e9) == 0
    assert timed(he=[never, never], zeros=[never, never]) == []


def test_what_is_there_before_training_counts_as_after_one_epoch() -> None:
    (found,) = timed(he=[0, 0], zeros=[1, 3])
    assert share(found, "zeros", 1.0) == 0.5
    assert share(found, "zeros", 3.0) == 1


def test_bands_over_seeds_are_clopper_and_pearsons() -> None:
    scores = np.random.default_rng(0).normal(0.5, 0.05, (2, 12))
    (found,) = score_profiles(analyse(inits(he=scores[0], xavier=scores[1])))
    counts = np.round(12 * found.shares)
    np.testing.assert_allclose(found.shares, counts / 12)
    # By the law of order statistics of uniform numbers.
    low = np.nan_to_num(stats.beta(counts, 13 - counts).ppf(0.025), nan=0.0)
    high = np.nan_to_num(stats.beta(counts + 1, 12 - counts).ppf(0.975), nan=1.0)
    np.testing.assert_allclose(found.low, low, atol=1e-9)
    np.testing.assert_allclose(found.high, high, atol=1e-9)


def test_bands_over_data_sets_are_wide_where_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    cells = [
        Cell({"data.name": f"d{d}", "init.name": i}, score + rng.normal(0, 0.02, 10))
        for d in range(4)
        for i, score in (("he", 0.8), ("xavier", 0.8), ("zeros", 0.1))
    ]
    analysis = analyse(study_of(*cells))
    (found,), (again,) = score_profiles(analysis), score_profiles(analysis)
    np.testing.assert_array_equal(found.low, again.low)
    widths = dict(zip(found.names, (found.high - found.low)[:, 0], strict=True))
    assert min(widths["he"], widths["xavier"]) >= 0.25
    assert widths["zeros"] == 0
    far = found.at(0.3)
    assert far[:, found.names.index("he")] == pytest.approx([1, 1, 1])
