"""A composed configuration as plain data. Nothing here is heavy: what is wrong is told before torch is imported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from initlab.base.errors import UserError
from initlab.config.defaults import check_typed
from initlab.config.names import without_leftovers
from initlab.config.schema import Config, parse_config

# Where Hydra puts results unless someone says otherwise, as conf/train.yaml has it: there initlab's own keys decide.
DEFAULT_FOLDERS = {"run": ".", "sweep": "${output_dir}/${name}"}
DEFAULT_JOB_FOLDER = "${job_name:${hydra.overrides.task}}"


@dataclass(frozen=True)
class PlainConfig:
    """A composed configuration of one job, resolved and checked.

    Attributes:
        resolved: All of it as plain data.
        config: The record of it.
        typed: What was typed for this job, `key=value` each.
    """

    resolved: Mapping[str, Any]
    config: Config
    typed: tuple[str, ...]


def plain_config(config: DictConfig, overrides: Sequence[str], folder: Path | None = None) -> PlainConfig:
    """Resolve a composed configuration, and check it against the schema.

    Args:
        config: As Hydra composes it, with or without its own node `hydra`.
        overrides: What was typed for this job, `key=value` each.
        folder: The study's folder, if Hydra was told one.

    Raises:
        UserError: a misspelt key, or a value of the wrong type or out of range.
    """
    return checked_config(as_plain(config), overrides, folder)


def as_plain(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain data, references resolved, without Hydra's own part."""
    plain = OmegaConf.to_container(without_hydra(config), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def without_hydra(config: DictConfig) -> DictConfig:
    """A composed configuration without Hydra's own node."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def checked_config(plain: Mapping[str, Any], overrides: Sequence[str], folder: Path | None = None) -> PlainConfig:
    """Check a configuration against the schema.

    Args:
        plain: As `as_plain` makes it; it stays as it is.
        overrides: What was typed for this job, `key=value` each.
        folder: The study's folder, if Hydra was told one.

    Raises:
        UserError: a misspelt key, or a value of the wrong type or out of range.
    """
    resolved = without_leftovers(plain, overrides)
    if isinstance(resolved.get("plugins"), str):
        resolved["plugins"] = [resolved["plugins"]]
    if folder is not None:
        resolved |= {"output_dir": str(folder.parent), "name": folder.name}
    config_record = parse_config(resolved)
    check_typed(resolved, overrides)
    return PlainConfig(resolved, config_record, tuple(overrides))


def hydras_folder(config: DictConfig, mode: str) -> Path | None:
    """The study's folder that Hydra was told, as by `hydra.sweep.dir=…`; None if initlab's own keys say it.

    Who types `hydra.run.dir` does not see that `probe` and `recommend` always sweep: what was not told for the mode
    that is on counts as told for the other one.

    Args:
        config: A composed configuration with Hydra's node.
        mode: `"run"` for a single job, `"sweep"` for several; if both folders were told, this one's counts.

    Raises:
        UserError: `hydra.sweep.subdir` was set: jobs are found again by the names that initlab gives them.
    """
    raw = OmegaConf.to_container(config.hydra, resolve=False)
    assert isinstance(raw, dict)
    if mode == "sweep" and raw["sweep"]["subdir"] != DEFAULT_JOB_FOLDER:
        raise UserError("hydra.sweep.subdir: jobs are named by what varies; set name=NAME or hydra.sweep.dir=DIR")
    for one in sorted(DEFAULT_FOLDERS, key=lambda other: other != mode):
        if raw[one]["dir"] != DEFAULT_FOLDERS[one]:
            return Path(str(config.hydra[one].dir)).expanduser()
    return None
