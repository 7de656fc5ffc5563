"""Levels, over real Opus in each of its modes: what is sent as it is follows its levels, what is encrypted does not."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.codecs.levels import FLOOR_DB, WINDOW_PACKETS, WINDOWS, Levels
from common.audio.opus import OpusDecoder, OpusEncoder, OpusError
from common.audio.pcm import SAMPLE_RATE, dbfs
from rehearsal.clips import CLIP_RATE, load_clip, manifest, to_rate
from tests.support.servers.singing import swelling


def speech() -> NDArray[np.int16]:
    """16 kHz: all clips, a second of room noise between them."""
    room = np.random.default_rng(1).normal(0, 20, SAMPLE_RATE).astype(np.int16)
    clips = [to_rate(load_clip(name, Path()).pcm, CLIP_RATE, SAMPLE_RATE) for name in sorted(manifest())]
    return np.concatenate([piece for clip in clips for piece in (clip, room)])


def music() -> NDArray[np.int16]:
    """16 kHz: two tones that swell, and a beat."""
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    swell = (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t)) ** 3
    beat = np.sin(2 * np.pi * 2 * t) > 0
    return (6000 * swell * np.sin(2 * np.pi * 220 * t) + 3000 * beat * np.sin(2 * np.pi * 660 * t)).astype(np.int16)


SPEECH = speech()
SOUNDS = {
    "speech": SPEECH[3 * SAMPLE_RATE : 8 * SAMPLE_RATE],
    "music": music(),
    "noise": np.random.default_rng(2).normal(0, 900, 2 * SAMPLE_RATE).astype(np.int16),
}


def encrypted(packet: bytes, keys: random.Random) -> bytes:
    """As browsers do it: the first byte stays, the rest is a cipher's, and a tag, a nonce and a key's number follow."""
    return packet[:1] + keys.randbytes(len(packet) - 1 + 30)


def wholly_encrypted(packet: bytes, keys: random.Random) -> bytes:
    """All of it."""
    return keys.randbytes(len(packet) + 30)


def judged(levels: Levels, packets: Sequence[tuple[float, bytes]]) -> list[bool | None]:
    """What is said of a stream, packet by packet; those that do not decode are no evidence."""
    decoder, found = OpusDecoder(), []
    for said, packet in packets:
        try:
            found.append(levels.take(said, dbfs(decoder.decode(packet))))
        except OpusError:
            continue
    return found


def sent(pcm: NDArray[np.int16], frame_ms: int, **how: object) -> list[tuple[float, bytes]]:
    """Level and packet of each frame, as a browser would send them; with DTX silent ones are not sent."""
    encoder, size = OpusEncoder(**how), SAMPLE_RATE * frame_ms // 1000  # type: ignore[arg-type]
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    packets = [(float(max(-127, round(max(dbfs(frame), -127)))), encoder.encode(frame)) for frame in frames]
    return [(said, packet) for said, packet in packets if len(packet) > 2 or not how.get("dtx")]


@given(
    st.sampled_from(sorted(SOUNDS)),
    st.sampled_from(["voip", "audio", "lowdelay"]),
    st.sampled_from([20, 40, 60]),
    st.integers(6_000, 128_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.integers(-12, 6),
)
def test_what_is_not_encrypted_is_never_taken_for_it(
    sound: str, mode: str, frame_ms: int, bitrate: int, dtx: bool, fec: bool, loss: float, gain_db: int
) -> None:
    """Each mode, frame, bitrate, with DTX, FEC and loss; through a gateway that makes it louder, or less so."""
    how = {"application": mode, "bitrate": bitrate, "dtx": dtx, "fec": fec, "loss_percent": 20 if fec else 0}
    lost = random.Random(3)
    packets = [
        (said + gain_db, packet) for said, packet in sent(SOUNDS[sound], frame_ms, **how) if lost.random() >= loss
    ]
    assert False not in judged(Levels(), packets)


@pytest.mark.parametrize("cipher", [encrypted, wholly_encrypted])
@pytest.mark.parametrize(("mode", "bitrate"), [("voip", 16_000), ("voip", 32_000), ("audio", 64_000)])
def test_what_is_encrypted_is_known(cipher: object, mode: str, bitrate: int) -> None:
    """Within the speech of these clips; and what is sent as it is afterwards is known for that at once."""
    assert callable(cipher)
    keys, levels = random.Random(7), Levels()
    plain = sent(SPEECH[: 8 * SAMPLE_RATE], 20, application=mode, bitrate=bitrate)
    found = judged(levels, [(said, cipher(packet, keys)) for said, packet in plain])
    assert False in found
    assert True not in found
    assert True in judged(levels, plain)[: 6 * WINDOW_PACKETS]


def test_loudness_that_nobody_varies_proves_nothing() -> None:
    """A sender that says one number for ever, one that says nothing is there, and one of whom nothing is heard."""
    noise = itertools.cycle([-20.0, -50.0, -35.0])
    steady, silent, deaf = Levels(), Levels(), Levels()
    varied = itertools.cycle([-15.0, -70.0])
    for _ in range(10 * WINDOW_PACKETS):
        assert steady.take(-30.0, next(noise)) is None
        assert silent.take(-127.0, FLOOR_DB - 20) is None
        assert deaf.take(next(varied), float("-inf")) is None


def test_one_second_proves_nothing_yet() -> None:
    """It takes as many in a row that say the same, and is said again while it lasts."""
    levels, random_ = Levels(), random.Random(1)

    def window(follows: bool) -> bool | None:
        pairs = [
            (said := random_.uniform(-60, -10), said if follows else random_.uniform(-60, -10))
            for _ in range(WINDOW_PACKETS)
        ]
        return [levels.take(*pair) for pair in pairs][-1]

    unsaid = [None] * (WINDOWS - 1)
    for follows in (False, True):
        assert [window(follows) for _ in range(WINDOWS + 1)] == [*unsaid, follows, follows]
        assert window(not follows) is None
        assert window(follows) is None


def test_noise_that_follows_by_chance_is_not_taken_for_speech() -> None:
    """One second of these 25 correlates by 0.71: taken for speech, 30 s of noise would be heard."""
    keys, levels = random.Random(25), Levels()
    packets = [(float(said), encrypted(packet, keys)) for _ in range(25) for said, packet in swelling(50)]
    found = judged(levels, packets)
    assert False in found
    assert True not in found
