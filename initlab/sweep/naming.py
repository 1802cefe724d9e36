"""Which folder of its study a job has: the one in which it was found, or one that is named by what tells it apart.

The rule. A job that the study has already, by its fingerprint, keeps its folder, whatever that is called: so a study is
extended by other commands, by more seeds, and by other versions of initlab. A new one is named by
`config.names.short_name`, and by those of its typed keys in which it differs from another job of the study or of its
command. Where the folder of that name holds something else all the same, a hash goes behind the name. What is constant
stands in its configuration.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from initlab.base.errors import OwnCodeError, UserError
from initlab.base.wording import listed
from initlab.config.names import GROUPS, extended_name, key_of, names_folders
from initlab.jobs.job import Job
from initlab.results.differences import flat_config
from initlab.sweep import journal
from initlab.sweep.folders import OTHER, State, seeds_of_old, state_of
from initlab.tables.store import changed_sources, finished_jobs, read_config, read_metadata


@dataclass(frozen=True)
class Placed:
    """A job and its folder.

    Attributes:
        job: The job, named after its folder, with the seeds that are asked for.
        state: What the folder holds: `finished` results, `damaged` ones, or nothing that counts, which is `open`.
        note: What the user must know of it; None if there is nothing to say.
        trained: Seeds whose results are there, asked for or not.
        elsewhere: Other folders of the study that have seeds of it which its own lacks: earlier versions of initlab
            gave the same job with other seeds a folder of its own.
    """

    job: Job
    state: State
    note: str | None = None
    trained: frozenset[int] = frozenset()
    elsewhere: tuple[Path, ...] = ()


def split_faulty(jobs: Sequence[Job]) -> tuple[list[Job], list[tuple[Job, OwnCodeError]]]:
    """Jobs whose data can be had, and those of which the user's own code that loads them raised something."""
    fine: list[Job] = []
    faulty: list[tuple[Job, OwnCodeError]] = []
    for job in jobs:
        try:
            _ = job.fingerprint  # loads the data; not in an assertion, which `python -O` leaves out
        except OwnCodeError as error:
            faulty.append((job, error))
        else:
            fine.append(job)
    return fine, faulty


def place_jobs(jobs: Sequence[Job]) -> list[Placed]:
    """Find the folder of each job. Of jobs that are the same under several names, as he and he_normal, one is left.

    Args:
        jobs: Different jobs of one study, named as if each were new.
    """
    former = _former_names(jobs) if jobs else {}
    distinct: dict[str, Job] = {}
    also: dict[str, list[str]] = {}
    for job in jobs:
        first = distinct.setdefault(job.fingerprint, job)
        if first is not job:
            also.setdefault(first.name, []).append(job.name)
            distinct[job.fingerprint] = first.with_seeds([*first.seeds, *job.seeds])
    placed: dict[str, Placed] = {}
    for fingerprint, job in distinct.items():
        names = former.get(fingerprint, [])
        one = _known_place(job, names) if names else None
        if one is not None:
            placed[fingerprint] = one
    taken = {name for names in former.values() for name in names} | {one.job.name for one in placed.values()}
    new = [job for fingerprint, job in distinct.items() if fingerprint not in placed]
    for job in _told_apart(new, [*distinct.values()], former):
        placed[job.fingerprint] = one = _new_place(job, taken)
        taken.add(one.job.name)
    found = [placed[fingerprint] for fingerprint in distinct]
    return [
        replace(one, note=f"{', '.join(also[job.name])}: the same as {job.name}, and trained once")
        if job.name in also
        else one
        for job, one in zip(distinct.values(), found, strict=True)
    ]


def _known_place(job: Job, names: Sequence[str]) -> Placed | None:
    """The folder of a job that the study has, of several its own name's or the first; None if it is of no use.

    Args:
        job: The job, with the seeds that are asked for.
        names: Of all folders that were begun for it.
    """
    known = job.named(job.name if job.name in names else names[0])
    held = state_of(known)
    if held.state == "other":
        return None
    if held.state != "finished":  # where weights are to be kept, those of seeds that are not asked for are missing, too
        note = f"{held.reason}; it is trained anew" if held.state == "damaged" else None
        return Placed(known.with_seeds([*known.seeds, *held.seeds]), held.state, note)
    trained, elsewhere = held.seeds, list[Path]()
    for name in names:
        other = state_of(job.named(name))
        if other.state == "finished" and not other.seeds <= trained:
            trained |= other.seeds
            elsewhere.append(known.study_folder / name)
    return Placed(known, "finished", None, trained, tuple(elsewhere))


def _told_apart(new: Sequence[Job], command: Sequence[Job], former: Mapping[str, Collection[str]]) -> list[Job]:
    """Jobs, with those of their typed keys in their names in which they differ from others.

    Args:
        new: Jobs that have no folder yet.
        command: All jobs of the command.
        former: By fingerprint, the folders that the study has already.
    """
    own = {job.fingerprint for job in command} if former else set()
    flat = [flat_config(job.resolved) for job in command]
    if new:
        flat += _other_configs(new[0], {name for key in own for name in former.get(key, ())})
    keys = {key_of(text) for job in new for text in job.typed}
    naming = {key for key in keys if names_folders(key) and key not in GROUPS}
    differing = {key for key in naming if len({repr(_value(config, key)) for config in flat}) > 1}
    return [_extended(job, differing) for job in new]


def _extended(job: Job, keys: Collection[str]) -> Job:
    """A job with the overrides of some keys in its name, as far as they are not there already."""
    there = set(job.name.split(","))
    last = {key_of(text): text for text in job.typed}
    more = [text for key, text in last.items() if key in keys and not set(text.split(",")) <= there]
    return job.named(extended_name(job.name, more)) if more else job


def _value(config: Mapping[str, Any], key: str) -> Any:
    """A key's value in a flat configuration; of a group of keys all of them."""
    return config.get(key, {name: value for name, value in config.items() if name.startswith(f"{key}.")} or None)


def _new_place(job: Job, taken: Collection[str]) -> Placed:
    """The folder of a job that the study does not have: its own, or one beside it where that holds something else."""
    state, reason, _ = state_of(job)
    if state == "damaged":
        return Placed(job, state, f"{reason}; it is trained anew")
    if state != "other" and job.name not in taken:
        return Placed(job, state)
    beside = free_beside(job, lambda other: state_of(other).state != "other" and other.name not in taken)
    state, _, _ = state_of(beside)
    changed = changed_sources(read_metadata(job.folder).get("sources"), job.made_of)
    if changed and reason != OTHER:
        have = "has" if len(changed) == 1 else "have"
        where = "its results of now are in" if state == "finished" else "it is trained anew in"
        note = f"{job.name}: {listed(changed)} {have} changed since; {where} {beside.name}, beside the old results"
    else:
        holds = reason or "what was begun of another configuration"
        note = f"{job.name}: that folder holds {holds}, and stays as it is; this goes to {beside.name}"
    return Placed(beside, state, note)


def free_beside(job: Job, is_free: Callable[[Job], bool]) -> Job:
    """A job under the first free name behind its own: with a hash of what it is, and a number if need be.

    Args:
        job: A job whose own folder holds something else.
        is_free: Whether a job may have the folder that it is named after.
    """
    names = (f"{job.name}-{job.fingerprint[:8]}{'' if number == 1 else f'-{number}'}" for number in count(1))
    return next(other for name in names if is_free(other := job.named(name)))


def _former_names(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """The folders that a study has: their names by the fingerprints of the jobs, finished ones first.

    Args:
        jobs: Those of the command, by which folders are recognised in whose fingerprints there were seeds.
    """
    study = jobs[0].study_folder
    found: dict[str, list[str]] = {}
    finished = finished_jobs(study)
    begun_only = sorted({path.parent for path in study.glob("*/metadata.json")}.difference(finished))
    renewed = _Renewed(jobs)
    begun: list[tuple[Any, str]] = [
        *((renewed.fingerprint(folder), folder.name) for folder in (*finished, *begun_only)),
        *((entry["fingerprint"], entry["job"]) for entry in journal.members_kept(study)),
    ]
    for fingerprint, name in begun:
        if fingerprint is not None and name not in found.setdefault(str(fingerprint), []):
            found[str(fingerprint)].append(name)
    return found


class _Renewed:
    """Fingerprints of a study's folders as they are now, also of those in which there were seeds.

    Args:
        jobs: Those of the command: what is of none of them keeps the fingerprint that it had.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._now: dict[tuple[int, int], dict[str, str]] = {}  # by seed and seeds, from the old ones to those of now

    def fingerprint(self, folder: Path) -> Any:
        """That of the results in a folder; None where it is not known."""
        metadata = read_metadata(folder)
        found = metadata.get("fingerprint")
        seeds = seeds_of_old(metadata, folder)
        if seeds is None:
            return found
        if seeds not in self._now:
            self._now[seeds] = {job.fingerprint_with_seeds(*seeds): job.fingerprint for job in self._jobs}
        return self._now[seeds].get(str(found), found)


def _other_configs(job: Job, own: Collection[str]) -> list[dict[str, Any]]:
    """Configurations of a study's finished jobs, but for those of some folders."""
    configs = []
    for folder in finished_jobs(job.study_folder):
        if folder.name not in own:
            try:
                configs.append(flat_config(read_config(folder)))
            except UserError:  # damaged: nothing to differ from
                continue
    return configs


def pool_seeds(jobs: Sequence[Job]) -> list[Job]:
    """Jobs in which those that differ in nothing but seeds are one, with the union of their seeds.

    So `-m seed=1,2,3`, each with ten networks, is one job of the twelve seeds from 1 to 12. Jobs that are the same
    under several names, as he and he_normal, stay several here, each with all seeds.
    """
    seeds: dict[str, set[int]] = {}
    distinct: dict[tuple[str, str], Job] = {}
    for job in jobs:
        seeds.setdefault(job.but_for_seeds, set()).update(job.seeds)
        distinct.setdefault((job.but_for_seeds, job.name), job)
    return [job.with_seeds(seeds[job.but_for_seeds]) for job in distinct.values()]
