"""The typed schema of the configuration, and the check of a composed configuration against it."""

import hashlib
import importlib
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

from initlab.errors import UserError, nearest

# Keys that say where and how to run, not what: they do not name a job's directory.
NOT_IDENTITY = frozenset(
    {
        *("name", "output_dir", "data.dir", "data.download", "logger", "plugins"),
        *(
            "threads",
            "n_jobs",
            "backend",
            "max_members",
            "checkpoint_seconds",
            "resume",
            "fail_fast",
            "dry_run",
            "report",
            "recommend",
        ),
    }
)
LONGEST_NAME = 120


@dataclass(frozen=True)
class Config:
    """One job's configuration, as `conf/train.yaml` documents it."""

    name: str
    output_dir: str
    plugins: Sequence[str]
    seeds: int
    seed: int
    batch_size: int
    init_rows: int
    threshold: float
    gradient_clip: float | None
    engine: Literal["auto", "vmap", "loop"]
    threads: int | Literal["auto"]
    n_jobs: int | Literal["auto"]
    backend: Literal["loky", "ray", "dask"]
    max_members: int | Literal["auto"]
    checkpoint_seconds: float | None
    resume: bool
    fail_fast: bool
    dry_run: bool
    report: bool
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    init: Mapping[str, Any]
    activation: Mapping[str, Any]
    optim: Mapping[str, Any]
    trainer: Mapping[str, Any]
    logger: Mapping[str, Any]
    signal: Mapping[str, Any]
    protocol: Mapping[str, Any] = field(default_factory=dict)
    recommend: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and what is allowed.
        """
        for key, least in {"seeds": 1, "seed": 0, "batch_size": 1, "init_rows": 2}.items():
            if getattr(self, key) < least:
                raise UserError(f"{key}={getattr(self, key)}: expected a whole number of at least {least}")
        if self.gradient_clip is not None and self.gradient_clip <= 0:
            raise UserError(f"gradient_clip={self.gradient_clip}: expected a positive norm, or null for none")
        if not 0 < self.threshold <= 1:
            raise UserError(f"threshold={self.threshold}: expected a score in (0, 1]")
        for key in ("threads", "max_members"):
            value = getattr(self, key)
            if value != "auto" and value < 1:
                raise UserError(f"{key}={value}: expected a whole number of at least 1, or auto")
        if self.n_jobs != "auto" and self.n_jobs < 1 and self.n_jobs != -1:
            raise UserError(f"n_jobs={self.n_jobs}: expected a whole number of at least 1, -1 for all cores, or auto")
        if self.checkpoint_seconds is not None and not 0 <= self.checkpoint_seconds < math.inf:
            raise UserError(f"checkpoint_seconds={self.checkpoint_seconds}: expected seconds, or null for never")
        if "/" in self.name or self.name in ("", ".", ".."):
            raise UserError(f"name={self.name}: expected the plain name of a folder")


@dataclass(frozen=True)
class TrainerConfig:
    """What the configuration may ask of `lightning.Trainer`; the rest belongs to the cohort."""

    max_epochs: int
    accelerator: str = "auto"
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    profiler: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and what is allowed.
        """
        if self.max_epochs < 1:
            raise UserError(f"trainer.max_epochs={self.max_epochs}: expected a whole number of at least 1")


@dataclass(frozen=True)
class SignalConfig:
    """What is recorded of the signal in every layer."""

    every: int | None
    rows: int

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and what is allowed.
        """
        if self.every is not None and self.every < 1:
            raise UserError(f"signal.every={self.every}: expected a whole number of epochs of at least 1, or null")
        if self.rows < 2:
            raise UserError(f"signal.rows={self.rows}: expected a whole number of at least 2")


@dataclass(frozen=True)
class RecommendConfig:
    """How much `initlab.recommend` trains."""

    schemes: int
    rates: int

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and what is allowed.
        """
        for key, least in {"schemes": 2, "rates": 1}.items():
            if getattr(self, key) < least:
                raise UserError(f"recommend.{key}={getattr(self, key)}: expected a whole number of at least {least}")


def parse_config(resolved: Mapping[str, Any]) -> Config:
    """Check a resolved configuration and give it its type.

    Raises:
        UserError: a misspelt key, a missing one, or a value of the wrong type or out of range.
    """
    check_call(Config, resolved, where="")
    for group in ("data", "model", "init", "activation", "optim"):
        if not isinstance(resolved[group].get("name"), str):
            raise UserError(f"{group}.name: missing; it is what the tables call this {group}")
    trainer = {key: value for key, value in resolved["trainer"].items() if key != "_target_"}
    check_call(TrainerConfig, trainer, where="trainer")
    TrainerConfig(**trainer)
    check_call(SignalConfig, resolved["signal"], where="signal")
    SignalConfig(**resolved["signal"])
    if resolved.get("recommend"):
        check_call(RecommendConfig, resolved["recommend"], where="recommend")
        RecommendConfig(**resolved["recommend"])
    rate = resolved["optim"].get("lr")
    if not conforms(rate, float) or not 0 < rate < math.inf:
        raise UserError(f"optim.lr={rate}: expected a positive number")
    width = resolved["model"].get("out_features")
    if not conforms(width, int | None) or width == 0:
        raise UserError(f"model.out_features={width}: expected a whole number, or null for what the data asks for")
    return Config(**resolved)


def without_keys(config: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """A nested configuration without some keys; those of a group are named by a dot."""
    kept = {}
    for key, value in config.items():
        inner = {name.partition(".")[2] for name in keys if name.startswith(f"{key}.")}
        if key not in keys:
            kept[key] = without_keys(value, inner) if inner and isinstance(value, Mapping) else value
    return kept


def without_leftovers(resolved: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved configuration in which `model._target_=…` and `data._target_=…` replace what stood there before.

    Where a `_target_` was typed, the other keys of its group belong to what it replaced, unless they were typed, too.
    The group is then named after the target.

    Args:
        resolved: The composed configuration.
        overrides: What was typed, as Hydra writes it.
    """
    typed = {text.lstrip("+~").split("=")[0] for text in overrides}
    result = dict(resolved)
    for group in ("model", "data"):
        path = result.get(group, {}).get("_target_")
        if f"{group}._target_" in typed and isinstance(path, str):
            kept = {key: value for key, value in result[group].items() if f"{group}.{key}" in typed}
            if group == "model":
                kept.setdefault("out_features", result[group].get("out_features"))
            result[group] = {"name": path.rpartition(".")[2], **kept}
    return result


def import_target(path: object, *, where: str) -> Callable[..., Any]:
    """Import what a `_target_` names.

    Raises:
        UserError: it is no dotted name, or cannot be imported.
    """
    if not isinstance(path, str) or "." not in path:
        raise UserError(f"{where}._target_={path}: expected the dotted name of a function or class")
    module, _, attribute = path.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever importing the user's module raises
        raise UserError(f"{where}._target_={path}: cannot import it: {error}") from error
    return found


def check_call(
    function: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    where: str,
    supplied: Sequence[str] = (),
) -> None:
    """Check configured arguments against what a function or class takes, before it is called.

    Args:
        function: What will be called.
        given: The configured keyword arguments.
        where: Their configuration group, for the message; empty at the top.
        supplied: Arguments that the program itself passes, and a configuration must not.

    Raises:
        UserError: an unknown or missing key, or a value of the wrong type; one line.
    """
    prefix = f"{where}." if where else ""
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    allowed = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    open_names = [name for name in allowed if name not in supplied]
    hints = _hints(function)
    for key, value in given.items():
        if key not in open_names and (key in supplied or not takes_any):
            raise UserError(f"{prefix}{key}: unknown key; {nearest(str(key), open_names)}")
        hint = hints.get(key, Any)
        if not conforms(value, hint):
            raise UserError(f"{prefix}{key}={value}: expected {describe(hint)}")
    for name in open_names:
        if parameters[name].default is inspect.Parameter.empty and name not in given:
            raise UserError(f"{prefix}{name}: missing; {function.__name__} needs it")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    target = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError):  # a library's annotation that cannot be resolved checks nothing
        return {}


def conforms(value: Any, hint: Any) -> bool:
    """Whether a configured value fits an annotation; annotations that no configuration can fill fit nothing."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(conforms(value, option) for option in arguments)
    if origin is Literal:
        return value in arguments
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, str | Path)
    container = origin or hint
    if isinstance(container, type) and issubclass(container, Mapping):
        return isinstance(value, Mapping)
    if isinstance(container, type) and issubclass(container, Sequence):
        item = arguments[0] if arguments else Any
        return isinstance(value, list | tuple) and all(conforms(entry, item) for entry in value)
    return isinstance(hint, type) and isinstance(value, hint)


def describe(hint: Any) -> str:
    """An annotation in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in arguments if conforms_something(option))
    if origin is Literal:
        return f"one of {', '.join(str(option) for option in arguments)}"
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a word", Path: "a path"}
    if hint is None or hint is type(None):
        return "null"
    container = origin or hint
    if isinstance(container, type) and issubclass(container, Mapping):
        return "a group of keys"
    if isinstance(container, type) and issubclass(container, Sequence) and hint is not str:
        return "a list" + (f" with {describe(arguments[0])} in each place" if arguments else "")
    return words.get(hint, getattr(hint, "__name__", str(hint)))


def conforms_something(hint: Any) -> bool:
    """Whether a configuration file could write a value of this type at all."""
    plain = (float, int, bool, str, Path, None, type(None))
    return hint in plain or typing.get_origin(hint) is not None


def job_name(overrides: Sequence[str]) -> str:
    """Name a job's directory after its overrides: readable, the same for the same command, never too long.

    `init=he,optim.lr=0.1`; `defaults` where nothing was overridden. Characters that a file system or a shell
    minds become `_`. What is cut is told apart by a hash.
    """
    last = {text.lstrip("+~").split("=")[0]: text for text in overrides}
    kept = sorted(text for key, text in last.items() if key not in NOT_IDENTITY)
    plain = ",".join(kept) or "defaults"
    name = re.sub(r"[^\w.,=+~@\-\[\]]", "_", plain)
    if name == plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"
