"""Data sets that one process sends to another, which then does not load them."""

import pickle
from collections.abc import Iterator

import pytest

from initlab.data.dataset import Dataset
from initlab.jobs import data
from initlab.jobs.data import data_to_send, forget_data, take_data
from initlab.jobs.job import Job
from tests.helpers import make_job


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    forget_data()


def sent(*jobs: Job) -> dict[str, Dataset]:
    """What reaches the other process."""
    found: dict[str, Dataset] = pickle.loads(pickle.dumps(data_to_send(job.data for job in jobs)))
    return found


def test_what_was_sent_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("data=wine", "data.resplit=false", "seeds=2")
    before, found = job.dataset, sent(job, make_job("data=wine", "data.resplit=false", "init=he"))
    assert len(found) == 1
    forget_data()
    monkeypatch.setattr(data, "target", lambda *_: pytest.fail("loaded"))
    take_data(found)
    again = make_job("data=wine", "data.resplit=false", "seeds=2")
    for name in ("train", "val", "test"):
        one, other = getattr(before, name), getattr(again.dataset, name)
        assert one.inputs.equal(other.inputs)
        assert one.targets.equal(other.targets)
    assert again.fingerprint == job.fingerprint
    assert not again.resplits


def test_what_is_split_anew_for_each_seed_is_not_sent() -> None:
    assert make_job("data=wine").resplits
    assert sent(make_job("data=wine")) == {}


def test_another_job_on_the_same_rows_splits_them_anew() -> None:
    """Sent is what one asks for, and the other asks for more."""
    found = sent(make_job("data=wine"), make_job("data=wine", "data.resplit=false"))
    forget_data()
    take_data(found)
    kept, anew, always = (
        make_job("data=wine", "seeds=2", *rest) for rest in (("data.resplit=false",), (), ("data.resplit=true",))
    )
    assert not kept.resplits
    for job in (anew, always):
        assert job.resplits
        assert not job.dataset_for(0).train.inputs.equal(job.dataset_for(1).train.inputs)


def test_what_is_sent_takes_the_place_of_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (make_job(f"data={name}", "data.resplit=false") for name in ("wine", "digits"))
    one, other = sent(first), sent(second)
    take_data(one)
    take_data(other)
    data._load_dataset.cache_clear()
    monkeypatch.setattr(data, "target", lambda *_: lambda: pytest.fail("loaded"))
    assert len(second.dataset.train)
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        _ = first.dataset


def test_more_than_stay_in_memory_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [make_job(f"data={name}", "data.resplit=false") for name in ("wine", "digits")]
    monkeypatch.setattr(data, "KEPT_DATA", 1)
    assert sent(*jobs) == {}


def test_what_is_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("data=wine", "data.resplit=false")
    monkeypatch.setattr(data, "SENT", sum(part.inputs.nbytes for part in data._parts(job.dataset)))
    assert sent(job) == {}


class Own(Dataset):
    """A user's, that knows more."""


def test_what_may_know_more_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("data=wine", "data.resplit=false")
    rows = job.dataset.train
    own = Own(rows, rows, rows, 3, validates_on_test=True)
    forget_data()
    monkeypatch.setattr(data, "target", lambda *_: lambda: own)
    assert job.dataset is own
    assert sent(job) == {}
