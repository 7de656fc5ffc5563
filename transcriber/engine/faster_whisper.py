"""Whisper models on CTranslate2. The only file that imports faster_whisper or ctranslate2.

`WhisperModel.transcribe` always pays for a 30 s window; here the encoder gets the smallest of a few sizes that holds
the speech, at a tenth of the cost. Features are padded with 0.0, as faster-whisper does (measured on the demo model:
better than padding with silence or with the quietest value), and time tokens are always on (without them a window that
ends in the middle of speech is often said twice).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transcriber.config import Settings
from transcriber.core.windows import Hypothesis, Samples, Window, Word
from transcriber.engine.base import ModelError
from transcriber.engine.models import resolve

BUCKETS = (600, 800, 1000, 1500, 3000)
"""Encoder inputs, in frames of 10 ms."""
MARGIN = 30
"""Frames of padding that follow the speech at least."""
FULL = 3000
BEAM = 5
MAX_PROMPT_TOKENS = 100
TOKENS_PER_SECOND, FREE_TOKENS = 12, 16
"""The decoder is stopped here; what reaches it is a loop."""


class FasterWhisper:
    """One model, shared by all streams.

    Args:
        folder: A CTranslate2 Whisper model.
        name: What to call it.
        device: auto, cpu or cuda.
        compute_type: CTranslate2's; `default` means int8 on CPUs and float16 on GPUs.
        threads: Threads per pass (CPU).
        parallel: Passes at once.

    Raises:
        ModelError: The folder holds no usable model, or the device is not there.
    """

    def __init__(
        self, folder: Path, name: str, *, device: str = "auto", compute_type: str = "default", threads: int = 1,
        parallel: int = 1,
    ) -> None:  # fmt: skip
        import ctranslate2
        from faster_whisper import WhisperModel

        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        if compute_type == "default":
            compute_type = "int8" if device == "cpu" else "float16"
        try:
            self._whisper: Any = WhisperModel(
                str(folder), device=device, compute_type=compute_type, cpu_threads=threads, num_workers=parallel,
                local_files_only=True,
            )  # fmt: skip
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"The model {name} in {folder} cannot be loaded on {device}: {error}") from error
        self.name = name
        self.batch = 1
        self.device = device
        self._tokenizers: dict[tuple[str, str], Any] = {}
        multilingual = self._whisper.model.is_multilingual
        self.languages = frozenset(self._whisper.supported_languages) if multilingual else frozenset({"en"})

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One after the other: stacking windows gains nothing on a CPU."""
        return [self._decode(window) for window in windows]

    def warm_up(self) -> None:
        """One pass per window size, so that the first client does not pay for lazy allocations."""
        for frames in BUCKETS:
            self._decode(Window(np.zeros((frames - MARGIN - 1) * 160, np.int16), careful=True))

    def _decode(self, window: Window) -> Hypothesis:
        features = self._features(window.samples)
        content = features.shape[1]
        encoded = self._whisper.encode(pad(features, FULL if window.full else bucket(content)))
        language, probability = self._language(window.language, encoded)
        tokenizer = self._tokenizer(language, window.task)
        seconds = len(window.samples) / 16_000
        result = self._whisper.model.generate(
            encoded,
            [self._prompt(tokenizer, window)],
            beam_size=BEAM if window.careful else 1,
            max_length=min(448, 2 * int(FREE_TOKENS + TOKENS_PER_SECOND * seconds)),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        return Hypothesis(
            text=tokenizer.decode(tokens).strip(),
            language=language,
            language_probability=probability,
            tokens=len(tokens),
            avg_logprob=float(result.scores[0]),
            no_speech=float(result.no_speech_prob),
            words=self._words(tokenizer, tokens, encoded, content) if window.words and tokens else (),
        )

    def _features(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Log-mel features, shape (mels, frames); the last frame is padding of the extractor's."""
        audio = samples.astype(np.float32) / np.float32(32768)
        features: npt.NDArray[np.float32] = self._whisper.feature_extractor(audio)[..., :-1]
        return features[:, :FULL]

    def _language(self, wanted: str | None, encoded: Any) -> tuple[str, float]:
        if len(self.languages) == 1:
            return next(iter(self.languages)), 1.0
        if wanted is not None:
            return wanted, 1.0
        token, probability = self._whisper.model.detect_language(encoded)[0][0]
        return token[2:-2], float(probability)

    def _tokenizer(self, language: str, task: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        key = (language, task)
        if key not in self._tokenizers:
            multilingual = self._whisper.model.is_multilingual
            self._tokenizers[key] = Tokenizer(self._whisper.hf_tokenizer, multilingual, task=task, language=language)
        return self._tokenizers[key]

    def _prompt(self, tokenizer: Any, window: Window) -> list[int]:
        """What the decoder starts from."""
        before: list[int] = []
        if window.prompt:
            before = [tokenizer.sot_prev, *tokenizer.encode(" " + window.prompt.strip())[:MAX_PROMPT_TOKENS]]
        return [*before, *tokenizer.sot_sequence]

    def _words(self, tokenizer: Any, tokens: list[int], encoded: Any, frames: int) -> tuple[Word, ...]:
        found = self._whisper.find_alignment(tokenizer, [tokens], encoded, frames)[0]
        return tuple(
            Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"]))
            for word in found
            if word["word"].strip()
        )


def load(settings: Settings) -> FasterWhisper:
    """Finds, loads and warms up the model. Blocks. Raises ModelError."""
    engine = FasterWhisper(
        resolve(settings.model), settings.model, device=settings.device, compute_type=settings.compute_type,
        threads=settings.threads, parallel=settings.parallel,
    )  # fmt: skip
    engine.warm_up()
    return engine


def repository(name: str) -> str | None:
    """Where the model hub keeps a model of this short name."""
    from faster_whisper.utils import _MODELS

    found: str | None = _MODELS.get(name)
    return found


def bucket(frames: int) -> int:
    """The smallest encoder input that holds this many frames and the margin."""
    return next((size for size in BUCKETS if frames + MARGIN <= size), FULL)


def pad(features: npt.NDArray[np.float32], frames: int) -> npt.NDArray[np.float32]:
    """Features of exactly this many frames."""
    return np.pad(features[:, :frames], ((0, 0), (0, max(0, frames - features.shape[1]))))
