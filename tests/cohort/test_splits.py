"""Members that have splits of their own train in one cohort, each as it would alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import r2_score

from initlab.base.errors import UserError
from initlab.cohort.checkpoint import Checkpoint
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.data.dataset import Dataset
from initlab.data.stacked import StackedData
from initlab.data.tasks import r2_of_rows
from initlab.jobs.filling import batch_for
from initlab.jobs.share import Share
from initlab.results.study import read_study
from initlab.tables.store import read_table, write_table
from tests.helpers import make_job, run, train

SHORT = ("trainer.max_epochs=2",)
CASES = {
    "mlp": ("data=wine", "model.hidden=[8]", "optim=adamw"),
    "regression": ("data=teacher", "data.rows=1200", "data.outputs=2", "model.hidden=[8]"),
    "conv": (
        "data=digits",
        "model.channels=[4,4]",
        "model.dense=8",
        "trainer.max_epochs=1",
        "trainer.precision=64-true",
    ),
    "validates on test": ("data=wine", "model.hidden=[8]", "data.val_fraction=0"),
}


@pytest.mark.parametrize("engine", ["vmap", pytest.param("loop", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_a_member_of_mixed_splits_equals_the_same_member_alone(case: str, engine: str) -> None:
    job = make_job(*SHORT, *CASES[case], f"engine={engine}", "seeds=6")
    members = job.members()
    chosen = [members[place] for place in (4, 1, 4, 0, 1, 5)]
    together = train(job, chosen, threads=2)
    assert together.data.which == (0, 1, 0, 2, 1, 3)
    assert len(together.data.test) == 4 * len(job.dataset.test)
    for place in (0, 1, 5):
        alone = train(job, [chosen[place]])
        assert alone.data.which is None
        for name, value in alone.stack.parameters.items():
            torch.testing.assert_close(together.stack.parameters[name][place], value[0], rtol=1e-3, atol=1e-5)
        for one, other in zip(together.history, alone.history, strict=True):
            torch.testing.assert_close(one.values["loss"][place], other.values["loss"][0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(one.values["score"][place], other.values["score"][0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("engine", ["vmap", "loop"])
@pytest.mark.parametrize("case", ["mlp", "regression"])
def test_each_member_is_measured_on_its_own_rows(case: str, engine: str) -> None:
    """By hand: the network of each seed on the rows of its split."""
    job = make_job(*SHORT, *CASES[case], f"engine={engine}", "seeds=3")
    module = train(job)
    by_split = {record.split: record.values for record in module.history}
    assert module.test_scores is not None
    for place, member in enumerate(job.members()):
        own = job.dataset_for(member.seed)
        network = job.build_member(member).eval()
        network.load_state_dict({name: value[place].detach() for name, value in module.stack.parameters.items()})
        for name, rows in (("val", own.val), ("test", own.test)):
            with torch.no_grad():
                outputs = network(rows.inputs)
            classes = own.classes is not None
            loss = (F.cross_entropy if classes else F.mse_loss)(outputs, rows.targets)
            right = (outputs.argmax(1) == rows.targets).double() if classes else torch.empty(0)
            score = float(right.mean()) if classes else r2_score(rows.targets, outputs)
            assert float(by_split[name]["loss"][place]) == pytest.approx(float(loss), rel=1e-4)
            assert float(by_split[name]["score"][place]) == pytest.approx(score, abs=1e-5)
            if name == "test" and classes:
                assert module.test_scores[place].tolist() == right.tolist()
        assert float(module.test_scores[place].double().mean()) == pytest.approx(
            float(by_split["test"]["score"][place]), abs=1e-6
        )


def test_r2_of_a_row_is_how_r2_changes_with_its_weight() -> None:
    """By finite differences of the weighted R²."""
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(30, 1))
    outputs = targets + rng.normal(size=(30, 1))

    def weighted(place: int, more: float) -> float:
        weights = np.ones(30)
        weights[place] += more
        return float(r2_score(targets, outputs, sample_weight=weights))

    found = r2_of_rows(torch.tensor((outputs - targets) ** 2)[None], torch.tensor(targets)[None])[0]
    whole = r2_score(targets, outputs)
    for place in range(30):
        slope = (weighted(place, 1e-5) - weighted(place, -1e-5)) / 2e-5
        assert float(found[place]) == pytest.approx(whole + 30 * slope, abs=1e-3)
    assert float(found.mean()) == pytest.approx(whole, abs=1e-6)


def test_equal_seeds_share_rows_between_jobs() -> None:
    jobs = [make_job(f"init={init}", "seeds=3", "seed=2", *SHORT) for init in ("he", "lsuv")]
    for seed in range(2, 5):
        assert jobs[0].dataset_for(seed) is jobs[1].dataset_for(seed)
    assert jobs[0].resplits
    assert jobs[0].dataset is jobs[0].dataset_for(2)
    stacked = jobs[0].data.stacked([member.seed for job in jobs for member in job.members()])
    assert stacked.which == (0, 1, 2, 0, 1, 2)
    assert len(stacked.train) == 3 * 113


def test_a_scheme_that_looks_at_data_gets_the_members_own_training_rows() -> None:
    job = make_job("init=lsuv", "seeds=2", "init_rows=1000")
    for member in job.members():
        batch = batch_for(member, job.data, job.config.init_rows)
        assert batch is not None
        own = job.dataset_for(member.seed).train.inputs
        assert torch.equal(batch.inputs.sum(1).sort().values, own.sum(1).sort().values)
    assert not torch.equal(job.dataset_for(0).train.inputs, job.dataset_for(1).train.inputs)


@pytest.mark.parametrize("overrides", [("data.resplit=false",), ("experiment=classic_wine",)])
def test_without_resplitting_nothing_is_stacked(overrides: tuple[str, ...]) -> None:
    job = make_job(*overrides, "seeds=3")
    assert not job.resplits
    data = job.data.stacked([0, 1, 2])
    assert data.which is None
    assert data.train is job.dataset.train
    assert job.data.checksum == job.dataset.checksum
    assert job.dataset is job.dataset_for(2)


def test_what_the_key_may_be() -> None:
    with pytest.raises(UserError, match=r"^data.resplit=maybe: expected auto, true or false$"):
        make_job("data.resplit=maybe")
    job = make_job("data=csv", "data.path=x.csv", "data.target=y", "data.resplit=true")
    assert job.resolved["data"]["resplit"] is True
    assert "resplit" not in make_job("data=wine").resolved["data"]
    assert make_job("data=wine", "data.resplit=true").dataset is make_job("data=wine").dataset


def test_splits_of_different_sizes_are_refused_in_a_line() -> None:
    splits = {seed: _first_rows(make_job("data=wine").dataset_for(seed), 100 + seed) for seed in (0, 1)}
    with pytest.raises(UserError, match=r"^data.resplit: the split for seed 1 has 101 rows [^\n]*resplit=false$"):
        StackedData.by_seed(splits.__getitem__, [0, 1])


def _first_rows(data: Dataset, rows: int) -> Dataset:
    train = type(data.train)(data.train.inputs[:rows], data.train.targets[:rows])
    return Dataset(train, data.val, data.test, data.classes, validates_on_test=False)


def test_a_cohort_that_was_cut_short_ends_as_one_that_was_not(tmp_path: Path) -> None:
    job = make_job("data=wine", "model.hidden=[8]", "seeds=3", "trainer.max_epochs=4", "optim=adamw")
    share = Share(job, job.seeds)
    whole = train_cohort([share], build_networks(share))

    class Cut(Checkpoint):
        """Stops after two epochs."""

        def on_train_epoch_end(self, trainer: object, pl_module: object) -> None:
            super().on_train_epoch_end(trainer, pl_module)  # type: ignore[arg-type]
            if trainer.current_epoch == 1:  # type: ignore[attr-defined]
                raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train_cohort([share], build_networks(share), checkpoint=Cut(tmp_path / "c.ckpt", 0))
    resumed = train_cohort([share], build_networks(share), checkpoint=Checkpoint(tmp_path / "c.ckpt", 1e9))
    for name in ("members", "history", "rows"):
        one, other = getattr(whole, name), getattr(resumed, name)
        assert one.drop(columns="seconds", errors="ignore").equals(other.drop(columns="seconds", errors="ignore")), name


def test_the_command_says_it_and_writes_what_each_row_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = "seeds=3 trainer.max_epochs=2 logger=none report=false"
    assert run(f"-m name=a init=he,zeros {quick}", monkeypatch, tmp_path) == 0
    assert "wine: 113 rows to train on, 29 to validate, 36 to test on, split anew for each seed." in (
        capsys.readouterr().out
    )
    job = make_job("seeds=3")
    for init in ("he", "zeros"):
        folder = tmp_path / "outputs" / "a" / f"init={init}"
        rows, members = read_table(folder, "rows"), read_table(folder, "members")
        assert rows["seed"].tolist() == [0, 1, 2]
        for seed, places, scores in zip(rows["seed"], rows["rows"], rows["scores"], strict=True):
            assert places.tolist() == job.dataset_for(seed).test_rows.sort().values.tolist()
            assert scores.mean() == pytest.approx(members.loc[seed, "test_score"], abs=1e-6)
        metadata = read_study(tmp_path / "outputs" / "a").metadata[f"init={init}"]
        splits = [job.dataset_for(seed) for seed in range(3)]
        assert metadata["baseline"] == pytest.approx(np.mean([data.baseline for data in splits]))
        assert metadata["validation_baseline"] == pytest.approx(np.mean([data.validation_baseline for data in splits]))
        assert metadata["resplit"] is True
    assert run(f"name=b data.resplit=false {quick}", monkeypatch, tmp_path) == 0
    out = capsys.readouterr().out
    assert "36 to test on.\n" in out
    assert "splits stay the same for all seeds (data.resplit=false): what is told holds for this split" in " ".join(
        out.split()
    )
    assert run(f"name=c data.stratify=false data.test_fraction=.9 {quick}", monkeypatch, tmp_path) == 0
    assert "have no row of class" not in capsys.readouterr().out
    own = "import numpy as np\ndef make():\n    x = np.arange(60.0)[:, None]\n    return x, (np.arange(60) > 57) * 1\n"
    (tmp_path / "lopsided.py").write_text(own)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = "name=d data=function data.call=lopsided.make data.stratify=false seeds=20 dry_run=true"
    assert run(command, monkeypatch, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of 20 splits have no row of class 1 to train on; data.stratify=true keeps the share of each" in said


def test_many_test_rows_take_little_room(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    members = 20
    table = {"job": "x", "member": range(members), "seed": range(members), "rows": None}
    scores = [(rng.random(10_000) < 0.98).astype(np.float32) for _ in range(members)]
    frame = pd.DataFrame({**table, "scores": pd.Series(scores, dtype=object)})
    write_table(tmp_path, "rows", frame)
    assert (tmp_path / "rows.parquet").stat().st_size / members <= 1500
    again = read_table(tmp_path, "rows")
    assert all(np.array_equal(one, other) for one, other in zip(again["scores"], scores, strict=True))
    assert again["rows"].isna().all()


def test_a_member_that_diverged_has_no_scores_of_rows() -> None:
    job = make_job("seeds=2", *SHORT, "optim.lr=1e30", "init=he")
    share = Share(job, job.seeds)
    tables = train_cohort([share], build_networks(share))
    assert set(tables.members["status"]) == {"diverged"}
    assert tables.rows is not None
    assert tables.rows[["rows", "scores"]].isna().all().all()
