"""Seeds are members: jobs that differ in nothing but their seeds are one, with the union of their seeds."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from initlab.results.study import Study


def pool_seeds(study: Study) -> Study:
    """A study in which jobs that differ in nothing but seeds are one job, and each of its seeds counts once.

    The one that is left has the name, the folder and the place of the job with the most seeds. A seed that several
    jobs trained is taken from the job with more seeds.

    Args:
        study: As `read_study` returns it; it stays as it is. One that was pooled before comes back unchanged.
    """
    sizes = study.members.groupby("job", sort=False).size()
    groups: dict[tuple[str, ...], list[str]] = {}
    metrics = study.members.groupby("job", sort=False)["metric"].first()
    for job in map(str, sizes.index):
        checksum = study.metadata.get(job, {}).get("data_checksum")
        values = (repr(value) for value in study.differing.loc[job])
        groups.setdefault((*values, str(checksum), str(metrics[job])), []).append(job)
    several = [sorted(jobs, key=lambda job: -sizes[job]) for jobs in groups.values() if len(jobs) > 1]
    if not several:
        return study
    members, history = study.members, study.history
    configs, metadata = dict(study.configs), dict(study.metadata)
    gone: set[str] = set()
    pooled = dict(study.pooled)
    for jobs in several:
        first = jobs[0]
        pooled[first] = [study.folders[job] for job in jobs if job in study.folders]
        members, history, seeds = _pooled(members, history, jobs)
        gone.update(jobs[1:])
        if first in configs:
            configs[first] = {**configs[first], "seed": seeds[0], "seeds": len(seeds)}
        if first in metadata:
            metadata[first] = {**metadata[first], "seeds": seeds}
    return replace(
        study,
        members=members,
        history=history,
        differing=study.differing.drop(index=list(gone)),
        configs={job: config for job, config in configs.items() if job not in gone},
        folders={job: folder for job, folder in study.folders.items() if job not in gone},
        metadata={job: described for job, described in metadata.items() if job not in gone},
        pooled=pooled,
    )


def _pooled(
    members: pd.DataFrame, history: pd.DataFrame, jobs: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[int]]:
    """The tables in which some jobs are one, members numbered by their seeds; and these seeds."""
    rank = {job: place for place, job in enumerate(jobs)}
    own = members[members["job"].isin(jobs)]
    own = own.assign(_rank=own["job"].map(rank)).sort_values(["seed", "_rank"], kind="stable")
    own = own.drop_duplicates("seed").drop(columns="_rank")
    numbers = {(str(job), int(member)): place for place, (job, member) in enumerate(own[["job", "member"]].to_numpy())}
    ours = history[history["job"].isin(jobs)]
    keys = [(str(job), int(member)) for job, member in ours[["job", "member"]].to_numpy()]
    ours = ours.assign(member=[numbers.get(key, -1) for key in keys], job=jobs[0])
    ours = ours[ours["member"] >= 0]
    pooled = own.assign(member=range(len(own)), job=jobs[0])
    tables = []
    for table, part in ((members, pooled), (history, ours)):
        before = table["job"].eq(jobs[0]).cumsum().eq(0)  # so that the job stays in its place
        others = table[~table["job"].isin(jobs)]
        tables.append(pd.concat([others[before[others.index]], part, others[~before[others.index]]], ignore_index=True))
    return tables[0], tables[1], [int(seed) for seed in own["seed"]]
