"""Architectures of Hugging Face's transformers, from configurations with small numbers."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import transformers
from torch import nn

from scripts.zoo.architecture import Architecture
from scripts.zoo.batches import WORDS, numbers, words

# What a configuration's entries become, wherever it has them.
SMALL: Final[Mapping[str, int]] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "emb_dim", "embedding_size"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("head_dim", "d_kv", "d_head"), 8),
    **dict.fromkeys(("intermediate_size", "n_inner", "d_ff", "d_inner", "ffn_dim", "encoder_ffn_dim"), 64),
    **dict.fromkeys(("decoder_ffn_dim", "hidden_dim", "word_embed_proj_dim"), 64),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_source_positions"), 64),
    **dict.fromkeys(("pad_token_id", "decoder_start_token_id"), 0),
    **{"num_key_value_heads": 2, "num_experts_per_tok": 2, "max_target_positions": 64, "word_embed_proj_dim": 32},
    **{"image_size": 32, "patch_size": 8, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": WORDS},
}

# By model type, what it needs beside; names as in its configuration.
CAUSAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "gpt2": {},
    "openai-gpt": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "num_heads": 4},
    "gpt_neox": {},
    "gptj": {"rotary_dim": 4},
    "gpt_bigcode": {},
    "codegen": {"rotary_dim": 4},
    "llama": {},
    "mistral": {},
    "mixtral": {},
    "qwen2": {},
    "qwen2_moe": {},
    "qwen3": {},
    "qwen3_moe": {},
    "qwen3_next": {"layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 4,
                   "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8},
    "gpt_oss": {},
    "opt": {},
    "bloom": {},
    "falcon": {"head_dim": None},
    "phi": {},
    "phi3": {},
    "phimoe": {},
    "gemma": {},
    "gemma2": {},
    "gemma3_text": {},
    "deepseek_v2": {"head_dim": None, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16,
                    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "first_k_dense_replace": 1,
                    "n_group": 1, "topk_group": 1},
    "deepseek_v3": {"head_dim": None, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16,
                    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "first_k_dense_replace": 1,
                    "n_group": 1, "topk_group": 1},
    "olmo2": {},
    "olmoe": {},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
              "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "mamba": {},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1},
    "falcon_mamba": {},
    "rwkv": {},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"], "lru_width": 32, "attention_window_size": 16},
    "xglm": {},
    "ctrl": {"dff": 64},
    "stablelm": {},
    "starcoder2": {},
    "cohere": {},
    "granite": {},
    "granitemoe": {},
    "jetmoe": {},
    "nemotron": {},
    "glm4": {},
    "persimmon": {},
    "xlnet": {"max_position_embeddings": None},
    "llama4_text": {},
    "aria_text": {},
    "lfm2": {},
    "smollm3": {},
    "mpt": {},
    "biogpt": {},
    "arcee": {},
    "apertus": {},
}  # fmt: skip
MASKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "bert": {},
    "roberta": {},
    "albert": {},
    "distilbert": {},
    "electra": {},
    "deberta": {},
    "deberta-v2": {},
    "mobilebert": {"intra_bottleneck_size": 32, "true_hidden_size": 32},
    "squeezebert": {},
    "convbert": {"num_groups": 2},
    "funnel": {"num_hidden_layers": None, "block_sizes": [1, 1]},
    "fnet": {},
    "longformer": {"attention_window": 4},
    "mpnet": {},
    "ibert": {},
    "modernbert": {},
    "xlm": {},
    "nystromformer": {},
    "rembert": {"input_embedding_size": 32, "output_embedding_size": 32},
    "esm": {},
    "roformer": {},
}
TO_SEQUENCES: Final[Mapping[str, Mapping[str, Any]]] = {
    "t5": {},
    "bart": {},
    "mbart": {},
    "pegasus": {},
    "marian": {},
    "prophetnet": {"num_hidden_layers": None, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
                   "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4},
    "m2m_100": {},
    "umt5": {},
    "switch_transformers": {},
    "longt5": {},
}  # fmt: skip
# Waves: (rows, samples); features: (rows, frames, mel bands).
CONVOLUTIONS: Final[Mapping[str, Any]] = {
    "conv_dim": (16, 16), "conv_kernel": (10, 3), "conv_stride": (5, 2), "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.0,
}  # fmt: skip
WAVES: Final[Mapping[str, Mapping[str, Any]]] = {
    "wav2vec2": CONVOLUTIONS,
    "hubert": CONVOLUTIONS,
    "wavlm": CONVOLUTIONS,
    "unispeech": CONVOLUTIONS,
    "sew": {**CONVOLUTIONS, "squeeze_factor": 2},
    "data2vec-audio": {**CONVOLUTIONS, "conv_pos_kernel_size": 5},
    "wav2vec2-conformer": CONVOLUTIONS,
}
VISION: Final[Mapping[str, Mapping[str, Any]]] = {
    "vit": {},
    "deit": {},
    "beit": {},
    "dinov2": {},
    "yolos": {"image_size": [32, 32], "num_detection_tokens": 4},
    "segformer": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2],
                  "decoder_hidden_size": 32},
    "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "patch_size": 4},
    "swinv2": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "patch_size": 4},
    "convnext": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "patch_size": 4, "num_stages": 4,
                 "num_hidden_layers": None},
    "convnextv2": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "patch_size": 4, "num_stages": 4,
                   "num_hidden_layers": None},
    "resnet": {"embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "regnet": {"embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1], "groups_width": 8},
    "bit": {"embedding_size": 32, "hidden_sizes": [32, 32, 64, 64], "num_groups": 4, "depths": [1, 1, 1, 1]},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "mobilevit": {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 24, 24, 24, 32], "patch_size": 2},
    "poolformer": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "patch_size": 7},
    "levit": {"hidden_sizes": [16, 32, 32], "num_attention_heads": [1, 2, 2], "depths": [1, 1, 1],
              "key_dim": [8, 8, 8], "image_size": 64, "patch_size": 16},
    "pvt": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2],
            "patch_sizes": [4, 2, 2, 2]},
    "cvt": {"embed_dim": [8, 16, 32], "num_heads": [1, 1, 2], "depth": [1, 2, 3], "num_hidden_layers": None},
    "focalnet": {"embed_dim": 16, "depths": [1, 1], "focal_levels": [1, 1], "focal_windows": [3, 3], "patch_size": 4,
                 "hidden_sizes": [16, 32]},
    "swiftformer": {"embed_dims": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "image_size": 64},
}  # fmt: skip


HEADS: Final[Mapping[str, str]] = {
    "deit": "DeiTForImageClassification",
    "levit": "LevitForImageClassification",
    "yolos": "AutoModelForObjectDetection",
    "segformer": "AutoModelForSemanticSegmentation",
}
VITS: Final[Mapping[str, Any]] = {
    "ffn_dim": 32, "flow_size": 16, "spectrogram_bins": 9, "num_hidden_layers": 1, "num_attention_heads": 2,
    "prior_encoder_num_flows": 1, "prior_encoder_num_wavenet_layers": 1, "posterior_encoder_num_wavenet_layers": 1,
    "upsample_initial_channel": 16, "upsample_rates": [2, 2], "upsample_kernel_sizes": [4, 4],
    "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3]], "wavenet_kernel_size": 3,
    "duration_predictor_num_flows": 1, "duration_predictor_filter_channels": 16, "depth_separable_num_layers": 1,
    "duration_predictor_flow_bins": 4,
}  # fmt: skip
SENTENCES: Final = ("AutoModelForCausalLM", CAUSAL), ("AutoModelForMaskedLM", MASKED)
SPEECH: Final = "AutoModelForSpeechSeq2Seq"
# What takes neither waves nor one image: the class, the entries, and the batch.
OTHER_SOUND: Final[Mapping[str, tuple[str, Mapping[str, Any], Callable[[], Any]]]] = {
    "whisper": (SPEECH, {"num_mel_bins": 16, "max_source_positions": 16},
                lambda: {"input_features": numbers(16, 32), "decoder_input_ids": words()}),
    "speech_to_text": (SPEECH, {"input_feat_per_channel": 16, "conv_channels": 32, "max_source_positions": 64},
                       lambda: {"input_features": numbers(32, 16), "decoder_input_ids": words()}),
    "audio-spectrogram-transformer": ("AutoModelForAudioClassification", {"num_mel_bins": 16, "max_length": 32},
                                      lambda: numbers(32, 16)),
    "wav2vec2-bert": ("AutoModel", {"feature_projection_input_dim": 16}, lambda: numbers(20, 16)),
    "encodec": ("AutoModel", {"hidden_size": 16, "num_filters": 4, "codebook_size": 16, "codebook_dim": 16,
                              "upsampling_ratios": [4, 2]}, lambda: numbers(1, 320)),
    "dac": ("AutoModel", {"encoder_hidden_size": 8, "decoder_hidden_size": 32, "codebook_size": 16, "n_codebooks": 2,
                          "downsampling_ratios": [2, 4], "upsampling_ratios": [4, 2]}, lambda: numbers(1, 320)),
    "vits": ("AutoModel", VITS, lambda: {"input_ids": words()}),
}  # fmt: skip
PART: Final = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TWO_PARTS: Final[Mapping[str, Any]] = {
    "text_config": {**PART, "vocab_size": WORDS, "eos_token_id": 2, "max_position_embeddings": 64},
    "vision_config": {**PART, "image_size": 32, "patch_size": 8},
}
OTHER_VISION: Final[Mapping[str, tuple[str, Mapping[str, Any], Callable[[], Any]]]] = {
    "vit_mae": ("AutoModelForPreTraining", {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2, "decoder_intermediate_size": 32}, lambda: numbers(3, 32, 32)),
    "clip": ("AutoModel", {**TWO_PARTS, "projection_dim": 32},
             lambda: {"input_ids": words(), "pixel_values": numbers(3, 32, 32)}),
    "siglip": ("AutoModel", TWO_PARTS, lambda: {"input_ids": words(), "pixel_values": numbers(3, 32, 32)}),
}  # fmt: skip


def shrunk(kind: str, more: Mapping[str, Any]) -> transformers.PretrainedConfig:
    """A model type's configuration with small numbers.

    Args:
        kind: The model type, e.g. `"llama"`.
        more: Further entries; None leaves an entry of `SMALL` to the configuration.
    """
    default = transformers.AutoConfig.for_model(kind)
    small = {
        key: value
        for key, value in SMALL.items()
        if key not in more and isinstance(getattr(default, key, None), int | float | None) and hasattr(default, key)
    }
    own = {key: value for key, value in more.items() if value is not None}
    config: transformers.PretrainedConfig = transformers.AutoConfig.for_model(kind, **{**small, **own})
    return config


def networks() -> Iterator[Architecture]:
    """Every architecture that is built from transformers."""
    language, audio, vision = (f"transformers: {what}" for what in ("language", "audio", "vision"))
    for auto, kinds in SENTENCES:
        for kind, more in kinds.items():
            yield _of(kind, language, auto, more, lambda: {"input_ids": words()})
    for kind, more in TO_SEQUENCES.items():
        both = {"input_ids": words(), "decoder_input_ids": words()}
        yield _of(kind, language, "AutoModelForSeq2SeqLM", more, partial(dict, both))
    for kind, more in WAVES.items():
        yield _of(kind, audio, "AutoModel", more, partial(numbers, 400))
    for kind, more in VISION.items():
        size = more.get("image_size", 32)
        shape = (size, size) if isinstance(size, int) else size
        yield _of(kind, vision, HEADS.get(kind, "AutoModelForImageClassification"), more, partial(numbers, 3, *shape))
    for family, others in ((audio, OTHER_SOUND), (vision, OTHER_VISION)):
        for kind, (auto, more, batch) in others.items():
            yield _of(kind, family, auto, more, batch)


def _of(kind: str, family: str, auto: str, more: Mapping[str, Any], batch: Callable[[], Any]) -> Architecture:
    def build() -> nn.Module:
        kind_of, config = getattr(transformers, auto), shrunk(kind, more)
        model: nn.Module = kind_of.from_config(config) if auto.startswith("AutoModel") else kind_of(config)
        return model

    return Architecture(f"transformers/{kind}", family, build, batch)
