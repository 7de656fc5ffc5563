"""The transcription of a mix: nothing stays behind, hearing health knows of it, nobody is named too early."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.config.model import BotConfig
from bot.core import effects as fx
from bot.core import events as ev
from bot.core.effects import ReportHealth
from bot.core.events import AudioHeard, UtteranceDecided
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.links.transcriber.conversation import LaneText
from bot.transcription import Transcription
from common.audio.silero import SpeechProbability
from common.contracts.segments import Segment
from common.whisperlive.protocol import WireSegment, WireWord

ZERO = 100.0
PIECE = 320
CONFIG = {
    "platform": "rehearsal",
    "meetingUrl": "rehearsal+ws://127.0.0.1:1",
    "redisUrl": "redis://127.0.0.1:1",
    "whisperLiveUrl": "ws://127.0.0.1:1",
    "audio": {"mode": "mixed"},
    "connectionId": "c",
}


def loud(pcm: NDArray[np.float32]) -> float:
    """A speech detector for tests: loud is speech."""
    return 1.0 if np.abs(pcm).max() > 0.1 else 0.0


class Detector:
    """Takes the place of the speech model, which is a file."""

    def stream(self) -> SpeechProbability:
        """For one track."""
        return loud


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.transcription.SileroModel", Detector)


class Mix:
    """A transcription whose lanes go nowhere, and what it says; of a bot that mixes, or in a platform's mix."""

    def __init__(self, *, of_the_platform: bool = False) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.reports: list[AudioHeard] = []
        self.segments: list[Segment] = []
        self.decisions: list[UtteranceDecided] = []
        config = BotConfig.model_validate(CONFIG | ({"audio": {}} if of_the_platform else {}))
        self.transcription = Transcription(
            config, None, lambda track: (track, "" if of_the_platform else track), str.title, self, self._spawn
        )
        self.transcription.start(ZERO, 0.0)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        work.close()
        self.tasks.append(asyncio.get_running_loop().create_task(asyncio.sleep(0), name=name))
        return self.tasks[-1]

    def play(self, start: float, seconds: float, amplitude: int = 8000) -> None:
        """One track, whose frames arrive as they are spoken."""
        for piece in range(round(seconds * 50)):
            at = start + piece * 0.02
            pcm = np.full(PIECE, amplitude, np.int16)
            self.transcription.frame(AudioFrame("a", pcm, round(at * 16000), 1, ZERO + at))

    @property
    def sent(self) -> int:
        """Samples that went on the mix's lane, as reported."""
        return sum(report.sent for report in self.reports if report.track_id == "mix")

    def segment(self, segment: Segment) -> None:
        """A partial or a final."""
        self.segments.append(segment)

    def heard(self, report: AudioHeard) -> None:
        """What a track sounded like."""
        self.reports.append(report)

    def decided(self, utterance: UtteranceDecided) -> None:
        """An utterance is settled."""
        self.decisions.append(utterance)

    def hearing(self, report: ReportHealth) -> None:
        """Nothing waits here."""

    def transcriber(self, up: bool, detail: str) -> None:
        """Nobody is connected."""


@pytest.mark.parametrize("how", ["tick", "pause", "finish", "mute"])
async def test_the_last_of_a_mix_is_heard_although_nobody_sends_any_more(how: str) -> None:
    """Push to talk: 0.2 s, then nothing; with time, a pause, the end or the microphone off, all of it is sent."""
    mix = Mix()
    mix.play(1, 0.2)
    assert mix.transcription.lanes()[0] == 0
    if how == "tick":
        assert mix.transcription.tick(ZERO + 1.2) < 0.1
        for step in range(30):
            mix.transcription.tick(ZERO + 1.2 + step * 0.05)
    elif how == "pause":
        mix.transcription.pause(True, ZERO + 1.2)
    elif how == "mute":
        mix.transcription.close_track("nobody's", ZERO + 1.2)
        assert mix.transcription.lanes()[0] == 0
        mix.transcription.close_track("a", ZERO + 1.2)
    else:
        assert await mix.transcription.finish(ZERO + 1.2, 0.0) == pytest.approx(0.2, abs=0.01)
    assert mix.transcription.lanes()[0] == 1
    await asyncio.gather(*mix.tasks)


async def test_the_mix_is_reported_beside_its_tracks() -> None:
    """Tracks by what they sound like, the mix by what is said and sent: about once a second."""
    mix = Mix()
    mix.play(1, 2)
    mix.play(3, 1, 10)
    assert {report.track_id for report in mix.reports} == {"a", "mix"}
    assert not any(report.speech or report.sent for report in mix.reports if report.track_id == "a")
    assert any(report.speech for report in mix.reports if report.track_id == "mix")
    assert mix.sent >= 2 * 16000
    await asyncio.gather(*mix.tasks)


async def test_a_bot_that_mixes_does_not_leave_people_who_talk() -> None:
    """Its reports, told to the control plane: silence begins when the last word was said, not before."""
    core, mix = MeetingCore(LeaveSettings(silence=5.0, silence_after=2.0)), Mix()
    core.begin(ZERO)
    for event in (ev.Admitted(), ev.ParticipantJoined("ana", "Ana"), ev.TrackOpened("a", "ana")):
        core.receive(event, ZERO)
    left = []
    for second in range(1, 30):
        mix.play(second, 1, 8000 if second < 20 else 10)
        for report in mix.reports:
            core.receive(report, ZERO + second)
        core.receive(ev.UtteranceDecided("mix", 16000), ZERO + second)
        mix.reports.clear()
        core.tick(ZERO + second)
        left += [second for effect in core.effects() if isinstance(effect, fx.LeaveMeeting)]
    assert len(left) == 1
    assert 25 <= left[0] <= 27
    await asyncio.gather(*mix.tasks)


def said(start: float, end: float, text: str, completed: bool, *words: tuple[str, float, float]) -> LaneText:
    """The server's words about these seconds of the mix, of which all is on its lane from the pre-roll on."""
    first, last = (round(at * 16000) for at in (start, end))
    return LaneText(first, last, WireSegment(start, end, text, completed), tuple(WireWord(*word) for word in words))


async def test_nobody_is_named_before_it_is_certain_who_spoke() -> None:
    """Ben is reported 0.8 s late: partials go out nameless, finals once no report can change whose they are."""
    mix = Mix(of_the_platform=True)
    for half in range(2, 23):  # twice a second
        mix.transcription.follow_floor(frozenset({"ana"}), ZERO + half / 2)
    mix.play(10.3, 4)
    mix.transcription.text(1, said(0.0, 0.65, "I do", False))
    assert [(segment.speaker, segment.speaker_id) for segment in mix.segments] == [("unknown", "a")]
    for half in range(9):
        mix.transcription.follow_floor(frozenset({"ben"}), ZERO + 11.1 + half / 2)
    mix.play(14.3, 1, 10)
    mix.transcription.text(1, said(1.9, 2.6, "I do not", True))
    mix.transcription.text(1, said(3.0, 3.8, "agree", True))
    assert mix.transcription.tick(ZERO + 13.5) < 0.1
    assert [segment.text for segment in mix.segments] == ["I do"]
    mix.transcription.tick(ZERO + 14.1)
    assert [segment.speaker for segment in mix.segments] == ["unknown", "Ben"]
    await mix.transcription.finish(ZERO + 15.3, 0.0)
    assert [segment.text for segment in mix.segments if segment.completed] == ["I do not", "agree"]
    await asyncio.gather(*mix.tasks, return_exceptions=True)


async def test_a_final_in_which_the_floor_changed_hands_is_parted_by_its_words() -> None:
    """Each has their own words under an id of their own, what is near the change is nobody's; no words are told."""
    mix = Mix(of_the_platform=True)
    for half in range(16, 49):  # Ana until 16, then Ben
        mix.transcription.follow_floor(frozenset({"ana" if half < 32 else "ben"}), ZERO + half / 2)
    mix.play(10.0, 12)
    mix.play(22.0, 1, 10)
    words = [("I", 1.0, 1.4), (" do.", 2.0, 2.4), (" You", 6.0, 6.4), (" do", 8.0, 8.4), (" not.", 9.0, 9.4)]
    mix.transcription.text(1, said(0.5, 10.0, "I do. You do not.", True, *words))
    mix.transcription.tick(ZERO + 30)
    assert [(segment.speaker, segment.text, segment.words) for segment in mix.segments] == [
        ("Ana", "I do.", None),
        ("unknown", "You", None),
        ("Ben", "do not.", None),
    ]
    assert len({segment.segment_id for segment in mix.segments}) == 3
    await mix.transcription.finish(ZERO + 31, 0.0)
    await asyncio.gather(*mix.tasks, return_exceptions=True)


async def test_a_bot_that_mixes_knows_who_spoke_by_its_tracks() -> None:
    """Whatever a platform reports: each has their own words, and what two said at once is nobody's."""
    mix = Mix()
    mix.transcription.follow_floor(frozenset({"cem"}), ZERO)
    for piece in range(600):
        at = 10 + piece * 0.02
        for track, amplitude in (("a", 8000 if at < 15.5 else 10), ("b", 8000 if at >= 15 else 10)):
            pcm = np.full(PIECE, amplitude, np.int16)
            mix.transcription.frame(AudioFrame(track, pcm, round(at * 16000), 1, ZERO + at))
    words = [("I", 1.0, 1.4), (" do.", 2.0, 2.4), (" You", 5.2, 5.6), (" do", 8.0, 8.4), (" not.", 9.0, 9.4)]
    mix.transcription.text(1, said(0.5, 10.0, "I do. You do not.", True, *words))
    assert mix.segments == []
    mix.transcription.tick(ZERO + 23)
    assert [(segment.speaker, segment.speaker_id, segment.text) for segment in mix.segments] == [
        ("A", "a", "I do."),
        ("unknown", "mix", "You"),
        ("B", "b", "do not."),
    ]
    await mix.transcription.finish(ZERO + 31, 0.0)
    await asyncio.gather(*mix.tasks, return_exceptions=True)


async def test_who_speaks_while_the_process_stands_still_has_not_stopped() -> None:
    """The first look after it ends nothing: what came meanwhile is not heard yet. The next one does, if nothing was."""
    mix = Mix()
    mix.play(1.0, 1.0)
    assert mix.transcription.tick(ZERO + 2.0) < 0.1
    assert mix.transcription.tick(ZERO + 5.0) < 0.1
    assert mix.transcription.lanes()[0] == 1
    assert mix.transcription.tick(ZERO + 5.1) > 0.1  # nobody speaks any more
    await asyncio.gather(*mix.tasks)
