"""Silero speech probabilities: one onnxruntime session shared by every stream, a small state per stream.

The bot's speech gate and the transcriber's utterance end both use it. The model file is the one that the faster-whisper
wheel carries; faster_whisper itself (and ctranslate2 with it) is not imported.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.audio.hysteresis import FRAME_SAMPLES

CONTEXT_SAMPLES = 64
"""Samples of the frame before that the model sees in front of each frame."""
MODEL_FILE = "assets/silero_vad_v6.onnx"

SpeechProbability = Callable[[NDArray[np.float32]], float]
"""Takes the next 512 samples at 16 kHz, in [-1, 1], and returns the probability that they are speech, in [0, 1]."""

SpeechProbabilities = Callable[[NDArray[np.float32]], list[float]]
"""Takes the next frames, shape (n, 512)."""


class SileroModel:
    """The shared, read-only part: about 30 MB once, 0.1 ms per frame, safe to use from several threads.

    Args:
        path: The ONNX file; by default the one in the installed faster-whisper package.

    Raises:
        FileNotFoundError: No model file; the message says what to install.
    """

    def __init__(self, path: Path | None = None) -> None:
        # its wheels write a device id to the home folder and upload usage events unless told not to, before the import
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime  # 0.1 s and 20 MB: only for those who listen

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path or bundled_model()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> SpeechProbability:
        """A new stream with its own state: feed it consecutive frames of one speaker."""
        return SileroStream(self._session)

    def batched(self) -> SpeechProbabilities:
        """As `stream`, but for several consecutive frames at once: four cost half as much together."""
        return SileroStream(self._session).batch


class SileroStream:
    """One speaker's state: 2 x 128 floats of memory and the last 64 samples."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._hidden = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._before = np.zeros(CONTEXT_SAMPLES, np.float32)

    def __call__(self, frame: NDArray[np.float32]) -> float:
        """The speech probability of the next frame, float32 of shape (512,)."""
        return self.batch(frame[None])[0]

    def batch(self, frames: NDArray[np.float32]) -> list[float]:
        """Those of the next frames, float32 of shape (n, 512); the same as one by one."""
        framed = np.empty((len(frames), CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        framed[0, :CONTEXT_SAMPLES] = self._before
        framed[1:, :CONTEXT_SAMPLES] = frames[:-1, -CONTEXT_SAMPLES:]
        framed[:, CONTEXT_SAMPLES:] = frames
        self._before = framed[-1, -CONTEXT_SAMPLES:]
        probabilities, self._hidden, self._cell = self._session.run(
            None, {"input": framed, "h": self._hidden, "c": self._cell}
        )
        return [float(probability) for probability in probabilities.ravel()]


def bundled_model() -> Path:
    """Where the installed faster-whisper package keeps the model.

    Raises:
        FileNotFoundError: It is not installed, or a version without this file.
    """
    spec = importlib.util.find_spec("faster_whisper")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / MODEL_FILE
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"The Silero speech model (faster_whisper/{MODEL_FILE}) is missing: install the locked `faster-whisper`."
    )
