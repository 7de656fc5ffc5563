"""A captured track: Opus, RED and PCM to frames on one clock, and when it changes its way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.audio.frame import AudioFrame
from bot.codecs.red import Block
from bot.drivers.browser.capture import BURST_MESSAGES, MAX_ELEMENTS, MUTE_REPORTS, RATE_PER_S, Allowance, CapturedTrack
from bot.drivers.browser.tracks import TrackInfo
from bot.drivers.browser.wire import Kind, Sound
from common.audio.opus import OpusEncoder
from tests.unit.bot.codecs.test_red import wrap

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)).astype(np.int16)


def packets(count: int) -> list[bytes]:
    """Opus packets of 20 ms of a tone."""
    encoder = OpusEncoder()
    return [encoder.encode(TONE[320 * n : 320 * (n + 1)]) for n in range(count)]


def sound(number: int, payload: bytes, kind: Kind = Kind.OPUS, level: int | None = 15) -> Sound:
    """The message that carries a packet."""
    return Sound(kind, level, 1, number, 111, 960 * number, 7, payload)


class Track:
    """One, and what comes out of it."""

    def __init__(self) -> None:
        self.frames: list[AudioFrame] = []
        self.track = CapturedTrack(TrackInfo("t"), self.frames.append, 0.0)

    @property
    def samples(self) -> int:
        return sum(frame.pcm.size for frame in self.frames)


async def test_opus_and_its_clock() -> None:
    """Packet by packet, at once, contiguous."""
    one = Track()
    for number, payload in enumerate(packets(20)):
        assert one.track.sound(sound(number, payload), number * 0.02) is None
    assert [frame.position for frame in one.frames] == [320 * n for n in range(20)]
    assert one.track.sounded_at is not None
    one.track.close()


async def test_red_restores_what_was_lost() -> None:
    """Of three packets one is lost: the next one brings it, once; without loss nothing comes twice."""
    plain = packets(12)
    one = Track()
    for number in range(1, 12):
        if number in (5, 8):
            continue
        payload = wrap([Block(111, 960, plain[number - 1]), Block(111, 0, plain[number])])
        assert one.track.sound(sound(number, payload, Kind.RED), number * 0.02) is None
    assert one.samples == 320 * 11
    one.track.close()


async def test_red_restores_the_end_of_a_longer_gap() -> None:
    """Of five packets in a row the last two are in the next one; what comes late changes nothing."""
    plain = packets(12)
    one = Track()

    def red(number: int) -> bytes:
        return wrap([Block(111, 960 * back, plain[number - back]) for back in (2, 1, 0)])

    for number, now in ((2, 0.04), (3, 0.06), (9, 0.18), (8, 0.18), (10, 0.2), (11, 0.3)):
        assert one.track.sound(sound(number, red(number), Kind.RED), now) is None
    counted = one.track._opus.statistics
    assert (counted.refused, one.samples) == (0, 320 * 10)
    assert counted.concealed == 320 * 3  # 4, 5 and 6 are nowhere
    starts = [frame.position for frame in one.frames]
    assert starts == sorted(starts)
    one.track.close()


@pytest.mark.parametrize("before", [300, 40_000], ids=["its numbers are lower", "its numbers are higher"])
async def test_red_of_another_sender_restores_what_was_lost(before: int) -> None:
    """A sender that begins anew has numbers of its own, and those of the one before say nothing about what is lost."""
    plain = packets(12)
    one = Track()
    for number in range(3):
        one.track.sound(sound(before + number, plain[number]), number * 0.02)
    for number in range(1, 12):
        if number in (5, 8):
            continue
        payload = wrap([Block(111, 960, plain[number - 1]), Block(111, 0, plain[number])])
        sent = replace(sound(100 + number, payload, Kind.RED), ssrc=8)
        assert one.track.sound(sent, 1.0 + number * 0.02) is None
    assert one.track._opus.statistics.concealed == 0
    assert one.samples == 320 * (3 + 11)
    one.track.close()


async def test_red_that_is_none_counts_as_not_decodable() -> None:
    """A second of garbage: why it cannot be heard."""
    one = Track()
    whys = [one.track.sound(sound(n, b"\xef\x00", Kind.RED), n * 0.02) for n in range(50)]
    assert whys[-1] == "50 of 50 frames do not decode"
    assert one.frames == []


async def test_from_the_element_on_only_pcm_is_heard() -> None:
    """Frames are ignored, PCM comes on a clock of its own; a mute element is made again, a few times."""
    one = Track()
    one.track.sound(sound(0, packets(1)[0]), 0.0)
    one.track.listen_to_element()
    assert one.track.sound(sound(1, packets(1)[0]), 0.02) is None
    assert len(one.frames) == 1
    one.track.sound(Sound(Kind.PCM, None, 1, 0, 0, 320, 0, TONE[:320].tobytes()), 1.0)
    assert one.frames[1].position == 320
    assert one.frames[1].arrival == pytest.approx(0.98)
    assert one.frames[0].source != one.frames[1].source
    assert [one.track.received(0.5, 1.0 + n) for n in range(3)] == [None] * 3
    for _ in range(MAX_ELEMENTS - 1):
        whys = [one.track.received(0.5, 100.0 + n) for n in range(MUTE_REPORTS)]
        assert whys[-1] is not None
        one.track.listen_to_element()
    assert [one.track.received(0.5, 200.0 + n) for n in range(20)] == [None] * 20


def test_an_allowance() -> None:
    """A burst, then so many a second."""
    allowance = Allowance(0.0)
    assert sum(allowance.take(0.0) for _ in range(2 * BURST_MESSAGES)) == BURST_MESSAGES
    assert sum(allowance.take(1.0) for _ in range(2 * BURST_MESSAGES)) == RATE_PER_S
