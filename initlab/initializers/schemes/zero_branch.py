"""Residual branches that add nothing at first."""

from collections.abc import Iterator

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.anatomy import branches_of, last_norms_of, multipliers_of, never_pass
from initlab.initializers.checks import check_choice
from initlab.initializers.context import Context
from initlab.initializers.norms import neutral_values
from initlab.initializers.registry import register
from initlab.initializers.slots import find_slots


@register(
    "zero_branch",
    level="model",
    needs=("branches",),
    base="he_normal",
    source="Goyal et al. 2017, arXiv:1706.02677, sec. 5.1 (norms); Bachlechner et al. 2020, arXiv:2003.04887 (scales)",
)
def zero_branch(model: nn.Module, *, context: Context, what: str = "last") -> dict[str, str]:
    """Set the last operation of each residual branch to 0, so that a block is its skip alone; all else is as `base` is.

    In the first step only that operation gets a gradient, and nothing before it in the branch does; from the second on
    all do. A last layer's bias is as the user or the base has it, 0 unless said otherwise.

    Args:
        model: A network whose residual branches are known. Which norm or multiplier ends each it lists in methods
            `residual_norms()` and `residual_multipliers()`; its weights are filled by `base`.
        context: Only its weights are used; it needs no batch.
        what: `"projection"`: the last layer; `"norm"`: the scale of the norm that ends a branch, as the last batch norm
            of a ResNet's block; `"scale"`: the multiplier that does, as in ReZero and SkipInit; `"last"`: the last of
            these that the network has.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: another word; the network lists no such norms or multipliers; or its multipliers start from 0, so
            that with a second 0 no gradient would ever pass.
    """
    check_choice("what", what, "last", "projection", "norm", "scale")
    ends = {"scale": multipliers_of(model), "norm": last_norms_of(model)}
    if what == "last":
        what = next((kind for kind, modules in ends.items() if modules), "projection")
    if what != "scale" and never_pass(ends["scale"]):
        raise UserError(
            f"init.what={what}: the multipliers of {type(model).__name__} start from 0, too, so that no gradient would "
            "pass; use init.what=scale"
        )
    if what == "projection":
        return _zero_projections(model, context)
    if not ends[what]:
        words = {"scale": "a multiplier", "norm": "a norm"}[what]
        raise UserError(
            f"init.what={what}: no branch of {type(model).__name__} ends in {words}; use init.what=projection, or list "
            f"them in residual_{'multipliers' if what == 'scale' else 'norms'}()"
        )
    names = {module: name for name, module in model.named_modules()}
    notes = {}
    for module in ends[what]:
        for own, value in _zeros(module, what):
            name = f"{names[module]}.{own}"
            if name not in context.apart:
                module.get_parameter(own).fill_(value)
                notes[name] = f"zero: the {what} at the end of a branch"
    return notes


def _zero_projections(model: nn.Module, context: Context) -> dict[str, str]:
    own = {slot.name for slot in context.slots}
    notes = {}
    for branch in branches_of(model, find_slots(model), where="init=zero_branch"):
        last = branch.pieces[-1]
        if last.slot.name in own:
            last.matrix.zero_()
            notes[last.slot.name] = "zero: the last of its branch"
    return notes


def _zeros(module: nn.Module, what: str) -> Iterator[tuple[str, float]]:
    """What makes a norm or a multiplier give 0, by the names of its parameters.

    Raises:
        UserError: a norm without a scale of its own.
    """
    if what == "scale":
        yield from ((name, 0.0) for name, _ in module.named_parameters(recurse=False))
        return
    scale = next(iter(neutral_values(module).items()), None)
    if scale is None:
        raise UserError(f"init.what=norm: a {type(module).__name__} at the end of a branch has no scale")
    yield scale[0], scale[1] - 1.0  # some norms multiply by one plus it
