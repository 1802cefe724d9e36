"""What is found out of networks before they train."""

from pathlib import Path

import pytest

from tests.helpers import QUICK, run

OWN = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, out_features, *, softmax: bool = False):
        super().__init__(nn.Linear(13, out_features), *([nn.Softmax(1)] if softmax else []))
"""
SAID = "model: its outputs are probabilities (they sum to 1), and cross entropy expects logits: leave the softmax out"


@pytest.mark.parametrize(("softmax", "init"), [("true", "he"), ("true", "zeros"), ("false", "he"), ("false", "zeros")])
def test_a_softmax_at_the_end_is_said_under_cross_entropy(
    softmax: str, init: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "with_softmax.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    command = f"model._target_=with_softmax.Net +model.softmax={softmax} init={init} {QUICK}"
    assert run(command, monkeypatch, tmp_path) == 0
    assert (SAID in capsys.readouterr().out.splitlines()) == (softmax == "true")
