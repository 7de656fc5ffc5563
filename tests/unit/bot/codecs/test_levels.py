"""Levels, over real Opus in each of its modes: what is sent as it is follows its levels, what is encrypted does not."""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.codecs.levels import FLOOR_DB, WINDOW_PACKETS, Levels
from common.audio.opus import OpusDecoder, OpusEncoder, OpusError
from common.audio.pcm import SAMPLE_RATE, dbfs
from rehearsal.clips import CLIP_RATE, load_clip, manifest, to_rate
from tests.support.servers.singing import swelling


@functools.cache
def speech() -> NDArray[np.int16]:
    """16 kHz, 8 s: clips, a second of room noise between them."""
    room = np.random.default_rng(1).normal(0, 20, SAMPLE_RATE).astype(np.int16)
    clips = [to_rate(load_clip(name, Path()).pcm, CLIP_RATE, SAMPLE_RATE) for name in sorted(manifest())[:4]]
    return np.concatenate([piece for clip in clips for piece in (clip, room)])[: 8 * SAMPLE_RATE]


def music() -> NDArray[np.int16]:
    """16 kHz: two tones that swell, and a beat."""
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    swell = (0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * t)) ** 3
    beat = np.sin(2 * np.pi * 2 * t) > 0
    return (6000 * swell * np.sin(2 * np.pi * 220 * t) + 3000 * beat * np.sin(2 * np.pi * 660 * t)).astype(np.int16)


def typing(seconds: int) -> NDArray[np.int16]:
    """16 kHz: four keys a second, each shorter than a packet, in a quiet room."""
    random_ = np.random.default_rng(3)
    pcm, key = random_.normal(0, 20, seconds * SAMPLE_RATE), np.arange(160)
    for at in random_.integers(0, len(pcm) - len(key), 4 * seconds):
        pcm[at : at + len(key)] += 6000 * np.exp(-key / random_.uniform(8, 40)) * random_.normal(0, 1, len(key))
    return np.clip(pcm, -32768, 32767).astype(np.int16)


SOUNDS: dict[str, Callable[[], NDArray[np.int16]]] = {
    "speech": lambda: speech()[3 * SAMPLE_RATE : 8 * SAMPLE_RATE],
    "typing": lambda: typing(20),
    "music": music,
    "noise": lambda: np.random.default_rng(2).normal(0, 900, 2 * SAMPLE_RATE).astype(np.int16),
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


def sent(pcm: NDArray[np.int16], frame_ms: int, lag: int = 0, **how: object) -> list[tuple[float, bytes]]:
    """Level and packet of each frame, as a browser would send them; with DTX silent ones are not sent.

    Levels may be those of `lag` packets before.
    """
    encoder, size = OpusEncoder(**how), SAMPLE_RATE * frame_ms // 1000  # type: ignore[arg-type]
    frames = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    levels = np.roll([float(max(-127, round(max(dbfs(frame), -127)))) for frame in frames], lag)
    packets = [(float(level), encoder.encode(frame)) for level, frame in zip(levels, frames, strict=True)]
    return [(said, packet) for said, packet in packets if len(packet) > 2 or not how.get("dtx")]


@functools.cache
def spoken(mode: str, bitrate: int) -> list[tuple[float, bytes]]:
    """The clips."""
    return sent(speech(), 20, application=mode, bitrate=bitrate)


@given(
    st.sampled_from(sorted(SOUNDS)),
    st.sampled_from(["voip", "audio", "lowdelay"]),
    st.sampled_from([20, 40, 60]),
    st.integers(6_000, 128_000),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.integers(-12, 6),
    st.sampled_from([0, 1, -1]),
)
def test_what_is_not_encrypted_is_never_taken_for_it(
    sound: str, mode: str, frame_ms: int, bitrate: int, dtx: bool, fec: bool, loss: float, gain_db: int, lag: int
) -> None:
    """Each mode, frame, bitrate, with DTX, FEC and loss; levels late or early; through a gateway that changes them."""
    how = {"application": mode, "bitrate": bitrate, "dtx": dtx, "fec": fec, "loss_percent": 20 if fec else 0}
    lost = random.Random(3)
    packets = [
        (said + gain_db, packet)
        for said, packet in sent(SOUNDS[sound](), frame_ms, lag, **how)
        if lost.random() >= loss
    ]
    assert False not in judged(Levels(), packets)


@pytest.mark.parametrize("cipher", [encrypted, wholly_encrypted])
@pytest.mark.parametrize(("mode", "bitrate"), [("voip", 16_000), ("voip", 32_000), ("audio", 64_000)])
def test_what_is_encrypted_is_known(cipher: object, mode: str, bitrate: int) -> None:
    """Within the speech of these clips; and what is sent as it is afterwards is known for that at once."""
    assert callable(cipher)
    keys, levels = random.Random(7), Levels()
    plain = spoken(mode, bitrate)
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
    """It takes two: an encrypted sender is said again while it lasts, one that is trusted is judged anew."""
    levels, random_ = Levels(), random.Random(1)

    def window(follows: bool) -> bool | None:
        pairs = [
            (said := random_.uniform(-60, -10), said if follows else random_.uniform(-60, -10))
            for _ in range(WINDOW_PACKETS)
        ]
        return [levels.take(*pair) for pair in pairs][-1]

    said = [window(follows) for follows in [False] * 3 + [True] * 3 + [False] * 2]
    assert said == [None, False, False, None, True, None, None, False]


def test_keys_of_somebody_whose_levels_come_late_are_no_cipher() -> None:
    """A key is shorter than a packet: levels of the packet before have nothing in common with what is heard."""
    packets = sent(typing(60), 20, 1)
    assert np.corrcoef([said for said, _ in packets[1:]], [said for said, _ in packets[:-1]])[0, 1] < 0.5
    assert False not in judged(Levels(), packets)


def test_a_sender_who_counts_the_other_way_round_is_heard() -> None:
    """Its levels say least where it is loudest: no cipher knows that."""
    packets = [(-max(said, -80) - 80, packet) for said, packet in swelling(150)]
    assert set(judged(Levels(), packets)) == {None}


def test_one_loud_packet_at_the_edge_of_a_window() -> None:
    """Without it nothing varies, neither what is said nor what is heard: nothing is made of that."""
    for edge in (0, WINDOW_PACKETS - 1):
        levels = Levels()
        pairs = [(-10.0, -20.0) if number % WINDOW_PACKETS == edge else (-70.0, -50.0) for number in range(100)]
        assert [said for pair in pairs if (said := levels.take(*pair)) is not None] == [True]


def test_noise_that_follows_by_chance_is_not_taken_for_speech() -> None:
    """One second of these 25 correlates by 0.71: taken for speech, 30 s of noise would be heard."""
    keys, levels = random.Random(25), Levels()
    packets = [(float(said), encrypted(packet, keys)) for said, packet in swelling(50) * 25]
    found = judged(levels, packets)
    assert False in found
    assert True not in found
