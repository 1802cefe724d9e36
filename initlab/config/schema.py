"""The typed schema of the configuration, and the check of a composed configuration against it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

from initlab.base.errors import UserError
from initlab.config.calls import check_call, conforms, instead_of_list

# What learning rates do with the width of a network; `jobs.scaling` says how.
SCALINGS: Final = ("standard", "mup", "spectral")
# The keys of the group `optim` that are initlab's own, beside the rate, and no arguments of the optimizer.
OWN_KEYS: Final = ("_target_", "name", "decay", "scaling", "base_width")


@dataclass(frozen=True)
class TrainerConfig:
    """What a configuration may ask of the Lightning trainer; everything else is set by the cohort that trains.

    Attributes:
        _target_: Dotted name of the trainer's class, `lightning.pytorch.Trainer` or one with its arguments.
        max_epochs: How often each member sees all training rows, at least 1.
        accelerator: What to train on, in Lightning's words: `"auto"`, `"cpu"`, `"gpu"`, …
        precision: Of the numbers: single, double, or bfloat16 where that is safe.
        deterministic: As Lightning takes it; None leaves its default, as for the two below.
        benchmark: Whether cuDNN tries several algorithms and keeps the fastest.
        profiler: Name of one of Lightning's profilers, e.g. `"simple"`.
    """

    _target_: str
    max_epochs: int
    accelerator: str = "auto"
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    profiler: str | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and the values that are allowed.
        """
        if self.max_epochs < 1:
            raise UserError(f"trainer.max_epochs={self.max_epochs}: expected a whole number of at least 1")


@dataclass(frozen=True)
class SignalConfig:
    """What is recorded of the signal in every layer while a network trains.

    Attributes:
        every: Epochs from one record to the next, at least 1; None: nothing is recorded.
        rows: How many training rows are sent through, at least 2; the same rows each time.
    """

    every: int | None
    rows: int

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and the values that are allowed.
        """
        if self.every is not None and self.every < 1:
            raise UserError(f"signal.every={self.every}: expected a whole number of epochs of at least 1, or null")
        if self.rows < 2:
            raise UserError(f"signal.rows={self.rows}: expected a whole number of at least 2")


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """When a member stops to train, while the others of its cohort go on.

    Attributes:
        patience: Epochs without a better validation value, at least 1; None: it never stops early.
        metric: The value: the loss on the validation rows, or the score.
        min_delta: What is better by no more than this does not count.
    """

    patience: int | None = None
    metric: Literal["loss", "score"] = "loss"
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and the values that are allowed.
        """
        if self.patience is not None and self.patience < 1:
            raise UserError(f"early_stopping.patience={self.patience}: expected epochs, at least 1, or null for never")
        if not 0 <= self.min_delta < math.inf:
            raise UserError(f"early_stopping.min_delta={self.min_delta}: expected a number of at least 0")


@dataclass(frozen=True)
class RecommendConfig:
    """How much `initlab.recommend` trains.

    Attributes:
        schemes: How many schemes train at most, beside torch's own default; at least 2.
        rates: At how many learning rates each of them trains, at least 1.
        max_minutes: How long a scheme that fits weights by steps of its own may take for all its networks; those that
            would take longer are left out. None: as long as it takes.
    """

    schemes: int
    rates: int
    max_minutes: float | None = 10

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and the values that are allowed.
        """
        for key, least in {"schemes": 2, "rates": 1}.items():
            if getattr(self, key) < least:
                raise UserError(f"recommend.{key}={getattr(self, key)}: expected a whole number of at least {least}")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UserError(f"recommend.max_minutes={self.max_minutes}: expected minutes above 0, or null for any")


@dataclass(frozen=True)
class Config:
    """The configuration of one job, checked. `conf/train.yaml` says what each key means.

    The groups `data`, `model`, `init`, `activation`, `optim` and `logger` stay plain mappings: which keys they hold
    depends on the function or class that they name, and is checked against that one's signature; so do `loss`,
    `scheduler` and `protocol`.
    """

    name: str
    output_dir: str
    plugins: Sequence[str]
    seeds: int | Literal["auto"]
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
    trainer: TrainerConfig
    logger: Mapping[str, Any]
    signal: SignalConfig
    loss: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    save: Literal["none", "best", "all"] = "none"
    protocol: Mapping[str, Any] = field(default_factory=dict)
    compile: bool | Literal["auto"] = "auto"
    margin: float = 0.01
    max_seeds: int = 200
    max_minutes: float | None = None
    recommend: RecommendConfig | None = None

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: naming the key and the values that are allowed.
        """
        for key, least in {"seeds": 1, "seed": 0, "batch_size": 1, "init_rows": 2, "max_seeds": 2}.items():
            if getattr(self, key) != "auto" and getattr(self, key) < least:
                raise UserError(f"{key}={getattr(self, key)}: expected a whole number of at least {least}")
        if self.gradient_clip is not None and self.gradient_clip <= 0:
            raise UserError(f"gradient_clip={self.gradient_clip}: expected a positive norm, or null for none")
        if not 0 < self.threshold <= 1:
            raise UserError(f"threshold={self.threshold}: expected a score in (0, 1]")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UserError(f"max_minutes={self.max_minutes}: expected minutes above 0, or null for any")
        if not 0 < self.margin < 1:
            raise UserError(f"margin={self.margin}: expected a difference of accuracy or R² between 0 and 1, e.g. 0.01")
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


def parse_config(resolved: Mapping[str, Any]) -> Config:
    """Check a resolved configuration against the schema, and make the record of it.

    Args:
        resolved: Plain data with the keys that `conf/train.yaml` documents, all references resolved.

    Raises:
        UserError: a misspelt key, a missing one, or a value of the wrong type or out of range.
    """
    check_call(Config, resolved, where="")
    for group in ("data", "model", "init", "activation", "optim"):
        if not isinstance(resolved[group].get("name"), str):
            raise UserError(f"{group}.name: missing; it is what the tables call this {group}")
    if (wish := resolved["data"].get("resplit", "auto")) not in ("auto", True, False):
        raise UserError(f"data.resplit={wish}: expected auto, true or false")
    records: dict[str, Any] = {}
    for group, record in RECORDS.items():
        if resolved.get(group) or group not in ("recommend", "early_stopping"):
            check_call(record, resolved[group], where=group)
            records[group] = record(**resolved[group])
    rate = resolved["optim"].get("lr")
    if not conforms(rate, float) or not 0 < rate < math.inf:
        raise UserError(f"optim.lr={rate}: expected a positive number{instead_of_list('optim.lr', rate)}")
    if (scaling := resolved["optim"].get("scaling", "standard")) not in SCALINGS:
        raise UserError(f"optim.scaling={scaling}: expected one of {', '.join(SCALINGS)}")
    base = resolved["optim"].get("base_width")
    if not conforms(base, int | None) or (base is not None and base < 1):
        swept = instead_of_list("optim.base_width", base)
        raise UserError(f"optim.base_width={base}: expected a whole number of at least 1, or null{swept}")
    width = resolved["model"].get("out_features")
    if not conforms(width, int | None) or width == 0:
        raise UserError(f"model.out_features={width}: expected a whole number, or null for what the data asks for")
    return Config(**{**resolved, **records})


# The groups that have a record of their own.
RECORDS: Mapping[str, type] = MappingProxyType(
    {
        "trainer": TrainerConfig,
        "signal": SignalConfig,
        "early_stopping": EarlyStoppingConfig,
        "recommend": RecommendConfig,
    }
)
