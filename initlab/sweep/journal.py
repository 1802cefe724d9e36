"""What a sweep keeps of a cohort until its jobs are written: `.cohorts/` in the study's folder.

A cohort's results are written here before they are spread over the folders of its jobs. So it is finished as a whole
or not at all, whenever the process is killed. The checkpoint of a cohort that trains for long is here, too.
"""

import contextlib
import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from initlab.base.errors import UserError
from initlab.base.files import write_text_whole
from initlab.jobs.job import Job
from initlab.sweep.cohorts import Cohort, shares_of
from initlab.tables.job_tables import JobTables, read_tables
from initlab.tables.store import read_metadata, write_table

FOLDER = ".cohorts"


def folder_of(cohort: Cohort) -> Path:
    """Where a cohort's files are kept, whether there are any or not."""
    return cohort.shares[0].job.study_folder / FOLDER / cohort.folder_name


def checkpoint_of(folder: Path) -> Path:
    """Path of a cohort's checkpoint, given the cohort's folder."""
    return folder / "checkpoint.ckpt"


def progress_of(cohort: Cohort) -> Path:
    """Path of the file in which a cohort's worker says how far it is."""
    return folder_of(cohort) / "progress.json"


def open_folder(cohort: Cohort) -> Path:
    """Make a cohort's folder, with a manifest.json that lists its members."""
    folder = folder_of(cohort)

    def write() -> None:
        write_text_whole(folder / "manifest.json", json.dumps(cohort.manifest))

    try:
        write()
    except FileNotFoundError:  # another job of this study has just tidied up
        write()
    return folder


def keep_results(cohort: Cohort, tables: JobTables) -> None:
    """Write what a cohort measured, as one table of each kind.

    Args:
        cohort: The cohort whose folder is written to.
        tables: Those of all its shares: their rows name job and member.
    """
    found = tables.named()
    for name in sorted(found, key=lambda name: name == "members"):  # the members last: with them it is kept
        write_table(folder_of(cohort), name, found[name])


def forget(folder: Path) -> None:
    """Remove a cohort's folder."""
    shutil.rmtree(folder, ignore_errors=True)


def kept_results(study_folder: Path, jobs: Sequence[Job]) -> dict[str, list[JobTables]]:
    """What earlier cohorts measured of some jobs.

    Args:
        study_folder: The folder of the study, in which the journal is.
        jobs: Jobs to look for; results of another configuration, or of other data, do not count.

    Returns:
        By the name of the job, tables of some of its members; no member is in two of them.
    """
    wanted = {job.name: job for job in jobs}
    kept: dict[str, list[JobTables]] = {}
    for folder, manifest in _manifests(study_folder):
        if not (folder / "members.parquet").exists():
            continue
        try:
            tables = read_tables(folder)
        except UserError:  # damaged, or of another version: trained again
            continue
        for entry in manifest:
            job = wanted.get(entry["job"])
            if job is None or job.fingerprint != entry["fingerprint"]:
                continue
            of_job = {name: table[table["job"] == job.name] for name, table in tables.named().items()}
            own = JobTables(**of_job).of_seeds(entry["seeds"])
            parts = kept.setdefault(job.name, [])
            if not any(set(part.seeds) & set(own.seeds) for part in parts):
                parts.append(own)
    return kept


def interrupted_cohorts(study_folder: Path, missing: Mapping[str, tuple[Job, Collection[int]]]) -> list[Cohort]:
    """Cohorts that have a checkpoint and whose members are all still to be trained; no member is in two of them.

    Their members stay together: only so does the checkpoint fit.

    Args:
        study_folder: The folder of the study, in which the journal is.
        missing: By job name, the job and the seeds of its members that are to be trained.
    """
    taken: set[tuple[str, int]] = set()
    cohorts = []
    for folder, manifest in _manifests(study_folder):
        if not checkpoint_of(folder).exists():
            continue
        members = [
            (missing[entry["job"]][0], seed)
            for entry in manifest
            if entry["job"] in missing and missing[entry["job"]][0].fingerprint == entry["fingerprint"]
            for seed in entry["seeds"]
        ]
        names = {(job.name, seed) for job, seed in members}
        complete = len(names) == sum(len(entry["seeds"]) for entry in manifest)
        if complete and not names & taken and all(seed in missing[name][1] for name, seed in names):
            taken |= names
            cohorts.append(Cohort(tuple(shares_of(members))))
    return cohorts


def attempt_of(run: str) -> str:
    """Name of the file, in the journal, that says which attempt at its cohorts a run is at.

    Args:
        run: `Run.identity`: several runs may be at work on jobs of one study.
    """
    return f"attempt-{run}"


def tidy(study_folder: Path, finished: Collection[str], *, beside_others: bool) -> None:
    """Remove the folders of cohorts whose members are all in the tables of finished jobs.

    Args:
        study_folder: The folder of the study, in which the journal is.
        finished: Names of the jobs whose own tables are written.
        beside_others: Other processes may be at work on other jobs of this study: leave what may be theirs.
    """
    for folder, manifest in _manifests(study_folder):
        if all(
            entry["job"] in finished
            and set(entry["seeds"]) <= set(read_metadata(study_folder / entry["job"]).get("seeds", ()))
            for entry in manifest
        ):
            forget(folder)
    _remove_bare(study_folder, beside_others=beside_others)


def forget_useless(study_folder: Path) -> bool:
    """Remove the folders of cohorts from which nothing can go on; return whether any is left."""
    left = False
    for folder, _ in _manifests(study_folder):
        if checkpoint_of(folder).exists() or (folder / "members.parquet").exists():
            left = True
        else:
            forget(folder)
    _remove_bare(study_folder, beside_others=False)
    return left


def _remove_bare(study_folder: Path, *, beside_others: bool) -> None:
    """Remove locks and folders that say of no members, unless they may be others', and the journal if it is empty."""
    for path in () if beside_others else (study_folder / FOLDER).glob("*"):
        if path.is_file():  # locks of GPUs
            path.unlink(missing_ok=True)
        elif not (path / "manifest.json").exists():
            forget(path)
    with contextlib.suppress(OSError):  # something is left that a later run will want
        (study_folder / FOLDER).rmdir()


def members_kept(study_folder: Path) -> list[dict[str, Any]]:
    """The entries of all manifests, as `Cohort.manifest` makes them: whose results or checkpoints are kept."""
    return [entry for _, manifest in _manifests(study_folder) for entry in manifest]


def forget_jobs(study_folder: Path, jobs: Sequence[Job]) -> None:
    """Remove the folders of all cohorts that have members of some jobs."""
    names = {job.name for job in jobs}
    for folder, manifest in _manifests(study_folder):
        if any(entry["job"] in names for entry in manifest):
            forget(folder)


def _manifests(study_folder: Path) -> list[tuple[Path, list[dict[str, Any]]]]:
    """The folders of a study's cohorts, each with its manifest."""
    found = []
    for path in sorted((study_folder / FOLDER).glob("*/manifest.json")):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            if any(isinstance(entry["seeds"], int) for entry in manifest):  # of an earlier version
                raise ValueError(path)
            found.append((path.parent, manifest))
        except ValueError:  # damaged, or nothing that could go on
            forget(path.parent)
        except OSError:  # another process has just removed it
            continue
    return found
