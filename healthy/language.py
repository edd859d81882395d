"""Models of transformers, with few and narrow layers and random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 99,
    "max_position_embeddings": 64,
}
DECODER = {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 99}
BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "vocab_size": 99,
    "max_position_embeddings": 64,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 99, "n_positions": 64}

TEXT = (
    ("BertModel", "BertConfig", SMALL),
    ("RobertaModel", "RobertaConfig", SMALL),
    ("GPT2Model", "GPT2Config", GPT2),
    ("OPTModel", "OPTConfig", {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    ("LlamaModel", "LlamaConfig", DECODER),
    ("MistralModel", "MistralConfig", DECODER),
    ("GemmaModel", "GemmaConfig", DECODER),
    ("Gemma2Model", "Gemma2Config", DECODER),
    ("Qwen3Model", "Qwen3Config", DECODER),
    ("Olmo2Model", "Olmo2Config", {**SMALL, "num_key_value_heads": 2}),
    ("PhiModel", "PhiConfig", {**SMALL, "num_key_value_heads": 4}),
    ("BartModel", "BartConfig", BART),
    ("T5EncoderModel", "T5Config", T5),
)


def models() -> Iterator[tuple[str, Callable[[], tuple[Any, Any]]]]:
    """The name of each, and what makes the model and the inputs."""
    for name, config, settings in TEXT:
        yield (
            f"transformers {name}",
            lambda name=name, config=config, settings=settings: _made(name, config, settings),
        )


def _made(name: str, config: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    import torch
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, name)(getattr(transformers, config)(**settings))
    rng = np.random.default_rng(0)
    return model, {"input_ids": rng.integers(2, 90, size=(3, 12))}
