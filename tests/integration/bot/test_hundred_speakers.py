"""A hundred speakers on virtual tracks, in virtual time: every word once, and never under a wrong name.

Speech is a level that numbers its utterance, so that a scripted server knows, from the samples alone, what was said;
it answers late, again, about what is over, and loses its connections. What lies between plane and server is the bot's.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import groupby
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audio.frame import AudioFrame
from bot.audio.lanes import Lanes
from bot.audio.plane import AudioPlane, Completed, LaneAudio, LaneClose, LaneDrop, LaneEnd, PlaneOrder
from bot.audio.replay import Replay
from bot.core.segments import SegmentTracker
from bot.links.transcriber.conversation import EXTENSIONS, Conversation, LaneDecided, LaneText, Unanswered
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment
from common.whisperlive.protocol import Audio, Handshake, Opened, Resume, ServerProtocol, UtteranceEnd, WireSegment

pytestmark = pytest.mark.timeout(90)
STEP = 1920
"""Samples of a frame, and of virtual time between two looks: 120 ms."""
STEP_S = STEP / SAMPLE_RATE
LEVEL, LEVELS = 4000, 50
"""Utterance n sounds at the level 4000 + 50 n."""


def loud(pcm: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


def said(samples: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[int, int, int]]:
    """(first, last, utterance) of each stretch of equal level that is no silence and no splice of the clock's."""
    stretches, at = [], 0
    for level, run in groupby(samples[::16].tolist()):
        length = 16 * len(list(run))
        if level >= LEVEL and length >= STEP:
            stretches.append((at, at + length, (level - LEVEL) // LEVELS))
        at += length
    return stretches


@dataclass
class Server:
    """One connection of a scripted transcriber, ours or a stock one: a fake that hears levels."""

    offered: frozenset[str]
    random: Random
    outbox: deque[tuple[float, str]] = field(default_factory=deque)
    """(when it is sent, message)."""
    late: list[tuple[float, str]] = field(default_factory=list)
    """The same, about what is decided; it may be overtaken."""

    def __post_init__(self) -> None:
        self.protocol = ServerProtocol(self.offered)
        self._heard = np.zeros(0, np.int16)
        self._first = 0  # sample of `_heard[0]` on the connection's clock
        self._completed: list[WireSegment] = []

    def hear(self, message: str | bytes, now: float) -> None:
        """Takes a message of the bot."""
        for event in self.protocol.receive(message):
            match event:
                case Opened():
                    self._send(now, 0.0, *self.protocol.ready())
                    self._first = self.protocol.clock_start
                case Audio(_, samples):
                    self._heard = np.concatenate([self._heard, samples])
                    self._guess(now)
                case UtteranceEnd(sample):
                    self._complete(sample, now)

    def _send(self, now: float, most: float, *messages: str) -> None:
        at = max(now + self.random.uniform(0, most), self.outbox[-1][0] if self.outbox else 0.0)
        self.outbox.extend((at, message) for message in messages)

    def _guess(self, now: float) -> None:
        """Partials now and then; a stock server completes what a second of silence follows."""
        stretches = said(self._heard)
        if not stretches:
            return
        first, last, number = stretches[-1]
        if "ack" not in self.offered and len(self._heard) - last >= SAMPLE_RATE:
            begin = self._completed[-1].end if self._completed else 0.0
            self._completed.append(WireSegment(begin, (self._first + last) / SAMPLE_RATE, f" u{number}", True))
            self._send(now, 2.0, *[self._stock(self._completed[-3:])] * 2)
            self._first, self._heard = self._first + last, self._heard[last:]
        elif self.random.random() < 0.1:
            partial = self._segment(first, last, f" u{number}", completed=False)
            history = self._completed[-3:] if "ack" not in self.offered else []
            self._send(now, 0.5, self._stock([*history, partial]))

    def _complete(self, sample: int, now: float) -> None:
        """The end of an utterance: what was said in it, then that it is decided, and perhaps more about it later."""
        finals, rests = [], []
        for first, last, number in said(self._heard):
            middle = self.random.choice([last, last, (first + last) // 2])
            finals.append(self._segment(first, middle, f" u{number}"))
            rests.append(self._segment(self.random.choice([first, middle]), last, f" rest{number}"))
        self._send(now, 2.0, *self.protocol.segments(finals), *self.protocol.acked(sample))
        for message in self.protocol.segments(rests):
            self.late.append((self.outbox[-1][0] + self.random.uniform(0, 20), message))
        self._first, self._heard = sample, np.zeros(0, np.int16)

    def _segment(self, first: int, last: int, text: str, *, completed: bool = True) -> WireSegment:
        start, end = ((self._first + sample) / SAMPLE_RATE for sample in (first, last))
        return WireSegment(start, end, text, completed, language="en")

    def _stock(self, segments: list[WireSegment]) -> str:
        return json.dumps({"uid": "u", "segments": [segment.to_wire() for segment in segments]})


class VirtualLane:
    """A lane's replay and conversation, without a socket."""

    def __init__(self, offered: frozenset[str], random: Random) -> None:
        self.replay = Replay()
        self._offered, self._random = offered, random
        self.connect()

    def connect(self) -> None:
        """A new connection; what the old one had not delivered is lost."""
        start = self.replay.start
        resume = Resume("u", start) if start else None
        self.session = Conversation(
            self.replay, Handshake("u", same_output_threshold=2, extensions=EXTENSIONS, resume=resume)
        )
        self.server = Server(self._offered, self._random)
        self.server.hear(self.session.hello(), 0.0)

    def exchange(self, now: float) -> list[object]:
        """Sends at four times real time, and receives what is due."""
        news: list[object] = []
        budget = 4 * STEP
        while self.session.ready and budget > 0 and (message := self.session.next_message(now)):
            budget -= message[1]
            self.server.hear(message[0], now)
        while self.server.outbox and self.server.outbox[0][0] <= now:
            news += self.session.receive(self.server.outbox.popleft()[1], now)
        for late in [late for late in self.server.late if late[0] <= now]:
            self.server.late.remove(late)
            news += self.session.receive(late[1], now)
        return news + list(self.session.due(now, self.session.least_patience))


class Meeting:
    """The bot's audio plane and tracker between people and servers, as `bot.transcription` wires them."""

    def __init__(self, offered: frozenset[str], random: Random, breaks: float = 0.01) -> None:
        self._offered, self._random, self._breaks = offered, random, breaks
        self.names: dict[str, str] = {}
        self.plane = AudioPlane(0.0, lambda: loud, self._whose, Lanes(most=3))
        self.tracker = SegmentTracker("bot", 0.0)
        self.lanes: dict[int, VirtualLane] = {}
        self.opened = self.at_once = 0
        self.published: list[Segment] = []

    def _whose(self, track: str) -> tuple[str, str]:
        """`t7.2` is the third track of `t7`."""
        speaker = track.partition(".")[0]
        return speaker, self.names[speaker]

    def order(self, orders: list[PlaneOrder]) -> None:
        """Does what the plane wants."""
        for order in orders:
            match order:
                case LaneAudio(lane, pcm):
                    if lane not in self.lanes:
                        self.lanes[lane] = VirtualLane(self._offered, self._random)
                        self.opened += 1
                        self.at_once = max(self.at_once, len(self.lanes))
                    self.lanes[lane].replay.append(pcm)
                case LaneEnd(lane):
                    self.lanes[lane].replay.mark_end()
                case LaneDrop(lane, sample):
                    self.lanes[lane].replay.drop(sample)
                case LaneClose(lane):
                    del self.lanes[lane]
                case Completed(utterance):
                    if taken_back := self.tracker.decided(utterance):
                        self.published.append(taken_back)

    def step(self, now: float) -> None:
        """Every lane talks with its server; connections break now and then."""
        self.order(self.plane.idle(now) + self.plane.close_idle(now))
        for number, lane in list(self.lanes.items()):
            was_ready = lane.session.ready
            for news in lane.exchange(now):
                match news:
                    case LaneText():
                        self._text(number, news)
                    case LaneDecided(sample):
                        self.order(self.plane.decided(number, sample, now))
                    case Unanswered():
                        lane.connect()
            if lane.session.ready and not was_ready:
                self.plane.granted(number, lane.session.granted)
            elif self._random.random() < self._breaks:
                lane.connect()

    def _text(self, number: int, text: LaneText) -> None:
        if found := self.plane.find(number, text.start, text.end):
            wire = text.wire
            segment = self.tracker.update(found.utterance, found.start, found.end, wire.text, wire.completed)
            if segment:
                self.published.append(segment)


@dataclass(frozen=True)
class Turn:
    """One utterance of the script."""

    speaker: int
    gap: float
    """Seconds since the last one began."""
    length: float
    renames: bool
    moves: bool = False
    """On a new track: the speaker's connection was lost."""
    renews: bool = False
    """Meanwhile the language is changed."""


turns = st.builds(
    Turn,
    st.integers(0, 99),
    st.sampled_from([4.0, 2.0, 0.5, 0.1, 0.0]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.booleans(),
)
changes = st.builds(
    Turn,
    st.integers(0, 4),
    st.sampled_from([2.0, 1.0, 0.5, 0.1]),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.just(value=False),
    st.booleans(),
    st.booleans(),
)


def hold(meeting: Meeting, script: list[Turn]) -> dict[int, tuple[str, str]]:
    """Plays the script until everything is decided; returns utterance → (speaker id, name at its onset)."""
    truth: dict[int, tuple[str, str]] = {}
    speaking: list[tuple[str, int, int, int]] = []  # track, utterance, first step, last step
    free_at: Counter[str] = Counter()
    tracks: Counter[str] = Counter()
    at, last = 1.0, 0
    for number, turn in enumerate(script):
        at += turn.gap
        speaker = f"t{turn.speaker}"
        first = max(round(at / STEP_S), free_at[speaker])
        last_step = first + max(round(turn.length / STEP_S), 3)
        free_at[speaker] = last_step + 10  # over a second: the gate ends the utterance
        tracks[speaker] += turn.moves
        speaking.append((f"{speaker}.{tracks[speaker]}", number, first, last_step))
        last = max(last, last_step)
    step = 0
    while step < last + 20 or meeting.plane.undecided()[0]:
        assert step < last + 5000, "it never ends"
        for track, number, first, last_step in speaking:
            if not first - 4 <= step < last_step + 8:
                continue
            if step == first - 4:
                speaker = track.partition(".")[0]
                renamed = f"{speaker} the {number}th" if script[number].renames else meeting.names.get(speaker, speaker)
                meeting.names[speaker] = renamed
                truth[number] = speaker, renamed
            if step == first and script[number].renews:
                meeting.order(meeting.plane.renew_lanes())
            level = LEVEL + LEVELS * number if first <= step < last_step else 0
            now = (step + 1) * STEP_S
            frame = AudioFrame(track, np.full(STEP, level, np.int16), step * STEP, 1, now)
            meeting.order(meeting.plane.frame(frame))
        meeting.step((step + 1) * STEP_S)
        step += 1
    return truth


def check(meeting: Meeting, truth: dict[int, tuple[str, str]]) -> None:
    """No wrong name; each utterance final once; ids name one piece, finals are last, what is taken back stays so."""
    finals: Counter[int] = Counter()
    for segment in meeting.published:
        if not segment.text:
            continue
        kind, number = segment.text[0], int(segment.text.strip("rest u"))
        assert (segment.speaker_id, segment.speaker) == truth[number]
        finals[number] += segment.completed and kind == "u"
    assert finals == Counter(truth.keys())
    told = [segment for segment in meeting.published if segment.completed and segment.text[0] == "u"]
    for speaker in {segment.speaker_id for segment in told}:
        numbers = [int(segment.text.strip(" u")) for segment in told if segment.speaker_id == speaker]
        assert numbers == sorted(numbers), "in the order in which they were spoken"
    closed: set[str] = set()
    for segment in meeting.published:
        assert segment.segment_id not in closed
        if segment.completed or not segment.text:
            closed.add(segment.segment_id)
    assert closed == {segment.segment_id for segment in meeting.published}


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
@given(script=st.lists(turns, min_size=1, max_size=40), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_everything_arrives_once_under_its_speakers_name(
    offered: frozenset[str], script: list[Turn], seed: int
) -> None:
    """Whatever overlaps, comes late, is said again or breaks, and however many speak at once."""
    meeting = Meeting(offered, Random(seed))
    check(meeting, hold(meeting, script))
    assert meeting.at_once <= 3


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
@given(script=st.lists(changes, min_size=1, max_size=30), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_each_speakers_finals_come_in_order_whatever_is_changed(
    offered: frozenset[str], script: list[Turn], seed: int
) -> None:
    """New languages and new tracks in the middle of it: no words overtake earlier ones, and no lanes pile up."""
    meeting = Meeting(offered, Random(seed))
    check(meeting, hold(meeting, script))
    assert meeting.at_once <= 6
    meeting.order(meeting.plane.renew_lanes())
    assert meeting.lanes == {}


@pytest.mark.parametrize("offered", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=3, deadline=None)
def test_a_hundred_speakers_keep_their_names(offered: frozenset[str], seed: int) -> None:
    """Each speaks once, often several at once, renamed now and then, while connections break."""
    random = Random(seed)
    script = [
        Turn(speaker, random.uniform(0, 3), random.uniform(0.4, 2), random.random() < 0.3) for speaker in range(100)
    ]
    random.shuffle(script)
    meeting = Meeting(offered, random)
    check(meeting, hold(meeting, script))
    assert meeting.at_once <= 3


def test_a_hundred_who_take_turns_need_one_lane() -> None:
    """And three, where some speak at once."""
    for overlap, most in ((0.0, 1), (4.0, 3)):
        script = [Turn(number, 5.0 - overlap * (number % 3 == 1), 1.0, False) for number in range(100)]
        meeting = Meeting(EXTENSIONS, Random(1), breaks=0.0)
        check(meeting, hold(meeting, script))
        assert meeting.at_once <= most
