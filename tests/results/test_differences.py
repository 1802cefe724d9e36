"""What jobs are called by what tells them apart."""

import shlex
from typing import Any

import pytest

from initlab.results.differences import differing_keys, flat_config, label_of
from tests.helpers import make_job


def labels(*commands: str) -> list[str]:
    """Of jobs, given by what is typed."""
    jobs = {str(place): make_job(*shlex.split(command)) for place, command in enumerate(commands)}
    differing = differing_keys({name: flat_config(job.resolved) for name, job in jobs.items()})
    return [label_of(differing, name) for name in jobs]


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["init=normal init.std=0.4", "init=he"], ["normal, init.std=0.4", "he_normal"]),
        (["init=normal", "init=he"], ["normal", "he_normal"]),
        (["init=lsuv init.tolerance=0.01", "init=he"], ["lsuv, init.tolerance=0.01", "he_normal"]),
        (["init=he init.gain=moment", "init=xavier"], ["he_normal, init.gain=moment", "xavier_normal"]),
        (["init=he init.bias=0.1", "init=xavier"], ["he_normal, init.bias=0.1", "xavier_normal"]),
        (["init=he init.bias=0.1", "init=xavier init.bias=0.1"], ["he_normal", "xavier_normal"]),
        (["init=normal init.std=0.4", "init=normal init.std=0.1"], ["init.std=0.4", "init.std=0.1"]),
        (["init=he 'init.output={name: normal, std: 0.02}'", "init=xavier"], None),
        (["init=he", "init=he optim.lr=0.5"], None),
    ],
)
def test_settings_do_not_vanish(commands: list[str], expected: list[str] | None) -> None:
    found = labels(*commands)
    assert expected is None or found == expected
    assert len(set(found)) == len(found)


def test_what_an_experiment_fixes_is_no_setting_of_the_users() -> None:
    """classic_mnist draws `normal` with its own standard deviation."""
    fixed: dict[str, Any] = flat_config(make_job("experiment=classic_mnist", "init=normal").resolved)
    assert fixed["init.std"] != flat_config(make_job("init=normal").resolved)["init.std"]
    configs = {"a": fixed, "b": flat_config(make_job("experiment=classic_mnist", "init=he").resolved)}
    assert list(differing_keys(configs)) == ["init"]


@pytest.mark.parametrize(
    ("command", "key", "values"),
    [
        ("data=digits model=vit model.attention_scale=", "model.attention_scale", ["mup", "sqrt"]),
        ("model=mlp optim.decay=", "optim.decay", ["weights", "all"]),
    ],
)
def test_what_is_left_out_of_a_configuration_has_its_value(command: str, key: str, values: list[str]) -> None:
    """Keys that came later are left out where they are as before; `null` was said of them, and labels had nothing."""
    configs = {value: flat_config(make_job(*f"{command}{value}".split()).resolved) for value in values}
    differing = differing_keys(configs)
    assert list(differing[key]) == values
    assert [label_of(differing, value) for value in values] == [f"{key}={value}" for value in values]
