"""What was typed, as Hydra is to read it, and what is said of what it cannot read."""

import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from initlab.base.errors import UserError
from initlab.cli.arguments import understood


def read(*arguments: str, config_name: str = "train") -> list[str]:
    return understood(arguments, config_name=config_name)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["init=he", "-m", "seeds=3"], ["-m", "init=he", "seeds=3"]),
        (["init=he", "--cfg", "job", "seeds=3"], ["--cfg", "job", "init=he", "seeds=3"]),
        (["-m", "model=mlp,cnn", "model.depth=10"], ["-m", "model=mlp,cnn", "model.depth=choice(10)"]),
        (["-m", "model.hidden=[64,64]"], ["-m", "model.hidden=choice([64,64])"]),
        (["-m", "model.depth=3,4", "seeds=3", "+model.x=1"], ["-m", "model.depth=3,4", "seeds=3", "+model.x=1"]),
        (["model.depth=10"], ["model.depth=10"]),
        (["experiment=trainability_map", "model.width=10"], ["experiment=trainability_map", "model.width=choice(10)"]),
        (["name=12345", "output_dir=1e5"], ['name="12345"', 'output_dir="1e5"']),
        (["name=he", "seeds=5"], ["name=he", "seeds=5"]),
        (
            ["logger=[csv,tensorboard]"],
            ["logger=none", "+logger@logger.csv=csv", "+logger@logger.tensorboard=tensorboard"],
        ),
        (["logger=[csv]"], ["logger=csv"]),
        (["logger=[]"], ["logger=none"]),
    ],
)
def test_what_is_meant_is_understood(typed: list[str], expected: list[str]) -> None:
    assert read(*typed) == expected


def test_a_probe_sweeps_without_a_flag() -> None:
    assert read("model.depth=10", config_name="probe") == ["model.depth=choice(10)"]
    assert read("model.depth=10", "hydra.mode=RUN", config_name="probe") == ["model.depth=10", "hydra.mode=RUN"]


QUOTED = {
    "data.target=Qualität": 'data.target="Qualität"',
    "init.path=epoch=6.ckpt": 'init.path="epoch=6.ckpt"',
    "name=run#1": 'name="run#1"',
    "data.target=CO(GT)": 'data.target="CO(GT)"',
    "data.ignore=[CO(GT),T]": 'data.ignore=["CO(GT)",T]',
    "data.path=a.csv,b#.csv": 'data.path=a.csv,"b#.csv"',
}


@pytest.mark.parametrize("typed", QUOTED)
def test_what_must_be_quoted_is_said_and_how(typed: str) -> None:
    with pytest.raises(UserError) as caught:
        read(typed)
    said = str(caught.value)
    assert said.startswith(f"{typed}: ")
    assert f"'{QUOTED[typed]}'" in said
    for word in ("token", "input", "LexerNoViableAlt", "mismatched"):
        assert word not in said
    value = OverridesParser.create().parse_override(QUOTED[typed])
    if not value.is_sweep_override():  # as it says, it is meant
        assert str(value.value()).replace("'", "").replace(", ", ",") == typed.partition("=")[2]


@pytest.mark.parametrize("typed", ["name=it's", "name=$it's `so`", 'data.target=it\'s "new"', "name=a#b"])
def test_what_is_said_to_type_is_read_as_it_is_meant(typed: str) -> None:
    """By the shell first, which takes quotes away, and then by Hydra."""
    with pytest.raises(UserError) as caught:
        read(typed)
    suggested = str(caught.value).partition("for the shell and for Hydra: ")[2]
    word = subprocess.run(["sh", "-c", f"printf %s {suggested}"], capture_output=True, text=True, check=True).stdout
    assert OverridesParser.create().parse_override(word).value() == typed.partition("=")[2]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["init=he,", "xavier"], "init=he, xavier: no space belongs there; type init=he,xavier"),
        (["init=", "he"], "init= he: no space belongs there; type init=he"),
        (["init=he", ",xavier"], "init=he ,xavier: no space belongs there; type init=he,xavier"),
        (["seeds"], "seeds: expected KEY=VALUE"),
        (["init=[zeros,ones]"], "init=[zeros,ones]: a job has one init; to sweep over several, -m init=zeros,ones"),
        (["-m", "model=[mlp,cnn]"], "model=[mlp,cnn]: a job has one model; to sweep over several, -m model=mlp,cnn"),
    ],
)
def test_slips_are_said_in_words(typed: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read(*typed)
    assert str(caught.value) == said
