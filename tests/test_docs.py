"""What the README tells people to type works."""

import re
import shlex
from pathlib import Path

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from initlab.cli.grids import expand_grids
from initlab.initializers import registry
from tests.conftest import ROOT
from tests.helpers import make_job
from tests.results.studies import Cell, write_study

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = sorted(
    {
        *re.findall(r"python -m initlab\.(?:train|probe|recommend) (.*)", README),
        *re.findall(r"^\|[^|`]+\| `(.*)` \|$", README, re.MULTILINE),
    }
)


def jobs_of(command: str) -> list[list[str]]:
    """The overrides of each job of a command."""
    words = expand_grids([word for word in shlex.split(command) if word != "-m"])
    overrides = OverridesParser.create().parse_overrides(words)
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return batch


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 8
    assert len(jobs_of("-m init=zeros,normal,xavier,he")) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command: str) -> None:
    jobs = jobs_of(command)
    for overrides in [*jobs[:4], *jobs[-1:]]:  # Hydra takes 0.2 s a job
        assert make_job(*overrides).init


def test_the_second_block_is_what_ci_runs() -> None:
    assert "-m initlab.train -m init=zeros,normal,xavier,he" in BLOCKS[0]
    assert "pytest" in BLOCKS[1]
    assert "n == 2" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
def test_its_python_runs(
    block: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path / "outputs" / "study", Cell({"init.name": "he"}, [0.9, 0.8]), Cell({}, [0.5, 0.6]))
    monkeypatch.chdir(tmp_path)
    for name in ("_SCHEMES", "_ALIASES"):  # what an example registers is forgotten again
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    exec(block, {})
    assert "print" not in block or "layer4.1.conv2.weight" in capsys.readouterr().out


def test_its_picture_is_there() -> None:
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file()
