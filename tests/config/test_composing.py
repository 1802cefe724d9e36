"""Jobs that differ in numbers are composed once, and come out as Hydra composes each."""

from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from initlab.config.composing import NUMBER, Composer, _may_mean, read_once
from initlab.config.files import CONF
from initlab.config.plain import as_plain
from tests.composing import composed_by_hydra

CONFIG = """
defaults:
  - _self_
  - optim: sgd
rate: 0.5
twice: ${rate}
count: 3
width: 8
free: 1
flag: true
word: 7
deep:
  inner: {depth: 2, of: "${..depth}"}
  depth: 4
values: [1, 2]
table: {of2: two, of3: three}
chosen: ${oc.select:table.of${count},none}
group: ${oc.select:optim,null}
"""
FILES = {
    "base.yaml": CONFIG,
    "optim/sgd.yaml": "name: sgd\nlr: 0.1\nmomentum: 0.9\n",
    "optim/adam.yaml": "name: adam\nlr: 0.001\nbeta: 0.9\n",
    "add/more.yaml": "# @package _global_\nrate: 0.7\nmore: 1\n",
}


class Counted:
    """Composes with Hydra, and counts how often."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        self.count += 1
        return compose(self.name, list(overrides))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def sweep(*axes: str) -> list[list[str]]:
    """The jobs of a sweep, by its axes: `key=a,b`."""
    return [
        [f"{axis.partition('=')[0]}={value}" if "=" in axis else axis for axis, value in zip(axes, values, strict=True)]
        for values in product(*(axis.partition("=")[2].split(",") for axis in axes))
    ]


# The axes of a sweep, and how often Hydra has to compose: a combination of choices once where the rest is numbers.
SWEEPS = [
    (("free=-3,4.5,1e-3,5.",), 1),
    (("optim=sgd,adam", "+new=1,2"), 2),
    (("deep.depth=1,2",), 2),  # something refers to it, without its whole name
    (("rate=0.1,0.2",), 2),  # something refers to it
    (("count=2,3",), 2),
    (("optim.lr=0.1,0.2",), 2),  # something refers to the whole group
    (("word=007,7,8",), 2),  # 007 is a word
    (("+add=more", "++rate=1,2", "+more2=1"), 2),
    (("~word", "flag=1,2"), 1),
    (("deep={depth:3}", "deep.inner.depth=1,2"), 2),
    (("values=[1],[2]", "free=1,2"), 2),
]


@pytest.mark.parametrize(("axes", "compositions"), SWEEPS)
def test_numbers_are_set_as_hydra_sets_them(axes: Sequence[str], compositions: int | None, conf: Path) -> None:
    with initialize_config_dir(str(conf), version_base="1.3"):
        counted = Counted("base")
        composer = Composer(counted)
        for overrides in sweep(*axes):
            found, expected = composer.plain(overrides), as_plain(compose("base", overrides))
            assert found == expected, overrides
            assert str(found) == str(expected), overrides  # 1 is no 1.0, and keys keep their order
    assert compositions is None or counted.count == compositions


def test_a_hundred_jobs_that_differ_in_numbers_take_a_composition_for_each_combination_of_choices() -> None:
    numbers = [(f"{rate / 1000:g}", seeds) for rate in range(1, 26) for seeds in (1, 2)]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        counted = Counted("train")
        composer = Composer(counted)
        for init in ("he", "mup"):
            for rate, seeds in numbers:
                overrides = [f"init={init}", f"optim.lr={rate}", f"seeds={seeds}", "model.dropout=0.1", "name=study"]
                found = composer.plain(overrides)
                assert found["optim"]["lr"] == float(rate)
                assert found["seeds"] == seeds
    assert counted.count == 2


def test_the_numbers_of_experiments_and_protocols_come_out_as_hydra_composes_them() -> None:
    rows = [
        ("experiment=coord_check", "init=mup", "optim.base_width=64,32", "name=study"),
        ("experiment=classic_wine", "init=normal", "protocol.normal.std=0.3,0.4", "name=study"),
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composer = Composer(Counted("train"))
        for axes in rows:
            for overrides in sweep(*axes):
                assert composer.plain(overrides) == as_plain(compose("train", overrides)), overrides


def test_files_that_are_read_once_give_what_hydra_reads_each_time(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was composed before of the same files, into which Hydra merges others; and where a job looks in more."""
    axes = ("init=he,normal", "data=digits,wine", "optim=adam,sgd")
    others = [["init=rai", "data=spirals", "activation=tanh"], ["experiment=coord_check", "init=mup"], ["init=he"]]
    jobs = [*sweep(*axes), *others]
    (conf / "init").mkdir()
    (conf / "init" / "new.yaml").write_text("name: new\n")
    elsewhere = [f"hydra.searchpath=[file://{conf}]", "init=new"]
    with composed_by_hydra(), initialize_config_dir(str(CONF), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        expected = [compose("train", overrides) for overrides in (*jobs, elsewhere)]
        read, times = type(loader.repository).load_config, Counter[str]()

        def counted(repository: Any, config_path: str) -> Any:
            times[config_path] += 1
            return read(repository, config_path)

        monkeypatch.setattr(type(loader.repository), "load_config", counted)
        read_once(loader)
        for overrides, config in [*zip((*jobs, elsewhere), expected, strict=True)][::-1]:
            assert compose("train", overrides) == config, overrides
        repository = loader.repository
        read_once(loader)
        assert loader.repository is repository
    assert times["train"] == times["init/normal"] == 1
    read_once(object())  # a loader of another kind stays


def test_what_is_a_number_is_one_to_hydra() -> None:
    parser = OverridesParser.create()
    for text in ["0", "-0", "12", "1.", ".5", "-.5", "1e3", "1E-3", "1.5e+3", "-1e-05"]:
        found = NUMBER.fullmatch(f"a.b={text}")
        assert found
        value = parser.parse_override(f"a.b={text}").value()
        assert (value, type(value)) == ((int if found["whole"] else float)(text), int if found["whole"] else float)
    for text in ["007", "00", "01.5", "5e", "true", "1_000", "x", "", "[1]", "inf"]:
        assert not NUMBER.fullmatch(f"a.b={text}"), text


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("${.b}", True),
        ("${..a.b}", True),
        ("${..a}", True),
        ("${..}", True),
        ("${..c}", False),
        ("${a.b}", True),
        ("${a}", True),
        ("x${a.b}y", True),
        ("${a.bc}", False),
        ("${a.b.c}", False),
        ("${b}", False),
        ("${.x}", False),
        ("${oc.select:..b,1}", True),
        ("${oc.select:a.b,1}", True),
        ("${oc.select:x.y,1}", False),
        ("${oc.select:x.${y},1}", False),
        ("${oc.select:a.${y},1}", True),
        ("${a${y}}", True),
        ("${x${y}}", False),
        ("${oc.select:x,${y}}", False),
        ("${oc.select:x,${a.b}}", True),
        ("${${y}}", True),
        ("${own:1}", True),
        ("${x}${y}", False),
        ("${x}${a.b}", True),
    ],
)
def test_references_to_a_key(text: str, may: bool) -> None:
    assert _may_mean("a.b", text) is may
