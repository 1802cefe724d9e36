"""Applying a scheme to a network: which parameter gets what, all or nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.base.slow_bar import slow_bar
from initlab.initializers.context import Context
from initlab.initializers.filling import Filling, Scratch, Surroundings, calling, fill_other, fill_weight
from initlab.initializers.init_report import InitReport, Treatment, report_on
from initlab.initializers.norms import declared_starts, neutral_values, norms_of, reset_norm
from initlab.initializers.plans import make_plans, names_apart, other_rules, output_slots
from initlab.initializers.registry import Scheme
from initlab.initializers.selection import Selection, check_hits, rule_for_other
from initlab.initializers.slots import find_slots
from initlab.initializers.spec import InitSpec, Rule, scheme_of
from initlab.modules.batch import Batch
from initlab.modules.snapshot import Snapshot, undone_on_failure
from initlab.modules.wrappers import is_sharded, unwrapped


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

    What a module declares in `initlab_starts()`, such as the multiplier of a residual branch, starts from there.

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
    plans = make_plans(model, slots, spec, scheme, known.selection)
    others = other_rules(model, spec.rules, {name for plan in plans for name in plan.names})
    check_hits(spec.rules, [plan.rule for plan in plans if plan.rule] + [rule for _, rule in others], model)
    _check_needs(model, scheme, known.batch, known.loss)
    rows = _checked_batch(model, known.batch) if "batch" in scheme.needs else None
    if scheme.level == "model":
        keeper.keep_all(model)
    treatments: dict[str, Treatment] = {}
    filling = Filling(model, known, seed, keeper, Scratch())
    if scheme.resets_norms:
        treatments.update(_reset_norms(model, spec.rules, known.selection, keeper))
        treatments.update(_reset_starts(model, spec.rules, known.selection, keeper))
    with slow_bar("filling weights", len(plans)) as advance:
        for position, plan in enumerate(plans):
            if plan.refusal is not None:
                left = Treatment.left_alone(plan.refusal)
                treatments.update((name, left) for name, _ in plan.slot.parameters)
            elif plan.spec is not None:
                treatments.update(fill_weight(plan, filling, first=position == 0))
            advance()
    for name, rule in others:
        treatments[name] = fill_other(name, rule, filling)
    if scheme.level == "model":
        own = [plan for plan in plans if plan.by_scheme and plan.refusal is None and not plan.slot.computed]
        context = Context(
            slots=[plan.slot for plan in own],
            output=output_slots(slots, spec.output_layer)[-1],
            apart=frozenset(names_apart(model, plans, known.selection)),
            batch=rows,
            loss=known.loss,
            activation=known.activation,
            generator=known.stream_of(seed, scheme.name),
        )
        _refine(model, scheme, context, spec.parameters, treatments)
    for name in (name for plan in plans for name, _ in plan.slot.parameters):
        treatments.setdefault(name, Treatment.left_alone(f"init={scheme.name} leaves it"))
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
        model: The network, which may offer `residual_branches()`.
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
    if "branches" in scheme.needs and not callable(getattr(model, "residual_branches", None)):
        raise UserError(
            f"init={scheme.name} works on residual branches, and {type(model).__name__} names none; choose a residual "
            "network (model=residual_mlp, resnet, vit or gpt), or give yours a method residual_branches()"
        )


def _checked_batch(model: nn.Module, batch: Batch | None) -> Batch:
    """The batch on the network's device, after it went through the network once."""
    assert batch is not None  # the scheme needs one, and was given it
    placed = batch.to(next(model.parameters()).device)
    placed.check(model)
    return placed


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


def _reset_starts(
    model: nn.Module, rules: Sequence[Rule], selection: Selection, keeper: Snapshot
) -> Iterator[tuple[str, Treatment]]:
    """Let parameters start from where their modules say; give each one's name and treatment."""
    for prefix, module in model.named_modules():
        for own, start in declared_starts(module).items():
            name, parameter = f"{prefix}.{own}" if prefix else own, module.get_parameter(own)
            refused = selection.refusal([name], frozen=not parameter.requires_grad) is not None
            if not refused and rule_for_other(rules, name, model) is None:
                keeper.keep(parameter)
                parameter.fill_(start)
                yield name, Treatment(f"start: {start:g}")
