"""A part of a study."""

import pytest

from initlab.base.errors import UserError
from initlab.results.analysis import analyse
from initlab.results.selection import select_jobs
from initlab.results.study import Study
from tests.results.studies import Cell, study_of


@pytest.fixture
def study() -> Study:
    return study_of(
        *(
            Cell({"init.name": init, "activation.name": activation, "optim.lr": rate}, [0.5 + rate, 0.6 + rate])
            for init in ("he_normal", "xavier_normal", "zeros")
            for activation in ("relu", "tanh")
            for rate in (0.1, 0.01)
        )
    )


def test_jobs_are_selected_by_keys_and_patterns(study: Study) -> None:
    part = select_jobs(study, {"init": ["*_normal"], "activation": ["relu"], "optim.lr": ["0.1"]})
    assert sorted(part.members["init"].unique()) == ["he_normal", "xavier_normal"]
    assert set(part.members["activation"]) == {"relu"}
    assert set(part.members["lr"]) == {0.1}
    assert list(part.differing) == ["init"]
    assert set(part.configs) == set(part.metadata) == set(part.members["job"]) == set(part.history["job"])
    assert len(analyse(part).candidates) == 2


def test_all_is_all(study: Study) -> None:
    assert len(select_jobs(study, {}).configs) == 12


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"inot": ["he"]}, "--select inot: no job has this key; did you mean init?"),
        (
            {"init": ["he"]},
            "--select init=he: no job has this value; did you mean he_normal? known: he_normal, xavier_",
        ),
        ({"init": ["kaiming_normal"]}, "--select init=kaiming_normal: no job has this value; did you mean he_normal?"),
        ({"init": ["he*", "zero"]}, "--select init=zero: no job has this value; did you mean zeros?"),
    ],
)
def test_a_mistake_is_one_line(study: Study, wanted: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(UserError) as refused:
        select_jobs(study, wanted)
    assert str(refused.value).startswith(reason)


def test_values_that_no_job_has_together() -> None:
    pairs = (("he_normal", "relu"), ("zeros", "tanh"))
    part = study_of(*(Cell({"init.name": init, "activation.name": name}, [0.5]) for init, name in pairs))
    with pytest.raises(UserError, match=r"^--select init=zeros activation=relu: none of the 2 jobs has .* together$"):
        select_jobs(part, {"init": ["zeros"], "activation": ["relu"]})
