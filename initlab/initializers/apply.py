"""Applying a scheme to a network: which parameter gets what, and from which stream of randomness."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from initlab.activations import Activation
from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault
from initlab.base.randomness import stream
from initlab.initializers.context import Context
from initlab.initializers.fans import Fan
from initlab.initializers.find_activation import required_activation
from initlab.initializers.gains import gain_value
from initlab.initializers.init_report import InitReport, Treatment, report_on
from initlab.initializers.registry import BIAS_LIKE_TORCH, Scheme, find_scheme
from initlab.initializers.slots import EMBEDDINGS, Slot, find_slots
from initlab.initializers.spec import InitSpec
from initlab.modules.batch import Batch
from initlab.modules.measuring import unwrapped

NORMS: Final = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def initialize_model(
    model: nn.Module,
    spec: InitSpec,
    *,
    activation: Activation | None,
    seed: int,
    batch: Batch | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> InitReport:
    """Fill a network as `fill_model` does, and describe every parameter as it is then.

    Args:
        model: The network, with at least one weight of the kinds that `slots.find_slots` knows.
        spec: The checked rule, e.g. `parse_init("he", where="init")`.
        activation: The nonlinearity that follows the layers, for gains and schemes that depend on it; None where it is
            not known.
        seed: Each parameter draws from a stream of its own, `stream(seed, parameter name)`, on the CPU.
        batch: Rows for schemes that look at data; None where the scheme needs none.
        loss: From outputs and targets to a scalar, for schemes that look at gradients; None where the scheme needs
            none.

    Returns:
        One row for each parameter; it prints as a table.

    Raises:
        UserError: an unknown scheme, a parameter that does not fit it, a network without any weight to fill, or
            something missing that the scheme needs.
    """
    treatments = fill_model(model, spec, activation=activation, seed=seed, batch=batch, loss=loss)
    return report_on(unwrapped(model), find_scheme(spec.scheme).name, treatments)


@torch.no_grad()
def fill_model(
    model: nn.Module,
    spec: InitSpec,
    *,
    activation: Activation | None,
    seed: int,
    batch: Batch | None = None,
    loss: Callable[[Any, Any], Tensor] | None = None,
) -> dict[str, Treatment]:
    """Fill the weights and biases of a network in place; norm layers start from one and zero.

    Args:
        model: The network, with at least one weight of the kinds that `slots.find_slots` knows.
        spec: The checked rule, e.g. `parse_init("he", where="init")`.
        activation: The nonlinearity that follows the layers, for gains and schemes that depend on it; None where it is
            not known.
        seed: Each parameter draws from a stream of its own, `stream(seed, parameter name)`, on the CPU.
        batch: Rows for schemes that look at data; None where the scheme needs none.
        loss: From outputs and targets to a scalar, for schemes that look at gradients; None where the scheme needs
            none.

    Returns:
        What was done to each parameter, by its name; parameters that were left alone are not in it.

    Raises:
        UserError: an unknown scheme, a parameter that does not fit it, a network without any weight to fill, or
            something missing that the scheme needs.
    """
    model = unwrapped(model)
    slots = find_slots(model)
    if not slots:
        raise UserError(f"{type(model).__name__} has no Linear, convolution or other weight for init={spec.scheme}")
    scheme = find_scheme(spec.scheme)
    output = _output_slots(slots, spec.output_layer)
    _check_needs(model, scheme, batch, loss)
    rows = _checked_batch(model, batch) if "batch" in scheme.needs else None
    treatments = dict(_reset_norms(model))
    rule = spec if scheme.level == "weight" else _base_of(spec, scheme)
    apart = output if spec.output is not None else []
    for position, slot in enumerate(slots):
        chosen = spec.output if slot in apart else rule
        if chosen is not None:
            treatments.update(_fill(model, slot, chosen, activation=activation, seed=seed, first=position == 0))
    if scheme.level == "model":
        context = Context(
            slots=[slot for slot in slots if slot not in apart],
            output=output[-1],
            apart=frozenset(name for slot in apart for name in (slot.name, *(bias for bias, _ in slot.biases))),
            batch=rows,
            loss=loss,
            activation=activation,
            generator=stream(seed, scheme.name),
        )
        _refine(model, scheme, context, spec.parameters, treatments)
    bad = [slot.name for slot in slots if slot.name in treatments and not _finite(slot.weight)]
    if bad:
        raise UserError(f"init={scheme.name} makes weights that are not finite: {', '.join(bad[:3])}")
    return treatments


def _finite(weight: Tensor) -> bool:
    """Whether all entries are finite; their sum tells, and costs a fifth, unless it overflows."""
    return bool(weight.sum().isfinite()) or bool(weight.isfinite().all())


def _refine(
    model: nn.Module,
    scheme: Scheme,
    context: Context,
    parameters: Mapping[str, Any],
    treatments: dict[str, Treatment],
) -> None:
    """Let a scheme for whole networks work on one that is filled, and note what it did.

    Args:
        model: The network, filled by the scheme's base.
        scheme: The scheme to call, of level "model".
        context: The weights, data and randomness that it may use.
        parameters: The scheme's own, as the user set them.
        treatments: What was done so far, by parameter; the scheme's remarks are added in place.
    """
    notes = _calling(scheme, model, context=context, **parameters) or {}
    for slot in context.slots:
        if slot.name in treatments and slot.name not in notes:
            treatments[slot.name] = replace(treatments[slot.name], note=f"as {scheme.name} found it")
    for name, note in notes.items():
        former = treatments.get(name, Treatment(""))
        done = f"{former.rule}, then {scheme.name}" if former.rule else scheme.name
        treatments[name] = replace(former, rule=done, note=note)


def _calling(scheme: Scheme, *arguments: Any, **keywords: Any) -> Any:
    """Call a scheme's function, and report whatever goes wrong in it.

    Raises:
        UserError: the network, the loss, or a user's own scheme does not do what it should.
        OwnCodeError: it raised something in the user's own code.
    """
    try:
        return scheme.function(*arguments, **keywords)
    except UserError:
        raise
    except Exception as error:
        plain = UserError(f"init={scheme.name} failed: {type(error).__name__}: {first_line(error)}")
        raise own_fault(error, f"init={scheme.name} failed") or plain from error


def _output_slots(slots: Sequence[Slot], layer: str | None) -> list[Slot]:
    """The slots of the output layer.

    Args:
        slots: All weights of the network, in the order of definition; at least one.
        layer: Name of the layer in the network; None: the layer that the network registers last.

    Raises:
        UserError: the network has no layer of that name with a weight.
    """
    name = slots[-1].layer_name if layer is None else layer
    named = [slot for slot in slots if slot.layer_name == name]
    if not named:
        known = ", ".join(dict.fromkeys(slot.layer_name for slot in slots))
        raise UserError(f"init.output_layer={layer}: the network has no such layer with a weight; it has {known}")
    return named


def _check_needs(
    model: nn.Module, scheme: Scheme, batch: Batch | None, loss: Callable[[Any, Any], Tensor] | None
) -> None:
    """See that a scheme gets what it declares that it needs.

    Args:
        model: The network, which may offer `residual_branches()`.
        scheme: The scheme, with its `needs`.
        batch: What the user gave, None for nothing; to look at gradients it needs targets, too.
        loss: What the user gave, None for nothing.

    Raises:
        UserError: something is missing; the message says how to give it.
    """
    if "batch" in scheme.needs and batch is None:
        raise UserError(f"init={scheme.name} looks at data: give it a batch=inputs")
    if "loss" in scheme.needs and (batch is None or batch.targets is None or loss is None):
        raise UserError(
            f"init={scheme.name} looks at gradients: give it batch=(inputs, targets) and a loss, e.g. "
            "loss=torch.nn.functional.cross_entropy"
        )
    if "branches" in scheme.needs and not callable(getattr(model, "residual_branches", None)):
        raise UserError(
            f"init={scheme.name} works on residual branches, and {type(model).__name__} names none; choose a residual "
            "network (model=residual_mlp, resnet or vit), or give yours a method residual_branches()"
        )


def _checked_batch(model: nn.Module, batch: Batch | None) -> Batch:
    """The batch on the network's device, after it went through the network once."""
    assert batch is not None  # the scheme needs one, and was given it
    placed = batch.to(next(model.parameters()).device)
    placed.check(model)
    return placed


def _base_of(spec: InitSpec, scheme: Scheme) -> InitSpec | None:
    """The rule that fills the weights before a scheme for whole networks works on them."""
    if spec.base is not None or scheme.base is None:
        return spec.base
    return InitSpec(scheme.base, bias=scheme.bias if spec.bias is None else spec.bias)


def _reset_norms(model: nn.Module) -> Iterator[tuple[str, Treatment]]:
    """Let norm layers start anew, running statistics included; give each parameter's name and treatment."""
    for name, layer in model.named_modules():
        if isinstance(layer, NORMS):
            layer.reset_parameters()
            for parameter, _ in layer.named_parameters(recurse=False):
                value = "zero" if parameter == "bias" else "one"
                yield f"{name}.{parameter}" if name else parameter, Treatment(f"norm: {value}")


def _fill(
    model: nn.Module, slot: Slot, spec: InitSpec, *, activation: Activation | None, seed: int, first: bool
) -> dict[str, Treatment]:
    """Fill one weight and its biases by a scheme of level "weight".

    Args:
        model: The network that the weight belongs to, to say what is in it where the activation is not known.
        slot: The weight and its biases, filled in place.
        spec: The rule for this weight, which may be that of the output layer.
        activation: What follows the layer; None where it is not known.
        seed: The weight and each bias draw from streams of their own.
        first: Whether it is the first weight of the network, in the order of definition.

    Returns:
        What was done to the weight and each of its biases, by name.
    """
    scheme = find_scheme(spec.scheme)
    if scheme.level == "model":
        raise UserError(f"init={scheme.name} works on whole networks, not on the single weight {slot.name}")
    arguments = dict(spec.parameters)
    gain = arguments.get("gain", scheme.defaults.get("gain"))
    if isinstance(gain, str):
        gain = arguments["gain"] = gain_value(gain, required_activation(activation, f"init.gain={gain}", model))
    # Contiguous, on the CPU: what is drawn depends on nothing but the stream and the shape.
    weight = torch.zeros(slot.weight.shape, dtype=_drawn_dtype(slot.weight), device="cpu")
    bias = None if slot.bias is None else torch.zeros(slot.bias.shape, dtype=weight.dtype, device="cpu")
    by_scheme = bias is not None and "bias" in scheme.supplied and spec.bias is None
    offered: dict[str, Any] = {"fan": slot.fan, "generator": stream(seed, slot.name), "first": first}
    if "activation" in scheme.supplied:
        offered["activation"] = required_activation(activation, f"init={scheme.name}", model)
    with torch.random.fork_rng(devices=[]):  # what ignores its generator is reproducible all the same
        torch.default_generator.manual_seed(stream(seed, f"{slot.name}, unasked").initial_seed())
        for number, block in enumerate(slot.maps(weight)):
            offered["bias"] = bias.unflatten(0, (slot.blocks, -1))[number] if bias is not None and by_scheme else None
            given = _calling(scheme, block, **arguments, **{name: offered[name] for name in scheme.supplied})
            if given is not None:
                raise UserError(f"init={scheme.name} returned a {type(given).__name__}: it must fill `weight` in place")
    if isinstance(slot.layer, EMBEDDINGS) and slot.layer.padding_idx is not None:
        weight[slot.layer.padding_idx] = 0
    slot.weight.copy_(weight)
    done = {slot.name: Treatment(scheme.name, slot.fan, gain, f"{slot.blocks} blocks" if slot.blocks > 1 else "")}
    rule = scheme.bias if spec.bias is None else spec.bias
    for name, parameter in slot.biases:
        if by_scheme and parameter is slot.bias and bias is not None:
            parameter.copy_(bias)
            done[name] = Treatment(scheme.name)
        else:
            _fill_bias(parameter, rule, fan=slot.fan, generator=stream(seed, name))
            done[name] = Treatment(f"bias: {rule if isinstance(rule, str) else format(rule, 'g')}")
    return done


def _drawn_dtype(parameter: Tensor) -> torch.dtype:
    """The type in which the numbers for a parameter are drawn: double precision for its own, else single."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def _fill_bias(bias: Tensor, rule: float | str, *, fan: Fan, generator: Generator) -> None:
    """Fill a bias in place.

    Args:
        bias: The parameter, of any shape; gates of a recurrent layer may be stacked in it.
        rule: A number for every entry; or `"torch_default"` for U(±1/sqrt(fan_in)), as torch does it.
        fan: Fans of the weight that the bias belongs to.
        generator: The only source of randomness; a number draws nothing.

    Raises:
        UserError: the rule is a word other than `"torch_default"`.
    """
    if isinstance(rule, str):
        if rule != BIAS_LIKE_TORCH:
            raise UserError(f"init.bias={rule}: expected a number or {BIAS_LIKE_TORCH}")
        bound = 1 / math.sqrt(fan.fan_in)
        drawn = torch.empty(bias.shape, dtype=_drawn_dtype(bias), device="cpu")
        bias.copy_(nn.init.uniform_(drawn, -bound, bound, generator=generator))
    else:
        nn.init.constant_(bias, rule)
