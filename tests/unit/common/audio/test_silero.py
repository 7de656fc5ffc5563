"""The streaming Silero model against the same network on onnxruntime, and faster-whisper's one-shot use of it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.audio.hysteresis import FRAME_SAMPLES as FRAME
from common.audio.silero import SileroModel, bundled_model


@pytest.fixture(scope="module")
def model() -> SileroModel:
    """The shared weights."""
    return SileroModel()


def babble(seconds: float, seed: int) -> NDArray[np.float32]:
    """A voiced sound: harmonics of a moving pitch, in syllables of 4 Hz, with pauses and faint noise."""
    rng = np.random.default_rng(seed)
    n = int(seconds * 16_000) // FRAME * FRAME
    time = np.arange(n) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / 16_000
    voice = sum(np.sin(k * phase) / k for k in range(1, 25))
    envelope = np.clip(np.sin(2 * np.pi * 4 * time), 0, 1) * (np.sin(2 * np.pi * 0.4 * time) > -0.3)
    sound = 0.2 * voice * envelope + 0.003 * rng.standard_normal(n)
    return np.asarray(np.clip(sound, -1, 1), np.float32)


@pytest.mark.parametrize("seed", [1, 2])
def test_streaming_equals_one_shot(model: SileroModel, seed: int) -> None:
    """Frame by frame, with state and context carried, gives what the whole clip at once gives on onnxruntime."""
    from faster_whisper.vad import get_vad_model

    sound = babble(4, seed)
    stream = model.stream()
    streamed = [stream(frame) for frame in sound.reshape(-1, FRAME)]
    one_shot = get_vad_model()(sound.copy()).reshape(-1)
    assert max(streamed) > 0.3
    # faster-whisper zeroes the last 64 samples of its input; the last frame is not comparable.
    np.testing.assert_allclose(streamed[:-1], one_shot[:-1], atol=2e-3)


SOUNDS: dict[str, Callable[[], NDArray[np.float64]]] = {
    "a voice": lambda: babble(8, 5).astype(np.float64),
    "noise": lambda: np.random.default_rng(0).normal(0, 0.3, FRAME * 200),
    "overdriven noise": lambda: np.clip(np.random.default_rng(1).normal(0, 3, FRAME * 200), -1, 1),
    "a square wave": lambda: np.sign(np.sin(np.arange(FRAME * 200) * 0.05)),
    "zeros": lambda: np.zeros(FRAME * 50),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_it_is_the_network_of_the_file(model: SileroModel, name: str) -> None:
    """Every probability is what onnxruntime makes of the same file and frame, to five decimals."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(bundled_model()), options, providers=["CPUExecutionProvider"])
    stream, frames = model.stream(), SOUNDS[name]().astype(np.float32).reshape(-1, FRAME)
    hidden, cell, before = (
        np.zeros((1, 1, 128), np.float32),
        np.zeros((1, 1, 128), np.float32),
        np.zeros(64, np.float32),
    )
    for frame in frames:
        given = {"input": np.concatenate([before, frame])[None], "h": hidden, "c": cell}
        expected, hidden, cell = session.run(None, given)
        assert stream(frame) == pytest.approx(expected.item(), abs=1e-5)
        before = frame[-64:]


def test_streams_do_not_share_state(model: SileroModel) -> None:
    """A second stream on the same weights starts fresh, whatever the first one heard."""
    sound = babble(2, 3).reshape(-1, FRAME)
    alone = model.stream()
    expected = [alone(frame) for frame in sound]
    first, second = model.stream(), model.stream()
    assert [(first(frame), second(frame))[1] for frame in sound] == pytest.approx(expected, abs=1e-6)
    fresh = model.stream()
    assert [fresh(frame) for frame in sound] == pytest.approx(expected, abs=1e-6)


def test_silence_and_noise_are_not_speech(model: SileroModel) -> None:
    """Digital zeros and steady noise stay far below any threshold."""
    rng = np.random.default_rng(0)
    for sound in (np.zeros(FRAME * 40), rng.normal(0, 0.01, FRAME * 40)):
        stream = model.stream()
        assert max(stream(frame) for frame in sound.astype(np.float32).reshape(-1, FRAME)) < 0.3


def test_a_path_of_ones_own(tmp_path: Path) -> None:
    """Another copy of the model can be named."""
    copy = tmp_path / "vad.onnx"
    copy.write_bytes(bundled_model().read_bytes())
    assert SileroModel(copy).stream()(np.zeros(FRAME, np.float32)) < 0.3


@pytest.mark.parametrize("damaged", [bytes([0x38, 1]), bytes([0x3A, 2, 0x28, 1])], ids=["graph", "tensor"])
def test_a_file_in_disorder_is_not_taken_for_it(tmp_path: Path, damaged: bytes) -> None:
    """Where a number stands in the place of a part, the error is the same."""
    file = tmp_path / "other.onnx"
    file.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"other\.onnx is not the Silero speech model"):
        SileroModel(file)


@pytest.mark.parametrize("end", [0, 1000, 700_000, None])
def test_another_file_is_not_taken_for_it(tmp_path: Path, end: int | None) -> None:
    """One that is cut off, or of another network: the error names it, and nothing is computed of half a network."""
    whole = bundled_model().read_bytes()
    file = tmp_path / "other.onnx"
    file.write_bytes(whole[:end] if end is not None else whole.replace(b"decoder.conv1d.bias", b"decoder.conv2d.bias"))
    with pytest.raises(ValueError, match=r"other\.onnx is not the Silero speech model"):
        SileroModel(file)


@pytest.mark.parametrize("spec", [None, ModuleSpec("faster_whisper", None), "empty"])
def test_missing_model_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec: ModuleSpec | str | None
) -> None:
    """Without the package, or with one that lacks the file, the error names the file and the remedy."""
    if spec == "empty":
        spec = ModuleSpec("faster_whisper", None, is_package=True)
        spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(FileNotFoundError, match=r"silero_vad_v6\.onnx.*faster-whisper"):
        bundled_model()


@pytest.mark.parametrize("size", [1, 3, 4])
def test_several_frames_at_once_are_the_same_frames(model: SileroModel, size: int) -> None:
    """In whatever groups they come."""
    frames = babble(2, 5).reshape(-1, FRAME)
    alone, together = model.stream(), model.batched()
    expected = [alone(frame) for frame in frames]
    found = [p for first in range(0, len(frames), size) for p in together(frames[first : first + size])]
    assert found == pytest.approx(expected, abs=1e-5)
