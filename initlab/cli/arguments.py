"""What was typed, as Hydra is to read it: flags first, grids written out, and words for what it cannot read."""

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from initlab.base.errors import UserError
from initlab.cli.grids import expand_grids
from initlab.config.files import CONF
from initlab.config.hydra_errors import already_there
from initlab.config.names import GROUPS

# Of Hydra's options, those that take a value; `--info` takes one of its own, or none.
INFO = frozenset({"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"})
WITH_VALUE = frozenset(
    {
        *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
        "--experimental-rerun",
    }
)
SWEEPING = frozenset({"-m", "--multirun"})
CHOSEN = GROUPS | {"logger"}  # groups that the defaults list has, so that nobody adds them
WORDS = ("name", "output_dir")  # keys whose value is a word, though it be made of digits


def understood(arguments: Sequence[str], *, config_name: str) -> list[str]:
    """Rewrite what was typed so that Hydra reads it as it is meant.

    Options go before overrides, grids such as `logspace(-4,0,9)` are written out, several loggers get a place each,
    and a name of digits is a word. In a sweep a key of a group becomes a sweep over its one value: so Hydra checks it
    against each job's own choices, and not against what the group holds by default.

    Args:
        arguments: Of the command line, without the program's name.
        config_name: The configuration that the command starts from, e.g. `"train"`.

    Raises:
        UserError: a space where none may be, a value that must be quoted, a list where one name is expected, or a sweep
            where one job is to be shown.
    """
    options, overrides = _parted(arguments)
    _check_spaces(overrides)
    overrides = [text for override in expand_grids(overrides) for text in _one(override)]
    if _shows_one(options):
        _check_one_job(overrides)
        options = [option for option in options if option not in SWEEPING]
    if _sweeps(options, overrides, config_name):
        overrides = [_checked_by_job(override) for override in overrides]
    return [*options, *overrides]


def _parted(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options, each with its value, and overrides: argparse takes no overrides behind an option in their midst."""
    options: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in ("--info", "-i"):  # argparse would take an override behind it for its value
            options.append(f"--info={rest.pop(0) if rest[:1] and rest[0] in INFO else 'all'}")
        elif argument.startswith("-"):
            options.append(argument)
            if argument in WITH_VALUE and rest:
                options.append(rest.pop(0))
        else:
            overrides.append(argument)
    return options, overrides


def _check_spaces(overrides: Sequence[str]) -> None:
    """See that no value was torn apart by a space.

    Raises:
        UserError: it was: `init=he, xavier`.
    """
    for first, second in pairwise(overrides):
        if "=" not in second and (first.endswith((",", "=", "[")) or second.startswith(",")):
            raise UserError(f"{first} {second}: no space belongs there; type {first}{second}")


def _shows_one(options: Sequence[str]) -> bool:
    """Whether the configuration of a job is to be shown, which Hydra does for a single one only."""
    return any(option in ("--cfg", "-c") or option.startswith("--cfg=") for option in options)


def _check_one_job(overrides: Sequence[str]) -> None:
    """See that overrides make one job.

    Raises:
        UserError: they make several.
    """
    for text in overrides:
        found = _parsed(text)
        if found is not None and found.is_sweep_override():
            raise UserError(f"{text}: --cfg shows one job; give {found.key_or_group} one value")


def _one(text: str) -> list[str]:
    """One override as Hydra is to read it, or several in its place.

    Raises:
        UserError: Hydra cannot read it, it is a list where a name is expected, or it adds what is there.
    """
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(_what_to_quote(text)) from error
    key, value = override.key_or_group, override.value()
    if override.type is OverrideType.ADD and override.package is None and key in CHOSEN:
        # Hydra would speak of defaults lists
        raise UserError(already_there(text.removeprefix("+")))
    if override.is_sweep_override() or not isinstance(key, str):
        return [text]
    if key in WORDS and isinstance(value, int | float):
        return [f'{key}="{text.partition("=")[2]}"']
    if key in CHOSEN and isinstance(value, list) and override.package is None:
        names = [str(name) for name in value]
        if key == "logger":
            several = [f"+logger@logger.{name}={name}" for name in names]
            return ["logger=none", *several] if len(names) != 1 else [f"logger={names[0]}"]
        among = ",".join(names)
        raise UserError(f"{text}: a job has one {key}; to sweep over several, -m {key}={among}")
    return [text]


def _what_to_quote(text: str) -> str:
    """What is wrong with an override that Hydra cannot read, and how to type it."""
    key, equal, value = text.partition("=")
    if not equal:
        return f"{text}: expected KEY=VALUE"
    if not re.fullmatch(r"[+~]{0,2}[\w./@$-]+", key):
        return f"{text}: {key} is no key; expected KEY=VALUE"
    for quoted in (_quoted_parts(value), _quoted(value)):
        if _reads(f"{key}={quoted}"):
            typed = _for_shell(f"{key}={quoted}")
            return f"{text}: quote what is no plain word, for the shell and for Hydra: {typed}"
    return f"{text}: cannot be read; quote the value: '{key}=\"…\"'"


def _for_shell(text: str) -> str:
    """A word as it is typed, so that the shell hands on every quote in it."""
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'(["\\$`])', r"\\\1", text) + '"'


def _quoted_parts(value: str) -> str:
    """A value in which those entries of a list, or of a sweep, are quoted that cannot be read alone."""
    inner = re.fullmatch(r"(\[?)(.*?)(\]?)", value, flags=re.DOTALL)
    assert inner is not None
    if bool(inner[1]) != bool(inner[3]):
        return _quoted(value)
    parts = [part.strip() for part in inner[2].split(",")]
    return inner[1] + ",".join(part if _reads(f"x={part}") else _quoted(part) for part in parts) + inner[3]


def _quoted(value: str) -> str:
    bare = value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
    return '"' + bare.replace('"', '\\"') + '"'


def _reads(text: str) -> bool:
    return _parsed(text) is not None


def _parsed(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _sweeps(options: Sequence[str], overrides: Sequence[str], config_name: str) -> bool:
    """Whether Hydra will sweep: as an option, a key or a configuration says."""
    if SWEEPING & set(options) or "hydra.mode=MULTIRUN" in overrides:
        return True
    if any(text.startswith("hydra.mode=") for text in overrides) or _shows_one(options):
        return False
    files = [CONF / f"{config_name}.yaml"]
    files += [CONF / f"{text.replace('=', '/', 1)}.yaml" for text in overrides if text.startswith("experiment=")]
    return any(_mode(path) == "MULTIRUN" for path in files)


def _mode(path: Path) -> Any:
    """The `hydra.mode` that a configuration file sets."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    settings = found.get("hydra") if isinstance(found, dict) else None
    return settings.get("mode") if isinstance(settings, dict) else None


def _checked_by_job(text: str) -> str:
    """A key of a group that has one value, as a sweep over it: which jobs have the key, their choices say."""
    found = _parsed(text)
    if found is None or found.is_sweep_override() or not (found.type is not None and found.type.name == "CHANGE"):
        return text
    key, _, value = text.partition("=")
    if key.partition(".")[0] not in GROUPS or "." not in key:
        return text
    swept = f"{key}=choice({value})"
    return swept if _reads(swept) else text
