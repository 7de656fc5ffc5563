"""Upload requests over HTTP: the form fields of the routes, checked, and the answers to chunks that come twice."""

from __future__ import annotations

import json
import math
import re
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.contracts.languages import LANGUAGE_FORMS, language_code

RESPONSE_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
CHANNEL_INDEXES = {"0": 0, "left": 0, "1": 1, "right": 1}
"""What a single channel is called, and its index."""
MIXED_CHANNEL = "mixed"
MAX_PROMPT_CHARACTERS = 4000
"""Of a prompt, of which the engine keeps the end, and of a hint."""
MAX_FIELD_CHARACTERS = 200
"""Of any other field."""
MAX_SEQ = 2**63 - 1
MAX_ANSWERS, MAX_ANSWERS_BYTES = 4096, 32 << 20
"""Of chunks that are remembered; an hour of talk has 0.15 MB."""
HINTED_NAMES = ("role", "source", "peer")
"""What `context_hint` may say about a chunk."""
_HINT_PATTERN = re.compile(r"(\w+) *[=:] *([^,;&|\n]*?) *(?=[,;&|\n]|$| \w+ *[=:])")


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
    """`POST /v1/audio/transcriptions` and `/v1/audio/translations`, without the file."""

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
        """Checks the fields. Raises ApiError (400, 404)."""
        model = fields.get("model")
        if not model:
            raise ApiError(400, "model is missing: the name of the served model, or whisper-1.", param="model")
        if model not in models:
            raise ApiError(
                404,
                f"The model {model[:MAX_FIELD_CHARACTERS]!a} does not exist here: use whisper-1 for the one that does.",
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
        hinted = _hinted(_short(fields, "context_hint", MAX_PROMPT_CHARACTERS) or "")
        names = ("clientId", "role", "source", "peer", "producerId", "trackId", "channel")
        meta = {name: value for name in names if (value := _short(fields, name) or hinted.get(name))}
        channel = meta.get("channel", "").lower()
        if channel and channel != MIXED_CHANNEL and channel not in CHANNEL_INDEXES:
            raise ApiError(400, f"channel must be {', '.join(CHANNEL_INDEXES)} or {MIXED_CHANNEL}.", param="channel")
        return cls(
            room=room,
            seq=int(seq),
            timestamp=stamp,
            role=meta.get("role"),
            channel=CHANNEL_INDEXES.get(channel),
            mixed=channel == MIXED_CHANNEL,
            meta=meta,
        )

    @property
    def chunk_id(self) -> str:
        """How the answer names it."""
        return f"{self.room}_{self.seq}"

    def key(self, audio: bytes) -> tuple[str, ...]:
        """The same for a chunk that is sent again, and for no other. `audio`: a hash of the file."""
        names = ("source", "clientId", "producerId", "trackId", "channel")
        return (self.room, str(self.seq), audio.hex(), *(self.meta.get(name, "") for name in names))

    def role_of(self, channel: int) -> str | None:
        """Who speaks on a channel: `role` names one speaker, or with commas one per channel."""
        roles = [role.strip() for role in (self.role or "").split(",")]
        return (roles[channel] if channel < len(roles) else roles[0] if len(roles) == 1 else None) or None


class AnswerCache:
    """The answers of the last chunks: one that is sent again, because its answer got lost, gets it again.

    Args:
        max_answers: How many are kept; the oldest goes.
        max_bytes: Of all of them, written as JSON; the oldest goes.
    """

    def __init__(self, max_answers: int = MAX_ANSWERS, max_bytes: int = MAX_ANSWERS_BYTES) -> None:
        self._max_answers = max_answers
        self._max_bytes = max_bytes
        self._answers: OrderedDict[tuple[str, ...], tuple[ChunkForm, bytes]] = OrderedDict()
        self._size = 0

    def find(self, key: tuple[str, ...]) -> dict[str, Any] | None:
        """The answer that this chunk had."""
        known = self._answers.get(key)
        answer: dict[str, Any] | None = json.loads(known[1]) if known else None
        return answer

    def keep(self, key: tuple[str, ...], form: ChunkForm, answer: dict[str, Any]) -> None:
        """Remembers it, written: as objects it would take four times as much."""
        written = json.dumps(answer, ensure_ascii=False).encode()
        _, before = self._answers.pop(key, (form, b""))
        self._answers[key] = form, written
        self._size += len(written) - len(before)
        while len(self._answers) > self._max_answers or self._size > self._max_bytes:
            _, (_, oldest) = self._answers.popitem(last=False)
            self._size -= len(oldest)

    def state(self, room: str) -> dict[str, int | None]:
        """How many chunks of a room are remembered, and the highest number among them."""
        numbers = [form.seq for form, _ in self._answers.values() if form.room == room]
        return {"chunks": len(numbers), "last_seq": max(numbers, default=None)}


def requested_language(fields: Mapping[str, str], known: frozenset[str]) -> str | None:
    """The language, None to have it found. Raises ApiError (400) for one that the model does not know.

    A model of one language hears that one whatever is asked for, on the socket too.
    """
    given = _short(fields, "language")
    if len(known) == 1:
        return next(iter(known))
    code = language_code(given) if given else None
    if given and code not in known:
        problem = f"the model does not know {given!a}" if code else f"{given!a} is not {LANGUAGE_FORMS}"
        raise ApiError(400, f"language: {problem}; without this field it is found.", param="language")
    return code


def _short(fields: Mapping[str, str], name: str, longest: int = MAX_FIELD_CHARACTERS) -> str | None:
    value = fields.get(name) or None
    if value and len(value) > longest:
        raise ApiError(400, f"{name} is longer than {longest} characters.", param=name)
    return value


def _hinted(hint: str) -> dict[str, str]:
    """What a hint says: a JSON object, or `name=value` and `name: value`, one after another."""
    try:
        given = json.loads(hint)
    except (ValueError, RecursionError):
        given = dict(_HINT_PATTERN.findall(hint))
    if not isinstance(given, dict):
        return {}
    said = {name: given[name].strip() for name in HINTED_NAMES if isinstance(given.get(name), str)}
    return {name: value for name, value in said.items() if len(value) <= MAX_FIELD_CHARACTERS}


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
