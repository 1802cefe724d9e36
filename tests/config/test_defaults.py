"""What the default of a key tells of its values: the same that its function says, which importing torch would tell."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir

from initlab.base.errors import UserError
from initlab.config.calls import check_call, import_target
from initlab.config.defaults import OF_FUNCTIONS, check_typed
from initlab.config.files import CONF
from initlab.config.plain import plain_config
from initlab.initializers import find_scheme

CHOICES = [(group, path.stem) for group in OF_FUNCTIONS for path in sorted((CONF / group).glob("*.yaml"))]


def _said(*overrides: str) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", list(overrides))
    try:
        plain_config(config, overrides)
    except UserError as error:
        return str(error)
    return ""


def _error_of(check: Callable[..., None], *arguments: object) -> str:
    try:
        check(*arguments)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("group", "choice"), [pair for pair in CHOICES if pair[0] in ("model", "init", "data")])
def test_it_is_what_the_function_says(group: str, choice: str) -> None:
    """Of every key of every choice, for a word; and no value that stands in a file is refused."""
    held: dict[str, Any] = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text(encoding="utf-8"))
    held = held.get("data", {}) if group == "data" else held
    name = str(held.get("name", ""))
    for key, value in held.items():
        if key in ("name", "_target_", "defaults") or (group, key) == ("init", "gain"):
            continue
        if not str(value).startswith("${"):
            check_typed({group: held}, [f"{group}.{key}={value}"])
        function = find_scheme(name).function if group == "init" else import_target(held["_target_"], where=group)
        supplied = [other for other in held if other != key]
        early = _error_of(check_typed, {group: {**held, key: "some"}}, [f"{group}.{key}=some"])
        late = _error_of(partial(check_call, where=group, supplied=supplied), function, {key: "some"})
        assert early in ("", late)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("model.depth=ten", "model.depth=ten: expected a whole number"),
        ("model.bias=maybe", "model.bias=maybe: expected true or false"),
        ("init.gain=foo", "init.gain=foo: expected a positive number or one of kaiming, moment, derivative"),
        ("init.gain=moment", ""),
        ("data.test_fraction=half", "data.test_fraction=half: expected a number"),
        ("optim.weight_decay=on", "optim.weight_decay=on: expected a number"),
        ("optim.weight_decay=1", ""),
        ("init.bias=torch_default", ""),
        ("model.out_features=null", ""),
    ],
)
def test_a_word_is_no_number(typed: str, said: str) -> None:
    assert _said(typed) == said


def test_a_target_of_ones_own_has_defaults_of_its_own() -> None:
    assert _said("model._target_=my_module.Net", "model.depth=deep") == ""
