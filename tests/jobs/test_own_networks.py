"""Networks of the user's own, named by `model._target_`."""

from pathlib import Path

import pytest
import yaml

from initlab.tables.store import read_failure, read_table
from tests.helpers import QUICK, run

OWN_NETWORKS = {
    "takes what it declares": (
        "def __init__(self, num_classes, input_shape, units=5):\n"
        "        super().__init__(nn.Linear(input_shape[0], units), nn.ReLU(), nn.Linear(units, num_classes))\n"
    ),
    "takes anything": (
        "def __init__(self, *, units=5, **rest):\n"
        "        super().__init__(nn.Linear(13, units), nn.ReLU(), nn.Linear(units, rest.get('num_classes', 3)))\n"
    ),
}


FORWARD = "def forward(self, rows):\n        return "
NOT_NETWORKS = {
    "Pair": (f"{FORWARD}self.linear(rows), rows", "expected a tensor of outputs, got tuple"),
    "Narrow": (f"{FORWARD}self.linear(rows)[:, :2]", "expected outputs of shape (2, 3)"),
    "Nothing": ("def __new__(cls, **_):\n        return None", "gives a NoneType: expected a torch.nn.Module"),
}


@pytest.mark.parametrize("name", NOT_NETWORKS)
def test_what_is_no_network_for_this_data_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    method, reason = NOT_NETWORKS[name]
    (tmp_path / f"own_{name}.py").write_text(
        f"from torch import nn\nclass {name}(nn.Module):\n"
        "    def __init__(self, out_features):\n        super().__init__()\n"
        f"        self.linear = nn.Linear(13, out_features)\n    {method}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"model._target_=own_{name}.{name} {QUICK}", monkeypatch, tmp_path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert reason in said


def test_a_network_that_breaks_fails_its_jobs_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_broken.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, out_features, *, bad: bool = False):\n        super().__init__()\n"
        "        self.linear, self.bad = nn.Linear(13, out_features), bad\n"
        "    def forward(self, rows):\n"
        "        return self.other(rows) if self.bad else self.linear(rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"-m model._target_=own_broken.Net +model.bad=true,false init=he {QUICK}", monkeypatch, tmp_path) == 1
    said = capsys.readouterr()
    reason = (
        "model: building and running it on rows of shape (13,) failed: AttributeError: 'Net' object has no attribute"
    )
    assert "initlab: 1 of 2 jobs failed; the traceback is in " in said.err
    assert said.err.count("\n") == 1
    (error,) = (tmp_path / "outputs" / "study").glob("*/error.txt")
    assert 'own_broken.py", line 7, in forward' in error.read_text()
    assert f"{reason} 'other' (own_broken.py, line 7, in forward)" in read_failure(error.parent)
    assert len(list((tmp_path / "outputs" / "study").glob("*/members.parquet"))) == 1


def test_a_network_whose_path_depends_on_the_data_trains_without_being_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """vmap cannot trace it, so that members train one after another."""
    (tmp_path / "own_branching.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, out_features):\n        super().__init__()\n"
        "        self.linear = nn.Linear(13, out_features)\n"
        "    def forward(self, rows):\n"
        "        return self.linear(rows if rows.mean() > 0 else -rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"-m model._target_=own_branching.Net init=he,xavier {QUICK}", monkeypatch, tmp_path) == 0


@pytest.mark.parametrize("constructor", OWN_NETWORKS)
def test_a_network_of_ones_own_in_place_of_the_data_sets(
    constructor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys of the network it replaces are not handed to it; what was typed is, and is checked."""
    module = f"own_{len(OWN_NETWORKS[constructor])}"
    (tmp_path / f"{module}.py").write_text(
        f"from torch import nn\nclass Net(nn.Sequential):\n    {OWN_NETWORKS[constructor]}"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run(f"-m model._target_={module}.Net +model.units=7 init=he,lsuv {QUICK}", monkeypatch, tmp_path) == 0
    (folder, _) = sorted((tmp_path / "outputs" / "study").glob("*/members.parquet"))
    assert set(read_table(folder.parent, "members")["model"]) == {"Net"}
    config = yaml.safe_load((folder.parent / "config.yaml").read_text())
    assert config["model"] == {"_target_": f"{module}.Net", "name": "Net", "out_features": None, "units": 7}
    if "anything" not in constructor:
        assert run(f"model._target_={module}.Net +model.unit=7 {QUICK}", monkeypatch, tmp_path) == 2
        assert "model.unit: unknown key; did you mean units?" in capsys.readouterr().err
