"""All tracks as one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.mixer import CAPACITY_SAMPLES, DELAY_SAMPLES, Mixer
from bot.core.events import MIX_TRACK
from common.audio.pcm import SAMPLE_RATE

PIECE = 320
AHEAD = PIECE
"""A track's first piece is taken to have been 20 ms on its way."""


def loud(pcm: NDArray[np.float32]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


class Room:
    """Tracks that play constant levels; what comes out, on the meeting's clock."""

    def __init__(self) -> None:
        self.mixer = Mixer(100.0, lambda: loud, {name: (name, name) for name in "abc"}.get)
        self.heard = np.zeros(20 * SAMPLE_RATE, np.int16)
        self.frames: list[AudioFrame] = []

    def play(self, track: str, start: int, level: int, pieces: int, late: float = 0.0) -> None:
        """Pieces of 20 ms from meeting sample `start` on."""
        for piece in range(pieces):
            at = start + piece * PIECE
            arrival = 100.0 + at / SAMPLE_RATE + late
            for mixed in self.mixer.frame(AudioFrame(track, np.full(PIECE, level, np.int16), at, 1, arrival)):
                self.frames.append(mixed)
                self.heard[mixed.position : mixed.position + len(mixed.pcm)] = mixed.pcm

    def levels(self, *samples: int) -> list[int]:
        """What the mix has at these samples."""
        return [int(self.heard[sample - AHEAD]) for sample in samples]


def test_tracks_are_added_where_they_belong() -> None:
    """In whatever order their pieces come within the delay; loud ones are clipped, not wrapped."""
    room = Room()
    for step in range(100):
        room.play("a", 16000 + step * PIECE, 1000, 1)
        if step >= 50:
            room.play("b", 16000 + (step - 5) * PIECE, 32000, 1)
    assert room.levels(16000, 16000 + 44 * PIECE, 16000 + 46 * PIECE) == [1000, 1000, 32767]
    assert all(frame.track_id == MIX_TRACK for frame in room.frames)
    held = 16000 + 100 * PIECE - AHEAD - (room.frames[-1].position + len(room.frames[-1].pcm))
    assert 0 <= held <= DELAY_SAMPLES + PIECE


def test_after_silence_the_mix_goes_on_where_it_is() -> None:
    """Time in which nobody sends is a jump of its position; a track that comes back on a new clock is placed anew."""
    room = Room()
    room.play("a", 16000, 1000, 50)
    room.mixer.close("a")
    assert not room.mixer.close("nobody")
    room.play("a", 160000, 2000, 50)
    assert room.levels(16000 + 10 * PIECE, 100000, 160000 + 10 * PIECE) == [1000, 0, 2000]
    ends = [frame.position + len(frame.pcm) for frame in room.frames]
    starts = [frame.position for frame in room.frames]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_what_comes_too_late_is_dropped_and_what_is_far_ahead_pushes() -> None:
    """The mix never goes back, and never holds more than two seconds."""
    room = Room()
    room.play("a", 16000, 1000, 20)
    late: NDArray[np.int16] = np.full(PIECE, 500, np.int16)
    before = len(room.frames)
    assert room.mixer.frame(AudioFrame("b", late, 0, 1, 100.5)) == []
    assert len(room.frames) == before
    room.mixer.frame(AudioFrame("c", late, 0, 1, 101.4))
    [pushed, *_] = room.mixer.frame(AudioFrame("c", late, 4 * SAMPLE_RATE, 1, 101.42))
    assert pushed.position + len(pushed.pcm) <= round(1.4 * SAMPLE_RATE) + 4 * SAMPLE_RATE - CAPACITY_SAMPLES + PIECE


def test_what_is_held_comes_with_time_or_at_once_where_nothing_follows() -> None:
    """A track that is muted as soon as all is said leaves its last 200 ms in the mix: they are handed on, once."""
    room = Room()
    room.play("a", 16000, 1000, 50)
    assert room.mixer.close("a")
    end = 101.0 + 49 * PIECE / SAMPLE_RATE
    assert room.mixer.idle(end) == []
    [first] = room.mixer.idle(end + 0.1)
    [rest] = room.mixer.flush()
    assert sum(len(frame.pcm) for frame in [*room.frames, first, rest]) == 50 * PIECE
    assert rest.position == first.position + len(first.pcm)
    assert not room.mixer.holds
    assert room.mixer.flush() == []


def test_each_track_is_measured() -> None:
    """Hearing health needs to know of every track, not of their sum."""
    room = Room()
    room.play("a", 16000, 1000, 60)
    room.play("b", 16000, 0, 60)
    assert {report.track_id for report in room.mixer.reports()} == {"a", "b"}
    assert room.mixer.reports() == []


def test_it_is_known_who_was_heard() -> None:
    """By each track's own gate: alone, at once, to its end when the track stops or closes; nobody is not mixed."""
    room = Room()
    for piece in range(250):
        at = 16000 + piece * PIECE
        room.play("a", at, 8000 if piece < 150 else 0, 1)
        room.play("b", at, 8000 if piece >= 100 else 0, 1)
    speaker = room.mixer.turns.speaker
    assert [speaker(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)) for start, end in
            [(1.2, 2.7), (3.2, 3.8), (4.6, 5.5)]] == ["a", None, "b"]  # fmt: skip
    assert room.mixer.close("b") is False
    room.play("c", 16000 * 8, 8000, 20)
    room.mixer.idle(100 + 10)
    assert [speaker(16000 * second, 16000 * second + 1600) for second in (7, 8, 10)] == [None, "c", None]
    assert room.mixer.frame(AudioFrame("nobody", np.full(PIECE, 8000, np.int16), 0, 1, 111.0)) == []


def test_a_track_that_is_late_is_waited_for() -> None:
    """One that comes 3 s later than it was said, as it says: nothing of it is too late, and nobody stalled."""
    mixer = Mixer(100.0, lambda: loud, {"a": ("a", "a")}.get)
    total = 0
    for piece in range(100):
        said = 100.0 + piece * 0.02
        frame = AudioFrame("a", np.full(PIECE, 8000, np.int16), piece * PIECE, 1, said, 3.0)
        total += sum(len(mixed.pcm) for mixed in mixer.frame(frame) + mixer.idle(said + 3.0))
    assert total >= 100 * PIECE - DELAY_SAMPLES - 2 * PIECE
    assert mixer.turns.speaker(10 * PIECE, 90 * PIECE) == "a"
