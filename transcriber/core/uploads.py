"""Upload requests over HTTP: the form fields of both routes, checked, and the answers to chunks that come twice."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
CHANNEL_INDEXES = {"0": 0, "left": 0, "1": 1, "right": 1}
"""What a single channel is called, and its index."""
MIXED_CHANNEL = "mixed"
MAX_PROMPT_CHARACTERS = 4000
"""Of a prompt; the engine keeps what its context holds."""
MAX_FIELD_CHARACTERS = 200
"""Of any other field."""
MAX_SEQ = 2**63 - 1


class ApiError(Exception):
    """A request that cannot be served. For people; `body` is OpenAI's shape."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self._param = param
        self._code = code

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self._param, "code": self._code}}


@dataclass(frozen=True, slots=True)
class TranscriptionForm:
    """`POST /v1/audio/transcriptions`, without the file."""

    language: str | None = None
    prompt: str | None = field(default=None, repr=False)
    format: str = "json"
    words: bool = False
    segments: bool = True
    stream: bool = False

    @classmethod
    def parse(
        cls, fields: Mapping[str, str], granularities: Sequence[str], models: Container[str], languages: frozenset[str]
    ) -> TranscriptionForm:
        """Checks the fields. Raises ApiError (400)."""
        model = fields.get("model")
        if not model:
            raise ApiError(400, "model is missing: the name of the served model, or whisper-1.", param="model")
        if model not in models:
            raise ApiError(
                400,
                f"The model {model[:MAX_FIELD_CHARACTERS]!a} is not served here: use whisper-1 for the one that is.",
                param="model",
                code="model_not_found",
            )
        written = fields.get("response_format") or "json"
        if written not in RESPONSE_FORMATS:
            raise ApiError(
                400, f"response_format must be one of {', '.join(RESPONSE_FORMATS)}.", param="response_format"
            )
        if unknown := set(granularities) - {"word", "segment"}:
            problem = f"timestamp_granularities[] must be word or segment, not {min(unknown)[:MAX_FIELD_CHARACTERS]!a}."
            raise ApiError(400, problem, param="timestamp_granularities[]")
        if "word" in granularities and written != "verbose_json":
            problem = "timestamp_granularities[]=word needs response_format=verbose_json."
            raise ApiError(400, problem, param="timestamp_granularities[]")
        _check_temperature(fields.get("temperature") or "0")
        return cls(
            language=requested_language(fields, languages),
            prompt=_short(fields, "prompt", MAX_PROMPT_CHARACTERS),
            format=written,
            words="word" in granularities,
            segments=not granularities or "segment" in granularities,
            stream=_flag(fields, "stream"),
        )


@dataclass(frozen=True, slots=True)
class ChunkForm:
    """`POST /process`, without the audio."""

    room: str
    seq: int
    timestamp: str
    source: str | None = None
    hint: str | None = field(default=None, repr=False)
    role: str | None = None
    channel: int | None = None
    """The one channel that is wanted of a file with two; for a file with one, what it is."""
    mixed: bool = False
    meta: Mapping[str, str] = field(default_factory=dict)
    """The optional names, as they came."""

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> ChunkForm:
        """Checks the fields. Raises ApiError (400)."""
        room, stamp, seq = (_short(fields, name) for name in ("roomId", "timestamp", "seq"))
        if not (room and stamp and seq):
            missing = next(name for name in ("roomId", "timestamp", "seq") if not fields.get(name))
            raise ApiError(400, f"{missing} is missing.", param=missing)
        if not (seq.isascii() and seq.isdigit() and int(seq) <= MAX_SEQ):
            raise ApiError(400, "seq must be a whole number from 0.", param="seq")
        if not _is_time(stamp):
            raise ApiError(
                400, "timestamp must be a number (Unix time) or an ISO 8601 date and time.", param="timestamp"
            )
        names = ("clientId", "role", "source", "producerId", "trackId", "channel")
        meta = {name: value for name in names if (value := _short(fields, name))}
        channel = meta.get("channel", "").lower()
        if channel and channel != MIXED_CHANNEL and channel not in CHANNEL_INDEXES:
            raise ApiError(400, f"channel must be {', '.join(CHANNEL_INDEXES)} or {MIXED_CHANNEL}.", param="channel")
        return cls(
            room=room,
            seq=int(seq),
            timestamp=stamp,
            source=meta.get("source"),
            hint=_short(fields, "context_hint", MAX_PROMPT_CHARACTERS),
            role=meta.get("role"),
            channel=CHANNEL_INDEXES.get(channel),
            mixed=channel == MIXED_CHANNEL,
            meta=meta,
        )

    @property
    def chunk_id(self) -> str:
        """How the answer names it."""
        return f"{self.room}_{self.seq}"

    @property
    def key(self) -> tuple[str, int, str | None]:
        """The same for a chunk that is sent again."""
        return self.room, self.seq, self.source

    def role_of(self, channel: int) -> str | None:
        """Who speaks on a channel: `role` names one speaker, or with commas one per channel."""
        roles = [role.strip() for role in (self.role or "").split(",")]
        return (roles[channel] if channel < len(roles) else roles[0] if len(roles) == 1 else None) or None


class AnswerCache:
    """The answers of the last chunks: one that is sent again, because its answer got lost, gets it again.

    Args:
        max_answers: How many are kept; the oldest goes.
    """

    def __init__(self, max_answers: int = 4096) -> None:
        self._max_answers = max_answers
        self._answers: OrderedDict[tuple[str, int, str | None], dict[str, Any]] = OrderedDict()

    def find(self, form: ChunkForm) -> dict[str, Any] | None:
        """The answer that this chunk had."""
        return self._answers.get(form.key)

    def keep(self, form: ChunkForm, answer: dict[str, Any]) -> None:
        """Remembers it."""
        self._answers[form.key] = answer
        if len(self._answers) > self._max_answers:
            self._answers.popitem(last=False)

    def state(self, room: str) -> dict[str, int | None]:
        """How many chunks of a room are remembered, and the highest number among them."""
        numbers = [seq for at, seq, _ in self._answers if at == room]
        return {"chunks": len(numbers), "last_seq": max(numbers, default=None)}


def requested_language(fields: Mapping[str, str], known: frozenset[str]) -> str | None:
    """The language, None to have it found. Raises ApiError (400) for one that the model does not know.

    A model of one language hears that one whatever is asked for, on the socket too.
    """
    given = (_short(fields, "language") or "").lower()
    if len(known) == 1:
        return next(iter(known))
    if given and given not in known:
        raise ApiError(400, f"language: the model does not know {given!a}.", param="language")
    return given or None


def _short(fields: Mapping[str, str], name: str, longest: int = MAX_FIELD_CHARACTERS) -> str | None:
    value = fields.get(name) or None
    if value and len(value) > longest:
        raise ApiError(400, f"{name} is longer than {longest} characters.", param=name)
    return value


def _flag(fields: Mapping[str, str], name: str) -> bool:
    value = (fields.get(name) or "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise ApiError(400, f"{name} must be true or false.", param=name)
    return value in ("true", "1")


def _check_temperature(value: str) -> None:
    """It is accepted for the sake of clients: decoding here is always the same for the same audio."""
    try:
        if 0 <= float(value) <= 1:
            return
    except ValueError:
        pass
    raise ApiError(400, "temperature must be a number from 0 to 1.", param="temperature")


def _is_time(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        pass
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
