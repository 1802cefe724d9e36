"""How the layers of torch and of the model libraries store their linear maps: our own reading, from their source code.

A map is read as matrices, one for each group, expert, gate or head, with the outputs as rows. Nothing of
`initlab.initializers.slots` is used here: this is what it is checked by.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

# Banks of experts whose maps are multiplied from the right, (inputs, outputs); all others are as in nn.Linear.
INPUTS_FIRST = {"GptOssExperts", "OpenAIPrivacyFilterExperts", "AriaExperts", "Llama4TextExperts"}
# Linear layers, by their own names, that give so many maps of an attention one after another. Where these are of one
# width, they are filled one by one; where keys are fewer than queries, the layer is one map.
FUSED = {"qkv": 3, "Wqkv": 3, "qkv_proj": 3, "c_attn": 3, "in_proj": 3, "kv": 2, "to_kv": 2}
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3, "RNNCell": 1, "LSTMCell": 4, "GRUCell": 3}


@dataclass(frozen=True)
class Reading:
    """One way to read a tensor as linear maps.

    Attributes:
        matrices: From the tensor to shape (blocks, outputs, inputs · kernel).
        fan_in: Inputs of one map, times its kernel.
        fan_out: Outputs of one map, times its kernel.
        kernel: The kernel's shape, empty where there is none.
    """

    matrices: Callable[[Tensor], Tensor]
    fan_in: int
    fan_out: int
    kernel: tuple[int, ...] = ()


@dataclass(frozen=True)
class Weight:
    """A weight that some module uses as linear maps.

    Attributes:
        names: Those under which the network or a report may speak of it.
        value: Returns the numbers that the module multiplies by.
        stored: Returns the parameter that these are computed from, if it has their shape; else the numbers themselves.
        readings: Ways to read it; where gates are stacked, several are right.
    """

    names: tuple[str, ...]
    value: Callable[[], Tensor]
    stored: Callable[[], Tensor]
    readings: tuple[Reading, ...]


def weights_of(model: nn.Module) -> dict[str, Weight]:
    """Every weight of a network that is read here as linear maps, by each of its names; embeddings are not in it."""
    found: dict[str, Weight] = {}
    with still(model):
        for prefix, module in model.named_modules(remove_duplicate=False):
            around, _, own = prefix.rpartition(".")
            for name, readings in _fused(own, module, model.get_submodule(around)) or _readings(module):
                for weight in _weights(module, f"{prefix}.{name}" if prefix else name, name, readings):
                    found.update(dict.fromkeys(weight.names, weight))
    return found


@contextlib.contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """Let weights that are computed from others be read without moving anything, as the vectors of a spectral norm."""
    computing = [part for module in model.modules() if is_parametrized(module)
                 for part in module.get_submodule("parametrizations").modules() if part.training]  # fmt: skip
    for part in computing:
        part.training = False
    try:
        yield
    finally:
        for part in computing:
            part.training = True


def embeddings_of(model: nn.Module) -> dict[str, nn.Module]:
    """Embeddings by the names of their weights; those tied to a linear layer are in it, too."""
    return {
        f"{prefix}.weight".lstrip("."): module
        for prefix, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) or type(module).__name__ == "QuantEmbedding"
    }


def _weights(module: nn.Module, full: str, name: str, readings: tuple[Reading, ...]) -> Iterator[Weight]:
    def value() -> Tensor:
        with still(module), torch.no_grad():
            found: Tensor = getattr(module, name)
            return found.detach()

    if not is_parametrized(module, name):
        if isinstance(getattr(module, name), nn.Parameter):
            yield Weight((full,), value, value, readings)
        return
    parametrized = module.get_submodule(f"parametrizations.{name}")
    own = dict(parametrized.named_parameters(recurse=False))
    prefix = full.removesuffix(name) + f"parametrizations.{name}."
    original = own.get("original")
    same = original is not None and original.shape == value().shape
    stored = original.detach if original is not None and same else value
    yield Weight((full, *(prefix + part for part in own)), value, stored, readings)


def rows(outputs: int, inputs: int, *, blocks: int = 1, kernel: tuple[int, ...] = ()) -> Reading:
    """Blocks below one another or in a first dimension of their own, each (outputs, inputs, *kernel)."""
    area = prod(kernel)
    return Reading(lambda w: w.reshape(blocks, outputs, inputs * area), inputs * area, outputs * area, kernel)


def columns(inputs: int, outputs: int, *, blocks: int = 1, kernel: tuple[int, ...] = ()) -> Reading:
    """Blocks below one another or in a first dimension of their own, each (inputs, outputs, *kernel)."""
    area = prod(kernel)

    def matrices(weight: Tensor) -> Tensor:
        return weight.reshape(blocks, inputs, outputs, area).transpose(1, 2).reshape(blocks, outputs, inputs * area)

    return Reading(matrices, inputs * area, outputs * area, kernel)


def _readings(module: nn.Module) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    """Names of a module's own weights with their readings."""
    kind = type(module).__name__
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.Linear):
        yield "weight", (rows(*module.weight.shape),)
    elif isinstance(module, nn.modules.conv._ConvTransposeNd):
        inputs, outputs, *kernel = module.weight.shape
        yield "weight", (columns(inputs // module.groups, outputs, blocks=module.groups, kernel=tuple(kernel)),)
    elif isinstance(module, nn.modules.conv._ConvNd) or kind == "DeformConv2d":
        outputs, inputs, *kernel = module.weight.shape  # type: ignore[misc]
        groups: int = module.groups  # type: ignore[assignment]
        yield "weight", (rows(outputs // groups, inputs, blocks=groups, kernel=tuple(kernel)),)
    elif isinstance(module, nn.MultiheadAttention):
        yield from _attention(module)
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        yield from _recurrent(module)
    elif isinstance(module, nn.Bilinear):
        outputs, first, second = module.weight.shape
        yield "weight", (rows(outputs, first * second),)
    elif callable(declare := getattr(module, "initlab_weights", None)):
        for name, stored in declare().items():
            order = stored if isinstance(stored, str) else stored[0]
            shape = getattr(module, name).shape
            yield name, ((rows if order == "out in" else columns)(*shape[:2], kernel=tuple(shape[2:])),)
    elif kind == "CondConv2d":
        outputs, inputs, *kernel = module.weight_shape  # type: ignore[misc]
        blocks = module.num_experts * module.groups  # type: ignore[operator]
        yield "weight", (rows(outputs // module.groups, inputs, blocks=blocks, kernel=tuple(kernel)),)  # type: ignore
    elif isinstance(weight, nn.Parameter) and weight.dim() >= 2:
        yield from _weight_of(kind, weight)
    else:
        yield from _parts(kind, module)


def _fused(own: str, module: nn.Module, around: nn.Module) -> list[tuple[str, tuple[Reading, ...]]]:
    """The reading of a layer into query, key and value; empty where it is none, or where they are not of one width."""
    maps = FUSED.get(own, 0)
    if type(module).__name__ == "Conv1D" and maps:
        inputs, outputs = module.weight.shape  # type: ignore[misc]
        return [("weight", (side_by_side(inputs, inputs, maps),))] if outputs == maps * inputs else []
    if not isinstance(module, nn.Linear) or not maps:
        return []
    outputs, inputs = module.weight.shape
    width = outputs // maps
    of_attention = [getattr(around, name, None) for name in ("dim_out", "attn_dim", "attention_dim", "inner_dim")]
    even = outputs == maps * width and width in (inputs, *of_attention)
    return [("weight", (rows(width, inputs, blocks=maps),))] if even else []


def side_by_side(inputs: int, outputs: int, blocks: int) -> Reading:
    """Maps that multiply from the right, in one matrix of as many rows as there are inputs."""
    return Reading(lambda w: w.reshape(inputs, blocks, outputs).permute(1, 2, 0), inputs, outputs)


def _attention(module: nn.MultiheadAttention) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    if module.in_proj_weight is not None:
        width = module.embed_dim
        yield "in_proj_weight", (rows(width, width, blocks=3),)
    else:
        for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
            yield name, (rows(*getattr(module, name).shape),)


def _recurrent(module: nn.Module) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    gates = GATES[type(module).__name__]
    for name, parameter in module.named_parameters(recurse=False):
        if name.startswith("weight_"):
            blocks = 1 if name.startswith("weight_hr") else gates
            yield name, (rows(len(parameter) // blocks, parameter.shape[1], blocks=blocks),)


def _weight_of(kind: str, weight: Tensor) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    """The reading of a module with one raw parameter named weight, by the name of its class."""
    if kind == "Conv1D":
        yield "weight", (columns(*weight.shape),)
    elif kind.lower().endswith(("router", "gate")) and weight.dim() == 2:
        yield "weight", (rows(*weight.shape),)
    elif kind in ("JetMoeParallelExperts", "MoshiFlexibleLinear", "KyutaiSpeechToTextFlexibleLinear"):
        blocks, outputs, inputs = weight.shape
        yield "weight", (rows(outputs, inputs, blocks=blocks),)
    elif kind in ("GroupedLinearLayer", "CsmCodebooksHead"):
        blocks, inputs, outputs = weight.shape
        yield "weight", (columns(inputs, outputs, blocks=blocks),)
    elif kind == "QuantLinear":
        yield "weight", (rows(*weight.shape),)


def _parts(kind: str, module: nn.Module) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    """The readings of modules with several raw parameters, by the name of their class."""
    own = {name: tuple(parameter.shape) for name, parameter in module.named_parameters(recurse=False)}
    if kind == "DbrxExpertGLU":
        experts: int = module.moe_num_experts  # type: ignore[assignment]
        for name in ("w1", "v1", "w2"):
            stacked, width = own[name]
            order = columns if name == "w2" else rows
            yield name, (order(stacked // experts, width, blocks=experts),)
    elif kind.endswith("Experts"):
        for name, shape in own.items():
            if len(shape) == 3:
                yield name, tuple(_bank(shape, inputs_first=kind in INPUTS_FIRST, gated=name == "gate_up_proj"))
    elif kind == "XLNetRelativeAttention":
        width, heads, part = own["q"]
        yield from ((name, (columns(width, heads * part),)) for name in "qkvr")
        yield "o", (rows(width, heads * part),)
    elif kind == "FunnelRelMultiheadAttention":
        width, heads, part = own["r_kernel"]
        yield "r_kernel", (columns(width, heads * part),)
    elif kind == "RecurrentGemmaRglru":
        for name in ("input_gate_weight", "recurrent_gate_weight"):
            yield name, (columns(*own[name][1:], blocks=own[name][0]),)
    elif kind == "ZambaMambaMixer":
        for name in ("x_proj_weight", "dt_proj_weight"):
            yield name, (rows(*own[name][1:], blocks=own[name][0]),)
    elif kind == "MultiQueryAttentionV2":
        heads, part, width = own["query_proj"]
        yield "query_proj", (rows(heads * part, width), rows(part, width, blocks=heads))
        yield from ((name, (columns(*own[name]),)) for name in ("key_proj", "value_proj"))
        width, heads, part = own["out_proj"]
        yield "out_proj", (rows(width, heads * part),)
    elif "w_g" in own:
        yield "w_g", (columns(*own["w_g"]),)


def _bank(shape: tuple[int, ...], *, inputs_first: bool, gated: bool) -> Iterator[Reading]:
    """Readings of a bank of experts; a gate and what it gates may count as one map or as two.

    Args:
        shape: (experts, outputs, inputs), or with the inputs first.
        inputs_first: Whether the inputs come first.
        gated: Whether half of the outputs are a gate: above the other half, or every second of them.
    """
    experts, outputs, inputs = (shape[0], shape[2], shape[1]) if inputs_first else shape

    def plain(weight: Tensor) -> Tensor:
        return weight.transpose(1, 2) if inputs_first else weight

    yield Reading(plain, inputs, outputs)
    if gated and outputs % 2 == 0:
        yield Reading(lambda w: plain(w).reshape(2 * experts, outputs // 2, inputs), inputs, outputs // 2)
        yield Reading(lambda w: torch.cat([plain(w)[:, ::2], plain(w)[:, 1::2]]), inputs, outputs // 2)
