"""What a WAV file says about its length; files of any format that are cut off or damaged."""

from __future__ import annotations

import io
import random
import struct
import wave
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audio.recordings import CODECS, encode
from tests.support.examples import EXAMPLES
from tests.support.fakes.scripted_engine import tone
from transcriber.audio_files import AudioFileError, Recording, UnreadableError, wav_seconds


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
    """Before anything is decoded, with both lengths; a few bytes too many in the head are no matter."""
    with pytest.raises(UnreadableError, match=r"not whole: it says that it has 2\.0 s, and 1\.0 s are there"):
        heard(wav()[:-16_000])
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


COMPRESSED = [kind for kind in CODECS if kind != "wav"]
FRAGMENTED = "frag_keyframe+empty_moov+default_base_moof"
"""An MP4 file as browsers record it: it can be read from its beginning."""


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Four seconds in each format."""
    sound = np.concatenate([tone(word, 0.5) for word in ("alpha", "bravo", "charlie", "delta") * 2])
    found = {kind: encode(kind, sound) for kind in COMPRESSED}
    return found | {"fragmented mp4": encode("mp4", sound, movflags=FRAGMENTED, frag_duration="500000")}


@pytest.mark.parametrize("kind", [*COMPRESSED, "fragmented mp4"])
def test_a_file_that_was_cut_off_is_heard_as_far_as_it_goes(files: dict[str, bytes], kind: str) -> None:
    """Or refused in a sentence, where nothing can be made of it: the table of an MP4 file is its end."""
    data = files[kind]
    assert heard(data) == pytest.approx(4.0, abs=0.1)
    for share in (0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        cut = data[: round(share * len(data))]
        if kind == "mp4" or share <= 0.1:
            with suppress(AudioFileError):
                assert heard(cut) <= 4.1
        else:
            assert 4 * share - 1.1 <= heard(cut) <= 4 * share + 0.5


@pytest.mark.parametrize("kind", [*COMPRESSED, "fragmented mp4"])
def test_a_damaged_file_is_heard_or_refused(files: dict[str, bytes], kind: str) -> None:
    """Whatever is wrong with it: no other error, and not more than a few times what was in it."""
    chance = random.Random(7)
    for _ in range(EXAMPLES // 2):
        data = bytearray(files[kind])
        for _ in range(chance.choice([1, 3, 30])):
            first = chance.randrange(len(data))
            size = chance.choice([1, 4, 200])
            data[first : first + size] = chance.randbytes(size)
        with suppress(AudioFileError):
            assert heard(bytes(data)) <= 60
