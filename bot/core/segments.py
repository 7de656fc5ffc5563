"""A segment tracker: the transcriber's words to published segments with stable ids, one final each, times in bounds.

Whatever a server does (resend what it said, shift its times, say it again after a reconnect, say more when all was
decided), a consumer sees each piece of speech become final once, under the id its partials had, and never change
afterwards. An id names one piece for ever; a partial that comes to nothing is taken back once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.audio.pcm import SAMPLE_RATE
from common.contracts.segments import Segment, Source, Word
from common.contracts.times import iso_utc

UNKNOWN_SPEAKER = "unknown"
"""Name of a mix's speech whose speaker nobody can say (yet); its `speaker_id` is the track's id."""
OVERLAP_SAMPLES = SAMPLE_RATE // 20
"""Samples (50 ms) that a new piece may reach back into the last final and still be new: server times are rounded."""
MAX_WORDS_KEPT = 100
"""Words of an utterance's finals that are remembered, to know them when a server says them again with more: those of
13 s, after which our transcriber cuts, however fast they come."""
MIN_REPEATED_SHARE = 0.5
"""Of the words in what is final already, where that is most of a piece: so many it must repeat for others to be new."""
MAX_IDS_KEPT = 4096
"""Ids remembered so that none is given twice. Two can only clash when one person begins twice in one millisecond, on
two tracks; the texts of that come minutes apart at most."""


@dataclass(slots=True)
class _Told:
    """What consumers know of an utterance."""

    final_until: int  # meeting samples: text before is final
    last_words: list[str] = field(default_factory=list)  # of its finals; at most MAX_WORDS_KEPT
    has_id: bool = False  # the first id is named after the onset, and was given
    open_id: str | None = None  # id of the piece that has partials and no final yet
    shown: str = ""  # the partial that they see
    is_decided: bool = False


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
    told: _Told = field(init=False, repr=False)
    """The tracker's."""

    def __post_init__(self) -> None:
        self.told = _Told(self.onset)

    @property
    def length(self) -> int:
        """Samples, as far as it has come; 0 while it goes on."""
        return (self.end or self.onset) - self.onset


class SegmentTracker:
    """The published text of one bot.

    Args:
        connection_id: First part of every segment id.
        zero: Unix seconds at meeting time zero.
    """

    def __init__(self, connection_id: str, zero: float) -> None:
        self._connection_id = connection_id
        self._zero = zero
        self._ids: OrderedDict[str, None] = OrderedDict()  # at most MAX_IDS_KEPT; the oldest goes

    def update(
        self,
        utterance: Utterance,
        start: int,
        end: int,
        text: str,
        completed: bool,
        language: str | None = None,
        words: Sequence[Word] = (),
        stable_len: int | None = None,
        *,
        doubtful: bool = False,
    ) -> Segment | None:
        """What to publish for one segment of the server's, or None when it says nothing new.

        Args:
            utterance: Whose speech it is.
            start: First sample of the segment, meeting samples as the server's time maps to.
            end: One past its last sample.
            text: As the server spells it; superfluous space is dropped.
            completed: The server will not change it any more.
            language: Language of this segment, if known.
            words: Words with times in meeting seconds; they are kept within the segment's.
            stable_len: Of a partial: so many characters of `text` will not change.
            doubtful: The server's model went astray here.
        """
        told = utterance.told
        if end <= told.final_until:
            return None
        if told.is_decided and not completed:
            return None  # nobody would take it back
        spoken = text.split()
        repeated = _repeated(spoken, told.last_words) if start < told.final_until - OVERLAP_SAMPLES else 0
        if (end + start) // 2 < told.final_until - OVERLAP_SAMPLES:  # known, unless its words say more
            known = (told.final_until - start) / (end - start) * len(spoken)
            if repeated < MIN_REPEATED_SHARE * known:
                return None
        text, stable = _tidy(text, repeated), _tidy(text[:stable_len], repeated)
        if not text or (not completed and text == told.shown):
            return None
        bound = end if utterance.end is None else utterance.end
        start = min(max(start, told.final_until), bound)
        end = max(min(end, bound), start + 1)
        segment_id = told.open_id or self._new_id(utterance, start)
        if completed:
            told.final_until, told.open_id, told.shown = end, None, ""
            told.last_words = [*told.last_words, *text.split()][-MAX_WORDS_KEPT:]
        else:
            told.open_id, told.shown = segment_id, text
        return Segment(
            **self._common(utterance, segment_id, start, end),
            text=text,
            language=language,
            completed=completed,
            words=_within(_without(words, spoken, repeated), start / SAMPLE_RATE, end / SAMPLE_RATE) or None,
            stable=None if completed or stable_len is None else len(stable),
            doubtful=completed and doubtful,
        )

    def decided(self, utterance: Utterance) -> Segment | None:
        """The server is done with the utterance. A partial that never became final is taken back: an empty partial."""
        told = utterance.told
        open_id, told.open_id, told.is_decided = told.open_id, None, True
        if open_id is None:
            return None
        place = self._common(utterance, open_id, told.final_until, told.final_until)
        return Segment(**place, text="", language=None, completed=False)

    def written(self, source: Source, speaker_id: str, speaker: str, text: str, start: float, end: float) -> Segment:
        """A final that nobody had to hear: of the chat, or of the platform's captions; times in meeting seconds.

        Its id is of a speaker of its own (`ana:chat`), so that it neither is an utterance's nor ends a draft of one.
        """
        return Segment(
            segment_id=self._unused(f"{speaker_id}:{source}", start),
            start=round(start, 3),
            end=round(end, 3),
            text=text,
            speaker=speaker,
            speaker_id=speaker_id,
            language=None,
            completed=True,
            absolute_start_time=iso_utc(self._zero + start),
            absolute_end_time=iso_utc(self._zero + end),
            source=source,
        )

    def split(self, final: Segment, counts: Sequence[int]) -> list[Segment]:
        """A final in parts, which begin with its words of these numbers; the first one keeps its id, times are theirs.

        Args:
            final: With words.
            counts: How many words are in each part; all of them together.

        Returns:
            The parts, in their order; the final as it is where its words are not those of its text.
        """
        words = final.words or ()
        sizes = [len("".join(word.word.split())) for word in words]
        if len(counts) < 2 or sum(sizes) != len("".join(final.text.split())):
            return [final]
        parts, first, text = [], 0, final.text
        for number, count in enumerate(counts):
            own, size = words[first : first + count], sum(sizes[first : first + count])
            said, text = _parted(text, size)
            first += count
            start = final.start if number == 0 else own[0].start
            end = final.end if first == len(words) else own[-1].end
            parts.append(
                replace(
                    final,
                    segment_id=self._unused(final.speaker_id, start) if number else final.segment_id,
                    text=said,
                    words=own,
                    start=round(start, 3),
                    end=round(end, 3),
                    absolute_start_time=iso_utc(self._zero + start),
                    absolute_end_time=iso_utc(self._zero + end),
                )
            )
        return parts

    def _new_id(self, utterance: Utterance, start: int) -> str:
        at = start if utterance.told.has_id else utterance.onset
        utterance.told.has_id = True
        return self._unused(utterance.speaker_id, at / SAMPLE_RATE)

    def _unused(self, speaker_id: str, start: float) -> str:
        """An id that nothing has, named after this time in seconds."""
        at = round(start * 1000)
        while (segment_id := f"{self._connection_id}:{speaker_id}:{at}") in self._ids:
            at += 1
        self._ids[segment_id] = None
        if len(self._ids) > MAX_IDS_KEPT:
            self._ids.popitem(last=False)
        return segment_id

    def _common(self, utterance: Utterance, segment_id: str, start: int, end: int) -> dict[str, Any]:
        return {
            "segment_id": segment_id,
            "start": round(start / SAMPLE_RATE, 3),
            "end": round(end / SAMPLE_RATE, 3),
            "speaker": utterance.speaker,
            "speaker_id": utterance.speaker_id,
            "absolute_start_time": iso_utc(self._zero + start / SAMPLE_RATE),
            "absolute_end_time": iso_utc(self._zero + end / SAMPLE_RATE),
        }


def _tidy(text: str, repeated: int) -> str:
    """The text without superfluous space and without its first words."""
    return " ".join(text.split()[repeated:])


def _repeated(words: Sequence[str], said: Sequence[str]) -> int:
    """How many of the first words are the last ones said: a server that hears audio again says them again."""
    ours, theirs = ([word.strip(".,;:!?…").casefold() for word in some] for some in (words, said))
    return next((n for n in range(min(len(ours), len(theirs)), 0, -1) if ours[:n] == theirs[-n:]), 0)


def _parted(text: str, characters: int) -> tuple[str, str]:
    """The text before and after so many characters, spaces not counted and not kept between."""
    at = 0
    while characters:
        characters -= not text[at].isspace()
        at += 1
    return text[:at].strip(), text[at:].strip()


def _without(words: Sequence[Word], spoken: Sequence[str], repeated: int) -> Sequence[Word]:
    """The words behind the first `repeated` ones of the text that was `spoken`.

    A server's words are not the text's: it may have "well-known" in two, and the comma in one of both alone.
    """
    texts = ["".join(word.word.split()) for word in words]
    counts = str.isalnum if "".join(texts) != "".join(spoken) else lambda character: True
    left = sum(map(counts, "".join(spoken[:repeated])))
    for number, text in enumerate(texts):
        if not left:
            return words[number:]
        before = 0
        while before < len(text) and left:
            left -= counts(text[before])
            before += 1
        if before < len(text) and any(map(counts, text[before:])):
            return [replace(words[number], word=text[before:]), *words[number + 1 :]]
    return ()


def _within(words: Sequence[Word], start: float, end: float) -> tuple[Word, ...]:
    """The words, their times kept within the bounds and in order."""
    kept = []
    for word in words:
        start = min(max(word.start, start), end)
        kept.append(replace(word, start=start, end=min(max(word.end, start), end)))
    return tuple(kept)
