"""The activation of a network that somebody brings: what all of its nonlinearities are, if they are of one kind."""

from collections import Counter
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from torch import nn

from initlab.activations import TORCH_FUNCTIONS, Activation, nonlinearity_of
from initlab.base.errors import UserError

# Nonlinear within, by more than one function: no activation stands for them.
GATED: Final = (nn.GLU, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell)


def find_activation(model: nn.Module) -> Activation | None:
    """The activation of a network, where all its nonlinearities are of one registered kind and setting; else None.

    Modules of other libraries are recognised by what they compute. A nonlinearity that is not registered counts as a
    kind of its own: what is unknown is not guessed from what is known. Softmax and attention do not count.

    Example:
        >>> find_activation(nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 3)))
        Activation(name='leaky_relu', parameters={'negative_slope': 0.2})
        >>> find_activation(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Tanh()))

    Args:
        model: Any network; activations that it calls as functions, as in `F.relu`, are not seen, unless it keeps the
            function as an attribute.
    """
    counts = _nonlinearities(model)
    if len(counts) != 1:
        return None
    (name, parameters) = next(iter(counts))
    return None if parameters is None else Activation(name, dict(parameters))


def required_activation(activation: Activation | None, where: str, model: nn.Module) -> Activation:
    """The activation, for a rule that depends on it.

    Args:
        activation: What is known of the network; None for nothing.
        where: The rule that asks, for the message, e.g. `"init.gain=moment"`.
        model: The network; the message says what was found in it.

    Raises:
        UserError: the activation is not known; the message says how to name it.
    """
    if activation is not None:
        return activation
    counts = _nonlinearities(model)
    example = next((name for (name, parameters), _ in counts.most_common() if parameters is not None), "relu")
    found = f", found {_listed(counts)}" if counts else ""
    raise UserError(f"{where} depends on the activation{found}: name it, e.g. activation='{example}'")


# The name of an activation and its parameters; None in their place where it is not registered.
_Kind = tuple[str, tuple[tuple[str, Any], ...] | None]


def _nonlinearities(model: nn.Module) -> Counter[_Kind]:
    """In how many modules each nonlinearity of a network is, those first that come first."""
    found = (each for module in model.modules() for each in _nonlinearities_in(module))
    return Counter(
        (each, None) if isinstance(each, str) else (each.name, tuple(sorted(each.parameters.items()))) for each in found
    )


def _nonlinearities_in(module: nn.Module) -> Iterator[Activation | str]:
    """What a module is or applies by itself, apart from the modules in it."""
    known = nonlinearity_of(module)
    if known is not None:
        yield known
    elif isinstance(module, nn.RNN | nn.RNNCell):
        yield Activation(module.nonlinearity)
    elif isinstance(module, GATED):
        yield type(module).__name__
    else:
        for value in vars(module).values():  # as `nn.TransformerEncoderLayer` keeps `F.relu`
            if isinstance(value, FunctionType | BuiltinFunctionType) and value in TORCH_FUNCTIONS:
                yield Activation(TORCH_FUNCTIONS[value])


def _listed(counts: Counter[_Kind]) -> str:
    """Kinds and numbers in words: `relu in 12 and hardswish in 8 modules`."""
    names = Counter(name for name, _ in counts)
    parts = [
        f"{name}{_settings(parameters) if names[name] > 1 else ''} in {count}"
        for (name, parameters), count in counts.most_common()
    ]
    last = "module" if counts.most_common()[-1][1] == 1 else "modules"
    *first, final = parts
    return f"{', '.join(first)} and {final} {last}" if first else f"{final} {last}"


def _settings(parameters: tuple[tuple[str, Any], ...] | None) -> str:
    return "" if not parameters else f" with {', '.join(f'{key}={value}' for key, value in parameters)}"
