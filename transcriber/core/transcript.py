"""Transcript of one stream: what passes made of its utterances becomes segments, partial by partial, then final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.whisperlive.protocol import SAMPLE_RATE, Handshake, WireSegment, WireWord
from transcriber.core.agreement import LocalAgreement, Unit, units
from transcriber.core.joining import Said
from transcriber.core.languages import MIN_LANGUAGE_SHARE, StreamLanguage
from transcriber.core.policy import Pass, PendingUtterance
from transcriber.core.ring import loudest
from transcriber.core.windows import Hypothesis, Window
from transcriber.core.word_times import in_order


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One pass with its audio, cut out when the pass began."""

    work: Pass
    window: Window
    first: int
    """The window's first sample."""
    base: int = 0
    """The committed word that the window begins with."""
    raw: bool = False
    """Its session judges what comes of it."""

    @property
    def level(self) -> float:
        """Root mean square of the loudest 32 ms, full scale = 1.0."""
        return loudest(self.window.samples)


@dataclass(slots=True)
class _UtteranceText:
    """What is known of an utterance without a final. There are as many as the audio ring holds."""

    agreement: LocalAgreement = field(default_factory=LocalAgreement)
    partial: tuple[str, int] = ("", 0)
    """The last one shown: text, and how much of it is committed."""
    latest: Hypothesis | None = None
    language: tuple[str | None, float] | None = None
    """That of the committed words, if there are any, and its probability: all later passes are in it."""
    kept: list[Unit] | None = None
    """The final, if nothing more is said."""


class Transcript:
    """Turns results into segments.

    Args:
        handshake: Whose uid the segment ids begin with.
        languages: Hears the language of each final.
    """

    def __init__(self, handshake: Handshake, languages: StreamLanguage) -> None:
        self._uid = handshake.uid
        self._languages = languages
        self._spoken: dict[int, _UtteranceText] = {}
        self.detected: tuple[str, float] | None = None
        """The language found and its probability, once sure."""
        self.ended_at = 0.0
        """When the last utterance that has a final had ended, in seconds on the policy's clock."""
        self.before: Said | None = None
        """What was said in that utterance; None: nothing, or nobody knows what."""

    def trim(self, utterance: PendingUtterance) -> tuple[int, int]:
        """Where a pass may begin that need not hear everything again: the index of a committed word, and a sample."""
        base, seconds = self._of(utterance).agreement.trim
        return base, utterance.start + round(seconds * SAMPLE_RATE)

    def committed_until(self, utterance: PendingUtterance) -> int:
        """The sample that the committed words reach at most."""
        return utterance.start + round(self._of(utterance).agreement.until * SAMPLE_RATE)

    def language(self, utterance: PendingUtterance) -> str | None:
        """What its passes are in; None: to be detected."""
        found = self._of(utterance).language
        return found[0] if found else self._languages.fixed

    def likely_language(self, utterance: PendingUtterance) -> str | None:
        """What it is spoken in, as far as is known: what was said before it cannot be heard with it in another."""
        known, heard = self.language(utterance), self._of(utterance).latest
        if known or heard is None:
            return known or self._languages.prior
        return heard.language if heard.language_probability > MIN_LANGUAGE_SHARE else None

    def forget(self, utterance: PendingUtterance) -> None:
        """Nothing of it holds: it was cut where words were committed."""
        self._spoken.pop(utterance.number, None)

    def show(self, job: DecodeJob, result: Hypothesis | None, *, keep: bool = False) -> list[WireSegment]:
        """A partial, if it is news. `keep`: it becomes the final unless more is said."""
        spoken = self._of(job.work.utterance)
        if result is None:
            spoken.agreement.miss()
            if keep:
                spoken.kept = list(spoken.agreement.committed)
            return []
        heard = (job.work.end - job.work.utterance.start) / SAMPLE_RATE
        found = result.language, result.language_probability
        sure = job.window.language is not None or self._languages.is_sure(*found, len(job.window.samples) / SAMPLE_RATE)
        sure = sure and job.window.task == "transcribe"  # a translation of more begins with other words
        text = spoken.agreement.hear(_units(job, result), heard, job.base, language=result.language or "", sure=sure)
        if spoken.agreement.committed:
            spoken.language = spoken.language or found
        spoken.latest, spoken.kept = result, text if keep else None  # an older one may lack what is committed now
        partial = _text(text), len(_text(spoken.agreement.committed))
        if not partial[0] or partial == spoken.partial:
            return []
        spoken.partial = partial
        return [self._segment(job.work.utterance, job.work.end, text, result.language, stable_len=partial[1])]

    def conclude(self, job: DecodeJob, result: Hypothesis | None) -> list[WireSegment]:
        """The final, from a pass over the whole utterance; what was committed stays even if that pass gave nothing."""
        spoken = self._of(job.work.utterance)
        spoken.latest = result or spoken.latest
        spoken.kept = spoken.agreement.conclude(_units(job, result) if result else [])
        return self.settle(job.work.utterance)

    def settle(self, utterance: PendingUtterance) -> list[WireSegment]:
        """The final that was kept, or what was committed until the engine failed."""
        spoken = self._of(utterance)
        self.forget(utterance)
        self.ended_at, self.before = utterance.closed_at, None
        text = spoken.agreement.committed if spoken.kept is None else spoken.kept
        if not text or spoken.latest is None:
            return []
        latest = spoken.latest
        found = spoken.language or (latest.language, latest.language_probability)
        decided = self._languages.hear(*found, utterance.speech / SAMPLE_RATE)
        self.detected = self.detected or decided
        if found[0] and not latest.is_doubtful:
            self.before = Said(*utterance.bounds(utterance.end or utterance.start), _text(text), found[0])
        return [self._segment(utterance, utterance.end or utterance.start, text, found[0], doubtful=latest.is_doubtful)]

    def _of(self, utterance: PendingUtterance) -> _UtteranceText:
        return self._spoken.setdefault(utterance.number, _UtteranceText())

    def _segment(
        self,
        utterance: PendingUtterance,
        until: int,
        said: Sequence[Unit],
        language: str | None,
        stable_len: int | None = None,
        *,
        doubtful: bool = False,
    ) -> WireSegment:
        first, last = utterance.bounds(until)
        start, end = first / SAMPLE_RATE, last / SAMPLE_RATE
        return WireSegment(
            start=start,
            end=end,
            text=_text(said),
            completed=stable_len is None,
            segment_id=f"{self._uid}:{utterance.number}",
            language=language,
            words=_words(said, utterance.start / SAMPLE_RATE, start, end),
            stable_len=stable_len,
            doubtful=doubtful,
        )


def _units(job: DecodeJob, result: Hypothesis) -> list[Unit]:
    return units(result.text, result.words, (job.first - job.work.utterance.start) / SAMPLE_RATE)


def _text(said: Sequence[Unit]) -> str:
    return "".join(unit.text for unit in said)


def _words(said: Sequence[Unit], zero: float, start: float, end: float) -> tuple[WireWord, ...] | None:
    """Word times on the stream's clock, inside the segment and in order; None unless all are known."""
    times: list[tuple[float, float]] = []
    for unit in said:
        if unit.start is None or unit.end is None:
            return None
        times.append((zero + unit.start, zero + unit.end))
    return tuple(
        WireWord(unit.text, first, last, unit.probability)
        for unit, (first, last) in zip(said, in_order(times, start, end), strict=True)
    )
