"""Clips: the bundled ones are what the manifest says; WAV files of any rate are read or refused with the reason."""

from __future__ import annotations

import hashlib
import wave
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rehearsal.clips import CLIP_RATE, load_clip, manifest, speech_bounds, to_rate


def sine(hertz: float, rate: int, seconds: float) -> NDArray[np.int16]:
    """A tone with silence before and after, a tenth of its length each."""
    tone = 10_000 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)
    edge = np.zeros(round(rate * seconds / 10))
    return np.concatenate([edge, tone, edge]).astype(np.int16)


def write(path: Path, pcm: NDArray[np.int16], rate: int, channels: int = 1, width: int = 2) -> None:
    """A WAV file."""
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(channels)
        audio.setsampwidth(width)
        audio.setframerate(rate)
        audio.writeframes(np.repeat(pcm, channels).tobytes())


def test_bundled_clips() -> None:
    """Three voices; sentences that the demo model's training left out; bounds as the manifest says; under 4 MB."""
    size = 0
    for name, entry in manifest().items():
        clip = load_clip(name, Path())
        assert clip.text == entry["text"]
        assert clip.speech[0] / CLIP_RATE == pytest.approx(entry["start"], abs=0.011)
        assert clip.speech[1] / CLIP_RATE == pytest.approx(entry["end"], abs=0.011)
        assert 1.5 < clip.pcm.size / CLIP_RATE < 5
        words = entry["text"].split()
        assert len(words) >= 3
        assert int(hashlib.md5(entry["text"].encode()).hexdigest(), 16) % 10 == 0
        size += len(files("rehearsal").joinpath(f"clips/{name}.wav").read_bytes())
    assert len(manifest()) == 24
    assert {entry["voice"] for entry in manifest().values()} == {"slt", "rms", "awb"}
    assert size < 4_000_000


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_files(tmp_path: Path, rate: int, channels: int) -> None:
    """Any usual rate and channel count becomes 48 kHz mono: same length, pitch, level and place."""
    write(tmp_path / "x.wav", sine(440, rate, 1.0), rate, channels)
    clip = load_clip("x.wav", tmp_path)
    assert clip.text is None
    assert abs(clip.pcm.size - 1.2 * CLIP_RATE) <= CLIP_RATE / rate * 2
    middle = clip.pcm[CLIP_RATE // 2 : CLIP_RATE // 2 + CLIP_RATE // 4].astype(float)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * CLIP_RATE / middle.size == pytest.approx(440, abs=4)
    assert np.abs(middle).max() == pytest.approx(10_000, rel=0.02)
    assert clip.speech[0] / CLIP_RATE == pytest.approx(0.1, abs=0.011)
    assert clip.speech[1] / CLIP_RATE == pytest.approx(1.1, abs=0.011)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobody", "ana1"),
        ("missing.wav", "No such file"),
        ("text.wav", "RIFF"),
        ("narrow.wav", "8 bits"),
        ("slow.wav", "1000 Hz"),
        ("empty.wav", "0 frames"),
    ],
)
def test_unusable(tmp_path: Path, name: str, said: str) -> None:
    """The reason is said."""
    (tmp_path / "text.wav").write_text("hello, this is no sound")
    write(tmp_path / "narrow.wav", np.zeros(100, np.int16), 16_000, width=1)
    write(tmp_path / "slow.wav", np.zeros(100, np.int16), 1_000)
    write(tmp_path / "empty.wav", np.zeros(0, np.int16), 16_000)
    with pytest.raises(ValueError, match=said):
        load_clip(name, tmp_path)


def test_resampling_there_and_back() -> None:
    """16 kHz to 48 kHz and back changes no sample of band-limited audio by more than rounding."""
    time = np.arange(4801) / 16_000
    waves = sum(np.sin(2 * np.pi * hertz * time + hertz) for hertz in (130, 1_000, 3_700, 7_000))
    pcm = np.rint(5_000 * waves * np.hanning(time.size)).astype(np.int16)
    assert np.abs(to_rate(to_rate(pcm, 16_000, 48_000), 48_000, 16_000).astype(int) - pcm).max() <= 2


def test_bounds_of_silence() -> None:
    """A clip without sound counts as a whole."""
    assert speech_bounds(np.zeros(1234, np.int16), CLIP_RATE) == (0, 1234)
