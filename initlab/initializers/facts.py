"""What a named set of rules is told of a network, and the parts that it may name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from torch import nn

from initlab.initializers.anatomy import (
    Branch,
    branches_of,
    class_tokens,
    forget_biases,
    has_branches,
    stacked,
    tables_of_places,
)
from initlab.initializers.slots import Slot


class Role(Enum):
    """What a parameter is for in its network; the words stand in reports."""

    OUTPUT = "output layer"
    EMBEDDING = "embedding"
    PLACES = "learned positions"
    CLASS_TOKEN = "class token"
    FIRST = "first layer"
    BRANCH_END = "end of a branch"
    BRANCH = "in a branch"
    MLP_BIAS = "bias in an MLP branch"
    STACKED_INPUT = "into all gates, as one matrix"
    RECURRENT = "recurrent weight"
    STACKED_RECURRENT = "recurrent weight of all gates, as one matrix"
    FORGET_BIAS = "bias of forget gates"


# Roles that see a weight in another way than layers by themselves do: as one map.
SEEN_AS: Final[Mapping[Role, Callable[[Slot], Slot]]] = MappingProxyType(
    {Role.STACKED_INPUT: stacked, Role.STACKED_RECURRENT: stacked}
)


@dataclass(frozen=True)
class Facts:
    """What a named set of rules is told of a network.

    Attributes:
        model: Name of the network's class, for messages.
        width: Length of the vectors between its blocks; in a network without branches, that of its embeddings, or the
            fan_in of its output layer.
        outputs: How many numbers it gives.
        blocks: How many blocks it has, each of one residual branch or several; 0 without branches.
        branches: How many residual branches it has.
        ends: How many branches there are up to and with each block.
    """

    model: str
    width: int
    outputs: int
    blocks: int = 0
    branches: int = 0
    ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class Part:
    """The parameters of one network that have one role.

    Attributes:
        role: What they are for.
        names: Their names; one of several maps in a weight with its place, as `"attention.in_proj_weight[2]"`.
        block: The number of the block that they stand in; None: of any.
    """

    role: Role
    names: frozenset[str]
    block: int | None = None

    def __str__(self) -> str:
        return self.role.value if self.block is None else f"{self.role.value}, block {self.block}"


EXAMPLE_WORDS: Final = "12 blocks of width 768"
EXAMPLE: Final = Facts("GPT", 768, 10, 12, 24, tuple(range(2, 26, 2)))


def look_at(
    model: nn.Module, slots: Sequence[Slot], output: Sequence[Slot], *, where: str
) -> tuple[Facts, Mapping[tuple[Role, int | None], Part]]:
    """What there is to say of a network, and its parts by role and block.

    Args:
        model: The network.
        slots: Its weights.
        output: Those of its output layer.
        where: Who asks, for messages.

    Raises:
        UserError: it lists branches that hold layers without a weight, or none.
    """
    branches = branches_of(model, slots, where=where) if has_branches(model) else []
    blocks = 1 + max((branch.block for branch in branches), default=-1)
    tables = [slot for slot in slots if slot.is_embedding]
    widths = [slot.stored.sizes(slot.weight)["out"] for slot in [*(b.pieces[-1].slot for b in branches[-1:]), *tables]]
    head = output[-1].stored.sizes(output[-1].weight)
    facts = Facts(
        type(model).__name__,
        next(iter(widths), head["in"]),
        head["out"],
        blocks,
        len(branches),
        tuple(sum(branch.block <= block for branch in branches) for block in range(blocks)),
    )
    return facts, _parts(model, slots, output, branches)


def _parts(
    model: nn.Module, slots: Sequence[Slot], output: Sequence[Slot], branches: Sequence[Branch]
) -> dict[tuple[Role, int | None], Part]:
    first = slots[0]
    inner = [piece for branch in branches for piece in branch.pieces]
    outer = not first.is_embedding and first not in output and all(piece.slot is not first for piece in inner)
    names = {
        Role.OUTPUT: [slot.name for slot in output],
        Role.EMBEDDING: [slot.name for slot in slots if slot.is_embedding],
        Role.PLACES: [*tables_of_places(model)],
        Role.CLASS_TOKEN: [*class_tokens(model)],
        Role.FIRST: [first.name] if outer else [],
        Role.BRANCH_END: [branch.pieces[-1].name for branch in branches],
        Role.BRANCH: [piece.name for piece in inner],
        Role.MLP_BIAS: [name for b in branches if not b.attends for piece in b.pieces for name, _ in piece.slot.biases],
        Role.STACKED_INPUT: [slot.name for slot in slots if slot.stored.gates and not slot.stored.recurrent],
        Role.RECURRENT: [slot.name for slot in slots if slot.stored.recurrent],
        Role.STACKED_RECURRENT: [slot.name for slot in slots if slot.stored.recurrent and slot.stored.gates],
        Role.FORGET_BIAS: [*forget_biases(slots)],
    }
    parts: dict[tuple[Role, int | None], Part] = {
        (role, None): Part(role, frozenset(own)) for role, own in names.items()
    }
    for block in {branch.block for branch in branches}:
        ends = frozenset(branch.pieces[-1].name for branch in branches if branch.block == block)
        parts[Role.BRANCH_END, block] = Part(Role.BRANCH_END, ends, block)
    return parts
