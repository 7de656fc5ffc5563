"""What consumers read in Redis: the JSON of segments, session marks and live messages (`docs/redis.md`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from common.contracts.times import iso_utc

ROOM_TOKEN_PLATFORMS = frozenset({"livekit"})
"""Where `token` opens the room itself: there it is never published, whoever asks."""


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """Which meeting and which bot a payload belongs to.

    Args:
        platform: Name of the platform.
        meeting_id: As configured: number or text.
        native_meeting_id: The platform's own id, if known.
        connection_id: The bot's session; `uid` in payloads.
        token: The consumers' opaque token; published except where it is a room token.
    """

    platform: str
    meeting_id: int | str
    native_meeting_id: str | None
    connection_id: str
    token: str | None = None

    def envelope(self, kind: str) -> dict[str, Any]:
        """The keys that every payload of the stream has, in their order."""
        token = {} if self.token is None or self.platform in ROOM_TOKEN_PLATFORMS else {"token": self.token}
        return {
            "type": kind,
            **token,
            "platform": self.platform,
            "meeting_id": self.meeting_id,
            "native_meeting_id": self.native_meeting_id,
            "uid": self.connection_id,
        }


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `start` and `end` in seconds since the meeting began, `probability` 0 to 1."""

    word: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of speech of one speaker.

    Args:
        segment_id: The same for all partials and the final.
        start: Seconds since the meeting began.
        end: Likewise.
        text: What was said.
        speaker: Display name at the time.
        speaker_id: The platform's stable identity.
        language: Language code, if known.
        completed: False: a partial that may still change.
        absolute_start_time: ISO 8601, UTC, milliseconds, `Z` (see `iso_utc`).
        absolute_end_time: Likewise.
        confidence: 0 to 1, if known.
        words: With their own times, if known.
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

    def as_json(self) -> dict[str, Any]:
        """The segment as consumers read it; times with 3 decimals."""
        value: dict[str, Any] = {
            "segment_id": self.segment_id,
            "start": _rounded(self.start),
            "end": _rounded(self.end),
            "text": self.text,
            "speaker": self.speaker,
            "speaker_id": self.speaker_id,
            "language": self.language,
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
        return value


def transcription(identity: SessionIdentity, segments: Iterable[Segment]) -> str:
    """Stream payload `transcription`: final segments."""
    return _dumps(identity.envelope("transcription") | {"segments": [segment.as_json() for segment in segments]})


def session_start(identity: SessionIdentity, at: float) -> str:
    """Stream payload `session_start`; `at`: Unix seconds of meeting time zero."""
    return _dumps(identity.envelope("session_start") | {"start_timestamp": iso_utc(at)})


def session_end(identity: SessionIdentity, at: float) -> str:
    """Stream payload `session_end`; `at`: Unix seconds."""
    return _dumps(identity.envelope("session_end") | {"end_timestamp": iso_utc(at)})


def _rounded(value: float) -> float:
    return round(float(value), 3)


def _dumps(value: dict[str, Any]) -> str:
    """Compact JSON that is always valid UTF-8: a lone surrogate in a name becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()
