"""The audio plane end to end: frames in, lane orders out, text back to speakers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.lanes import IDLE_TIMEOUT_S
from bot.audio.plane import AudioPlane, LaneAudio, LaneEnd, LaneOrder
from bot.core.events import AudioHeard
from common.audio.pcm import SAMPLE_RATE

ZERO = 500.0
PIECE = SAMPLE_RATE // 50


def loud(pcm: NDArray[np.float32]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


class Room:
    """Tracks that play loud and quiet stretches at their times."""

    def __init__(self) -> None:
        self.owners: dict[str, tuple[str, str]] = {"t1": ("ana", "Ana"), "t2": ("ben", "Ben")}
        self.hearing = AudioPlane(ZERO, lambda: loud, self.owners.get)
        self.orders: list[LaneOrder] = []

    def play(self, track: str, start: float, seconds: float, amplitude: int = 8000, source: int = 1) -> None:
        """Frames of 20 ms that arrive as they are spoken."""
        for piece in range(round(seconds * 50)):
            at = start + piece * 0.02
            pcm = np.full(PIECE, amplitude, np.int16)
            self.orders += self.hearing.frame(AudioFrame(track, pcm, round(at * SAMPLE_RATE), source, ZERO + at))

    def utter(self, track: str, start: float, seconds: float) -> None:
        """An utterance with quiet around it."""
        self.play(track, start - 1, 1, 10)
        self.play(track, start, seconds)
        self.play(track, start + seconds, 1, 10)

    def sent(self, lane: int) -> int:
        """Samples put on a lane."""
        return sum(len(order.pcm) for order in self.orders if isinstance(order, LaneAudio) and order.lane == lane)


def test_an_utterance_becomes_a_lane_and_text_finds_its_way_back() -> None:
    """Only speech and its edges are sent, the end is said once, and lane times map to the speaker and meeting time."""
    room = Room()
    room.utter("t1", 10, 2)
    assert room.orders.count(LaneEnd(1)) == 1
    assert 2.4 * SAMPLE_RATE <= room.sent(1) <= 2.8 * SAMPLE_RATE
    found = room.hearing.find(1, round(0.5 * SAMPLE_RATE), room.sent(1))
    assert found is not None
    assert (found.utterance.speaker_id, found.utterance.speaker) == ("ana", "Ana")
    assert found.utterance.onset / SAMPLE_RATE == pytest.approx(10, abs=0.06)
    assert found.utterance.end is not None
    assert found.utterance.end / SAMPLE_RATE == pytest.approx(12.05, abs=0.06)
    assert found.end - found.start == room.sent(1) - round(0.5 * SAMPLE_RATE)


def test_two_speakers_at_once_have_two_lanes() -> None:
    """Overlapping speech never shares a lane, and each keeps the name it had at the onset."""
    room = Room()
    room.play("t1", 5, 1)
    room.owners["t2"] = ("ben", "Benjamin")
    room.play("t2", 5.5, 1)
    room.owners["t2"] = ("ben", "Somebody else")
    first, second = room.hearing.find(1, 0, 100), room.hearing.find(2, 0, 100)
    assert first is not None
    assert second is not None
    assert (first.utterance.speaker, second.utterance.speaker) == ("Ana", "Benjamin")
    assert room.hearing.speaking
    room.orders += room.hearing.close_all(ZERO + 7)
    assert {LaneEnd(1), LaneEnd(2)} <= {order for order in room.orders if isinstance(order, LaneEnd)}
    assert not room.hearing.speaking


def test_text_across_two_utterances_is_attributed_by_its_middle_and_clamped() -> None:
    """A server that joins two utterances of one lane cannot move words out of the one they are in."""
    room = Room()
    room.utter("t1", 10, 1)
    length = room.sent(1)
    room.utter("t1", 20, 1)
    found = room.hearing.find(1, length - 2000, length + 6000)
    assert found is not None
    assert found.utterance.number == 2
    assert found.start == found.utterance.onset
    found = room.hearing.find(1, length - 6000, length + 2000)
    assert found is not None
    assert found.utterance.number == 1
    assert found.end == found.utterance.end
    assert room.hearing.find(7, 0, 10) is None


def test_decisions_complete_utterances_in_order() -> None:
    """An acknowledgement completes exactly the utterances before it, the open one never."""
    room = Room()
    room.utter("t1", 10, 1)
    length = room.sent(1)
    assert room.hearing.decided(1, length - 100) == []
    room.utter("t1", 20, 1)
    assert [u.number for u in room.hearing.decided(1, length)] == [1]
    room.play("t1", 30, 1)
    assert [u.number for u in room.hearing.decided(1, room.sent(1))] == [2]
    assert room.hearing.decided(1, room.sent(1)) == []
    assert room.hearing.decided(9, 1) == []


def test_a_closed_track_ends_its_utterance_and_may_come_back() -> None:
    """Mute ends what is being said; the next frames begin anew on the same lane."""
    room = Room()
    room.play("t1", 10, 1)
    assert room.hearing.close("t1", ZERO + 11)[-1] == LaneEnd(1)
    assert room.hearing.close("t1", ZERO + 11) == []
    room.utter("t1", 15, 1)
    found = room.hearing.find(1, room.sent(1) - 10, room.sent(1))
    assert found is not None
    assert found.utterance.number == 2


def test_a_track_that_stops_sending_is_ended_by_time() -> None:
    """No packets at all are silence too."""
    room = Room()
    room.play("t1", 10, 1)
    assert room.hearing.idle(ZERO + 11.3) == []
    assert LaneEnd(1) in room.hearing.idle(ZERO + 12)
    assert room.hearing.idle(ZERO + 13) == []


def test_nobody_is_nobody() -> None:
    """Tracks of services and unknown tracks are not listened to."""
    room = Room()
    room.utter("t9", 10, 1)
    assert room.orders == []


def test_idle_lanes_close_once_everything_is_decided() -> None:
    """A lane with an open question stays; after the decision and a minute it goes, and text for it is nobody's."""
    room = Room()
    room.utter("t1", 10, 1)
    late = ZERO + 12 + IDLE_TIMEOUT_S
    assert room.hearing.idle_lanes(late) == []
    room.hearing.decided(1, room.sent(1))
    assert room.hearing.idle_lanes(ZERO + 13) == []
    assert room.hearing.idle_lanes(late) == [1]
    assert room.hearing.find(1, 0, 10) is None


def test_renewed_lanes_serve_the_next_utterance() -> None:
    """After a reconfiguration the next utterance opens a lane of its own."""
    room = Room()
    room.utter("t1", 10, 1)
    room.hearing.renew_lanes()
    room.utter("t1", 20, 1)
    assert room.sent(2) > SAMPLE_RATE


def test_reports_say_what_a_track_sounds_like() -> None:
    """Once a second: level, samples, speech; digital zeros are minus infinity."""
    room = Room()
    room.play("t1", 10, 3, 0)
    room.play("t1", 13, 1.2)
    room.play("t2", 10, 2, 10)
    reports = room.hearing.reports()
    assert room.hearing.reports() == []
    frames = reports[0].samples // PIECE
    assert reports[0] == AudioHeard("t1", reports[0].samples, -math.inf, False, frames)
    assert reports[0].samples == pytest.approx(SAMPLE_RATE, abs=2 * PIECE)
    assert any(r.track_id == "t1" and r.speech and r.level_dbfs > -20 for r in reports)
    assert any(r.track_id == "t2" and not r.speech and -90 < r.level_dbfs < -60 for r in reports)
    gated, sent = (sum(getattr(r, stage) for r in reports if r.track_id == "t1") for stage in ("gated", "sent"))
    assert gated == sent >= SAMPLE_RATE


def test_speech_is_reported_when_it_ends() -> None:
    """A report that came after the transcriber's answer would look as if it were owed another; a stall brings one."""
    room = Room()
    room.play("t1", 10, 1.3)
    room.play("t1", 11.3, 0.7, 0)
    reports = room.hearing.reports()
    assert [report.speech for report in reports] == [True, True]
    room.play("t1", 12, 1, 0)
    assert [report.speech for report in room.hearing.reports()] == [False]


def test_speech_that_ends_with_its_track_is_not_reported_late() -> None:
    """A track that stops right after a report has nothing to say then; when it goes on, the speech is long over."""
    room = Room()
    at = 10.0
    while not room.hearing.reports():
        room.play("t1", at, 0.02)
        at += 0.02
    assert LaneEnd(1) in room.hearing.idle(ZERO + at + 2)
    room.play("t1", at + 30, 1.1, 10)
    assert not any(report.speech for report in room.hearing.reports())
