"""Initializers of the user's own, on the command line."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from initlab.results.store import read_config
from tests.test_train import QUICK, run


def test_a_plugin_adds_its_names_to_the_sweep(own_scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = f"-m plugins=[{own_scheme}] init=halved,he {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    study = tmp_path / "outputs" / "study"
    summary = pd.read_csv(study / "summary.csv")
    assert set(summary["init"]) == {"halved", "he_normal"}
    (folder,) = study.glob("init=halved,*")
    assert "plugins" not in folder.name
    assert read_config(folder)["init"]["share"] == 0.5


def test_its_parameters_are_settable_and_checked(
    own_scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"plugins=[{own_scheme}] init=half init.share=0.1 {QUICK}", monkeypatch, tmp_path) == 0
    assert run(f"plugins=[{own_scheme}] init=half init.share=x {QUICK}", monkeypatch, tmp_path) == 2
    assert "init.share=x: expected a number" in capsys.readouterr().err
    assert run(f"plugins=[{own_scheme}] init=half init.shared=1 {QUICK}", monkeypatch, tmp_path) == 2
    assert "init.shared: init=halved has no such parameter; did you mean share?" in capsys.readouterr().err


def test_an_entry_point_needs_no_plugins_key(tmp_path: Path) -> None:
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
    command = [sys.executable, "-m", "initlab.train", "init=theirs", *QUICK.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "outputs" / "study").glob("init=theirs*/members.parquet"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "ModuleNotFoundError: No module named 'broken_plugin'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
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
