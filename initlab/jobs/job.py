"""A job, one cell of the benchmark: what it is, whatever its seeds."""

import json
import sys
import time
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from torch import nn

from initlab.activations import Activation
from initlab.config.names import NOT_IDENTITY, SEEDS, hashed, key_of, without_keys
from initlab.config.schema import Config
from initlab.data.dataset import Dataset
from initlab.data.losses import Loss, build_loss
from initlab.initializers import InitSpec, parse_init
from initlab.initializers.init_report import Treatment
from initlab.initializers.spec import beyond_theory
from initlab.jobs.data import JobData
from initlab.jobs.filling import fill_network
from initlab.jobs.fingerprint import RESULTS_VERSION, VERSION_WITH_SEEDS, fingerprint_of
from initlab.jobs.looks import look_sizes
from initlab.jobs.member import Member
from initlab.jobs.network import JobNetwork
from initlab.jobs.sources import data_sources_of, sources_of
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Snapshot

RATES: Final = frozenset({"optim.lr", "optim.scaling", "optim.base_width"})  # what members of a cohort may differ in
COSTLY: Final = ("fingerprint", "sources", "made_of")  # of a job: they read files, and do not depend on seeds


@dataclass(frozen=True, eq=False)
class Job:
    """One cell of the benchmark: one configuration, trained with several seeds.

    What it is does not depend on its seeds: jobs that differ in nothing else are equal, have one fingerprint and share
    a folder, whose tables hold the seeds of all that was ever asked for.

    Attributes:
        name: Name of its folder within the study: of `config.names`, and in a study as `sweep.naming` finds it.
        config: The configuration, checked against the schema.
        resolved: The same as plain data, as it is written beside the results.
        typed: What was typed for it, `key=value` each: what may tell it apart from others of its study.
        seeds: Of its members, ascending: those that are asked for. By default those of its configuration: `seed`,
            `seed` + 1, …, `seeds` of them; with `seeds=auto` those of the first look.
        looks: How often its study may be looked at before more seeds are added: 1 unless by `seeds=auto`.
    """

    name: str
    config: Config
    resolved: Mapping[str, Any]
    typed: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    looks: int = 1

    def __post_init__(self) -> None:
        """Take the seeds from the configuration where they are not given."""
        if self.seeds:
            return
        first, count = self.config.seed, self.config.seeds
        if count == "auto":
            sizes = look_sizes(self.config.max_seeds)
            count = sizes[0]
            object.__setattr__(self, "looks", len(sizes))
        object.__setattr__(self, "seeds", tuple(range(first, first + count)))

    def __eq__(self, other: object) -> bool:
        """Whether another object is this job, with whatever seeds."""
        return isinstance(other, Job) and self._identity == other._identity

    def __hash__(self) -> int:
        """Of its name and configuration, but for its seeds."""
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, str, tuple[str, ...]]:
        return self.name, self.but_for_seeds, tuple(text for text in self.typed if key_of(text) not in SEEDS)

    def named(self, name: str) -> "Job":
        """The same job under another name."""
        if name == self.name:
            return self
        other = replace(self, name=name)
        other.__dict__.update({key: value for key, value in self.__dict__.items() if key in COSTLY})
        return other

    def with_seeds(self, seeds: Iterable[int]) -> "Job":
        """The same job with other seeds, at least one; its configuration names the least of them, and how many."""
        chosen = tuple(sorted(set(seeds)))
        if chosen == self.seeds and (self.config.seed, self.config.seeds) == (chosen[0], len(chosen)):
            return self
        config = replace(self.config, seed=chosen[0], seeds=len(chosen))
        resolved = {**self.resolved, "seed": chosen[0], "seeds": len(chosen)}
        other = replace(self, config=config, resolved=resolved, seeds=chosen)
        other.__dict__.update({name: value for name, value in self.__dict__.items() if name in COSTLY})
        return other

    @property
    def study_folder(self) -> Path:
        """Folder of the study that it belongs to."""
        return Path(self.config.output_dir).expanduser() / self.config.name

    @property
    def folder(self) -> Path:
        """Where its tables go: a folder of its own within the study's."""
        return self.study_folder / self.name

    @property
    def key_columns(self) -> dict[str, str | float]:
        """The columns that tell its rows from those of other jobs, in every table, with their values."""
        groups = ("data", "model", "init", "activation", "optim")
        names = {group: str(getattr(self.config, group)["name"]) for group in groups}
        return {"job": self.name, **names, "lr": self.learning_rate}

    @property
    def learning_rate(self) -> float:
        """Learning rate of all its members, the key `optim.lr`."""
        return float(self.config.optim["lr"])

    @cached_property
    def activation(self) -> Activation:
        """The nonlinearity of the network."""
        parameters = {key: value for key, value in self.config.activation.items() if key != "name"}
        return Activation(str(self.config.activation.get("name")), parameters)

    @cached_property
    def init(self) -> InitSpec:
        """The rule for the initial weights, checked."""
        return parse_init(self.config.init, where="init")

    @cached_property
    def data(self) -> JobData:
        """What its members learn from."""
        return JobData(self.config.data)

    @property
    def dataset(self) -> Dataset:
        """The data set that its first member learns from, and, unless the job `resplits`, all others."""
        return self.dataset_for(self.config.seed)

    @property
    def resplits(self) -> bool:
        """Whether each seed has a split of its own; see `JobData.resplits`."""
        return self.data.resplits

    def dataset_for(self, seed: int) -> Dataset:
        """The data set that the member of a seed learns from; see `JobData.of_seed`."""
        return self.data.of_seed(seed)

    @cached_property
    def loss(self) -> Loss:
        """The loss that its members are trained on, and that schemes which look at gradients get.

        What it knows of the data, such as how common classes are, is the same for all seeds.

        Raises:
            UserError: it does not suit the data, or cannot be called.
        """
        return build_loss(self.config.loss, self.data.as_given)

    @property
    def chance_loss(self) -> float:
        """What outputs of zero cost on the validation rows: ln C for the cross entropy of C classes."""
        return self.data.chance_loss(self.loss)

    @property
    def scheduler(self) -> Mapping[str, Any] | None:
        """What changes the learning rate, its `_target_` and arguments; None: it stays."""
        return self.config.scheduler if self.config.scheduler.get("_target_") else None

    @cached_property
    def program(self) -> str:
        """What members must share to train in one cohort: everything but initializers, seeds and learning rates.

        It is a text, and two jobs can share a cohort if their texts are equal.
        """
        # One text for thousands of jobs.
        return sys.intern(json.dumps(without_keys(self.resolved, {"init", *SEEDS, *RATES}), sort_keys=True))

    @property
    def start(self) -> str:
        """What decides its members' weights before training, beside their seeds, as a text: all but the optimizer."""
        return json.dumps(without_keys(self.resolved, {*NOT_IDENTITY, "optim"}), sort_keys=True)

    @property
    def but_for_seeds(self) -> str:
        """All of its configuration but for its seeds, as a text: jobs that agree in it are one candidate."""
        return json.dumps(without_keys(self.resolved, SEEDS), sort_keys=True)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what a seed of it trains: configuration, data, `RESULTS_VERSION`, and `sources`.

        Keys that change no result, such as `n_jobs`, do not enter, nor do the seeds. What was trained is not trained
        again while the fingerprint stays the same.
        """
        return self._fingerprint(hashed(self.resolved), RESULTS_VERSION)

    def fingerprint_with_seeds(self, seed: int, seeds: int) -> str:
        """The fingerprint that its results had before seeds were left out of it.

        Args:
            seed: The first seed that it had then.
            seeds: How many it had.
        """
        return self._fingerprint({**hashed(self.resolved), "seed": seed, "seeds": seeds}, VERSION_WITH_SEEDS)

    def _fingerprint(self, config: Mapping[str, Any], version: int) -> str:
        return fingerprint_of(config, self.data.checksum, self.sources, version)

    @cached_property
    def made_of(self) -> dict[str, str]:
        """`sources`, and the files that its data are made of: what can be named where one of them has changed."""
        return {**self.sources, **data_sources_of(self.config.data)}

    @cached_property
    def sources(self) -> dict[str, str]:
        """By its name, the hash of each file of the user's own that decides its results, beside the data.

        These are the modules of its initializers and of every `_target_` with the modules that they import, as far as
        they are neither initlab's nor a library's, and the files that `init` names. Empty for most jobs.
        """
        return sources_of(without_keys(self.resolved, NOT_IDENTITY), self.init)

    def __getstate__(self) -> dict[str, Any]:
        # Networks are derived again in another process; the fingerprint is not, as it needs the data.
        kept = {*self.__dataclass_fields__, *COSTLY}
        return {key: value for key, value in self.__dict__.items() if key in kept}

    def members(self) -> list[Member]:
        """Its members, one for each seed."""
        return [self.member(seed) for seed in self.seeds]

    def member(self, seed: int) -> Member:
        """Its member of a seed, whether that is asked for or not."""
        return Member(self.name, seed, self.init, self.learning_rate)

    @cached_property
    def network(self) -> JobNetwork:
        """The structure that all its members have."""
        return JobNetwork(self.config, self.data, self.activation)

    def build_member(self, member: Member) -> nn.Module:
        """Build one member's network with its initial weights, as `fill_member` does, and return it."""
        return self.fill_member(member)[0]

    def fill_member(
        self,
        member: Member,
        *,
        within: AbstractContextManager[Any] | None = None,
        changes: Snapshot | None = None,
        seconds: MutableMapping[int, float] | None = None,
    ) -> tuple[nn.Module, Mapping[str, Treatment]]:
        """Build one member's network with its initial weights; torch's global random state stays as it was.

        Args:
            member: One of those that `member` makes.
            within: Entered while the network is constructed, before its initializer fills it.
            changes: Is told of each parameter that the initializer fills.
            seconds: Gets, by seed, the processor time that the initializer takes, without that of the constructor.

        Returns:
            The network; and what was done to each of its parameters, by name, but for those that were left alone.

        Raises:
            UserError: the model's `_target_` gives no network.
            RefusedError: its initializer does not fit its network.
            OwnCodeError: its initializer raised something in the user's own code.
        """
        model = self.network.with_seed(member.seed, within=within)
        loss, rows = self.loss, self.config.init_rows
        began = time.process_time()
        filled = fill_network(
            model, member, data=self.data, activation=self.activation, loss=loss, rows=rows, changes=changes
        )
        if seconds is not None:
            seconds[member.seed] = time.process_time() - began
        return model, filled

    def rows_to_look_at(self) -> Batch:
        """The training rows with which the signal is measured: `signal.rows` of them, or all if there are fewer."""
        return self.data.rows_to_look_at(self.config.signal.rows)

    @property
    def fitted(self) -> str | None:
        """Why mean-field theory has nothing to say of its networks: it is about random weights. None where it has."""
        reason = beyond_theory(self.init)
        return None if reason is None else f"init={reason}"
