"""Results do not outlive the code of the user's own that made them."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch

from initlab.base.own_code import is_own, own_sources
from initlab.config.names import NOT_IDENTITY, without_keys
from initlab.jobs.data import forget_data
from initlab.jobs.fingerprint import RESULTS_VERSION
from initlab.jobs.job import Job
from initlab.results.study import read_study
from initlab.tables.store import read_metadata
from tests.helpers import QUICK, make_job, run

SCHEME = """
import initlab
from {package}scale import STD
@initlab.register_initializer('hunch', source='our own')
def hunch(weight, *, fan, generator):
    'Fill `weight` from N(0, STD²/fan_in).'
    weight.normal_(0, STD / fan.fan_in ** 0.5, generator=generator)
"""


@pytest.fixture
def own(own_scheme: str, tmp_path: Path) -> Iterator[Path]:
    """A folder with a plug-in, and a module that it imports."""
    (tmp_path / f"{own_scheme}.py").write_text(SCHEME.format(package=""))
    (tmp_path / "scale.py").write_text("STD = 1e-6\n")
    yield tmp_path
    sys.modules.pop("scale", None)


def edit(path: Path, text: str) -> None:
    """Change a file as a user does between two commands: another process would import it anew."""
    path.write_text(text)
    stamp = path.stat().st_mtime_ns + 10_000_000
    os.utime(path, ns=(stamp, stamp))
    for name in (path.stem, "own_schemes"):
        sys.modules.pop(name, None)


def test_an_edited_plugin_is_trained_anew_beside_the_old_results(
    own: Path, own_scheme: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from initlab.initializers import registry

    command = f"plugins=[{own_scheme}] init=hunch {QUICK} trainer.max_epochs=8"
    study = own / "outputs" / "study"
    assert run(command, monkeypatch, own) == 0
    (first,) = study.glob("init=hunch*/members.parquet")
    before = pd.read_parquet(first)
    assert set(read_metadata(first.parent)["sources"]) == {"own_schemes.py", "scale.py"}
    assert run(command, monkeypatch, own) == 0
    assert "1 of 1 job is finished already" in capsys.readouterr().out

    edit(own / "scale.py", "STD = 2 ** 0.5\n")  # which the plug-in imports
    registry._SCHEMES.pop("hunch")
    assert run(command, monkeypatch, own) == 0
    said = capsys.readouterr().out
    assert f"{first.parent.name}: scale.py has changed since; it is trained anew in " in said
    assert "beside the old results" in said
    folders = sorted(path.parent for path in study.glob("init=hunch*/members.parquet"))
    assert len(folders) == 2
    assert pd.read_parquet(first).equals(before)
    found = read_study(study)
    assert set(found.members["job"]) == {next(folder.name for folder in folders if folder != first.parent)}
    (left_out,) = found.unreadable
    assert "made with another scale.py" in left_out

    edit(own / "scale.py", "STD = 1e-6\n")  # and back: the first results are right again
    registry._SCHEMES.pop("hunch")
    assert run(command, monkeypatch, own) == 0
    assert "1 of 1 job is finished already" in capsys.readouterr().out
    assert set(read_study(study).members["job"]) == {first.parent.name}


def test_a_network_and_a_checkpoint_are_part_of_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "my_net").mkdir()
    (tmp_path / "my_net" / "__init__.py").write_text("")
    (tmp_path / "my_net" / "parts.py").write_text("UNITS = 5\n")
    (tmp_path / "my_net" / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, out_features):\n"
        "        from .parts import UNITS\n        super().__init__(13, out_features)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    checkpoint = tmp_path / "weights.pt"
    torch.save({"weight": torch.zeros(3, 13)}, checkpoint)

    def job() -> Job:
        return make_job("model._target_=my_net.net.Net", "init=pretrained", f"init.path={checkpoint}")

    names = {"my_net.py", "my_net/net.py", "my_net/parts.py", str(checkpoint)}
    assert set(job().sources) == names
    seen = {job().fingerprint}
    for path in (tmp_path / "my_net" / "parts.py", tmp_path / "my_net" / "net.py"):
        edit(path, path.read_text() + "# another\n")
        seen.add(job().fingerprint)
    torch.save({"weight": torch.ones(3, 13)}, checkpoint)
    seen.add(job().fingerprint)
    assert len(seen) == 4
    for name in ("my_net", "my_net.net", "my_net.parts"):
        sys.modules.pop(name, None)


def test_jobs_of_initlabs_own_things_keep_their_fingerprints() -> None:
    """As they were before sources became a part of them."""
    assert make_job("init=he", "data=spirals").sources == {}
    assert make_job("init=lsuv", "data=wine", "model=residual_mlp").sources == {}
    assert not is_own(torch.__file__)
    assert not is_own(os.__file__)
    assert own_sources(["torch.nn", "initlab.train", "json", "nowhere.to.be.found"]) == {}
    job = make_job("init=he", "data=spirals")
    what = [without_keys(job.resolved, NOT_IDENTITY), job.data.checksum, RESULTS_VERSION]
    assert job.fingerprint == hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("kind", ["csv", "function"])
def test_changed_data_are_named_and_do_not_stand_beside_the_old(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table and below it only what is of the data as they are now."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / ("rows.csv" if kind == "csv" else "rows_of_mine.py")
    data = (
        "data=csv data.path=rows.csv data.target=target"
        if kind == "csv"
        else "data=function data.call=rows_of_mine.make"
    )

    def write(cut: int) -> None:
        rows = "a,b,target\n" + "".join(f"{n}.5,{n % 7},{'high' if n % 5 > cut else 'low'}\n" for n in range(60))
        code = (
            "import numpy as np\n"
            "def make():\n"
            "    x = np.arange(120.0).reshape(60, 2)\n"
            f"    return x, (np.arange(60) % 5 > {cut}).astype(int)\n"
        )
        edit(file, rows if kind == "csv" else code)
        forget_data()  # as in another process

    write(1)
    command = f"{data} init=he {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    (former,) = re.findall(r"commonest class scores (0\.\d+)", capsys.readouterr().out)
    write(0)
    assert run(command, monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert f"{file.name} has changed since; it is trained anew in" in said
    assert "not in the table: " in said
    assert f"made with another {file.name}" in said
    (now,) = re.findall(r"commonest class scores (0\.\d+)", said)
    assert now != former
    study = read_study(tmp_path / "outputs" / "study")
    assert len(study.configs) == 1
