"""Segments: what consumers read on the stream, and the marks of a session's start and end (`docs/redis.md`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from common.contracts.generations import Generation
from common.contracts.json_values import count, field, identity, items, member, moment, optional, read_object, write
from common.contracts.languages import LANGUAGE_NAMES
from common.contracts.times import iso_utc


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """Which meeting and which bot a payload belongs to.

    Args:
        platform: Name of the platform.
        meeting_id: As configured: number or text.
        native_meeting_id: The platform's own id, if known.
        connection_id: The bot's session; `uid` in payloads.
        token: The consumers' opaque token, published; None where there is none, or where it would open the room.
    """

    platform: str
    meeting_id: int | str
    native_meeting_id: str | None
    connection_id: str
    token: str | None = None

    def envelope(self, kind: str) -> dict[str, Any]:
        """The keys that every payload of the stream has, in their order."""
        token = {} if self.token is None else {"token": self.token}
        return {
            "type": kind,
            **token,
            "platform": self.platform,
            "meeting_id": self.meeting_id,
            "native_meeting_id": self.native_meeting_id,
            "uid": self.connection_id,
        }

    def read_by(self, generation: Generation | None) -> SessionIdentity:
        """As the collector of a manager's generation wants it in the stream; None: no manager, as it is.

        v0.6 finds a meeting by the platform's id and the user's token. Later ones go by their own number, and refuse a
        payload whose token has expired: they get none.
        """
        if generation is None:
            return self
        if generation is Generation.V6:
            return replace(self, meeting_id=self.native_meeting_id or str(self.meeting_id))
        return replace(self, token=None)


class Source(StrEnum):
    """Where the words of a segment are from."""

    SPEECH = "speech"
    """Heard and transcribed."""
    CHAT = "chat"
    """Written into the meeting's chat."""
    CAPTIONS = "captions"
    """The platform's own captions, from moments in which nothing could be heard."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `start` and `end` in seconds since the meeting began, `probability` 0 to 1."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of speech of one speaker, or what somebody wrote.

    Args:
        segment_id: The same for all partials and the final.
        start: Seconds since the meeting began.
        end: Likewise.
        text: What was said.
        speaker: Display name at the time.
        speaker_id: The platform's stable identity.
        language: Language code, if known; consumers get only Whisper's.
        completed: False: a partial that may still change.
        absolute_start_time: ISO 8601, UTC, milliseconds, `Z` (see `iso_utc`).
        absolute_end_time: Likewise.
        confidence: 0 to 1, if known.
        words: With their own times, if known.
        stable: Of a partial, if known: so many characters of `text` will not change.
        source: Where the words are from; consumers are told if that is not speech.
        doubtful: Of a final: the transcriber's model went astray here; consumers are told if so.
    """

    segment_id: str
    start: float
    end: float
    text: str
    speaker: str
    speaker_id: str
    language: str | None
    completed: bool
    absolute_start_time: str
    absolute_end_time: str
    confidence: float | None = None
    words: tuple[Word, ...] | None = None
    stable: int | None = None
    source: Source = Source.SPEECH
    doubtful: bool = False

    def as_json(self) -> dict[str, Any]:
        """The segment as consumers read it; times with 3 decimals."""
        value: dict[str, Any] = {
            "segment_id": self.segment_id,
            "start": _rounded(self.start),
            "end": _rounded(self.end),
            "text": self.text,
            "speaker": self.speaker,
            "speaker_id": self.speaker_id,
            "speaker_key": self.speaker_id,
            "language": self.language if self.language in LANGUAGE_NAMES else None,
            "completed": self.completed,
            "absolute_start_time": self.absolute_start_time,
            "absolute_end_time": self.absolute_end_time,
        }
        if self.confidence is not None:
            value["confidence"] = _rounded(self.confidence)
        if self.words is not None:
            value["words"] = [
                {
                    "word": word.word,
                    "start": _rounded(word.start),
                    "end": _rounded(word.end),
                    "probability": _rounded(word.probability),
                }
                for word in self.words
            ]
        if self.stable is not None:
            value["stable"] = self.stable
        if self.source is not Source.SPEECH:
            value["source"] = self.source
        if self.doubtful:
            value["doubtful"] = True
        return value

    @classmethod
    def parse(cls, value: Mapping[str, Any]) -> Segment:
        """A segment as `as_json` gives it; unknown keys are ignored. Raises ValueError."""
        has_words = value.get("words") is not None
        return cls(
            segment_id=field(value, "segment_id", str),
            start=field(value, "start", float),
            end=field(value, "end", float),
            text=field(value, "text", str),
            speaker=field(value, "speaker", str),
            speaker_id=field(value, "speaker_id", str),
            language=optional(value, "language", str),
            completed=field(value, "completed", bool),
            absolute_start_time=moment(value, "absolute_start_time"),
            absolute_end_time=moment(value, "absolute_end_time"),
            confidence=optional(value, "confidence", float),
            words=tuple(map(_word, items(value, "words"))) if has_words else None,
            stable=count(value, "stable") if value.get("stable") is not None else None,
            source=member(value, "source", Source) if value.get("source") is not None else Source.SPEECH,
            doubtful=optional(value, "doubtful", bool) or False,
        )


@dataclass(frozen=True, slots=True)
class StreamPayload:
    """One entry of the segment stream, as a consumer reads it.

    Args:
        kind: `transcription`, `session_start` or `session_end`.
        identity: Which meeting and bot.
        segments: Finals; empty for session marks.
        timestamp: ISO 8601, of session marks.
    """

    kind: str
    identity: SessionIdentity
    segments: tuple[Segment, ...] = ()
    timestamp: str | None = None


def parse(payload: str | bytes) -> StreamPayload:
    """Reads an entry of the segment stream. Raises ValueError for what no bot of ours writes."""
    value = read_object(payload)
    kind = field(value, "type", str)
    who = SessionIdentity(
        platform=field(value, "platform", str),
        meeting_id=identity(value, "meeting_id"),
        native_meeting_id=optional(value, "native_meeting_id", str),
        connection_id=field(value, "uid", str),
        token=optional(value, "token", str),
    )
    match kind:
        case "transcription":
            return StreamPayload(kind, who, tuple(map(Segment.parse, items(value, "segments"))))
        case "session_start":
            return StreamPayload(kind, who, timestamp=moment(value, "start_timestamp"))
        case "session_end":
            return StreamPayload(kind, who, timestamp=moment(value, "end_timestamp"))
    raise ValueError("type: transcription, session_start or session_end expected")


def _word(value: Mapping[str, Any]) -> Word:
    times = (field(value, key, float) for key in ("start", "end", "probability"))
    return Word(field(value, "word", str), *times)


def transcription(identity: SessionIdentity, segments: Iterable[Segment]) -> str:
    """Stream payload `transcription`: final segments."""
    return write(identity.envelope("transcription") | {"segments": [segment.as_json() for segment in segments]})


def session_start(identity: SessionIdentity, at: float) -> str:
    """Stream payload `session_start`; `at`: Unix seconds of meeting time zero."""
    return write(identity.envelope("session_start") | {"start_timestamp": iso_utc(at)})


def session_end(identity: SessionIdentity, at: float) -> str:
    """Stream payload `session_end`; `at`: Unix seconds."""
    return write(identity.envelope("session_end") | {"end_timestamp": iso_utc(at)})


def _rounded(value: float) -> float:
    return round(float(value), 3)
