"""Filling one parameter: its numbers are drawn from a stream of its own, and written into the network."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault
from initlab.base.randomness import seed_of, stream
from initlab.initializers.fans import Fan
from initlab.initializers.find_activation import required_activation
from initlab.initializers.gains import gain_value
from initlab.initializers.init_report import Treatment
from initlab.initializers.plans import Plan
from initlab.initializers.registry import BIAS_LIKE_TORCH, Scheme
from initlab.initializers.selection import EVERYTHING, Selection
from initlab.initializers.spec import InitSpec, Rule, scheme_of
from initlab.initializers.writing import write, write_weight
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Snapshot
from initlab.modules.wrappers import bare_name


@dataclass(frozen=True)
class Surroundings:
    """What a scheme may know besides the network.

    Attributes:
        activation: The nonlinearity that follows the layers, for gains and schemes that depend on it; None where it is
            not known.
        batch: Rows for schemes that look at data; None where the scheme needs none.
        loss: From outputs and targets to a scalar, for schemes that look at gradients; None where the scheme needs
            none.
        class_counts: How often each class is asked for in the rows to train on, shape (classes,), int64, for schemes
            that need classes; None where there are none, or where the targets of the batch are to be counted.
        selection: Which parameters may be touched.
        within: Name of the network in a larger one that it is part of; empty if it is whole. It goes into the names of
            the streams, so that equal parts get numbers of their own.
    """

    activation: Activation | None = None
    batch: Batch | None = None
    loss: Callable[[Any, Any], Tensor] | None = None
    class_counts: Tensor | None = None
    selection: Selection = EVERYTHING
    within: str = ""

    def stream_of(self, seed: int, name: str) -> Generator:
        """The randomness of one parameter: a function of the seed and of its name in the whole network."""
        return stream(seed, self.whole_name(name))

    def whole_name(self, name: str) -> str:
        """The name of a parameter in the whole network."""
        plain = bare_name(name)
        return f"{self.within}.{plain}" if self.within else plain


class Scratch:
    """Memory to draw numbers in: contiguous, on the CPU, so that they depend on nothing but the stream and the shape.

    It is used again for each weight, as new memory takes as long to get as random numbers do to draw.
    """

    def __init__(self) -> None:
        self._memory: dict[torch.dtype, Tensor] = {}

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor of zeros; the one that was given before is lost."""
        count = math.prod(shape)
        if dtype not in self._memory or len(self._memory[dtype]) < count:
            self._memory[dtype] = torch.empty(count, dtype=dtype, device="cpu")
        return self._memory[dtype][:count].zero_().view(*shape)


@dataclass(frozen=True)
class Filling:
    """One network that is being filled.

    Attributes:
        model: The network.
        known: What schemes may know besides.
        seed: Seed of the streams of randomness; each parameter has its own.
        keeper: Keeps what is changed.
        scratch: Where numbers are drawn.
    """

    model: nn.Module
    known: Surroundings
    seed: int
    keeper: Snapshot
    scratch: Scratch

    def stream_of(self, name: str) -> Generator:
        """The randomness of one parameter."""
        return self.known.stream_of(self.seed, name)

    def seed_what_is_unasked(self, name: str) -> None:
        """Seed torch's global random numbers, so that a scheme that ignores its generator is reproducible.

        Args:
            name: Of the parameter that is about to be filled.
        """
        torch.default_generator.manual_seed(seed_of(self.seed, self.known.whole_name(f"{name}, unasked")))


def fill_weight(plan: Plan, filling: Filling, *, first: bool) -> dict[str, Treatment]:
    """Fill one weight and its biases; torch's global random state is the caller's to put back.

    Args:
        plan: The weight, and the rule that fills it, of level "weight".
        filling: The network that it belongs to.
        first: Whether it is the network's first weight, as some schemes want to know.

    Returns:
        What was done to the weight and each of its biases, by name.
    """
    slot, spec = plan.slot, plan.spec
    assert spec is not None  # the caller has seen to it
    specs = plan.parts or (spec,) * slot.blocks
    schemes = [scheme_of(one) for one in specs]
    scheme = schemes[0]
    for one in schemes:
        if one.level != "weight":
            raise UserError(f"init={one.name} works on whole networks, not on the single weight {slot.name}")
    each = [_arguments(*pair, filling) for pair in zip(schemes, specs, strict=True)]
    weight = filling.scratch.zeros(slot.weight.shape, _drawn_dtype(slot.weight))
    bias = None if slot.bias is None else torch.zeros(slot.bias.shape, dtype=weight.dtype, device="cpu")
    by_scheme = bias is not None and "bias" in scheme.supplied and spec.bias is None
    offered: dict[str, Any] = {
        "fan": slot.fan,
        "generator": filling.stream_of(slot.name),
        "first": first,
        "recurrent": slot.stored.recurrent,
    }
    for one in schemes:
        if "activation" in one.supplied:
            offered["activation"] = filling.known.activation
            if one.requires_activation:
                offered["activation"] = required_activation(filling.known.activation, f"init={one.name}", filling.model)
    parts = iter(slot.stored.each_bias(bias)) if bias is not None and by_scheme else iter(())
    remarks: dict[str, None] = {}
    filling.seed_what_is_unasked(slot.name)
    for block, own, one, (arguments, _) in zip(slot.each(weight), specs, schemes, each, strict=True):
        offered["bias"] = next(parts, None)
        given = calling(one, block, **arguments, **{name: offered[name] for name in one.supplied})
        if isinstance(given, str):
            remarks[given] = None
        elif given is not None and own.function is None:
            raise UserError(f"init={one.name} returned a {type(given).__name__}: it must fill `weight` in place")
    padding = getattr(slot.layer, "padding_idx", None) if slot.is_embedding else None
    if padding is not None:
        weight[padding] = 0
    hit = plan.hit
    note = "; ".join([*([f"{slot.blocks} blocks"] if slot.blocks > 1 else []), *list(remarks)[:1]])
    rules, gains = " and ".join(dict.fromkeys(one.name for one in schemes)), {gain for _, gain in each}
    gain = gains.pop() if len(gains) == 1 else None
    done = write_weight(slot, weight, Treatment(rules, slot.fan, gain, note, hit), filling.keeper)
    rule = scheme.bias if spec.bias is None else spec.bias
    for name, parameter in slot.biases:
        filling.keeper.keep(parameter)
        if by_scheme and parameter is slot.bias and bias is not None:
            write(parameter, bias)
            done[name] = Treatment(scheme.name, hit=hit)
        else:
            _fill_bias(parameter, rule, fan=slot.fan, stream_of=partial(filling.stream_of, name))
            done[name] = Treatment(f"bias: {rule if isinstance(rule, str) else format(rule, 'g')}", hit=hit)
    return done


def fill_other(name: str, rule: Rule, filling: Filling) -> Treatment:
    """Fill a parameter that is no weight by the rule that hit it; torch's random state is the caller's to put back.

    Args:
        name: The parameter's name.
        rule: The rule; it may say to leave it alone.
        filling: The network that it belongs to.

    Raises:
        UserError: the scheme scales by fans, or sees maps, which such a parameter has not.
    """
    parameter = filling.model.get_parameter(name)
    refusal = filling.known.selection.refusal([name], frozen=not parameter.requires_grad)
    if rule.spec is None or refusal is not None:
        return Treatment.left_alone(refusal or f"rule {rule} leaves it", hit=str(rule))
    scheme = scheme_of(rule.spec)
    if not (scheme.elementwise or rule.spec.function is not None):
        raise UserError(
            f"rule {rule}: {name} is no weight with fans, as init={scheme.name} needs one; use normal, uniform, "
            "constant or the like, or say how its module stores it by register_layer"
        )
    arguments, _ = _arguments(scheme, rule.spec, filling)
    values = torch.zeros(parameter.shape, dtype=_drawn_dtype(parameter), device="cpu")
    offered = {"generator": filling.stream_of(name)}
    filling.seed_what_is_unasked(name)
    calling(scheme, values, **arguments, **{key: offered[key] for key in scheme.supplied & offered.keys()})
    filling.keeper.keep(parameter)
    write(parameter, values)
    return Treatment(scheme.name, hit=str(rule))


def _arguments(scheme: Scheme, spec: InitSpec, filling: Filling) -> tuple[dict[str, Any], float | None]:
    """The parameters that a scheme is called with, its gain as a number; and the gain, None where it uses none.

    Raises:
        UserError: the gain depends on the activation, which is not known.
    """
    arguments = dict(spec.parameters)
    gain = arguments.get("gain", scheme.defaults.get("gain"))
    if isinstance(gain, str):
        activation = required_activation(filling.known.activation, f"init.gain={gain}", filling.model)
        gain = arguments["gain"] = gain_value(gain, activation)
    return arguments, gain if isinstance(gain, int | float) else None


def calling(scheme: Scheme, *arguments: Any, **keywords: Any) -> Any:
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


def _drawn_dtype(parameter: Tensor) -> torch.dtype:
    """The type in which the numbers for a parameter are drawn: double precision for its own, else single."""
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def _fill_bias(bias: Tensor, rule: float | str, *, fan: Fan, stream_of: Callable[[], Generator]) -> None:
    """Fill a bias in place.

    Args:
        bias: The parameter, of any shape; gates of a recurrent layer may be stacked in it.
        rule: A number for every entry; or `"torch_default"` for U(±1/sqrt(fan_in)), as torch does it.
        fan: Fans of the weight that the bias belongs to.
        stream_of: Gives the only source of randomness; a number draws nothing, and asks for none.

    Raises:
        UserError: the rule is a word other than `"torch_default"`.
    """
    if isinstance(rule, str):
        if rule != BIAS_LIKE_TORCH:
            raise UserError(f"init.bias={rule}: expected a number or {BIAS_LIKE_TORCH}")
        bound = 1 / math.sqrt(fan.fan_in)
        drawn = torch.empty(bias.shape, dtype=_drawn_dtype(bias), device="cpu")
        write(bias, nn.init.uniform_(drawn, -bound, bound, generator=stream_of()))
    else:
        nn.init.constant_(bias, rule)
