"""Batch norm of many members at once, where torch's own operation does not serve."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class BatchNormApart(TorchFunctionMode):
    """Within this context `F.batch_norm` is means and variances, one operation after another.

    vmap's own rule writes members and units as one row, which a compiler cannot take apart again. And on a GPU it fails
    where inputs are in 16 bits, and the running statistics in 32.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Compute `F.batch_norm` step by step, and call everything else."""
        if function is F.batch_norm:
            return batch_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def batch_norm(
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """What `F.batch_norm` computes, and does to the running statistics: inputs in 16 bits are averaged in 32."""
    shape = [-1 if dim == 1 else 1 for dim in range(inputs.dim())]
    dtype = inputs.dtype
    inputs = inputs.float() if dtype in (torch.bfloat16, torch.float16) else inputs
    mean, var = running_mean, running_var
    if training or mean is None or var is None:
        dims = [dim for dim in range(inputs.dim()) if dim != 1]
        var, mean = torch.var_mean(inputs, dims, correction=0)
        if running_mean is not None and running_var is not None:
            count = inputs.numel() // inputs.shape[1]
            with torch.no_grad():
                running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
                running_var.mul_(1 - momentum).add_(var, alpha=momentum * count / (count - 1))
    outputs = (inputs - mean.view(shape)) * torch.rsqrt(var + eps).view(shape)
    if weight is not None:
        outputs = outputs * weight.view(shape)
    return (outputs if bias is None else outputs + bias.view(shape)).to(dtype)
