"""Which members train together: every one once, within the bounds."""

import pytest

from initlab.jobs.share import Share
from initlab.sweep.cohorts import Cohort, cut, form_cohorts, shares_of
from initlab.sweep.plan import few_seeds
from tests.helpers import make_job


def members_of(cohorts: list[Cohort]) -> list[tuple[str, int]]:
    return [(share.job.name, seed) for cohort in cohorts for share in cohort.shares for seed in share.seeds]


def shares(*commands: str) -> list[Share]:
    jobs = [make_job(*command.split()) for command in commands]
    return [Share(job, job.seeds) for job in jobs]


@pytest.mark.parametrize("most", [1, 2, 3, 7, 10, 11, 1000])
def test_cutting_keeps_every_member_once_and_sizes_even(most: int) -> None:
    whole = shares("init=he seeds=4", "init=xavier seeds=6 seed=3", "init=zeros seeds=1")
    cohorts = cut(whole, most)
    assert members_of(cohorts) == [(share.job.name, seed) for share in whole for seed in share.seeds]
    sizes = [cohort.members for cohort in cohorts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_seeds_with_gaps_are_one_share() -> None:
    job = make_job("seeds=9")
    (part,) = shares_of((job, seed) for seed in (0, 1, 4, 5, 8))
    assert [member.seed for member in part.members()] == [0, 1, 4, 5, 8]
    assert not part.complete
    assert Share(job.with_seeds([8, 0, 4, 1, 5]), part.seeds).complete


def test_one_program_is_one_cohort_and_convolutions_are_a_cohort_a_job() -> None:
    whole = shares("init=he", "data=digits init=he", "init=zeros optim.lr=0.3 seeds=2", "data=digits init=zeros")
    most = {share.job.program: 1000 for share in whole}
    dense = {whole[0].job.program}
    cohorts = form_cohorts(whole, workers=1, most=most, vectorized=dense)
    assert [cohort.members for cohort in cohorts] == [12, 10, 10]
    # Four cohorts for two workers, and no single one for the last of them.
    cohorts = form_cohorts(whole, workers=2, most=most, vectorized=dense)
    assert [cohort.members for cohort in cohorts] == [12, 5, 5, 5, 5]
    cohorts = form_cohorts(whole, workers=2, most=dict.fromkeys(most, 4), vectorized=dense)
    assert [cohort.members for cohort in cohorts] == [4, 4, 4, 3, 4, 3, 3, 4, 3]
    assert sorted(members_of(cohorts)) == sorted((share.job.name, seed) for share in whole for seed in share.seeds)


def test_a_cohort_is_known_by_its_members_and_what_decides_their_results() -> None:
    (he,), (again,), (other,) = (
        cut(shares(*["init=he"]), 99),
        cut(shares("init=he"), 99),
        cut(shares("init=zeros"), 99),
    )
    assert he.folder_name == again.folder_name
    assert he.folder_name != other.folder_name
    assert he.folder_name != cut(shares("init=he seeds=9"), 99)[0].folder_name
    first, second = he.halves()
    assert len({he.folder_name, first.folder_name, second.folder_name}) == 3
    assert members_of([first, second]) == members_of([he])


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (1, ["One seed tells nothing of how sure a difference is; seeds=10 does"]),
        (2, ["2 seeds tell little of how much seeds scatter; seeds=10 tells more"]),
        (4, ["4 seeds tell little of how much seeds scatter; seeds=10 tells more"]),
        (5, []),
        (10, []),
    ],
)
def test_few_seeds_are_said_beforehand(seeds: int, said: list[str]) -> None:
    jobs = [make_job(f"init={scheme}", f"seeds={seeds}") for scheme in ("he", "xavier", "lecun")]
    assert few_seeds([*jobs, *jobs]) == said


def test_of_one_candidate_few_seeds_are_nobodys_business() -> None:
    assert few_seeds([]) == []
    assert few_seeds([make_job("init=he", "seeds=1")]) == []
    assert few_seeds([make_job("init=he", f"optim.lr={rate}", "seeds=2") for rate in ("0.1", "0.2")]) != []


def test_few_seeds_are_said_of_sweeps_without_initializers_too() -> None:
    """Where nothing but depth and activation differ, their combinations are what is compared."""
    made = [
        make_job("model=mlp", f"model.depth={depth}", f"activation={activation}", "seeds=3")
        for depth in (1, 2)
        for activation in ("relu", "tanh")
    ]
    assert few_seeds(made) == ["3 seeds tell little of how much seeds scatter; seeds=10 tells more"]
    alone = [make_job("data=wine", "seeds=3"), make_job("data=digits", "seeds=3")]
    assert few_seeds(alone) == []  # one candidate under each of two conditions


@pytest.mark.parametrize(("jobs", "seeds", "sizes"), [(200, 9, 1), (201, 9, 2), (600, 1, 2), (1000, 2, 4), (3, 900, 1)])
def test_cohorts_of_many_jobs_are_limited_and_divide_no_job(jobs: int, seeds: int, sizes: int) -> None:
    job = make_job(f"seeds={seeds}")
    whole = [Share(job.named(f"{number:04}"), job.seeds) for number in range(jobs)]
    cohorts = form_cohorts(whole, workers=1, most={job.program: 10**6}, vectorized={job.program})
    assert [share for cohort in cohorts for share in cohort.shares if not share.complete] == []
    assert members_of(cohorts) == [(share.job.name, seed) for share in whole for seed in share.seeds]
    counts = [len(cohort.shares) for cohort in cohorts]
    assert len(counts) == sizes
    assert max(counts) - min(counts) <= 1
    assert sizes == 1 or min(counts) >= 100  # enough for a bundle
