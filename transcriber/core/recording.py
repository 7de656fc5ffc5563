"""Recording as a stream that is not paced: the gate and policy of a live one, finals only, after all live ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.whisperlive.protocol import Handshake, WireSegment
from transcriber.core.load import FINALS_ONLY_EFFORT, Effort
from transcriber.core.policy import RESULT_DELAYS_S, DecodeRequest, PassKind
from transcriber.core.session import SpeechProbabilities, StreamSession
from transcriber.core.subtitles import Line
from transcriber.core.transcript import DecodeJob
from transcriber.core.windows import Hypothesis, Word

MAX_CHANNEL_DIFFERENCE_SHARE = 0.02
"""Channels that differ by no more than this share of the loudest sample carry the same sound."""
MAX_CODING_NOISE_STEPS = 32
"""A difference of at most this many steps of 16 bits is coding noise."""


class RecordingSession(StreamSession):
    """One channel of a recording. Nobody waits for partials; live streams go first."""

    is_live = False
    usual = FINALS_ONLY_EFFORT

    def __init__(
        self, handshake: Handshake, probabilities: SpeechProbabilities, *, channel: int = 0, clock_start: int = 0
    ) -> None:
        super().__init__(handshake, probabilities, clock_start=clock_start)
        self._channel = channel
        self._lines: list[Line] = []
        self.utterances = 0
        """Stretches of sound that were decoded, whatever came of them."""
        self.lost = 0
        """Utterances given up because the engine failed."""

    def adapt(self, effort: Effort) -> None:
        """Load changes nothing: it is the last to be served anyway."""

    def next_request(self) -> DecodeRequest | None:
        """The next final, as background work; alone, so that somebody live waits for one window at most."""
        request = super().next_request()
        return request and DecodeRequest(
            PassKind.BACKGROUND, request.due + RESULT_DELAYS_S[PassKind.BACKGROUND], alone=True
        )

    def begin(self) -> DecodeJob:
        """Counts the utterances."""
        self.utterances += 1
        return super().begin()

    def finish(self, job: DecodeJob, result: Hypothesis | None) -> list[WireSegment]:
        """Keeps what was said as lines until `take`."""
        shown = super().finish(job, result)
        if result is not None:
            self._lines += [self._line(segment, result) for segment in shown]
        return shown

    def fail(self, job: DecodeJob, now: float) -> tuple[bool, list[WireSegment]]:
        """Counts what is given up."""
        given_up, segments = super().fail(job, now)
        self.lost += given_up
        return given_up, segments

    def take(self) -> list[Line]:
        """The lines that are new."""
        lines, self._lines = self._lines, []
        return lines

    def _line(self, segment: WireSegment, result: Hypothesis) -> Line:
        return Line(
            start=segment.start,
            end=segment.end,
            text=segment.text.strip(),
            words=tuple(Word(word.word, word.start, word.end, word.probability) for word in segment.words or ()),
            language=result.language,
            avg_logprob=result.avg_logprob,
            no_speech=result.no_speech,
            channel=self._channel,
        )


def are_alike(piece: npt.NDArray[np.int16]) -> bool:
    """The channels of a piece, shape (channels, n), carry the same sound: one microphone recorded twice."""
    wide = piece.astype(np.int32)
    apart = int(np.abs(wide - wide[:1]).max(initial=0))
    return apart <= max(MAX_CODING_NOISE_STEPS, MAX_CHANNEL_DIFFERENCE_SHARE * int(np.abs(wide).max(initial=0)))
