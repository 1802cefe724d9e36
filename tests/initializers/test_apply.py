"""Which layer gets what, and from which stream."""

import itertools
import math

import pytest
import torch
from torch import nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers import InitSpec, Surroundings, find_scheme, initialize_model, register
from initlab.initializers.slots import find_slots
from tests.helpers import linear

RELU = Activation("relu")


def net(*sizes: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes)))


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    first, second, other = (net(5, 6, 3) for _ in range(3))
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        initialize_model(model, InitSpec("he"), Surroundings(RELU), seed=seed)
    assert torch.equal(linear(first, 0).weight, linear(second, 0).weight)
    assert not torch.equal(linear(first, 0).weight, linear(other, 0).weight)


def test_layers_of_equal_shape_differ() -> None:
    model = net(6, 6, 6)
    initialize_model(model, InitSpec("orthogonal"), Surroundings(RELU), seed=0)
    assert not torch.equal(linear(model, 0).weight, linear(model, 1).weight)


def test_another_layer_does_not_shift_the_others() -> None:
    short, long = net(5, 6, 3), net(5, 6, 3, 4)
    for model in (short, long):
        initialize_model(model, InitSpec("he"), Surroundings(RELU), seed=0)
    assert torch.equal(linear(short, 1).weight, linear(long, 1).weight)


def test_two_schemes_at_one_seed_are_paired() -> None:
    he, xavier = net(6, 6), net(6, 6)
    initialize_model(he, InitSpec("he"), Surroundings(RELU), seed=0)
    initialize_model(xavier, InitSpec("xavier"), Surroundings(RELU), seed=0)
    assert torch.allclose(linear(he, 0).weight, linear(xavier, 0).weight * math.sqrt(2))


def test_biases_and_the_output_layer_have_their_own_rules() -> None:
    model = net(100, 100, 100)
    spec = InitSpec("zeros", bias=0.5, output=InitSpec("ones", bias="torch_default"))
    initialize_model(model, spec, Surroundings(RELU), seed=0)
    assert (linear(model, 0).weight == 0).all()
    assert (linear(model, 0).bias == 0.5).all()
    assert (linear(model, 1).weight == 1).all()
    assert 0.09 < float(linear(model, 1).bias.detach().abs().max()) <= 0.1


def test_norms_start_anew() -> None:
    """At one and zero, whatever they learned before."""
    norms = nn.BatchNorm1d(4), nn.LayerNorm(4)
    model = nn.Sequential(nn.Linear(3, 4), *norms)
    model(torch.randn(9, 3))
    for norm in norms:
        nn.init.constant_(norm.weight, 3.0)
        nn.init.constant_(norm.bias, 2.0)
    initialize_model(model, InitSpec("constant", {"value": 7.0}), Surroundings(RELU), seed=0)
    for norm in norms:
        assert bool((norm.weight == 1).all())
        assert bool((norm.bias == 0).all())
    assert norms[0].running_mean is not None
    assert bool((norms[0].running_mean == 0).all())


def test_the_output_layer_can_be_named() -> None:
    model = nn.ModuleDict({"head": nn.Linear(4, 2), "body": nn.Linear(3, 4)})
    spec = InitSpec("zeros", output=InitSpec("ones"), output_layer="head")
    initialize_model(model, spec, Surroundings(RELU), seed=0)
    assert (linear(model, "head").weight == 1).all()
    assert (linear(model, "body").weight == 0).all()
    with pytest.raises(UserError, match=r"init.output_layer=tail: .* it has head, body"):
        initialize_model(model, InitSpec("he", output_layer="tail"), Surroundings(RELU), seed=0)


def test_each_block_is_a_map_of_its_own() -> None:
    """Groups, gates and projections are orthogonal each, in the layout that the layer computes with."""
    layers: dict[str, nn.Module] = {
        "groups": nn.Conv2d(8, 8, 1, groups=2),
        "transposed": nn.ConvTranspose2d(4, 12, 1, groups=2),
        "attention": nn.MultiheadAttention(6, 2),
        "lstm": nn.LSTM(5, 5),
    }
    for layer in layers.values():
        initialize_model(layer, InitSpec("orthogonal"), Surroundings(RELU), seed=0)
        for slot in find_slots(layer):
            for block in slot.maps().flatten(2).squeeze(2):
                assert torch.linalg.svdvals(block).allclose(torch.ones(1), atol=1e-5)
    columns = layers["transposed"].get_parameter("weight").detach()[:2].flatten(1)
    assert torch.allclose(columns @ columns.t(), torch.eye(2), atol=1e-5)


def test_padding_of_an_embedding_stays_zero() -> None:
    model = nn.Embedding(10, 4, padding_idx=3)
    initialize_model(model, InitSpec("ones"), Surroundings(RELU), seed=0)
    assert float(model.weight.detach().sum()) == 36
    assert not model.weight[3].any()


def test_a_shared_weight_is_filled_once() -> None:
    alone, twice = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 4))
    twice.append(twice[0])
    for model in (alone, twice):
        report = initialize_model(model, InitSpec("he"), Surroundings(RELU), seed=0)
        assert [row.name for row in report] == ["0.weight", "0.bias"]
    assert torch.equal(linear(alone, 0).weight, linear(twice, 0).weight)


def test_the_layout_in_memory_does_not_count() -> None:
    usual, last = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    for model in (usual, last):
        initialize_model(model, InitSpec("he"), Surroundings(RELU), seed=0)
    assert torch.equal(usual.weight, last.weight)


def test_half_precision_is_drawn_in_single() -> None:
    usual, half = nn.Linear(8, 8), nn.Linear(8, 8).bfloat16()
    for model in (usual, half):
        initialize_model(model, InitSpec("orthogonal"), Surroundings(RELU), seed=0)
    assert torch.equal(usual.weight.bfloat16(), half.weight)


def test_aliases_lead_to_their_scheme() -> None:
    assert find_scheme("he") is find_scheme("he_normal") is find_scheme("kaiming_normal")


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register("he", source="nobody")(lambda _: None)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"init=xaver_normal: .*did you mean xavier_normal"):
        initialize_model(net(2, 2), InitSpec("xaver_normal"), Surroundings(RELU), seed=0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            InitSpec("he_normal", {"gain": "kaimin"}),
            "init.gain=kaimin: expected a positive number or one of kaiming, moment, derivative",
        ),
        (InitSpec("he_normal", {"mode": "fan"}), "init.mode=fan: expected one of fan_in, fan_out, fan_avg"),
        (InitSpec("he_normal", bias="zeros"), "init.bias=zeros: expected a number or torch_default"),
        (InitSpec("normal", {"std": -1.0}), "init.std=-1.0"),
    ],
)
def test_bad_rules_are_refused(spec: InitSpec, message: str) -> None:
    with pytest.raises(UserError, match=message):
        initialize_model(net(2, 2), spec, Surroundings(RELU), seed=0)


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(UserError, match="has no Linear, convolution or other weight"):
        initialize_model(nn.ReLU(), InitSpec("he"), Surroundings(RELU), seed=0)
