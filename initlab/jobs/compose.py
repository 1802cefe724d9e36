"""From a composed configuration to a job."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from initlab.base.errors import UserError
from initlab.base.plugins import load_plugins
from initlab.config.calls import as_words, check_call, import_target
from initlab.config.names import job_name, key_of, named_after_files, short_name, without_unset
from initlab.config.plain import PlainConfig
from initlab.config.schema import OWN_KEYS
from initlab.initializers import find_scheme, parse_init
from initlab.jobs.job import Job

# Groups that stay plain data in the record of a configuration, and may be changed here.
PLAIN_GROUPS: Final = ("data", "model", "init", "optim", "loss", "scheduler")


def job_from(plain: PlainConfig, *, swept: Collection[str] | None = None) -> Job:
    """Make a job of a composed configuration.

    Args:
        plain: The configuration as `plain_config` returns it; the job is named after what was typed.
        swept: Keys in which the jobs of the command differ; None: not known, and all that was typed names the job.

    Raises:
        UserError: a plug-in cannot be imported; or an activation or initializer does not take its parameters.
    """
    typed = plain.typed
    resolved = _without_foreign_keys(plain.resolved, typed)
    resolved = without_unset(named_after_files(resolved, typed))
    load_plugins(resolved.get("plugins") or [])
    resolved = _with_words(resolved, typed)
    config = replace(plain.config, **{group: resolved.get(group, {}) for group in PLAIN_GROUPS})
    job = Job(job_name(typed) if swept is None else short_name(typed, swept), config, resolved, typed)
    check_call(
        job.activation.kind.build,
        job.activation.parameters,
        where="activation",
    )
    parse_init(job.config.init, where="init")  # refused now rather than when its weights are drawn
    return job


def _without_foreign_keys(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A configuration in which a typed `optim._target_` has lost the keys of what it replaced that it does not take."""
    typed = {key_of(text) for text in overrides}
    if "optim._target_" not in typed:
        return dict(resolved)
    takes = inspect.signature(import_target(resolved["optim"].get("_target_"), where="optim")).parameters
    own = {*takes, "lr", *OWN_KEYS}
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
