"""The registry of initialization schemes."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from initlab.base.errors import UserError, nearest
from initlab.base.spellings import our_value

InitializerFunction = TypeVar("InitializerFunction", bound=Callable[..., Any])
Level = Literal["weight", "rules", "model"]
Need = Literal[
    "batch", "loss", "branches", "attention", "no norms", "sub-norms", "scaled skips", "learned skips", "recurrent",
    "gates", "steps", "relu", "chain", "pixel shuffle", "dropout", "classes", "checkpoint",
]  # fmt: skip

# What the caller hands to a scheme that declares it; the rest of its keywords are the user's to set.
SUPPLIED: Final = frozenset({"fan", "generator", "activation", "first", "recurrent", "bias", "context"})
BIAS_LIKE_TORCH: Final = "torch_default"


@dataclass(frozen=True)
class Scheme:
    """One registered initialization scheme.

    Attributes:
        name: The name that `init=` and `initialize` take.
        function: Level "weight": `fn(weight, *, …)` fills one weight, shape (out, in, *kernel), in place. It is called
            once for each group of a convolution and each gate of a recurrent layer. It declares by keyword what it
            uses: `fan`, `gain`, `generator`; `activation`, which follows the layer, and must be known unless there is a
            default for it; `first`, whether it is the network's first weight; `recurrent`, whether it acts on the state
            of a recurrent layer; `bias`, shape (out,) or None, which it then fills, too; and parameters of its own,
            which the user may set. It may return a remark on the weight. Level "model": `fn(model, *, context, …)`
            changes a network whose weights `base` has filled, and may return a remark for each parameter's name;
            `context` is an `initializers.context.Context`. Level "rules": `fn(facts, *, …)` says by a mapping what is
            done to each part of a network, as in `initializers.recipes`; `facts` is an `initializers.facts.Facts`.
        level: `"weight"` for a function of one tensor, `"model"` for one of the whole network, `"rules"` for a named
            set of rules.
        source: The paper, or the library whose rule it is.
        summary: One line that says what it does, for tables.
        aliases: Other names under which it is found, e.g. `he` for `he_normal`.
        needs: What a network or its user must offer: `"batch"`, `"loss"`, `"branches"` (residual ones), `"attention"`,
            `"no norms"`, `"sub-norms"` (two a branch), `"scaled skips"` (by (2·blocks)^¼), `"learned skips"` (a
            multiplier a branch), `"recurrent"` (a weight that acts on a state), `"gates"` (of recurrent cells),
            `"steps"` (the length of the sequences); `"relu"` (as the activation), `"chain"` (layers one after
            another), `"pixel shuffle"`, `"dropout"`, `"classes"` (as targets), `"checkpoint"`. Those up to steps are
            checked before it is called, the others by the scheme itself.
        base: Level "model": the scheme that fills the weights before; None: nothing does.
        bias: What biases start from unless the user says otherwise: a number, or `"torch_default"`.
        elementwise: Whether it treats each entry alike, whatever the shape and the fans: it then suits embeddings and
            parameters that are no linear map, such as a table of positions, too.
        resets_norms: Whether norm layers start from one and zero with it.
        random: Whether its weights are drawn, so that mean-field theory, which is about random weights, has something
            to say of them; zeros count as drawn with a variance of 0.
        unlike_theory: How they differ from independent numbers around 0, as words that follow the scheme's name.
        embedding_std: The standard deviation of embeddings, unless the scheme is elementwise or the user says
            otherwise: that of GPT-2, BERT and Llama, as fans say nothing of a table of rows to look up.
    """

    name: str
    function: Callable[..., Any]
    level: Level
    source: str
    summary: str
    aliases: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    base: str | None = None
    bias: float | Literal["torch_default"] = 0.0
    elementwise: bool = False
    resets_norms: bool = True
    random: bool = True
    unlike_theory: str = ""
    embedding_std: float = 0.02

    @property
    def beyond_theory(self) -> str | None:
        """Why mean-field theory has nothing to say of its weights, as words that follow its name; None where it has."""
        if "batch" in self.needs:
            return "fits the weights to data"
        if not self.random:
            return "draws no random weights"
        return self.unlike_theory or None

    @cached_property
    def supplied(self) -> frozenset[str]:
        """The names in `SUPPLIED` that the function declares, and is therefore given."""
        return SUPPLIED & inspect.signature(self.function).parameters.keys()

    @property
    def requires_activation(self) -> bool:
        """Whether the function cannot do without `activation`: it declares it without a default."""
        declared = inspect.signature(self.function).parameters.get("activation")
        return declared is not None and declared.default is declared.empty

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The parameters that a user may set, with their defaults; `inspect.Parameter.empty` where there is none."""
        declared = inspect.signature(self.function).parameters.values()
        own = {p.name: p.default for p in declared if p.kind is p.KEYWORD_ONLY and p.name not in SUPPLIED}
        return MappingProxyType(own if self.base is None else {"base": self.base, **own})

    @property
    def settable(self) -> frozenset[str]:
        """The names of the parameters that a user may set."""
        return frozenset(self.defaults)


_SCHEMES: dict[str, Scheme] = {}
_ALIASES: dict[str, str] = {}


def register(
    name: str,
    *,
    source: str,
    aliases: tuple[str, ...] = (),
    level: Level = "weight",
    needs: tuple[Need, ...] = (),
    base: str | None = None,
    bias: float | Literal["torch_default"] = 0.0,
    elementwise: bool = False,
    resets_norms: bool = True,
    random: bool = True,
    unlike_theory: str = "",
    embedding_std: float = 0.02,
) -> Callable[[InitializerFunction], InitializerFunction]:
    """Register the decorated function as a scheme; its docstring's first line becomes the summary.

    `Scheme` says what the function may declare.

    Example:
        A scheme of one's own, found by `plugins=[my_module]` or by importing it:

            @initlab.register_initializer("halved", source="our own")
            def halved(weight, *, fan, generator):
                \"\"\"Fill `weight` from N(0, 1/(2 fan_in)).\"\"\"
                weight.normal_(0, (2 * fan.fan_in) ** -0.5, generator=generator)

    Args:
        name: The name to find it under; it must be free.
        source: The paper, or the library whose rule it is.
        aliases: Other names to find it under; they must be free, too.
        level: `"weight"` for a function of one tensor, `"model"` for one of the whole network, `"rules"` for a named
            set of rules.
        needs: What a network or its user must offer: `"batch"`, `"loss"`, `"branches"` and what `Scheme` lists.
        base: Level "model": the scheme that fills the weights before; None: they are left as they are.
        bias: What biases start from unless the user says otherwise: a number, or `"torch_default"` for
            U(±1/sqrt(fan_in)).
        elementwise: Whether it treats each entry alike, whatever the shape and the fans, so that it suits embeddings
            and parameters that are no linear map, too; else embeddings are N(0, 0.02²) unless the user says otherwise.
        resets_norms: Whether norm layers start from one and zero with it.
        random: Whether its weights are drawn; mean-field theory is silent about others.
        unlike_theory: How they differ from independent numbers around 0, e.g. `"mirrors its weights"`.
        embedding_std: The standard deviation of embeddings, unless the scheme is elementwise or the user says
            otherwise.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: the name or an alias is taken, the function has no docstring, or it asks for what its level has not.
    """

    def add(function: InitializerFunction) -> InitializerFunction:
        for taken in (name, *aliases):
            if taken in _SCHEMES or taken in _ALIASES:
                raise ValueError(f"an initializer named {taken} is registered already")
        if not function.__doc__:
            raise ValueError(f"the initializer {name} has no docstring to take its summary from")
        _check_level(name, function, level)
        summary = function.__doc__.strip().splitlines()[0]
        _SCHEMES[name] = Scheme(
            name, function, level, source, summary, aliases, needs, base, bias, elementwise, resets_norms, random,
            unlike_theory, embedding_std,
        )  # fmt: skip
        _ALIASES.update(dict.fromkeys(aliases, name))
        return function

    return add


def _check_level(name: str, function: Callable[..., Any], level: Level) -> None:
    """See that a function asks for nothing but what its level has to give.

    Raises:
        ValueError: it does, or one for whole networks does not take the context.
    """
    asked = inspect.signature(function).parameters
    if level == "weight" and "context" in asked:
        raise ValueError(f'the initializer {name} asks for context: register it with level="model"')
    if level == "weight":
        return
    if level == "rules":
        if strange := sorted(SUPPLIED & asked.keys()):
            raise ValueError(f'the initializer {name}, of level "rules", asks for {strange[0]}: fn(facts, *, …)')
        return
    if strange := sorted(SUPPLIED & asked.keys() - {"context"}):
        raise ValueError(
            f'the initializer {name}, of level "model", asks for {strange[0]}: take it from context, '
            'or register it with level="weight"'
        )
    if "context" not in asked and all(parameter.kind is not parameter.VAR_KEYWORD for parameter in asked.values()):
        raise ValueError(f'the initializer {name}, of level "model", does not take context: fn(model, *, context)')


def find_scheme(name: str, *, where: str = "init") -> Scheme:
    """Look a scheme up by its name or an alias.

    Example:
        >>> find_scheme("kaiming_normal").name, find_scheme("lsuv").needs
        ('he_normal', ('batch',))

    Args:
        name: The name or an alias, in lower case.
        where: The configuration key that holds it, for the message.

    Raises:
        UserError: there is none of that name; the message gives the nearest ones.
    """
    found = _SCHEMES.get(_ALIASES.get(name, name))
    if found is None:
        ours = our_value("init", name)
        hint = nearest(name, [*_SCHEMES, *_ALIASES]) if ours is None else f"here it is {ours}"
        raise UserError(f"{where}={name}: unknown initializer; {hint}")
    return found


def list_initializers() -> Mapping[str, Scheme]:
    """Every registered scheme by its name."""
    return MappingProxyType(_SCHEMES)
