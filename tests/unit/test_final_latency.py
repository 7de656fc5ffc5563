"""Where the time goes from the end of speech to its final, on a virtual clock: the bot's plane, then the server's
session, with the real speech detector on the bundled voices. What is left is the network's and the model's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot.audio.frame import AudioFrame
from bot.audio.gate import GateSettings
from bot.audio.lanes import Lanes
from bot.audio.plane import AudioPlane, LaneAudio, LaneEnd
from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import SAMPLE_RATE
from common.audio.silero import SileroModel
from common.whisperlive.protocol import EXTENSIONS, Handshake
from rehearsal.clips import CLIP_RATE, load_clip, to_rate
from transcriber.core.session import StreamSession
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis

FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
HANGOVER_S = -int(-GateSettings().hangover_s // FRAME_S) * FRAME_S
PASS_S = HANGOVER_S - 7 * FRAME_S
"""A pass that takes so long is over when the end is told: from 0.2 s of silence on, seven frames, it is under way."""
ROOM_DBFS = -68.0
LEAD_S, TRAIL_S = 1.0, 1.5


class Server:
    """A session and an engine whose every pass takes `PASS_S`; `now` is set by whoever plays."""

    def __init__(self, model: SileroModel, before: int) -> None:
        self.session = StreamSession(Handshake("u", language="en"), model.batched(), EXTENSIONS)
        self.now, self.at = 0.0, before
        self.finals: list[float] = []
        self._done = 0.0
        self._job: DecodeJob | None = None
        self.session.hear(0, np.zeros(before, np.int16), 0.0)
        self.session.end_utterance(before, 0.0)

    def step(self) -> None:
        """Ends the pass that is over by now, and begins the next."""
        if self._job is not None and self._done <= self.now + 1e-6:
            job, self._job = self._job, None
            shown = self.session.finish(job, Hypothesis("hello there", "en", 1.0, tokens=2))
            self.finals += [self.now for segment in shown if segment.completed]
        self.finals += [self.now for segment in self.session.release() if segment.completed]
        if self._job is None and self.session.next_request():
            self._job, self._done = self.session.begin(), self.now + PASS_S


@pytest.mark.parametrize("before", [0, 100, FRAME_SAMPLES - 1])
@pytest.mark.parametrize("name", ["ana1", "ana5", "ben3", "ben7"])
def test_a_final_is_there_when_its_end_is_told(name: str, before: int) -> None:
    """Nothing is waited for twice: the hangover is the bot's alone, and the last pass was begun in it; also on a lane
    whose utterance before ended anywhere. Until the detector hears silence it takes some 0.05 s."""
    model, clip = SileroModel(), load_clip(name, Path())
    voice = to_rate(clip.pcm, CLIP_RATE, SAMPLE_RATE)
    lead = round(LEAD_S * SAMPLE_RATE)
    sound = np.random.default_rng(1).normal(0, 32768 * 10 ** (ROOM_DBFS / 20), lead + len(voice) + int(TRAIL_S * 16e3))
    sound[lead : lead + len(voice)] += voice
    over = LEAD_S + clip.speech[1] / CLIP_RATE
    plane, server = AudioPlane(0.0, model.stream, lambda track: ("a", "A"), Lanes()), Server(model, before)
    told = []
    for first in range(0, len(sound) - FRAME_SAMPLES, FRAME_SAMPLES):
        server.now = (first + FRAME_SAMPLES) / SAMPLE_RATE
        server.step()
        piece = np.rint(sound[first : first + FRAME_SAMPLES]).astype(np.int16)
        for order in plane.frame(AudioFrame("t", piece, first, 1, first / SAMPLE_RATE)):
            if isinstance(order, LaneAudio):
                server.session.hear(server.at, order.pcm, server.now)
                server.at += len(order.pcm)
            elif isinstance(order, LaneEnd):
                server.session.end_utterance(server.at, server.now)
                told.append(server.now)
        server.step()
    assert server.finals[-1] == told[-1]
    assert HANGOVER_S - 0.01 <= told[-1] - over <= HANGOVER_S + 0.1
