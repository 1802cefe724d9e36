"""python -m initlab.schemes, as people and programs read it."""

import json
from pathlib import Path

import pytest

from initlab.activations import ACTIVATIONS
from initlab.cli.catalogue import in_words, rule_by_default
from initlab.cli.run_schemes import main
from initlab.initializers import find_scheme, list_initializers
from initlab.tables.schema import TABLES, describe_columns


def test_every_scheme_and_every_gain_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    said = capsys.readouterr().out
    for name, scheme in list_initializers().items():
        assert name in said
        assert all(alias in said for alias in scheme.aliases)
    assert all(name in said for name in ACTIVATIONS)
    assert "1.5925" in said  # tanh's moment
    assert "N(0, gain²/fan)" in said
    assert "arXiv:1901.09321" in said


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--json"])
    said = json.loads(capsys.readouterr().out)
    schemes = {scheme["name"]: scheme for scheme in said["schemes"]}
    assert schemes.keys() == list_initializers().keys()
    assert schemes["metainit"]["needs"] == ["batch", "loss"]
    assert schemes["lsuv"]["parameters"] == {"base": "orthogonal", "tolerance": 0.1, "tries": 10}
    gains = {row["activation"]: row for row in said["gains"]}
    assert gains["gelu"]["kaiming"] is None
    assert gains["relu"]["derivative"] == pytest.approx(2**0.5)


def test_one_scheme_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    main(["he"])
    said = capsys.readouterr().out
    for words in ("he_normal (also he, kaiming_normal)", "arXiv:1502.01852", "init.mode=fan_in"):
        assert words in said


def test_plugins_are_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_scheme: str
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["--plugins", own_scheme, "--json"])
    schemes = {scheme["name"]: scheme for scheme in json.loads(capsys.readouterr().out)["schemes"]}
    assert schemes["halved"]["source"] == "our own"


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["lsvu"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("initlab: schemes=lsvu: unknown initializer; did you mean lsuv?")


def test_columns_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--columns"])
    said = " ".join(capsys.readouterr().out.split())
    for name in TABLES:
        assert f"{name}.parquet: one row" in said
        for column, text in describe_columns(name).items():
            assert column in said
            assert text in said
    main(["--columns", "members"])
    only = capsys.readouterr().out
    assert "members.parquet" in only
    assert "signal.parquet" not in only
    with pytest.raises(SystemExit) as stop:
        main(["--columns", "member"])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("initlab: --columns member: unknown table; did you mean members?")


def test_one_scheme_tells_what_a_user_can_set_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    for name, scheme in list_initializers().items():
        main([name])
        said = capsys.readouterr().out
        assert in_words(scheme.summary).rstrip(".") in " ".join(said.split())
        assert "`" not in said
        assert '"' not in said
        for word in ("generator:", "context:", "Returns:", "Raises:"):
            assert word not in said, name
        for parameter in scheme.defaults:
            assert f"init.{parameter}=" in said
    main(["he"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Fill the weights from N(0, gain²/fan). By default: N(0, 2/fan_in)." in said
    assert "init.gain=1.414 √2, for ReLU; or kaiming (torch's table), moment or derivative (any activation)." in said
    assert "init.mode=fan_in Which fan: fan_in keeps the signal's variance" in said
    assert "init.truncated=false Whether to cut the normal at two σ" in said


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("he_normal", "N(0, 2/fan_in)"),
        ("he_uniform", "U(±1.414 · sqrt(3/fan_in))"),
        ("xavier_normal", "N(0, 2/(fan_in + fan_out))"),
        ("xavier_uniform", "U(±sqrt(6/(fan_in + fan_out)))"),
        ("lecun_normal", "N(0, 1/fan_in)"),
        ("lecun_uniform", "U(±sqrt(3/fan_in))"),
        ("normal", "N(0, 0.0025)"),
        ("uniform", "U(-0.05, 0.05)"),
        ("torch_default", None),
        ("siren", None),
        ("lsuv", None),
    ],
)
def test_the_rule_by_default_is_a_formula(name: str, rule: str | None) -> None:
    assert rule_by_default(find_scheme(name)) == rule


def test_zeros_say_why_they_fail(capsys: pytest.CaptureFixture[str]) -> None:
    main(["zeros"])
    said = " ".join(capsys.readouterr().out.split())
    assert "It fails by symmetry: in a network with hidden layers no weight gets a gradient" in said
