"""Our bot's audio plane against the unmodified PyPI server (whisper-live 0.10.0), without any of our extensions."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from jiwer import wer
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.config import load_config
from bot.core.events import AudioHeard, ReportHealth
from bot.transcription import Transcription
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment
from tests.support.conformance import said, speech

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(90)]
FRAME = 960
TALKS = {"ana": ["ana1", "ana1", "ana4", "ana8"], "ben": ["ben4", "ben5", "ben2", "ben2"]}
"""Sentences said twice: a stock server never completes the second. Ben's are the last words of the meeting."""


class Ears:
    """The bot's transcription of tracks that are named after who speaks on them, and what it says of them."""

    def __init__(self, url: str, lanes_max: int, **settings: Any) -> None:
        config: dict[str, Any] = {
            "platform": "rehearsal",
            "meetingUrl": "rehearsal+ws://127.0.0.1:1",
            "redisUrl": "redis://127.0.0.1",
        }
        config |= {"whisperLiveUrl": url, "language": "en", "audio": {"lanesMax": lanes_max, **settings}}
        self._clock = asyncio.get_running_loop().time
        self._tasks: list[asyncio.Task[None]] = []
        self.transcription = Transcription(
            load_config(json.dumps(config), {})[0], None, lambda track: (track, track), str, self, self._spawn
        )
        self._zero = self._clock()
        self.transcription.start(self._zero, 0.0)
        self.published: list[Segment] = []
        self.reports: list[ReportHealth] = []
        self.lost_links: list[str] = []

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(work, name=name))
        return self._tasks[-1]

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._zero

    @property
    def lanes(self) -> int:
        """How many were opened."""
        return len(self._tasks)

    def finals(self, speaker: str) -> list[Segment]:
        """What somebody said."""
        return [segment for segment in self.published if segment.completed and segment.speaker == speaker]

    def segment(self, segment: Segment) -> None:
        """As the runner hears it."""
        self.published.append(segment)

    def heard(self, report: AudioHeard) -> None:
        """Nothing to note."""

    def hearing(self, report: ReportHealth) -> None:
        """Somebody waits, or something was lost."""
        self.reports.append(report)

    def transcriber(self, up: bool, detail: str) -> None:
        """Connections lost."""
        if not up:
            self.lost_links.append(detail)

    async def attend(self, tracks: dict[str, NDArray[np.int16]], patience: float) -> float:
        """Hears the tracks in real time and then waits for the text; returns undecided seconds."""
        for first in range(0, max(map(len, tracks.values())), FRAME):
            await asyncio.sleep(first / SAMPLE_RATE - self.now)
            for track, pcm in tracks.items():
                piece = pcm[first : first + FRAME]
                if len(piece):
                    self.transcription.frame(AudioFrame(track, piece, first, 1, self._clock()))
            self.transcription.tick(self._clock())
        left = await self.transcription.finish(self._clock(), patience)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return left


def check(ears: Ears, talks: dict[str, list[str]]) -> None:
    """Nothing lost, doubled, taken back or given to somebody else."""
    for name, clips in talks.items():
        finals = ears.finals(name)
        assert wer(" ".join(said(clips)), " ".join(segment.text for segment in finals)) <= 0.05
        assert len(finals) == len(clips)
    partials_and_finals = defaultdict(list)
    for segment in ears.published:
        partials_and_finals[segment.segment_id].append(segment)
    for segments in partials_and_finals.values():
        assert [segment.completed for segment in segments].index(True) == len(segments) - 1
        assert all(segment.text for segment in segments)
    assert ears.lost_links == []
    assert ears.transcription.strays == 0


async def test_the_stock_server_gives_our_bot_one_final_for_every_utterance(
    stock_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two speakers at once have a lane each: nothing lost, doubled, taken back or mixed, and everything is decided."""
    # That server may be more than our usual six seconds behind when others have the cores: what it says then is lost.
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)
    ears = Ears(f"ws://127.0.0.1:{stock_port}", lanes_max=3)
    # on a busy machine that server is seconds behind
    assert await ears.attend({name: speech(clips, 0.7) for name, clips in TALKS.items()}, 60) == 0.0
    check(ears, TALKS)
    assert ears.lanes == 2


async def test_on_a_stock_server_a_second_speaker_waits_for_a_connection_of_their_own(
    stock_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one lane at most, speakers never share a connection: who waits is sent later, whole, and it is said."""
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)
    talks = {"ana": ["ana1"], "ben": ["ben4"]}
    ears = Ears(f"ws://127.0.0.1:{stock_port}", lanes_max=1)
    assert await ears.attend({name: speech(clips, 0.7) for name, clips in talks.items()}, 60) == 0.0
    check(ears, talks)
    assert ears.lanes == 2
