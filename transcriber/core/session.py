"""One stream from audio to segments: hears, finds utterances, hands out windows, turns results into segments.

Without I/O and without a model: speech probabilities come from a callable, results from whoever decodes the windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transcriber.core.policy import Kind, Pass, Policy, Want
from transcriber.core.stream import CAPACITY, AudioRing, loudest, quiet_point
from transcriber.core.vad import FRAME, GateSettings, SpeechGate
from transcriber.core.windows import Hypothesis, Samples, Window
from transcriber.protocol import SAMPLE_RATE, Handshake, WireSegment, WireWord

SpeechProbability = Callable[[npt.NDArray[np.float32]], float]
"""Takes the next 512 samples of this stream, in [-1, 1]."""
SPEECH_FLOOR = 0.001
"""Root mean square below which no frame is speech (-60 dBFS)."""
SECOND = SAMPLE_RATE
FULL = CAPACITY - 10 * SAMPLE_RATE
"""Undecided samples from which a client must wait: room for what is on its way remains."""


@dataclass(frozen=True, slots=True)
class Job:
    """One pass with its audio, cut out when the pass began."""

    work: Pass
    window: Window

    @property
    def level(self) -> float:
        """Root mean square of the loudest 32 ms."""
        return loudest(self.window.samples)


class Session:
    """One stream.

    Args:
        handshake: What the client asked for.
        probability: Speech probabilities for this stream.
        granted: Extensions; with `utterance` the client says where utterances end, otherwise the gate here does.
        clock_start: Index of the first sample.
    """

    is_live = True
    """Somebody is waiting for each utterance."""

    def __init__(
        self,
        handshake: Handshake,
        probability: SpeechProbability,
        granted: frozenset[str] = frozenset(),
        clock_start: int = 0,
    ) -> None:
        self._handshake = handshake
        self._probability = probability
        self._explicit = "utterance" in granted
        self._locks_language = "segment_language" not in granted
        self._settings = gate_settings(handshake)
        self._ring = AudioRing(clock_start)
        self._gate = SpeechGate(clock_start, self._settings)
        self._policy = Policy(clock_start)
        self._language = handshake.language
        self.detected: tuple[str, float] | None = None
        """The language found and its probability, once sure."""
        self.failures = 0
        """Passes that the engine failed; set by whoever decodes."""

    def hear(self, first_sample: int, samples: Samples, now: float) -> None:
        """Takes the next samples, shape (n,), any n that `is_full` leaves room for; a gap before them is silence."""
        for gap in range(first_sample - self._ring.end, 0, -SECOND):
            self._take(np.zeros(min(gap, SECOND), np.int16), now)
        for piece in range(0, len(samples), SECOND):
            self._take(samples[piece : piece + SECOND], now)

    def end_utterance(self, sample: int, now: float) -> None:
        """All audio before `sample` belongs to closed utterances: the client says so."""
        if self._ring.end > sample > self._policy.ended_at:
            self._policy.cut(sample, now)
        elif sample > self._policy.ended_at:
            self._policy.close(sample, now)

    def end(self, now: float) -> None:
        """No more audio, at least for now: whatever is open ends here."""
        self._policy.close(self._ring.end, now)
        self._gate.close()

    def want(self) -> Want | None:
        """The most urgent pass."""
        return self._policy.want()

    def begin(self) -> Job:
        """Starts the pass that `want` asked for, on all the audio there is by now."""
        work = self._policy.begin(self._ring.end)
        final = work.kind is Kind.FINAL
        prompt = " ".join(filter(None, (self._handshake.initial_prompt, self._handshake.hotwords)))
        window = Window(
            self._ring.read(work.start, work.end),
            language=self._language,
            task=self._handshake.task,
            prompt=prompt or None,
            careful=final,
            words=final and self._handshake.word_timestamps,
        )
        return Job(work, window)

    def finish(self, job: Job, result: Hypothesis | None) -> list[WireSegment]:
        """Ends the pass with its result, None where nothing was said; returns the segments to show."""
        is_news = self._policy.finish()
        if result is None or not is_news:
            return []
        if job.work.kind is Kind.FINAL and self.detected is None and result.language_probability > 0.5:
            self.detected = (result.language, result.language_probability)
            if self._locks_language:
                self._language = result.language
        return [self._segment(job.work, result)]

    @property
    def decided(self) -> int:
        """Everything before this sample is decided."""
        undecided = self._policy.undecided
        if undecided is not None:
            return undecided
        return self._policy.ended_at if self._explicit else max(self._gate.earliest, self._policy.ended_at)

    @property
    def is_settled(self) -> bool:
        """Nothing is left to decode."""
        return self._policy.undecided is None

    @property
    def is_full(self) -> bool:
        """The client must wait: the engine does not keep up."""
        return self._ring.end - self.decided > FULL

    def _take(self, samples: Samples, now: float) -> None:
        self._ring.append(samples)
        if self._explicit and not self._policy.is_open:
            self._policy.open(self._policy.ended_at)
        while self._ring.end - self._gate.position >= FRAME:
            self._hear_frame(now)
        while span := self._policy.overlong(self._ring.end):
            self._policy.cut(span[0] + quiet_point(self._ring.read(*span)), now)

    def _hear_frame(self, now: float) -> None:
        first = self._gate.position
        frame = self._ring.read(first, first + FRAME)
        audible = loudest(frame) >= SPEECH_FLOOR
        probability = self._probability(frame.astype(np.float32) / np.float32(32768)) if audible else 0.0
        edge = self._gate.feed(probability)
        if not self._explicit and edge:
            if edge.opened:
                self._policy.open(edge.sample)
                self._policy.hear(first + FRAME - self._settings.onset, first, now)
            else:
                self._policy.close(edge.sample, now)
        if probability >= self._settings.threshold:
            self._policy.hear(first, first + FRAME, now)

    def _segment(self, work: Pass, result: Hypothesis) -> WireSegment:
        first, last = work.utterance.bounds(work.end)
        start, end = first / SAMPLE_RATE, last / SAMPLE_RATE
        zero = work.start / SAMPLE_RATE
        words = tuple(
            WireWord(
                word.text, _clamp(zero + word.start, start, end), _clamp(zero + word.end, start, end), word.probability
            )
            for word in result.words
        )
        return WireSegment(
            start=start,
            end=end,
            text=" " + result.text.strip(),
            completed=work.kind is Kind.FINAL,
            segment_id=f"{self._handshake.uid}:{work.utterance.number}",
            language=result.language,
            words=words or None,
        )


def gate_settings(handshake: Handshake) -> GateSettings:
    """The gate as `vad_parameters` wants it, within sensible limits."""
    given = handshake.vad_parameters or {}
    usual = GateSettings()
    threshold = _clamp(given.get("threshold", given.get("onset", usual.threshold)), 0.05, 0.95)
    release = given.get("neg_threshold", given.get("offset", threshold - (usual.threshold - usual.release)))
    return GateSettings(
        threshold=threshold,
        release=_clamp(release, 0.01, threshold),
        onset=usual.onset,
        pre_roll=round(_clamp(given.get("speech_pad_ms", usual.pre_roll / 16), 30, 1000) * 16),
        hangover=round(_clamp(given.get("min_silence_duration_ms", usual.hangover / 16), 100, 3000) * 16),
    )


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
