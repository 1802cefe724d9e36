"""What other libraries call the things that a configuration names, answered with our names."""

from collections.abc import Mapping
from types import MappingProxyType

# Values, by their group.
VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "init": {
            "kaiming": "kaiming_normal or kaiming_uniform, which are he_normal and he_uniform",
            "msra": "he_normal",
            "glorot": "glorot_normal or glorot_uniform",
            "default": "torch_default",
            "truncated_normal": "trunc_normal",
            "eye": "identity",
        },
        "activation": {
            "leakyrelu": "leaky_relu",
            "lrelu": "leaky_relu",
            "linear": "identity",
            "none": "identity",
            "siren": "sine",
            "sin": "sine",
            "hard_swish": "hardswish",
            "hard_sigmoid": "hardsigmoid",
            "gelu_new": "gelu_tanh",
            "relu_squared": "squared_relu",
        },
    }
)
LEAKY = "activation=leaky_relu activation.negative_slope={value}"
# Keys, wherever they are typed: `nonlinearity=…` or `init.nonlinearity=…`.
KEYS: Mapping[str, str] = MappingProxyType(
    {
        "nonlinearity": "activation={value}, and with init.gain=kaiming torch's gain for it",
        "a": f"{LEAKY}, and with init.gain=kaiming torch's gain for it",
        "negative_slope": LEAKY,
        "lr": "optim.lr={value}",
        "learning_rate": "optim.lr={value}",
        "weight_decay": "optim.weight_decay={value}",
        "momentum": "optim.momentum={value}",
        "optimizer": "optim={value}",
        "epochs": "trainer.max_epochs={value}",
        "max_epochs": "trainer.max_epochs={value}",
        "bs": "batch_size={value}",
        "dataset": "data={value}",
        "network": "model={value}",
        "initializer": "init={value}",
        "std": "init=normal init.std={value}",
        "gain": "init.gain={value}",
    }
)
# Arguments of the initializers of torch, Keras and JAX, by ours.
WITHIN = "init.bound, as all weights lie within ±bound"
CUT = "init.cut, in standard deviations"
MEAN = "always 0"
OF_SCHEMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "uniform": dict.fromkeys(("a", "b", "low", "high", "minval", "maxval", "scale"), WITHIN),
        "normal": {"mean": MEAN, "stddev": "init.std={value}"},
        "trunc_normal": {"mean": MEAN, "stddev": "init.std={value}", "a": CUT, "b": CUT, "lower": CUT, "upper": CUT},
        "constant": {"val": "init.value={value}"},
    }
)


def our_value(group: str, value: str) -> str | None:
    """What we call something that another library calls `value`; None if we know of none.

    Example:
        >>> our_value("activation", "lrelu"), our_value("init", "xavier_normal_")
        ('leaky_relu', 'xavier_normal')

    Args:
        group: Where it stands: `"init"` or `"activation"`.
        value: What was typed; capitals and the underscore at the end of torch's in-place functions do not matter.
    """
    plain = value.lower().rstrip("_")
    found = VALUES.get(group, {}).get(plain)
    return found or (plain if plain != value and plain else None)


def our_key(key: str, value: str, *, scheme: str = "") -> str | None:
    """How to say here what was typed as `key=value`; None if nothing is known.

    Example:
        >>> our_key("epochs", "5"), our_key("init.val", "0.1", scheme="constant")
        ('trainer.max_epochs=5', 'init.value=0.1')

    Args:
        key: With or without its group.
        value: What was typed for it.
        scheme: The initializer whose key it was meant to be, if it was.
    """
    name = key.rpartition(".")[2]
    found = OF_SCHEMES.get(scheme, {}).get(name) or KEYS.get(name)
    return None if found is None or found.startswith(f"{key}=") else found.format(value=value)
