"""A part of a study: the jobs that have some values of some configuration keys."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from initlab.base.errors import UserError, nearest
from initlab.base.wording import shortest
from initlab.config.files import name_of
from initlab.results.differences import NAMES, differing_keys
from initlab.results.study import Study


def select_jobs(study: Study, wanted: Mapping[str, Sequence[str]]) -> Study:
    """The study of those jobs alone that have one of the wanted values of each key.

    Example:
        >>> from pathlib import Path
        >>> from initlab.results.selection import select_jobs
        >>> from initlab.results.study import read_study
        >>> study = read_study(Path("outputs/study"))  # doctest: +SKIP
        >>> select_jobs(study, {"data": ["wine"], "init": ["he*", "xavier*"]})  # doctest: +SKIP

    Args:
        study: Finished jobs.
        wanted: By a key of the configuration (`init` for `init.name`), values as they are written; `*` stands for any
            characters.

    Raises:
        UserError: no job has such a key or one of the values, or none has such values together.
    """
    full = {name.removesuffix(".name"): name for name in NAMES}
    known = {key for config in study.configs.values() for key in config}
    for key, values in wanted.items():
        if full.get(key, key) not in known:
            raise UserError(f"--select {key}: no job has this key; {nearest(key, map(str, study.differing))}")
        there = {_text(config.get(full.get(key, key))) for config in study.configs.values()}
        for value in values:
            if not any(fnmatchcase(text, value) for text in there):
                raise UserError(f"--select {key}={value}: no job has this value; {nearest(name_of(key, value), there)}")
    kept = [
        job
        for job, config in study.configs.items()
        if all(_fits(config.get(full.get(key, key)), values) for key, values in wanted.items())
    ]
    if not kept:
        asked = " ".join(f"{key}={','.join(values)}" for key, values in wanted.items())
        raise UserError(f"--select {asked}: none of the {len(study.configs)} jobs has these values together")
    configs = {job: study.configs[job] for job in kept}
    return replace(
        study,
        members=study.members[study.members["job"].isin(kept)].reset_index(drop=True),
        history=study.history[study.history["job"].isin(kept)].reset_index(drop=True),
        differing=differing_keys(configs),
        whole=study.differing if study.whole is None else study.whole,
        configs=configs,
        folders={job: folder for job, folder in study.folders.items() if job in configs},
        metadata={job: entry for job, entry in study.metadata.items() if job in configs},
    )


def _fits(value: object, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(_text(value), pattern) for pattern in patterns)


def _text(value: object) -> str:
    """A value of a configuration as it is typed."""
    return "null" if value is None else shortest(value)
