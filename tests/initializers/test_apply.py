"""Which layer gets what, and from which stream."""

import itertools
import math

import pytest
import torch
from torch import nn

from initlab.activations import Activation
from initlab.errors import UserError
from initlab.initializers import InitSpec, find_scheme, initialize_model, list_initializers, register

RELU = Activation("relu")


def net(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    first, second, other = (net(5, 6, 3) for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        initialize_model(model, InitSpec("he"), activation=RELU, seed=seed)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_layers_of_equal_shape_differ() -> None:
    model = net(6, 6, 6)
    initialize_model(model, InitSpec("orthogonal"), activation=RELU, seed=0)
    assert not torch.equal(model[0].weight, model[1].weight)


def test_another_layer_does_not_shift_the_others() -> None:
    short, long = net(5, 6, 3), net(5, 6, 3, 4)
    for model in (short, long):
        initialize_model(model, InitSpec("he"), activation=RELU, seed=0)
    assert torch.equal(short[1].weight, long[1].weight)


def test_two_schemes_at_one_seed_are_paired() -> None:
    he, xavier = net(6, 6), net(6, 6)
    initialize_model(he, InitSpec("he"), activation=RELU, seed=0)
    initialize_model(xavier, InitSpec("xavier"), activation=RELU, seed=0)
    assert torch.allclose(he[0].weight, xavier[0].weight * math.sqrt(2))


@pytest.mark.parametrize("scheme", list(list_initializers()))
def test_the_global_generator_is_not_touched(scheme: str) -> None:
    model = net(4, 4)
    before = torch.random.get_rng_state()
    initialize_model(model, InitSpec(scheme), activation=RELU, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_biases_and_the_output_layer_have_their_own_rules() -> None:
    model = net(100, 100, 100)
    spec = InitSpec("zeros", bias=0.5, output=InitSpec("ones", bias="torch_default"))
    initialize_model(model, spec, activation=RELU, seed=0)
    assert (model[0].weight == 0).all()
    assert (model[0].bias == 0.5).all()
    assert (model[1].weight == 1).all()
    assert 0.09 < float(model[1].bias.detach().abs().max()) <= 0.1


def test_norms_are_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LayerNorm(4))
    initialize_model(model, InitSpec("constant", {"value": 7.0}), activation=RELU, seed=0)
    assert (model[1].weight == 1).all()
    assert (model[2].weight == 1).all()


def test_aliases_lead_to_their_scheme() -> None:
    assert find_scheme("he") is find_scheme("he_normal") is find_scheme("kaiming_normal")


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("he", source="nobody")(lambda _: None)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"init=xaver_normal: .*did you mean xavier_normal"):
        initialize_model(net(2, 2), InitSpec("xaver_normal"), activation=RELU, seed=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            InitSpec("he_normal", {"gain": "kaimin"}),
            "init.gain=kaimin: expected a positive number or one of kaiming, moment",
        ),
        (InitSpec("he_normal", {"mode": "fan"}), "init.mode=fan: expected one of fan_in, fan_out, fan_avg"),
        (InitSpec("he_normal", bias="zeros"), "init.bias=zeros: expected a number or torch_default"),
        (InitSpec("normal", {"std": -1.0}), "init.std=-1.0"),
    ],
)
def test_bad_rules_are_refused(spec: InitSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        initialize_model(net(2, 2), spec, activation=RELU, seed=0)


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(UserError, match="no Linear or convolution"):
        initialize_model(nn.ReLU(), InitSpec("he"), activation=RELU, seed=0)


def test_orthogonal_needs_two_dimensions() -> None:
    with pytest.raises(UserError, match="at least 2 dimensions"):
        find_scheme("orthogonal").function(torch.zeros(3), generator=torch.Generator())
