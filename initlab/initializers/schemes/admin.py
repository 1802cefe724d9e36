"""Skips that carry as much as all branches before them have given."""

from typing import Any

from torch import Tensor, nn

from initlab.base.errors import UserError
from initlab.initializers.anatomy import branches_of, skip_multipliers_of
from initlab.initializers.context import Context, run_hooked
from initlab.initializers.norms import norms_of
from initlab.initializers.registry import register
from initlab.initializers.slots import find_slots


@register(
    "admin",
    level="model",
    needs=("batch", "branches", "learned skips"),
    base="xavier_uniform",
    embedding_std=1.0,
    source="Liu et al. 2020, arXiv:2004.08249; LiyuanLucasLiu/Transformer-Clinic fairseq/modules/transformer_layer.py",
)
def admin(model: nn.Module, *, context: Context) -> dict[str, str]:
    """Multiply the skip of branch i by ω_i: ω_1 = 1, and ω_{i+1} = √(Var(ω_i·x_i) + Var f_i) on a batch.

    x_i is what the skip takes and f_i what the branch gives, without dropout; their variances are over all entries. As
    a norm follows each sum, Var x_i is about 1, so that ω_i² is the variance of what enters the first block and of all
    branches before, added up. ω is a vector with as many numbers as the signal has, at first equal, which learns. It
    goes with `model.norm=post model.residual=admin`. One pass does it: each ω is in its place before what follows is
    looked at, as in the authors' code; the paper looks at all branches with every ω at 1. Embeddings are N(0, 1), as
    they are there when they enter the first block, and biases 0.

    Args:
        model: A network with post-norm whose skips have learned multipliers, which it lists in a method
            `skip_multipliers()`, one for each of its residual branches; its weights are filled by `base`.
        context: With a batch, on which the variances are taken.

    Returns:
        A remark for each multiplier, by the name of its parameter.

    Raises:
        UserError: the network is not built like that, or a signal is the same everywhere or not finite.
    """
    names = {module: name for name, module in model.named_modules()}
    skips = skip_multipliers_of(model)
    ends = [branch.pieces[-1].slot.layer for branch in branches_of(model, find_slots(model), where="init=admin")]
    given: dict[nn.Module, float] = {}  # Var f_i, by the last layer of the branch
    carried: list[float] = []  # Var(ω_i·x_i)
    normalized: list[Tensor] = []  # all are kept, so that none has the memory of another
    notes: dict[str, str] = {}

    def look_at_branch(layer: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        given[layer] = _variance(output)

    def look_at_norm(_norm: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        normalized.append(output)

    def fill(skip: nn.Module, args: tuple[Any, ...]) -> None:
        place, name = skips.index(skip), f"{names[skip]}.factor"
        if place and not any(args[0].data_ptr() == output.data_ptr() for output in normalized[-1:]):
            raise UserError(
                f"init=admin is made for a norm after each sum, and none is right before {names[skip]} of "
                f"{type(model).__name__}; set model.norm=post"
            )
        if place and (len(carried) != place or ends[place - 1] not in given):
            raise UserError(f"init=admin: {names[skip]} runs before the branch ahead of it; list both in their order")
        square = carried[-1] + given[ends[place - 1]] if place else 1.0
        if not 0 < square < float("inf"):
            raise UserError(f"init=admin: before {names[skip]} the signal is the same everywhere, or not finite")
        factor = skip.get_parameter("factor")
        if name not in context.apart:
            factor.fill_(square**0.5)
            notes[name] = f"ω = {square**0.5:.4g}: what its skip carries so far"
        carried.append(_variance(args[0] * factor))

    hooks = [layer.register_forward_hook(look_at_branch) for layer in ends]
    hooks += [norm.register_forward_hook(look_at_norm) for _, norm in norms_of(model)]
    hooks += [skip.register_forward_pre_hook(fill) for skip in skips]
    run_hooked(model, context.rows(), hooks)
    return notes


def _variance(signal: Tensor) -> float:
    return float(signal.double().var(correction=0))
