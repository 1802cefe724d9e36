"""The signal while networks train: the same rows as a probe, and no trace in the weights."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from initlab.cohort.networks import build_networks
from initlab.cohort.recording import SignalRecording
from initlab.cohort.run import train_cohort
from initlab.jobs.job import Job
from initlab.jobs.share import Share
from initlab.modules.batch import Batch
from initlab.sweep.probing import probe_job
from initlab.tables.store import read_table
from tests.helpers import make_job, run, train

QUICK = ("seeds=3", "trainer.max_epochs=4", "signal.every=2", "signal.rows=32")


def shares_of(*jobs: Job) -> list[Share]:
    return [Share(job, job.seeds) for job in jobs]


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.norm=batch",),
        ("model.dropout=0.3",),
        ("data=digits", "model=cnn", "trainer.max_epochs=2"),
    ],
    ids=["batch norm", "dropout", "loop engine"],
)
def test_looking_changes_nothing(overrides: tuple[str, ...]) -> None:
    """Weights, buffers and what dropout draws are the same to the bit."""
    job = make_job(*QUICK, *overrides)
    without = train(job)
    watched = train(job, callbacks=[SignalRecording(shares_of(job), every=1)])
    for one, other in zip(without.parameter_stack, watched.parameter_stack, strict=True):
        assert torch.equal(one, other)
    for (name, one), (_, other) in zip(without.named_buffers(), watched.named_buffers(), strict=True):
        assert torch.equal(one, other), name


def test_before_training_it_is_what_a_probe_finds() -> None:
    jobs = [make_job(*QUICK, f"init={name}", "activation=tanh") for name in ("he", "xavier")]
    shares = shares_of(*jobs)
    tables = train_cohort(shares, [network for share in shares for network in build_networks(share)]).by_job()
    assert list(tables) == [job.name for job in jobs]
    for job, found in zip(jobs, tables.values(), strict=True):
        assert found.signal is not None
        assert sorted(found.signal["epoch"].unique()) == [0, 2, 4]
        assert len(found.signal) == 3 * 3 * 3
        start = found.signal[found.signal["epoch"] == 0].reset_index(drop=True).drop(columns="job")
        pd.testing.assert_frame_equal(start, probe_job(job).signal, check_dtype=False, rtol=1e-5)
        later = found.signal[found.signal["epoch"] > 0]
        assert set(later["no_prediction"]) == {"training has changed the weights"}
        assert later["predicted_second_moment"].isna().all()


def test_after_training_it_is_of_the_trained_networks() -> None:
    job = make_job(*QUICK)
    recording = SignalRecording(shares_of(job), every=3)
    module = train(job, callbacks=[recording])
    (table,) = recording.tables()
    assert sorted(table["epoch"].unique()) == [0, 3, 4]
    rows: Batch = job.rows_to_look_at()
    weight, bias = (module.stack.parameters[f"hidden.0.{name}"].detach() for name in ("weight", "bias"))
    before = torch.einsum("bi,moi->mbo", rows.inputs, weight) + bias.unsqueeze(1)
    last = table[(table["epoch"] == 4) & (table["position"] == 1)]
    np.testing.assert_allclose(last["pre_second_moment"], before.square().mean((1, 2)), rtol=1e-5)


def test_a_study_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the job's folder and in TensorBoard; a split job has all its members, and other numbers of rows their own."""
    command = "-m name=study init=he,xavier model.depth=3 max_members=2 n_jobs=1 " + " ".join(QUICK)
    assert run(command, monkeypatch, tmp_path) == 0
    folders = sorted((tmp_path / "outputs" / "study").glob("*init=*"))
    assert len(folders) == 2
    for folder in folders:
        table = read_table(folder, "signal")
        assert set(table["job"]) == {folder.name}
        assert list(table["member"].unique()) == [0, 1, 2]
        assert len(table) == 3 * 3 * 4
        log = EventAccumulator(str(folder), size_guidance={"images": 0})
        log.Reload()
        tags = log.Tags()
        assert "signal by depth" in tags["images"]
        values = log.Scalars("signal_gradient_mean_square/001_hidden.0")
        means = table[table["position"] == 1].groupby("epoch")["gradient_second_moment"].mean()
        assert [value.step for value in values] == [0, 2, 4]
        np.testing.assert_allclose([value.value for value in values], means.to_numpy(np.float64), rtol=1e-5)


def test_bad_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting, message in {
        "signal.every=0": "signal.every=0: expected a whole number of epochs of at least 1, or null",
        "signal.rows=1": "signal.rows=1: expected a whole number of at least 2",
        "signal.evry=3": "signal.evry: unknown key; did you mean every?",
    }.items():
        assert run(setting, monkeypatch, tmp_path) == 2
        assert message in capsys.readouterr().err
