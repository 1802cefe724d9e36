"""Modules of other libraries are the activations that they compute, and looking at them leaves no trace."""

import doctest
import functools
import gc
import importlib
import math
import random
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from initlab.activations import ACTIVATIONS, Activation, activation_of, nonlinearity_of, recognize, register_activation

Function = Callable[[Tensor], Tensor]


class Computes(nn.Module):
    """A function of one's own, as a module."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_the_example_in_its_docstring_runs() -> None:
    assert doctest.testmod(recognize).failed == 0
    assert doctest.testmod(recognize).attempted > 1


@pytest.mark.parametrize("name", sorted(ACTIVATIONS.keys() - {"identity"}))
def test_a_module_of_a_registered_class_is_known_by_it(name: str) -> None:
    module = Activation(name).module()
    known = nonlinearity_of(module)
    assert isinstance(known, Activation)
    assert known.name == name
    points = torch.linspace(-8, 8, 99, dtype=torch.float64)
    torch.testing.assert_close(known.function(points), module.double()(points).detach())


# Each written out by the definition, with other operations than torch's own function where there are any.
WRITTEN_OUT: dict[str, tuple[Function, Activation]] = {
    "relu": (lambda x: x.clamp_min(0), Activation("relu")),
    "in place": (lambda x: x.mul_(x > 0), Activation("relu")),
    "only in single precision": (lambda x: torch.where(x > 0, x, torch.zeros(())), Activation("relu")),
    "through single precision": (lambda x: torch.tanh(x.float()), Activation("tanh")),
    "leaky_relu": (lambda x: torch.maximum(0.2 * x, x), Activation("leaky_relu", {"negative_slope": 0.2})),
    "absolute value": (lambda x: x.abs(), Activation("leaky_relu", {"negative_slope": -1.0})),
    "elu": (lambda x: torch.where(x > 0, x, 0.5 * x.exp() - 0.5), Activation("elu", {"alpha": 0.5})),
    "tanh": (lambda x: 2 / (1 + (-2 * x).exp()) - 1, Activation("tanh")),
    "sigmoid": (lambda x: 0.5 * (torch.tanh(x / 2) + 1), Activation("sigmoid")),
    "swish": (lambda x: x / (1 + (-x).exp()), Activation("silu")),
    "gelu": (lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))), Activation("gelu")),
    "gelu by tanh": (
        lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
        Activation("gelu", {"approximate": "tanh"}),
    ),
    "quick_gelu": (lambda x: x / (1 + (-1.702 * x).exp()), Activation("quick_gelu")),
    "mish": (lambda x: x * torch.tanh((1 + x.exp()).log()), Activation("mish")),
    "softplus": (lambda x: (1 + (2 * x).exp()).log() / 2, Activation("softplus", {"beta": 2.0})),
    "relu6": (lambda x: x.clamp(0, 6), Activation("relu6")),
    "hardswish": (lambda x: x * (x + 3).clamp(0, 6) / 6, Activation("hardswish")),
    "hardsigmoid": (lambda x: (x + 3).clamp(0, 6) / 6, Activation("hardsigmoid")),
    "hardtanh": (lambda x: x.clamp(-0.5, 2), Activation("hardtanh", {"min_val": -0.5, "max_val": 2.0})),
    "squared_relu": (lambda x: x.relu() * x.relu(), Activation("squared_relu")),
    "softsign": (lambda x: x / (1 + x.abs()), Activation("softsign")),
    "selu": (lambda x: 1.0507009873554805 * F.elu(x, 1.6732632423543772), Activation("selu")),
    "sine": (lambda x: torch.cos(x * 3 - math.pi / 2), Activation("sine", {"omega": 3.0})),
}


def test_every_activation_is_written_out() -> None:
    assert {expected.name for _, expected in WRITTEN_OUT.values()} == ACTIVATIONS.keys() - {"identity", "prelu"}


@pytest.mark.parametrize("what", WRITTEN_OUT)
def test_what_computes_the_same_is_the_same(what: str) -> None:
    function, expected = WRITTEN_OUT[what]
    assert activation_of(Computes(function)) == nonlinearity_of(Computes(function)) == expected


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * (x + 2).clamp(0, 2) / 2,  # timm's hard mish
        lambda x: x.clamp(min=-0.05),
        lambda x: torch.where(x > 6, 6 + x * 0, F.silu(x)),  # the same up to 6
        lambda x: F.gelu(x) * 1.001,
        lambda x: x.log(),  # NaN below 0
        lambda x: x.square(),
    ],
)
def test_what_no_registered_activation_computes_is_unknown(function: Function) -> None:
    assert activation_of(Computes(function)) is None
    assert nonlinearity_of(Computes(function)) == "Computes"


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.CELU(1.0), Activation("elu")),
        (nn.Threshold(0.0, 0.0), Activation("relu")),
        (nn.CELU(2.0), "CELU"),
        (nn.RReLU(), "RReLU"),  # leaky only while nothing trains
        (nn.Hardshrink(), "Hardshrink"),
        (nn.LogSigmoid(), "LogSigmoid"),
        (type("Renamed", (nn.PReLU,), {})(3, init=0.1), Activation("prelu", {"init": pytest.approx(0.1)})),
        (type("Squared", (nn.PReLU,), {"forward": lambda self, x: F.prelu(x, self.weight) ** 2})(), "Squared"),
        (type("Renamed", (nn.ReLU,), {})(), Activation("relu")),
        (type("Renamed", (nn.LeakyReLU,), {})(0.3), Activation("leaky_relu", {"negative_slope": 0.3})),
    ],
    ids=str,
)
def test_torchs_own_that_are_not_registered(module: nn.Module, expected: Activation | str) -> None:
    assert nonlinearity_of(module) == expected


class Noise(nn.Module):
    """As dropout of whole rows: something in training, nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.rand(len(x), 1) > 0.5) if self.training else x


class Hiding(nn.Module):
    """Holds a layer where `children` does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [nn.Linear(20, 20)]

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


class Layered(nn.Module):
    """A function, where a layer may stand before it: what is held tells whether it does."""

    def __init__(self, held: nn.Parameter | nn.Module | Tensor) -> None:
        super().__init__()
        if isinstance(held, Tensor) and not isinstance(held, nn.Parameter):
            self.register_buffer("held", held)
        else:
            self.held = held

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


@pytest.mark.parametrize(
    "module",
    [
        nn.Identity(),
        nn.Linear(20, 20),
        nn.Dropout(),
        nn.Softmax(-1),
        nn.GLU(),
        nn.MultiheadAttention(4, 2),
        nn.Flatten(),
        nn.MSELoss(),
        nn.Sequential(nn.ReLU()),
        Noise(),
        Hiding(),
        Layered(nn.Parameter(torch.ones(2, 2))),
        Layered(torch.ones(2, 3)),
        Layered(nn.Linear(2, 2)),
        Computes(lambda x: 0.5 * x + 1),
        Computes(lambda x: x.clamp(-1e4, 1e4)),
        Computes(lambda x: torch.zeros_like(x)),
        Computes(lambda x: x.relu().cumsum(-1)),
        Computes(lambda x: x / x.norm(dim=-1, keepdim=True)),
        Computes(lambda x: x - x.mean(0)),
        Computes(lambda x: x.softmax(0)),
        Computes(lambda x: x.relu().mT),
        Computes(lambda x: x.relu().flatten()),
        Computes(lambda x: x.relu() + torch.randn_like(x)),
        Computes(lambda x: x > 0),
        Computes(lambda x: (x, x)),  # type: ignore[arg-type,return-value]  # what a module may do
        Computes(lambda x: x.reshape(7, 7)),  # raises
        Computes(lambda x, y: x.relu() + y),  # type: ignore[arg-type,misc]
    ],
    ids=str,
)
def test_what_is_no_function_of_each_number(module: nn.Module) -> None:
    assert activation_of(module) in (None, Activation("identity"))
    assert nonlinearity_of(module) is None


class PerChannel(nn.Module):
    """A function of rows and of learned numbers; it counts its calls in a buffer that they move."""

    calls: Tensor

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.linspace(0.5, 2, math.prod(shape)).reshape(shape))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.function(x, self.scale)


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    return x + (alpha * x).sin().square() / alpha


@pytest.mark.parametrize(
    "module",
    [
        PerChannel(snake, 1),
        PerChannel(snake, 1, 7, 1),  # as in DAC
        PerChannel(snake, 7),
        PerChannel(lambda x, slope: F.prelu(x, slope) ** 3, 7),
        PerChannel(lambda x, bound: x.clamp(-bound, bound)).bfloat16(),
        Layered(torch.ones(())),
    ],
)
def test_a_function_with_learned_numbers_is_one_that_is_not_registered(module: nn.Module) -> None:
    assert nonlinearity_of(module) == type(module).__name__
    assert activation_of(module) is None
    assert not any(buffer for name, buffer in module.named_buffers() if name == "calls")
    assert nonlinearity_of(nn.Sequential(module)) is None


@pytest.mark.parametrize(
    "module",
    [
        PerChannel(lambda x, scale: x * scale, 7),
        PerChannel(lambda x, scale: x * x.square().mean(-1, keepdim=True).rsqrt() * scale, 7),
        PerChannel(lambda x, scale: x / x.norm(dim=-1, keepdim=True) * scale, 1),
        PerChannel(lambda x, scale: x / x.norm(dim=1, keepdim=True) * scale, 1, 7, 1),
        PerChannel(lambda x, scale: (x - x.mean((0, 2), keepdim=True)).relu() * scale, 1, 7, 1),
        PerChannel(lambda x, scale: F.silu(x) / x.std() * scale, 1),
        PerChannel(lambda x, weight: F.linear(x, weight).relu(), 7, 7),
        nn.BatchNorm1d(7),
    ],
)
def test_a_norm_or_a_layer_with_learned_numbers_is_no_function_of_each_number(module: nn.Module) -> None:
    assert nonlinearity_of(module) is None


def test_scripted_modules_are_what_they_compute() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        parts = nn.Linear(3, 3), nn.LeakyReLU(0.3), nn.LayerNorm(3), nn.GELU(), nn.Softmax(-1), nn.LogSigmoid()
        scripted = torch.jit.script(nn.Sequential(*parts))
    leaky, gelu = Activation("leaky_relu", {"negative_slope": 0.3}), Activation("gelu")
    assert [nonlinearity_of(part) for part in scripted.children()] == [None, leaky, None, gelu, None, "LogSigmoid"]


class Meddling(nn.Module):
    """Does all that a module can do beside what it computes."""

    everywhere: ClassVar[list[float]] = []

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen, self.mode = 0, [0.0], {"x": [1]}
        self.latest: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(float(x.sum()))
        self.mode["x"].append(2)
        self.latest = x
        self.training = not self.training
        x += torch.rand(()) * 0 + random.random() * 0 + float(np.random.rand()) * 0
        torch.set_grad_enabled(True)
        print("here I am")  # noqa: T201
        warnings.warn("careful", stacklevel=1)
        return x.relu_()


class Uncopied:
    """What refuses to be copied, as a lock does."""

    def __deepcopy__(self, memo: dict[int, object]) -> "Uncopied":
        raise TypeError("there is one of me")


class Leaving(nn.Module):
    """Ends the process that runs it."""

    def forward(self, x: Tensor) -> Tensor:
        sys.exit(len(x))


def test_whatever_a_module_holds_or_does_it_is_no_error() -> None:
    endless: list[object] = []
    endless.append(endless)
    for held in (Uncopied(), endless, threading.Lock(), weakref.ref(nn.ReLU), iter([1])):
        module = Computes(lambda x: x.relu())
        module.held = held  # type: ignore[assignment]
        assert nonlinearity_of(module) in (None, Activation("relu"))
    assert nonlinearity_of(Leaving()) is None
    scaled = Computes(lambda x: x.relu())
    scaled.scale = (torch.ones(1, requires_grad=True) * 2,)  # type: ignore[assignment]  # not a leaf: cannot be copied
    assert nonlinearity_of(scaled) is None


def test_nothing_is_left_of_a_trial(capsys: pytest.CaptureFixture[str]) -> None:
    module, hooked = Meddling().train(), []
    module.register_forward_hook(lambda *_: hooked.append(1))
    module.register_forward_pre_hook(lambda *_: hooked.append(1))
    random.seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    attributes = dict(vars(module))
    assert activation_of(module) == Activation("relu")
    assert {name: value for name, value in vars(module).items() if value is not attributes[name]} == {}
    assert (module.calls, module.seen, module.latest, module.mode) == (0, [0.0], None, {"x": [1]})
    assert module.training
    assert hooked == []
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # type: ignore[index]
    assert torch.is_grad_enabled()
    with torch.no_grad():
        activation_of(Meddling())
        assert not torch.is_grad_enabled()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", [Meddling, functools.partial(Computes, lambda x: x.relu()), Hiding])
def test_no_module_is_kept_alive(kind: Callable[[], nn.Module]) -> None:
    module = kind()
    module.itself = functools.partial(type(module).forward, module)  # type: ignore[assignment]  # one way to hold on
    activation_of(module)
    gone = weakref.ref(module)
    del module
    gc.collect()
    assert gone() is None


def test_no_class_is_kept_alive() -> None:
    kind = type("Passing", (nn.Module,), {"forward": lambda self, x: x.relu()})  # noqa: ARG005
    assert activation_of(kind()) == Activation("relu")
    gone = weakref.ref(kind)
    del kind
    gc.collect()
    assert gone() is None


class Slope(nn.Module):
    """Counts its trials where a trial's copy cannot put it back."""

    trials: ClassVar[list[int]] = []

    def __init__(self, slope: float, act: Function = F.relu) -> None:
        super().__init__()
        self.slope, self.act, self.bound = slope, act, self._scaled

    def _scaled(self, x: Tensor) -> Tensor:
        return self.act(x) - self.slope * F.relu(-x)

    def forward(self, x: Tensor) -> Tensor:
        self.trials.append(1)
        return self.bound(x)


def test_each_class_and_setting_is_tried_once() -> None:
    leaky = Activation("leaky_relu", {"negative_slope": 0.1})
    assert activation_of(Slope(0.1)) == leaky
    tried = len(Slope.trials)
    module = Slope(0.1)
    for _ in range(3):
        assert activation_of(module) == leaky
        assert activation_of(module.eval()) == leaky
    assert len(Slope.trials) == tried
    module.slope = 0.3
    assert activation_of(module) == Activation("leaky_relu", {"negative_slope": 0.3})
    module.slope, module.act = 0, torch.tanh
    assert activation_of(module) == Activation("tanh")
    module.act = functools.partial(F.elu, alpha=0.5)
    assert activation_of(module) == Activation("elu", {"alpha": 0.5})
    module.act = functools.partial(F.elu, alpha=0.25)
    assert activation_of(module) == Activation("elu", {"alpha": 0.25})


def test_functions_made_within_others_are_told_apart() -> None:
    def leaky(slope: float) -> Function:
        return lambda x: torch.maximum(slope * x, x)

    for slope in (0.1, 0.2):
        expected = Activation("leaky_relu", {"negative_slope": slope})
        assert activation_of(Computes(leaky(slope))) == expected


def test_it_makes_no_difference_where_one_asks() -> None:
    """Within torch's function transforms, without gradients, and where new tensors are made elsewhere."""
    module, found = Computes(lambda x: x * torch.sigmoid(x)), []

    def asking(x: Tensor) -> Tensor:
        found.append(activation_of(module))
        return x.sum()

    torch.vmap(asking)(torch.ones(3, 2))
    torch.func.grad(asking)(torch.ones(2))
    torch.vmap(torch.func.grad(asking))(torch.ones(3, 2))
    with torch.inference_mode():
        asking(torch.ones(2))
    with torch.device("meta"):
        asking(torch.ones(2, device="cpu"))
    assert found == [Activation("silu")] * 5


def test_what_is_registered_later_is_recognised_from_then_on() -> None:
    class Bump(nn.Module):
        def __init__(self, width: float = 1.0) -> None:
            super().__init__()
            self.width = width

        def forward(self, z: Tensor) -> Tensor:
            return torch.exp(-((z / self.width) ** 2))

    same = Computes(lambda x: torch.exp(-x * x))
    assert [nonlinearity_of(module) for module in (Bump(), same)] == ["Bump", "Computes"]
    register_activation("bump", Bump)
    assert activation_of(Bump(2.0)) == Activation("bump", {"width": 2.0})
    assert activation_of(same) == Activation("bump")


TRANSFORMERS = {
    "gelu": Activation("gelu"),
    "gelu_10": Activation("gelu"),  # clipped far out
    "gelu_fast": Activation("gelu_tanh"),
    "gelu_new": Activation("gelu_tanh"),
    "gelu_python": Activation("gelu"),
    "gelu_pytorch_tanh": Activation("gelu_tanh"),
    "gelu_accurate": Activation("gelu_tanh"),
    "laplace": "LaplaceActivation",
    "leaky_relu": Activation("leaky_relu"),
    "linear": None,
    "mish": Activation("mish"),
    "quick_gelu": Activation("quick_gelu"),
    "relu": Activation("relu"),
    "relu2": Activation("squared_relu"),
    "relu6": Activation("relu6"),
    "sigmoid": Activation("sigmoid"),
    "silu": Activation("silu"),
    "swish": Activation("silu"),
    "tanh": Activation("tanh"),
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_classes_of_transformers(name: str) -> None:
    activations = pytest.importorskip("transformers.activations")
    assert nonlinearity_of(activations.ACT2FN[name]) == TRANSFORMERS[name]


def test_a_gelu_that_is_clipped_close_by_is_none() -> None:
    activations = pytest.importorskip("transformers.activations")
    assert nonlinearity_of(activations.ClippedGELUActivation(-0.1, 1.0)) == "ClippedGELUActivation"


def test_functions_of_the_libraries_that_learn() -> None:
    activations = pytest.importorskip("transformers.activations")
    dac = pytest.importorskip("transformers.models.dac.modeling_dac")
    timm = pytest.importorskip("timm.layers.activations")
    assert nonlinearity_of(activations.XIELUActivation()) == "XIELUActivation"
    assert nonlinearity_of(dac.Snake1d(8)) == "Snake1d"
    assert nonlinearity_of(timm.PReLU()) == Activation("prelu")
    assert nonlinearity_of(timm.PReLU(5).bfloat16()) == Activation("prelu")


TIMM = {
    "Swish": Activation("silu"),
    "Mish": Activation("mish"),
    "Sigmoid": Activation("sigmoid"),
    "Tanh": Activation("tanh"),
    "HardSwish": Activation("hardswish"),
    "HardSigmoid": Activation("hardsigmoid"),
    "HardMish": "HardMish",
    "GELU": Activation("gelu"),
    "GELUTanh": Activation("gelu_tanh"),
    "QuickGELU": Activation("quick_gelu"),
    "SwishMe": Activation("silu"),
    "HardSwishMe": Activation("hardswish"),
    "DropPath": None,
}


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("name", TIMM)
def test_the_classes_of_timm(name: str, inplace: bool) -> None:
    pytest.importorskip("timm")
    places = ("timm.layers.activations", "timm.layers.activations_me", "timm.layers.drop")
    (kind,) = (vars(module)[name] for module in map(importlib.import_module, places) if name in vars(module))
    settings: dict[str, Any] = {"drop_prob": 0.5} if name == "DropPath" else {"inplace": inplace}
    assert nonlinearity_of(kind(**settings)) == TIMM[name]


@pytest.mark.slow
def test_it_imports_no_other_library() -> None:
    """They are recognised by what they compute, not by their names; and to initialize a network takes torch alone."""
    code = (
        "import sys, initlab; initlab.initialize; import initlab.activations; "
        "print({'timm', 'transformers', 'torchvision', 'scipy', 'pandas', 'lightning'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"
