"""Where samples belong in the meeting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audio.timeline import CATCH_UP_SAMPLES, FORGET_S, SLEW_SAMPLES, Timeline
from bot.codecs.rtp import JitterBuffer
from tests.support.examples import EXAMPLES

RATE = 16_000
ZERO = 5000.0


class Track:
    """A sender with a clock of its own, seen through a network. `error` of each piece: placed minus true time, seconds.

    The true time of a sample is when it would arrive without jitter.
    """

    def __init__(self, ppm: float = 0.0, samples: int = 320) -> None:
        self.timeline = Timeline(ZERO)
        self.samples, self.rate = samples, RATE * (1 + ppm * 1e-6)
        self.position, self.source = 12_345, 1
        self.time = ZERO + 1.0  # true time of `position`
        self.ends: list[int] = [0]
        self.starts: list[int] = []

    def piece(self, late: float = 0.0) -> float:
        """Sends one piece that is `late` on the way."""
        start = self.timeline.place(self.position, self.source, self.time + late, self.samples)
        error = start / RATE - (self.time - ZERO)
        self.starts.append(start)
        self.ends.append(start + self.samples)
        self.advance(self.samples)
        return error

    def advance(self, samples: int) -> None:
        """The sender's clock goes on."""
        self.position += samples
        self.time += samples / self.rate

    def run(self, pieces: int, jitter: float = 0.0, seed: int = 0) -> Iterator[float]:
        """Sends many, each with a random delay up to `jitter`."""
        for late in np.random.default_rng(seed).uniform(0, jitter, pieces):
            yield self.piece(float(late))

    def overlap(self) -> int:
        """The largest number of samples by which a piece began before the end of the one before."""
        return max(end - start for end, start in zip(self.ends[:-1], self.starts, strict=True))


def test_contiguous_audio_is_contiguous() -> None:
    """On a clean network nothing moves but the half of the assumed first delay that is beyond the tolerance, once."""
    track = Track()
    errors = list(track.run(2000))
    assert max(map(abs, errors)) <= 0.0201
    moves = [start - end for start, end in zip(track.starts[1:], track.ends[1:-1], strict=True)]
    assert not any(moves[:99])
    assert sum(moves) == sum(map(abs, moves)) == 160


def test_the_assumed_delay_of_the_first_piece_is_taken_back() -> None:
    """When two seconds show that nothing arrives earlier, the placement follows to within its tolerance."""
    errors = list(Track().run(500))
    assert errors[0] == pytest.approx(-0.020, abs=1e-4)
    assert abs(errors[-1]) <= 0.0101


@pytest.mark.parametrize("samples", [160, 320, 800, 1600])
@settings(max_examples=EXAMPLES // 2)
@given(seed=st.integers(0, 2**32), ppm=st.floats(-200, 200), jitter=st.floats(0, 0.06))
def test_jitter_and_drift(samples: int, seed: int, ppm: float, jitter: float) -> None:
    """Error at most 40 ms, and never more than one sample in 160 overlapped."""
    track = Track(ppm, samples)
    errors = list(track.run(400, jitter, seed))
    assert max(map(abs, errors)) <= 0.0402
    assert track.overlap() <= samples // SLEW_SAMPLES


@pytest.mark.parametrize("ppm", [-200, 200])
def test_ten_minutes_of_drift(ppm: int) -> None:
    """120 ms of drift do not add up, and are followed without a jump: no piece moves by more than 1 sample in 160."""
    track = Track(ppm, 960)
    errors = list(track.run(10_000, 0.03, 7))
    assert max(map(abs, errors)) <= 0.0402
    moves = [start - end for start, end in zip(track.starts[1:], track.ends[1:-1], strict=True)]
    assert max(map(abs, moves)) <= 960 // SLEW_SAMPLES


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(0, 16 * 40_000), st.booleans()), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.floats(-200, 200),
)
def test_pauses_and_new_clocks(parts: list[tuple[int, int, bool]], seed: int, ppm: float) -> None:
    """Gaps in positions (DTX, loss) of up to 40 s and new sources keep the error within 40 ms; time never goes back."""
    track = Track(ppm)
    for n, (pieces, gap, is_new) in enumerate(parts):
        assert max(map(abs, track.run(pieces, 0.06, seed + n))) <= 0.0402
        track.advance(gap)
        if is_new:
            track.source += 1
            track.position = 99 * n
    assert track.overlap() <= 320 // SLEW_SAMPLES


def test_a_stall_and_its_burst_do_not_move_the_clock() -> None:
    """Three seconds arrive at once: they are placed where they were spoken."""
    track = Track()
    before = list(track.run(200))[-1]
    resumes = track.time + 3.0
    burst = [track.piece(resumes - track.time) for _ in range(150)]
    assert burst == pytest.approx([before] * 150, abs=0.011)
    assert list(track.run(200))[-1] == pytest.approx(0, abs=0.0101)


def test_a_stall_that_drains_slowly_does_not_move_the_clock() -> None:
    """Two seconds late at first, then caught up within four seconds."""
    track = Track()
    list(track.run(200))
    errors = [track.piece(2.0 - 0.01 * n) for n in range(200)]
    assert max(map(abs, errors)) <= 0.0201


def test_a_sender_that_stopped_its_clock() -> None:
    """A mute that the positions do not show: after two windows, the placement jumps to where it belongs."""
    track = Track()
    list(track.run(200))
    track.time += 10.0
    errors = list(track.run(200))
    assert errors[0] == pytest.approx(-10, abs=0.02)
    assert max(map(abs, errors[120:])) <= 0.0101
    assert track.overlap() <= 2


def test_a_very_late_first_piece_is_caught_up_with() -> None:
    """The backlog of a late start is placed too late at first; pieces then overlap by at most 1 in 20."""
    track = Track()
    resumes = track.time + 0.6
    errors = [track.piece(max(resumes - track.time, 0)) for _ in range(2000)]
    assert errors[0] > 0.5
    assert max(map(abs, errors[1400:])) <= 0.0105
    assert track.overlap() == 320 // CATCH_UP_SAMPLES


def test_after_long_silence_the_clock_is_taken_anew() -> None:
    """More than 30 s without a piece: the old anchor is worth nothing."""
    track = Track()
    list(track.run(200))
    track.time += FORGET_S + 1
    assert track.piece() == pytest.approx(-0.020, abs=1e-4)


def test_nothing_is_placed_before_the_meeting_began() -> None:
    """Audio of a track that was already open belongs to the beginning."""
    assert Timeline(ZERO).place(0, 1, ZERO + 0.001, 320) == 0


@pytest.mark.parametrize(
    "away", [[(10.0, 18.0)], [(10.0, 18.0), (18.1, 26.0)], [(10.0, 19.0), (19.05, 24.0), (24.05, 30.0)]], ids=str
)
@pytest.mark.parametrize("each_s", [0.0005, 0.018])
def test_a_bot_that_cannot_read_places_no_word_wrong(away: list[tuple[float, float]], each_s: float) -> None:
    """Held up for so long that the kernel has thrown packets away (it keeps 250), then again, or just slow: what it
    reads late is where it was said. It was taken for a sender that had begun anew, and put up to 8 s later."""
    buffer, timeline = JitterBuffer(), Timeline(ZERO)
    sent, kept, now, worst = 0, deque[int](), 0.0, 0.0
    while sent < 40 * 50 or kept:
        now = max(now, sent / 50) if not kept else now
        now = next((end for begin, end in away if begin <= now < end), now)
        while sent < 40 * 50 and sent / 50 <= now:
            if len(kept) < 250:
                kept.append(sent)
            sent += 1
        number = kept.popleft()
        now += each_s
        for packet in buffer.push(number, 960 * number, 1, b"", ZERO + now):
            start = timeline.place(packet.timestamp // 3, packet.source, ZERO + now, 320)
            worst = max(worst, abs(start / RATE - packet.timestamp / 48_000))
    assert worst < 0.05
