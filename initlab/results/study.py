"""The finished jobs of one study, or of several read as one, and what became of the others."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from initlab.base.errors import UserError
from initlab.base.wording import listed
from initlab.config.names import names_folders
from initlab.results.crossed import IntArray, RowScores
from initlab.results.differences import differing_keys, flat_config, label_of
from initlab.results.rows import read_row_scores
from initlab.tables.bundles import Bundle, bundle_of, forget_bundles
from initlab.tables.schema import HISTORY, MEMBERS
from initlab.tables.store import (
    changed_sources,
    description_of,
    finished_jobs,
    read_config,
    read_failure,
    read_metadata,
    read_table,
    trained_seeds,
)


@dataclass(frozen=True)
class Study:
    """The finished jobs of a study, and what became of the others.

    Attributes:
        members: The members tables of all jobs, one below the other: columns as in `tables.schema.MEMBERS`.
        history: The history tables of all jobs, one below the other: columns as in `tables.schema.HISTORY`.
        differing: One row a job, by its name; one column a configuration key in which the jobs differ.
        configs: By job name, its configuration as dotted keys.
        folders: By job name, the folder with its tables.
        metadata: By job name, how it ran, as its metadata.json has it.
        failed: By the name of each job that failed, the reason in one line.
        unreadable: A line for each job that was left out: its tables are damaged, of a later version, or read already.
        whole: `differing` of the study that these jobs were selected from; None where none was.
        pooled: By the name of a job that several count as, the folders of all; else its folder is in `folders`.
    """

    members: pd.DataFrame
    history: pd.DataFrame
    differing: pd.DataFrame
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    unreadable: Sequence[str] = ()
    whole: pd.DataFrame | None = None
    pooled: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    @property
    def looks(self) -> int:
        """How often its sweep may look at what it has before it adds seeds: 1 unless it was one with `seeds=auto`."""
        return max((int(described.get("looks") or 1) for described in self.metadata.values()), default=1)

    def row_scores(self, job: str) -> RowScores | None:
        """What the members of a job scored by test row, those in `members`; None where that was not kept."""
        folders = self.pooled.get(job) or ([self.folders[job]] if job in self.folders else [])
        trained_on = self.metadata.get(job, {}).get("training_rows")
        known = read_row_scores(folders, trained_on=int(trained_on)) if folders and trained_on else None
        return None if known is None else known.of_seeds(np.intersect1d(known.seeds, self._seeds[job]))

    @cached_property
    def _seeds(self) -> Mapping[str, IntArray]:
        """By job, the seeds of its members."""
        by_job = self.members.groupby("job", sort=False)["seed"]
        return {str(job): seeds.to_numpy(np.int64) for job, seeds in by_job}

    @property
    def common(self) -> dict[str, Any]:
        """The configuration keys in which the jobs agree, with their values."""
        first: Mapping[str, Any] = next(iter(self.configs.values()), {})
        others = list(self.configs.values())
        return {key: value for key, value in first.items() if all(config.get(key) == value for config in others)}

    def label(self, job: str, *, without: Collection[str] = ()) -> str:
        """A job in a few words: what tells it apart.

        Args:
            job: Name of the job.
            without: Keys to leave out, which a reader knows already.
        """
        return label_of(self.differing, job, without=without)


def read_study(*study_folders: Path) -> Study:
    """Read the tables of all finished jobs of a study, or of several studies as one.

    A job that several studies hold is read once, unless it has other seeds there. Where different jobs share a name,
    the study's name goes before it.

    Example:
        >>> from pathlib import Path
        >>> from initlab.results.study import read_study
        >>> study = read_study(Path("outputs/study"))  # doctest: +SKIP
        >>> study.members.groupby("job")["test_score"].mean()  # doctest: +SKIP

    Args:
        *study_folders: Folders of studies, such as `outputs/study`. What cannot be read there raises nothing: it is
            listed in `unreadable` and `failed`.
    """
    forget_bundles()  # other processes may have written what describes them
    folders = _named([(job, study_folder) for study_folder in study_folders for job in finished_jobs(study_folder)])
    configs, kept = {}, {}
    unreadable: list[str] = []
    own: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}  # the tables of jobs that are in no bundle
    metadata: dict[str, dict[str, Any]] = {}
    known: dict[str, set[int]] = {}  # by fingerprint, the seeds that were read
    for name, folder in folders.items():
        try:
            seeds = set(trained_seeds(folder))
            if bundle_of(folder) is None:
                own[name] = read_table(folder, "members"), read_table(folder, "history")
            config = flat_config(read_config(folder))
        except UserError as error:
            unreadable.append(str(error))
            continue
        described = read_metadata(folder)
        fingerprint = described.get("fingerprint")
        if fingerprint in known and seeds <= known[fingerprint]:
            unreadable.append(f"{folder}: the same job as another's; counted once")
            continue
        if fingerprint is not None:
            known.setdefault(str(fingerprint), set()).update(seeds)
        configs[name], metadata[name], kept[name] = config, described, folder
    for name, reason in {**_outdated(configs, metadata, kept), **_superseded(configs, metadata, kept)}.items():
        unreadable.append(f"{kept[name]}: {reason}")
        del configs[name], metadata[name], kept[name]
    members, history = (
        _together(kind, kept, {name: tables[place] for name, tables in own.items()})
        for place, kind in enumerate(("members", "history"))
    )
    return Study(
        members=pd.DataFrame(columns=MEMBERS.names) if members is None else members,
        history=pd.DataFrame(columns=HISTORY.names) if history is None else history,
        differing=differing_keys(configs) if configs else pd.DataFrame(),
        configs=configs,
        folders=kept,
        metadata=metadata,
        failed={
            name: read_failure(folder)
            for name, folder in _named(
                [(path.parent, one) for one in study_folders for path in sorted(one.glob("*/error.txt"))]
            ).items()
        },
        unreadable=list(dict.fromkeys(unreadable)),
    )


def _together(kind: str, folders: Mapping[str, Path], own: Mapping[str, pd.DataFrame]) -> pd.DataFrame | None:
    """A table of many jobs, one below the other; None where there are none.

    Args:
        kind: A name of `tables.schema.TABLES`, such as `members`.
        folders: By the name of a job, its folder, in the order of the jobs.
        own: The tables of those that are in no bundle.
    """
    bundled: dict[Bundle, dict[str, str]] = {}
    for name, folder in folders.items():
        if (bundle := bundle_of(folder)) is not None:
            bundled.setdefault(bundle, {})[folder.name] = name
    tables = [own[name].assign(job=name) for name in folders if name in own]
    for bundle, names in bundled.items():
        table = read_table(bundle.folder, kind)
        table = table[table["job"].isin(list(names))]
        tables.append(table.assign(job=table["job"].map(names)))
    if not tables:
        return None
    if not bundled:
        return pd.concat(tables, ignore_index=True)
    places = {name: place for place, name in enumerate(folders)}
    table = pd.concat(tables, ignore_index=True)
    return table.iloc[table["job"].map(places).to_numpy().argsort(kind="stable")].reset_index(drop=True)


def _outdated(
    configs: Mapping[str, Mapping[str, Any]], metadata: Mapping[str, Mapping[str, Any]], folders: Mapping[str, Path]
) -> dict[str, str]:
    """Jobs that a later version of initlab has trained anew in the same study, each with a reason to leave it out.

    What the later one has taken over is left to `pooling`, which counts each seed once.
    """
    found = {}
    for names in _alike(configs):
        for name in names:
            version, seeds = metadata[name].get("results_version", 0), set(metadata[name].get("seeds", ()))
            later = [
                other
                for other in names
                if folders[other].parent == folders[name].parent and metadata[other].get("results_version", 0) > version
            ]
            if later and not any(seeds <= set(metadata[other].get("seeds", ())) for other in later):
                found[name] = f"made by an earlier version of initlab, so that {later[0]} counts in its place"
    return found


def _superseded(
    configs: Mapping[str, Mapping[str, Any]], metadata: Mapping[str, Mapping[str, Any]], folders: Mapping[str, Path]
) -> dict[str, str]:
    """Jobs that were run again with other code of the user's own, or other files, each with a reason to leave it out.

    Of jobs with one configuration the one that was last asked for counts: its description is written, or touched, then.
    Other studies may be of other data under the same name; they count by themselves.
    """
    found = {}
    for names in _alike(configs):
        if not any(metadata[name].get("sources") for name in names):
            continue
        *older, last = sorted(names, key=lambda name: description_of(folders[name]).stat().st_mtime_ns)
        now = metadata[last].get("sources") or {}
        for name in older:
            changed = changed_sources(metadata[name].get("sources") or {}, now)
            same_data = metadata[name].get("data_checksum") == metadata[last].get("data_checksum")
            if changed and (same_data or folders[name].parent == folders[last].parent):
                found[name] = f"made with another {listed(changed)}, so that {last} counts in its place"
    return found


def _alike(configs: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The names of jobs, those together that have the same configuration but for seeds, and where and how they ran."""
    groups: dict[str, list[str]] = {}
    for name, config in configs.items():
        own = {key: value for key, value in config.items() if names_folders(key)}
        groups.setdefault(json.dumps(own, sort_keys=True, default=str), []).append(name)
    return list(groups.values())


def _named(found: Sequence[tuple[Path, Path]]) -> dict[str, Path]:
    """Name jobs after their folders, and where two share a name after their studies, too.

    Args:
        found: Of each job, its folder and that of its study.
    """
    count = Counter(job.name for job, _ in found)
    named: dict[str, Path] = {}
    for job, study in found:
        own = f"{study.resolve().name}/{job.name}" if count[job.name] > 1 else job.name
        while own in named:
            own = f"{own}'"
        named[own] = job
    return named
