"""Our bot's audio plane against the unmodified PyPI server (whisper-live 0.10.0), without any of our extensions."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import numpy as np
import pytest
from jiwer import wer
from numpy.typing import NDArray

from bot.audio.frame import AudioFrame
from bot.audio.plane import AudioPlane, LaneAudio, LaneOrder
from bot.core.segments import SegmentTracker, Utterance
from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane
from bot.links.transcriber.link import TranscriberLink
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SileroModel
from common.contracts.segments import Segment
from common.whisperlive.protocol import Handshake, Resume
from tests.support.conformance import said, speech

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(90)]
FRAME = 960
TALKS = {"ana": ["ana1", "ana1", "ana4", "ana8"], "ben": ["ben4", "ben5", "ben2", "ben2"]}
"""Sentences said twice: a stock server never completes the second. Ben's are the last words of the meeting."""


class Ears:
    """What `bot.runner` wires for the audio plane: gate → lanes → real server → book."""

    def __init__(self, url: str) -> None:
        self._link = TranscriberLink((url,), hello, self)
        self._clock = asyncio.get_running_loop().time
        self._zero = self._clock()
        self._hearing = AudioPlane(self._zero, SileroModel().stream, lambda track: (track, track))
        self._book = SegmentTracker("c", 0.0)
        self._lanes: dict[int, Lane] = {}
        self.published: list[Segment] = []
        self.finals: list[tuple[Utterance, Segment]] = []
        self.decided_utterances: list[Utterance] = []
        self.links: list[str] = []

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._zero

    def text(self, lane: int, text: LaneText) -> None:
        """As the runner does."""
        found = self._hearing.find(lane, text.start, text.end)
        assert found is not None
        segment = self._book.update(found.utterance, found.start, found.end, text.wire.text, text.wire.completed)
        if segment:
            self.published.append(segment)
            if segment.completed:
                self.finals.append((found.utterance, segment))

    def decided(self, lane: int, sample: int) -> None:
        """As the runner does."""
        for utterance in self._hearing.decided(lane, sample):
            self.decided_utterances.append(utterance)
            if taken_back := self._book.decided(utterance):
                self.published.append(taken_back)

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """Nothing."""
        assert not extensions

    def transcriber(self, healthy: bool, detail: str) -> None:
        """Connections lost, or speech without text."""
        self.links.append(detail)

    async def attend(self, tracks: dict[str, NDArray[np.int16]]) -> None:
        """Hears the tracks in real time and returns when everything is decided."""
        async with asyncio.TaskGroup() as group:
            for first in range(0, max(map(len, tracks.values())), FRAME):
                await asyncio.sleep(first / SAMPLE_RATE - self.now)
                for track, pcm in tracks.items():
                    piece = pcm[first : first + FRAME]
                    if len(piece):
                        self._order(self._hearing.frame(AudioFrame(track, piece, first, 1, self._clock())), group)
                self._order(self._hearing.idle(self._clock()), group)
            self._order(self._hearing.close_all(self._clock()), group)
            for lane in self._lanes.values():
                lane.close()

    def _order(self, orders: list[LaneOrder], group: asyncio.TaskGroup) -> None:
        for order in orders:
            if order.lane not in self._lanes:
                self._lanes[order.lane] = self._link.lane(order.lane)
                group.create_task(self._lanes[order.lane].run())
            lane = self._lanes[order.lane]
            if isinstance(order, LaneAudio):
                lane.append(order.pcm)
            else:
                lane.end_utterance()


def hello(sample: int) -> Handshake:
    """The bot's first message, extensions and the older fork's keys included."""
    return Handshake(
        str(uuid4()), language="en", same_output_threshold=2, extensions=EXTENSIONS,
        resume=Resume("c", sample) if sample else None,
        platform="rehearsal", meeting_url="rehearsal", token="t", meeting_id=1,
    )  # fmt: skip


async def test_the_stock_server_gives_our_bot_one_final_for_every_utterance(
    stock_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two speakers at once: nothing lost, doubled, taken back or mixed, and every lane settles by itself."""
    # That server may be more than our usual six seconds behind when others have the cores: what it says then is lost.
    monkeypatch.setattr("bot.links.transcriber.conversation.STOCK_DECISION_TIMEOUT_S", 25.0)
    tracks = {name: speech(clips, 0.7) for name, clips in TALKS.items()}
    ears = Ears(f"ws://127.0.0.1:{stock_port}")
    await ears.attend(tracks)
    assert ears.links == []
    assert (
        ears.now - max(map(len, tracks.values())) / SAMPLE_RATE < 60
    )  # on a busy machine that server is seconds behind
    for name, clips in TALKS.items():
        finals = [(utterance, segment) for utterance, segment in ears.finals if segment.speaker == name]
        assert wer(" ".join(said(clips)), " ".join(segment.text for _, segment in finals)) <= 0.05
        assert len({utterance.number for utterance, _ in finals}) == len(finals) == len(clips)
    assert len(ears.decided_utterances) == len(ears.finals)
    ids = [segment.segment_id for _, segment in ears.finals]
    assert len(set(ids)) == len(ids)
    assert {segment.segment_id for segment in ears.published} == set(ids)
    assert all(segment.text for segment in ears.published)
