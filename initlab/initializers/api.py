"""Initializers as a library: one call for any network."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import InitializationWarning, UserError
from initlab.base.wording import listed
from initlab.initializers.apply import initialize_model
from initlab.initializers.coverage import coverage_of
from initlab.initializers.drawn import note_drawn, words_on
from initlab.initializers.filling import Surroundings
from initlab.initializers.find_activation import find_activation
from initlab.initializers.init_report import InitReport
from initlab.initializers.rules import Given, Rules, spec_of
from initlab.initializers.selection import Selection
from initlab.modules.batch import Batch
from initlab.modules.wrappers import bare_name, unwrapped

MUCH_LEFT: Final = 0.05  # of the weights, of kinds that nobody knows, from which on it is worth a warning


def initialize(
    model: nn.Module,
    scheme: Given | Rules,
    *,
    activation: str | Activation | None = None,
    batch: Any = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
    seed: int,
    only: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    skip_frozen: bool = True,
    within: nn.Module | str = "",
    dry_run: bool = False,
    report: bool = True,
    **params: Any,
) -> InitReport:
    """Fill a network's weights in place by a registered scheme or by rules, and say what was done to each parameter.

    The weights of Linear, convolutions of any kind, embeddings, multi-head attention and recurrent layers are filled,
    and those of other libraries' layers that are known, such as transformers' banks of experts. Biases become zero
    unless the scheme says otherwise, and norm layers start from what changes nothing. Embeddings come from N(0, 0.02²),
    as in language models, unless the scheme fills every tensor alike or `embedding` says otherwise. A weight that
    several layers share is filled once. Any other parameter is left as it was, and so are frozen ones, the modes of the
    modules and torch's random state. If anything goes wrong, the whole network is as it was.

    Example:
        >>> import torch, initlab
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> report = initlab.initialize(model, "he", seed=0)
        >>> report["0.weight"].fan_in, round(report["0.weight"].gain, 4)
        (4, 1.4142)

        Rules, of which the first that hits a parameter counts:

        >>> rules = {"2": ("normal", {"std": 0.01}), torch.nn.Linear: torch.nn.init.xavier_uniform_}
        >>> report = initlab.initialize(model, rules, seed=0)
        >>> report["0.weight"].rule, report["2.weight"].rule, report["2.weight"].hit
        ('xavier_uniform_', 'normal', '2')

        A scheme that looks at data:

        >>> report = initlab.initialize(model, "lsuv", batch=torch.randn(64, 4), seed=0)
        >>> print(report["2.weight"].note)
        output std 1.0000 after 1 division

        A scheme that looks at gradients:

        >>> inputs, labels = torch.randn(64, 4), torch.randint(3, (64,))
        >>> loss = torch.nn.functional.cross_entropy
        >>> report = initlab.initialize(model, "metainit", batch=(inputs, labels), loss=loss, steps=3, seed=0)

    Args:
        model: Any network, on any device; what `torch.compile`, `DistributedDataParallel` and the like returned will
            do, and gets the same numbers.
        scheme: A name or alias, e.g. `"he"`; `list_initializers()` has them all. Or a function that fills a tensor in
            place, such as `nn.init.xavier_uniform_`. Or rules: a mapping from patterns of names, in which `*` stands
            for anything, or classes of modules, to a name, a pair of name and parameters, a function, or None to leave
            what it hits as it is. A pattern hits parameters by their names and modules with all that is in them;
            `"*"` is what is done to all weights that no other rule hits, which else are left as they are. Parameters
            that are no weights, such as `"pos_embed"` or `"*.bias"`, are hit by their own names alone.
        activation: The nonlinearity that follows the layers, for gains such as `gain="moment"` and schemes that depend
            on it: a name, or an `Activation` with parameters. None: the activation of the network's modules, if they
            are all of one kind.
        batch: What schemes that look at data send through the network: a tensor, a tuple of positional or a dict of
            keyword arguments, rows first. With a loss: a pair of such inputs and the targets. None where the scheme
            needs none.
        loss: From the network's outputs and the targets to a scalar, for schemes that look at gradients.
        seed: The result is a function of it, of the scheme with its parameters and data, and of the network's
            structure.
        only: Patterns of the names to touch; all others are left as they are. Empty: everything.
        exclude: Patterns of the names to leave as they are.
        skip_frozen: Whether parameters without `requires_grad` are left as they are.
        within: The larger network that the model is a part of, or the model's name in it. Each parameter's numbers
            follow from the seed and its name, so that equal parts, filled one by one, are equal without it.
        dry_run: Whether the network is left as it was, and only the report says what would be done.
        report: Whether the report has means and standard deviations, for which all numbers are looked at once more.
        **params: The scheme's own parameters, e.g. `gain="moment"`; `bias`, a number or `"torch_default"`; `output`,
            another scheme for the output layer, and `output_layer`, its name if it is not the last that the network
            registers; `embedding`, another scheme for embeddings; `base`, another scheme to start from, for those that
            work on a whole network.

    Returns:
        One row for each parameter, with its rule, fans, gain, mean and standard deviation; it prints as a table.
        `left` names the weights that nothing filled, with the reasons.

    Raises:
        UserError: the scheme is unknown, does not fit the network, or lacks something that it needs; or a rule hits
            nothing. The network is then as it was.

    Warns:
        InitializationWarning: more than 5 % of the weights are of kinds that initlab does not know, and are left as
            they were; or tensors get the same numbers as others in this process.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: expected a torch.nn.Module, got {model}")
    if not isinstance(seed, Integral):
        raise UserError(f"seed={seed}: expected a whole number")
    if not isinstance(activation, str | Activation | None):
        raise UserError(f"activation={activation}: expected a name, such as 'relu', or an initlab Activation")
    chosen = Activation(activation) if isinstance(activation, str) else activation
    rows = None
    if batch is not None:
        rows = Batch(batch) if loss is None else Batch(*_pair(batch))
    known = Surroundings(
        activation=chosen or find_activation(model),
        batch=rows,
        loss=loss,
        selection=Selection(_patterns(only), _patterns(exclude), skip_frozen),
        within=_place(model, within),
    )
    spec = spec_of(scheme, plain_numbers(params))
    done = initialize_model(model, spec, known, seed=int(seed), dry_run=dry_run, statistics=report)
    _warn_of_what_is_left(model, done)
    if not dry_run:
        twice = note_drawn(unwrapped(model), done, seed=int(seed), within=known.within)
        if twice:
            warnings.warn(words_on(twice, int(seed)), InitializationWarning, stacklevel=2)
    return done


def plain_numbers(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in which NumPy's numbers are Python's, as a configuration file would have them."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in params.items()}


def _warn_of_what_is_left(model: nn.Module, done: InitReport) -> None:
    """Warn of weights that were left because nobody knows how they are stored, if they are many."""
    if not done.unasked:
        return
    whole = unwrapped(model)
    sizes = {name: whole.get_parameter(name).numel() for name in done.unasked}
    share = sum(sizes.values()) / coverage_of(whole, [row.name for row in done]).total
    if share > MUCH_LEFT:
        largest = sorted(sizes, key=lambda name: -sizes[name])
        shown = [f"{name} ({done.left[name]})" for name in largest[:1]] + largest[1:]
        warnings.warn(
            f"init={done.scheme} leaves {share:.0%} of the weights as they were: {listed(shown, 3)}; "
            "initlab.register_layer says what a module holds, or a rule by name fills it",
            InitializationWarning,
            stacklevel=3,
        )


def _place(model: nn.Module, within: nn.Module | str) -> str:
    """The model's name in a larger network.

    Raises:
        UserError: it is no part of that network.
    """
    if isinstance(within, str):
        return within
    whole = unwrapped(within)
    for name, module in whole.named_modules():
        if module is model or module is unwrapped(model):
            return bare_name(name)
    raise UserError(f"within: the model is no part of this {type(whole).__name__}")


def _patterns(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _pair(batch: Any) -> tuple[Any, Any]:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise UserError(f"batch: with a loss, expected a pair of inputs and targets, got {type(batch).__name__}")
    return batch[0], batch[1]
