"""Laws of the recipes and schemes for transformers: rows for `LAWS` of `test_laws.py`."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import stats
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.models.gpt import GPT
from initlab.models.recurrent import LSTM
from initlab.models.resnet import ResNet
from initlab.models.transformer import TransformerBlock, Wiring, branches_of, skip_multipliers_of
from initlab.models.vision_transformer import VisionTransformer
from tests.initializers.networks import batch_for

Array = np.ndarray[Any, Any]
WIDTH, BLOCKS, WORDS = 128, 3, 64
INNER = ("attention.value", "attention.out", "first", "second")  # what a branch's result is scaled by
ENDS = ("attention.out", "second")


def language(norm: str = "pre", residual: str = "plain") -> Callable[[], nn.Module]:
    """A decoder of three blocks of width 128, in float64."""

    def build() -> nn.Module:
        model = GPT(
            (8,), WORDS, Activation("gelu"), vocabulary=WORDS, every_step=True,
            width=WIDTH, depth=BLOCKS, ratio=2, norm=norm, residual=residual,
        )  # fmt: skip
        return model.double()

    return build


def vision() -> nn.Module:
    """A vision transformer of two blocks of width 128, whose patches hold 64 numbers, in float64."""
    return VisionTransformer((1, 16, 16), WORDS, Activation("gelu"), patch=8, width=WIDTH, depth=2).double()


def fused() -> nn.Module:
    """A block of timm's: query, key and value in one layer; patches by a convolution; and a head, in float64."""
    layers = {
        "patches": nn.Conv2d(1, WIDTH, 8, 8),
        "qkv": nn.Linear(WIDTH, 3 * WIDTH),
        "proj": nn.Linear(WIDTH, WIDTH),
        "head": nn.Linear(WIDTH, WORDS),
    }
    return nn.ModuleDict(layers).double()


def lstm() -> nn.Module:
    """An LSTM cell and an output, in float64."""
    return LSTM((50, 64), 64, width=WIDTH).double()


def convolutional() -> nn.Module:
    """Two blocks with batch norms, in float64."""
    return ResNet((16, 8, 8), 64, Activation("relu"), blocks=(1, 1), width=64).double()


def scaled_as(values: Array, law: Any) -> bool:
    """Whether numbers have the standard deviation of a distribution."""
    return bool(abs(values.std() / law.std() - 1) < 4 / math.sqrt(2 * values.size))


def follows(values: Array, law: Any) -> bool:
    """Whether numbers follow a distribution, in scale and in shape."""
    return scaled_as(values, law) and bool(stats.kstest(values.flatten(), law.cdf).pvalue > 1e-4)


def all_follow(pairs: Iterable[tuple[Array, Any]]) -> bool:
    """Whether each follows its distribution; scales, which are quick to see, come first."""
    known = list(pairs)
    return all(scaled_as(*pair) for pair in known) and all(follows(*pair) for pair in known)


def normal(std: float) -> Any:
    return stats.norm(0, std)


def uniform(bound: float) -> Any:
    return stats.uniform(-bound, 2 * bound)


def cut(std: float, at: float = 2.0) -> Any:
    """The normal law of that standard deviation before it is cut."""
    return stats.truncnorm(-at, at, scale=std)


def weights(model: nn.Module) -> dict[str, Array]:
    """All parameters with more than one dimension, by their layers' names."""
    found = ((name, value.detach().numpy()) for name, value in model.named_parameters() if value.dim() > 1)
    return {name.removesuffix(".weight"): value for name, value in found}


def biases_are(model: nn.Module, value: float = 0.0) -> bool:
    return all(bool((b == value).all()) for name, b in model.named_parameters() if name.endswith("bias"))


def each(law: Callable[[str, int, int], Any]) -> Callable[[nn.Module], bool]:
    """Every weight follows a law that depends on its layer's name and on its fans, and biases are 0."""

    def holds(model: nn.Module) -> bool:
        found = weights(model).items()
        return biases_are(model) and all_follow((value, law(name, *value.shape[:2])) for name, value in found)

    return holds


def ends(name: str) -> bool:
    return name.startswith("blocks") and name.endswith(ENDS)


def inner(name: str) -> bool:
    return name.startswith("blocks") and name.endswith(INNER)


def table(name: str) -> bool:
    return name in ("tokens", "positions")


def glorot_std(out: int, entering: int) -> float:
    return math.sqrt(2 / (out + entering))


def glorot(out: int, entering: int) -> Any:
    return uniform(math.sqrt(6 / (out + entering)))


def torchtitan(name: str, _out: int, _entering: int) -> Any:
    if table(name):
        return normal(1.0)
    if name == "output":
        return cut(1 / math.sqrt(WIDTH), 3.0)
    return normal(0.02 / math.sqrt(2 * (int(name.split(".")[1]) + 1)) if ends(name) else 0.02)


def scaled_glorot(factor: float) -> Callable[[str, int, int], Any]:
    """Xavier's normal law, times a factor in branches."""

    def law(name: str, out: int, entering: int) -> Any:
        return normal(0.02 if table(name) else glorot_std(out, entering) * (factor if inner(name) else 1.0))

    return law


def t_fixup(name: str, out: int, entering: int) -> Any:
    if table(name):
        return normal(1 / math.sqrt(WIDTH) / (9 * BLOCKS) ** 0.25)
    return uniform(math.sqrt(6 / (out + entering)) * (0.67 / BLOCKS**0.25 if inner(name) else 1.0))


def vit_jax(model: nn.Module, *, head_bias: float = 0.0) -> bool:
    """The first logits of all images are the output's biases, so that the loss is ln C where they are equal."""
    known = {name: value.detach().numpy() for name, value in model.named_parameters()}
    patches = cut(1 / 8 / stats.truncnorm(-2, 2).std())
    laws = [
        (value, patches if name == "embedding.weight" else glorot(*value.shape))
        for name, value in known.items()
        if value.ndim > 1 and name != "output.weight"
    ]
    tiny = [(value, normal(1e-6)) for name, value in known.items() if name.endswith(("first.bias", "second.bias"))]
    apart = ("first.bias", "second.bias", "output.bias")
    still = not any(value.any() for name, value in known.items() if name.endswith("bias") and not name.endswith(apart))
    head = not known["output.weight"].any() and bool(np.allclose(known["output.bias"], head_bias, atol=1e-12))
    return still and head and all_follow([*laws, *tiny])


def separate(model: nn.Module) -> bool:
    """Query, key and value of one matrix have the law of three (law 23); the convolution that of a dense layer."""
    found = weights(model)
    parts = np.split(found["qkv"], 3)
    square = all(follows(weight, glorot(WIDTH, WIDTH)) for weight in [*parts, found["proj"]])
    dense = follows(found["patches"], glorot(WIDTH, 64)) and follows(found["head"], glorot(WORDS, WIDTH))
    return square and dense and biases_are(model)


def gates(model: nn.Module) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def remembers(values: Mapping[str, Array]) -> bool:
    """The forget gates' biases are 1, by torch's order of gates, and all others 0."""
    expected = np.repeat([0.0, 1.0, 0.0, 0.0], WIDTH)
    others = [value for name, value in values.items() if name.endswith("bias") and "recurrent" not in name]
    return np.array_equal(values["cells.0.recurrent.bias"], expected) and not any(other.any() for other in others)


def keras_lstm(model: nn.Module) -> bool:
    """Keras: one matrix into all four gates, and one orthogonal one from the state to them."""
    values = gates(model)
    whole = values["cells.0.recurrent.weight"]
    return (
        remembers(values)
        and follows(values["cells.0.input.weight"], glorot(4 * WIDTH, 64))
        and follows(values["output.weight"], glorot(64, WIDTH))
        and bool(np.allclose(whole.T @ whole, np.eye(WIDTH)))
    )


def keras(name: str, out: int, entering: int) -> Any:
    return uniform(0.05) if table(name) else glorot(out, entering)


def lecun(entering: int) -> Any:
    return cut(1 / math.sqrt(entering) / stats.truncnorm(-2, 2).std())


def flax(name: str, _out: int, entering: int) -> Any:
    return normal(1 / math.sqrt(WIDTH)) if table(name) else lecun(entering)


def flax_lstm(model: nn.Module) -> bool:
    values = gates(model)
    parts = np.split(values["cells.0.recurrent.weight"], 4)
    return (
        biases_are(model)
        and all(np.allclose(part.T @ part, np.eye(WIDTH)) for part in parts)
        and follows(values["cells.0.input.weight"], lecun(64))
        and follows(values["output.weight"], lecun(WIDTH))
    )


def haiku(name: str, _out: int, entering: int) -> Any:
    return cut(1.0 if table(name) else 1 / math.sqrt(entering))


def haiku_lstm(model: nn.Module) -> bool:
    values = gates(model)
    found = weights(model).values()
    return remembers(values) and all(follows(value, cut(1 / math.sqrt(value.shape[1]))) for value in found)


def silent(*, base: Callable[[str, int, int], Any], zero: Callable[[str], bool]) -> Callable[[nn.Module], bool]:
    """Some weights are 0, and all others follow the base's law."""

    def holds(model: nn.Module) -> bool:
        found = weights(model).items()
        return not any(value.any() for name, value in found if zero(name)) and all_follow(
            (value, base(name, *value.shape[:2])) for name, value in found if not zero(name)
        )

    return holds


def silent_norms(model: nn.Module) -> bool:
    """Goyal et al.: the scale of each block's last norm is 0, all others 1; weights are He's."""
    norms = ("norm.weight", "projection.1.weight")
    scales = {name: value for name, value in model.named_parameters() if name.endswith(norms)}
    zero = all(bool((value == (0 if "second_norm" in name else 1)).all()) for name, value in scales.items())
    found = weights(model).values()
    he = all_follow((value, normal(math.sqrt(2 / math.prod(value.shape[1:])))) for value in found)
    return zero and he and len(scales) == 6


@cache
def largest_of_a_head() -> float:
    """The sum of the singular values that a head keeps of .7·Z + .7·I; it hardly differs between draws."""
    noise = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)) / math.sqrt(WIDTH)
    squares = np.linalg.eigvalsh((noise + np.eye(WIDTH)) @ (noise + np.eye(WIDTH)).T)
    return float(0.7 * np.sqrt(squares[-WIDTH // 4 :]).sum())


def mimetic(model: nn.Module) -> bool:
    """Law 21 and what goes with it: W_v·W_proj = .4·Z − .4·I, and each head's W_q·W_kᵀ a truncated .7·Z + .7·I."""
    found = weights(model)
    size = WIDTH // 4
    heads = [slice(start, start + size) for start in range(0, WIDTH, size)]
    if not all_follow((value, normal(0.02)) for name, value in found.items() if "attention" not in name):
        return False
    for block in range(2):
        query, key, value, out = (
            found[f"blocks.{block}.attention.{name}"] for name in ("query", "key", "value", "out")
        )
        product = (out @ value).T
        noise = (product + 0.4 * np.eye(WIDTH)) / 0.4
        if abs(np.trace(product) / WIDTH + 0.4) > 4 * 0.4 / WIDTH or not follows(noise, normal(WIDTH**-0.5)):
            return False
        if not np.isclose(np.square(value).sum(), np.square(out).sum()):  # split evenly
            return False
        for rows in heads:  # split evenly: by the same singular values, the largest of such a matrix
            sizes = query[rows] @ query[rows].T
            if not np.allclose(sizes, key[rows] @ key[rows].T) or not np.allclose(sizes, np.diag(np.diag(sizes))):
                return False
            if abs(np.trace(sizes) / largest_of_a_head() - 1) > 0.03:
                return False
    return biases_are(model)


class Steps(nn.Module):
    """Two blocks with a norm after each sum and learned skips, on steps of four rows each, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(64, WIDTH)
        wiring = Wiring(norm="post", residual="admin")
        build = partial(TransformerBlock, WIDTH, 4, 2 * WIDTH, Activation("relu"), 0.0, depth=2, wiring=wiring)
        self.blocks = nn.ModuleList(build() for _ in range(2))
        self.output = nn.Linear(WIDTH, WORDS)
        self.double()

    def residual_branches(self) -> list[list[nn.Module]]:
        return branches_of(self.blocks)

    def skip_multipliers(self) -> list[nn.Module]:
        return skip_multipliers_of(self.blocks)

    def forward(self, rows: Tensor) -> Tensor:
        signal = self.stem(rows).unflatten(0, (-1, 4))
        for block in self.blocks:
            signal = block(signal)
        logits: Tensor = self.output(signal).flatten(0, 1)
        return logits


def admin(model: nn.Module) -> bool:
    """Liu et al.: ω² adds up the variances of the input and of all branches before it; written out in numpy."""
    known = {name: value.detach().numpy() for name, value in model.named_parameters()}

    def layer(name: str, rows: Array) -> Array:
        result: Array = rows @ known[f"{name}.weight"].T + known[f"{name}.bias"]
        return result

    def heads(name: str, signal: Array) -> Array:
        return layer(name, signal).reshape(-1, 4, 4, WIDTH // 4).swapaxes(1, 2)

    def attention(name: str, signal: Array) -> Array:
        query, key, value = (heads(f"{name}.{part}", signal) for part in ("query", "key", "value"))
        scores = np.exp(query @ key.swapaxes(2, 3) / math.sqrt(WIDTH // 4))
        mixed = scores / scores.sum(-1, keepdims=True) @ value
        return layer(f"{name}.out", mixed.swapaxes(1, 2).reshape(signal.shape))

    signal, omega = layer("stem", batch_for(model).inputs.numpy()).reshape(-1, 4, WIDTH), 1.0
    for block in ("blocks.0", "blocks.1"):
        for skip in ("attention_skip", "mlp_skip"):
            if not np.allclose(known[f"{block}.{skip}.factor"], omega, rtol=1e-9):
                return False
            if skip == "attention_skip":
                branch = attention(f"{block}.attention", signal)
            else:
                branch = layer(f"{block}.second", np.maximum(layer(f"{block}.first", signal), 0))
            total = omega * signal + branch
            omega = math.sqrt((omega * signal).var() + branch.var())
            centred = total - total.mean(-1, keepdims=True)
            signal = centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-5)
    return each(lambda _, out, entering: glorot(out, entering))(model)


def he(_name: str, _out: int, entering: int) -> Any:
    return normal(math.sqrt(2 / entering))


def of_gpt2(name: str, _out: int, _entering: int) -> Any:
    return normal(0.02 / math.sqrt(2 * BLOCKS) if ends(name) else 0.02)


D = math.sqrt(2 / (5 * WIDTH))
Row = tuple[dict[str, Any], Callable[[], nn.Module], Callable[[nn.Module], bool]]
LAWS: Mapping[str, list[Row]] = MappingProxyType(
    {
        "gpt2": [
            ({}, language(), each(of_gpt2)),
            ({"std": 0.1}, language("none"), each(lambda name, *_: normal(0.1 / 6**0.5 if ends(name) else 0.1))),
        ],
        "small_init": [({}, language(), each(lambda *_: normal(D)))],
        "wang_init": [
            ({}, language(), each(lambda name, *_: normal(2 / BLOCKS / math.sqrt(WIDTH) if ends(name) else D)))
        ],
        "depth_scaled": [({}, language("rms"), each(torchtitan))],
        "deepnorm": [({}, language("post", "deepnorm"), each(scaled_glorot((8 * BLOCKS) ** -0.25)))],
        "subln": [({}, language("sub"), each(scaled_glorot(math.sqrt(math.log(2 * BLOCKS)))))],
        "t_fixup": [({}, language("none"), each(t_fixup))],
        "vit_timm": [({}, vision, each(lambda *_: normal(0.02)))],
        "vit_jax": [
            ({}, vision, vit_jax),
            ({"head_bias_classes": 20}, vision, lambda model: vit_jax(model, head_bias=-math.log(20))),
        ],
        "moco": [
            ({}, vision, each(lambda _, out, entering: glorot(out, entering))),
            ({}, fused, separate),
        ],
        "keras_default": [({}, language(), each(keras)), ({}, lstm, keras_lstm)],
        "flax_default": [({}, language(), each(flax)), ({}, lstm, flax_lstm)],
        "haiku_default": [({}, language(), each(haiku)), ({}, lstm, haiku_lstm)],
        "zero_branch": [
            ({}, vision, silent(base=he, zero=ends)),
            ({"base": "gpt2"}, language(), silent(base=lambda *_: normal(0.02), zero=ends)),
            ({"what": "norm"}, convolutional, silent_norms),
        ],
        "mimetic": [({}, vision, mimetic)],
        "admin": [({}, Steps, admin)],
    }
)
# Networks on which the schemes work, where the usual chain is none.
NETWORKS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType({name: rows[0][1] for name, rows in LAWS.items()})
