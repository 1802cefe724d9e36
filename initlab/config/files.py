"""Where the configuration files are, and what a group's choice holds by default."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import yaml

from initlab.base.files import PACKAGE

# In a wheel conf/ is packed into the package; in a checkout it stands beside it.
CONF: Final = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
SELECT: Final = re.compile(r"\$\{oc\.select:([\w.]+),(.*)\}")  # a key that an experiment may set, and what else holds


def default_of(group: str, choice: str, key: str, config: Mapping[str, Any]) -> Any:
    """What a key of a group's choice is where nobody sets it.

    Args:
        group: Such as `init`.
        choice: A name that has a file in the group, such as `normal`.
        key: Such as `std`; one that all choices of the group have is in `conf/train.yaml`.
        config: Flat configuration of the job, for what an experiment fixes.

    Raises:
        KeyError: there is no such file, as of a plug-in, or it has no such key.
    """
    own, common = _choices(group)[choice], _common().get(group, {})
    if group == "data":  # whose files set keys of other groups, too
        own = own.get("data", {})
    value = own[key] if key in own else common[key]
    found = SELECT.fullmatch(value) if isinstance(value, str) else None
    return config.get(found[1], yaml.safe_load(found[2])) if found else value


def name_of(group: str, choice: str) -> str:
    """The name that a group's choice has in tables; what is no choice is returned as it is.

    Example:
        >>> name_of("init", "kaiming_normal"), name_of("init", "mine")
        ('he_normal', 'mine')

    Args:
        group: Such as `init`.
        choice: What is typed for it.
    """
    content = _choices(group).get(choice, {})
    stands_for = content.get("defaults", [])
    if "name" in content or not stands_for:
        return str(content.get("name", choice))
    return name_of(group, str(stands_for[0]))


def keys_of_all(group: str) -> frozenset[str]:
    """The keys that all choices of a group have, such as `bias` of `init`."""
    return frozenset(map(str, _common()[group]))


@cache
def _common() -> dict[str, Any]:
    """The content of conf/train.yaml."""
    content: dict[str, Any] = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))
    return content


@cache
def _choices(group: str) -> dict[str, dict[str, Any]]:
    """The content of each file of a group, by its name."""
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in (CONF / group).glob("*.yaml")}
