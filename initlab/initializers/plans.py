"""What is to be done to each weight of a network, before anything is done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.facts import SEEN_AS, Part
from initlab.initializers.recipes import rules_of
from initlab.initializers.registry import Scheme, find_scheme
from initlab.initializers.selection import Selection, rule_for_other, rule_for_slot
from initlab.initializers.slots import Slot
from initlab.initializers.spec import InitSpec, Rule, scheme_of


@dataclass(frozen=True)
class Plan:
    """What is to be done to one weight and its biases.

    Attributes:
        slot: The weight, with those of its biases that may be touched.
        spec: The rule that fills it; None: nothing fills it before the scheme for the whole network works on it.
        rule: The rule apart that hit it, if one did.
        parts: The rules of a named set for each of its maps, where they differ; else empty.
        hit: The rule that hit it, of the user's or of a named set, in words; empty if none did.
        by_scheme: Whether the scheme for the whole network may change it.
        refusal: Why it is left alone; None if it is not.
        names: Names of the parameters that the weight is, or is computed from, and of all its biases.
    """

    slot: Slot
    spec: InitSpec | None
    rule: Rule | None
    by_scheme: bool
    refusal: str | None
    names: tuple[str, ...]
    parts: tuple[InitSpec, ...] = ()
    hit: str = ""


def make_plans(
    model: nn.Module, slots: Sequence[Slot], spec: InitSpec, scheme: Scheme, selection: Selection
) -> tuple[list[Plan], list[tuple[str, Rule]]]:
    """What is to be done to each weight, and by which rules to other parameters; nothing is done yet.

    A user's own rules come first, then those for the output layer and for embeddings, then those of a named set.
    """
    output = output_slots(slots, spec.output_layer)
    common = base_of(spec, scheme) if scheme.level == "model" else spec
    recipe: tuple[Rule, ...] = ()
    if common is not None and scheme_of(common).level == "rules":
        common, recipe = rules_of(common, model, slots, output)
    plans, touched = [], set[str]()
    for slot in slots:
        rule = rule_for_slot(spec.rules, slot, model)
        apart = spec.output is not None and slot in output
        parts: tuple[Rule | None, ...] = ()
        if rule is None and not apart and not (slot.is_embedding and spec.embedding is not None):
            parts = tuple(rule_for_slot(recipe, slot, model, place=place) for place in range(slot.blocks))
        own = parts[0] if parts else None
        if rule is not None:
            chosen = rule.spec
        elif apart:
            chosen = spec.output
        elif own is not None:
            chosen = own.spec
        elif common is not None and slot.is_embedding and not scheme_of(common).elementwise:
            chosen = spec.embedding or InitSpec("normal", {"std": scheme.embedding_std}, bias=common.bias)
        elif common is not None and slot.is_embedding and spec.embedding is not None:
            chosen = spec.embedding
        else:
            chosen = common
        refusal = selection.refusal(slot.names, frozen=slot.frozen)
        if rule is not None and rule.spec is None:
            refusal = refusal or f"rule {rule} leaves it"
        names = tuple(name for name, _ in (*slot.parameters, *slot.biases))
        if parts:
            touched.update(name for name, _ in slot.biases)
        rules = (*spec.rules, *recipe) if parts else spec.rules
        trimmed = _with_biases(
            slot, [(name, bias) for name, bias in slot.biases if _free(name, bias, rules, selection, model)]
        )
        if own is not None and isinstance(own.pattern, Part) and own.pattern.role in SEEN_AS:
            trimmed = SEEN_AS[own.pattern.role](trimmed)
        differ = len({id(part) for part in parts}) > 1
        each = tuple(part.spec if part is not None and part.spec is not None else common for part in parts)
        hit = rule or own
        words = ", ".join(dict.fromkeys(str(part) for part in parts if part is not None)) if differ else str(hit or "")
        plans.append(
            Plan(
                trimmed,
                chosen,
                rule,
                rule is None and not apart,
                refusal,
                names,
                tuple(part for part in each if part is not None) if differ else (),
                words,
            )
        )
    others = other_rules(model, spec.rules, {name for plan in plans for name in plan.names})
    known = {name for name, _ in others}
    outside = {name for name, _ in model.named_parameters()} - {name for plan in plans for name in plan.names}
    weights = {name for plan in plans for name in plan.slot.names}
    for name in sorted((touched | outside) - known - weights):
        found = rule_for_other(recipe, name, model)
        if found is not None:
            others.append((name, found))
    return plans, others


def output_slots(slots: Sequence[Slot], layer: str | None) -> list[Slot]:
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


def other_rules(model: nn.Module, rules: Sequence[Rule], of_slots: set[str]) -> list[tuple[str, Rule]]:
    """The parameters that are no weight and that a rule hits, by their names; weights have their plans."""
    slots = of_slots - {name for name in of_slots if name.endswith("bias")}
    found = []
    for name, _ in model.named_parameters():
        rule = None if name in slots else rule_for_other(rules, name, model)
        if rule is not None:
            found.append((name, rule))
    return found


def names_apart(model: nn.Module, plans: Sequence[Plan], selection: Selection) -> Iterator[str]:
    """Names of all parameters that a scheme for the whole network must leave as they are."""
    kept = {name for plan in plans if not plan.by_scheme or plan.refusal is not None for name in plan.names}
    for name, parameter in model.named_parameters():
        if name in kept or selection.refusal([name], frozen=not parameter.requires_grad) is not None:
            yield name


def base_of(spec: InitSpec, scheme: Scheme) -> InitSpec | None:
    """The rule that fills the weights before a scheme for whole networks works on them."""
    if spec.base is not None or scheme.base is None:
        return spec.base
    own = None if find_scheme(scheme.base).level == "rules" else scheme.bias
    return InitSpec(scheme.base, bias=own if spec.bias is None else spec.bias)


def _free(name: str, bias: nn.Parameter, rules: Sequence[Rule], selection: Selection, model: nn.Module) -> bool:
    """Whether a bias goes with its weight: it may be touched, and no rule of its own hits it."""
    refused = selection.refusal([name], frozen=not bias.requires_grad) is not None
    return not refused and rule_for_other(rules, name, model) is None


def _with_biases(slot: Slot, biases: list[tuple[str, nn.Parameter]]) -> Slot:
    """The slot with some of its biases only."""
    if len(biases) == len(slot.biases):
        return slot
    own = [(name, bias) for name, bias in biases if bias is slot.bias]
    name, bias = own[0] if own else (None, None)
    more = tuple(pair for pair in biases if pair[1] is not slot.bias)
    return replace(slot, bias_name=name, bias=bias, more_biases=more)
