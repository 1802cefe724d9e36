"""Initializers as a library: one call for any network."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError
from initlab.initializers.apply import initialize_model
from initlab.initializers.find_activation import find_activation
from initlab.initializers.init_report import InitReport
from initlab.initializers.spec import parse_init
from initlab.modules.batch import Batch


def initialize(
    model: nn.Module,
    scheme: str,
    *,
    activation: str | Activation | None = None,
    batch: Any = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    seed: int,
    **params: Any,
) -> InitReport:
    """Fill a network's weights in place by a registered scheme, and say what was done to each parameter.

    The weights of Linear, convolutions of any kind, embeddings, multi-head attention and recurrent layers are filled.
    Biases become zero unless the scheme says otherwise, and norm layers start from one and zero. A weight that several
    layers share is filled once. Any other parameter is left as it was, and so are the modes of the modules and torch's
    random state.

    Example:
        >>> import torch, initlab
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> report = initlab.initialize(model, "he", seed=0)
        >>> report["0.weight"].fan_in, round(report["0.weight"].gain, 4)
        (4, 1.4142)

        A scheme that looks at data:

        >>> report = initlab.initialize(model, "lsuv", batch=torch.randn(64, 4), seed=0)
        >>> print(report["2.weight"].note)
        output std 1.0000 after 1 division

        A scheme that looks at gradients:

        >>> inputs, labels = torch.randn(64, 4), torch.randint(3, (64,))
        >>> loss = torch.nn.functional.cross_entropy
        >>> report = initlab.initialize(model, "metainit", batch=(inputs, labels), loss=loss, steps=3, seed=0)

    Args:
        model: Any network, on any device; what `torch.compile` returned will do.
        scheme: A name or alias, e.g. `"he"`; `list_initializers()` has them all.
        activation: The nonlinearity that follows the layers, for gains such as `gain="moment"` and schemes that depend
            on it: a name, or an `Activation` with parameters. None: the activation of the network's modules, if they
            are all of one kind.
        batch: What schemes that look at data send through the network: a tensor, a tuple of positional or a dict of
            keyword arguments, rows first. With a loss: a pair of such inputs and the targets. None where the scheme
            needs none.
        loss: From the network's outputs and the targets to a scalar, for schemes that look at gradients.
        seed: The result is a function of it, of the scheme with its parameters and data, and of the network's
            structure.
        **params: The scheme's own parameters, e.g. `gain="moment"`; `bias`, a number or `"torch_default"`; `output`,
            another scheme for the output layer, and `output_layer`, its name if it is not the last that the network
            registers; `base`, another scheme to start from, for those that work on a whole network.

    Returns:
        One row for each parameter, with its rule, fans, gain, mean and standard deviation; it prints as a table.

    Raises:
        UserError: the scheme is unknown, does not fit the network, or lacks something that it needs.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: expected a torch.nn.Module, got {model}")
    if not isinstance(seed, Integral):
        raise UserError(f"seed={seed}: expected a whole number")
    if not isinstance(activation, str | Activation | None):
        raise UserError(f"activation={activation}: expected a name, such as 'relu', or an initlab Activation")
    known = Activation(activation) if isinstance(activation, str) else activation
    rows = None
    if batch is not None:
        rows = Batch(batch) if loss is None else Batch(*_pair(batch))
    return initialize_model(
        model,
        parse_init({**plain_numbers(params), "name": scheme}, where="init"),
        activation=known or find_activation(model),
        seed=int(seed),
        batch=rows,
        loss=loss,
    )


def plain_numbers(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in which NumPy's numbers are Python's, as a configuration file would have them."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in params.items()}


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise UserError(f"batch: with a loss, expected a pair of inputs and targets, got {type(batch).__name__}")
    return batch[0], batch[1]
