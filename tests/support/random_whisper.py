"""Multilingual Whisper models of any shape with random weights: what they say is noise, but how they are asked, and
what that costs, is as with real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ctranslate2.specs import WhisperSpec
from faster_whisper.tokenizer import _LANGUAGE_CODES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TEXT_TOKENS = 50_257
"""As in Whisper's multilingual models, the last one empty: CTranslate2 tells by it that a model is multilingual."""
TIMES = 1501


def random_whisper(
    folder: Path,
    *,
    width: int = 64,
    layers: int = 1,
    heads: int = 2,
    quantization: str = "float32",
    aligns: bool = True,
) -> Path:
    """Writes a model into `folder`. The defaults give 14 MB in half a second; base is 512 wide, 6 layers, 8 heads.

    `aligns`: its configuration says which heads align words to sound.
    """
    random = np.random.default_rng(7)
    spec = WhisperSpec(layers, heads, layers, heads)
    vocabulary, languages = _vocabulary()
    _fill(spec, random, width, len(vocabulary))
    spec.register_vocabulary(vocabulary)
    spec.config.lang_ids = languages
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], []
    spec.config.alignment_heads = [(layers - 1, head) for head in range(heads)] if aligns else []
    spec.validate()
    spec.optimize(quantization=quantization)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    _tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    return folder


def _vocabulary() -> tuple[list[str], list[int]]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    text = [*letters, *(f"Ġw{number}" for number in range(TEXT_TOKENS - len(letters) - 1)), ""]
    codes = [code for code in _LANGUAGE_CODES if code != "yue"]
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in codes), "<|translate|>",
               "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip
    times = [f"<|{number * 0.02:.2f}|>" for number in range(TIMES)]
    first = len(text) + 2
    return [*text, *special, *times], list(range(first, first + len(codes)))


def _tokenizer(vocabulary: list[str]) -> Tokenizer:
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.BPE({token: numbers[token] for token in vocabulary[:TEXT_TOKENS]}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in vocabulary[TEXT_TOKENS:]])
    return tokenizer


def _fill(spec: Any, random: np.random.Generator, width: int, words: int) -> None:
    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return random.normal(0, 1 / np.sqrt(shape[-1]), shape).astype(np.float32)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = weights(outputs, inputs), np.zeros(outputs, np.float32)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(layer: Any) -> None:
        norm(layer.layer_norm)
        sizes = (3, 1) if len(layer.linear) == 2 else (1, 2, 1)
        for part, size in zip(layer.linear, sizes, strict=True):
            linear(part, size * width, width)

    def block(layer: Any) -> None:
        attention(layer.self_attention)
        if hasattr(layer, "attention"):
            attention(layer.attention)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 4 * width, width)
        linear(layer.ffn.linear_1, width, 4 * width)

    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = weights(width, 80, 3), np.zeros(width, np.float32)
    encoder.conv2.weight, encoder.conv2.bias = weights(width, width, 3), np.zeros(width, np.float32)
    encoder.position_encodings.encodings = weights(1500, width)
    decoder.position_encodings.encodings = weights(448, width)
    decoder.embeddings.weight = weights(words, width)
    decoder.projection.weight = decoder.embeddings.weight
    for part in (encoder, decoder):
        norm(part.layer_norm)
        for layer in part.layer:
            block(layer)
