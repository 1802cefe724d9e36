"""The finished jobs of one sweep, or of several, and what became of the others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from initlab.base.errors import UserError
from initlab.results.differences import differing_keys, flat_config, label_of
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import finished_jobs, read_config, read_failure, read_metadata, read_table


@dataclass(frozen=True)
class Study:
    """The finished jobs of a sweep.

    Attributes:
        members: Their members tables, one below the other.
        history: Their history tables.
        differing: For each job the configuration keys in which the jobs differ, shape (jobs, keys), by job name.
        configs: The flat configuration of each job, by its name.
        folders: Where each job's tables are.
        metadata: How each job ran, as metadata.json has it.
        failed: The jobs that failed, with the reason in a line.
        unreadable: A line for each job with a damaged table, or one of another schema version.
    """

    members: pd.DataFrame
    history: pd.DataFrame
    differing: pd.DataFrame
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    unreadable: Sequence[str] = ()

    @property
    def common(self) -> dict[str, Any]:
        """The configuration keys in which the jobs agree, with their values."""
        first: Mapping[str, Any] = next(iter(self.configs.values()), {})
        others = list(self.configs.values())
        return {key: value for key, value in first.items() if all(config.get(key) == value for config in others)}

    def label(self, job: str, *, without: Collection[str] = ()) -> str:
        """A job in a few words: what tells it apart, leaving out some keys that a reader knows already."""
        return label_of(self.differing, job, without=without)


def read_study(*directories: Path) -> Study:
    """Read the tables of all finished jobs of some sweeps.

    A job that several of them hold is read once. Where different jobs share a name, the sweep's name goes before it.
    """
    folders = _named([(job, directory) for directory in directories for job in finished_jobs(directory)])
    members, history, configs, unreadable, kept = [], [], {}, [], {}
    metadata: dict[str, dict[str, Any]] = {}
    known: set[str] = set()
    for name, folder in folders.items():
        try:
            tables = [read_table(folder, table) for table in ("members", "history")]
            config = flat_config(read_config(folder))
        except UserError as error:
            unreadable.append(str(error))
            continue
        described = read_metadata(folder)
        fingerprint = described.get("fingerprint")
        if fingerprint in known:
            unreadable.append(f"{folder}: the same job as another's; counted once")
            continue
        if fingerprint is not None:
            known.add(str(fingerprint))
        members.append(tables[0].assign(job=name))
        history.append(tables[1].assign(job=name))
        configs[name], metadata[name], kept[name] = config, described, folder
    return Study(
        members=pd.concat(members, ignore_index=True) if members else pd.DataFrame(columns=MEMBERS.names),
        history=pd.concat(history, ignore_index=True) if history else pd.DataFrame(columns=HISTORY.names),
        differing=differing_keys(configs) if configs else pd.DataFrame(),
        configs=configs,
        folders=kept,
        metadata=metadata,
        failed={
            name: read_failure(folder)
            for name, folder in _named(
                [(path.parent, study) for study in directories for path in sorted(study.glob("*/error.txt"))]
            ).items()
        },
        unreadable=unreadable,
    )


def _named(found: Sequence[tuple[Path, Path]]) -> dict[str, Path]:
    """Name jobs by their folders, and where two share a name by their sweeps', too."""
    names = [job.name for job, _ in found]
    named: dict[str, Path] = {}
    for (job, study), name in zip(found, names, strict=True):
        own = f"{study.resolve().name}/{name}" if names.count(name) > 1 else name
        while own in named:
            own = f"{own}'"
        named[own] = job
    return named
