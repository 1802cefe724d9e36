"""Optimizers over stacked parameters, in which every member keeps its own learning rate and gradient norm."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from initlab.base.errors import UserError
from initlab.config.calls import check_call, import_target

# Elementwise, so that no member sees another's gradient, and linear in the learning rate.
SUPPORTED = frozenset(
    f"torch.optim.{name}"
    for name in ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop")
)


def check_optimizer(config: Mapping[str, Any]) -> None:
    """Check that members can share the optimizer of an `optim` group.

    Raises:
        UserError: an optimizer that mixes the entries of a tensor or is not linear in its learning rate, or an
            argument that it does not take.
    """
    path = config.get("_target_")
    if path not in SUPPORTED:
        raise UserError(
            f"optim._target_={path}: members can share an elementwise optimizer only; "
            f"known: {', '.join(sorted(SUPPORTED))}"
        )
    arguments = {key: value for key, value in config.items() if key not in ("_target_", "name")}
    check_call(import_target(path, where="optim"), arguments, where="optim", supplied=("params",))
    try:
        CohortOptimizer(config, [torch.zeros(1, requires_grad=True)], [float(config["lr"])])
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"optim: {path} refuses this: {error}") from error


class CohortOptimizer:
    """One torch optimizer over all members, each stepping at its own learning rate.

    Args:
        config: The `optim` group: `_target_` and its arguments; its `lr` is not used.
        parameters: The stacked parameters, shape (members, …) each.
        learning_rates: One a member, in the order of the stack.
    """

    def __init__(
        self, config: Mapping[str, Any], parameters: Sequence[Tensor], learning_rates: Sequence[float]
    ) -> None:
        self.parameters = list(parameters)
        fastest = max(learning_rates)
        arguments = {key: value for key, value in config.items() if key not in ("_target_", "name", "lr")}
        build = import_target(config["_target_"], where="optim")
        self.torch_optimizer: Optimizer = build(self.parameters, lr=fastest, **arguments)
        ratios = torch.tensor(learning_rates, dtype=torch.float64) / fastest
        self._ratios = None if bool((ratios == 1).all()) else ratios

    @torch.no_grad()
    def step(self) -> None:
        """Update every member by its own learning rate.

        A step is linear in the learning rate: all members step at the largest one, and each step is then scaled down
        to the member's own.
        """
        if self._ratios is None:
            self.torch_optimizer.step()
            return
        before = [parameter.clone() for parameter in self.parameters]
        self.torch_optimizer.step()
        for parameter, start in zip(self.parameters, before, strict=True):
            ratio = _along_members(self._ratios.to(parameter), parameter)
            parameter.copy_(torch.lerp(start, parameter, ratio))


def gradient_norms(gradients: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of each member's gradient over all its parameters.

    Args:
        gradients: Of each stacked parameter, shape (members, …).

    Returns:
        Shape (members,).
    """
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return total


def clip_members(gradients: Sequence[Tensor], limit: float) -> None:
    """Scale each member's gradient in place to a norm of at most `limit`, as `torch.nn.utils.clip_grad_norm_` does.

    Args:
        gradients: Of each stacked parameter, shape (members, …).
        limit: Largest Euclidean norm of a member's gradient over all its parameters.
    """
    scale = (limit / (gradient_norms(gradients) + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(_along_members(scale, gradient))


def _along_members(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))
