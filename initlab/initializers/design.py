"""Whether a network is built as a scheme needs it."""

from collections.abc import Sequence
from typing import Final

from torch import nn

from initlab.base.errors import UserError
from initlab.initializers.anatomy import (
    attentions_of,
    branches_of,
    count_norms,
    has_branches,
    skip_multipliers_of,
    skips_of,
)
from initlab.initializers.registry import Scheme
from initlab.initializers.slots import Slot

CLOSE: Final = 1e-3  # the relative difference from which on two factors are two


def check_design(model: nn.Module, scheme: Scheme, slots: Sequence[Slot]) -> None:
    """See that a network has the parts that a scheme declares that it needs.

    Args:
        model: The network.
        scheme: The scheme, with its `needs`.
        slots: The network's weights.

    Raises:
        UserError: one is missing; the message says what to choose.
    """
    name, kind, where = scheme.name, type(model).__name__, f"init={scheme.name}"
    if "branches" in scheme.needs and callable(getattr(model, "residual_branches", None)):
        branches_of(model, slots, where=where)
    elif "branches" in scheme.needs and not has_branches(model):
        raise UserError(
            f"init={name} works on residual branches, and {kind} names none; choose a residual network "
            "(model=residual_mlp, resnet, vit or gpt), or give yours a method residual_branches()"
        )
    if "attention" in scheme.needs and not attentions_of(model, slots):
        raise UserError(
            f"init={name} works on attention, and {kind} has none; choose model=vit or gpt, or give your attention "
            "Linear layers query, key, value and out, and a number heads"
        )
    if "no norms" in scheme.needs and count_norms(model):
        raise UserError(
            f"init={name} is made for networks without norms, and {kind} has {count_norms(model)}; set model.norm=none"
        )
    if "sub-norms" in scheme.needs:
        branches = len(branches_of(model, slots, where=where))
        if count_norms(model) < 2 * branches:
            raise UserError(
                f"init={name} is made for networks with two norms a branch, and {kind} has {count_norms(model)} in "
                f"{branches} branches; set model.norm=sub"
            )
    if "learned skips" in scheme.needs:
        _check_learned_skips(model, len(branches_of(model, slots, where=where)), where)
    if "scaled skips" in scheme.needs:
        blocks = 1 + branches_of(model, slots, where=where)[-1].block
        asked, found = (2 * blocks) ** 0.25, sorted(skips_of(model)) or [1.0]
        if any(abs(skip / asked - 1) > CLOSE for skip in found):
            shown = ", ".join(f"{skip:.4g}" for skip in found)
            raise UserError(
                f"init={name} is made for skips multiplied by (2·{blocks})^¼ = {asked:.4g} before a norm, and {kind} "
                f"multiplies by {shown}; set model.norm=post model.residual=deepnorm, or give your blocks that number "
                "as skip"
            )


def _check_learned_skips(model: nn.Module, branches: int, where: str) -> None:
    """See that there is a learned multiplier for the skip of each branch, and a norm that may follow it."""
    kind, found = type(model).__name__, len(skip_multipliers_of(model))
    if not found:
        raise UserError(
            f"{where} fills learned multipliers of the skips, and {kind} has none; set model.norm=post "
            "model.residual=admin, or list yours in skip_multipliers()"
        )
    if found != branches:
        raise UserError(f"{where}: {kind} lists {found} skip_multipliers() for {branches} branches; list one for each")
    if count_norms(model) < branches:
        raise UserError(
            f"{where} is made for a norm after each sum, and {kind} has {count_norms(model)} in {branches} branches; "
            "put one there"
        )
