"""The audio plane end to end: frames in, lane orders out, text back to speakers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.gaps import Gap
from bot.audio.lanes import IDLE_TIMEOUT_S, Lanes
from bot.audio.plane import AudioPlane, Completed, LaneAudio, LaneClose, LaneDrop, LaneEnd, PlaneOrder
from bot.audio.replay import CAPACITY_SAMPLES
from bot.core.events import AudioHeard
from common.audio.pcm import SAMPLE_RATE

ZERO = 500.0
PIECE = SAMPLE_RATE // 50
OURS = frozenset({"utterance", "segment_language"})
"""What a server grants that lanes may be shared on."""


def loud(pcm: NDArray[np.float32]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


class Room:
    """Tracks that play loud and quiet stretches at their times."""

    def __init__(self, most: int | None = 3) -> None:
        self.owners: dict[str, tuple[str, str]] = {"t1": ("ana", "Ana"), "t2": ("ben", "Ben"), "t3": ("cem", "Cem")}
        self.hearing = AudioPlane(ZERO, lambda: loud, self.owners.get, Lanes(most))
        self.orders: list[PlaneOrder] = []

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

    def decide(self, lane: int, sample: int | None = None, now: float = ZERO + 100) -> list[PlaneOrder]:
        """The server decides everything sent on a lane, or up to a sample; returns what follows."""
        orders = self.hearing.decided(lane, self.sent(lane) if sample is None else sample, now)
        self.orders += orders
        return orders

    def sent(self, lane: int) -> int:
        """Samples put on a lane."""
        return sum(len(order.pcm) for order in self.orders if isinstance(order, LaneAudio) and order.lane == lane)


def completed(orders: list[PlaneOrder]) -> list[int]:
    """The numbers of utterances that are complete."""
    return [order.utterance.number for order in orders if isinstance(order, Completed)]


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
    assert room.decide(1, length - 100) == []
    room.utter("t1", 20, 1)
    assert completed(room.decide(1, length)) == [1]
    room.play("t1", 30, 1)
    assert completed(room.decide(1)) == [2]
    assert room.decide(1) == []
    assert room.decide(9, 1) == []


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
    assert room.hearing.close_idle(late) == []
    room.decide(1, now=ZERO + 12)
    assert room.hearing.close_idle(ZERO + 13) == []
    assert room.hearing.close_idle(late) == [LaneClose(1)]
    assert room.hearing.find(1, 0, 10) is None


def test_renewed_lanes_serve_the_next_utterance() -> None:
    """After a reconfiguration the next utterance opens a lane of its own; one with nothing to finish closes at once."""
    room = Room()
    room.utter("t1", 10, 1)
    room.decide(1)
    assert room.hearing.renew_lanes() == [LaneClose(1)]
    room.utter("t1", 20, 1)
    assert room.sent(2) > SAMPLE_RATE


def test_words_after_a_change_do_not_overtake_those_before() -> None:
    """Who said something that is undecided waits with the next words until it is; others do not, nor for them."""
    room = Room(most=1)
    room.utter("t1", 10, 1)
    assert room.hearing.renew_lanes() == []
    room.utter("t1", 12, 1)
    assert room.sent(2) == 0
    room.play("t2", 20, 8)
    assert room.sent(2) > SAMPLE_RATE
    room.orders += room.hearing.idle(ZERO + 28)
    assert LaneEnd(2) not in room.orders  # nobody waits for Ben
    assert [type(order) for order in room.decide(1)] == [Completed, LaneClose]
    room.orders += room.hearing.close("t2", ZERO + 29)
    room.hearing.granted(2, OURS)
    assert completed(room.decide(2)) == [3]
    found = room.hearing.find(2, room.sent(2) - PIECE, room.sent(2))
    assert found is not None
    assert found.utterance.speaker == "Ana"


def test_a_track_that_somebody_else_speaks_on_does_not_overtake_either() -> None:
    """Its owner was learnt, or has changed: it never has undecided audio on two lanes."""
    room = Room()
    room.utter("t1", 10, 1)
    room.hearing.renew_lanes()
    room.owners["t1"] = ("dan", "Dan")
    room.utter("t1", 12, 1)
    assert room.sent(2) == 0
    assert [type(order) for order in room.decide(1)][:3] == [Completed, LaneClose, LaneAudio]


def test_a_new_track_of_somebody_does_not_overtake_the_old_one() -> None:
    """After a reconnect; two that speak at once do not wait for each other."""
    room = Room()
    room.owners["new"] = room.owners["t1"]
    room.play("t1", 10, 1)
    room.play("new", 10.2, 1)
    assert room.sent(2) > 0
    room.orders += room.hearing.close("t1", ZERO + 11.2)
    room.play("new", 11.2, 1, 10)
    room.utter("new", 15, 1)
    length = room.sent(2)
    assert length < 2 * SAMPLE_RATE  # it waits for the first one
    assert room.hearing.waiting(ZERO + 16)[0] == 1
    room.decide(2)
    assert room.sent(2) == length
    assert completed(room.decide(1)) == [1]
    assert room.hearing.waiting(ZERO + 16)[0] == 0


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


def test_clear_speech_is_counted_when_it_was_sent() -> None:
    """Of an utterance that is long and sure enough, and on a lane to its end; a cough, or who still waits, is not."""
    room = Room(most=1)
    room.utter("t1", 10, 2)
    room.utter("t2", 13, 2)  # waits: the lane is the first one's until that is decided
    clear = {track: sum(r.clear for r in room.hearing.reports() if r.track_id == track) for track in ("t1", "t2")}
    assert clear == {"t1": pytest.approx(2 * SAMPLE_RATE, abs=2 * PIECE), "t2": 0}
    room.decide(1)
    room.utter("t1", 20, 0.7)
    assert sum(report.clear for report in room.hearing.reports()) == 0


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


def test_an_utterance_decided_before_its_end_frees_its_lane_at_the_end() -> None:
    """Everything was completed while the speech gate still waited for more: no other decision comes."""
    room = Room()
    room.play("t1", 10, 1)
    room.play("t1", 11, 0.3, 10)
    assert room.decide(1) == []
    room.hearing.granted(1, OURS)
    room.play("t1", 11.3, 0.3, 10)
    assert completed(room.orders) == [1]
    assert room.decide(1) == []
    room.utter("t2", 12, 1)
    assert {order.lane for order in room.orders if isinstance(order, LaneAudio)} == {1}


def test_people_who_take_turns_share_one_lane_and_keep_their_names() -> None:
    """The lane changes hands when everything is decided; text finds each speaker, and their own time."""
    room = Room()
    for turn in range(6):
        room.utter(f"t{turn % 3 + 1}", 10 + 5 * turn, 2)
        room.hearing.granted(1, OURS)
        found = room.hearing.find(1, room.sent(1) - 3 * PIECE, room.sent(1) - PIECE)
        assert found is not None
        assert found.utterance.speaker == ("Ana", "Ben", "Cem")[turn % 3]
        assert found.utterance.onset / SAMPLE_RATE == pytest.approx(10 + 5 * turn, abs=0.1)
        assert completed(room.decide(1)) == [turn + 1]
    assert {order.lane for order in room.orders if isinstance(order, LaneAudio)} == {1}


def test_who_finds_no_lane_waits_with_the_audio() -> None:
    """In the order of their onsets, and as long as it takes; nothing is missing when a lane is free."""
    room = Room(most=1)
    room.play("t1", 10, 1)
    room.utter("t2", 10.5, 2)
    room.play("t3", 11, 1)
    assert room.hearing.waiting(ZERO + 15)[0] == 2
    assert room.hearing.waiting(ZERO + 15)[1] == pytest.approx(4.4, abs=0.2)
    room.orders += room.hearing.close("t1", ZERO + 15)
    room.hearing.granted(1, OURS)
    before = room.sent(1)
    orders = room.decide(1)
    assert completed(orders) == [1]
    assert orders[-1] == LaneEnd(1)  # Ben has finished meanwhile
    assert 2.4 * SAMPLE_RATE <= room.sent(1) - before <= 2.8 * SAMPLE_RATE
    before = room.sent(1)
    orders = room.decide(1)
    assert LaneEnd(1) not in orders  # Cem goes on
    assert room.sent(1) - before >= 0.9 * SAMPLE_RATE
    room.play("t3", 12, 1)
    assert room.sent(1) - before >= 1.9 * SAMPLE_RATE
    found = room.hearing.find(1, room.sent(1) - PIECE, room.sent(1))
    assert found is not None
    assert found.utterance.speaker == "Cem"
    assert found.end / SAMPLE_RATE == pytest.approx(13, abs=0.05)
    assert room.hearing.waiting(ZERO + 20) == (0, 0.0)


def test_while_others_wait_nobody_keeps_a_lane_for_the_next_utterance() -> None:
    """Somebody who speaks with short pauses goes to the end of the line each time."""
    room = Room(most=1)
    room.utter("t1", 10, 1)
    room.utter("t2", 11, 1)
    room.utter("t1", 14, 1)
    assert room.hearing.waiting(ZERO + 16)[0] == 2
    room.hearing.granted(1, OURS)
    assert completed(room.decide(1)) == [1]
    found = room.hearing.find(1, room.sent(1) - PIECE, room.sent(1))
    assert found is not None
    assert found.utterance.speaker == "Ben"


def test_nobody_who_never_pauses_keeps_a_lane_while_another_waits_for_long() -> None:
    """Hold music on every lane: the longest ends after 5 s of waiting, loses nothing, and queues for the next."""
    room = Room(most=2)
    for step in range(200):  # 20 s; whoever has ended is decided half a second later
        at = 10 + step / 10
        room.play("t1", at, 0.1)
        room.play("t2", at, 0.1)
        room.play("t3", at, 0.1, 8000 if 12 <= at < 14 else 10)
        room.orders += room.hearing.idle(ZERO + at + 0.1)
        if step == 75:
            assert room.orders.count(LaneEnd(1)) == 1
            assert LaneEnd(2) not in room.orders
            room.hearing.granted(1, OURS)
            assert completed(room.decide(1)) == [1]
            found = room.hearing.find(1, room.sent(1) - PIECE, room.sent(1))
            assert found is not None
            assert found.utterance.speaker == "Cem"
    assert room.hearing.waiting(ZERO + 30)[0] == 1  # Ana goes on
    assert completed(room.decide(1)) == [3]
    assert LaneEnd(2) not in room.orders
    assert (room.sent(1) + room.sent(2)) / SAMPLE_RATE >= 20 + 2 + 20 - 0.1  # all that the three have said


def test_a_lane_that_only_waits_for_decisions_is_enough_for_one_who_waits() -> None:
    """No utterance is cut in two for somebody who will have a lane without that."""
    room = Room(most=2)
    for step in range(100):
        at = 10 + step / 10
        room.play("t1", at, 0.1, 8000 if at < 11 else 10)
        room.play("t2", at, 0.1)
        room.play("t3", at, 0.1, 8000 if at > 11 else 10)
        room.orders += room.hearing.idle(ZERO + at + 0.1)
    assert [order for order in room.orders if isinstance(order, LaneEnd)] == [LaneEnd(1)]
    assert room.hearing.waiting(ZERO + 20)[1] > 8


def test_on_a_stock_server_a_waiting_speaker_gets_a_connection_of_their_own() -> None:
    """The free lane of somebody else is closed first, so that there are never more than allowed."""
    room = Room(most=1)
    room.utter("t1", 10, 1)
    room.hearing.granted(1, frozenset())
    room.utter("t2", 11, 1)
    orders = room.decide(1)
    assert [type(order) for order in orders[:3]] == [Completed, LaneClose, LaneAudio]
    assert room.sent(2) > SAMPLE_RATE
    assert room.hearing.find(1, 0, 100) is None


def test_a_track_keeps_sixty_seconds_on_its_lane_and_the_loss_is_one_gap() -> None:
    """The oldest goes; the lane is told from where on, and the gap is told once, when there are decisions again."""
    room = Room()
    room.play("t1", 10, 70)
    drops = [order for order in room.orders if isinstance(order, LaneDrop)]
    kept = room.sent(1) - drops[-1].sample
    assert kept == pytest.approx(CAPACITY_SAMPLES, abs=512)
    assert room.hearing.undecided()[1] == kept
    assert room.hearing.gaps(ZERO + 80) == []
    room.decide(1)
    [gap] = room.hearing.gaps(ZERO + 90)
    assert gap == Gap("t1", gap.start, room.sent(1) - kept)
    assert gap.start / SAMPLE_RATE == pytest.approx(9.6, abs=0.6)
    assert room.hearing.gaps(ZERO + 99, at_the_end=True) == []


def test_a_new_lane_after_a_change_of_language_has_no_room_of_its_own() -> None:
    """What the track has undecided on the old one counts, and goes first; when all has gone the old one closes."""
    room = Room()
    room.play("t1", 10, 60)
    room.play("t1", 70, 1, 10)
    assert room.hearing.renew_lanes() == []
    room.utter("t1", 72, 2)
    assert {order.lane for order in room.orders if isinstance(order, LaneDrop)} == {1}
    assert room.hearing.undecided()[1] == pytest.approx(CAPACITY_SAMPLES, abs=512)
    room.play("t1", 80, 59)
    assert LaneClose(1) in room.orders
    assert room.sent(2) > 2 * SAMPLE_RATE
    assert room.hearing.undecided()[1] == pytest.approx(CAPACITY_SAMPLES, abs=512)


def test_a_track_keeps_sixty_seconds_while_it_waits_and_others_lose_nothing() -> None:
    """What it has on a lane counts and goes first; then the oldest of what waits."""
    room = Room(most=1)
    room.utter("t1", 10, 20)
    room.hearing.granted(1, OURS)
    room.utter("t2", 31, 10)
    room.play("t1", 42, 50)
    assert [order for order in room.orders if isinstance(order, LaneDrop)]
    assert room.hearing.undecided()[1] == pytest.approx(CAPACITY_SAMPLES + 10.6 * SAMPLE_RATE, abs=3 * 512)
    room.play("t1", 92, 15)
    assert completed(room.orders) == [1]  # nothing of it is left
    [gap] = room.hearing.gaps(0, at_the_end=True)
    assert gap.samples / SAMPLE_RATE == pytest.approx(20.6 + 65 - 60, abs=0.2)
    assert len(room.hearing.undecided()[0]) == 2
    room.orders += room.hearing.close_all(ZERO + 110)
    found = room.hearing.find(1, room.sent(1) - PIECE, room.sent(1))
    assert found is not None
    assert found.utterance.speaker == "Ben"
    room.decide(1)
    assert room.hearing.undecided()[1] == pytest.approx(CAPACITY_SAMPLES, abs=512)
