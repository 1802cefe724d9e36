"""Hydra's and OmegaConf's errors, as one line each."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from initlab.base.errors import UserError, nearest
from initlab.base.spellings import our_key, our_value
from initlab.config.files import CONF
from initlab.config.names import GROUPS, key_of

ALREADY_THERE = re.compile(r"An item is already at '[^']+'.*?remove \+ prefix: '(?P<plain>.*?)'\n", re.DOTALL)
NUMBERS = re.compile(r"[-+\d.,eE]*")  # of a sweep


def explain(error: Exception, typed: Sequence[str] = ()) -> UserError | None:
    """One line that says what in the command line or a configuration file was wrong; None if it is no such error.

    Args:
        error: What composing or running raised.
        typed: What was typed, `key=value` each, to say where a choice comes from.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = error.options or sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        ours = our_value(group, option)
        if ours is not None:
            return UserError(f"{group}={option}: unknown {group}; here it is {ours}")
        hint = "; one of your own needs plugins=[MODULE]" if group in ("init", "activation") else ""
        return UserError(f"{group}={option}: unknown {group}; {nearest(option, options)}{hint}")
    if isinstance(error, OverrideParseException):
        return UserError(f"{error.override}: {_one_line(error.message)}")
    if isinstance(error, HydraException) and "Ambiguous value for argument" in str(error):
        argument = str(error).split("'")[1]
        key, _, value = argument.partition("=")
        one = (
            "" if key in GROUPS or NUMBERS.fullmatch(value) else f"; if it is one value, quote it: '{key}=\"{value}\"'"
        )
        return UserError(f"{argument}: to sweep over several values, put -m before the first argument{one}")
    if isinstance(error, ValueError) and "Config group override" in str(error):
        return UserError(f"{error}; choose by name, e.g. init=he")
    if isinstance(error, ValueError) and str(error).startswith(("Only one of --run", "The --resolve flag")):
        return UserError(_one_line(str(error)))  # Hydra's options that do not go together
    if isinstance(error, HydraException) and (there := ALREADY_THERE.search(str(error))):
        return UserError(already_there(there["plain"]))
    missing = _struct_error(error)
    if missing is not None:
        return UserError(_unknown_key(missing, typed))
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key and cause.parent_node is not None:
        return UserError(f"{cause.full_key}: {_one_line(str(cause.msg or cause))}")
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(_one_line(str(error)))
    if isinstance(error, OSError) and error.filename:  # Hydra's, as it makes the sweep's folder: ours is OwnFaultError
        return UserError(f"{error.filename}: {error.strerror}; set output_dir=DIR to write elsewhere")
    return None


def already_there(plain: str) -> str:
    """What is wrong with `+key=value` where there is such a key.

    Args:
        plain: What was typed, without the plus.
    """
    return f"+{plain}: {key_of(plain)} is there already; write {plain}, without the +"


def missing_key(error: Exception, typed: Sequence[str]) -> str | None:
    """Why a job of a sweep is left out: its choices lack a key that others have. None for any other error.

    Args:
        error: What composing the job raised.
        typed: What was typed for this job, `key=value` each.
    """
    cause = _struct_error(error)
    if cause is None:
        return None
    group = str(cause.full_key).partition(".")[0]
    chosen = _values(typed).get(group) or _name_of(cause)
    return f"{cause.full_key} is no key of {chosen}" if group in GROUPS and chosen else None


def _struct_error(error: Exception) -> OmegaConfBaseException | None:
    """The error that says which key does not exist."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    found = isinstance(cause, OmegaConfBaseException) and cause.full_key and cause.parent_node is not None
    return cause if found and "is not in struct" in str(cause) else None  # type: ignore[return-value]


def _unknown_key(cause: OmegaConfBaseException, typed: Sequence[str]) -> str:
    """What is wrong with a key that does not exist, and which ones there are."""
    assert cause.parent_node is not None
    key, values = str(cause.full_key), _values(typed)
    names = [str(name) for name in cause.parent_node if name not in ("hydra", "_target_")]
    known = nearest(str(cause.key), names)
    group, chosen = key.partition(".")[0], _name_of(cause)
    if own := values.get(f"{group}._target_"):
        return f"{key}: unknown key; write +{key}={values.get(key, '…')} to give it to {group}._target_={own}"
    ours = our_key(key, values.get(key, "…"), scheme=chosen if group == "init" else "")
    hint = "" if ours is None else f"here it is {ours}; "
    if group == "init":
        return f"{key}: init={chosen} has no such parameter; {hint}{known}"
    if "." not in key or group not in GROUPS or not chosen:
        return f"{key}: unknown key; {hint or known}".removesuffix("; ")
    brings = _brought_by(group, values)
    choice = f"{group}={chosen}, which {brings} brings" if brings else f"{group}={chosen}"
    return f"{key}: unknown key of {choice}; {hint}{known}"


def _name_of(cause: OmegaConfBaseException) -> str:
    """The `name` in the group that lacks a key."""
    parent: Any = cause.parent_node
    name = parent.get("name") if hasattr(parent, "get") else None
    return str(name) if name is not None else ""


def _values(typed: Sequence[str]) -> dict[str, str]:
    """What was typed, by its key."""
    return {key_of(text): text.partition("=")[2] for text in typed if "=" in text}


def _brought_by(group: str, typed: dict[str, str]) -> str | None:
    """The choice that brings a group's choice, as data sets bring a model; None if it was typed, or nobody says."""
    if group in typed:
        return None
    choices = dict(typed)
    for source in ("experiment", "data"):
        chosen = choices.get(source) or _defaults(CONF / "train.yaml").get(source)
        brought = _defaults(CONF / source / f"{chosen}.yaml")
        if group in brought:
            return f"{source}={chosen}"
        choices = {**brought, **choices}
    return None


def _defaults(path: Path) -> dict[str, str]:
    """By group, what the defaults list of a configuration file chooses."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["defaults"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return {}
    pairs = [(str(key), value) for entry in entries if isinstance(entry, dict) for key, value in entry.items()]
    return {key.removeprefix("override ").lstrip("/"): str(value) for key, value in pairs if value is not None}


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", "; ", text.strip())
