"""What this process has drawn so far, to notice when different tensors get the same numbers."""

import gc
from collections.abc import Iterable
from typing import Final
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn

from initlab.base.wording import listed
from initlab.initializers.init_report import LEFT, InitReport
from initlab.initializers.registry import list_initializers
from initlab.modules.wrappers import whole_tensor

COMPARED: Final = 64  # entries of a tensor that are looked at
_DRAWN: "WeakValueDictionary[tuple[object, ...], nn.Module]" = WeakValueDictionary()


def note_drawn(model: nn.Module, report: InitReport, *, seed: int, within: str) -> list[str]:
    """Note which tensors were filled from which stream, and name those that equal others beside them.

    Parts of one network that are filled one by one get equal numbers so, as the names in each part are the same.

    Args:
        model: The network that was filled.
        report: What was done to each of its parameters.
        seed: Seed of the streams.
        within: Its name in a larger network, as in `Surroundings`.

    Returns:
        Names of tensors that equal those of another network, if both are parts of a larger one.
    """
    twice: dict[str, list[str]] = {}
    others = {}
    for row in report:
        parameter = model.get_parameter(row.name)
        if not _draws(row.rule) or not parameter.numel():
            continue
        key = (seed, within, row.name, row.rule, row.shape)
        other = _DRAWN.get(key)
        if other is not None and other is not model and _equal(_parameter(other, row.name), parameter):
            twice.setdefault(str(id(other)), []).append(row.name)
            others[str(id(other))] = other
        _DRAWN[key] = model
    return [name for key, names in twice.items() if _stand_together(model, others[key]) for name in names]


def words_on(twice: Iterable[str], seed: int) -> str:
    """A warning of tensors that equal others.

    Args:
        twice: Their names, as `note_drawn` gives them.
        seed: Seed of the streams.
    """
    return (
        f"{listed(list(twice), 3)}: other tensors in this process have the same numbers, drawn with seed={seed} under "
        "the same names; for parts of one network set within=network, or give each a seed of its own"
    )


def _draws(rule: str) -> bool:
    """Whether a rule draws random numbers: constants are equal everywhere, and should be."""
    if rule == LEFT or rule.startswith(("bias:", "norm:")):
        return False
    known = [list_initializers().get(part) for part in rule.split(", then ")]
    return any(scheme is None or scheme.level == "model" or "generator" in scheme.supplied for scheme in known)


def _parameter(model: nn.Module, name: str) -> Tensor | None:
    try:
        return model.get_parameter(name)
    except AttributeError:  # it was taken out since
        return None


@torch.no_grad()
def _equal(one: Tensor | None, other: Tensor) -> bool:
    if one is None or one.shape != other.shape or one is other:
        return False
    some = [whole_tensor(tensor).flatten()[:COMPARED].cpu() for tensor in (one, other)]
    return not bool((some[0] == some[0][0]).all()) and torch.equal(*some)


def _stand_together(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules are parts of a third: two networks to compare are not."""
    gc.unfreeze()  # what `base.importing` keeps from the collector is not among the objects otherwise
    alive = [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]
    pair = {id(one), id(other)}
    return any(
        pair <= {id(part) for part in whole.modules()} for whole in alive if whole is not one and whole is not other
    )
