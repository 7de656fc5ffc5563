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

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from transcriber.config import Settings
from transcriber.core.languages import choose_language
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.alignment import Aligner
from transcriber.engine.base import ModelError
from transcriber.engine.batches import FRAMES_PER_S, BatchItem, grouped
from transcriber.engine.features import BUCKET_FRAMES, HOP_SAMPLES, MIN_WINDOW_SAMPLES, Extractor, bucket
from transcriber.engine.models import resolve
from transcriber.engine.prompting import Prompting
from transcriber.engine.window_sizes import CUDA, FULL_WINDOW_FRAMES, WindowSizes, find, sizes_for

MAX_DECODER_TOKENS = 448
"""Tokens that the decoder has positions for."""
MAX_CPU_BATCH_WINDOWS, MAX_GPU_BATCH_WINDOWS = 4, 16
"""Windows per call at most: on a CPU more gains nothing (above); what a GPU gains has not been measured."""
MAX_GPU_BATCH_FULL_WINDOWS = 8
"""The same for windows of recordings, of 30 s each, for which what is live may have to wait: faster-whisper's own."""
MAX_BATCH_ENCODE_S = 0.2
"""What the encoding of a batch, half of its work, may take on a CPU: what is urgent may have to wait for it."""

log = structlog.get_logger(__name__)


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
            problem = f"The model {name} in {folder} cannot be loaded on {device}: {error}"
            if "compute type" in str(error):
                possible = sorted(ctranslate2.get_supported_compute_types(device))
                problem = f"--compute-type {compute_type}: this {device} can {', '.join(possible)} ({error})"
            raise ModelError(problem) from error
        self.name = name
        self.fetching_s = 0.0
        self.device = device
        self.batch = MAX_CPU_BATCH_WINDOWS if device == "cpu" else MAX_GPU_BATCH_WINDOWS
        self.full_batch = 1 if device == "cpu" else MAX_GPU_BATCH_FULL_WINDOWS
        self.compute_type = compute_type
        sizes = sizes or sizes_for(folder, device)
        self.longest_window = sizes.packed / FRAMES_PER_S
        self.use(sizes)
        self._storage = ctranslate2.StorageView.from_array
        self._prompting = Prompting(self._whisper)
        self._aligner = Aligner(self._whisper)
        self._multilingual = self._prompting.is_multilingual
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
        results = [Hypothesis("", self._asked(window), no_speech=1.0) for window in windows]
        long_enough = [item for item in enumerate(windows) if len(item[1].samples) >= MIN_WINDOW_SAMPLES]
        groups = grouped(self._item(place, window) for place, window in long_enough)
        while groups:
            group = groups.pop()
            encoded = self._encode(group)
            self._detect(group, encoded)
            if self._widen(group):
                groups += grouped(group)
                continue
            for item, result in zip(group, self._decode(group, encoded), strict=True):
                results[item.place] = result
        return results

    def _item(self, place: int, window: Window) -> BatchItem:
        """A window, with what the model is told about it. Nothing was before it for a model that knows single sentences
        only, or cannot tell when words are said."""
        reads_on = self._aligner.works and self.sizes.packed >= FULL_WINDOW_FRAMES
        told = self._prompting.told(window) if reads_on else []
        if not told:
            window = replace(window, before=None)
        features, frames = self._extract(window, self._asked(window) or window.prior)
        return BatchItem(window, place, features, frames, self._prompting.prompt(window), told)

    def warm_up(self) -> None:
        """One pass per window size, so that the first client does not pay for lazy allocations; then sees whether the
        model can tell when words are said, and how many windows this machine encodes in good time."""
        sizes = self.sizes
        finals = sizes.finals(None)
        least = bucket(min(sizes.partial, finals))
        for frames in BUCKET_FRAMES:
            if frames >= least:
                silence = np.zeros((frames - sizes.margin) * HOP_SAMPLES, np.int16)
                self.transcribe([Window(silence, careful=frames >= finals, hurried=True)])
        short = self._storage(np.zeros((1, self._whisper.model.n_mels, least), np.float32))
        self._aligner.look(short, self._prompting.tokenizer())
        if self.device == "cpu":
            started = time.perf_counter()
            self._whisper.model.encode(short)
            self.batch = max(1, min(MAX_CPU_BATCH_WINDOWS, int(MAX_BATCH_ENCODE_S / (time.perf_counter() - started))))

    def _widen(self, group: Sequence[BatchItem]) -> bool:
        """Whether some turned out to be in a language that needs a longer window, which they have now."""
        is_wider = False
        for item in group:
            size = self._extract.size(item.window, item.frames, item.language)
            if size > item.features.shape[1]:
                item.features, is_wider = self._extract.padded(item.features[:, : item.frames], size), True
        return is_wider

    def _decode(self, group: Sequence[BatchItem], encoded: Any) -> list[Hypothesis]:
        prompts = [item.prompt + item.tokenizer.sot_sequence + item.forced for item in group]
        most = max(item.most for item in group)
        decoded = self._whisper.model.generate(
            encoded,
            prompts,
            **group[0].search,
            # half of it or all but the prompt, whichever is less, is for the text; less than the prompt is a crash
            max_length=min(MAX_DECODER_TOKENS, max(2 * most, most + len(prompts[0]))),
            return_scores=True,
            return_no_speech_prob=True,
        )
        for item, result in zip(group, decoded, strict=True):
            item.take(result)
        self._aligner.align(group, encoded)
        return [item.hypothesis(float(result.no_speech_prob)) for item, result in zip(group, decoded, strict=True)]

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
            if item.language:  # found in a shorter window
                continue
            window = item.window
            asked = self._asked(window)
            if asked is None:
                found = found or self._whisper.model.detect_language(encoded)
                shares = {token[2:-2]: share for token, share in found[place]}
                item.language, item.probability = choose_language(
                    shares, prior=window.prior, allowed=window.allowed, seconds=item.seconds
                )
            else:
                item.language = asked
            item.tokenizer = self._prompting.tokenizer(item.language, window.task)

    def _asked(self, window: Window) -> str | None:
        """The language of a window; None: it is to be detected."""
        return window.language if self._multilingual else "en"


def load(settings: Settings) -> FasterWhisper:
    """Finds, loads and warms up the model. Blocks. Raises ModelError."""
    began = time.perf_counter()
    folder = resolve(settings.model)
    fetching = time.perf_counter() - began
    engine = FasterWhisper(
        folder, settings.model, device=settings.device, device_index=settings.device_index,
        compute_type=settings.compute_type, threads=settings.threads, parallel=settings.parallel,
    )  # fmt: skip
    if find(folder, engine.device) is None:
        (log.info if engine.device == CUDA else log.warning)(
            "model.not_calibrated",
            model=settings.model,
            device=engine.device,
            consequence="every pass has a full 30 s window: right, and on a CPU two to five times as dear",
            remedy=f"measure it once, in minutes: earshot-transcriber calibrate --model {settings.model}"
            f" --device {engine.device}",
        )
    engine.fetching_s = fetching
    engine.warm_up()
    return engine
