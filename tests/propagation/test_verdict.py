"""What a probe says in words is true of the numbers."""

import math
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import initlab
from initlab.activations import Activation
from initlab.models.gpt import GPT
from initlab.propagation.verdict import Verdict, judge, unevenness
from tests.helpers import linear
from tests.propagation.networks import chain, rows


def verdict(scheme: str, depth: int = 30, activation: type[nn.Module] = nn.Tanh, **settings: Any) -> Verdict:
    model = chain(100, *[100] * depth, 10, activation=activation)
    return judge(initlab.probe_model(model, rows(32, 100), seed=0, scheme=scheme, seeds=3, **settings))


def test_zeros_never_move() -> None:
    """Law 6."""
    for activation in (nn.ReLU, nn.Tanh, nn.GELU):
        found = verdict("zeros", 2, activation)
        assert found == Verdict("not trainable", "no weight gets any gradient, so that none of them ever moves")


def test_constants_stay_alike() -> None:
    """Law 7."""
    assert "all units of a layer are equal" in str(verdict("constant", 3, value=0.01))


def test_sigmoid_loses_the_gradient() -> None:
    found = verdict("xavier", activation=nn.Sigmoid)
    assert found.outlook == "not trainable"
    assert "different inputs look the same" in found.reason
    shrinking = re.search(r"the gradient shrinks ([\d.]+) × a layer", found.reason)
    assert shrinking
    # χ₁ = E[σ'(√q z)²] at its fixed point.
    assert 15 < float(shrinking[1]) < 25


def test_a_reach_is_named_where_the_network_is_deeper() -> None:
    found = verdict("normal", std=0.077)  # n·var = 0.59, so that a layer keeps 0.59 of the gradient
    assert found.outlook in ("hard to train", "not trainable")
    reach = re.search(r"expected trainable depth ≈ (\d+)", found.reason)
    assert reach
    assert 9 <= int(reach[1]) <= 14  # 6/-ln 0.59 = 11


def test_what_explodes_is_no_number() -> None:
    found = verdict("normal", 30, nn.ReLU, std=100.0)
    assert found.outlook == "not trainable"
    assert re.search(r"the signal is no finite number from \d+ on", found.reason)


def test_critical_networks_are_trainable() -> None:
    assert verdict("he", 20, nn.ReLU).outlook == "trainable"
    assert verdict("mean_field", 20).outlook == "trainable"


def test_a_dead_layer_stops_the_gradient() -> None:
    model = chain(20, 20, 20, 20, 5, activation=nn.ReLU)
    with torch.no_grad():
        linear(model, 2).bias.fill_(-1000.0)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found == Verdict("not trainable", "no gradient gets past 4 on its way back to the input")


def test_a_linear_classifier() -> None:
    """Depth 0: one layer, of which there is nothing to say but that it can be trained."""
    assert judge(initlab.probe_model(chain(6, 3), rows(), seed=0)).outlook == "trainable"


def test_an_output_layer_of_zeros_opens_in_the_first_step() -> None:
    model = chain(20, 20, 20, 5)
    nn.init.zeros_(linear(model, 4).weight)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found == Verdict("trainable", "4 starts at zero and moves first; the gradient gets past it once it has")


def test_branches_that_end_in_zeros() -> None:
    """ReZero and its like: what lies on a branch gets no gradient yet, what lies beside it does."""

    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.output = nn.Linear(20, 20), nn.Linear(20, 5)
            self.branches = nn.ModuleList(
                nn.Sequential(nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20)) for _ in range(3)
            )

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            signal = self.stem(inputs)
            for branch in self.branches:
                signal = signal + branch(signal)
            outputs: torch.Tensor = self.output(signal)
            return outputs

    model = Branching()
    for branch in model.branches:
        nn.init.zeros_(linear(branch, 3).weight)
        nn.init.zeros_(linear(branch, 3).bias)
    found = judge(initlab.probe_model(model, rows(32, 20), seed=0))
    assert found.outlook == "trainable"
    assert "inf" not in found.reason


def test_layers_of_different_widths_compare() -> None:
    """A tapered He net keeps the norm of the gradient, and so its mean square per entry does not."""
    model = chain(784, 512, 256, 128, 64, 32, 10, activation=nn.ReLU)
    found = judge(initlab.probe_model(model, rows(32, 784), seed=0, scheme="he", seeds=5))
    assert found.outlook == "trainable"
    factor = re.search(r"the gradient (?:grows|shrinks) ([\d.]+) ×", found.reason)
    assert factor is None or float(factor[1]) < 1.3


def test_one_network_among_several() -> None:
    """One that is dead, or explodes, is told; it does not decide the sizes of the others."""
    table = initlab.probe_model(chain(20, *[20] * 4, 5), rows(32, 20), seed=0, scheme="xavier", seeds=4)
    dead = table.copy()
    dead.loc[(dead["member"] == 2) & (dead["position"] < 3), "gradient_second_moment"] = 0.0
    found = judge(dead)
    assert found.outlook == "hard to train"
    assert "no gradient reaches the first layer in 1 of 4 networks" in found.reason
    broken = table.copy()
    broken.loc[(broken["member"] == 1) & (broken["position"] > 2), "pre_second_moment"] = float("nan")
    assert judge(broken) == Verdict("not trainable", "the signal is no finite number from 4 on in 1 of 4 networks")


def test_saturation_is_named() -> None:
    """Weights far too large for sigmoid and tanh: signal and gradient may keep their sizes, and the slopes are gone."""
    for activation in (nn.Sigmoid, nn.Tanh):
        found = verdict("normal", 5, activation, std=3.0)
        assert found.outlook != "trainable"
        share = re.search(
            r"saturated: up to (\d+)\xa0?\s?% of what enters an activation lies where it is flat", found.reason
        )
        assert share
        assert int(share[1]) > 60
        assert "saturated" not in verdict("xavier", 5, activation).reason
    assert "saturated" not in verdict("normal", 5, nn.ReLU, std=3.0).reason


def test_biases_that_kill_most_networks() -> None:
    table = initlab.probe_model(chain(20, *[20] * 4, 5), rows(32, 20), seed=0, scheme="xavier", seeds=4)
    for dead, outlook in ((2, "hard to train"), (3, "not trainable")):
        made = table.copy()
        made.loc[(made["member"] < dead) & (made["position"] < 3), "gradient_second_moment"] = 0.0
        found = judge(made)
        assert found.outlook == outlook
        assert f"no gradient reaches the first layer in {dead} of 4 networks" in found.reason


STEPS = 50


def made(*, gradient: float = 1.0, signal: float = 1.0, **columns: float) -> pd.DataFrame:
    """A signal table of 51 hidden layers, over which gradient (on its way back) and signal change by these factors."""
    place = np.arange(STEPS + 2)
    known = {"correlation": 0.1, "dead": 0.0, "saturated": 0.0}
    return pd.DataFrame(
        {
            "member": 0,
            "position": place + 1,
            "layer": [f"layer {number}" for number in place + 1],
            "entries": 20,
            "units": 20,
            "distinct_units": 20,
            "weight_norm": 1.0,
            "weight_gradient_norm": 1.0,
            "gradient_second_moment": gradient ** (1 - place / STEPS),
            "pre_second_moment": signal ** (place / STEPS),
            **known,
            **columns,
        }
    )


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize(
    ("what", "below", "above", "words"),
    [
        ("gradient", 1.019**STEPS, 1.021**STEPS, "the gradient keeps its size"),
        ("signal", 1.019**STEPS, 1.021**STEPS, "the signal keeps its size"),
    ],
)
def test_how_much_counts_as_kept(what: str, below: float, above: float, words: str, up: bool) -> None:
    kept, changed = (judge(made(**{what: size if up else 1 / size})) for size in (below, above))
    assert words in kept.reason
    assert words not in changed.reason
    assert (kept.outlook, changed.outlook) == ("trainable", "trainable")


@pytest.mark.parametrize("up", [True, False])
def test_how_much_of_the_signal_is_worth_a_word(up: bool) -> None:
    few, many = (judge(made(signal=size if up else 1 / size)) for size in (98.0, 102.0))
    word = f"the signal {'grows' if up else 'shrinks'} 1.1 × a layer"
    assert word not in few.reason
    assert word in many.reason
    assert many.outlook == "trainable"


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize(
    ("what", "size", "below", "above"),
    [
        ("gradient", math.exp(6), "trainable", "hard to train"),  # six depth scales
        ("gradient", 1e6, "hard to train", "not trainable"),
        ("signal", 1e6, "trainable", "hard to train"),
    ],
)
def test_where_an_outlook_changes(what: str, size: float, below: str, above: str, up: bool) -> None:
    for factor, outlook in ((0.95, below), (1.05, above)):
        change = size * factor if up else 1 / (size * factor)
        assert judge(made(**{what: change})).outlook == outlook


@pytest.mark.parametrize(
    ("column", "border", "words"),
    [
        ("correlation", 0.99, "different inputs look the same"),
        ("dead", 0.5, "units are dead"),
        ("saturated", 0.5, "saturated"),
    ],
)
def test_where_a_doubt_begins(column: str, border: float, words: str) -> None:
    without, with_it = (judge(made(**{column: border + off})) for off in (-0.004, 0.004))
    assert without.outlook == "trainable"
    assert words not in without.reason
    assert with_it.outlook == "hard to train"
    assert words in with_it.reason


def over_time(factor: float, steps: int = 28, weight: str = "layer 3.weight") -> pd.DataFrame:
    """Gradients that change by a factor between the states 1 and `steps` + 1 steps before the last output."""
    lag = np.arange(1, steps + 2)
    return pd.DataFrame({"weight": weight, "lag": lag, "gradient": 0.3 * factor ** ((lag - 1) / steps)})


@pytest.mark.parametrize(("kept", "lost"), [(1 / 19, 1 / 21), (19.0, 21.0)])
def test_where_a_gradient_over_time_makes_it_hard(kept: float, lost: float) -> None:
    """e³ ≈ 20.1 of a norm, as six depth scales are e⁶ of its square."""
    assert judge(made(), over_time(kept)) == judge(made()) == judge(made(), over_time(1.0)[:0])
    found = judge(made(), over_time(lost))
    assert found.outlook == "hard to train"
    assert found.reason.startswith(f"{judge(made()).reason}; over time the gradient ")


def test_what_is_said_of_a_gradient_over_time() -> None:
    keeps = "the gradient keeps its size, the signal keeps its size"
    vanishing = judge(made(), over_time(1 / 4e4))
    # e^-3 of it is left after 28 · 3 / ln 4e4 = 7.9 steps from the first.
    assert vanishing.reason == (
        f"{keeps}; over time the gradient vanishes by a factor of 4e+04 over 28 steps, "
        "so that what is more than 8 steps back hardly counts"
    )
    assert judge(made(), over_time(1e30)).outlook == "hard to train"
    both = pd.concat([over_time(1 / 25), over_time(50.0, weight="layer 9.weight")])
    assert judge(made(), both).reason == (
        f"{keeps}; over time by the state of layer 9 the gradient explodes by a factor of 50 over 28 steps"
    )
    infinite = over_time(2.0).assign(gradient=[*[1.0] * 20, *[math.inf] * 9])
    assert "the gradient explodes: it is no finite number 21 steps back" in judge(made(), infinite).reason
    none = over_time(1.0).assign(gradient=0.0)
    assert judge(made(), none).reason == f"{keeps}; over time no gradient gets back over a single step"
    stopped = over_time(1.0).assign(gradient=[*[1.0] * 20, *[0.0] * 9])
    assert judge(made(), stopped).reason == (
        f"{keeps}; over time the gradient gets back over 20 of 29 steps, and no further, "
        "so that what is more than 20 steps back hardly counts"
    )
    closed = made()
    closed.loc[closed["layer"] == "layer 3", "weight_norm"] = 0.0  # it opens in the first step
    assert judge(closed, none).outlook == "trainable"


def test_embeddings_speak_against_nothing() -> None:
    """Their gradient is large as they are small, which hinders nobody: measured, such a transformer trains as well."""
    table = made()
    first = table["position"] <= 2
    table.loc[first, ["gradient_second_moment", "pre_second_moment"]] = 1e8, 1e-8
    assert judge(table).outlook == "not trainable"
    table.attrs["looked_up"] = ["layer 1", "layer 2"]
    assert judge(table) == Verdict("trainable", "the gradient keeps its size, the signal keeps its size")
    assert unevenness(table) == pytest.approx(0.0)
    table.loc[first, "gradient_second_moment"] = 0.0
    assert "no gradient gets past layer 3" in judge(table).reason


def test_a_gradient_that_goes_by_the_skips_arrives_at_an_embedding() -> None:
    """The first branch gets as little as it gives."""
    table = made(gradient=math.exp(2))
    table.loc[table["position"] == 2, "gradient_second_moment"] = math.exp(-7)
    table.attrs["looked_up"] = ["layer 1"]
    assert judge(table).outlook == "trainable"
    assert unevenness(table) == pytest.approx(2.0)
    table.loc[table["position"] == 1, "gradient_second_moment"] = math.exp(8)
    found = judge(table)
    assert found.outlook == "hard to train"
    assert "layer 2 gets 0.0009 of it" in found.reason
    table.loc[table["position"] == 2, "gradient_second_moment"] = math.exp(-9)
    assert "the first layer gets 3e+03 of it" in judge(table).reason


@pytest.mark.parametrize("scheme", ["xavier", "gpt2"])
def test_a_transformer_of_tokens_is_trainable(scheme: str) -> None:
    """Embeddings of standard deviation .02 put nothing off; measured, both train, and as well as each other."""
    model = GPT((8,), 11, Activation("gelu"), vocabulary=11, every_step=True, width=32)
    tokens = torch.randint(11, (16, 8), generator=torch.Generator().manual_seed(0))
    table = initlab.probe_model(model, tokens, seed=0, scheme=scheme, seeds=3)
    assert table.attrs["looked_up"] == ["tokens", "positions"]
    assert judge(table).outlook == "trainable"
    table.attrs.pop("looked_up")
    assert (judge(table).outlook == "trainable") == (scheme == "gpt2")
