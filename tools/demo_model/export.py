"""Stage 3: a checkpoint as a CTranslate2 model.   python export.py work/model.pt work/demo [work/other.pt SHARE]

With a second checkpoint the weights are averaged: SHARE of it, the rest of the first.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import ctranslate2
import torch
from network import DECODERS, ENCODERS, HEADS, POSITIONS, WIDTH
from tokens import COUNT, END, LANGUAGES, NO_TIMES, START, TOKENIZER
from transformers import GenerationConfig, PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

PREPROCESSOR = {
    "chunk_length": 15, "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "hop_length": 160, "n_fft": 400, "n_samples": 240_000, "nb_max_frames": 1500,
    "padding_side": "right", "padding_value": 0.0, "processor_class": "WhisperProcessor",
    "return_attention_mask": False, "sampling_rate": 16_000,
}  # fmt: skip


def whisper(weights: dict[str, torch.Tensor]) -> WhisperForConditionalGeneration:
    """The same network as transformers knows it, without the heads for training."""
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=COUNT, num_mel_bins=80, encoder_layers=ENCODERS, decoder_layers=DECODERS,
            encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=4 * WIDTH,
            decoder_ffn_dim=4 * WIDTH, d_model=WIDTH, max_source_positions=POSITIONS, max_target_positions=448,
            pad_token_id=END, bos_token_id=END, eos_token_id=END, decoder_start_token_id=START, suppress_tokens=None,
            begin_suppress_tokens=None, tie_word_embeddings=True,
        )
    )  # fmt: skip
    named = {
        f"model.{name}": value for name, value in weights.items() if not name.startswith(("frame_words", "phones"))
    }
    named["proj_out.weight"] = named["model.decoder.embed_tokens.weight"]
    problems = model.load_state_dict(named, strict=False)
    if problems.missing_keys or problems.unexpected_keys:
        raise SystemExit(f"the checkpoint does not fit: {problems}")
    model.tie_weights()
    generation = GenerationConfig(bos_token_id=END, eos_token_id=END, pad_token_id=END, decoder_start_token_id=START)
    generation.suppress_tokens = []
    generation.begin_suppress_tokens = [
        TOKENIZER.encode(" ", add_special_tokens=False).ids[0]
    ]  # an empty result may be
    generation.alignment_heads = [[DECODERS - 1, 0]]
    generation.lang_to_id = {f"<|{language}|>": TOKENIZER.token_to_id(f"<|{language}|>") for language in LANGUAGES}
    generation.no_timestamps_token_id, generation.is_multilingual = NO_TIMES, False
    model.generation_config = generation
    return model


def main() -> None:
    """Converts."""
    weights, target = torch.load(sys.argv[1]), sys.argv[2]
    if len(sys.argv) > 4:
        other, share = torch.load(sys.argv[3]), float(sys.argv[4])
        weights = {name: (1 - share) * value + share * other[name] for name, value in weights.items()}
    with tempfile.TemporaryDirectory() as folder:
        whisper(weights).save_pretrained(folder)
        end = "<|endoftext|>"
        PreTrainedTokenizerFast(
            tokenizer_object=TOKENIZER, eos_token=end, bos_token=end, unk_token=end, pad_token=end
        ).save_pretrained(folder)
        TOKENIZER.save(f"{folder}/tokenizer.json", pretty=False)
        Path(folder, "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1))
        converter = ctranslate2.converters.TransformersConverter(
            folder, copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(target, quantization="int8", force=True)


if __name__ == "__main__":
    main()
