"""What a job is called, and what of its configuration tells it from others."""

from pathlib import Path

import pandas as pd
import pytest

from initlab.config.files import CONF
from initlab.config.names import (
    GROUPS,
    NOT_IDENTITY,
    UNSET,
    extended_name,
    hashed,
    job_name,
    short_name,
    swept_keys,
    without_unset,
)
from initlab.results.differences import differing_keys, flat_config
from initlab.tables.store import read_table
from initlab.tracking.hyperparameters import hyperparameters
from tests.helpers import QUICK, make_job, run

# Computed before there was a loss, a schedule, early stopping or weight decay to choose.
FORMER = {
    ("data=wine",): "4525a200c67354d0d08d8f64a9e8c62876b96681aff2c5ad2d3e2ceea8793e3c",
    ("data=digits", "init=lsuv"): "a98431f490d535ccfc40ef025f7540bf5c9a219ca5a9b4eacf65bb6987b3e57a",
    ("data=teacher", "optim=adamw"): "5cf9c4ea613247e7756850eb00ca7636d739b4dacfeece06aceeaefdfd45bce7",
    ("data=spirals", "gradient_clip=1.0", "init.output=xavier_uniform"): (
        "62c6a1ab2eb9b9cb3322f30432f17ef3acc995c5afe10d558e60cce460455282"
    ),
}


@pytest.mark.parametrize("overrides", FORMER)
def test_keys_that_nobody_set_do_not_change_a_fingerprint(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished job of an earlier version is not trained again, as long as results are the same.

    In these, all seeds had the split that the data set's function gives: its rows are the same to the bit.
    """
    monkeypatch.setattr("initlab.jobs.job.VERSION_WITH_SEEDS", 2)
    monkeypatch.setattr("initlab.jobs.data.JobData.checksum", property(lambda data: data.as_given.checksum))
    assert make_job(*overrides, "seed=4", "seeds=2").fingerprint_with_seeds(0, 10) == FORMER[overrides]


@pytest.mark.parametrize(
    "override",
    [
        "loss=mse",
        "loss.label_smoothing=0.1",
        "loss.class_weights=balanced",
        "scheduler=cosine",
        "early_stopping.patience=3",
        "optim.decay=weights",
        "optim.scaling=spectral",
        "optim.base_width=16",
    ],
)
def test_what_was_set_changes_it(override: str) -> None:
    job = make_job("data=wine", override)
    assert job.fingerprint != make_job("data=wine").fingerprint
    assert override.partition("=")[0].removesuffix(".name") in " ".join(flat_config(job.resolved))


def test_what_is_kept_of_a_job_is_no_part_of_it() -> None:
    assert make_job("data=wine", "save=all").fingerprint == make_job("data=wine").fingerprint


def test_the_defaults_of_train_yaml_are_those_that_count_as_unset() -> None:
    resolved = make_job("data=wine").resolved
    assert not UNSET.keys() & flat_config(resolved).keys()
    assert not {key.partition(".")[0] for key in UNSET} & {
        key for key in resolved if key not in ("init", "optim", "data")
    }
    assert without_unset({"loss": {"name": "mse", "_target_": None}}) == {"loss": {"name": "mse"}}


def test_a_target_that_replaces_an_optimizer_gives_its_name_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = f"-m data=wine optim._target_=torch.optim.RMSprop,torch.optim.Adagrad {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    folders = sorted((tmp_path / "outputs" / "study").glob("*/members.parquet"))
    assert {read_table(path.parent, "members")["optim"].iloc[0] for path in folders} == {"RMSprop", "Adagrad"}
    jobs = [make_job("data=wine", f"optim._target_=torch.optim.{name}") for name in ("RMSprop", "Adagrad")]
    assert [hyperparameters(flat_config(job.resolved))["optim"] for job in jobs] == ["RMSprop", "Adagrad"]
    differing = differing_keys({job.name: flat_config(job.resolved) for job in jobs})
    assert differing["optim"].tolist() == ["RMSprop", "Adagrad"]


def test_the_keys_of_a_replaced_optimizer_go_where_the_new_one_does_not_take_them() -> None:
    job = make_job("data=digits", "optim._target_=torch.optim.Adagrad", "optim.lr=0.1")
    assert "betas" not in job.config.optim
    assert job.config.optim["eps"] == 1e-8
    assert job.learning_rate == 0.1


def test_own_tables_are_named_after_their_files(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": [k % 7 for k in range(60)], "y": [k % 2 for k in range(60)]})
    names = []
    for name in ("apples.v2.csv", "pears.csv"):
        rows.to_csv(tmp_path / name, index=False)
        names.append(make_job("data=csv", f"data.path={tmp_path / name}", "data.target=y").key_columns["data"])
    assert names == ["apples", "pears"]
    named = make_job("data=csv", f"data.path={tmp_path}/pears.csv", "data.target=y", "data.name=fruit")
    assert named.key_columns["data"] == "fruit"
    plain = make_job("data=csv", f"data.path={tmp_path}/pears.csv", "data.target=y")
    assert hashed(plain.resolved)["data"]["name"] == "csv"  # as it was when all tables were called csv
    assert "keep" not in plain.resolved["data"]


def test_every_group_of_choices_may_name_a_folder() -> None:
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra", "lesson"}
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
