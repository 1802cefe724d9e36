"""What a cohort is expected to cost, against what it does cost."""

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from initlab.base.memory import free_memory
from initlab.cli.tables import plan_tables
from initlab.models.cnn import CNN
from initlab.sweep.cost import Cost, cost_of
from initlab.sweep.plan import make_schedule
from tests.helpers import make_job

# In a process of its own, whose peak a cohort of one has set before.
MEASURE = """
import json, resource, sys
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.base.console import quiet_libraries
from initlab.jobs.share import Share
from initlab.sweep.cost import cost_of
from tests.helpers import make_job

def peak_with(job):
    share = Share(job, job.seeds)
    train_cohort([share], build_networks(share), cores=1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

quiet_libraries()
case = json.loads(sys.argv[1])
job, cost = make_job(*case), cost_of(make_job(*case))
before = peak_with(make_job(*case, "seeds=1"))
print(json.dumps([peak_with(job) - before, cost.memory(job.config.seeds) - cost.memory(1)]))
"""

CASES = {
    "dense": ("data=digits", "model=mlp", "model.hidden=[256]", "seeds=200", "optim=adamw"),
    "deep": ("data=teacher", "model.depth=8", "model.width=128", "seeds=120", "optim=adamw"),
    "small": ("model.hidden=[64]", "seeds=3000", "optim=sgd"),
    "convolutions": ("data=digits", "model.channels=[32,64]", "model.dense=512", "seeds=100", "optim=adam"),
    "attention": ("data=digits", "model=vit", "seeds=40", "optim=adam"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_memory_of_a_cohort_is_about_what_is_expected(name: str) -> None:
    """Within a factor of 2.5; half of the free memory is what cohorts are planned for."""
    case = [*CASES[name], "trainer.max_epochs=1", "batch_size=32"]
    command = [sys.executable, "-c", MEASURE, json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured, expected = json.loads(done.stdout)
    assert measured > 50 * 2**20  # or it proves nothing
    assert 0.4 < expected / measured < 2.5, (expected / 2**20, measured / 2**20)


def test_arithmetic_and_steps_are_counted() -> None:
    """An MLP by hand: two operations a weight, three passes."""
    job = make_job("model.hidden=[20,10]", "batch_size=10", "trainer.max_epochs=7")
    cost, rows = cost_of(job), len(job.dataset.train)
    steps = 7 * -(-rows // 10)
    assert cost.steps == steps
    assert cost.flops == pytest.approx(3 * 2 * (13 * 20 + 20 * 10 + 10 * 3) * 10 * steps)


def test_many_small_jobs_take_what_building_and_writing_them_takes() -> None:
    """On one core 20 cohorts took 2.2 s, and 500 jobs in one cohort 13.5 s, of which training is next to nothing."""
    cost = cost_of(make_job("seeds=2", "trainer.max_epochs=1"))
    assert 20 * cost.seconds(2) == pytest.approx(2.2, rel=0.3)
    assert cost.seconds(1000, jobs=500) == pytest.approx(13.5, rel=0.3)


def test_a_network_that_cannot_be_measured_costs_its_weights() -> None:
    job = make_job("model._target_=tests.sweep.test_cost.Broken")
    assert cost_of(job).flops == 0
    assert cost_of(job).memory(2) > 2 * 3 * 4 * 13


@pytest.mark.parametrize(
    ("overrides", "vectorized"),
    [
        ("", True),
        ("data=digits", False),
        ("data=digits model=mlp", True),
        ("engine=loop", False),
        ("data=digits engine=vmap", True),
    ],
)
def test_small_dense_networks_go_through_a_step_together(overrides: str, vectorized: bool) -> None:
    assert cost_of(make_job(*overrides.split(), "trainer.accelerator=cpu")).vectorized == vectorized


def test_one_network_is_built_to_plan_many_cohorts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever is asked of its program; a large network takes seconds."""
    built = list[str]()
    digits = ("data=digits", "seeds=4", "trainer.accelerator=cpu")
    jobs = [make_job(*digits, f"init={init}", output_dir=tmp_path) for init in ("he", "zeros")]
    build = CNN.__init__

    @functools.wraps(build)  # whose signature says what it is called with
    def counted(*arguments: Any, **settings: Any) -> None:
        built.append("one")
        build(*arguments, **settings)

    monkeypatch.setattr(CNN, "__init__", counted)
    schedule = make_schedule(jobs, jobs, {}, most_workers=1)
    plan_tables([], schedule)
    assert len(schedule.cohorts) == 2
    assert built == ["one"]


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("free", [1, 900, 1000, 1500, 2000, 5000, 8000, 20_000])
def test_the_largest_cohort_fits_and_one_member_more_does_not(vectorized: bool, threads: int, free: int) -> None:
    """By its memory, in which what members keep while they are at work counts under the loop engine, too."""
    cost = Cost(state=100, activations=900, flops=1.0, steps=1, vectorized=vectorized)
    most = cost.most_members(free, threads=threads)
    assert most == 1 or cost.memory(most, threads=threads) <= free
    assert cost.memory(most + 1, threads=threads) > free


def test_there_is_memory() -> None:
    assert free_memory("cpu") > 2**20
    assert cost_of(make_job()).most_members(0) == 1


class Broken(nn.Linear):
    """A network that fails whenever it is called."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__(input_shape[0], 3)

    def forward(self, inputs: Tensor) -> Tensor:
        raise ArithmeticError(f"on purpose, for {len(inputs)} rows")


def test_splits_of_seeds_take_memory_once_each() -> None:
    job, one_split = make_job("data=wine"), make_job("data=wine", "data.resplit=false")
    cost, fixed = cost_of(job), cost_of(one_split)
    assert cost.data == 178 * (13 * 4 + 8)  # float32 inputs, and a class
    assert fixed.data == 0
    assert cost.memory(400, splits=100) - cost.memory(400, splits=0) == 100 * cost.data
    assert cost.most_members(1e9) < fixed.most_members(1e9)
