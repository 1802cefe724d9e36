"""Looking at a network without leaving a trace in it."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._pytree import tree_leaves

from initlab.base.errors import UserError, first_line
from initlab.base.own_code import own_fault


def first_tensor(outputs: Any) -> Tensor | None:
    """The first tensor of floating-point numbers in what a network returns; None if there is none.

    Args:
        outputs: A tensor, or tensors in tuples, lists or dicts of any depth.
    """
    for leaf in tree_leaves(outputs):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            return leaf
    return None


@contextlib.contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Measure a network as it trains, but without dropout, while this context lasts; afterwards it is as it was before.

    Batch norm normalizes by the batch, as in training; all else is in evaluation mode. Modes, buffers and torch's
    random state are put back at the end, and so are NumPy's and Python's. A forward pass that draws random numbers
    draws the same ones in each context.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
        >>> with measuring(model), torch.no_grad():
        ...     outputs = model(torch.randn(100, 3))
        >>> model.training, int(model[1].num_batches_tracked)
        (True, 0)

    Args:
        model: The network; it may be on any device, and called within as often as one likes.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = [(module, dict(module._buffers)) for module in modes]
    values = {id(b): b.clone() for _, kept in buffers for b in kept.values() if b is not None and not b.is_meta}
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    with _others_forked(), torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(0)
        for device in devices:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(0)
        torch.backends.mha.set_fastpath_enabled(False)  # it passes by the layers that are to be seen
        model.eval()
        for module in modes:
            if isinstance(module, _NormBase):  # these normalize by the batch while training
                module.training = True
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_attention)
            for module, training in modes.items():
                module.training = training
            for module, kept in buffers:
                module._buffers.clear()
                module._buffers.update(kept)
                for buffer in kept.values():
                    if buffer is not None and id(buffer) in values and not torch.equal(buffer, values[id(buffer)]):
                        with torch.no_grad():
                            buffer.copy_(values[id(buffer)])


def random_states() -> tuple[object, ...]:
    """The global random states of torch on the CPU, of NumPy and of Python, to see whether something has drawn."""
    arrays: Any = np.random.get_state()
    return torch.default_generator.get_state().numpy().tobytes(), arrays[1].tobytes(), arrays[2:], random.getstate()


@contextlib.contextmanager
def _others_forked() -> Iterator[None]:
    """Let NumPy's and Python's global random numbers be the same in each context, and as they were afterwards."""
    arrays, plain = np.random.get_state(), random.getstate()  # the global one, which networks draw from
    np.random.seed(0)
    random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(arrays)
        random.setstate(plain)


def slopes_of(
    scalar: Tensor, tensors: Sequence[Tensor], model: nn.Module, *, where: str, create_graph: bool = False
) -> tuple[Tensor | None, ...]:
    """Gradients of what a network computed.

    Args:
        scalar: With its graph.
        tensors: By which it is differentiated.
        model: The network, for the message.
        where: Who asks, for the message, e.g. `"init=metainit"`.
        create_graph: Whether the gradients are differentiated again.

    Returns:
        One for each tensor; None where the scalar does not depend on it.

    Raises:
        UserError: one of the network's operations has no such gradient, or changes in place what its gradient needs.
        OwnCodeError: a gradient of the user's own raised something.
        RuntimeError: it is no scalar with a graph.
    """
    try:
        return torch.autograd.grad(scalar, tensors, create_graph=create_graph, allow_unused=True)
    except RuntimeError as error:
        if scalar.numel() != 1 or not scalar.requires_grad:
            raise
        what = f"{where}: {type(model).__name__} cannot be differentiated as often as this needs"
        raise own_fault(error, what) or UserError(f"{what}: {first_line(error)}") from error


@contextlib.contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Let a network be differentiated as often as one likes while this context lasts.

    torch's fused attention and hard sigmoid have no second derivative, its batch norm no third, and its PReLU and fused
    recurrent layers none for several members and directions at once: all are replaced by what gives the same numbers
    and has all derivatives.

    Args:
        model: A network within `measuring`: its batch norms normalize by the batch.
    """
    norms = [module for module in model.modules() if isinstance(module, _NormBase)]
    handles = [norm.register_forward_hook(_normalize_by_batch) for norm in norms]
    handles += [m.register_forward_hook(_bend) for m in model.modules() if type(m) is nn.PReLU]
    handles += [m.register_forward_hook(_hard_sigmoid) for m in model.modules() if isinstance(m, nn.Hardsigmoid)]
    try:
        with sdpa_kernel(SDPBackend.MATH), _plain_cells(model):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _plain_cells(model: nn.Module) -> Iterator[None]:
    """Let torch's recurrent layers run step by step, by elementary operations, where a network has some."""
    if not any(isinstance(module, nn.RNNBase) for module in model.modules()):
        yield
        return
    fused, fused_on_cuda = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    try:
        torch._C._set_mkldnn_enabled(False)  # `torch.backends.mkldnn.flags` warns of settings that it does not change
        torch._C._set_cudnn_enabled(False)
        yield
    finally:
        torch._C._set_mkldnn_enabled(fused)
        torch._C._set_cudnn_enabled(fused_on_cuda)


def _normalize_by_batch(norm: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    """The output of a batch or instance norm in training, computed by elementary operations."""
    assert isinstance(norm, _NormBase)
    inputs = args[0]
    axes = [axis for axis in range(inputs.dim()) if axis != 1 and (axis or not isinstance(norm, _InstanceNorm))]
    variance, mean = torch.var_mean(inputs, axes, correction=0, keepdim=True)
    normal = (inputs - mean) / (variance + norm.eps).sqrt()
    if norm.weight is None:
        return normal
    shape = [1, -1, *[1] * (inputs.dim() - 2)]
    return normal * norm.weight.view(shape) + norm.bias.view(shape)


def _bend(prelu: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    """The output of a PReLU, computed by elementary operations."""
    assert isinstance(prelu, nn.PReLU)
    inputs = args[0]
    slopes = prelu.weight.view([1, -1, *[1] * (inputs.dim() - 2)] if inputs.dim() > 1 else [-1])
    return torch.where(inputs > 0, inputs, slopes * inputs)


def _hard_sigmoid(_module: nn.Module, args: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    """The output of a hard sigmoid, computed by elementary operations."""
    return (args[0] / 6 + 0.5).clamp(0, 1)
