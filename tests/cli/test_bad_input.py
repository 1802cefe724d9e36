"""Mistakes on the command line and in what it names: one line each, before anything trains."""

from pathlib import Path

import pandas as pd
import pytest
from torchvision.datasets import CIFAR10, KMNIST, MNIST

from initlab.data import tabular
from tests.helpers import QUICK, run

BAD_INPUT = {
    "init=xaver": "init=xaver: unknown init; did you mean xavier",
    "-m init=he,hee": "init=hee: unknown init; did you mean he",
    "activation=rellu": "activation=rellu: unknown activation; did you mean relu",
    "data=winee": "data=winee: unknown data; did you mean wine? known: adding, arrays, cifar10, copy, csv",
    "experiment=classic": "experiment=classic: unknown experiment",
    "seedz=3": "seedz: unknown key; did you mean seed or seeds or max_seeds?",
    "optim.lrr=3": "optim.lrr: unknown key of optim=sgd, which data=wine brings; did you mean lr?",
    "+optim.foo=1": "optim.foo: unknown key; known: dampening",
    "+model.with=3": "model.with: unknown key; did you mean width? known: bias, depth, dropout, hidden, norm, width",
    "+init.foo=1": "init.foo: init=he_normal has no such parameter; it has bias, embedding, gain, mode",
    "+trainer.gradient_clip_val=1": "trainer.gradient_clip_val: unknown key; known: accelerator",
    "+batch_size=8": "+batch_size=8: batch_size is there already; write batch_size=8, without the +\n",
    "model=mlp +model.depth=8": "+model.depth=8: model.depth is there already; write model.depth=8, without the +\n",
    "-m model=mlp +model.depth=8,9": "+model.depth=8: model.depth is there already; write model.depth=8, without",
    "+model=mlp": "+model=mlp: model is there already; write model=mlp, without the +\n",
    "-m +init=he,zeros": "+init=he,zeros: init is there already; write init=he,zeros, without the +\n",
    "+experiment=classic_wine": "+experiment=classic_wine: experiment is there already; write experiment=classic_wine, "
    "without the +\n",
    "+logger=csv": "+logger=csv: logger is there already; write logger=csv, without the +\n",
    "optim.lr=[0.1,0.01]": "optim.lr=[0.1, 0.01]: expected a positive number; to sweep over several, -m "
    "optim.lr=0.1,0.01\n",
    "batch_size=[32,64]": "batch_size=[32, 64]: expected a whole number; to sweep over several, -m batch_size=32,64\n",
    "model.depth=[2,3]": "model.depth=[2, 3]: expected a whole number; to sweep over several, -m model.depth=2,3\n",
    "init.gain=[1,2]": "init.gain=[1, 2]: expected a positive number or one of kaiming, moment, derivative; to sweep "
    "over several, -m init.gain=1,2\n",
    "model._target_=torch.nn.Sequentail": "has no attribute 'Sequentail'; did you mean Sequential?\n",
    "model._target_=torch.nnn.Linear": "No module named 'torch.nnn'; did you mean torch.nn?\n",
    "loss._target_=torch.nn.MSELos": "has no attribute 'MSELos'; did you mean MSELoss",
    "optim._target_=torch.optim.Adm": "has no attribute 'Adm'; did you mean Adam",
    "optim.lr=abc": "optim.lr=abc: expected a positive number",
    "optim.lr=-1": "optim.lr=-1: expected a positive number",
    "seeds=0": "seeds=0: expected a whole number of at least 1",
    "-m seeds=1,0": "seeds=0: expected a whole number of at least 1",
    "seeds=1.5": "seeds=1.5: expected a whole number",
    "model.hidden=64": "model.hidden=64: expected a list with a whole number in each place",
    "trainer.max_epochs=0": "trainer.max_epochs=0: expected a whole number of at least 1",
    "trainer.precision=16-mixed": "trainer.precision=16-mixed: expected one of 32-true, 64-true, bf16-mixed",
    "trainer.accelerator=tpu": "trainer: ",
    "trainer.accelerator=abacus": "trainer: You selected an invalid accelerator name",
    "+trainer.profiler=abacus": "trainer: When passing string value for the `profiler` parameter",
    "init.gain=big": "init.gain=big: expected a positive number or one of kaiming, moment",
    "init.gain=kaiming activation=gelu": "torch knows no gain for gelu",
    "init.output=hee": "init.output=hee: unknown initializer; did you mean he",
    "data=wine model=cnn": "model=cnn needs images",
    "data=mnist data.download=false": "cannot read MNIST from",
    "data.test_fraction=0.001": "data.test_fraction=0.001: ",
    "model.out_features=2": "model.out_features=2: the data has 3 classes",
    "model._target_=nowhere.Net": "model._target_=nowhere.Net: cannot import it: ModuleNotFoundError: No module named",
    "optim._target_=torch.optim.LBFGS": "members can share an elementwise optimizer only",
    "name=a/b": "name=a/b: expected the plain name of a folder",
    "engine=turbo": "engine=turbo: expected one of auto, vmap, loop",
    "seeds": "seeds: ",
    "init=constant init.value=x": "init.value=x: expected a number",
    "init.bias=none": "init.bias=none: expected a number, torch_default, or null for the scheme's own rule",
    "init=normal init.gain=2": "init.gain: init=normal has no such parameter; known: bias, embedding, name, output",
    "-m init=he,zeros init.std=0.1": "init.std: init=he_normal has no such parameter",
    "init=fixup": "init=fixup works on residual branches, and MLP names none; choose a residual network",
    "init=pretrained": "init=pretrained: name the checkpoint, init.path=FILE",
    "init=pretrained init.path=nowhere.pt": "init.path=nowhere.pt: no such file",
    "init=mean_field init.sigma_b=0.1": "no σ_w makes relu critical at σ_b² = 0.01",
    "init=he init.output=lsuv": "init.output=lsuv: works on whole networks only",
    "init=lsuv init.base=metainit": "init.base=metainit: works on whole networks only",
    "init=he init.output_layer=head": "init.output_layer=head: the network has no such layer with a weight",
    "init=lsuv init.tries=0": "init.tries=0: expected a positive number",
    "init_rows=1": "init_rows=1: expected a whole number of at least 2",
    "plugins=my_module": "plugins=[my_module]: cannot import it",
    "batch_size=1 model.norm=batch": "Expected more than 1 value per channel when training",
    "init.gain=-1": "init.gain=-1: expected a positive number",
    "model.out_features=abc": "model.out_features=abc: expected a whole number",
    "model.width=0": "model.width=0: expected a whole number of at least 1",
    "data=digits model.dense=0": "model.dense=0: expected a whole number of at least 1",
    "data=digits model=vit model.patch=3": "model.patch=3: does not divide the 8×8 image into whole patches",
    "optim.weight_decay=-1": "optim: torch.optim.SGD refuses this: Invalid weight_decay",
    "optim=adam optim.betas=[2,0.9]": "optim: torch.optim.Adam refuses this: Invalid beta",
    "optim.scaling=mup": "optim.scaling=mup: needs the width at which optim.lr was found; set optim.base_width",
    "optim.scaling=mup optim.base_width=65": "optim.base_width=65 is more than model.width=64; set one that is not",
    "optim.scaling=mup optim.base_width=8 model.hidden=[9]": "model=mlp is the same at widths 8 and 64",
    "data=digits optim.scaling=mup optim.base_width=8": "model=cnn has no key width that could be optim.base_width",
    "data=digits model=vit optim.scaling=mup optim.base_width=6": "optim.base_width=6 is no width of this network",
    "optim.scaling=wide": "optim.scaling=wide: expected one of standard, mup, spectral",
    "optim.base_width=0": "optim.base_width=0: expected a whole number of at least 1, or null",
    "init=mup": "init=mup needs the width at which the network is that of its base; set optim.base_width",
    "init=mup optim.base_width=65": "init.base_width=65: expected at least 1, and at most 64, the inputs",
    "optim.lr=inf": "optim.lr=inf: expected a positive number",
    "data.test_fraction=10": "data.test_fraction=10: expected a share in (0, 1)",
    "logger._target_=nowhere.X": "logger._target_=nowhere.X: cannot import it",
    "trainer._target_=nowhere.X": "trainer._target_=nowhere.X: cannot import it",
    "~data.name": "data.name: missing",
    "init=xavier,he": "init=xavier,he: to sweep over several values, put -m before the first argument\n",
    "optim.lr=0.1,1e-2": "optim.lr=0.1,1e-2: to sweep over several values, put -m before the first argument\n",
    "data=csv data.path=a,b.csv": "if it is one value, quote it: 'data.path=\"a,b.csv\"'",
    "-m optim=sgd,adam optim._target_=torch.optim.RMSprop": (
        "optim._target_=torch.optim.RMSprop: replaces what optim= names, so that optim=sgd and optim=adam would be the "
        "same; leave one out"
    ),
    "model=null": "choose by name",
    "-m threads=1,2": "do not sweep where or how to run",
    "-m output_dir=a,b": "a sweep writes to one folder",
    "threshold=2": "threshold=2: expected a score in (0, 1]",
    "data=cifar10 data.download=false": "data=cifar10: cannot read CIFAR10 from",
    "data=csv": "data=csv needs data.path=FILE, a table with a header line, and data.target=COLUMN",
    "data=csv data.path=no.csv data.target=y": "data.path=no.csv: there is no such file",
    "data=csv data.path=no.csv data.target=y data.task=sort": "data.task=sort: expected one of auto, classification",
    "data=csv data.path=no.csv data.target=y data.ignore=x": "data.ignore=x: expected a list with a word or",
    "data=teacher data.activation=rellu": "data.activation=rellu: unknown activation; did you mean relu",
    "data=teacher data.rows=3": "data.rows=3: expected at least 10",
    "data=teacher model.out_features=2": "model.out_features=2: the data asks for 1, one a target; set null",
    "data=teacher data.outputs=3 model.out_features=2": "model.out_features=2: the data asks for 3, one a target",
}


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_line_before_anything_trains(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, monkeypatch, tmp_path) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.err.startswith("initlab: ")
    assert BAD_INPUT[command] in said.err
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("name", ["mnist", "kmnist", "cifar10"])
def test_no_network(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The download is tried, at an address where nobody answers."""
    nobody = "http://127.0.0.1:9/"
    monkeypatch.setattr(MNIST, "mirrors", [nobody])
    monkeypatch.setattr(KMNIST, "mirrors", [nobody])
    monkeypatch.setattr(CIFAR10, "url", nobody + CIFAR10.filename)
    assert run(f"data={name} data.dir={tmp_path}/files", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in (
        f"data={name}: ",
        f"{tmp_path}/files",
        "Connection refused",
        "data=wine",
        "data=digits",
        "INITLAB_DATA",
    ):
        assert word in said


def test_a_damaged_table_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / tabular.WINE_QUALITY_FILE).write_text("a;b\n1;2;3;4\n1\n2;3;4;5;6;7\n")
    assert run(f"data=wine_quality data.dir={tmp_path}", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert tabular.WINE_QUALITY_FILE in said


@pytest.mark.parametrize("mode", ["", "-m"])
def test_an_unwritable_output_directory(
    mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert run(f"{mode} init=he output_dir={tmp_path}/file/out", monkeypatch, tmp_path) == 2
    assert "set output_dir=DIR" in capsys.readouterr().err


def test_pairs_that_do_not_exist_are_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m model=mlp,residual_mlp model.depth=2 init=fixup,he,mean_field activation=relu,softplus {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert "4 of 12 jobs are left out" in said
    reasons = [line for line in said.splitlines() if line.startswith("left out: ")]
    assert len(reasons) == 2
    assert "works on residual branches, and MLP names none" in reasons[0]
    assert "no σ_w makes softplus critical" in reasons[1]
    names = [line for line in said.splitlines() if line.startswith("  ") and "init=" in line]
    assert sum("init=mean_field" in name and "activation=softplus" in name for name in names) == 2
    assert sum("init=fixup" in name and "model=mlp" in name for name in names) == 2
    assert len(pd.read_csv(tmp_path / "outputs" / "study" / "summary.csv")) == 8
