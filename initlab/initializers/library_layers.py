"""The layers of transformers, timm and torchvision that hold weights in ways of their own.

They are told by the names of their classes, so that nothing here imports these libraries. What is written in each line
was read in the class' `forward`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import nn

from initlab.initializers.stored import Stored


def of_libraries(layer: nn.Module) -> dict[str, Stored]:
    """The weights of a layer of another library, by their names; empty if none is known.

    Args:
        layer: Any module; a subclass of a known class counts as that.
    """
    for kind in type(layer).__mro__:
        library = kind.__module__.partition(".")[0]
        describe = LAYERS.get(library, {}).get(kind.__name__)
        if describe is not None:
            return describe(layer)
    if type(layer).__module__.startswith("transformers.") and hasattr(layer, "is_transposed"):
        return _experts(layer)
    if type(layer).__module__.startswith("transformers.") and type(layer).__name__.lower().endswith("topkrouter"):
        return {"weight": Stored("out in", "bias")}
    return {}


def _experts(layer: Any) -> dict[str, Stored]:
    """A bank of experts of transformers: a map into each expert, gate and value in one where it is gated, and one out.

    How they are stored stands in the class' own flags: transposed for `x @ weight`, concatenated where gate and value
    follow each other, and not where they alternate.
    """
    own = dict(layer.named_parameters(recurse=False))
    found = {}
    for name, weight in own.items():
        if weight.dim() != 3:
            continue
        bias = f"{name}_bias" if f"{name}_bias" in own else None
        bank, first, second = weight.shape
        if name != "gate_up_proj":
            found[name] = Stored("bank in out" if layer.is_transposed else "bank out in", bias)
        elif layer.is_transposed and layer.is_concatenated:
            found[name] = Stored("bank in group out", bias, (bank, first, 2, second // 2))
        elif layer.is_transposed:
            found[name] = Stored("bank in out group", bias, (bank, first, second // 2, 2))
        else:
            found[name] = Stored("bank group out in", bias, (bank, 2, first // 2, second))
    return found


def _llama4_experts(layer: Any) -> dict[str, Stored]:
    bank, entering, units = layer.gate_up_proj.shape
    return {
        "gate_up_proj": Stored("bank in group out", None, (bank, entering, 2, units // 2)),
        "down_proj": Stored("bank in out"),
    }


def _dbrx_experts(layer: Any) -> dict[str, Stored]:
    rows, width = layer.w1.shape
    shape = (layer.moe_num_experts, rows // layer.moe_num_experts, width)
    into = Stored("bank out in", None, shape)
    return {"w1": into, "v1": into, "w2": Stored("bank in out", None, shape)}


def _cond_conv(layer: Any) -> dict[str, Stored]:
    out, entering, *kernel = layer.weight_shape
    shape = (layer.num_experts, layer.groups, out // layer.groups, entering, *kernel)
    return {"weight": Stored("bank group out in", "bias", shape)}


def _deformable(layer: Any) -> dict[str, Stored]:
    out, *others = layer.weight.shape
    return {"weight": Stored("group out in", "bias", (layer.groups, out // layer.groups, *others))}


def _always(**weights: Stored) -> Callable[[Any], dict[str, Stored]]:
    return lambda _layer: dict(weights)


_HEADS_OUT: Final = Stored("in out out")  # einsum("ibh,hnd->ibnd")
_HEADS_IN: Final = Stored("out in in")  # einsum("ibnd,hnd->ibh")

LAYERS: Final[Mapping[str, Mapping[str, Callable[[Any], dict[str, Stored]]]]] = {
    "transformers": {
        "Conv1D": _always(weight=Stored("in out", "bias")),
        "Llama4TextExperts": _llama4_experts,
        "DbrxExpertGLU": _dbrx_experts,
        "JetMoeParallelExperts": _always(weight=Stored("bank out in")),
        "GraniteMoeParallelExperts": _always(weight=Stored("bank out in")),
        "MoshiFlexibleLinear": _always(weight=Stored("bank out in")),
        "KyutaiSpeechToTextFlexibleLinear": _always(weight=Stored("bank out in")),
        "CsmCodebooksHead": _always(weight=Stored("bank in out")),
        "InklingSharedExperts": _always(
            gate_proj=Stored("bank out in"), up_proj=Stored("bank out in"), down_proj=Stored("bank out in")
        ),
        "XLNetRelativeAttention": _always(q=_HEADS_OUT, k=_HEADS_OUT, v=_HEADS_OUT, r=_HEADS_OUT, o=_HEADS_IN),
        "FunnelRelMultiheadAttention": _always(r_kernel=_HEADS_OUT),
        "RecurrentGemmaRglru": _always(
            input_gate_weight=Stored("bank in out", "input_gate_bias"),
            recurrent_gate_weight=Stored("bank in out", "recurrent_gate_bias"),
        ),
        "ZambaMambaMixer": _always(x_proj_weight=Stored("bank out in"), dt_proj_weight=Stored("bank out in")),
        "SwiftFormerEfficientAdditiveAttention": _always(w_g=Stored("in out")),
        "GroupedLinearLayer": _always(weight=Stored("group in out", "bias")),
        "Gemma3MultiModalProjector": _always(mm_input_projection_weight=Stored("in out")),
        "T5Gemma2MultiModalProjector": _always(mm_input_projection_weight=Stored("in out")),
        "OmDetTurboLanguageBackbone": _always(text_projection=Stored("in out")),
        "XCLIPModel": _always(prompts_visual_projection=Stored("in out")),
        "QuantLinear": _always(weight=Stored("out in", "bias")),
        "QuantEmbedding": _always(weight=Stored("in out", one_hot=True)),
        "AMSoftmaxLoss": _always(weight=Stored("in out")),
    },
    "timm": {
        "CondConv2d": _cond_conv,
        "MultiQueryAttentionV2": _always(
            query_proj=Stored("out out in"),
            key_proj=Stored("in out"),
            value_proj=Stored("in out"),
            out_proj=Stored("out in in"),
        ),
        "EfficientAdditiveAttention": _always(w_g=Stored("in out")),
        "MLDecoder": _always(duplicate_pooling=Stored("bank in out")),
    },
    "torchvision": {"DeformConv2d": _deformable},
}
