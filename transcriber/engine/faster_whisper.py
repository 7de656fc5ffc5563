"""Whisper models on CTranslate2. The only module that runs them.

`WhisperModel.transcribe` always pays for a 30 s window and decodes one at a time; here the encoder gets as little as
holds the speech (`features.py`), and windows of one size are decoded together. Time tokens are always on: without them
a window that ends in the middle of speech is often said twice.

CPU milliseconds per window of 2.5 s, 8 windows in calls of 1 / 2 / 4 / 8, one core, int8; 10 tokens by the demo model,
12 by a model of base's shape:

    demo, partial              15.5 / 14.9 / 14.5 / 14.3    base, partial              150 / 118 / 106 / 101
    demo, partial with words   17.0 / 16.2 / 16.0 / 15.8    base, partial with words   165 / 150 / 133 / 131
    demo, final with words     18.2 / 16.8 / 16.5 / 16.8    base, final with words     198 / 177 / 164 / 159
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from common.audio.pcm import SAMPLE_RATE
from transcriber.config import Settings
from transcriber.core.languages import choose_language
from transcriber.core.windows import Hypothesis, Phrase, Window, Word
from transcriber.engine.base import ModelError
from transcriber.engine.features import (
    BUCKET_FRAMES,
    HOP_SAMPLES,
    MIN_WINDOW_SAMPLES,
    Extractor,
    Features,
    bucket,
)
from transcriber.engine.models import resolve
from transcriber.engine.phrases import SECONDS_PER_TIME_TOKEN, TokenPhrase, before_end, token_phrases
from transcriber.engine.window_sizes import FULL_WINDOW_FRAMES, FULL_WINDOWS, WindowSizes, find

BEAM_SIZE = 5
MAX_PROMPT_TOKENS = 100
MAX_OUTPUT_TOKENS_PER_S, OUTPUT_TOKEN_ALLOWANCE = 12, 16
"""The decoder is stopped here; what reaches it is a loop."""
MAX_SPELLED_TOKENS_PER_S = 60
SPELLED_LANGUAGES = frozenset(
    ("am", "as", "bn", "bo", "gu", "hi", "hy", "ka", "km", "kn", "lo", "ml", "mn", "mr", "my", "ne", "pa", "sa", "si",
     "ta", "te", "th")
)  # fmt: skip
"""Where the decoder is stopped in languages whose letters have a token or several each: counted, 14 to 66 a second."""
MAX_DECODER_TOKENS = 448
"""Tokens that the decoder has positions for."""
ENCODER_POSITIONS_PER_S = 50
"""Encoder outputs per second of audio."""
FRAMES_PER_S = 100
MAX_CPU_BATCH_WINDOWS, MAX_GPU_BATCH_WINDOWS = 4, 16
"""Windows per call at most: on a CPU more gains nothing (above); what a GPU gains has not been measured."""
MAX_GPU_BATCH_FULL_WINDOWS = 8
"""The same for windows of recordings, of 30 s each, for which what is live may have to wait: faster-whisper's own."""
MAX_BATCH_ENCODE_S = 0.2
"""What the encoding of a batch, half of its work, may take on a CPU: what is urgent may have to wait for it."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BatchItem:
    """One window on its way through the model."""

    window: Window
    place: int
    """Its index in the call."""
    features: Features
    frames: int
    """How many of the features' are not padding."""
    prompt: list[int]
    told: list[int]
    """Tokens of what was said before the window."""
    language: str = ""
    probability: float = 1.0
    tokenizer: Any = None
    logprob: float = 0.0
    """Mean of what it says; CTranslate2 divides by what it was told, too."""
    phrases: list[TokenPhrase] = field(default_factory=list)
    words: tuple[Word, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """Of its text."""
        return [token for phrase in self.phrases for token in phrase.tokens]

    @property
    def text(self) -> str:
        """What is said in its window. Of what it is told the end may be missing: words that are heard before the window
        are that, and not said again."""
        if not self.told:
            return str(self.tokenizer.decode(self.tokens)).strip()
        return "".join(word.text for word in self.words).strip()

    @property
    def offset(self) -> float:
        """Seconds of audio before its window."""
        return len(self.window.before.samples) / SAMPLE_RATE if self.window.before else 0.0

    @property
    def forced(self) -> list[int]:
        """What the decoder's text begins with: what was said before, between time tokens. The model must then say when
        it goes on, or that it does not."""
        if not self.told:
            return []
        zero: int = self.tokenizer.timestamp_begin
        return [zero, *self.told, zero + round(self.offset / SECONDS_PER_TIME_TOKEN)]

    @property
    def group(self) -> tuple[int, int, int, int, float]:
        """Items with the same value can be decoded together: CTranslate2 wants the same shape, beam, temperature, and
        length of what it is told before and after the task tokens, whose number is the same for all."""
        return self.features.shape[1], self.beam, len(self.prompt), len(self.told), self.window.temperature

    @property
    def beam(self) -> int:
        """1 is greedy, or drawn."""
        return BEAM_SIZE if self.window.careful and not self.window.temperature else 1

    @property
    def most(self) -> int:
        """Tokens that its text has at most, once the language is known."""
        rate = MAX_SPELLED_TOKENS_PER_S if self.language in SPELLED_LANGUAGES else MAX_OUTPUT_TOKENS_PER_S
        return int(OUTPUT_TOKEN_ALLOWANCE + rate * self.frames / FRAMES_PER_S)


class FasterWhisper:
    """One model, shared by all streams.

    Args:
        folder: A CTranslate2 Whisper model.
        name: What to call it.
        device: auto, cpu or cuda.
        device_index: Which GPU.
        compute_type: CTranslate2's; `default` means int8 on CPUs and float16 on GPUs.
        threads: Threads per pass (CPU).
        parallel: Passes at once.
        sizes: How short the encoder's inputs may be; None: as was measured for this folder, else full windows.

    Raises:
        ModelError: The folder holds no usable model, or the device is not there.
    """

    def __init__(
        self, folder: Path, name: str, *, device: str = "auto", device_index: int = 0, compute_type: str = "default",
        threads: int = 1, parallel: int = 1, sizes: WindowSizes | None = None,
    ) -> None:  # fmt: skip
        import ctranslate2
        from faster_whisper import WhisperModel

        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        if device == "cuda" and device_index >= (count := ctranslate2.get_cuda_device_count()):
            found = f"they are numbered from 0 to {count - 1}" if count else "CTranslate2 finds none"
            raise ModelError(f"There is no GPU {device_index} here ({found}): see --device and --device-index.")
        if compute_type == "default":
            compute_type = "int8" if device == "cpu" else "float16"
        try:
            self._whisper: Any = WhisperModel(
                str(folder), device=device, device_index=device_index if device == "cuda" else 0,
                compute_type=compute_type, cpu_threads=threads, num_workers=parallel, local_files_only=True,
            )  # fmt: skip
        except (RuntimeError, ValueError, OSError) as error:
            if re.search(r"model\.bin|payload size", str(error)):
                problem = f"{folder / 'model.bin'} is damaged or not whole: copy or convert it anew ({error})."
                raise ModelError(problem) from error
            raise ModelError(f"The model {name} in {folder} cannot be loaded on {device}: {error}") from error
        self.name = name
        self.fetching_s = 0.0
        self.device = device
        self.batch = MAX_CPU_BATCH_WINDOWS if device == "cpu" else MAX_GPU_BATCH_WINDOWS
        self.full_batch = 1 if device == "cpu" else MAX_GPU_BATCH_FULL_WINDOWS
        sizes = sizes or find(folder) or FULL_WINDOWS
        self.longest_window = sizes.packed / FRAMES_PER_S
        self.use(sizes)
        self._storage = ctranslate2.StorageView.from_array
        self._host = ctranslate2.Device.cpu
        self._tokenizers: dict[tuple[str, str], Any] = {}
        self._aligns = True
        self._multilingual: bool = self._whisper.model.is_multilingual
        self.languages = frozenset(self._whisper.supported_languages) if self._multilingual else frozenset({"en"})

    def use(self, sizes: WindowSizes) -> None:
        """Encoder inputs are of these sizes from now on."""
        self.sizes = sizes
        self._extract = Extractor(self._whisper.feature_extractor, sizes)

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window, in their order, as if each were decoded alone. Nothing is heard in less than
        20 ms.

        Raises:
            ValueError: A window is longer than 30 s, or its language is not the model's.
        """
        results = [Hypothesis("", self._default(window), no_speech=1.0) for window in windows]
        groups: dict[tuple[int, int, int, int, float], list[BatchItem]] = {}
        for place, window in enumerate(windows):
            if len(window.samples) >= MIN_WINDOW_SAMPLES:
                told = self._told(window)
                if not told:
                    window = replace(window, before=None)
                features, frames = self._extract(window)
                item = BatchItem(window, place, features, frames, self._prompt(window), told)
                groups.setdefault(item.group, []).append(item)
        for group in groups.values():
            for item, result in zip(group, self._decode(group), strict=True):
                results[item.place] = result
        return results

    def warm_up(self) -> None:
        """One pass per window size, so that the first client does not pay for lazy allocations; then sees whether the
        model can tell when words are said, and how many windows this machine encodes in good time."""
        sizes = self.sizes
        least = bucket(min(sizes.partial, sizes.careful))
        for frames in BUCKET_FRAMES:
            if frames >= least:
                silence = np.zeros((frames - sizes.margin) * HOP_SAMPLES, np.int16)
                self.transcribe([Window(silence, careful=frames >= sizes.careful)])
        short = self._storage(np.zeros((1, self._whisper.model.n_mels, least), np.float32))
        self._aligns = self._can_align(short)
        if self.device == "cpu":
            started = time.perf_counter()
            self._whisper.model.encode(short)
            self.batch = max(1, min(MAX_CPU_BATCH_WINDOWS, int(MAX_BATCH_ENCODE_S / (time.perf_counter() - started))))

    def _can_align(self, features: Any) -> bool:
        """Tries it: not every conversion of a model says which of its heads know when a word is heard."""
        tokenizer = self._tokenizer("en", "transcribe")
        encoded = self._whisper.model.encode(features)
        try:
            self._whisper.model.align(encoded, tokenizer.sot_sequence, [tokenizer.encode(" a")], features.shape[2])
        except (RuntimeError, ValueError) as error:
            log.warning(
                "model.no_word_times",
                problem=str(error),
                consequence="words have no times, and passes under load begin at the start of each utterance",
                remedy="convert the model anew with its generation_config.json, which has the alignment_heads",
            )
            return False
        return True

    def _decode(self, group: Sequence[BatchItem]) -> list[Hypothesis]:
        encoded = self._encode(group)
        self._detect(group, encoded)
        prompts = [item.prompt + item.tokenizer.sot_sequence + item.forced for item in group]
        most = max(item.most for item in group)
        decoded = self._whisper.model.generate(
            encoded,
            prompts,
            **_search(group[0]),
            # half of it or all but the prompt, whichever is less, is for the text; less than the prompt is a crash
            max_length=min(MAX_DECODER_TOKENS, max(2 * most, most + len(prompts[0]))),
            return_scores=True,
            return_no_speech_prob=True,
        )
        for item, result in zip(group, decoded, strict=True):
            found = result.sequences_ids[0]
            item.logprob = float(result.scores[0]) * len(found) / max(1, len(found) - len(item.forced))
            found = found[: item.most + len(item.forced)]
            told = token_phrases(found, item.tokenizer.timestamp_begin, item.tokenizer.eot)
            item.phrases = before_end(told[bool(item.forced) :], item.frames / FRAMES_PER_S)
        self._align(group, encoded)
        return [
            Hypothesis(
                text=item.text,
                language=item.language,
                language_probability=item.probability,
                tokens=len(item.tokens),
                avg_logprob=item.logprob,
                no_speech=float(result.no_speech_prob),
                words=item.words,
                phrases=tuple(
                    Phrase(
                        item.tokenizer.decode([*phrase.tokens]),
                        max(0.0, phrase.start - item.offset),
                        None if phrase.end is None else max(0.0, phrase.end - item.offset),
                    )
                    for phrase in item.phrases
                ),
            )
            for item, result in zip(group, decoded, strict=True)
        ]

    def _encode(self, group: Sequence[BatchItem]) -> Any:
        """Encoder outputs of the whole group. On a CPU one after the other, which is faster than a stack."""
        inputs = [item.features for item in group]
        if self.device != "cpu" or len(inputs) == 1:
            return self._whisper.model.encode(self._storage(np.stack(inputs)))
        outputs = [np.array(self._whisper.model.encode(self._storage(features[np.newaxis]))) for features in inputs]
        return self._storage(np.concatenate(outputs))

    def _detect(self, group: Sequence[BatchItem], encoded: Any) -> None:
        """Looks up or finds out what is spoken in each item."""
        found: list[list[tuple[str, float]]] = []
        for place, item in enumerate(group):
            window = item.window
            item.language = self._default(window)
            if self._multilingual and not window.language:
                found = found or self._whisper.model.detect_language(encoded)
                shares = {token[2:-2]: share for token, share in found[place]}
                item.language, item.probability = choose_language(
                    shares, prior=window.prior, allowed=window.allowed, seconds=item.frames / FRAMES_PER_S
                )
            item.tokenizer = self._tokenizer(item.language, window.task)

    def _default(self, window: Window) -> str:
        """The language of a window in which none is detected."""
        return (window.language or window.prior or "en") if self._multilingual else "en"

    def _tokenizer(self, language: str, task: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._whisper.hf_tokenizer, self._multilingual, task=task, language=language
            )
        return self._tokenizers[key]

    def _prompt(self, window: Window) -> list[int]:
        """What stands before the start of the transcript. Special tokens that it spells out are not taken for such."""
        if not window.prompt:
            return []
        tokenizer = self._tokenizer("en", "transcribe")  # text has the same tokens in every language
        text = [token for token in tokenizer.encode(" " + window.prompt.strip()) if token < tokenizer.eot]
        return [tokenizer.sot_prev, *text[-MAX_PROMPT_TOKENS:]]

    def _told(self, window: Window) -> list[int]:
        """The text of what was said before the window; nothing for a model that knows single sentences only or cannot
        tell when words are said, nor where it is spelled in more tokens than are worth reading."""
        if window.before is None or not self._aligns or self.sizes.packed < FULL_WINDOW_FRAMES:
            return []
        tokenizer = self._tokenizer("en", "transcribe")
        text = [token for token in tokenizer.encode(" " + window.before.text) if token < tokenizer.eot]
        return text if len(text) <= MAX_PROMPT_TOKENS else []

    def _align(self, group: Sequence[BatchItem], encoded: Any) -> None:
        """Finds the times of the words where they are wanted: one pass per language and task, nothing encoded again."""
        starts: dict[tuple[int, ...], list[int]] = {}
        for place, item in enumerate(group):
            if self._aligns and (item.window.words or item.told) and item.tokens:
                starts.setdefault(tuple(item.tokenizer.sot_sequence), []).append(place)
        for start, places in starts.items():
            items = [group[place] for place in places]
            aligned = self._whisper.model.align(
                self._rows(encoded, places),
                list(start),
                [item.told + item.tokens for item in items],
                [item.frames for item in items],
            )
            for item, alignment in zip(items, aligned, strict=True):
                words = timed(item.tokenizer, item.tokens, alignment, len(item.told), item.offset)
                item.words = tuple(itertools.dropwhile(_is_before, words)) if item.told else words

    def _rows(self, encoded: Any, places: Sequence[int]) -> Any:
        """The encoder outputs of some items; all of them are not copied."""
        if len(places) == encoded.shape[0]:
            return encoded
        return self._storage(np.array(encoded.to_device(self._host))[list(places)])


def _search(item: BatchItem) -> dict[str, Any]:
    """How to look for the text: a beam; or, with a temperature, the best of several that are drawn."""
    if temperature := item.window.temperature:
        return {"beam_size": 1, "num_hypotheses": BEAM_SIZE, "sampling_topk": 0, "sampling_temperature": temperature}
    return {"beam_size": item.beam}


def timed(tokenizer: Any, tokens: list[int], alignment: Any, told: int = 0, offset: float = 0.0) -> tuple[Word, ...]:
    """The words that tokens make, each from where its first token is heard to where the next word's is; `told` tokens
    and `offset` seconds before them do not count."""
    texts, parts = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
    rows, positions = np.array(alignment.alignments).T
    heard = np.maximum(0.0, positions[np.diff(rows, prepend=-1) > 0] / ENCODER_POSITIONS_PER_S - offset)
    edges = told + np.cumsum([0, *map(len, parts[:-1])])
    return tuple(
        Word(text, float(heard[first]), float(heard[last]), float(np.mean(alignment.text_token_probs[first:last])))
        for text, first, last in zip(texts, edges, edges[1:], strict=False)
        if text.strip()
    )


def _is_before(word: Word) -> bool:
    return word.end <= 0


def load(settings: Settings) -> FasterWhisper:
    """Finds, loads and warms up the model. Blocks. Raises ModelError."""
    began = time.perf_counter()
    folder = resolve(settings.model)
    fetching = time.perf_counter() - began
    engine = FasterWhisper(
        folder, settings.model, device=settings.device, device_index=settings.device_index,
        compute_type=settings.compute_type, threads=settings.threads, parallel=settings.parallel,
    )  # fmt: skip
    if find(folder) is None:
        log.warning(
            "model.not_calibrated",
            model=settings.model,
            consequence="every pass has a full 30 s window: right, and two to five times as dear as a measured one",
            remedy=f"measure it once, in minutes: earshot-transcriber calibrate --model {settings.model}",
        )
    engine.fetching_s = fetching
    engine.warm_up()
    return engine
