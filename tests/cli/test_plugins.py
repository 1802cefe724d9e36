"""Initializers of the user's own, on the command line."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.base.plugins import load_plugins
from initlab.base.wording import counted
from initlab.cli.apps import recommend
from initlab.tables.store import read_config, read_failure
from tests.commands import Commands
from tests.helpers import QUICK, make_job, run


def test_a_plugin_adds_its_names_to_the_sweep(own_scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = f"-m plugins=[{own_scheme}] init=halved,he {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    summary = pd.read_csv(study / "summary.csv")
    assert set(summary["init"]) == {"halved", "he_normal"}
    folder = study / "init=halved"
    assert read_config(folder)["init"]["share"] == 0.5


def test_its_parameters_are_settable_and_checked(
    own_scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"plugins=[{own_scheme}] init=half init.share=0.1 {QUICK}", monkeypatch, tmp_path) == 0
    assert run(f"plugins=[{own_scheme}] init=half init.share=x {QUICK}", monkeypatch, tmp_path) == 2
    assert "init.share=x: expected a number" in capsys.readouterr().err
    assert run(f"plugins=[{own_scheme}] init=half init.shared=1 {QUICK}", monkeypatch, tmp_path) == 2
    assert "init.shared: init=halved has no such parameter; did you mean share?" in capsys.readouterr().err


@pytest.mark.slow
def test_an_entry_point_needs_no_plugins_key(commands: Commands, tmp_path: Path) -> None:
    """A package that announces its module; run as a process of its own, with the package on its path."""
    (tmp_path / "their_schemes.py").write_text(
        "import initlab\n"
        "@initlab.register_initializer('theirs', source='their own')\n"
        "def theirs(weight):\n"
        "    'Fill `weight` with 0.1.'\n"
        "    weight.fill_(0.1)\n"
    )
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[initlab.initializers]\ntheirs = their_schemes\n")
    assert commands.run(f"init=theirs {QUICK}", tmp_path) == 0, (tmp_path / "errors.txt").read_text()
    assert list((tmp_path / "outputs" / "study").glob("init=theirs*/members.parquet"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'broken_plugin'"),
        ("1 / 0", "ZeroDivisionError: division by zero (broken_plugin.py, line 1, in <module>)"),
        ("\nimport nowhere", "ModuleNotFoundError: No module named 'nowhere' (broken_plugin.py, line 2, in <module>)"),
        ("\nx = (", "SyntaxError: '(' was never closed (broken_plugin.py, line 2)"),
        (
            "import initlab\n@initlab.register_initializer('he', source='')\ndef f(w):\n    'x.'",
            "named he is registered already",
        ),
    ],
)
def test_a_plugin_that_cannot_be_imported(
    content: str | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if content is not None:
        (tmp_path / "broken_plugin.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    assert run("plugins=[broken_plugin] init=he", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("initlab: plugins=[broken_plugin]: cannot import it: ")
    assert reason in said


def test_plugins_that_do_not_do_what_they_should(own_scheme: str, tmp_path: Path) -> None:
    """One that returns its weight instead of filling it, and one that draws from torch's own generator."""
    (tmp_path / f"{own_scheme}.py").write_text(
        "import initlab, torch\n"
        "@initlab.register_initializer('returns', source='our own')\n"
        "def returns(weight):\n"
        "    'Fill nothing.'\n"
        "    return torch.ones_like(weight)\n"
        "@initlab.register_initializer('careless', source='our own')\n"
        "def careless(weight):\n"
        "    'Fill `weight` from N(0, 1).'\n"
        "    torch.nn.init.normal_(weight)\n"
    )
    load_plugins([own_scheme])
    with pytest.raises(UserError, match="init=returns returned a Tensor: it must fill `weight` in place"):
        initlab.initialize(nn.Linear(4, 4), "returns", seed=0)
    layers = [nn.Linear(4, 4) for _ in range(3)]
    before = torch.random.get_rng_state()
    for layer, seed in zip(layers, (0, 0, 1), strict=True):
        initlab.initialize(layer, "careless", seed=seed)
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, layers[2].weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_scheme_of_single_weights_that_asks_for_the_network_is_pointed_to_the_other_level(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_scheme: str
) -> None:
    (tmp_path / f"{own_scheme}.py").write_text(
        "import initlab\n"
        "@initlab.register_initializer('by_depth', source='our own')\n"
        "def by_depth(weight, *, depth: int, generator):\n"
        "    'Fill `weight` from N(0, 1/depth).'\n"
        "    weight.normal_(0, depth**-0.5, generator=generator)\n"
    )
    assert run(f"plugins=[{own_scheme}] init=by_depth {QUICK}", monkeypatch, tmp_path) == 2
    assert capsys.readouterr().err == (
        "initlab: init.depth: missing; by_depth needs it: set init.depth=VALUE, or, if the network is to tell, "
        'register the scheme with level="model"\n'
    )


def test_a_function_that_asks_for_what_its_level_lacks_is_not_registered() -> None:
    def single(weight: torch.Tensor, *, context: object) -> None:
        """Ask for the whole network."""

    def whole(model: nn.Module, *, fan: object, context: object) -> None:
        """Ask for what one weight has."""

    def blind(model: nn.Module) -> None:
        """Ask for too little."""

    with pytest.raises(ValueError, match='single asks for context: register it with level="model"'):
        initlab.register_initializer("single", source="a test")(single)
    with pytest.raises(ValueError, match='whole, of level "model", asks for fan: take it from context, or register'):
        initlab.register_initializer("whole", level="model", source="a test")(whole)
    with pytest.raises(ValueError, match='blind, of level "model", does not take context'):
        initlab.register_initializer("blind", level="model", source="a test")(blind)
    assert not {"single", "whole", "blind"} & set(initlab.list_initializers())


def test_a_plugin_that_fails_at_one_seed_fails_its_job_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], own_scheme: str
) -> None:
    """Though the others share its cohort; and so does one that fails at every seed, before anything trains."""
    (tmp_path / f"{own_scheme}.py").write_text(
        "import initlab\n"
        "@initlab.register_initializer('flaky', source='our own')\n"
        "def flaky(weight, *, gain: float, at: float = 0.0, generator):\n"
        "    'Fill `weight`, or not.'\n"
        "    weight.normal_(0, gain, generator=generator)\n"
        "    if float(weight[0, 0]) > at:\n"
        "        raise ArithmeticError('not this seed')\n"
    )
    command = f"-m plugins={own_scheme} init=flaky,he,xavier +init.gain=0.1 seed=28 {QUICK}"
    assert run(command.replace("+init.gain=0.1", ""), monkeypatch, tmp_path) == 2
    assert "init.gain: missing; flaky needs it" in capsys.readouterr().err
    assert run(command.replace("+init", "++init"), monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    assert "1 of 3 jobs failed; " in said.err
    study = tmp_path / "outputs" / "study"
    assert len(pd.read_csv(study / "summary.csv")) == 2
    (error,) = study.glob("*/error.txt")
    assert "init=flaky failed: ArithmeticError: not this seed" in error.read_text()
    always = f"-m plugins=[{own_scheme}] init=flaky,he ++init.gain=0.1 {QUICK} name=other"
    assert run(always, monkeypatch, tmp_path) == 1  # at seed 0, which is checked before
    said = capsys.readouterr()
    assert "left out" not in said.out
    assert "1 of 2 jobs failed; the traceback is in " in said.err
    (error,) = (tmp_path / "outputs" / "other").glob("*/error.txt")
    reason = f"init=flaky failed: ArithmeticError: not this seed ({own_scheme}.py, line 7, in flaky)"
    assert read_failure(error.parent) == reason
    assert "raise ArithmeticError('not this seed')" in error.read_text()  # the user's own line
    assert len(list((tmp_path / "outputs" / "other").glob("*/members.parquet"))) == 1


@pytest.fixture
def own_activation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's module, importable while the test runs, that registers `bump` and a scheme that looks at it."""
    (tmp_path / "own_activations.py").write_text(
        "import initlab, torch\n"
        "class Bump(torch.nn.Module):\n"
        "    def __init__(self, width: float = 1.0):\n"
        "        super().__init__()\n"
        "        self.width = width\n"
        "    def forward(self, z):\n"
        "        return z * torch.exp(-(z / self.width) ** 2)\n"
        "initlab.register_activation('bump', Bump)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_activations"
    sys.modules.pop("own_activations", None)


def test_a_plugin_adds_an_activation(
    own_activation: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"-m plugins=[{own_activation}] activation=bump,relu init.gain=moment {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    assert set(pd.read_csv(study / "summary.csv")["activation"]) == {"bump", "relu"}
    assert read_config(study / "activation=bump")["activation"] == {"name": "bump", "width": 1.0}
    # Its source is a part of what the results are of; those of torch's own are none of the user's.
    job = make_job(f"plugins=[{own_activation}]", "activation=bump")
    assert "own_activations.py" in job.sources
    assert make_job(f"plugins=[{own_activation}]", "activation=relu").sources == {}
    capsys.readouterr()
    assert run(f"plugins={own_activation} activation=bump activation.widht=x {QUICK}", monkeypatch, tmp_path) == 2
    assert "activation.widht: unknown key of activation=bump; did you mean width?" in capsys.readouterr().err
    assert run(f"activation=bupm {QUICK}", monkeypatch, tmp_path) == 2
    assert "one of your own needs plugins=[MODULE]" in capsys.readouterr().err


def test_an_activation_of_ones_own_trains_in_a_process_of_its_own(
    commands: Commands, own_activation: str, tmp_path: Path
) -> None:
    command = f"-m plugins={own_activation} activation=bump init=he,mean_field n_jobs=2 {QUICK}"
    assert commands.run(command, tmp_path) == 0, (tmp_path / "errors.txt").read_text()
    assert len(list((tmp_path / "outputs" / "study").glob("*/members.parquet"))) == 2
    listed = tmp_path / "listed"
    listed.mkdir()
    shutil.copy(tmp_path / f"{own_activation}.py", listed)
    assert commands.run(f"--plugins {own_activation} --json", listed, program="schemes") == 0
    assert "bump" in {row["activation"] for row in json.loads((listed / "said.txt").read_text())["gains"]}


@pytest.mark.parametrize("name", ["swish", "relu2", "gelu_tanh"])
def test_other_names_of_activations_train_as_what_they_stand_for(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(f"-m activation={name},relu {QUICK}", monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    meant = Activation(name)
    assert read_config(study / f"activation={name}")["activation"] == {"name": meant.name, **meant.parameters}


@pytest.mark.parametrize(("others", "jobs"), [pytest.param(",he,zeros", 7, marks=pytest.mark.slow), ("", 1)])
def test_one_that_fails_fails_a_recommendation_as_it_does_a_sweep(
    others: str,
    jobs: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    own_scheme: str,
) -> None:
    """The others are looked at, trained and compared all the same, if there are others: torch's own alone is none."""
    (tmp_path / f"{own_scheme}.py").write_text(
        "import initlab\n"
        "@initlab.register_initializer('bad', source='our own')\n"
        "def bad(weight):\n"
        "    'Fill `weight`, or not.'\n"
        "    raise ArithmeticError('never')\n"
    )
    command = f"plugins={own_scheme} init=bad{others} recommend.rates=2 {QUICK}"
    assert run(command, monkeypatch, tmp_path, program=recommend) == 1
    said = capsys.readouterr()
    study = tmp_path / "outputs" / "recommend" / "study"
    assert f"1 of {counted(jobs, 'job')} failed; the traceback is in" in said.err
    (error,) = study.glob("*/error.txt")
    assert error.parent.name.startswith("init=bad")
    assert "raise ArithmeticError('never')" in error.read_text()
    assert "bad: failed, after" in said.out
    assert (study / "report.html").exists() is bool(others)
    assert len(list(study.glob("*/members.parquet"))) == (6 if others else 0)
