"""Passes to calibrate with: the windows that a live session asks for, cut as it cuts, of clips that it hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from common.audio.pcm import SAMPLE_RATE
from common.whisperlive.protocol import Handshake
from transcriber.calibration.speech import Clip
from transcriber.core.session import SpeechProbabilities, StreamSession
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Window
from transcriber.engine.features import HOP_SAMPLES

CHUNK_SAMPLES = SAMPLE_RATE // 50
"""As clients send it."""
LEAD_SAMPLES, TRAIL_SAMPLES = SAMPLE_RATE // 2, SAMPLE_RATE
"""Silence around a clip: utterances begin before the speech, and end after it."""
MIN_PARTIAL_SAMPLES, MAX_PARTIAL_SAMPLES = round(0.7 * SAMPLE_RATE), 7 * SAMPLE_RATE
"""Partials that are tried: most are of this length."""
PARTIAL_STEP = 2
"""Every second of them: neighbours differ by a word or two."""


@dataclass(frozen=True, slots=True)
class LivePass:
    """A window that the session wanted decoded."""

    clip: int
    """Index of the clip."""
    window: Window
    speech_s: float
    """How much of it is speech for certain."""

    @property
    def frames(self) -> int:
        """Of 10 ms."""
        return len(self.window.samples) // HOP_SAMPLES


def live_passes(clips: Sequence[Clip], detector: Callable[[], SpeechProbabilities]) -> list[LivePass]:
    """The last careful pass of every utterance, in order, and partials of each clip's first one, whose words are the
    beginning of the transcript. `detector` makes a speech detector, one for each clip."""
    found: list[LivePass] = []
    for number, clip in enumerate(clips):
        jobs = _heard(clip, detector())
        finals = {job.work.utterance.number: job for job in jobs if job.window.careful}
        partials = [job for job in jobs if not job.window.careful and job.work.utterance.number in list(finals)[:1]]
        partials = [job for job in partials if MIN_PARTIAL_SAMPLES <= len(job.window.samples) <= MAX_PARTIAL_SAMPLES]
        chosen = (*finals.values(), *partials[::PARTIAL_STEP])
        found += [LivePass(number, job.window, job.work.certain / SAMPLE_RATE) for job in chosen]
    return found


def _heard(clip: Clip, probabilities: SpeechProbabilities) -> list[DecodeJob]:
    """The passes that a session asks for which gets each result at once, and never any words."""
    session = StreamSession(Handshake("calibration", language=clip.language), probabilities)
    sound = np.pad(clip.samples, (LEAD_SAMPLES, TRAIL_SAMPLES))
    jobs = []

    def work() -> None:
        session.release()
        while session.next_request():
            jobs.append(job := session.begin())
            session.finish(job, None)

    for first in range(0, len(sound), CHUNK_SAMPLES):
        if session.hear(first, sound[first : first + CHUNK_SAMPLES], first / SAMPLE_RATE):
            work()
    session.end(len(sound) / SAMPLE_RATE)
    work()
    return jobs
