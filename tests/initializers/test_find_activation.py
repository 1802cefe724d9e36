"""The activation of networks that people bring: found where there is one, and not guessed where there are several."""

import doctest
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import initlab
from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers import find_activation as module_with_examples
from initlab.initializers.find_activation import find_activation, required_activation


class Gated(nn.Module):
    """A product of two layers, one of them after an activation: SwiGLU, where that is SiLU."""

    def __init__(self, act_fn: nn.Module) -> None:
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 4)
        self.act_fn = act_fn

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.down(self.act_fn(self.gate(x)) * self.up(x))
        return output


class Keeping(nn.Module):
    """Keeps a function of torch and calls it."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(4, 4), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x))


def test_the_examples_in_its_docstring_run() -> None:
    assert doctest.testmod(module_with_examples).failed == 0
    assert doctest.testmod(module_with_examples).attempted > 1


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.3), nn.LeakyReLU(0.3)), ("leaky_relu", {"negative_slope": 0.3})),
        (nn.Sequential(nn.GELU(approximate="tanh"), nn.Identity()), ("gelu", {"approximate": "tanh"})),
        (nn.Sequential(nn.ReLU(inplace=True)), ("relu", {})),
        (nn.Sequential(nn.ReLU(), nn.Dropout(), nn.MaxPool1d(2), nn.Linear(2, 2), nn.Softmax(-1)), ("relu", {})),
        (nn.Sequential(nn.Hardswish(), nn.BatchNorm1d(3)), ("hardswish", {})),
        (Gated(nn.SiLU()), ("silu", {})),
        (nn.Sequential(Gated(nn.SiLU()), nn.MultiheadAttention(4, 2), nn.LogSoftmax(-1)), ("silu", {})),
        (nn.RNN(4, 4, nonlinearity="relu"), ("relu", {})),
        (nn.TransformerEncoderLayer(4, 2, 8, activation="gelu"), ("gelu", {})),
        (nn.Transformer(4, 2, 1, 1, 8, batch_first=True), ("relu", {})),
        (Keeping(torch.tanh), ("tanh", {})),
        (nn.Sequential(nn.GELU(), Keeping(F.gelu)), ("gelu", {})),
        (nn.Sequential(nn.LeakyReLU(), Keeping(F.leaky_relu)), ("leaky_relu", {})),
        (nn.Sequential(nn.ReLU(), nn.Tanh()), None),
        (nn.Sequential(nn.LeakyReLU(0.3), nn.LeakyReLU(0.2)), None),
        (nn.Sequential(nn.GELU(), nn.GELU(approximate="tanh")), None),
        (nn.Sequential(nn.ReLU(), nn.Hardshrink()), None),
        (nn.Sequential(nn.Hardshrink()), None),
        (nn.Sequential(nn.ReLU(), nn.GLU()), None),
        (nn.Sequential(nn.LSTM(4, 4), nn.ReLU()), None),
        (nn.Sequential(nn.RNN(4, 4), nn.ReLU()), None),
        (nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, activation="relu"), nn.GELU()), None),
        (nn.Sequential(Keeping(F.gelu), nn.Linear(4, 4), nn.ReLU()), None),
        (nn.Linear(2, 2), None),
    ],
)
def test_the_activation_is_found_where_there_is_one(
    model: nn.Module, expected: tuple[str, dict[str, object]] | None
) -> None:
    found = find_activation(model)
    assert (found and (found.name, dict(found.parameters))) == expected


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Linear(2, 2), "x depends on the activation: name it, e.g. activation='relu'"),
        (
            nn.Sequential(*[nn.Hardswish()] * 2, nn.Tanh(), nn.Hardswish(), nn.Hardswish()),
            "x depends on the activation, found hardswish in 3 and tanh in 1 module: name it, e.g. "
            "activation='hardswish'",
        ),
        (
            nn.Sequential(nn.Hardshrink(), nn.Hardshrink(), nn.GLU(), nn.ReLU()),
            "x depends on the activation, found Hardshrink in 2, GLU in 1 and relu in 1 module: name it, e.g. "
            "activation='relu'",
        ),
        (
            nn.Sequential(nn.LeakyReLU(0.2), nn.LeakyReLU(0.3), nn.LeakyReLU(0.3)),
            "x depends on the activation, found leaky_relu with negative_slope=0.3 in 2 and leaky_relu with "
            "negative_slope=0.2 in 1 module: name it, e.g. activation='leaky_relu'",
        ),
        (
            nn.Sequential(nn.Hardshrink(), nn.Hardshrink()),
            "x depends on the activation, found Hardshrink in 2 modules: name it, e.g. activation='relu'",
        ),
    ],
)
def test_the_kinds_that_were_found_are_said(model: nn.Module, said: str) -> None:
    with pytest.raises(UserError) as refused:
        required_activation(None, "x", model)
    assert str(refused.value) == said
    assert required_activation(Activation("elu"), "x", model) == Activation("elu")


@pytest.mark.parametrize(("scheme", "parameters"), [("he", {"gain": "moment"}), ("mean_field", {}), ("siren", {})])
def test_what_depends_on_an_activation_takes_no_half_of_a_network_for_the_whole(
    scheme: str, parameters: dict[str, Any]
) -> None:
    """MobileNetV3 has three kinds: it passed for a network of ReLU, when Hardswish was not known."""
    model = torchvision.models.mobilenet_v3_small(num_classes=4)
    with pytest.raises(UserError) as refused:
        initlab.initialize(model, scheme, seed=0, **parameters)
    assert str(refused.value).endswith(
        "depends on the activation, found hardswish in 19, relu in 14 and hardsigmoid in 9 modules: name it, e.g. "
        "activation='hardswish'"
    )
    report = initlab.initialize(model, "he", gain="moment", activation="hardswish", seed=0)
    assert report["features.0.0.weight"].gain == pytest.approx(1.73666, abs=1e-5)


def test_an_activation_that_learns_is_not_passed_over() -> None:
    """DAC has Snake in every block and one tanh at its end: it passed for a network of tanh."""
    dac = pytest.importorskip("transformers.models.dac.modeling_dac")
    model = nn.Sequential(nn.Conv1d(2, 4, 3), dac.Snake1d(4), nn.Conv1d(4, 4, 3), dac.Snake1d(4), nn.Tanh())
    with pytest.raises(UserError, match=r"found Snake1d in 2 and tanh in 1 module: name it"):
        initlab.initialize(model, "mean_field", seed=0)


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}


def test_networks_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    bert = transformers.BertModel(transformers.BertConfig(**SIZES))
    assert find_activation(bert) is None
    with pytest.raises(UserError, match=r"found gelu in 1 and tanh in 1 module: name it, e.g. activation='gelu'"):
        initlab.initialize(bert, "he", gain="moment", seed=0)
    bare = transformers.BertModel(transformers.BertConfig(**SIZES), add_pooling_layer=False)
    assert find_activation(bare) == Activation("gelu")
    segformer = transformers.SegformerConfig(
        depths=[1] * 4, hidden_sizes=[8] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8
    )
    assert find_activation(transformers.SegformerModel(segformer)) == Activation("gelu")
    assert find_activation(transformers.SegformerForSemanticSegmentation(segformer)) is None
    llama = transformers.LlamaConfig(**SIZES, num_key_value_heads=2)
    assert find_activation(transformers.LlamaModel(llama)) == Activation("silu")
    gpt2 = transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)
    assert find_activation(transformers.GPT2Model(gpt2)) == Activation("gelu", {"approximate": "tanh"})
    clip = transformers.CLIPTextConfig(**SIZES, projection_dim=8)
    assert find_activation(transformers.CLIPTextModel(clip)) == Activation("quick_gelu")


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("vit_tiny_patch16_224", {"depth": 1, "drop_path_rate": 0.1}, Activation("gelu")),
        ("resnet10t", {}, Activation("relu")),
        ("mixer_s32_224", {}, Activation("gelu")),
        ("efficientnet_b0", {}, None),  # the gates of its squeeze-and-excitation are sigmoids
        ("mobilenetv3_small_050", {}, None),
    ],
)
def test_networks_of_timm(name: str, settings: dict[str, float], expected: Activation | None) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model(name, pretrained=False, num_classes=4, **settings)
    assert find_activation(model) == expected
    if name == "efficientnet_b0":
        with pytest.raises(
            UserError, match=r"found silu in 49 and sigmoid in 16 modules: name it, e.g. activation='silu"
        ):
            required_activation(None, "x", model)


def test_a_network_is_as_it_was_after_its_activation_was_looked_for() -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model("efficientnet_b0", pretrained=False, num_classes=4).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    find_activation(model)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
