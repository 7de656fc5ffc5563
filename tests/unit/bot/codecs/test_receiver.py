"""From Opus packets to continuous PCM, with everything a network does to them."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.receiver import MAX_FILL_SAMPLES, OpusReceiver, Pcm
from bot.codecs.rtp import Kind
from common.audio.opus import OpusEncoder, has_fec
from tests.support.audio.sounds import voice

WAIT = 0.060


@functools.cache
def stream(frame: int = 320) -> tuple[bytes, ...]:
    """One second of voice, with FEC."""
    encoder = OpusEncoder(fec=True, loss_percent=20)
    return tuple(encoder.encode(pcm) for pcm in voice(60 * frame / 16_000).reshape(-1, frame))


class Sender:
    """Sends packets of `frame` samples over wrapping counters, 1 per frame time."""

    def __init__(self, frame: int = 320) -> None:
        self.receiver, self.frame = OpusReceiver(), frame
        self.now, self.jump = 0.0, 0

    def send(self, index: int, payload: bytes | None = None, ssrc: int = 1, kind: Kind = Kind.SOUND) -> list[Pcm]:
        """Packet `index`; `jump` 16 kHz samples of DTX lie in front of all from now on."""
        self.now += self.frame / 16_000
        stamp = (2**32 - 20_000 + 3 * (index * self.frame + self.jump)) % 2**32
        payload = stream(self.frame)[index % 60] if payload is None else payload
        return self.receiver.push((65_530 + index) % 2**16, stamp, ssrc, payload, self.now, kind)

    def wait(self) -> list[Pcm]:
        """Time passes until nothing is waited for."""
        pieces = []
        while (timer := self.receiver.next_timer()) is not None:
            self.now = max(self.now, timer)
            pieces += self.receiver.tick(timer)
        return pieces


def check(pieces: list[Pcm]) -> None:
    """Positions only grow within a source; every piece is audio of at most 120 ms."""
    for piece in pieces:
        assert piece.pcm.dtype == np.int16
        assert 0 < len(piece.pcm) <= MAX_FILL_SAMPLES
    for before, after in itertools.pairwise(pieces):
        if after.source == before.source:
            assert after.position >= before.position + len(before.pcm)


def test_a_clean_stream() -> None:
    """Every packet becomes audio at once, at contiguous positions over both wrap-arounds."""
    sender = Sender()
    pieces = [sender.send(i) for i in range(60)]
    assert [[(p.source, p.position, len(p.pcm)) for p in some] for some in pieces] == [
        [(1, 320 * i, 320)] for i in range(60)
    ]
    assert sender.receiver.statistics.decoded == 60 * 320


def hole(frame: int, length: int) -> range:
    """Packets to lose, in front of one that carries a copy of the last of them."""
    last = next(i for i in range(20, 59) if has_fec(stream(frame)[i + 1]))
    return range(last - length + 1, last + 1)


@pytest.mark.parametrize(("frame", "length"), [(320, 1), (320, 2), (320, 6), (960, 1), (160, 3)])
def test_lost_packets_are_restored_and_concealed(frame: int, length: int) -> None:
    """The last missing frame comes from the next packet's copy, those before it are made up; nothing is left out."""
    sender, lost = Sender(frame), hole(frame, length)
    pieces = [p for i in range(60) if i not in lost for p in sender.send(i)] + sender.wait()
    check(pieces)
    assert pieces[-1].position + len(pieces[-1].pcm) == sum(len(p.pcm) for p in pieces) == 60 * frame
    statistics = sender.receiver.statistics
    assert (statistics.restored, statistics.concealed) == (frame, (length - 1) * frame)


def test_without_a_copy_all_is_concealed() -> None:
    """The packet after the hole carries no FEC."""
    sender, plain = Sender(), OpusEncoder()
    payloads = [plain.encode(frame) for frame in voice(0.4).reshape(-1, 320)]
    pieces = [p for i, payload in enumerate(payloads) if i not in (7, 8) for p in sender.send(i, payload)]
    assert sum(len(p.pcm) for p in pieces + sender.wait()) == 20 * 320
    assert sender.receiver.statistics.concealed == 640


def test_a_long_hole_is_a_jump_and_its_last_frame_is_restored() -> None:
    """Over 120 ms nothing is made up; the position tells."""
    sender, lost = Sender(), hole(320, 10)
    pieces = [p for i in range(60) if i not in lost for p in sender.send(i)] + sender.wait()
    check(pieces)
    end = pieces.index(next(p for p in pieces if p.position >= lost.start * 320))
    assert [p.position for p in pieces[end - 1 : end + 2]] == [320 * i for i in (lost[0] - 1, lost[-1], lost[-1] + 1)]
    statistics = sender.receiver.statistics
    assert (statistics.restored, statistics.skipped, statistics.concealed) == (320, 9 * 320, 0)


def test_a_long_hole_without_a_copy_is_only_a_jump() -> None:
    """Nothing to restore, nothing made up."""
    sender, plain = Sender(), OpusEncoder()
    payloads = [plain.encode(frame) for frame in voice(0.4).reshape(-1, 320)]
    pieces = [p for i in [0, 1, *range(10, 20)] for p in sender.send(i, payloads[i])] + sender.wait()
    assert [p.position for p in pieces[1:3]] == [320, 3200]
    assert sender.receiver.statistics.skipped == 8 * 320


def test_loss_of_odd_length() -> None:
    """A hole shorter than the packet's frame, or not a multiple of 2.5 ms, is filled as far as possible."""
    sender = Sender()
    sender.send(0)
    sender.jump = -290
    (piece,) = [*sender.send(2), *sender.wait()]
    assert piece.position == 350
    sender.jump = -290 - 150
    made_up, piece = [*sender.send(4), *sender.wait()]
    assert (made_up.position, len(made_up.pcm), piece.position) == (670, 160, 840)


def test_short_pause_in_sending_is_silence() -> None:
    """A timestamp jump without a sequence gap, up to 120 ms: zeros of the same length."""
    sender = Sender()
    sender.send(0)
    sender.jump = MAX_FILL_SAMPLES
    silence, piece = sender.send(1)
    assert not silence.pcm.any()
    assert (silence.position, len(silence.pcm), piece.position) == (320, MAX_FILL_SAMPLES, 320 + MAX_FILL_SAMPLES)
    assert sender.receiver.statistics.silence == MAX_FILL_SAMPLES


def test_long_pause_in_sending_is_a_jump() -> None:
    """DTX of more than 120 ms is told by the position alone."""
    sender = Sender()
    sender.send(0)
    sender.jump = 160_000
    (piece,) = sender.send(1)
    assert piece.position == 160_320
    assert sender.receiver.statistics.skipped == 160_000


def test_overlapping_timestamps_are_put_behind_each_other() -> None:
    """A sender whose packets are longer than its timestamps say does not move the position back."""
    sender = Sender(960)
    pieces = []
    for i in range(5):
        sender.jump = -500 * i
        pieces += sender.send(i)
    check(pieces)
    assert len(pieces) == 5


def test_a_new_ssrc_starts_a_new_clock() -> None:
    """Its first packet is position 0 of the next source."""
    sender = Sender()
    sender.send(0)
    assert sender.send(1000, ssrc=2) == []
    first, second = sender.send(1001, ssrc=2)
    assert [(p.source, p.position) for p in (first, second)] == [(2, 0), (2, 320)]


@pytest.mark.parametrize("payload", [b"", b"\xff\xff\xff", bytes(1501), b"\x0b\x3f"])
def test_a_malformed_payload_is_a_hole(payload: bytes) -> None:
    """It is counted, and filled like a lost packet."""
    sender = Sender()
    pieces = [p for i in range(40) for p in sender.send(i, payload if i == 20 else None)]
    check(pieces)
    assert sender.receiver.statistics.refused == 1
    assert sum(len(p.pcm) for p in pieces) == 40 * 320


def test_packets_that_are_no_sound_are_not_lost() -> None:
    """Keys that are pressed have numbers among ours: their time is silence, and nothing is made up for it."""
    sender = Sender()
    pieces = [p for i in range(30) for p in sender.send(i, kind=Kind.OTHER if i in (20, 21) else Kind.SOUND)]
    check(pieces)
    counted = sender.receiver.statistics
    assert (counted.silence, counted.concealed, counted.restored, counted.refused) == (640, 0, 0, 0)


def test_what_is_said_to_be_silent_is_not_decoded() -> None:
    """Zeros, as long as the packet."""
    sender = Sender()
    pieces = [p for i in range(30) for p in sender.send(i, kind=Kind.SILENCE if i == 20 else Kind.SOUND)]
    assert [not p.pcm.any() for p in pieces[20:22]] == [True, False]
    assert len(pieces[20].pcm) == 320


def test_a_malformed_first_payload() -> None:
    """The stream begins with the next one."""
    sender = Sender()
    assert sender.send(0, b"") == []
    assert [p.position for p in sender.send(1)] == [0]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=60),
    st.lists(st.binary(max_size=30), min_size=1, max_size=5),
)
def test_whatever_comes_positions_only_grow(steps: list[tuple[int, bool]], garbage: list[bytes]) -> None:
    """Any order of good packets and garbage, with time passing, keeps the promises and the decoder alive."""
    sender, pieces = Sender(), []
    for n, (index, good) in enumerate(steps):
        pieces += sender.send(index, None if good else garbage[n % len(garbage)])
    check(pieces + sender.wait())
    ahead = [p for i in range(3000, 3003) for p in sender.send(i)] + sender.wait()
    assert sum(len(p.pcm) for p in ahead[-3:]) == 960
