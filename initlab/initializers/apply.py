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
from initlab.base.randomness import stream
from initlab.initializers.context import Context
from initlab.initializers.fans import Fan
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
    """Do what `fill_model` does, and describe every parameter as it is then."""
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
        model: Any module with a weight of the kinds that `slots.find_slots` knows.
        spec: What to do.
        activation: What follows the layers, for gains and schemes that depend on it; None where it is not known.
        seed: Each parameter draws from its own stream, `stream(seed, parameter name)`, on the CPU.
        batch: For schemes that look at data.
        loss: From outputs and targets to a scalar, for schemes that look at gradients.

    Returns:
        What was done to each parameter, by its name.

    Raises:
        UserError: an unknown scheme, a parameter that does not fit it, something that it needs and neither network
            nor caller offers, or a network without any weight to fill.
    """
    model = unwrapped(model)
    slots = find_slots(model)
    if not slots:
        raise UserError(f"{type(model).__name__} has no Linear, convolution or other weight for init={spec.scheme}")
    scheme = find_scheme(spec.scheme)
    output = output_slots(slots, spec.output_layer)
    check_needs(model, scheme, batch, loss)
    rows = _checked_batch(model, batch) if "batch" in scheme.needs else None
    treatments = dict(_reset_norms(model))
    rule = spec if scheme.level == "weight" else _base_of(spec, scheme)
    apart = output if spec.output is not None else []
    for position, slot in enumerate(slots):
        chosen = spec.output if slot in apart else rule
        if chosen is not None:
            treatments.update(_fill(slot, chosen, activation=activation, seed=seed, first=position == 0))
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
    """Let a scheme for whole networks work on one that is filled; add to the treatments what it says it did."""
    notes = _calling(scheme, model, context=context, **parameters) or {}
    for slot in context.slots:
        if slot.name in treatments and slot.name not in notes:
            treatments[slot.name] = replace(treatments[slot.name], note=f"as {scheme.name} found it")
    for name, note in notes.items():
        former = treatments.get(name, Treatment(""))
        done = f"{former.rule}, then {scheme.name}" if former.rule else scheme.name
        treatments[name] = replace(former, rule=done, note=note)


def _calling(scheme: Scheme, *arguments: Any, **keywords: Any) -> Any:
    """Call a scheme's function.

    Raises:
        UserError: whatever goes wrong in it: the network, the loss, or a user's own scheme does not do what it should.
    """
    try:
        return scheme.function(*arguments, **keywords)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"init={scheme.name} failed: {type(error).__name__}: {first_line(error)}") from error


def output_slots(slots: Sequence[Slot], layer: str | None) -> list[Slot]:
    """The slots of the output layer: of the layer named, or the last one that the network registers.

    Raises:
        UserError: no such layer.
    """
    name = slots[-1].layer_name if layer is None else layer
    named = [slot for slot in slots if slot.layer_name == name]
    if not named:
        known = ", ".join(dict.fromkeys(slot.layer_name for slot in slots))
        raise UserError(f"init.output_layer={layer}: the network has no such layer with a weight; it has {known}")
    return named


def check_needs(
    model: nn.Module, scheme: Scheme, batch: Batch | None, loss: Callable[[Any, Any], Tensor] | None
) -> None:
    """See that a scheme has what it declares to need.

    Raises:
        UserError: something is missing.
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
    """The batch on the network's device, once it went through."""
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
    """Let norm layers start anew, running statistics included."""
    for name, layer in model.named_modules():
        if isinstance(layer, NORMS):
            layer.reset_parameters()
            for parameter, _ in layer.named_parameters(recurse=False):
                value = "zero" if parameter == "bias" else "one"
                yield f"{name}.{parameter}" if name else parameter, Treatment(f"norm: {value}")


def _fill(slot: Slot, spec: InitSpec, *, activation: Activation | None, seed: int, first: bool) -> dict[str, Treatment]:
    """Fill one weight and its bias by a scheme of level "weight"; say what was done to each."""
    scheme = find_scheme(spec.scheme)
    if scheme.level == "model":
        raise UserError(f"init={scheme.name} works on whole networks, not on the single weight {slot.name}")
    arguments = dict(spec.parameters)
    gain = arguments.get("gain", scheme.defaults.get("gain"))
    if isinstance(gain, str):
        gain = arguments["gain"] = gain_value(gain, required_activation(activation, f"init.gain={gain}"))
    # Contiguous, on the CPU: what is drawn depends on nothing but the stream and the shape.
    weight = torch.zeros(slot.weight.shape, dtype=_drawn_dtype(slot.weight), device="cpu")
    bias = None if slot.bias is None else torch.zeros(slot.bias.shape, dtype=weight.dtype, device="cpu")
    by_scheme = bias is not None and "bias" in scheme.supplied and spec.bias is None
    offered: dict[str, Any] = {"fan": slot.fan, "generator": stream(seed, slot.name), "first": first}
    if "activation" in scheme.supplied:
        offered["activation"] = required_activation(activation, f"init={scheme.name}")
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
            fill_bias(parameter, rule, fan=slot.fan, generator=stream(seed, name))
            done[name] = Treatment(f"bias: {rule if isinstance(rule, str) else format(rule, 'g')}")
    return done


def required_activation(activation: Activation | None, where: str) -> Activation:
    """The activation, for what depends on it.

    Raises:
        UserError: it is not known.
    """
    if activation is None:
        raise UserError(f"{where} depends on the activation: name it, e.g. activation='relu'")
    return activation


def _drawn_dtype(parameter: Tensor) -> torch.dtype:
    """Numbers are drawn in at least single precision."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def fill_bias(bias: Tensor, rule: float | str, *, fan: Fan, generator: Generator) -> None:
    """Fill a bias in place: with a number, or like torch from U(±1/sqrt(fan_in)).

    Raises:
        UserError: another rule.
    """
    if isinstance(rule, str):
        if rule != BIAS_LIKE_TORCH:
            raise UserError(f"init.bias={rule}: expected a number or {BIAS_LIKE_TORCH}")
        bound = 1 / math.sqrt(fan.fan_in)
        drawn = torch.empty(bias.shape, dtype=_drawn_dtype(bias), device="cpu")
        bias.copy_(nn.init.uniform_(drawn, -bound, bound, generator=generator))
    else:
        nn.init.constant_(bias, rule)
