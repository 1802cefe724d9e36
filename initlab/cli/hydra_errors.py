"""Hydra's and OmegaConf's errors, as one line each."""

import re
from pathlib import Path

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from initlab.base.errors import UserError, nearest


def explain(error: Exception, conf: Path) -> UserError | None:
    """One line that says what in the command line or a configuration file was wrong; None if it is no such error.

    Args:
        error: What composing or running raised.
        conf: The configuration folder, for the names that are allowed.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        options = error.options or sorted(path.stem for path in (conf / group).glob("*.yaml"))
        hint = "; one of your own needs plugins=[MODULE]" if group == "init" else ""
        return UserError(f"{group}={option}: unknown {group}; {nearest(option, options)}{hint}")
    if isinstance(error, OverrideParseException):
        return UserError(f"{error.override}: {_one_line(error.message)}")
    if isinstance(error, HydraException) and "Ambiguous value for argument" in str(error):
        argument = str(error).split("'")[1]
        return UserError(f"{argument}: to sweep over several values, put -m before the first argument")
    if isinstance(error, ValueError) and "Config group override" in str(error):
        return UserError(f"{error}; choose by name, e.g. init=he")
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(cause, OmegaConfBaseException) and cause.full_key and cause.parent_node is not None:
        if "is not in struct" in str(cause):
            allowed = [str(key) for key in cause.parent_node if key != "hydra"]
            known = nearest(str(cause.key), allowed)
            if not str(cause.full_key).startswith("init."):
                return UserError(f"{cause.full_key}: unknown key; {known}")
            return UserError(
                f"{cause.full_key}: init={cause.parent_node.get('name')} has no such parameter; {known}; "
                "a sweep sets it for every init: give each its own command, with one name=STUDY"
            )
        return UserError(f"{cause.full_key}: {_one_line(str(cause.msg or cause))}")
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UserError(_one_line(str(error)))
    if isinstance(error, OSError) and error.filename:  # Hydra's, as it makes the sweep's folder: ours is OwnFaultError
        return UserError(f"{error.filename}: {error.strerror}; set output_dir=DIR to write elsewhere")
    return None


def _one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", "; ", text.strip())
