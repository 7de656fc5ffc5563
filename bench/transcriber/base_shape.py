"""An engine that says what the demo model says and costs what Whisper base costs.

Random weights never stop and never agree, so their text is worth nothing; their time is as good as any, as it does not
depend on the values. So the demo model decodes every window (its own cost, about a sixth more, comes on top,
on both servers), and each of its calls is made once more on a model of base's shape with random int8 weights: an encode
of the same batch and frames; a generate with the same beams and sampling, and as many steps as the demo model's text
would have tokens; an align of as many tokens. In a batch all items get the mean number of steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transcriber.config import Settings
from transcriber.engine.faster_whisper import FasterWhisper

FOLDER = Path(__file__).parents[2] / "build" / "base-shape"
WIDTH, LAYERS, HEADS, MELS, VOCABULARY = 512, 6, 8, 80, 51_865
END, START, ENGLISH, TRANSCRIBE, PREVIOUS, NO_SPEECH, NO_TIMES = 50_257, 50_258, 50_259, 50_359, 50_361, 50_362, 50_363
TOKENS_PER_WORD, TIMESTAMPS = 1.3, 2
SAME = ("beam_size", "num_hypotheses", "patience", "sampling_topk", "sampling_temperature", "repetition_penalty",
        "no_repeat_ngram_size", "return_scores", "return_no_speech_prob", "suppress_blank")  # fmt: skip
"""Options of generate that cost time."""


def load(settings: Settings) -> FasterWhisper:
    """Our engine, as `Settings.engine` names it: the service's own, with the cost of base."""
    from transcriber.engine.faster_whisper import load as load_demo

    engine = load_demo(settings)
    cost_like_base(engine._whisper)
    engine.warm_up()
    return engine


def cost_like_base(whisper: Any) -> Any:
    """Changes a faster-whisper `WhisperModel` of the demo model."""
    whisper.model = Mirrored(whisper.model, whisper.hf_tokenizer)
    return whisper


class Mirrored:
    """A CTranslate2 Whisper model whose every call is made on another one as well."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        import ctranslate2

        self._model = model
        self._tokenizer = tokenizer
        self._base = ctranslate2.models.Whisper(str(build()), device="cpu", compute_type="int8", intra_threads=1)
        self._memory = np.random.default_rng(0).standard_normal((1, 1500, WIDTH)).astype(np.float32)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, features: Any, *given: Any, **named: Any) -> Any:
        """Of any batch and length."""
        self._base.encode(features)
        return self._model.encode(features, *given, **named)

    def generate(self, encoded: Any, prompts: Sequence[Sequence[int]], **named: Any) -> Any:
        """From encoded audio."""
        results = self._model.generate(encoded, prompts, **named)
        steps = round(np.mean([self._steps(result.sequences_ids[0]) for result in results]))
        longest = max(len(prompt) for prompt in prompts) - 1
        prompt = [PREVIOUS, *[1000] * (longest - 1)] if longest > 1 else []
        prompt += [START, ENGLISH, TRANSCRIBE]
        self._base.generate(
            self._encoded(encoded),
            [prompt] * len(prompts),
            max_length=max(2 * steps, len(prompt) + steps),
            suppress_tokens=[END],
            **{name: named[name] for name in SAME if name in named},
        )
        return results

    def align(
        self, encoded: Any, start: Sequence[int], tokens: Sequence[Sequence[int]], *given: Any, **named: Any
    ) -> Any:
        """Text with encoded audio."""
        same = [[1000] * (self._steps(text) - TIMESTAMPS) for text in tokens]
        self._base.align(self._encoded(encoded), [START, ENGLISH, TRANSCRIBE], same, *given, **named)
        return self._model.align(encoded, start, tokens, *given, **named)

    def _steps(self, tokens: Iterable[int]) -> int:
        """Tokens that base would need for the words of this text."""
        end = self._tokenizer.token_to_id("<|endoftext|>")
        count = len(self._tokenizer.decode([token for token in tokens if token < end]).split())
        return max(TIMESTAMPS + 1, round(TOKENS_PER_WORD * count) + TIMESTAMPS)

    def _encoded(self, encoded: Any) -> Any:
        """What base's encoder would have made, shape (batch, frames / 2, WIDTH)."""
        import ctranslate2

        batch, length = encoded.shape[0], encoded.shape[1]
        memory = np.repeat(self._memory[:, :length], batch, axis=0)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(memory))


def build() -> Path:
    """The folder of the random model; made on first use, in seconds."""
    if not (FOLDER / "model.bin").exists():
        making = FOLDER.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        spec = _spec()
        spec.validate()
        spec.optimize(quantization="int8")
        spec.save(str(making))
        making.rename(FOLDER)
    return FOLDER


def _spec() -> Any:
    from ctranslate2.specs import WhisperSpec

    rng = np.random.default_rng(0)

    def weight(*shape: int) -> npt.NDArray[np.float32]:
        return (0.02 * rng.standard_normal(shape)).astype(np.float32)

    def linear(layer: Any, outputs: int, inputs: int) -> None:
        layer.weight, layer.bias = weight(outputs, inputs), weight(outputs)

    def norm(layer: Any) -> None:
        layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def block(layer: Any, *, cross: bool) -> None:
        norm(layer.self_attention.layer_norm)
        linear(layer.self_attention.linear[0], 3 * WIDTH, WIDTH)
        linear(layer.self_attention.linear[1], WIDTH, WIDTH)
        if cross:
            norm(layer.attention.layer_norm)
            linear(layer.attention.linear[0], WIDTH, WIDTH)
            linear(layer.attention.linear[1], 2 * WIDTH, WIDTH)
            linear(layer.attention.linear[2], WIDTH, WIDTH)
        norm(layer.ffn.layer_norm)
        linear(layer.ffn.linear_0, 4 * WIDTH, WIDTH)
        linear(layer.ffn.linear_1, WIDTH, 4 * WIDTH)

    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    spec.encoder.conv1.weight, spec.encoder.conv1.bias = weight(WIDTH, MELS, 3), weight(WIDTH)
    spec.encoder.conv2.weight, spec.encoder.conv2.bias = weight(WIDTH, WIDTH, 3), weight(WIDTH)
    spec.encoder.position_encodings.encodings = weight(1500, WIDTH)
    spec.decoder.position_encodings.encodings = weight(448, WIDTH)
    spec.decoder.embeddings.weight = weight(VOCABULARY, WIDTH)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for part, cross in ((spec.encoder, False), (spec.decoder, True)):
        norm(part.layer_norm)
        for layer in part.layer:
            block(layer, cross=cross)
    spec.register_vocabulary(vocabulary())
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [END]
    spec.config.lang_ids = list(range(ENGLISH, ENGLISH + 99))
    spec.config.alignment_heads = [(3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6)]
    return spec


def vocabulary() -> list[str]:
    """Token names where the library looks for them; the others are numbers."""
    names = {
        END: "<|endoftext|>", START: "<|startoftranscript|>", ENGLISH: "<|en|>", TRANSCRIBE - 1: "<|translate|>",
        TRANSCRIBE: "<|transcribe|>", PREVIOUS - 1: "<|startoflm|>", PREVIOUS: "<|startofprev|>",
        NO_SPEECH: "<|nospeech|>", NO_TIMES: "<|notimestamps|>",
    }  # fmt: skip
    names |= {NO_TIMES + 1 + step: f"<|{step * 0.02:.2f}|>" for step in range(1501)}
    return [names.get(index, f"t{index}") for index in range(VOCABULARY)]
