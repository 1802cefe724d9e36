"""Applying a scheme to a network: which parameter gets what, and from which stream of randomness."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Generator, Tensor, nn

from initlab.activations import Activation
from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault
from initlab.base.randomness import stream
from initlab.initializers.context import Context
from initlab.initializers.fans import Fan
from initlab.initializers.find_activation import required_activation
from initlab.initializers.gains import gain_value
from initlab.initializers.init_report import InitReport, Treatment, report_on
from initlab.initializers.norms import neutral_values, norms_of, reset_norm
from initlab.initializers.registry import BIAS_LIKE_TORCH, Scheme
from initlab.initializers.selection import EVERYTHING, Selection, check_hits, rule_for_other, rule_for_slot
from initlab.initializers.slots import Slot, computed_value, find_slots
from initlab.initializers.spec import InitSpec, Rule, scheme_of
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Snapshot, undone_on_failure
from initlab.modules.wrappers import bare_name, unwrapped

# What language models draw embeddings from (GPT-2, BERT, Llama): fans say nothing of a table of rows to look up.
EMBEDDING: Final = InitSpec("normal", {"std": 0.02})


@dataclass(frozen=True)
class Surroundings:
    """What a scheme may know besides the network.

    Attributes:
        activation: The nonlinearity that follows the layers, for gains and schemes that depend on it; None where it is
            not known.
        batch: Rows for schemes that look at data; None where the scheme needs none.
        loss: From outputs and targets to a scalar, for schemes that look at gradients; None where the scheme needs
            none.
        selection: Which parameters may be touched.
        within: Name of the network in a larger one that it is part of; empty if it is whole. It goes into the names of
            the streams, so that equal parts get numbers of their own.
    """

    activation: Activation | None = None
    batch: Batch | None = None
    loss: Callable[[Any, Any], Tensor] | None = None
    selection: Selection = EVERYTHING
    within: str = ""

    def stream_of(self, seed: int, name: str) -> Generator:
        """The randomness of one parameter: a function of the seed and of its name in the whole network."""
        plain = bare_name(name)
        return stream(seed, f"{self.within}.{plain}" if self.within else plain)


def initialize_model(
    model: nn.Module, spec: InitSpec, known: Surroundings, *, seed: int, dry_run: bool = False, statistics: bool = True
) -> InitReport:
    """Fill a network as `fill_model` does, all or nothing, and describe every parameter as it is then.

    Args:
        model: The network, with at least one weight of the kinds that `slots.find_slots` knows.
        spec: The checked rule, e.g. `parse_init("he", where="init")`.
        known: What the scheme may know besides.
        seed: Each parameter draws from a stream of its own, `stream(seed, parameter name)`, on the CPU.
        dry_run: Whether the network is put back afterwards, so that only the report remains.
        statistics: Whether the report has means and standard deviations, which cost a pass over all numbers.

    Returns:
        One row for each parameter; it prints as a table.

    Raises:
        UserError: as `fill_model` raises it; the network is then bit for bit as it was.
    """
    with undone_on_failure() as snapshot:
        treatments = fill_model(model, spec, known, seed=seed, snapshot=snapshot)
        report = report_on(unwrapped(model), scheme_of(spec).name, treatments, statistics=statistics)
        if dry_run:
            snapshot.restore()
    return report


@torch.no_grad()
def fill_model(
    model: nn.Module, spec: InitSpec, known: Surroundings, *, seed: int, snapshot: Snapshot | None = None
) -> dict[str, Treatment]:
    """Fill the weights and biases of a network in place; norm layers start from one and zero.

    Args:
        model: The network, with at least one weight of the kinds that `slots.find_slots` knows.
        spec: The checked rule, e.g. `parse_init("he", where="init")`.
        known: What the scheme may know besides.
        seed: Each parameter draws from a stream of its own, `stream(seed, parameter name)`, on the CPU.
        snapshot: What is changed is kept in it before. None: a network that nobody needs after a failure.

    Returns:
        What was done to each parameter, by its name; what was left alone has an entry only where a reason is known.

    Raises:
        UserError: an unknown scheme, a parameter that does not fit it, a network without any weight to fill, a rule
            that hits nothing, or something missing that the scheme needs. Some of the network may be filled then.
    """
    model, keeper = unwrapped(model), snapshot or _Keeper()
    slots = find_slots(model)
    if not slots:
        raise UserError(_nothing_to_fill(model, spec))
    scheme = scheme_of(spec)
    known.selection.check(model)
    plans = _plans(model, slots, spec, scheme, known.selection)
    others = _other_rules(model, spec.rules, {name for plan in plans for name in plan.names})
    check_hits(spec.rules, [plan.rule for plan in plans if plan.rule] + [rule for _, rule in others], model)
    _check_needs(model, scheme, known.batch, known.loss)
    rows = _checked_batch(model, known.batch) if "batch" in scheme.needs else None
    if scheme.level == "model":
        keeper.keep_all(model)
    treatments: dict[str, Treatment] = {}
    if scheme.resets_norms:
        treatments.update(_reset_norms(model, spec.rules, known.selection, keeper))
    for position, plan in enumerate(plans):
        if plan.refusal is not None:
            treatments[plan.slot.name] = Treatment.left_alone(plan.refusal)
        elif plan.spec is not None:
            treatments.update(_fill(model, plan, known, seed=seed, first=position == 0, keeper=keeper))
    for name, rule in others:
        treatments[name] = _fill_other(model, name, rule, known, seed=seed, keeper=keeper)
    if scheme.level == "model":
        own = [plan for plan in plans if plan.by_scheme and plan.refusal is None and not plan.slot.computed]
        context = Context(
            slots=[plan.slot for plan in own],
            output=_output_slots(slots, spec.output_layer)[-1],
            apart=frozenset(_names_apart(model, plans)),
            batch=rows,
            loss=known.loss,
            activation=known.activation,
            generator=known.stream_of(seed, scheme.name),
        )
        _refine(model, scheme, context, spec.parameters, treatments)
    for plan in plans:
        if not plan.slot.computed:
            treatments.setdefault(plan.slot.name, Treatment.left_alone(f"init={scheme.name} leaves it"))
    bad = [plan.slot.name for plan in plans if plan.slot.name in treatments and not _finite(plan.slot.weight)]
    if bad:
        raise UserError(f"init={scheme.name} makes weights that are not finite: {', '.join(bad[:3])}")
    return treatments


class _Keeper(Snapshot):
    """A snapshot that keeps nothing."""

    def keep(self, tensor: Tensor) -> None:
        """Take no copy."""

    def keep_buffers(self, module: nn.Module) -> None:
        """Take no copy."""


@dataclass(frozen=True)
class _Plan:
    """What is to be done to one weight and its biases.

    Attributes:
        slot: The weight, with those of its biases that may be touched.
        spec: The rule that fills it; None: nothing fills it before the scheme for the whole network works on it.
        rule: The rule apart that hit it, if one did.
        by_scheme: Whether the scheme for the whole network may change it.
        refusal: Why it is left alone; None if it is not.
        names: Names of the weight and of all its biases.
    """

    slot: Slot
    spec: InitSpec | None
    rule: Rule | None
    by_scheme: bool
    refusal: str | None
    names: tuple[str, ...]


def _plans(
    model: nn.Module, slots: Sequence[Slot], spec: InitSpec, scheme: Scheme, selection: Selection
) -> list[_Plan]:
    """What is to be done to each weight; nothing is done yet."""
    output = _output_slots(slots, spec.output_layer)
    common = spec if scheme.level == "weight" else _base_of(spec, scheme)
    plans = []
    for slot in slots:
        rule = rule_for_slot(spec.rules, slot, model)
        apart = spec.output is not None and slot in output
        if rule is not None:
            chosen = rule.spec
        elif apart:
            chosen = spec.output
        elif common is not None and slot.is_embedding and not scheme_of(common).elementwise:
            chosen = spec.embedding or replace(EMBEDDING, bias=common.bias)
        elif common is not None and slot.is_embedding and spec.embedding is not None:
            chosen = spec.embedding
        else:
            chosen = common
        refusal = selection.refusal(slot.names, frozen=not slot.weight.requires_grad and not slot.computed)
        if rule is not None and rule.spec is None:
            refusal = refusal or f"rule {rule} leaves it"
        names = (slot.name, *(name for name, _ in slot.biases))
        trimmed = _with_biases(
            slot, [(name, bias) for name, bias in slot.biases if _free(name, bias, spec, selection, model)]
        )
        plans.append(_Plan(trimmed, chosen, rule, rule is None and not apart, refusal, names))
    return plans


def _free(name: str, bias: nn.Parameter, spec: InitSpec, selection: Selection, model: nn.Module) -> bool:
    """Whether a bias goes with its weight: it may be touched, and no rule of its own hits it."""
    refused = selection.refusal([name], frozen=not bias.requires_grad) is not None
    return not refused and rule_for_other(spec.rules, name, model) is None


def _with_biases(slot: Slot, biases: list[tuple[str, nn.Parameter]]) -> Slot:
    """The slot with some of its biases only."""
    if len(biases) == len(slot.biases):
        return slot
    own = [(name, bias) for name, bias in biases if bias is slot.bias]
    name, bias = own[0] if own else (None, None)
    more = tuple(pair for pair in biases if pair[1] is not slot.bias)
    return replace(slot, bias_name=name, bias=bias, more_biases=more)


def _other_rules(model: nn.Module, rules: Sequence[Rule], of_slots: set[str]) -> list[tuple[str, Rule]]:
    """The parameters that are no weight and that a rule hits, by their names; weights have their plans."""
    slots = of_slots - {name for name in of_slots if name.endswith("bias")}
    found = []
    for name, _ in model.named_parameters():
        rule = None if name in slots else rule_for_other(rules, name, model)
        if rule is not None:
            found.append((name, rule))
    return found


def _names_apart(model: nn.Module, plans: Sequence[_Plan]) -> Iterator[str]:
    """Names of all parameters that a scheme for the whole network must leave as they are."""
    free = {name for plan in plans if plan.by_scheme and plan.refusal is None for name in plan.names}
    listed = {name for plan in plans for name in plan.names}
    yield from (name for name, _ in model.named_parameters() if name in listed - free)


def _nothing_to_fill(model: nn.Module, spec: InitSpec) -> str:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        return f"{type(model).__name__} is scripted, which hides its layers: initialize the network before torch.jit"
    return f"{type(model).__name__} has no Linear, convolution or other weight for init={spec.scheme}"


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


def _reset_norms(
    model: nn.Module, rules: Sequence[Rule], selection: Selection, keeper: Snapshot
) -> Iterator[tuple[str, Treatment]]:
    """Let norm layers start anew, running statistics included; give each parameter's name and treatment."""
    for prefix, norm in norms_of(model):
        own = {f"{prefix}.{part}" if prefix else part: part for part, _ in norm.named_parameters(recurse=False)}
        values = neutral_values(norm)
        free = {
            part: name
            for name, part in own.items()
            if part in values
            and selection.refusal([name], frozen=not norm.get_parameter(part).requires_grad) is None
            and rule_for_other(rules, name, model) is None
        }
        if own and not free:
            continue
        for tensor in (*norm.parameters(recurse=False), *norm.buffers(recurse=False)):
            keeper.keep(tensor)
        reset_norm(norm, {part: values[part] for part in free})
        for part, name in free.items():
            yield name, Treatment(f"norm: {'one' if values[part] else 'zero'}")


def _fill(
    model: nn.Module, plan: _Plan, known: Surroundings, *, seed: int, first: bool, keeper: Snapshot
) -> dict[str, Treatment]:
    """Fill one weight and its biases.

    Args:
        model: The network, to say what is in it where the activation is not known.
        plan: The weight, and the rule that fills it, of level "weight".
        known: The activation, where its gain or its scheme depends on it.
        seed: Seed of the streams of randomness; each parameter has its own.
        first: Whether it is the network's first weight, as some schemes want to know.
        keeper: Keeps what is changed.

    Returns:
        What was done to the weight and each of its biases, by name.
    """
    slot, spec = plan.slot, plan.spec
    assert spec is not None  # the caller has seen to it
    scheme = scheme_of(spec)
    if scheme.level == "model":
        raise UserError(f"init={scheme.name} works on whole networks, not on the single weight {slot.name}")
    arguments, gain = _arguments(model, scheme, spec, known)
    # Contiguous, on the CPU: what is drawn depends on nothing but the stream and the shape.
    weight = torch.zeros(slot.weight.shape, dtype=_drawn_dtype(slot.weight), device="cpu")
    bias = None if slot.bias is None else torch.zeros(slot.bias.shape, dtype=weight.dtype, device="cpu")
    by_scheme = bias is not None and "bias" in scheme.supplied and spec.bias is None
    offered: dict[str, Any] = {"fan": slot.fan, "generator": known.stream_of(seed, slot.name), "first": first}
    if "activation" in scheme.supplied:
        offered["activation"] = required_activation(known.activation, f"init={scheme.name}", model)
    parts = iter(slot.stored.each_bias(bias)) if bias is not None and by_scheme else iter(())
    remarks: dict[str, None] = {}
    with _unasked(known.stream_of(seed, f"{slot.name}, unasked")):
        for block in slot.each(weight):
            offered["bias"] = next(parts, None)
            given = _calling(scheme, block, **arguments, **{name: offered[name] for name in scheme.supplied})
            if isinstance(given, str):
                remarks[given] = None
            elif given is not None and spec.function is None:
                raise UserError(f"init={scheme.name} returned a {type(given).__name__}: it must fill `weight` in place")
    padding = getattr(slot.layer, "padding_idx", None) if slot.is_embedding else None
    if padding is not None:
        weight[padding] = 0
    hit = "" if plan.rule is None else str(plan.rule)
    note = "; ".join([*([f"{slot.blocks} blocks"] if slot.blocks > 1 else []), *list(remarks)[:1]])
    done = _write_weight(slot, weight, Treatment(scheme.name, slot.fan, gain, note, hit), keeper)
    rule = scheme.bias if spec.bias is None else spec.bias
    for name, parameter in slot.biases:
        keeper.keep(parameter)
        if by_scheme and parameter is slot.bias and bias is not None:
            write(parameter, bias)
            done[name] = Treatment(scheme.name, hit=hit)
        else:
            _fill_bias(parameter, rule, fan=slot.fan, generator=known.stream_of(seed, name))
            done[name] = Treatment(f"bias: {rule if isinstance(rule, str) else format(rule, 'g')}", hit=hit)
    return done


def _write_weight(slot: Slot, drawn: Tensor, treatment: Treatment, keeper: Snapshot) -> dict[str, Treatment]:
    """Put the numbers of a weight into the network; where it is computed from others, through its parametrization.

    Args:
        slot: The weight.
        drawn: Its numbers, on the CPU.
        treatment: What was done, if it can be written.
        keeper: Keeps what is changed.

    Returns:
        The treatment by the name of the weight, or by the names of the parameters that it is computed from.
    """
    if not slot.computed:
        keeper.keep(slot.weight)
        write(slot.weight, drawn)
        return {slot.name: treatment}
    own = slot.name.rpartition(".")[2]
    chain: Any = slot.layer.parametrizations[own]  # type: ignore[index]  # torch has no type for it
    kinds = ", ".join(type(step).__name__.strip("_") for step in chain)
    local = Snapshot()
    for keeping in (keeper, local):
        keeping.keep_buffers(chain)
        for tensor in chain.parameters():
            keeping.keep(tensor)
    prefix = f"{slot.layer_name}." if slot.layer_name else ""
    names = [f"{prefix}parametrizations.{own}.{name}" for name, _ in chain.named_parameters()]
    try:
        setattr(slot.layer, own, drawn.to(slot.weight))
    except Exception as error:  # whatever a parametrization says to what it cannot be
        local.restore()
        reason = f"its parametrization {kinds} cannot be written to: {first_line(error)}"
        return dict.fromkeys(names, Treatment.left_alone(reason, unasked=True))
    become = computed_value(slot.layer, own)
    same = torch.allclose(become.cpu().to(drawn), drawn, rtol=1e-3, atol=1e-6)
    if same:
        return dict.fromkeys(names, replace(treatment, note=f"through {kinds}"))
    changed = f"through {kinds}, which makes its std {float(become.float().std()):.3g}"
    return dict.fromkeys(names, replace(treatment, rule=f"{treatment.rule}, then {kinds}", note=changed))


def write(parameter: Tensor, values: Tensor) -> None:
    """Copy numbers into a parameter in place; into its shards, where it is distributed over processes (FSDP2).

    Args:
        parameter: On any device, of any type of real numbers.
        values: Of the parameter's whole shape, on the CPU.
    """
    sharded: Any = parameter
    if hasattr(sharded, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor  # only where there are such parameters

        values = distribute_tensor(values.to(parameter.device), sharded.device_mesh, sharded.placements)
    parameter.copy_(values)


def _fill_other(
    model: nn.Module, name: str, rule: Rule, known: Surroundings, *, seed: int, keeper: Snapshot
) -> Treatment:
    """Fill a parameter that is no weight by the rule that hit it.

    Args:
        model: The network.
        name: The parameter's name.
        rule: The rule; it may say to leave it alone.
        known: The activation, where a gain depends on it, and what may be touched.
        seed: Seed of its stream of randomness.
        keeper: Keeps what is changed.

    Raises:
        UserError: the scheme scales by fans, or sees maps, which such a parameter has not.
    """
    parameter = model.get_parameter(name)
    refusal = known.selection.refusal([name], frozen=not parameter.requires_grad)
    if rule.spec is None or refusal is not None:
        return Treatment.left_alone(refusal or f"rule {rule} leaves it", hit=str(rule))
    scheme = scheme_of(rule.spec)
    if not (scheme.elementwise or rule.spec.function is not None):
        raise UserError(
            f"rule {rule}: {name} is no weight with fans, as init={scheme.name} needs one; use normal, uniform, "
            "constant or the like, or say how its module stores it by register_layer"
        )
    arguments, _ = _arguments(model, scheme, rule.spec, known)
    values = torch.zeros(parameter.shape, dtype=_drawn_dtype(parameter), device="cpu")
    offered = {"generator": known.stream_of(seed, name)}
    with _unasked(known.stream_of(seed, f"{name}, unasked")):
        _calling(scheme, values, **arguments, **{key: offered[key] for key in scheme.supplied & offered.keys()})
    keeper.keep(parameter)
    write(parameter, values)
    return Treatment(scheme.name, hit=str(rule))


def _arguments(
    model: nn.Module, scheme: Scheme, spec: InitSpec, known: Surroundings
) -> tuple[dict[str, Any], float | None]:
    """The parameters that a scheme is called with, its gain as a number; and the gain, None where it uses none.

    Raises:
        UserError: the gain depends on the activation, which is not known.
    """
    arguments = dict(spec.parameters)
    gain = arguments.get("gain", scheme.defaults.get("gain"))
    if isinstance(gain, str):
        activation = required_activation(known.activation, f"init.gain={gain}", model)
        gain = arguments["gain"] = gain_value(gain, activation)
    return arguments, gain if isinstance(gain, int | float) else None


@contextmanager
def _unasked(generator: Generator) -> Iterator[None]:
    """Let torch's global random numbers be those of a stream, so that what ignores its generator is reproducible."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        yield


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
        write(bias, nn.init.uniform_(drawn, -bound, bound, generator=generator))
    else:
        nn.init.constant_(bias, rule)
