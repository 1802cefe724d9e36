"""Residual networks without normalization."""

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.anatomy import branches_of, multipliers_of, never_pass
from initlab.initializers.context import Context
from initlab.initializers.registry import register


@register(
    "fixup", level="model", needs=("branches",), base="he_normal", source="Zhang et al. 2019, arXiv:1901.09321, sec. 3"
)
def fixup(model: nn.Module, *, context: Context) -> dict[str, str]:
    """Multiply the weights of residual branches by L^(−1/(2m−2)); the last of each branch and the classifier are 0.

    L is the number of branches in the network, m the number of layers in a branch. These are the first two of Fixup's
    rules. The third, scalar biases and multipliers, is a matter of the network (`model.scalars=true`). Biases are 0, as
    in the paper, unless the user sets them (`bias`).

    Args:
        model: A network with a method `residual_branches()`, which lists the layers of each branch in order, or of
            torch's own transformer layers. Its weights are filled by `base` and then changed in place.
        context: Only its weights are used; it needs no batch.

    Returns:
        A remark for each parameter that was changed, by its name.

    Raises:
        UserError: the network has no branch, or one that holds a layer without a weight; or multipliers at the ends of
            its branches start from 0, as in ReZero, so that with a second 0 no gradient would ever pass.
    """
    if never_pass(multipliers_of(model)):
        raise UserError(
            f"init=fixup: the multipliers of {type(model).__name__} start from 0, too, so that no gradient would pass; "
            "set model.residual=plain, or choose init=zero_branch"
        )
    branches = branches_of(model, context.slots, where="init=fixup")
    notes = {}
    for branch in branches:
        depth = len(branch.pieces)
        for piece in branch.pieces[:-1]:
            factor = len(branches) ** (-1 / (2 * depth - 2))
            piece.matrix.mul_(factor)
            notes[piece.slot.name] = f"× {factor:.3g}: in one of {len(branches)} branches of {depth} layers"
        branch.pieces[-1].matrix.zero_()
        notes[branch.pieces[-1].slot.name] = "zero: the last of its branch"
    if context.output in context.slots:  # else it has a rule of its own
        context.output.weight.zero_()
        notes[context.output.name] = "zero: the output layer"
    return notes
