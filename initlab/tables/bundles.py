"""Bundles: the jobs of a large cohort, whose tables stand together in one folder, `jobs/0001` in the study's.

A folder with five files for each of thousands of jobs takes longer to write than the jobs to train. A bundle has each
table once, with the column `job`, and jobs.jsonl, which says of each job what config.yaml and metadata.json say
elsewhere: in its first line what is common to all, in each of the others what one job has beside that.

A job is named by its folder all the same, `outputs/study/init=he`, whether that exists or not. What is in a folder of
its own counts before a bundle, and a later bundle before an earlier one.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from initlab.base.files import BEGUN, TOGETHER, write_text_whole

FOLDER: Final = "jobs"  # in a study's folder
DESCRIPTION: Final = "jobs.jsonl"
RESULTS: Final = "members.parquet"  # of a job's own files: with it there are results


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle, as its jobs.jsonl describes it.

    Attributes:
        folder: Where its files are.
        common: What all of its jobs have in common, as `config` and `metadata`.
        own: By the name of a job, what it has beside that: a line of JSON, as thousands of them take less room so.
    """

    folder: Path
    common: Mapping[str, Any]
    own: Mapping[str, str]

    def config(self, job: str) -> dict[str, Any]:
        """A job's resolved configuration."""
        return {**self.common["config"], **json.loads(self.own[job])["config"]}

    def metadata(self, job: str) -> dict[str, Any]:
        """How a job ran."""
        return {**self.common["metadata"], **json.loads(self.own[job])["metadata"]}


# By study, the state of the folder of its bundles when it was looked at, and the bundle that counts for each job.
_known: dict[Path, tuple[tuple[int, int], dict[str, Bundle]]] = {}


def forget_bundles() -> None:
    """Look for bundles anew, as in a process that has seen none: others may have written, or damaged them, since."""
    _known.clear()
    _read.cache_clear()


def bundled_jobs(study_folder: Path) -> Mapping[str, Bundle]:
    """By the name of each job of a study that is in a bundle, the bundle that counts; a damaged one does not."""
    path = study_folder / FOLDER
    try:
        about = path.stat()
    except OSError:  # no bundles, as in most studies
        return {}
    seen = (about.st_ino, about.st_mtime_ns)
    known = _known.get(study_folder)
    if known is None or known[0] != seen:
        found: dict[str, Bundle] = {}
        for folder in sorted((one for one in path.iterdir() if one.name.isdigit()), key=lambda one: int(one.name)):
            bundle = _bundle(folder)
            found |= dict.fromkeys(bundle.own, bundle) if bundle is not None else {}
        known = _known[study_folder] = (seen, found)
    return known[1]


def bundle_of(job_folder: Path) -> Bundle | None:
    """The bundle that has a job's results; None where there are none, or its own folder has them."""
    bundle = bundled_jobs(job_folder.parent).get(job_folder.name)
    return None if bundle is None or has_own_results(job_folder) else bundle


def has_own_results(job_folder: Path) -> bool:
    """Whether a job's own folder has results, be they about to replace former ones."""
    return (job_folder / RESULTS).exists() or (job_folder / TOGETHER / RESULTS).exists()


def _bundle(folder: Path) -> Bundle | None:
    """A bundle; None where it is damaged, so that its jobs are trained anew."""
    try:
        about = (folder / DESCRIPTION).stat()
    except OSError:
        return None
    return _read(folder, about.st_ino, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=10_000)
def _read(folder: Path, *_: int) -> Bundle | None:
    """A bundle, given what tells its description from a later one."""
    try:
        first, *lines = (folder / DESCRIPTION).read_text(encoding="utf-8").splitlines()
        return Bundle(folder, json.loads(first), {json.loads(line)["job"]: line for line in lines})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_bundled_description(
    folder: Path, configs: Mapping[str, Mapping[str, Any]], metadata: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write the jobs.jsonl of a bundle, in place of a former one.

    Args:
        folder: The folder of the bundle.
        configs: By the name of each job, its resolved configuration as plain data.
        metadata: By the name of each job, how it ran, as plain data.

    Raises:
        OSError: the file cannot be written, because the disk is full, say.
    """
    common = {
        "config": _common(list(configs.values())),
        "metadata": _common(list(metadata.values())),
    }
    lines = [json.dumps(common)]
    for name, config in configs.items():
        own = {
            "config": _beside(config, common["config"]),
            "metadata": _beside(metadata[name], common["metadata"]),
        }
        lines.append(json.dumps({"job": name, **own}))
    write_text_whole(folder / DESCRIPTION, "\n".join(lines) + "\n")


def next_bundle(study_folder: Path, written: Path) -> Path:
    """Give a bundle that was written whole the next number: with that it is there.

    Args:
        study_folder: The folder of the study.
        written: Where it was written, beside the others.

    Raises:
        OSError: it cannot be renamed.
    """
    while True:
        numbers = [int(one.name) for one in (study_folder / FOLDER).iterdir() if one.name.isdigit()]
        path = study_folder / FOLDER / f"{max(numbers, default=0) + 1:04}"
        try:
            written.rename(path)
        except FileExistsError:
            continue
        except OSError:
            if path.exists():  # another process was quicker
                continue
            raise
        _known.pop(study_folder, None)
        return path


def remove_superseded(study_folder: Path) -> None:
    """Remove the bundles of a study of whose jobs later bundles have all."""
    counting = {bundle.folder for bundle in bundled_jobs(study_folder).values()}
    for path in sorted((study_folder / FOLDER).glob("*")):
        if path.name.isdigit() and path not in counting and (path / DESCRIPTION).exists():
            gone = path.with_name(f"{BEGUN}.{path.name}")
            path.rename(gone)  # at once: no half of it is ever seen
            shutil.rmtree(gone, ignore_errors=True)
    forget_bundles()


def _common(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What some records have in common; None in the place of what all have, and differ in, so that the order stays."""
    first = records[0]
    return {
        key: value if all(key in one and _same(one[key], value) for one in records) else None
        for key, value in first.items()
        if all(key in one for one in records)
    }


def _beside(record: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """What a record has beside what is common."""
    return {key: value for key, value in record.items() if key not in common or not _same(value, common[key])}


def _same(value: Any, other: Any) -> bool:
    """Whether two values are written alike: 1 and 1.0 are not."""
    return value is other or (value == other and json.dumps(value) == json.dumps(other))
