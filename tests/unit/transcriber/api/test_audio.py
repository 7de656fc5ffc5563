"""What a WAV file says about its length, and a file that was cut off."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcriber.api.audio import Recording, wav_seconds
from transcriber.core.uploads import ApiError


def wav(seconds: float = 2.0) -> bytes:
    """Silence at 8 kHz, after a chunk of odd length that is no sound."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(round(16_000 * seconds)))
    data = target.getvalue()
    return data[:12] + struct.pack("<4sI4s", b"note", 3, b"abc") + data[12:]


def said(data: bytes, length: int) -> bytes:
    """The file with another length of its sound in the head."""
    place = data.index(b"data") + 4
    return data[:place] + struct.pack("<I", length) + data[place + 4 :]


def heard(data: bytes) -> float:
    """Seconds that are decoded."""
    recording, samples = Recording(io.BytesIO(data), split=False, longest=60.0), 0
    while n := recording.read().shape[1]:
        samples += n
    recording.close()
    return samples / 16_000


def test_a_wav_file_says_how_long_it_is() -> None:
    """And how much of that is there; the file is rewound."""
    file = io.BytesIO(wav()[:-16_000])
    assert wav_seconds(file) == (2.0, 1.0)
    assert file.tell() == 0


def test_a_wav_file_that_was_cut_off_is_refused() -> None:
    """415 before anything is decoded, with both lengths; a few bytes too many in the head are no matter."""
    with pytest.raises(ApiError, match=r"not whole: it says that it has 2\.0 s, and 1\.0 s are there") as error:
        heard(wav()[:-16_000])
    assert error.value.status == 415
    assert heard(wav()[:-36]) == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_wav_file_from_a_pipe_is_heard(length: int) -> None:
    """Whoever writes to a pipe cannot know the length."""
    data = said(wav(), length)
    assert wav_seconds(io.BytesIO(data))[0] == 0
    assert heard(data) == pytest.approx(2.0, abs=0.02)


@given(st.binary(max_size=80), st.integers(0, 80))
def test_any_bytes_are_read(noise: bytes, kept: int) -> None:
    """Whatever they are: no more is there than is said, and the file is rewound."""
    for data in (noise, wav(0.01)[:kept] + noise):
        file = io.BytesIO(data)
        length, there = wav_seconds(file)
        assert 0 <= there <= length
        assert file.tell() == 0
