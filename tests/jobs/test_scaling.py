"""Learning rates by width: Tensor Programs V's table, its symmetry, and what they do to the signal (law 22)."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import RefusedError, UserError
from initlab.cohort.networks import build_networks
from initlab.cohort.run import train_cohort
from initlab.config.calls import import_target
from initlab.jobs.scaling import mup_factors, spectral_factors, wider_heads
from initlab.jobs.share import Share
from initlab.models.gpt import GPT
from initlab.models.transformer import Attention
from initlab.results.differences import differing_keys, flat_config
from initlab.sweep.checks import check_job
from tests.helpers import make_job, train

ADAM, SGD = "torch.optim.Adam", "torch.optim.SGD"


class Parts(nn.Module):
    """A parameter of each kind, none of which is ever called."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, width)
        self.positions = nn.Parameter(torch.zeros(7, width))
        self.scale = nn.Parameter(torch.ones(()))
        self.first = nn.Linear(3, width)
        self.conv = nn.Conv2d(width, 2 * width, 3)
        self.depthwise = nn.Conv2d(width, width, 3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2)
        self.lstm = nn.LSTM(5, width)
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(width, width))
        self.free = nn.Parameter(torch.zeros(width, width))
        self.output = nn.Linear(width, 4)


# Of each parameter how many times its units grow, and its inputs, as one reads it off `Parts` at 4 times the width.
GROWN = {
    "tokens.weight": (4, 1), "positions": (4, 1), "scale": (1, 1), "first.weight": (4, 1), "first.bias": (4, 1),
    "conv.weight": (4, 4), "conv.bias": (4, 1), "depthwise.weight": (4, 1), "norm.weight": (4, 1),
    "attention.in_proj_weight": (4, 4), "attention.in_proj_bias": (4, 1), "attention.out_proj.weight": (4, 4),
    "lstm.weight_ih_l0": (4, 1), "lstm.weight_hh_l0": (4, 4), "lstm.bias_ih_l0": (4, 1),
    "normed.parametrizations.weight.original0": (4, 1), "normed.parametrizations.weight.original1": (4, 4),
    "free": (4, 4), "output.weight": (1, 4), "output.bias": (1, 1),
}  # fmt: skip


def test_each_kind_of_parameter_has_the_rate_of_table_3() -> None:
    by_adam, by_sgd = (mup_factors(Parts(32), Parts(8), optimizer=name) for name in (ADAM, SGD))
    for name, (units, inputs) in GROWN.items():
        assert by_adam[name] == pytest.approx(1 / inputs), name
        assert by_sgd[name] == pytest.approx(units / inputs), name
    assert set(mup_factors(Parts(8), Parts(8), optimizer=SGD).values()) == {1.0}


def mlp(width: int, *, inputs: int = 6, outputs: int = 2) -> nn.Sequential:
    layers = (nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, outputs))
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2]).double()


class Multiplied(nn.Module):
    """A network as microsoft/mup has it: what the readout gives is divided by m."""

    def __init__(self, network: nn.Module, multiple: float) -> None:
        super().__init__()
        self.network, self.multiple = network, multiple
        weight = network.get_parameter("4.weight")
        weight.data.mul_(multiple)

    def forward(self, inputs: Tensor) -> Tensor:
        bias = self.network.get_parameter("4.bias")
        outputs: Tensor = (self.network(inputs) - bias) / self.multiple + bias
        return outputs


# The factors of MuAdam and MuSGD on the weights of input, hidden layer and readout, at m times the width.
MICROSOFT: dict[str, tuple[float, float, float]] = {ADAM: (1, 1 / 4, 1), SGD: (4, 1, 4)}


@pytest.mark.parametrize("name", MICROSOFT)
def test_without_a_multiplier_it_is_the_training_of_microsofts_mup(name: str) -> None:
    """The abc-symmetry: other numbers, the same function after every step."""
    torch.manual_seed(1)
    inputs, targets = torch.randn(20, 6).double(), torch.randn(20, 2).double()
    ours = mlp(32)
    theirs = Multiplied(copy.deepcopy(ours), 4)
    factors = mup_factors(ours, mlp(8), optimizer=name)
    bias = {ADAM: 1.0, SGD: 4.0}[name]
    hidden = dict(zip(("0.weight", "2.weight", "4.weight"), MICROSOFT[name], strict=True))
    of_theirs = {f"network.{key}": hidden.get(key, 1.0 if key == "4.bias" else bias) for key in factors}
    options: dict[str, Any] = {"eps": 0.0} if name == ADAM else {"momentum": 0.9}
    outputs = []
    for model, rates in ((ours, factors), (theirs, of_theirs)):
        groups = [{"params": [weight], "lr": 0.01 * rates[key]} for key, weight in model.named_parameters()]
        optimizer = import_target(name, where="optim")(groups, lr=0.01, **options)
        for _ in range(5):
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            optimizer.step()
        outputs.append(model(inputs).detach())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-9, atol=1e-11)
    assert (outputs[0] - targets).square().mean() < 0.98 * (mlp(32)(inputs) - targets).square().mean()


@pytest.mark.parametrize("name", [ADAM, SGD])
def test_spectral_rates_change_each_layer_by_a_norm_of_root_fan_out_over_fan_in(name: str) -> None:
    """Of a step on one row, which is of rank one, so that its spectral norm is Frobenius': the same at all widths.

    Adam's is the learning rate itself; SGD's is that of the loss's gradient by the outputs, here of norm 1/8.
    """
    for width in (64, 256):
        norms = np.mean([_norms_of_a_step(name, width, seed) for seed in range(6)], 0)
        assert norms == pytest.approx(np.ones(3), rel=0.15 if name == SGD else 1e-3)


def _norms_of_a_step(name: str, width: int, seed: int) -> list[float]:
    """‖ΔW‖/√(fan_out/fan_in) of each layer of a linear network, in learning rates."""
    torch.manual_seed(seed)
    layers = [nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, 64)]
    model = nn.Sequential(*layers).double()
    for layer in layers:
        units, inputs = layer.weight.shape
        nn.init.normal_(layer.weight, 0.0, inputs**-0.5 * min(1.0, (units / inputs) ** 0.5))
        nn.init.zeros_(layer.bias)
    before = [layer.weight.detach().clone() for layer in layers]
    factors = spectral_factors(model, optimizer=name)
    groups = [{"params": [weight], "lr": 0.01 * factors[key]} for key, weight in model.named_parameters()]
    optimizer = import_target(name, where="optim")(groups, lr=0.01)
    (model(torch.randn(1, 64).double()) * torch.randn(1, 64).sign()).mean().backward()
    optimizer.step()
    return [
        float((layer.weight.detach() - former).norm()) / 0.01 / math.sqrt(former.shape[0] / former.shape[1])
        for layer, former in zip(layers, before, strict=True)
    ]


def sizes_after(steps: int, width: int, name: str, rate: float, *, scaled: bool) -> list[float]:
    """Mean absolute value of each layer's output, averaged over networks, after some steps on 60 rows."""
    sizes = []
    for seed in range(3):
        torch.manual_seed(100 + seed)
        inputs = torch.randn(60, 6).double()
        targets = torch.sin(1.5 * inputs[:, :2])
        torch.manual_seed(seed)
        model = mlp(width)
        for key, weight in model.named_parameters():
            zero = "bias" in key or (scaled and key == "4.weight")
            nn.init.normal_(weight, 0.0, 0.0 if zero else weight.shape[1] ** -0.5)
        factors = mup_factors(model, mlp(64), optimizer=name) if scaled else {}
        groups = [{"params": [value], "lr": rate * factors.get(key, 1.0)} for key, value in model.named_parameters()]
        optimizer = import_target(name, where="optim")(groups, lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            (model(inputs) - targets).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            sizes.append([float(model[: 2 * place + 1](inputs).abs().mean()) for place in range(3)])
    return [float(size) for size in np.mean(sizes, 0)]


@pytest.mark.parametrize(("name", "rate"), [(ADAM, 0.005), (SGD, 0.1)])
def test_sizes_do_not_depend_on_width_after_some_steps(name: str, rate: float) -> None:
    """Law 22, small: slopes within ±.05 by muP, where the standard parametrization's output grows."""
    slopes = {}
    for scaled, steps in ((True, 4), (False, 2)):
        narrow, wide = (sizes_after(steps, width, name, rate, scaled=scaled) for width in (64, 256))
        slopes[scaled] = np.log(np.divide(wide, narrow)) / np.log(4)
    assert np.abs(slopes[True]).max() < 0.05
    assert slopes[False][2] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rate"), [(ADAM, 0.005), (SGD, 0.1)])
def test_sizes_do_not_depend_on_width_from_64_to_1024(name: str, rate: float) -> None:
    widths = (64, 128, 256, 512, 1024)
    for steps in (2, 4, 8):
        sizes = [sizes_after(steps, width, name, rate, scaled=True) for width in widths]
        assert np.abs(np.polyfit(np.log(widths), np.log(sizes), 1)[0]).max() < 0.05


def changes_of_scores(scaling: str, scale: str, *, base: int = 32) -> float:
    """By which factor three steps change the scores of a transformer's attention more at 8 times the base width."""
    tokens, targets = torch.randint(12, (2, 16, 6), generator=torch.Generator().manual_seed(1))
    activation, settings = Activation("gelu"), {"depth": 1, "heads": 2, "attention_scale": scale}

    def build(width: int) -> GPT:
        return GPT((6,), 12, activation, vocabulary=12, every_step=True, width=width, **settings)  # type: ignore[arg-type]

    def change(width: int) -> float:
        model, narrow = build(width), build(base)
        initlab.initialize(model, "mup", seed=0, base_width=base)
        factors = mup_factors(model, narrow, optimizer=ADAM) if scaling == "mup" else {}
        optimizer = torch.optim.Adam(
            [{"params": [value], "lr": 0.003 * factors.get(name, 1.0)} for name, value in model.named_parameters()]
        )
        attention, seen = model.blocks[0].get_submodule("attention"), list[Tensor]()

        def look(_: nn.Module, args: tuple[Any, ...]) -> None:
            query, key = (attention.get_submodule(name)(args[0]).unflatten(-1, (2, -1)) for name in ("query", "key"))
            factor = {"mup": 4 * 2 / width, "sqrt": (width / 2) ** -0.5}[scale]  # of heads of width/2; base 16
            seen.append(factor * torch.einsum("bqhd,bkhd->bhqk", query, key).detach())

        handle = attention.register_forward_pre_hook(look)
        for _ in range(4):
            loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        handle.remove()
        return float((seen[3] - seen[0]).square().mean().sqrt())

    return change(8 * base) / change(base)


def test_scores_of_attention_do_not_grow_with_its_heads() -> None:
    """Under muP with scores over d; both of the two alone let them grow (Yang et al. 2022, appendix B.1)."""
    assert changes_of_scores("mup", "mup") < 1
    assert changes_of_scores("mup", "sqrt") > 1.3
    assert changes_of_scores("standard", "mup") > 1.3


def test_at_the_start_the_readout_shrinks_as_the_root_of_the_width() -> None:
    """Law 22's other half, of `init=mup` as a job draws it: outputs of N(0, 1/width)."""
    sizes = []
    for width in (64, 256):
        job = make_job("data=wine", "init=mup", f"model.width={width}", "optim.base_width=64", "seeds=60")
        rows = job.dataset.train.inputs[:20]
        with torch.no_grad():
            sizes.append(np.mean([float(job.build_member(member)(rows).abs().mean()) for member in job.members()]))
    assert np.log(sizes[1] / sizes[0]) / np.log(4) == pytest.approx(-0.5, abs=0.1)


WIDE = ("data=wine", "optim=adamw", "model.width=32", "seeds=2", "trainer.max_epochs=2", "scheduler=cosine")
MUP = ("init=mup", "optim.scaling=mup", "optim.base_width=8", "gradient_clip=0.5")


@pytest.mark.parametrize("engine", ["vmap", "loop"])
def test_jobs_that_differ_in_scaling_train_in_one_cohort_as_they_do_alone(engine: str) -> None:
    """With decay, clipping and a schedule; each with its own learning rate, too."""
    jobs = [
        make_job(*WIDE, *MUP, f"engine={engine}", f"optim.lr={rate}", *more)
        for rate, more in ((0.01, ()), (0.003, ("optim.scaling=standard",)))
    ]
    assert len({job.program for job in jobs}) == 1
    assert len({job.fingerprint for job in jobs}) == 2
    shares = [Share(job, job.seeds) for job in jobs]
    trained = train_cohort(shares, [network for share in shares for network in build_networks(share)]).members
    together = [trained.iloc[:2], trained.iloc[2:]]
    for job, members in zip(jobs, together, strict=True):
        module = train(job)
        losses = [module.history[-1].values["loss"][member].item() for member in range(2)]
        assert members["test_loss"].tolist() == pytest.approx(losses, rel=1e-4)
    assert together[0]["test_loss"].iloc[0] != pytest.approx(together[1]["test_loss"].iloc[0], rel=0.01)


def test_rates_of_a_job_reach_its_parameters() -> None:
    """A single step of SGD on all rows: what each weight moves by is its factor times its gradient."""
    common = ("data=wine", "init=mup", "optim=sgd", "optim.lr=0.01", "optim.base_width=8", "model.width=32", "seeds=1")
    job = make_job(*common, "optim.scaling=mup", "batch_size=10000", "trainer.max_epochs=1")
    start = job.build_member(job.members()[0])
    rows = job.dataset.train
    nn.functional.cross_entropy(start(rows.inputs), rows.targets).backward()
    after = train(job).stack.member(0)
    expected = {"hidden.0.weight": 4, "hidden.1.weight": 1, "output.weight": 0.25, "hidden.1.bias": 4, "output.bias": 1}
    for name, factor in expected.items():
        weight = start.get_parameter(name)
        assert weight.grad is not None
        torch.testing.assert_close(after[name], weight.detach() - 0.01 * factor * weight.grad, rtol=1e-4, atol=1e-7)


def test_an_embedding_that_is_the_readout_too_is_refused() -> None:
    class Tied(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.tokens, self.output = nn.Embedding(9, width), nn.Linear(width, 9)
            self.output.weight = self.tokens.weight

    with pytest.raises(UserError, match="reads and writes at two rates; train an untied network"):
        mup_factors(Tied(8), Tied(4), optimizer=ADAM)


def test_a_job_whose_network_has_no_width_leaves_the_others_of_a_sweep_alone() -> None:
    with pytest.raises(RefusedError, match="has no key width"):
        check_job(make_job("data=digits", "optim.scaling=mup", "optim.base_width=8"))


def test_heads_that_grow_are_said() -> None:
    grows = make_job("data=digits", "model=vit", *MUP)
    assert grows.network.wider_heads == (16, 2)
    assert any("set model.attention_scale=mup, or more heads" in note for note in check_job(grows))
    assert wider_heads(Attention(64, 16), Attention(32, 8)) is None
    assert not check_job(make_job("data=wine", *MUP))


def test_another_initializer_beside_mup_is_said() -> None:
    (note,) = check_job(make_job("data=wine", *MUP, "init=he"))
    assert "goes with init=mup" in note


def test_rates_that_belong_to_an_initializer_do_not_tell_jobs_apart() -> None:
    jobs = [
        make_job("experiment=width_transfer", f"init={init}", f"model.width={width}")
        for init in ("he", "mup")
        for width in (32, 64)
    ]
    assert [job.network.scaling for job in jobs] == ["standard", "standard", "mup", "mup"]
    found = differing_keys({str(place): flat_config(job.resolved) for place, job in enumerate(jobs)})
    assert list(found) == ["init", "model.width"]
    crossed = [make_job("data=wine", f"optim.scaling={scaling}") for scaling in ("standard", "spectral")]
    found = differing_keys({str(place): flat_config(job.resolved) for place, job in enumerate(crossed)})
    assert list(found) == ["optim.scaling"]
