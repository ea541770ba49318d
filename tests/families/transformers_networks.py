"""Tiny configurations of common transformers: random weights, one or two layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn

__all__ = ["CREATORS", "create"]

_WORDS = 60


def _ids(length: int = 8) -> torch.Tensor:
    return torch.randint(3, _WORDS, (2, length))


def _bert() -> tuple[nn.Module, Any]:
    config = transformers.BertConfig(
        vocab_size=_WORDS,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=16,
    )
    ids = _ids()
    mask = torch.ones_like(ids)
    mask[0, -3:] = 0
    return transformers.BertModel(config), {"input_ids": ids, "attention_mask": mask}


def _gpt2() -> tuple[nn.Module, Any]:
    config = transformers.GPT2Config(
        vocab_size=_WORDS, n_positions=16, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1
    )
    return transformers.GPT2LMHeadModel(config), {"input_ids": _ids()}


def _gpt2_without_cache() -> tuple[nn.Module, Any]:
    model, inputs = _gpt2()
    return model, inputs | {"use_cache": False}


def _llama() -> tuple[nn.Module, Any]:
    config = transformers.LlamaConfig(
        vocab_size=_WORDS,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        use_cache=False,
    )
    return transformers.LlamaForCausalLM(config), {"input_ids": _ids()}


def _vit() -> tuple[nn.Module, Any]:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        num_labels=5,
    )
    return transformers.ViTForImageClassification(config), {"pixel_values": torch.randn(2, 3, 32, 32)}


def _t5() -> tuple[nn.Module, Any]:
    config = transformers.T5Config(
        vocab_size=_WORDS,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        use_cache=False,
        decoder_start_token_id=0,
    )
    inputs = {"input_ids": _ids(), "decoder_input_ids": _ids(6)}
    return transformers.T5ForConditionalGeneration(config), inputs


def _whisper() -> transformers.WhisperModel:
    config = transformers.WhisperConfig(
        vocab_size=_WORDS,
        num_mel_bins=8,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=48,
        decoder_ffn_dim=48,
        max_source_positions=12,
        max_target_positions=16,
        use_cache=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    return transformers.WhisperModel(config)


def _whisper_encoder() -> tuple[nn.Module, Any]:
    return _whisper().encoder, {"input_features": torch.randn(2, 8, 24)}


def _whisper_decoder() -> tuple[nn.Module, Any]:
    inputs = {"input_ids": _ids(), "encoder_hidden_states": torch.randn(2, 12, 32)}
    return _whisper().decoder, inputs


def _whisper_whole() -> tuple[nn.Module, Any]:
    inputs = {"input_features": torch.randn(2, 8, 24), "decoder_input_ids": _ids(6)}
    return _whisper(), inputs


CREATORS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "bert": _bert,
    "gpt2": _gpt2,
    "gpt2 without cache": _gpt2_without_cache,
    "llama": _llama,
    "vit": _vit,
    "t5": _t5,
    "whisper encoder": _whisper_encoder,
    "whisper decoder": _whisper_decoder,
    "whisper": _whisper_whole,
}


def create(name: str) -> tuple[nn.Module, Any]:
    """A network and its keyword arguments."""
    return CREATORS[name]()
