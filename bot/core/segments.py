"""A segment tracker: the transcriber's words to published segments with stable ids, one final each, times in bounds.

Whatever a server does (resend what it said, shift its times, say it again after a reconnect), a consumer sees each
piece of speech become final once, under the id its partials had, and never change afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment, Word
from common.contracts.times import iso_utc

OVERLAP_SAMPLES = SAMPLE_RATE // 20
"""Samples (50 ms) that a new piece may reach back into the last final and still be new: server times are rounded."""


@dataclass(slots=True, eq=False)
class Utterance:
    """One stretch of speech of one speaker, as the speech gate cut it. 16 kHz samples since meeting time zero."""

    number: int
    """Counts the utterances of this bot."""
    speaker_id: str
    speaker: str
    """Display name when it began."""
    onset: int
    """First sample of speech."""
    end: int | None = None
    """One past the last sample of speech; None while it goes on."""


@dataclass(slots=True)
class _Progress:
    final_until: int  # meeting samples: text before is final
    open_id: str | None = None  # id of the piece that has partials and no final yet
    shown: str = ""  # last partial text
    last_ms: int = -1  # onset in the last id handed out


class SegmentTracker:
    """The published text of one bot.

    Args:
        connection_id: First part of every segment id.
        zero: Unix seconds at meeting time zero.
    """

    def __init__(self, connection_id: str, zero: float) -> None:
        self._connection_id = connection_id
        self._zero = zero
        self._progress: dict[int, _Progress] = {}

    def update(
        self,
        utterance: Utterance,
        start: int,
        end: int,
        text: str,
        completed: bool,
        language: str | None = None,
        words: Sequence[Word] = (),
    ) -> Segment | None:
        """What to publish for one segment of the server's, or None when it says nothing new.

        Args:
            utterance: Whose speech it is.
            start: First sample of the segment, meeting samples as the server's time maps to.
            end: One past its last sample.
            text: As the server spells it; surrounding space is dropped.
            completed: The server will not change it any more.
            language: Language of this segment, if known.
            words: Words with times in meeting seconds.
        """
        progress = self._progress.setdefault(utterance.number, _Progress(final_until=utterance.onset))
        text = " ".join(text.split())
        if not text or end <= progress.final_until or (end + start) // 2 < progress.final_until - OVERLAP_SAMPLES:
            return None
        if not completed and text == progress.shown:
            return None
        bound = end if utterance.end is None else utterance.end
        start = min(max(start, progress.final_until), bound)
        end = max(min(end, bound), start + 1)
        segment_id = progress.open_id or self._new_id(utterance, progress, start)
        if completed:
            progress.final_until, progress.open_id, progress.shown = end, None, ""
        else:
            progress.open_id, progress.shown = segment_id, text
        return self._segment(utterance, segment_id, start, end, text, completed, language, words)

    def decided(self, utterance: Utterance) -> Segment | None:
        """The server is done with the utterance. A partial that never became final is taken back: an empty partial."""
        progress = self._progress.pop(utterance.number, None)
        if progress is None or progress.open_id is None:
            return None
        return self._segment(
            utterance, progress.open_id, progress.final_until, progress.final_until, "", False, None, ()
        )

    def _new_id(self, utterance: Utterance, progress: _Progress, start: int) -> str:
        first = progress.last_ms < 0
        onset_ms = max(round((utterance.onset if first else start) / SAMPLE_RATE * 1000), progress.last_ms + 1)
        progress.last_ms = onset_ms
        return f"{self._connection_id}:{utterance.speaker_id}:{onset_ms}"

    def _segment(
        self,
        utterance: Utterance,
        segment_id: str,
        start: int,
        end: int,
        text: str,
        completed: bool,
        language: str | None,
        words: Sequence[Word],
    ) -> Segment:
        return Segment(
            segment_id=segment_id,
            start=round(start / SAMPLE_RATE, 3),
            end=round(end / SAMPLE_RATE, 3),
            text=text,
            speaker=utterance.speaker,
            speaker_id=utterance.speaker_id,
            language=language,
            completed=completed,
            absolute_start_time=iso_utc(self._zero + start / SAMPLE_RATE),
            absolute_end_time=iso_utc(self._zero + end / SAMPLE_RATE),
            words=tuple(words) or None,
        )
