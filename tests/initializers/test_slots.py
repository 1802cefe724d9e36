"""Which weights a network has, how they are read, and their fans against the connections that a layer really has."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from initlab.base.errors import UserError
from initlab.initializers.fans import Fan
from initlab.initializers.slots import Slot, fan_of_layer, find_slots

LAYERS = [
    (nn.Linear(7, 5), (7,)),
    (nn.Conv1d(4, 6, 3), (4, 5)),
    (nn.Conv2d(8, 8, 3, groups=8), (8, 5, 5)),
    (nn.Conv2d(8, 12, (3, 5), groups=4), (8, 5, 9)),
    (nn.Conv3d(2, 3, 2), (2, 3, 3, 3)),
    (nn.ConvTranspose2d(8, 16, 3), (8, 5, 5)),
    (nn.ConvTranspose1d(6, 4, 5, groups=2), (6, 9)),
    (nn.ConvTranspose3d(4, 6, 2, groups=2), (4, 3, 3, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_fans_count_the_connections(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Inputs that move the most connected output, and outputs that the most connected input moves."""
    layer = layer.double()
    inputs = torch.randn(1, *shape, dtype=torch.float64)
    links = jacobian(layer, inputs).reshape(layer(inputs).numel(), -1) != 0
    assert fan_of_layer(layer) == Fan(int(links.sum(1).max()), int(links.sum(0).max()))


def channel_links(layer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Which input channel moves which output channel, shape (out, in)."""
    output = layer(inputs)
    links = jacobian(layer, inputs).reshape(output.shape[1], -1, inputs.shape[1], inputs[0, 0].numel())
    moved: torch.Tensor = (links != 0).any(3).any(1)
    return moved


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_maps_are_the_linear_maps_that_the_layer_computes(layer: nn.Module, shape: tuple[int, ...]) -> None:
    """Where only one map is left, only its group's inputs move its group's outputs."""
    layer = layer.double()
    (slot,) = find_slots(layer)
    maps, weight = slot.maps(), layer.get_parameter("weight")
    assert maps.data_ptr() == weight.data_ptr()
    for number in range(slot.blocks):
        with torch.no_grad():
            weight.zero_()
            slot.maps()[number] = 1.0
        inputs = torch.randn(1, *shape, dtype=torch.float64)
        moved = channel_links(layer, inputs)
        out, entering = maps.shape[1:3]
        expected = torch.zeros_like(moved)
        expected[number * out : (number + 1) * out, number * entering : (number + 1) * entering] = True
        assert torch.equal(moved, expected)


def test_torchs_own_fans_differ_where_the_shape_misleads() -> None:
    assert fan_of_layer(nn.ConvTranspose2d(8, 16, 3)) == Fan(72, 144)
    assert nn.init._calculate_fan_in_and_fan_out(nn.ConvTranspose2d(8, 16, 3).weight) == (144, 72)


def slots_by_name(model: nn.Module) -> dict[str, Slot]:
    return {slot.name: slot for slot in find_slots(model)}


def test_attention_holds_three_projections_in_one_weight() -> None:
    slots = slots_by_name(nn.MultiheadAttention(8, 2))
    assert {name: (slot.blocks, slot.fan) for name, slot in slots.items()} == {
        "in_proj_weight": (3, Fan(8, 8)),
        "out_proj.weight": (1, Fan(8, 8)),
    }
    assert slots["in_proj_weight"].bias_name == "in_proj_bias"
    apart = slots_by_name(nn.MultiheadAttention(8, 2, kdim=5, vdim=7))
    assert {name: slot.fan for name, slot in apart.items()} == {
        "q_proj_weight": Fan(8, 8),
        "k_proj_weight": Fan(5, 8),
        "v_proj_weight": Fan(7, 8),
        "out_proj.weight": Fan(8, 8),
    }


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_hold_a_map_for_each_gate(kind: Callable[..., nn.RNNBase], gates: int) -> None:
    slots = slots_by_name(kind(5, 6, num_layers=2, bidirectional=True))
    assert len(slots) == 8
    assert all(slot.blocks == gates for slot in slots.values())
    assert slots["weight_ih_l0"].fan == Fan(5, 6)
    assert slots["weight_hh_l0"].fan == Fan(6, 6)
    assert slots["weight_ih_l1_reverse"].fan == Fan(12, 6)
    assert slots["weight_ih_l1_reverse"].bias_name == "bias_ih_l1_reverse"


def test_a_projection_of_an_lstm_is_one_map() -> None:
    assert slots_by_name(nn.LSTM(5, 6, proj_size=3))["weight_hr_l0"].fan == Fan(6, 3)


def test_an_embedding_adds_up_one_row_at_a_time() -> None:
    (slot,) = find_slots(nn.Embedding(100, 16))
    assert slot.fan == Fan(1, 16)
    assert tuple(slot.maps().shape) == (1, 16, 100)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.hidden = nn.Linear(8, 8)
        self.again = self.hidden
        self.output = nn.Linear(8, 20)
        self.output.weight = self.embedding.weight


def test_tied_weights_are_listed_once_and_for_their_outputs() -> None:
    slots = slots_by_name(Tied())
    assert list(slots) == ["hidden.weight", "output.weight"]  # whose place is that of the output layer
    assert slots["output.weight"].fan == Fan(8, 20)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.LazyLinear(3), "weight: a lazy parameter has no shape yet; send one batch through the model first"),
        (
            nn.Sequential(nn.Linear(2, 2, device="meta")),
            r"0.weight: a parameter on the meta device holds no numbers; call model.to_empty",
        ),
        (nn.Sequential(nn.Linear(2, 2), nn.LazyBatchNorm1d()), r"1.weight: a lazy parameter"),
    ],
)
def test_weights_that_cannot_be_filled_are_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_slots(model)


def test_layers_without_a_weight_have_no_fans() -> None:
    with pytest.raises(UserError, match="LayerNorm has no weights with fans"):
        fan_of_layer(nn.LayerNorm(3))
