"""Session of one stream, from audio to segments: hears, finds utterances, hands out windows, makes results segments.

Without I/O and without a model: speech probabilities come from a callable, results from whoever decodes the windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import to_float
from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment
from transcriber.core.gate import GateSettings, SpeechGate
from transcriber.core.joining import joined
from transcriber.core.languages import StreamLanguage
from transcriber.core.load import LADDER, Effort
from transcriber.core.policy import (
    CUT_SEARCH_SAMPLES,
    MAX_UTTERANCE_SAMPLES,
    DecodeRequest,
    Pass,
    PassOutcome,
    PendingUtterance,
    Policy,
)
from transcriber.core.ring import CAPACITY_SAMPLES, AudioRing, quiet_point
from transcriber.core.transcript import DecodeJob, Transcript
from transcriber.core.windows import Before, Hypothesis, Samples, Window, with_language

SpeechProbabilities = Callable[[npt.NDArray[np.float32]], Sequence[float]]
"""Takes the next frames of this stream, shape (n, 512), in [-1, 1]; the probability of speech in each."""
SPEECH_FLOOR_RMS = 0.001
"""Root mean square below which no frame is speech (-60 dBFS)."""
TAKE_SAMPLES = SAMPLE_RATE
"""Taken at once, however much comes: the ring need not hold more."""
MAX_UNDECIDED_SAMPLES = CAPACITY_SAMPLES - 10 * SAMPLE_RATE
"""From more undecided audio than this a client must wait: room for what is on its way remains."""
VAD_BATCH_FRAMES = 4
"""Listened to at once, for half the cost; one by one in a silence that may be the end."""
LEAD_IN_SAMPLES = SAMPLE_RATE // 2
"""Audio before the first speech of an utterance that is decoded with it: a client may have begun it long before."""
CUT_CLEARANCE_SAMPLES = SAMPLE_RATE // 5
"""Audio after the last committed word before an overlong utterance is cut: word times are not exact."""


class StreamSession:
    """One stream. Positions are samples on its clock, `now` is seconds on any.

    Args:
        handshake: What the client asked for.
        probabilities: Of speech in this stream.
        granted: Extensions; with `utterance` the client says where utterances end, otherwise the gate here does.
        clock_start: Index of the first sample.
    """

    is_live = True
    """Somebody is waiting for each utterance."""
    usual = LADDER[0]
    """What is done for it when there is no load."""

    def __init__(
        self,
        handshake: Handshake,
        probabilities: SpeechProbabilities,
        granted: frozenset[str] = frozenset(),
        clock_start: int = 0,
    ) -> None:
        self._handshake = handshake
        self._probabilities = probabilities
        self._explicit = "utterance" in granted
        self._settings = gate_settings(handshake)
        self._ring = AudioRing(clock_start)
        self._gate = SpeechGate(clock_start, self._settings)
        self._policy = Policy(clock_start, self.usual)
        self._languages = StreamLanguage(
            handshake.language, handshake.allowed_languages, locks="segment_language" not in granted
        )
        self._transcript = Transcript(handshake, self._languages)

    @property
    def detected(self) -> tuple[str, float] | None:
        """The language found and its probability, once sure."""
        return self._transcript.detected

    @property
    def ended_at(self) -> float:
        """When the last utterance that has a final had ended, in seconds on the clock of `now`."""
        return self._transcript.ended_at

    @property
    def is_attentive(self) -> bool:
        """The next message may matter: somebody may have stopped speaking, or the client may say so."""
        current = self._policy.current
        return self._gate.is_closing or (self._explicit and current is not None and current.speech > 0)

    def adapt(self, effort: Effort) -> None:
        """Does more or less beside the finals from now on."""
        self._policy.adapt(effort)

    def hear(self, first_sample: int, samples: Samples, now: float) -> bool:
        """Takes the next samples, shape (n,), any n that `is_full` leaves room for; a gap before them is silence.

        True if there may be news: some of it was listened to, or what is overlong was cut.
        """
        before = self._gate.position, self._policy.ended_at
        for gap in range(first_sample - self._ring.end, 0, -TAKE_SAMPLES):
            self._take(np.zeros(min(gap, TAKE_SAMPLES), np.int16), now)
        for piece in range(0, len(samples), TAKE_SAMPLES):
            self._take(samples[piece : piece + TAKE_SAMPLES], now)
        return (self._gate.position, self._policy.ended_at) != before

    def end_utterance(self, sample: int, now: float) -> None:
        """All audio before `sample` belongs to closed utterances: the client says so."""
        self._listen((self._ring.end - self._gate.position) // FRAME_SAMPLES, now)
        if self._ring.end > sample > self._policy.ended_at:
            current = self._policy.current
            goes_on = current is not None and (current.speech_end or 0) > sample
            if current and goes_on and self._transcript.committed_until(current) > sample:
                self._transcript.forget(current)
            self._policy.cut(sample, now)
        elif sample > self._policy.ended_at:
            self._policy.close(sample, now)
        if (
            sample == self._ring.end
        ):  # what comes is heard in whole frames: a pause in it is noticed as soon as it is one
            self._gate.align(sample)

    def end(self, now: float) -> None:
        """No more audio, at least for now: whatever is open ends here."""
        self._listen((self._ring.end - self._gate.position) // FRAME_SAMPLES, now)
        self._policy.close(self._ring.end, now)
        self._gate.close()

    def next_request(self) -> DecodeRequest | None:
        """The most urgent pass."""
        return self._policy.next_request()

    def begin(self) -> DecodeJob:
        """Starts the pass that `next_request` asked for, on all the audio there is by now."""
        work = self._policy.begin(self._ring.end)
        careful, effort = work.kind.is_careful, self._policy.effort
        is_said = self._handshake.task == "transcribe"  # nobody says the words of a translation at any time
        trim = is_said and effort.trim and not careful
        base, first = self._transcript.trim(work.utterance) if trim else (0, work.start)
        first = max(first, *(begin - LEAD_IN_SAMPLES for begin, _ in work.utterance.stretches[:1]), 0)
        prompt = " ".join(filter(None, (self._handshake.initial_prompt, self._handshake.hotwords)))
        window = Window(
            self._ring.read(first, work.end),
            language=self._transcript.language(work.utterance),
            prior=self._languages.prior,
            allowed=self._languages.allowed,
            task=self._handshake.task,
            prompt=prompt or None,
            before=self._joined(work.utterance) if careful and is_said else None,
            careful=careful,
            words=is_said and (self._handshake.word_timestamps or trim),
        )
        return DecodeJob(work, window, first, base)

    def _joined(self, utterance: PendingUtterance) -> Before | None:
        language = self._transcript.likely_language(utterance)
        return joined(self._transcript.before, utterance, language, self._ring)

    def finish(self, job: DecodeJob, result: Hypothesis | None) -> list[WireSegment]:
        """Ends the pass with its result, None where nothing was said; returns the segments to show."""
        outcome = self._policy.finish()
        result = result and with_language(result, job.window)
        if outcome is PassOutcome.FINAL:
            return self._transcript.conclude(job, result) + self.release()
        if outcome is PassOutcome.DROP:
            return self.release()
        return self._transcript.show(job, result, keep=outcome is PassOutcome.KEEP) + self.release()

    def fail(self, job: DecodeJob | None, now: float) -> tuple[Pass | None, list[WireSegment]]:
        """Ends the pass: the engine failed; None: it could not begin.

        Returns the pass if its utterance is given up, but for what the segments say.
        """
        work = job.work if job else self._policy.under_way or self._policy.begin(self._ring.end)
        if not self._policy.fail(now):
            return None, []
        return work, self._transcript.settle(work.utterance) + self.release()

    def release(self) -> list[WireSegment]:
        """The finals that were ready before their utterances ended."""
        segments: list[WireSegment] = []
        while ended := self._policy.settle():
            segments += self._transcript.settle(ended)
        return segments

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
        return self._ring.end - self.decided > MAX_UNDECIDED_SAMPLES

    def _take(self, samples: Samples, now: float) -> None:
        self._ring.append(samples)
        if self._explicit and self._policy.current is None:
            self._policy.open(self._policy.ended_at, now)
        while (frames := (self._ring.end - self._gate.position) // FRAME_SAMPLES) >= (
            1 if self._gate.is_closing else VAD_BATCH_FRAMES
        ):
            self._listen(min(frames, VAD_BATCH_FRAMES), now)
        while overlong := self._policy.overlong(self._ring.end):
            self._cut(overlong, now)

    def _cut(self, utterance: PendingUtterance, now: float) -> None:
        """Between two words, and after those that are committed: they belong to what ends here."""
        last = utterance.start + MAX_UTTERANCE_SAMPLES
        first = max(last - CUT_SEARCH_SAMPLES, self._transcript.committed_until(utterance) + CUT_CLEARANCE_SAMPLES)
        self._policy.cut(first + quiet_point(self._ring.read(first, last)), now)

    def _listen(self, frames: int, now: float) -> None:
        """Takes the next frames through the gate; what is too faint is no speech, whatever the detector would say."""
        first = self._gate.position
        block = to_float(self._ring.read(first, first + frames * FRAME_SAMPLES)).reshape(frames, FRAME_SAMPLES)
        audible = np.einsum("ij,ij->i", block, block) >= FRAME_SAMPLES * SPEECH_FLOOR_RMS**2
        found = iter(self._probabilities(block[audible]) if audible.any() else ())
        for is_audible in audible:
            self._hear_frame(next(found) if is_audible else 0.0, now)

    def _hear_frame(self, probability: float, now: float) -> None:
        first = self._gate.position
        edge = self._gate.feed(probability)
        if not self._explicit and edge:
            if edge.opened:
                self._policy.open(edge.sample, now)
                self._policy.hear(first + FRAME_SAMPLES - self._settings.onset, first, now)
            else:
                self._policy.close(edge.sample, now)
        certain = probability >= self._settings.threshold
        if certain or (self._goes_on and probability >= self._settings.release):
            self._policy.hear(first, first + FRAME_SAMPLES, now, certain=certain)
        else:
            self._policy.pause(first + FRAME_SAMPLES, now)

    @property
    def _goes_on(self) -> bool:
        """What is doubtful now belongs to speech before it. A client that says where utterances end may bridge longer
        pauses than the gate here: until its word all of it does."""
        current = self._policy.current
        return self._gate.is_open or (self._explicit and current is not None and current.speech > 0)


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
