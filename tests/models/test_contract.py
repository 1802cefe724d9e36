"""What the program relies on, for every network that `conf/model` names."""

import inspect
from collections.abc import Callable
from typing import Any, Protocol

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.cohort.engines import choose_engine, has_convolutions
from initlab.config.calls import import_target
from initlab.config.files import CONF
from initlab.config.names import UNSET_OF
from initlab.data.module import InMemoryData
from initlab.modules.stack import stack_members
from tests.cohort.test_members import plain_training, state_of
from tests.helpers import make_job, train
from tests.models.helpers import scramble

WALKS = ("data=function", "data.call=tests.models.helpers.walks")
SHAPES = ((13,), (1, 8, 8), (1, 28, 28), (3, 32, 32))
# A small one of each, with what it has to offer.
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"depth": 2, "width": 8, "norm": "layer"},
    "residual_mlp": {"depth": 2, "width": 8, "norm": "layer", "scalars": True},
    "cnn": {"channels": [4, 4], "dense": 8, "padding": 1},
    "plain_cnn": {"depth": 4, "width": 4},
    "resnet": {"blocks": [1, 2], "width": 4},
    "vit": {"patch": 4, "width": 8, "depth": 2, "heads": 2},
    "rnn": {"width": 6, "depth": 2},
    "lstm": {"width": 6, "depth": 2},
    "gru": {"width": 6, "depth": 2},
    "gpt": {"width": 8, "depth": 2, "heads": 2},
}
RECURRENT = ("rnn", "lstm", "gru")
STEPWISE = (*RECURRENT, "gpt")
RESIDUAL = ("residual_mlp", "resnet", "vit", "gpt")


class Residual(Protocol):
    """A network that names its residual branches."""

    def residual_branches(self) -> list[list[nn.Module]]: ...


def branches_of(model: nn.Module) -> list[list[nn.Module]]:
    residual: Residual = model  # type: ignore[assignment]  # a module's attributes may be tensors, to mypy
    return residual.residual_branches()


def class_of(name: str) -> Callable[..., nn.Module]:
    path = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())["_target_"]
    return import_target(path, where="model")


def build(name: str, shape: tuple[int, ...], activation: str = "tanh") -> nn.Module:
    given = {"activation": Activation(activation)} if takes_activation(name) else {}
    return class_of(name)(shape, 5, **given, **SMALL[name])


def takes_activation(name: str) -> bool:
    return "activation" in inspect.signature(class_of(name)).parameters


def shapes_of(name: str) -> tuple[tuple[int, ...], ...]:
    if name in STEPWISE:
        return ((1, 2), (7, 3))
    return SHAPES if "mlp" in name else SHAPES[1:]


def weights_called(model: nn.Module, inputs: Tensor) -> list[nn.Module]:
    """Layers with weights in the order they act."""
    called: list[nn.Module] = []
    hooks = [
        layer.register_forward_hook(lambda layer, *_: called.append(layer))
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
    ]
    model(inputs)
    for hook in hooks:
        hook.remove()
    return called


def test_every_network_is_here() -> None:
    assert {path.stem for path in (CONF / "model").glob("*.yaml")} == set(SMALL)
    assert {name for name in SMALL if hasattr(class_of(name), "residual_branches")} == set(RESIDUAL)


@pytest.mark.parametrize("name", SMALL)
def test_its_conf_composes_sets_every_argument_and_builds(name: str) -> None:
    data = WALKS if name in STEPWISE else ("data=digits",)
    job = make_job(*data, f"model={name}", "activation=gelu")
    parameters = inspect.signature(class_of(name)).parameters.values()
    own = {parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    for told in ("vocabulary", "every_step"):  # by the data
        assert (told in own) == (name in STEPWISE)
        own.pop(told, None)
    unset = UNSET_OF.get(("model", "_target_", job.config.model["_target_"]), {})  # keys that came later
    assert {*job.config.model, *unset} == {"name", "_target_", "out_features", *own}
    assert job.config.model["name"] == name
    assert job.network.build()(torch.zeros(2, *job.dataset.input_shape)).shape == (2, job.dataset.outputs)
    mnist = make_job("data=mnist", f"model={name}").config.model
    for key, default in own.items():  # a data set may have its own, but the conf's are those of the class
        assert {**unset, **mnist}[key] == (list(default) if isinstance(default, tuple) else default), key


@pytest.mark.parametrize("name", SMALL)
def test_a_row_of_numbers_is_no_image(name: str) -> None:
    job = make_job("data=wine", f"model={name}")
    if "mlp" in name:
        assert job.network.build()(torch.zeros(2, 13)).shape == (2, 3)
    else:
        with pytest.raises(UserError, match=rf"model={name} needs (images|sequences) .* use model=mlp"):
            job.network.build()


@pytest.mark.parametrize("name", SMALL)
def test_shapes_and_the_output_layer(name: str) -> None:
    for shape in shapes_of(name):
        model = build(name, shape)
        logits = model(torch.randn(3, *shape))
        assert logits.shape == (3, 5)
        assert logits.isfinite().all()
        assert next(reversed(dict(model.named_children()))) == "output"
        assert weights_called(model, torch.randn(3, *shape))[-1] is model.output
        assert isinstance(model.output, nn.Linear)


@pytest.mark.parametrize("name", [name for name in SMALL if takes_activation(name)])
def test_each_activation_is_a_module_of_its_own(name: str) -> None:
    """Nothing is applied by a function, and no module stands in two places: it is seen once a pass, or once a step."""
    shape = shapes_of(name)[-1]
    model = build(name, shape, "prelu")
    calls: dict[nn.Module, int] = {}
    for layer in model.modules():
        assert not isinstance(layer, nn.ReLU | nn.GELU | nn.Tanh)
        if isinstance(layer, nn.PReLU):
            calls[layer] = 0
            layer.register_forward_hook(lambda layer, *_: calls.update({layer: calls[layer] + 1}))
    model(torch.randn(3, *shape))
    expected = {"mlp": 2, "residual_mlp": 5, "cnn": 3, "plain_cnn": 4, "resnet": 7, "vit": 2, "rnn": 2, "gpt": 2}
    assert list(calls.values()) == [shape[0] if name in RECURRENT else 1] * expected[name]


@pytest.mark.parametrize("name", SMALL)
def test_every_layer_learns(name: str) -> None:
    shape = shapes_of(name)[-1]
    model = build(name, shape)
    F.cross_entropy(model(torch.randn(8, *shape)), torch.arange(8) % 5).backward()
    for key, parameter in model.named_parameters():
        if "key.bias" not in key:  # it shifts all scores of a query alike, and softmax does not see it
            assert parameter.grad is not None, key
            assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_branches_are_complete_and_in_order(name: str) -> None:
    """With its last layer at zero no other weight of a branch matters; autograd says which weights these are."""
    shape = shapes_of(name)[-1]
    model = build(name, shape).double()
    scramble(model)
    branches = branches_of(model)
    inputs = torch.randn(3, *shape, dtype=torch.float64)
    before = model(inputs)
    with torch.no_grad():
        for branch in branches:
            branch[-1].get_parameter("weight").zero_()
    silent = model(inputs)
    assert not torch.allclose(silent, before)
    F.cross_entropy(silent, torch.arange(3)).backward()
    idle = {
        layer
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and (layer.weight.grad is None or not layer.weight.grad.any())
    }
    # Queries and keys only choose which tokens a branch mixes.
    choosing = {layer for key, layer in model.named_modules() if key.endswith((".query", ".key"))}
    assert idle == {layer for branch in branches for layer in branch[:-1]} | choosing
    with torch.no_grad():
        for layer in idle:
            layer.get_parameter("weight").normal_()
    torch.testing.assert_close(model(inputs), silent)
    listed = [layer for branch in branches for layer in branch]
    assert [layer for layer in weights_called(model, inputs) if layer in listed] == listed


def test_one_branch_a_block_and_two_a_transformer_block() -> None:
    shapes = {name: shapes_of(name)[-1] for name in RESIDUAL}
    lengths = {name: [len(branch) for branch in branches_of(build(name, shape))] for name, shape in shapes.items()}
    assert lengths == {"residual_mlp": [2, 2], "resnet": [2, 2, 2], "vit": [2, 2, 2, 2], "gpt": [2, 2, 2, 2]}


@pytest.mark.parametrize("name", SMALL)
def test_vmap_traces_it_without_a_warning(name: str) -> None:
    shape = shapes_of(name)[-1]
    models = [build(name, shape) for _ in range(2)]
    stack, sample = stack_members(models), torch.randn(3, *shape)
    assert choose_engine("vmap", stack, sample) == "vmap"
    assert choose_engine("auto", stack, sample) == ("loop" if has_convolutions(models[0]) else "vmap")


@pytest.mark.parametrize(
    ("overrides", "engine"),
    [
        (("model=residual_mlp", "model.depth=3", "model.width=8", "model.scalars=true", "model.norm=layer"), "vmap"),
        (("data=digits", "model=vit", "model.width=8", "model.depth=1", "model.heads=2"), "vmap"),
        (("data=digits", "model=plain_cnn", "model.width=4", "model.depth=4"), "loop"),
        (("data=digits", "model=resnet", "model.width=4", "model.blocks=[1,1]"), "loop"),
        (("data=digits", "model=resnet", "model.width=4", "model.norm=none", "model.scalars=true"), "loop"),
        ((*WALKS, "model=rnn", "model.width=4", "model.depth=2"), "vmap"),
        ((*WALKS, "model=lstm", "model.width=4"), "vmap"),
        ((*WALKS, "model=gru", "model.width=4"), "vmap"),
        ((*WALKS, "model=gpt", "model.width=8", "model.depth=1", "model.residual=layerscale"), "vmap"),
    ],
    ids=["residual_mlp", "vit", "plain_cnn", "resnet", "resnet with scalars", *STEPWISE],
)
def test_a_member_equals_the_network_trained_alone(overrides: tuple[str, ...], engine: str) -> None:
    settings = ("activation=tanh", "optim=momentum", "optim.lr=0.01", "seeds=3", "trainer.max_epochs=1")
    job = make_job(*overrides, *settings, "trainer.accelerator=cpu")
    module = train(job, threads=2)
    assert module.engine_name == engine
    assert module.history[-1].values["loss"].isfinite().all()
    data = InMemoryData(job.dataset, batch_size=job.config.batch_size, seeds=list(job.seeds))
    for place in (0, 2):
        start = dict(job.build_member(job.members()[place]).named_parameters())
        alone = plain_training(job, job.members()[place], lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9), data)
        for name, value in {**dict(alone.named_parameters()), **dict(alone.named_buffers())}.items():
            trained = state_of(module, place)[name]
            torch.testing.assert_close(trained, value.detach(), rtol=2e-3, atol=2e-5)
            if name.endswith("weight"):
                assert not torch.equal(trained, start[name]), name  # it did learn
