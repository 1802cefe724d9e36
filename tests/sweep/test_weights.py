"""Trained weights: kept whole, read again, and no part of what a job is."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import initlab
from initlab.base.errors import UserError
from initlab.modules.stack import stack_members
from initlab.tables.store import read_table
from tests.helpers import QUICK, make_job, run, train

MODEL = "model.hidden=[5] model.norm=batch"


def test_saved_weights_are_those_of_the_trained_members(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"-m init=he,xavier save=all {MODEL} max_members=2 {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    (folder,) = study.glob("*init=he*")
    held = load_file(folder / "weights.safetensors")
    module = train(make_job("init=he", "seeds=3", "trainer.max_epochs=2", *MODEL.split()))
    for member in range(3):  # of which two trained in another cohort
        for name, value in module.stack.member(member).items():
            torch.testing.assert_close(held[f"{member}/{name}"], value, rtol=1e-4, atol=1e-6)
    assert not (folder / ".weights").exists()
    assert not list(study.rglob("*.partial"))


def test_the_best_is_kept_and_can_be_gone_on_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"init=he save=best {MODEL} {QUICK}", monkeypatch, tmp_path) == 0
    (path,) = (tmp_path / "outputs" / "study").rglob("weights.safetensors")
    members = read_table(path.parent, "members")
    with safe_open(path, framework="pt") as held:
        best = int(held.metadata()["best"])
        assert {name.partition("/")[0] for name in held.keys()} == {str(best)}  # noqa: SIM118
    assert members["val_score"].iloc[best] == members["val_score"].max()
    job = make_job("init=pretrained", f"init.path='{path}'", *MODEL.split())
    networks = stack_members([job.build_member(job.members()[0])])
    network = networks.template.eval()
    network.load_state_dict(networks.member(0))
    own = job.dataset_for(best).test  # as its seeds count from 0
    score = (network(own.inputs).argmax(1) == own.targets).double().mean()
    assert float(score) == pytest.approx(float(members["test_score"].iloc[best]))
    capsys.readouterr()
    command = f"init=pretrained 'init.path=\"{path}\"' {MODEL} {QUICK}2"
    assert run(command, monkeypatch, tmp_path) == 0
    assert f"weights found there: member {best}, the best" in capsys.readouterr().out
    other = make_job("init=pretrained", f"init.path='{path}'", "init.member=9", *MODEL.split())
    with pytest.raises(UserError, match=r"init.member=9: .* has the members"):
        other.build_member(other.members()[0])


def test_a_finished_job_that_kept_nothing_is_trained_again_to_keep_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "outputs" / "study"
    assert run(f"init=he {QUICK}", monkeypatch, tmp_path) == 0
    before = read_table(next(study.glob("*init=he*")), "members")
    assert run(f"init=he {QUICK} save=best", monkeypatch, tmp_path) == 0
    (folder,) = study.glob("*init=he*")  # the same job in the same folder
    assert (folder / "weights.safetensors").exists()
    np.testing.assert_array_equal(read_table(folder, "members")["test_loss"], before["test_loss"])
    capsys.readouterr()
    assert run(f"init=he {QUICK} save=best", monkeypatch, tmp_path) == 0
    assert "1 of 1 job is finished already" in capsys.readouterr().out
    assert run(f"init=he {QUICK} save=all", monkeypatch, tmp_path) == 0
    with safe_open(folder / "weights.safetensors", framework="pt") as held:
        assert held.metadata()["save"] == "all"


class Lit(pl.LightningModule):
    """A module of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(3, 2)


@pytest.mark.parametrize("key", ["model", "model_state_dict", "state_dict", "net"])
def test_a_state_dict_is_found_where_others_keep_it(key: str, tmp_path: Path) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = torch.optim.Adam(source.parameters())
    source(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, key: source.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    report = initlab.initialize(target, "pretrained", path=tmp_path / "a.pt", seed=0)
    assert torch.equal(target.weight, source.weight)
    assert report["weight"].note == f"from a.pt, under '{key}'"


def test_a_real_checkpoint_of_lightning(tmp_path: Path) -> None:
    source = Lit()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=False)
    trainer.strategy.connect(source)
    trainer.save_checkpoint(tmp_path / "epoch=6.ckpt")
    target = nn.Linear(3, 2)
    initlab.initialize(target, "pretrained", path=tmp_path / "epoch=6.ckpt", prefix="net.", seed=0)
    assert torch.equal(target.weight, source.net.weight)
