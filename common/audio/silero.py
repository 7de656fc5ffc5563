"""Silero speech probabilities: the network of Silero VAD in numpy, its weights shared by every stream.

The bot's speech gate and the transcriber's utterance end both use it. The weights are those of the ONNX file that the
faster-whisper wheel carries; neither faster_whisper nor onnxruntime is imported. Of so small a network (seven layers,
0.4 million products a frame) onnxruntime made 0.06 ms and 32 MB in every bot; this makes 0.05 ms and 7 MB, and the
same probabilities to five decimals (tests/unit/common/audio/test_silero.py asks both). Its products gain nothing by
threads and wait for them, so programs set OPENBLAS_NUM_THREADS to 1 before numpy is loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.fft import rfft  # by name: numpy loads it when it is first used, when no file may be left to open
from numpy.typing import NDArray

from common.audio.hysteresis import FRAME_SAMPLES

CONTEXT_SAMPLES = 64
"""Samples of the frame before that the model sees in front of each frame; as many are mirrored behind it."""
WINDOW_SAMPLES = 256
"""Of each spectrum; there are ..."""
WINDOWS = 4
"""... so many in a frame, each ..."""
HOP_SAMPLES = 128
"""... after the one before."""
HANN = np.hanning(WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
"""The file has the transform of the windows as a matrix: exactly this window's, at twice the price."""
BINS = 129
"""Frequencies of a spectrum."""
UNITS = 128
"""Of the recurrent layer."""
MODEL_FILE = "assets/silero_vad_v6.onnx"

Floats = NDArray[np.float32]

SpeechProbability = Callable[[Floats], float]
"""Takes the next 512 samples at 16 kHz, in [-1, 1], and returns the probability that they are speech, in [0, 1]."""

SpeechProbabilities = Callable[[Floats], list[float]]
"""Takes the next frames, shape (n, 512)."""


class SileroModel:
    """The shared, read-only part: 1 MB of weights, 0.1 ms per frame, safe to use from several threads.

    Args:
        path: The ONNX file; by default the one in the installed faster-whisper package.

    Raises:
        FileNotFoundError: No model file; the message says what to install.
        ValueError: A file, but not of this model.
    """

    def __init__(self, path: Path | None = None) -> None:
        file = path or bundled_model()
        try:
            self._network = _Network(_tensors(file.read_bytes()))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is not the Silero speech model that is known here: {error!r}") from error

    def stream(self) -> SpeechProbability:
        """A new stream with its own state: feed it consecutive frames of one speaker."""
        return SileroStream(self._network)

    def batched(self) -> SpeechProbabilities:
        """As `stream`, but for several consecutive frames at once: four cost half as much together."""
        return SileroStream(self._network).batch


class _Network:
    """The weights, as the products below want them: inputs first, taps of a convolution in a row.

    Only the middle tap of the last convolution ever meets anything but padding, and of the one before it the last two.
    """

    def __init__(self, weights: Mapping[str, Floats]) -> None:
        kernels = [weights[f"encoder.conv_layers.{layer}.weight"].transpose(0, 2, 1) for layer in range(4)]
        first, second, third, fourth = kernels
        taps = (first, second, third[:, 1:], fourth[:, 1:2])
        self.kernels = [_product(kernel.reshape(len(kernel), -1)) for kernel in taps]
        self.biases = [weights[f"encoder.conv_layers.{layer}.bias"] for layer in range(4)]
        gates, recurrent, biases = (weights[f"onnx::LSTM_{number}"][0] for number in (209, 210, 211))
        self.output = weights["decoder.conv1d.weight"][0, :, 0]
        self.output_bias = float(weights["decoder.conv1d.bias"][0])
        # ONNX has the gates in the order input, output, forget, cell. The first three are logistic: a tanh of half the
        # argument. Halved here, one tanh does for all four.
        half = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), UNITS)
        self.gates, self.recurrent = _product(gates * half[:, None]), _product(recurrent * half[:, None])
        self.gate_bias = (biases[: 4 * UNITS] + biases[4 * UNITS :]) * half

    def encoded(self, padded: Floats) -> Floats:
        """What the recurrent layer gets of each frame: of (n, 640) samples (n, 512)."""
        n = len(padded)
        spectra = np.zeros((n, WINDOWS + 2, BINS), np.float32)  # with one of padding on each side
        windows = _rows(padded, WINDOWS, HOP_SAMPLES, WINDOW_SAMPLES) * HANN
        np.abs(rfft(windows).reshape(n, WINDOWS, BINS), out=spectra[:, 1:-1])
        after_first = np.zeros((n, WINDOWS + 1, UNITS), np.float32)
        sums = self._convolved(0, _rows(spectra, WINDOWS, BINS, 3 * BINS))
        after_first[:, 1:] = sums.reshape(n, WINDOWS, UNITS)
        sums = self._convolved(1, _rows(after_first, WINDOWS // 2, 2 * UNITS, 3 * UNITS))
        gates: Floats = self._convolved(3, self._convolved(2, sums.reshape(n, -1))) @ self.gates + self.gate_bias
        return gates

    def _convolved(self, layer: int, rows: Floats) -> Floats:
        sums: Floats = rows @ self.kernels[layer]
        sums += self.biases[layer]
        np.maximum(sums, 0, out=sums)
        return sums


class SileroStream:
    """One speaker's state: 2 x 128 floats of memory and the last 64 samples."""

    def __init__(self, network: _Network) -> None:
        self._network = network
        self._hidden, self._cell = np.zeros(UNITS, np.float32), np.zeros(UNITS, np.float32)
        self._before = np.zeros(CONTEXT_SAMPLES, np.float32)

    def __call__(self, frame: Floats) -> float:
        """The speech probability of the next frame, float32 of shape (512,)."""
        return self.batch(frame[None])[0]

    def batch(self, frames: Floats) -> list[float]:
        """Those of the next frames, float32 of shape (n, 512), n at least 1; the same as one by one.

        Nothing forgets a sample that is no number: whatever follows it in the stream has no probability either.
        """
        padded = np.empty((len(frames), CONTEXT_SAMPLES + FRAME_SAMPLES + CONTEXT_SAMPLES), np.float32)
        padded[0, :CONTEXT_SAMPLES] = self._before
        padded[1:, :CONTEXT_SAMPLES] = frames[:-1, -CONTEXT_SAMPLES:]
        padded[:, CONTEXT_SAMPLES:-CONTEXT_SAMPLES] = frames
        padded[:, -CONTEXT_SAMPLES:] = frames[:, -2 : -CONTEXT_SAMPLES - 2 : -1]
        self._before = frames[-1, -CONTEXT_SAMPLES:].copy()
        return [self._step(gates) for gates in self._network.encoded(padded)]

    def _step(self, gates: Floats) -> float:
        """Takes one frame further through the recurrent layer."""
        network = self._network
        gates = np.tanh(gates + self._hidden @ network.recurrent)
        new, shown, kept = (gates[: 3 * UNITS] * 0.5 + 0.5).reshape(3, UNITS)
        self._cell = kept * self._cell + new * gates[3 * UNITS :]
        self._hidden = shown * np.tanh(self._cell)
        said = float(np.maximum(self._hidden, 0) @ network.output) + network.output_bias
        return 0.5 * float(np.tanh(0.5 * said)) + 0.5


def _product(matrix: Floats) -> Floats:
    return np.ascontiguousarray(matrix.T)


def _rows(array: Floats, rows: int, step: int, length: int) -> Floats:
    """Overlapping rows of each of n contiguous pieces, shape (n · rows, length): what a convolution meets."""
    size = array.itemsize
    strides = array.strides[0], step * size, size
    pieces: Floats = np.ndarray(
        (len(array), rows, length), np.float32, array, 0, strides
    )  # a view: `as_strided` is slow
    return pieces.reshape(-1, length)


def _tensors(model: bytes) -> dict[str, Floats]:
    """The named float tensors of an ONNX file: `ModelProto.graph` (7), its `initializer` (5), and of these `dims` (1),
    `data_type` (2, float is 1), `name` (8) and `raw_data` (9), as onnx/onnx.proto numbers them."""
    found = {}
    for graph in (value for number, value in _fields(model) if number == 7):
        for tensor in (value for number, value in _fields(graph) if number == 5):
            parts = list(_fields(tensor))
            one = dict(parts)
            if one.get(2) == 1 and 9 in one:
                shape = [size for number, size in parts if number == 1]
                found[str(one[8], "utf-8")] = np.frombuffer(one[9], np.float32).reshape(shape)
    return found


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """The number and the value of each field of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = _varint(message, at) if kind == 2 else (4 if kind == 5 else 8, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and where the next field begins."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at


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
