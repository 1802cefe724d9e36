"""The names of folders: what varies, and no more."""

import pytest

from initlab.cli.command import CONF
from initlab.config.names import GROUPS, NOT_IDENTITY, extended_name, job_name, short_name, swept_keys


def test_every_group_of_choices_may_name_a_folder() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    assert folders - NOT_IDENTITY == GROUPS


@pytest.mark.parametrize(
    ("overrides", "swept", "name"),
    [
        (["init=he", "seeds=3", "batch_size=16"], set(), "init=he"),
        (["batch_size=8", "data=mnist", "init=he", "optim.lr=1"], {"optim.lr"}, "data=mnist,init=he,optim.lr=1"),
        (["seeds=3", "batch_size=16"], set(), "defaults"),
        (["model.depth=5", "seed=3"], {"model.depth", "seed"}, "model.depth=5"),
        (["+model.breaks=true", "n_jobs=2"], {"model.breaks", "n_jobs"}, "+model.breaks=true"),
        (["logger=none", "+logger@logger.csv=csv", "init=he"], {"init"}, "init=he"),
    ],
)  # fmt: skip
def test_a_job_is_named_by_what_varies(overrides: list[str], swept: set[str], name: str) -> None:
    assert short_name(overrides, swept) == name


def test_what_varies_is_what_differs_between_jobs() -> None:
    jobs = [["init=he", "optim.lr=0.1", "seeds=3"], ["init=he", "optim.lr=0.2", "seeds=3"]]
    assert swept_keys(jobs) == {"optim.lr"}
    assert swept_keys(jobs[:1]) == frozenset()


def test_a_longer_name_is_as_one_that_was_made_at_once() -> None:
    assert extended_name("defaults", ["seeds=5"]) == "seeds=5"
    assert extended_name("init=he", ["seed=5", "batch_size=3"]) == "init=he,batch_size=3,seed=5"
    assert extended_name("data=csv", ["data.path=/a b"]).startswith("data=csv,data.path=_a_b-")
    assert len(extended_name("init=he", ["x=" + "y" * 300])) < 140
    assert job_name(["init=he", "name=x"]) == "init=he"
