"""A job's networks are built without numbers that nobody sees, and hold the same as those that are built one by one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from initlab.cohort.networks import build_networks
from initlab.jobs.job import Job
from initlab.jobs.network import JobNetwork
from initlab.jobs.share import Share
from initlab.modules.stack import Numbers
from tests.helpers import make_job

SEEDS = 5
SMALL = ("model.hidden=[7,6]", f"seeds={SEEDS}", "threads=1")
WEIGHTS = 13 * 7 + 7 * 6 + 6 * 3  # of the wines' 13 columns and 3 classes
BIASES = 7 + 6 + 3

OWN = {
    "a buffer that is drawn": "self.register_buffer('drawn', torch.randn(3))",
    "a buffer that is drawn in place": "self.register_buffer('drawn', torch.empty(3).normal_())",
    "a buffer that is read off a weight": "self.register_buffer('drawn', self.linear.weight.detach().sum(1))",
    "a number that is read off a weight": "self.shift = float(self.linear.weight.detach()[0, 0])",
    "numbers that NumPy reads off a weight": (
        "self.register_buffer('drawn', torch.from_numpy(self.linear.weight.detach().numpy().sum(1)))"
    ),
    "a parameter that no scheme fills": "self.drawn = nn.Parameter(torch.empty(3).uniform_())",
    "a parameter in the memory of another": "self.drawn = nn.Parameter(self.linear.weight.data.view(-1)[:3])",
    "a spectral norm": "self.linear = nn.utils.parametrizations.spectral_norm(self.linear)",
}


class Counted(TorchDispatchMode):
    """Adds up how many random numbers are drawn into tensors."""

    numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        found = func(*args, **(kwargs or {}))
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.numbers += found.numel()
        return found


@contextmanager
def counted() -> Iterator[Counted]:
    with Counted() as numbers:  # type: ignore[no-untyped-call]  # torch's
        yield numbers


def built(job: Job) -> list[dict[str, torch.Tensor]]:
    networks = build_networks(Share(job, job.seeds))
    return [one.state if isinstance(one, Numbers) else one.state_dict() for one in networks]


@pytest.mark.parametrize(("init", "each"), [("he", WEIGHTS), ("torch_default", WEIGHTS + BIASES), ("zeros", 0)])
def test_a_network_draws_what_its_initializer_fills_and_no_more(init: str, each: int) -> None:
    """The first is constructed as ever, to see where its constructor draws."""
    job = make_job(f"init={init}", *SMALL)
    with counted() as drawn:
        built(job)
    assert drawn.numbers == WEIGHTS + BIASES + SEEDS * each


def test_where_threads_are_free_one_more_shows_whether_it_convolves() -> None:
    job = make_job("init=zeros", *SMALL, "threads=auto")
    with counted() as drawn:
        built(job)
    assert drawn.numbers == 2 * (WEIGHTS + BIASES)


@pytest.mark.parametrize(
    "typed",
    [("init=he",), ("init=keep",), ("init=he", "init.rules={output.*:null}"), ("init=lsuv",), ("init=fixup",)],
)
def test_they_hold_what_each_holds_by_itself(typed: tuple[str, ...]) -> None:
    model = ["model=residual_mlp", "model.norm=none"] if "init=fixup" in typed else ["model.norm=batch"]
    alike(make_job(*typed, *(SMALL[1:] if "init=fixup" in typed else SMALL), *model))


@pytest.mark.parametrize(
    ("typed", "constructed"),
    [
        (("init=he", "model.norm=batch"), 1),
        (("init=he", "init.rules={output.*:ones}"), 1),
        (("init=gpt2", "model=residual_mlp"), 1),
        (("init=he", "init.rules={output.*:null}"), SEEDS),  # what the constructor drew there counts
        (("init=lsuv",), SEEDS),
    ],
)
def test_one_network_is_filled_for_all_where_they_differ_in_nothing_else(
    typed: tuple[str, ...], constructed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(*typed, *(SMALL[1:] if "init=gpt2" in typed else SMALL))
    made: list[int] = []
    build = JobNetwork.with_seed

    def spy(self: JobNetwork, seed: int, **others: Any) -> torch.nn.Module:
        made.append(seed)
        return build(self, seed, **others)

    monkeypatch.setattr(JobNetwork, "with_seed", spy)
    built(job)
    assert len(made) == constructed
    alike(job)


@pytest.mark.parametrize("kind", OWN)
def test_what_depends_on_the_constructors_draws_stays(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = f"drawing_{list(OWN).index(kind)}"
    (tmp_path / f"{name}.py").write_text(
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, out_features):\n        super().__init__()\n"
        f"        self.linear = nn.Linear(13, out_features)\n        {OWN[kind]}\n"
        "    def forward(self, rows):\n        return self.linear(rows) + getattr(self, 'shift', 0.0)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    job = make_job(f"model._target_={name}.Net", "init=he", *SMALL[1:])
    alike(job)
    if kind == "a number that is read off a weight":
        networks = build_networks(Share(job, job.seeds))
        shifts = [network.shift for network in networks if not isinstance(network, Numbers)]
        assert shifts == [job.build_member(member).shift for member in job.members()]
        assert len(set(shifts)) == SEEDS


def alike(job: Job) -> None:
    for found, member in zip(built(job), job.members(), strict=True):
        expected = job.build_member(member).state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize("seeds", [2, SEEDS])
def test_what_filling_takes_is_told_of_each(seeds: int) -> None:
    seconds: dict[str, dict[int, float]] = {}
    for name, *more in (("zeros",), ("gradinit", "init.steps=20")):
        job = make_job(*SMALL[:1], "threads=1", f"seeds={seeds}", f"init={name}", *more)
        build_networks(Share(job, job.seeds), seconds=seconds.setdefault(name, {}))
    assert all(list(one) == list(range(seeds)) for one in seconds.values())
    assert min(seconds["gradinit"].values()) > 3 * max(seconds["zeros"].values()) > 0  # 20 steps against none
