"""From a composed configuration to a job."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from initlab.base.errors import UserError
from initlab.base.plugins import load_plugins
from initlab.config.calls import as_words, check_call, import_target
from initlab.config.names import job_name, key_of, named_after_files, short_name, without_unset
from initlab.config.plain import plain_config
from initlab.config.schema import parse_config
from initlab.initializers import find_scheme, parse_init
from initlab.jobs.job import Job


def job_from(
    config: DictConfig, overrides: Sequence[str], *, swept: Collection[str] | None = None, folder: Path | None = None
) -> Job:
    """Make a job of a composed configuration.

    Args:
        config: As Hydra composes it, with or without its own node `hydra`.
        overrides: What the command line changed, `key=value` each; the job is named after it.
        swept: Keys in which the jobs of the command differ; None: not known, and all that was typed names the job.
        folder: The study's folder, if Hydra was told one.

    Raises:
        UserError: a misspelt key, or a value that is unknown, of the wrong type, or out of range.
    """
    resolved = plain_config(config, overrides, folder)
    resolved = _without_foreign_keys(resolved, overrides)
    resolved = without_unset(named_after_files(resolved, overrides))
    load_plugins(resolved.get("plugins") or [])
    resolved = _with_words(resolved, overrides)
    name = job_name(overrides) if swept is None else short_name(overrides, swept)
    job = Job(name, parse_config(resolved), resolved, tuple(overrides))
    check_call(
        job.activation.kind.build,
        job.activation.parameters,
        where="activation",
    )
    parse_init(job.config.init, where="init")  # refused now rather than when its weights are drawn
    return job


def _without_foreign_keys(resolved: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A configuration in which a typed `optim._target_` has lost the keys of what it replaced that it does not take."""
    typed = {text.lstrip("+~").split("=")[0] for text in overrides}
    if "optim._target_" not in typed:
        return resolved
    takes = inspect.signature(import_target(resolved["optim"].get("_target_"), where="optim")).parameters
    own = {*takes, "_target_", "name", "lr", "decay"}
    kept = {key: value for key, value in resolved["optim"].items() if key in own or f"optim.{key}" in typed}
    return {**resolved, "optim": kept}


def _with_words(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A configuration in which a column called 3, say, is a word, as the function that gets it asks for one."""
    typed = {key_of(text): text.partition("=")[2] for text in overrides}
    result = dict(resolved)
    for group in ("data", "model", "init"):
        given = result[group]
        with suppress(UserError):  # of a target that does not exist: told where it is called
            named = given.get("_target_")
            function = (
                find_scheme(str(given["name"])).function if group == "init" else import_target(named, where=group)
            )
            texts = {key: typed[f"{group}.{key}"] for key in given if f"{group}.{key}" in typed}
            labels = {key: given[key] for key in ("name", "_target_") if key in given}
            result[group] = {**as_words(function, given, texts), **labels}
    return result
