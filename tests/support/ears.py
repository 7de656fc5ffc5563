"""A bot's transcription without a meeting around it: tracks are named after who speaks on them."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.config import load_config
from bot.core.effects import ReportHealth
from bot.core.events import AudioHeard, SpeechSettled, UtteranceDecided
from bot.transcription import Transcription
from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment

FRAME = 960


class Ears:
    """A transcription at work, and what it says. Await `attend` once."""

    def __init__(self, url: str, **audio: Any) -> None:
        config: dict[str, Any] = {"platform": "rehearsal", "meetingUrl": "rehearsal+ws://127.0.0.1:1"}
        config |= {"redisUrl": "redis://127.0.0.1", "whisperLiveUrl": url, "language": "en", "audio": audio}
        self.clock = asyncio.get_running_loop().time
        self._tasks: list[asyncio.Task[None]] = []
        self.transcription = Transcription(
            load_config(json.dumps(config), {})[0],
            None,
            lambda track: (track, track),
            str,
            self,
            self._spawn,
            on_settled=lambda event: self.settled.append(event),
        )
        self._zero = self.clock()
        self.transcription.start(self._zero, 0.0)
        self.published: list[Segment] = []
        self.reports: list[ReportHealth] = []
        self.lost_links: list[str] = []
        self.began = 0.0
        """When the last tracks began, seconds since the start."""
        self.settled: list[SpeechSettled] = []

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(work, name=name))
        return self._tasks[-1]

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self.clock() - self._zero

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

    def decided(self, utterance: UtteranceDecided) -> None:
        """Not needed: what was decided is in what was published."""

    def hearing(self, report: ReportHealth) -> None:
        """Somebody waits, or something was lost."""
        self.reports.append(report)

    def transcriber(self, up: bool, detail: str) -> None:
        """Connections lost."""
        if not up:
            self.lost_links.append(detail)

    async def hear(self, tracks: dict[str, NDArray[np.int16]], speed: float = 1.0) -> None:
        """Hears tracks from now on, at so many times real time."""
        self.began = begin = self.now
        for first in range(0, max(map(len, tracks.values())), FRAME):
            await asyncio.sleep(begin + first / SAMPLE_RATE / speed - self.now)
            at = round(begin * SAMPLE_RATE) + first
            for track, pcm in tracks.items():
                if len(piece := pcm[first : first + FRAME]):
                    self.transcription.frame(AudioFrame(track, piece, at, 1, self._zero + at / SAMPLE_RATE))
            self.transcription.tick(self.clock())

    async def finish(self, patience: float) -> float:
        """Waits for the text; returns undecided seconds."""
        left = await self.transcription.finish(self.clock(), patience)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return left

    def check_ids(self) -> None:
        """An id names one piece: its partials, then one final, or an empty partial; nothing after that."""
        by_id = defaultdict(list)
        for segment in self.published:
            by_id[segment.segment_id].append(segment)
        for segments in by_id.values():
            assert [segment.completed or not segment.text for segment in segments].index(True) == len(segments) - 1
