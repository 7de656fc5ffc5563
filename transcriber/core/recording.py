"""Recording, channel by channel: its speech is packed into windows, each decoded by itself, after all live streams.

A window is a stream of its own for the worker: several can be decoded at once, those of one recording too. What the
model leaves out at the end of one is decoded again; where it goes astray, or hears nothing in much speech, it is asked
once more, less strictly, and then about the halves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from common.audio.hysteresis import FRAME_SAMPLES, Edge, SpeechHysteresis, Thresholds
from common.audio.pcm import to_float
from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment
from transcriber.core.filters import Verdict
from transcriber.core.guards import is_missed, is_stopped, left_out, unlooped, verdict_of
from transcriber.core.languages import StreamLanguage
from transcriber.core.lines import lines
from transcriber.core.load import Effort
from transcriber.core.packing import PAD_SAMPLES, PackedWindow, Span, SpeechPacker
from transcriber.core.policy import (
    MAX_DECODE_ATTEMPTS,
    RESULT_DELAYS_S,
    DecodeRequest,
    Pass,
    PassKind,
    PendingUtterance,
)
from transcriber.core.ring import quiet_point
from transcriber.core.session import SPEECH_FLOOR_RMS, SpeechProbabilities
from transcriber.core.subtitles import Line
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Samples, Window, with_language
from transcriber.core.words import letters

THRESHOLDS = Thresholds(onset_frames=2, hangover_frames=5)
"""Pauses from 0.16 s on are seen: windows are cut there."""
LOOKBACK_SAMPLES = PAD_SAMPLES + SAMPLE_RATE // 2
"""Kept of what no window needs yet: speech may begin, and it is noticed late."""
RETRY_TEMPERATURE = 0.4
MIN_HALVED_SAMPLES = 16 * SAMPLE_RATE
"""Shorter windows that go astray are not halved: halves of full ones are not worth more passes."""
FULL_WINDOW_SAMPLES = 30 * SAMPLE_RATE
"""What Whisper was trained on."""
MAX_CHANNEL_DIFFERENCE_SHARE = 0.02
"""Channels that differ by no more than this share of the loudest sample carry the same sound."""
MAX_CODING_NOISE_STEPS = 32
"""A difference of at most this many steps of 16 bits is coding noise."""


class RecordingChannel:
    """One channel of a recording.

    Args:
        handshake: What is wanted of it.
        probabilities: Of speech in this channel.
        channel: Its index.
        clock_start: Index of its first sample.
        longest: Samples of a window at most.
    """

    def __init__(
        self, handshake: Handshake, probabilities: SpeechProbabilities, *, channel: int = 0, clock_start: int = 0,
        longest: int = FULL_WINDOW_SAMPLES,
    ) -> None:  # fmt: skip
        self._handshake = handshake
        self._probabilities = probabilities
        self._channel = channel
        self._audio = KeptAudio(clock_start)
        self._speech = SpeechHysteresis(THRESHOLDS)
        self._opened = self._position = clock_start
        self._packer = SpeechPacker(longest, self._quiet, clock_start)
        self._languages = StreamLanguage(handshake.language, handshake.allowed_languages, locks=False)
        self._windows: deque[RecordingWindow] = deque()  # those that are not taken, in order
        self.decoded = 0
        """Windows that are done, whatever came of them."""

    def hear(self, samples: Samples, now: float) -> None:
        """Takes the next samples, shape (n,), at most a few seconds."""
        self._audio.append(samples)
        if frames := (self._audio.end - self._position) // FRAME_SAMPLES:
            self._listen(frames)
        self._add(self._packer.full(), now)
        self._audio.forget([*self._packer.needed, (self._position - LOOKBACK_SAMPLES, self._audio.end)])

    def end(self, now: float) -> None:
        """There is no more of it."""
        self._add(self._packer.rest(self._audio.end), now)

    def open_windows(self) -> Iterator[RecordingWindow]:
        """Those that can be decoded now, each once. While the language is unknown, one after another."""
        for window in self._windows:
            if not window.is_handed_out:
                window.is_handed_out = True
                yield window
            if not window.is_done and self._languages.fixed is None and self._languages.prior is None:
                return

    def take(self, now: float) -> list[Line]:
        """The lines that are new, in order."""
        found: list[Line] = []
        while self._windows and self._windows[0].is_done:
            window = self._windows.popleft()
            self.decoded += 1
            found += window.lines
            self._windows.extendleft(self._window(part, samples, now) for part, samples in reversed(window.parts))
        return found

    @property
    def waiting(self) -> int:
        """Windows that are not taken."""
        return len(self._windows)

    @property
    def is_lost(self) -> bool:
        """The engine failed on one of them, again and again."""
        return any(window.is_lost for window in self._windows)

    @property
    def detected(self) -> str | None:
        """The language that was found, once sure."""
        return self._languages.prior

    def _listen(self, frames: int) -> None:
        """What is too faint is no speech, whatever the detector would say."""
        first, last = self._position, self._position + frames * FRAME_SAMPLES
        block = to_float(self._audio.read(first, last)).reshape(frames, FRAME_SAMPLES)
        audible = np.einsum("ij,ij->i", block, block) >= FRAME_SAMPLES * SPEECH_FLOOR_RMS**2
        found = iter(self._probabilities(block[audible]) if audible.any() else ())
        for is_audible in audible:
            run = self._speech.run + 1  # if this frame is speech, too
            edge = self._speech.feed(next(found) if is_audible else 0.0)
            self._position += FRAME_SAMPLES
            if edge is Edge.OPENED:
                self._opened = self._position - run * FRAME_SAMPLES
            elif edge is Edge.CLOSED:
                self._packer.add(self._opened, self._position - THRESHOLDS.hangover_frames * FRAME_SAMPLES)
        if self._speech.is_open:
            self._packer.add(self._opened, self._position - self._speech.run * FRAME_SAMPLES)

    def _add(self, parts: Iterable[PackedWindow], now: float) -> None:
        for part in parts:
            samples = np.concatenate([self._audio.read(first, last) for first, last in part.pieces])
            self._windows.append(self._window(part, samples, now))

    def _window(self, part: PackedWindow, samples: Samples, now: float) -> RecordingWindow:
        return RecordingWindow(self._handshake, self._languages, self._channel, part, samples, now)

    def _quiet(self, first: int, last: int) -> int:
        return first + quiet_point(self._audio.read(first, last))


class RecordingWindow:
    """One window of a recording, as the worker sees it: a stream that wants a pass, perhaps another, and is done.

    Args:
        handshake: What is wanted of the recording.
        languages: Of its channel.
        channel: The index of that.
        part: What the window holds.
        samples: Its audio, shape (n,).
        now: Seconds on the worker's clock.
    """

    is_live = False
    ended_at = 0.0

    def __init__(
        self, handshake: Handshake, languages: StreamLanguage, channel: int, part: PackedWindow, samples: Samples,
        now: float,
    ) -> None:  # fmt: skip
        self._handshake = handshake
        self._languages = languages
        self._part = part
        self._samples = samples
        self._channel = channel
        self._due_at = now
        self._failures = 0
        self._is_under_way = False
        self._astray: Hypothesis | None = None
        """What the first pass gave, if it went astray."""
        self.is_handed_out = False
        self.is_done = False
        self.is_lost = False
        self.lines: list[Line] = []
        self.parts: list[tuple[PackedWindow, Samples]] = []
        """What is to be decoded in its place, or after it, with its audio."""

    def adapt(self, effort: Effort) -> None:
        """Load changes nothing: it is the last to be served anyway."""

    def release(self) -> list[WireSegment]:
        """Nobody waits for segments."""
        return []

    def next_request(self) -> DecodeRequest | None:
        """A pass, until it is done; alone, if the engine failed on it."""
        if self.is_done or self._is_under_way:
            return None
        deadline = self._due_at + RESULT_DELAYS_S[PassKind.BACKGROUND]
        return DecodeRequest(PassKind.BACKGROUND, deadline, alone=self._failures > 0)

    def begin(self) -> DecodeJob:
        """Starts the pass."""
        self._is_under_way = True
        prompt = None if self._astray else self._handshake.initial_prompt
        window = Window(
            self._samples,
            language=self._languages.fixed,
            prior=self._languages.prior,
            allowed=self._languages.allowed,
            task=self._handshake.task,
            prompt=prompt,
            careful=True,
            words=self._handshake.task == "transcribe",  # those of a translation are not said anywhere
            packed=True,
            temperature=RETRY_TEMPERATURE if self._astray else 0.0,
        )
        work = self._pass()
        return DecodeJob(work, window, work.start, raw=True)

    def _pass(self) -> Pass:
        first, last = self._part.pieces[0][0], self._part.pieces[-1][1]
        spoken = PendingUtterance(
            0, first, self._due_at, last, shown=self._part.spoken, stretches=list(self._part.speech)
        )
        return Pass(spoken, PassKind.BACKGROUND, first, last)

    def finish(self, job: DecodeJob, result: Hypothesis | None) -> list[WireSegment]:
        """Ends the pass with its result, None where nothing is heard."""
        self._is_under_way = False
        result = result and with_language(result, job.window)
        verdict = verdict_of(job.window, result)
        is_astray = verdict.is_anomaly or is_missed(verdict, self._part.spoken)
        if result and self._astray is None and is_astray:
            self._astray = Hypothesis("") if verdict is Verdict.PROMPT else result  # an echo says nothing about speech
            return []
        self.is_done = True
        is_nothing = verdict in (Verdict.EMPTY, Verdict.NO_SPEECH)
        if is_nothing:
            result = self._astray
        if result is None:
            return []
        is_doubtful = is_nothing or is_stopped(result) or (verdict.is_anomaly and not self._says_again(verdict, result))
        is_worth_halving = is_stopped(result) or self._part.length >= MIN_HALVED_SAMPLES
        if is_doubtful and is_worth_halving and (halves := self._part.halves()):
            self._follow(halves)
        elif letters(result.text):
            temperature = 0.0 if is_nothing else job.window.temperature  # at which it was said
            self._keep(unlooped(result) if is_doubtful else result, is_doubtful, temperature)
        return []

    def _says_again(self, verdict: Verdict, result: Hypothesis) -> bool:
        """It repeats itself as in the first pass: somebody says it so often. A decoder that loops ends elsewhere."""
        return (
            verdict is Verdict.LOOP and self._astray is not None and letters(self._astray.text) == letters(result.text)
        )

    def fail(self, job: DecodeJob | None, now: float) -> tuple[Pass | None, list[WireSegment]]:
        """Ends the pass: the engine failed; None: it could not begin. The pass, if nothing comes of the window."""
        self._is_under_way = False
        self._failures += 1
        self._due_at = now
        self.is_done = self.is_lost = self._failures >= MAX_DECODE_ATTEMPTS
        return self._pass() if self.is_lost else None, []

    def _keep(self, result: Hypothesis, is_doubtful: bool, temperature: float) -> None:
        decoded, told, rest = left_out(self._part, result)
        self._languages.hear(told.language, told.language_probability, self._part.spoken / SAMPLE_RATE)
        line = Line(
            start=0.0,
            end=0.0,
            text="",
            language="en" if self._handshake.task == "translate" else told.language or "",
            avg_logprob=told.avg_logprob,
            no_speech=told.no_speech,
            temperature=temperature,
            is_doubtful=is_doubtful,
            channel=self._channel,
        )
        self.lines = lines(decoded, told, line)
        if rest:
            self._follow([rest])

    def _follow(self, parts: Sequence[PackedWindow]) -> None:
        """These, with their audio: they are the end of this window."""
        first = len(self._samples) - sum(part.length for part in parts)
        for part in parts:
            self.parts.append((part, self._samples[first : first + part.length]))
            first += part.length


class KeptAudio:
    """Audio at absolute positions, of which pieces are kept.

    Args:
        start: Index of the first sample.
    """

    def __init__(self, start: int) -> None:
        self._blocks: list[tuple[int, Samples]] = []
        self.end = start
        """The sample after the newest."""

    def append(self, samples: Samples) -> None:
        """Adds samples, shape (n,)."""
        self._blocks.append((self.end, samples))
        self.end += len(samples)

    def forget(self, needed: Sequence[Span]) -> None:
        """Drops all that has nothing of these."""
        self._blocks = [
            (begin, samples)
            for begin, samples in self._blocks
            if any(first < begin + len(samples) and begin < last for first, last in needed)
        ]

    def read(self, first: int, last: int) -> Samples:
        """A copy of samples first…last-1, as far as they are kept."""
        return np.concatenate(
            [np.zeros(0, np.int16)]
            + [samples[max(first - begin, 0) : max(last - begin, 0)] for begin, samples in self._blocks]
        )


def are_alike(piece: npt.NDArray[np.int16]) -> bool:
    """The channels of a piece, shape (channels, n), carry the same sound: one microphone recorded twice."""
    wide = piece.astype(np.int32)
    apart = int(np.abs(wide - wide[:1]).max(initial=0))
    return apart <= max(MAX_CODING_NOISE_STEPS, MAX_CHANNEL_DIFFERENCE_SHARE * int(np.abs(wide).max(initial=0)))
