"""Which parameters of a network are touched, and by which rule: patterns of names, classes of modules, frozen ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from torch import nn

from initlab.base.errors import UserError, nearest
from initlab.initializers.facts import Part
from initlab.initializers.slots import Slot
from initlab.initializers.spec import Rule
from initlab.modules.wrappers import bare_name


@dataclass(frozen=True)
class Selection:
    """Which parameters of a network an initializer may touch.

    Attributes:
        only: Patterns of names; what none of them matches is left alone. Empty: everything may be touched.
        exclude: Patterns of names; what one of them matches is left alone.
        skip_frozen: Whether parameters without `requires_grad` are left alone.
    """

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    skip_frozen: bool = True

    def refusal(self, names: Iterable[str], *, frozen: bool) -> str | None:
        """Why a parameter is left alone; None if it may be touched.

        Args:
            names: All its names in the network, as several layers may share it.
            frozen: Whether it has no `requires_grad`.
        """
        named = list(names)
        if frozen and self.skip_frozen:
            return "frozen"
        if any(matches(pattern, name) for pattern in self.exclude for name in named):
            return "excluded"
        if self.only and not any(matches(pattern, name) for pattern in self.only for name in named):
            return "not selected"
        return None

    def check(self, model: nn.Module) -> None:
        """See that every pattern matches something.

        Args:
            model: The network.

        Raises:
            UserError: a pattern of `only` or `exclude` matches no parameter; the message gives the nearest names.
        """
        names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
        for key, patterns in (("only", self.only), ("exclude", self.exclude)):
            for pattern in patterns:
                if not any(matches(pattern, name) for name in names):
                    raise UserError(f"{key}={pattern}: matches no parameter; {_near(pattern, names)}")


EVERYTHING: Final = Selection()
LONGEST: Final = 300  # characters of a hint


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches the name of a parameter, or of a module that holds it, at any depth.

    Example:
        >>> matches("*.o_proj", "layers.0.o_proj.weight"), matches("head", "head.0.bias"), matches("head", "head2.bias")
        (True, True, False)

    Args:
        pattern: A name in which `*` stands for anything, dots included, `?` for one character, `[…]` for one of a set.
        name: The parameter's name in the network; what wrappers add to it does not count.
    """
    parts = bare_name(name).split(".")
    return any(fnmatchcase(".".join(parts[:depth]), pattern) for depth in range(len(parts), 0, -1))


def rule_for_slot(rules: Sequence[Rule], slot: Slot, model: nn.Module, *, place: int | None = None) -> Rule | None:
    """The first rule that hits a weight; None if none does.

    Args:
        rules: In the order in which they are tried.
        slot: The weight.
        model: The network, whose modules may be of a class that a rule names.
        place: The place of one of its maps, which may play a part of its own; None: the weight as a whole.
    """
    for rule in rules:
        if isinstance(rule.pattern, Part):
            own = [*slot.names, *([] if place is None else [f"{slot.name}[{place}]"])]
            if not rule.pattern.names.isdisjoint(own):
                return rule
        elif isinstance(rule.pattern, str):
            if any(matches(rule.pattern, name) for name in slot.names):
                return rule
        elif any(isinstance(module, rule.pattern) for name in slot.names for module in _holders(model, name)):
            return rule
    return None


def rule_for_other(rules: Sequence[Rule], name: str, model: nn.Module) -> Rule | None:
    """The first rule that hits a parameter that is no weight: a bias, a norm's, or one of the module's own.

    A pattern hits it only by its own name, without a wildcard in its last part, as `"*.bias"` or `"pos_embed"`; and
    `"*.weight"` means weights alone, unlike `"*.norm1.weight"`. A class of modules hits what is in it where the rule is
    to leave it alone.

    Args:
        rules: In the order in which they are tried.
        name: The parameter's name in the network.
        model: The network, whose modules may be of a class that a rule names.
    """
    plain = bare_name(name)
    for rule in rules:
        if isinstance(rule.pattern, Part):
            if name in rule.pattern.names:
                return rule
        elif isinstance(rule.pattern, str):
            *_, holder, last = ["", *rule.pattern.split(".")]
            literal = last == plain.rpartition(".")[2] and (last != "weight" or holder not in ("", "*"))
            whole = rule.spec is None and matches(rule.pattern, name)
            if whole or (literal and fnmatchcase(plain, rule.pattern)):
                return rule
        elif rule.spec is None and any(isinstance(module, rule.pattern) for module in _holders(model, name)):
            return rule
    return None


def check_hits(rules: Sequence[Rule], hit: Iterable[Rule], model: nn.Module) -> None:
    """See that every rule hit something.

    Args:
        rules: All rules.
        hit: Those that hit a parameter; a rule behind one that hits the same parameters hits none.
        model: The network, for the names that there are.

    Raises:
        UserError: a rule hits nothing; the message gives the nearest names.
    """
    used = [id(rule) for rule in hit]
    for rule in rules:
        if id(rule) in used:
            continue
        if isinstance(rule.pattern, str):
            names = [name for name, _ in model.named_modules() if name]
            names += [name for name, _ in model.named_parameters()]
            earlier = any(matches(rule.pattern, name) for name in names)
            hint = "what it matches has no weight, or a rule before it has hit it" if earlier else None
            raise UserError(f"rule {rule}: hits nothing; {hint or _near(rule.pattern, names)}")
        kinds = dict.fromkeys(type(module).__name__ for module in model.modules())
        raise UserError(f"rule {rule}: hits nothing; the network has {', '.join(kinds)}")


def _holders(model: nn.Module, name: str) -> Iterator[nn.Module]:
    """The modules that hold a parameter, from the network down to the one whose own it is."""
    module = model
    yield module
    for part in name.split(".")[:-1]:
        module = getattr(module, part)
        if isinstance(module, nn.Module):
            yield module


def _near(pattern: str, names: Sequence[str]) -> str:
    """The names nearest to a pattern, by their last parts where it has wildcards; for a message that stays short."""
    plain = dict.fromkeys(bare_name(name) for name in names)
    if "*" in pattern:
        depth = len(pattern.strip("*.").split("."))
        plain = dict.fromkeys(".".join(name.split(".")[-depth:]) for name in plain)
    hint = nearest(pattern.strip("*."), [name for name in plain if not name.isdigit()])
    return hint if len(hint) < LONGEST else f"{hint[:LONGEST].rpartition(', ')[0]}, …"
