"""What the README and the documentation tell people to type works, and the site builds."""

import copy
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

import initlab
from initlab.cli.grids import expand_grids
from initlab.cli.run_schemes import main as show_schemes
from initlab.initializers import registry
from tests.fixtures import ROOT
from tests.helpers import make_job
from tests.results.studies import Cell, write_study

README = (ROOT / "README.md").read_text()
PAGES = {"README.md": README} | {
    str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))
}
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [
    pytest.param(page, re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL), id=page)
    for page, text in PAGES.items()
    if "```python\n" in text
]
# What a reader has written by then, on the same page: tests of plug-ins, networks and data sets go through such.
OF_ONES_OWN = re.compile(r"plugins=|_target_=|--config-dir|data=(?:csv|arrays|function)|submitit|init\.path=")
TYPED = re.compile(r"^(?:\$ | {4}|\| [^|`]+\| `)?python -m initlab\.((?:train|probe|recommend) [^`\n]*)", re.MULTILINE)
ROWS = re.compile(r"^\|[^|`]+\| `(?!python)([^`]*=[^`]*)` \|$", re.MULTILINE)
FOUND = {
    command
    for page, text in PAGES.items()
    if not page.startswith("docs/textbook/")  # tests/lessons composes those
    for command in (*TYPED.findall(text.replace("\\\n", "")), *(f"train {row}" for row in ROWS.findall(text)))
}
COMMANDS = sorted(
    command for command in FOUND if not OF_ONES_OWN.search(command) and "--" not in command and "xavir" not in command
)


def jobs_of(command: str) -> list[list[str]]:
    """The overrides of each job of a command, given without its program."""
    words = expand_grids([word for word in shlex.split(command, comments=True) if word != "-m"])
    overrides = OverridesParser.create().parse_overrides(words)
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return batch


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 40
    assert len(jobs_of("-m init=zeros,normal,xavier,he")) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_composes(command: str) -> None:
    program, _, typed = command.partition(" ")
    jobs = jobs_of(typed)
    for overrides in [jobs[0], *jobs[1:][-1:]]:  # Hydra takes 0.2 s a job
        assert make_job(*overrides, config=program).init


def test_the_second_block_is_what_ci_runs() -> None:
    assert "-m initlab.train -m init=zeros,normal,xavier,he" in BLOCKS[0]
    assert "pytest" in BLOCKS[1]
    assert "n == 2" in (ROOT / ".ci" / "run").read_text()
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize(("page", "blocks"), PYTHON)
def test_its_python_runs(page: str, blocks: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All blocks of a page, one after another, in a folder that holds a study."""
    study = tmp_path / "outputs" / "study"
    first = Cell({"init.name": "he_normal"}, [0.9, 0.8])
    write_study(study, first, Cell({}, [0.5, 0.6]))
    (study / first.name).rename(study / "init=he")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("_SCHEMES", "_ALIASES"):  # what an example registers is forgotten again
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    run_blocks(page, blocks)


def run_blocks(page: str, blocks: Sequence[str]) -> None:
    """Each block of a page with the names of those before it; what raises there, raises here."""
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        before = set(names)
        exec(compile(block, f"{page}, block {number + 1}", "exec"), names)
        assert set(names) > before, f"{page}, block {number + 1} does nothing"


@pytest.mark.parametrize(
    ("blocks", "raised"),
    [
        (["import initlab\n", "initlab.no_such_function()\n"], AttributeError),
        (["model = 1\n", "made = modle\n"], NameError),
        (["def f(:\n"], SyntaxError),
        (["one = 1\n", "# nothing but words\n"], AssertionError),
    ],
)
def test_python_that_does_not_run_is_noticed(blocks: list[str], raised: type[Exception]) -> None:
    with pytest.raises(raised):
        run_blocks("page", blocks)


def test_the_scheme_that_sees_the_depth_does_what_it_says_and_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's file, saved under its name: outputs are he's times 0.1, in a shallow network and in a deep one."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGES["docs/guides/scheme.md"], re.MULTILINE | re.DOTALL)
    (text,) = [block for block in blocks if block.startswith("# depth_schemes.py\n")]
    (tmp_path / "depth_schemes.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "depth_schemes", raising=False)
    for name in ("_SCHEMES", "_ALIASES"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.setattr(sys, "argv", ["schemes", "--plugins", "depth_schemes"])
    show_schemes()
    listed = " ".join(capsys.readouterr().out.split())
    assert "scaled_by_depth" in listed
    assert "an exercise" in listed
    for depth in (2, 8):
        layers = [layer for _ in range(depth) for layer in (torch.nn.Linear(30, 30), torch.nn.ReLU())]
        models = [torch.nn.Sequential(*copy.deepcopy(layers)[:-1]) for _ in range(2)]
        he, scaled = models
        initlab.initialize(he, "he_normal", seed=0)
        report = initlab.initialize(scaled, "scaled_by_depth", seed=0)
        rows = torch.randn(8, 30, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(scaled(rows), 0.1 * he(rows), rtol=1e-4, atol=1e-6)
        weights = zip(he.parameters(), scaled.parameters(), strict=True)
        factors = [float((b / a).detach().mean()) for a, b in weights if a.dim() > 1]
        assert factors == pytest.approx([0.1 ** (1 / depth)] * depth, rel=1e-5)
        assert f"as one of {depth}" in str(report)


def test_readme_is_a_front_door() -> None:
    assert len(README.splitlines()) < 150
    for link in re.findall(r"\]\(((?!http)[^)#]*)\)", README):
        assert (ROOT / link).exists(), link


def test_no_sentence_stands_twice() -> None:
    """In the README and in the documentation: one of them would grow old."""

    def sentences(text: str) -> set[str]:
        prose = re.sub(r"^```.*?^```|^ {4}.*?$|^\|.*?$|^!\[.*?$", "", text, flags=re.MULTILINE | re.DOTALL)
        return {sentence for sentence in re.split(r"(?<=[.:?])\s+", " ".join(prose.split())) if len(sentence) > 50}

    for page, text in PAGES.items():
        if page != "README.md":
            assert not sentences(README) & sentences(text), page


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """And every page that the code fills is filled."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.name: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert "he_normal" in pages["schemes.html"]
    assert "no_gradient_prediction" in pages["tables.html"]
    assert "checkpoint_seconds" in pages["configuration.html"]
    assert "Members that train together" in pages["glossary.html"] or "members that train" in pages["glossary.html"]
    assert not any("<!-- from the code" in text or "http://" in re.sub(r"http://www\.w3\.org", "", text)
                   for text in pages.values())  # fmt: skip


def test_tables_of_costs_are_tables() -> None:
    """Numbers that were measured stand with the command that measured them."""
    costs = PAGES["docs/reference/costs.md"]
    assert "scripts/benchmark.py" in costs
    assert pd.Series(re.findall(r"^\|[^|]+\|\s*([\d.]+)", costs, re.MULTILINE)).astype(float).gt(0).all()
