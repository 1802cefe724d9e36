"""From a composed configuration to a job."""

import inspect
from typing import Any

from omegaconf import DictConfig, OmegaConf

from initlab.base.plugins import load_plugins
from initlab.config.calls import check_call, import_target
from initlab.config.names import job_name, named_after_files, without_leftovers, without_unset
from initlab.config.schema import parse_config
from initlab.initializers import parse_init
from initlab.jobs.job import Job


def job_from(config: DictConfig, overrides: list[str]) -> Job:
    """Make a job of a composed configuration.

    Args:
        config: As Hydra composes it, with or without its own node `hydra`.
        overrides: What the command line changed, `key=value` each; the job is named after it.

    Raises:
        UserError: a misspelt key, or a value that is unknown, of the wrong type, or out of range.
    """
    if "hydra" in config:
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    resolved = without_leftovers({str(key): value for key, value in plain.items()}, overrides)
    resolved = _without_foreign_keys(resolved, overrides)
    resolved = without_unset(named_after_files(resolved, overrides))
    if isinstance(resolved.get("plugins"), str):
        resolved["plugins"] = [resolved["plugins"]]
    load_plugins(resolved.get("plugins") or [])
    job = Job(job_name(overrides), parse_config(resolved), resolved)
    check_call(
        job.activation.kind.build,
        job.activation.parameters,
        where="activation",
    )
    parse_init(job.config.init, where="init")  # refused now rather than when its weights are drawn
    return job


def _without_foreign_keys(resolved: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """A configuration in which a typed `optim._target_` has lost the keys of what it replaced that it does not take."""
    typed = {text.lstrip("+~").split("=")[0] for text in overrides}
    if "optim._target_" not in typed:
        return resolved
    takes = inspect.signature(import_target(resolved["optim"].get("_target_"), where="optim")).parameters
    own = {*takes, "_target_", "name", "lr", "decay"}
    kept = {key: value for key, value in resolved["optim"].items() if key in own or f"optim.{key}" in typed}
    return {**resolved, "optim": kept}
