"""Jobs: one cell of the benchmark each, data × model × activation × init × optimizer, with its members."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from initlab.activations import Activation
from initlab.config import (
    NOT_IDENTITY,
    Config,
    check_call,
    import_target,
    job_name,
    parse_config,
    without_keys,
    without_leftovers,
)
from initlab.data.dataset import Dataset
from initlab.errors import RefusedError, UserError
from initlab.initializers import Batch, InitSpec, fill_model, find_scheme, parse_init
from initlab.plugins import load_plugins
from initlab.randomness import stream
from initlab.results.schema import SCHEMA_VERSION
from initlab.tasks import TASKS

# What a network's constructor is given, as far as it declares it.
SUPPLIED_TO_MODELS: Final = ("input_shape", "out_features", "num_classes", "activation")


@dataclass(frozen=True)
class Member:
    """One network of a cohort: its weights at the start, its order of the data and its learning rate.

    Attributes:
        job: Name of the job it belongs to.
        seed: Of its weights and its data order.
        init: How its weights are drawn.
        learning_rate: Its own.
    """

    job: str
    seed: int
    init: InitSpec
    learning_rate: float


@dataclass(frozen=True)
class Job:
    """One cell of the benchmark.

    Attributes:
        name: Of its directory, after its overrides.
        config: Checked.
        resolved: The same as plain data, to be written beside the results.
    """

    name: str
    config: Config
    resolved: Mapping[str, Any]

    @property
    def study(self) -> Path:
        """Directory of the sweep it belongs to."""
        return Path(self.config.output_dir).expanduser() / self.config.name

    @property
    def directory(self) -> Path:
        """Where its tables go."""
        return self.study / self.name

    @property
    def seeds(self) -> range:
        """Seeds of its members."""
        return range(self.config.seed, self.config.seed + self.config.seeds)

    @property
    def identity(self) -> dict[str, str | float]:
        """What the rows of its tables say about it."""
        groups = ("data", "model", "init", "activation", "optim")
        names = {group: str(getattr(self.config, group)["name"]) for group in groups}
        return {"job": self.name, **names, "lr": float(self.config.optim["lr"])}

    @cached_property
    def activation(self) -> Activation:
        """The nonlinearity of the network."""
        parameters = {key: value for key, value in self.config.activation.items() if key != "name"}
        return Activation(str(self.config.activation.get("name")), parameters)

    @cached_property
    def init(self) -> InitSpec:
        """The rule for the weights."""
        return parse_init(self.config.init, where="init")

    @property
    def dataset(self) -> Dataset:
        """The data; the last few that were used stay in memory."""
        return _load_dataset(json.dumps(self.config.data, sort_keys=True))

    @cached_property
    def program(self) -> str:
        """What members must share to train in one cohort: everything but initializers, seeds and learning rates."""
        return json.dumps(without_keys(self.resolved, {"init", "seeds", "seed", "optim.lr"}), sort_keys=True)

    @cached_property
    def fingerprint(self) -> str:
        """Of all that decides its results: configuration, data, and the schema of the tables."""
        what = [without_keys(self.resolved, NOT_IDENTITY), self.dataset.checksum, SCHEMA_VERSION]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Networks are derived again in another process; the fingerprint is not, as it needs the data.
        kept = {*self.__dataclass_fields__, "fingerprint"}
        return {key: value for key, value in self.__dict__.items() if key in kept}

    def members(self) -> list[Member]:
        """Its members, one a seed."""
        rate = float(self.config.optim["lr"])
        return [Member(self.name, seed, self.init, rate) for seed in self.seeds]

    @cached_property
    def build_model(self) -> Callable[[], nn.Module]:
        """Builds the network; its weights are torch's until an initializer fills them."""
        arguments = dict(self.config.model)
        data = self.dataset
        width = arguments.pop("out_features", None) or data.outputs
        if width < data.outputs and data.classes is not None:
            raise UserError(f"model.out_features={width}: the data has {data.classes} classes")
        if width != data.outputs and data.classes is None:
            raise UserError(f"model.out_features={width}: the data asks for {data.outputs}, one a target; set null")
        build = target("model", arguments)
        known = {
            "input_shape": data.input_shape,
            "out_features": width,
            "num_classes": width,
            "activation": self.activation,
        }
        declared = inspect.signature(build).parameters
        return partial(build, **{name: value for name, value in known.items() if name in declared})

    def build_member(self, member: Member) -> nn.Module:
        """Build one member's network with its initial weights; the global random state stays as it was.

        Raises:
            RefusedError: its initializer and its network do not fit.
        """
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(member.seed)  # whatever no scheme fills
            model = self.build_model()
        if not isinstance(model, nn.Module):
            built = f"model._target_={self.config.model['_target_']} gives a {type(model).__name__}"
            raise UserError(f"{built}: expected a torch.nn.Module")
        loss = TASKS[self.dataset.task].loss
        try:
            fill_model(
                model,
                member.init,
                activation=self.activation,
                seed=member.seed,
                batch=self._batch_for(member),
                loss=lambda outputs, targets: loss(outputs, targets).mean(),
            )
        except UserError as error:
            raise RefusedError(str(error)) from error
        return model

    def rows_to_look_at(self) -> Batch:
        """Training rows through which the signal is looked at, the same for all jobs of one data set and seed."""
        rows, count = self.dataset.train, self.config.signal["rows"]
        chosen = torch.randperm(len(rows), generator=stream(self.config.seed, "rows to look at"))[:count]
        return Batch(rows.inputs[chosen], rows.targets[chosen])

    @property
    def fitted(self) -> str | None:
        """Why theory, which is about random weights, has nothing to say of its networks; None if it has."""
        scheme = find_scheme(self.init.scheme)
        return f"init={scheme.name} fits the weights to data" if "batch" in scheme.needs else None

    def _batch_for(self, member: Member) -> Batch | None:
        """Training rows for an initializer that looks at data, drawn by the member's seed."""
        if not find_scheme(member.init.scheme).needs:
            return None
        rows = self.dataset.train
        chosen = torch.randperm(len(rows), generator=stream(member.seed, "rows to initialize by"))
        chosen = chosen[: self.config.init_rows]
        return Batch(rows.inputs[chosen], rows.targets[chosen])


@dataclass(frozen=True, eq=False)
class Share:
    """Some members of one job, that train in one cohort.

    Attributes:
        job: Theirs.
        seeds: Of these members; a part of the job's.
    """

    job: Job
    seeds: range

    @property
    def whole(self) -> bool:
        """Whether these are all of the job's members."""
        return self.seeds == self.job.seeds

    def members(self) -> list[Member]:
        """Its members, one a seed."""
        return [member for member in self.job.members() if member.seed in self.seeds]


def rows_of(shares: Sequence[Share]) -> list[slice]:
    """Where each share's members stand in the stack."""
    ends = list(accumulate(len(share.seeds) for share in shares))
    return [slice(end - len(share.seeds), end) for share, end in zip(shares, ends, strict=True)]


def job_from(config: DictConfig, overrides: list[str]) -> Job:
    """Make a job of a composed configuration.

    Args:
        config: Composed by Hydra, with or without the `hydra` node.
        overrides: What the command line changed; it names the job.

    Raises:
        UserError: a misspelt key, or a value that is unknown, of the wrong type, or out of range.
    """
    if "hydra" in config:
        config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    resolved = without_leftovers({str(key): value for key, value in plain.items()}, overrides)
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


def target(group: str, config: Mapping[str, Any]) -> Callable[..., Any]:
    """The function or class that a group's `_target_` names, with the group's arguments bound.

    Raises:
        UserError: it cannot be imported, or does not take such an argument.
    """
    function = import_target(config.get("_target_"), where=group)
    offered = {"model": SUPPLIED_TO_MODELS, "logger": ("save_dir",)}.get(group, ())
    supplied = [name for name in offered if name in inspect.signature(function).parameters]
    labels = ("_target_",) if group == "logger" else ("_target_", "name")
    arguments = {key: value for key, value in config.items() if key not in labels}
    check_call(function, arguments, where=group, supplied=supplied)
    if any(isinstance(value, Mapping | list) for value in arguments.values()):  # which may have targets of their own
        arguments = instantiate(arguments, _convert_="all")
    return partial(function, **arguments)


@lru_cache(maxsize=8)
def _load_dataset(config: str) -> Dataset:
    settings = json.loads(config)
    load = target("data", settings)
    try:
        dataset = load()
    except UserError:
        raise
    except Exception as error:  # whatever the user's own function brings about
        raise UserError(f"data._target_={settings['_target_']}: {type(error).__name__}: {error}") from error
    if not isinstance(dataset, Dataset):
        raise UserError("data._target_: expected a function that returns an initlab.data.dataset.Dataset")
    return dataset
