"""Applying a scheme to a network: which parameter gets what, all or nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.base.slow_bar import slow_bar
from initlab.initializers.context import Context
from initlab.initializers.design import check_design
from initlab.initializers.filling import Filling, Scratch, Surroundings, calling, fill_other, fill_weight
from initlab.initializers.init_report import InitReport, Treatment, report_on
from initlab.initializers.norms import fixed_starts, is_norm, reset_norm
from initlab.initializers.plans import Plan, base_of, make_plans, names_apart, output_slots
from initlab.initializers.registry import Scheme
from initlab.initializers.selection import Selection, check_hits, rule_for_other
from initlab.initializers.slots import Slot, find_slots
from initlab.initializers.spec import InitSpec, Rule, scheme_of
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Changes, Snapshot, undone_on_failure
from initlab.modules.wrappers import is_sharded, unwrapped

# What a scheme needs if it sends a batch through the network, where there is one.
LOOKING: Final = frozenset({"batch", "loss", "dropout", "chain"})
# The same, and what is told by the shape of a batch alone.
OF_ROWS: Final = LOOKING | {"steps"}


@dataclass(frozen=True)
class NormStart:
    """How a norm layer, or another of `fixed_starts`, starts anew.

    Attributes:
        norm: The layer.
        values: By its own names, the parameters that may be touched, with the number that fills each.
        treatments: What that is in words, by the parameters' names in the network.
    """

    norm: nn.Module
    values: Mapping[str, float]
    treatments: Mapping[str, Treatment]


@dataclass(frozen=True)
class Prepared:
    """A network with all that its structure says of how it is to be filled, as often as one likes.

    Attributes:
        model: The network.
        spec: The rule.
        known: What the scheme may know besides.
        slots: The weights of the network.
        plans: What is to be done to each.
        others: The parameters that are no weight and that a rule hits, by their names.
        norms: The norm layers, and others that have a start of their own.
        scratch: Where numbers are drawn.
    """

    model: nn.Module
    spec: InitSpec
    known: Surroundings
    slots: Sequence[Slot]
    plans: Sequence[Plan]
    others: Sequence[tuple[str, Rule]]
    norms: Sequence["NormStart"]
    scratch: Scratch


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
    return fill_prepared(prepare(model, spec, known), seed=seed, snapshot=snapshot)


def prepare(model: nn.Module, spec: InitSpec, known: Surroundings) -> Prepared:
    """Find all that the structure of a network says of how it is to be filled, and check that it can be.

    Args:
        model: As `fill_model` takes it; nothing in it is changed.
        spec: The checked rule.
        known: What the scheme may know besides.

    Raises:
        UserError: as `fill_model` raises it.
    """
    model = unwrapped(model)
    slots = find_slots(model)
    if not slots:
        raise UserError(_nothing_to_fill(model, spec))
    scheme = scheme_of(spec)
    known.selection.check(model)
    filled_before = base_of(spec, scheme) if scheme.level == "model" else None
    for one in (scheme, *([] if filled_before is None else [scheme_of(filled_before)])):
        _check_needs(model, one, known.batch, known.loss)
        check_design(model, one, slots)
    plans, others = make_plans(model, slots, spec, scheme, known.selection)
    check_hits(spec.rules, [plan.rule for plan in plans if plan.rule] + [rule for _, rule in others], model)
    _check_cells(model, scheme, slots, spec.parameters.get("steps") or _steps_of(known.batch))
    norms = list(_norm_starts(model, spec.rules, known.selection)) if scheme.resets_norms else []
    return Prepared(model, spec, known, slots, plans, others, norms, Scratch())


@torch.no_grad()
def fill_prepared(prepared: Prepared, *, seed: int, snapshot: Snapshot | None = None) -> dict[str, Treatment]:
    """Fill a network for which all is found; `fill_model` has the rest.

    Args:
        prepared: As `prepare` returns it.
        seed: Of the streams of randomness.
        snapshot: As `fill_model` takes it.

    Raises:
        UserError: as `fill_model` raises it.
    """
    model, spec, known, plans = prepared.model, prepared.spec, prepared.known, prepared.plans
    scheme, keeper = scheme_of(spec), snapshot or Changes()
    rows = _checked_batch(model, known.batch) if LOOKING & {*scheme.needs} and known.batch is not None else None
    if scheme.level == "model":
        keeper.keep_all(model)
    treatments: dict[str, Treatment] = {}
    filling = Filling(model, known, seed, keeper, prepared.scratch)
    for start in prepared.norms:
        for tensor in (*start.norm.parameters(recurse=False), *start.norm.buffers(recurse=False)):
            keeper.keep(tensor)
        reset_norm(start.norm, start.values)
        treatments.update(start.treatments)
    with torch.random.fork_rng(devices=[]), slow_bar("filling weights", len(plans)) as advance:
        for position, plan in enumerate(plans):
            if plan.refusal is not None:
                left = Treatment.left_alone(plan.refusal)
                treatments.update((name, left) for name, _ in plan.slot.parameters)
            elif plan.spec is not None:
                treatments.update(fill_weight(plan, filling, first=position == 0))
            advance()
        for name, rule in prepared.others:
            treatments[name] = fill_other(name, rule, filling)
    if scheme.level == "model":
        own = [plan for plan in plans if plan.by_scheme and plan.refusal is None and not plan.slot.computed]
        context = Context(
            slots=[plan.slot for plan in own],
            output=output_slots(prepared.slots, spec.output_layer)[-1],
            apart=frozenset(names_apart(model, plans, known.selection)),
            batch=rows,
            loss=known.loss,
            activation=known.activation,
            class_counts=_class_counts(known) if "classes" in scheme.needs else None,
            generator=known.stream_of(seed, scheme.name),
            steps=_steps_of(known.batch),
        )
        _refine(model, scheme, context, spec.parameters, treatments)
    for name in (name for plan in plans for name, _ in plan.slot.parameters):
        treatments.setdefault(name, Treatment.left_alone(f"init={scheme.name} leaves it"))
    bad = [plan.slot.name for plan in plans if plan.slot.name in treatments and not _finite(plan.slot.weight)]
    if bad:
        raise UserError(f"init={scheme.name} makes weights that are not finite: {', '.join(bad[:3])}")
    return treatments


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
    notes = calling(scheme, model, context=context, **parameters) or {}
    for slot in context.slots:
        if slot.name in treatments and slot.name not in notes:
            treatments[slot.name] = replace(treatments[slot.name], note=f"as {scheme.name} found it")
    for name, note in notes.items():
        former = treatments.get(name, Treatment(""))
        done = f"{former.rule}, then {scheme.name}" if former.rule else scheme.name
        treatments[name] = replace(former, rule=done, note=note)


def _check_needs(
    model: nn.Module, scheme: Scheme, batch: Batch | None, loss: Callable[[Any, Any], Tensor] | None
) -> None:
    """See that a scheme gets what it declares that it needs.

    Args:
        model: The network.
        scheme: The scheme, with its `needs`.
        batch: What the user gave, None for nothing; to look at gradients it needs targets, too.
        loss: What the user gave, None for nothing.

    Raises:
        UserError: something is missing; the message says how to give it.
    """
    if scheme.level == "model" and is_sharded(model):
        raise UserError(f"init={scheme.name} works on whole networks: initialize the network before it is sharded")
    if "batch" in scheme.needs and batch is None:
        raise UserError(f"init={scheme.name} looks at data: give it a batch=inputs")
    if "loss" in scheme.needs and (batch is None or batch.targets is None or loss is None):
        raise UserError(
            f"init={scheme.name} looks at gradients: give it batch=(inputs, targets) and a loss, e.g. "
            "loss=torch.nn.functional.cross_entropy"
        )


def _check_cells(model: nn.Module, scheme: Scheme, slots: Sequence[Slot], steps: int | None) -> None:
    """See that a scheme for recurrent cells finds what it needs.

    Args:
        model: The network, for the message.
        scheme: The scheme, with its `needs`.
        slots: The weights of the network.
        steps: How many steps a sequence has; None where nobody says so.

    Raises:
        UserError: something is missing; the message says what to choose or to give.
    """
    if "recurrent" in scheme.needs and not any(slot.stored.recurrent for slot in slots):
        raise UserError(
            f"init={scheme.name} works on weights that act on a state, and {type(model).__name__} has none; choose a "
            "recurrent network (model=rnn, lstm or gru)"
        )
    if "gates" in scheme.needs and not any(slot.stored.gates for slot in slots):
        raise UserError(
            f"init={scheme.name} works on the gates of recurrent cells, and {type(model).__name__} has none; choose "
            "model=lstm or gru"
        )
    if "steps" in scheme.needs and steps is None:
        raise UserError(
            f"init={scheme.name} depends on the length of the sequences, and nothing says how long they are: set "
            "init.steps, or give rows of shape (rows, steps, features)"
        )


def _steps_of(batch: Batch | None) -> int | None:
    """How many steps the sequences of a batch have: rows of vectors, or of tokens; None where it holds none."""
    inputs = None if batch is None else batch.inputs
    if not isinstance(inputs, Tensor) or inputs.dim() != (3 if inputs.is_floating_point() else 2):
        return None
    return inputs.shape[1]


def _class_counts(known: Surroundings) -> Tensor | None:
    """How often each class is asked for: as the caller counted, else in the targets of the batch; None of numbers.

    Numbers below 0 stand for no class, as in torch's losses; of one output, targets of 0 and 1 are classes, too.
    """
    targets = None if known.batch is None else known.batch.targets
    if known.class_counts is not None or not isinstance(targets, Tensor) or not targets.numel():
        return known.class_counts
    whole = not targets.is_floating_point() or bool(((targets == 0) | (targets == 1)).all())
    if not whole or targets.is_complex():
        return None
    classes = targets.flatten().long().cpu()
    return classes[classes >= 0].bincount()


def _checked_batch(model: nn.Module, batch: Batch) -> Batch:
    """The batch on the network's device, after it went through the network once."""
    placed = batch.to(next(model.parameters()).device)
    placed.check(model)
    return placed


def _norm_starts(model: nn.Module, rules: Sequence[Rule], selection: Selection) -> Iterator[NormStart]:
    """How norm layers and others of `fixed_starts` start anew."""
    for prefix, norm in model.named_modules():
        values = fixed_starts(norm)
        if not values and not is_norm(norm):
            continue
        own = {f"{prefix}.{part}" if prefix else part: part for part, _ in norm.named_parameters(recurse=False)}
        free = {
            part: name
            for name, part in own.items()
            if part in values
            and selection.refusal([name], frozen=not norm.get_parameter(part).requires_grad) is None
            and rule_for_other(rules, name, model) is None
        }
        if own and not free:
            continue
        known = is_norm(norm)
        words = {
            name: f"norm: {'one' if values[part] else 'zero'}" if known else f"start: {values[part]:g}"
            for part, name in free.items()
        }
        yield NormStart(
            norm, {part: values[part] for part in free}, {name: Treatment(word) for name, word in words.items()}
        )
