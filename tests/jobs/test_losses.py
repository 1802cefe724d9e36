"""The loss that is trained is the one that everything else looks at, too."""

import re
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from initlab.cli.apps import probe, recommend
from initlab.data.losses import build_loss, class_weights
from initlab.data.tabular import wine
from initlab.sweep.probing import probe_job
from tests.fixtures import ROOT
from tests.helpers import QUICK, make_job, run


def test_schemes_that_look_at_gradients_get_it() -> None:
    """GradInit and MetaInit fit the weights to the gradients of the loss: of another loss, other weights."""
    for scheme in ("gradinit", "metainit"):
        given = (f"init={scheme}", "model.hidden=[6]", "init.output=zeros")
        plain, smooth = (make_job(*given, *more) for more in ((), ("loss=hinge",)))
        weights = [list(job.build_member(job.members()[0]).parameters()) for job in (plain, smooth)]
        assert all(bool((own[-2] == 0).all()) for own in weights)  # the output layer keeps its rule
    fitted = ("init=gradinit", "model.hidden=[6]")
    plain, other = (make_job(*fitted, *more) for more in ((), ("loss=mse",)))
    one, two = (next(job.build_member(job.members()[0]).parameters()) for job in (plain, other))
    assert not torch.equal(one, two)


def test_the_signal_is_measured_with_it() -> None:
    """With a loss that is five times as large, gradients are so, too; signals are not."""
    plain, weighted = (
        probe_job(make_job("init=he", "seeds=2", *more)).signal for more in ((), ("loss.class_weights=[5,5,5]",))
    )
    pd.testing.assert_series_equal(plain["pre_second_moment"], weighted["pre_second_moment"])
    ratio = weighted["gradient_second_moment"] / plain["gradient_second_moment"]
    assert ratio.to_numpy() == pytest.approx(25, rel=1e-4)


def test_balanced_weights_let_every_class_count_the_same() -> None:
    dataset = wine()
    weights = class_weights("balanced", dataset)
    assert weights is not None
    counts = dataset.train.targets.bincount()
    assert (weights * counts).tolist() == pytest.approx([113 / 3] * 3)
    loss = build_loss({"name": "cross_entropy", "class_weights": "balanced"}, dataset)
    outputs = torch.randn(113, 4)  # one more output than classes, as in the tutorial on wines
    expected = F.cross_entropy(outputs, dataset.train.targets, reduction="none") * weights[dataset.train.targets]
    torch.testing.assert_close(loss(outputs, dataset.train.targets), expected)


@pytest.mark.slow
def test_recommend_and_probe_take_the_same_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "loss.label_smoothing=0.1 scheduler=cosine early_stopping.patience=1 optim.decay=weights"
    short = "init=he,xavier recommend.rates=2 trainer.max_epochs=3 seeds=3 logger=none report=false name=study"
    assert run(f"{short} {options}", monkeypatch, tmp_path, program=recommend) == 0
    assert run(f"init=he seeds=2 report=false name=looked {options}", monkeypatch, tmp_path, program=probe) == 0
    capsys.readouterr()


def test_options_are_told_apart_in_a_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(f"-m loss=auto,mse scheduler=none,cosine {QUICK}", monkeypatch, tmp_path) == 0
    summary = pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")
    assert set(zip(summary["loss"], summary["scheduler"], strict=True)) == {
        *(("auto", "none"), ("auto", "cosine"), ("mse", "none"), ("mse", "cosine"))
    }


def test_the_loss_of_the_guide_is_trained_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands there, by the commands that stand there."""
    section = (ROOT / "docs" / "guides" / "data.md").read_text().partition("## Your own loss")[2]
    code = re.search(r"^```python\n# focal.py\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert code is not None
    (tmp_path / "focal.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    commands = re.findall(r"^python -m initlab.train (.*)$", section, re.MULTILINE)
    assert len(commands) == 2
    for number, command in enumerate(commands):
        assert run(f"{command} {QUICK}{number}", monkeypatch, tmp_path) == 0
    summary = pd.read_csv(tmp_path / "outputs" / "study1" / "summary.csv")
    assert set(summary["loss.gamma"]) == {1, 3}
    outputs, targets = torch.randn(20, 3), torch.arange(20) % 3
    right = outputs.softmax(1)[torch.arange(20), targets]
    for gamma in (2.0, 3.0):
        loss = build_loss({"_target_": "focal.Focal", "gamma": gamma}, wine())
        torch.testing.assert_close(loss(outputs, targets), -((1 - right) ** gamma) * right.log())
        assert loss.separable
    capsys.readouterr()
