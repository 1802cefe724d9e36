"""Of which networks of a job theory has nothing to say, and the words for it."""

import pytest

from tests.helpers import make_job


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("init=he",), None),
        (("init=fixup",), None),
        (("init=lsuv",), "init=lsuv fits the weights to data"),
        (("init=pretrained", "init.path=weights.pt"), "init=pretrained draws no random weights"),
        (("init=zero_hadamard",), "init=zero_hadamard draws no random weights"),
        (("init=mimetic", "model=vit", "data=digits"), "init=mimetic draws the maps of an attention in pairs"),
        (("init=metainit", "init.base=identity"), "init=metainit fits the weights to data"),
        (("init=fixup", "init.base=identity"), "init=identity draws no random weights"),
    ],
)
def test_why_theory_is_silent(given: tuple[str, ...], reason: str | None) -> None:
    assert make_job(*given).fitted == reason
