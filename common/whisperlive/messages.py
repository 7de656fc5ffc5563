"""WhisperLive messages: the handshake and the segment, read and written with every value checked.

Part of the wire format of `common/whisperlive/protocol.py`; pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from common.audio.pcm import SAMPLE_RATE as SAMPLE_RATE
from common.contracts.languages import LANGUAGE_FORMS, language_code
from common.whisperlive.fields import (
    ProtocolError,
    flag,
    index,
    json_object,
    mapping,
    number,
    seconds,
    sequence,
    shown,
    text,
    wrong,
    wrong_setting,
)

MAX_HISTORY_SEGMENTS = 100
"""The most completed segments that a client may have sent again."""
VAD_OPTIONS = frozenset(
    {"threshold", "neg_threshold", "onset", "offset", "min_speech_duration_ms", "max_speech_duration_s"}
    | {"min_silence_duration_ms", "speech_pad_ms"}
)
"""Keys of `vad_parameters`: today's and, with onset and offset, the older ones."""
AUDIO_FORMATS: Mapping[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "int16": np.dtype("<i2"),
    "uint8": np.dtype("u1"),
}
MAX_TEXT_CHARACTERS = 1000
"""Characters of a text and elements of a list in the first message that are kept: a prompt of a megabyte would be work
for each pass, and models take about a hundred tokens."""
MAX_AMPLITUDE = 100.0
"""Float samples beyond this are not audio (full scale is 1.0), most likely int16 read as float32."""
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Resume:
    """Where an earlier connection stopped."""

    uid: str
    sample: int


@dataclass(frozen=True, slots=True)
class Handshake:
    """The first message of a connection, a JSON object in a text frame. A key that is null counts as absent."""

    uid: str
    language: str | None = None
    """None: to be detected."""
    task: str = "transcribe"
    model: str | None = None
    use_vad: bool = True
    send_last_n_segments: int = 10
    no_speech_thresh: float = 0.45
    clip_audio: bool = False
    same_output_threshold: int = 10
    enable_translation: bool = False
    target_language: str = "fr"
    hotwords: str | None = field(default=None, repr=False)
    initial_prompt: str | None = field(default=None, repr=False)
    vad_parameters: Mapping[str, float] | None = None
    word_timestamps: bool = False
    enable_diarization: bool = False
    max_speakers: int = 10
    audio_format: str = "float32"
    extensions: frozenset[str] = frozenset()
    allowed_languages: frozenset[str] = frozenset()
    """The only ones that may be detected; empty: any. Stock servers ignore it."""
    resume: Resume | None = None
    platform: str | None = None
    """This and the next four: the older fork, which requires the first four."""
    meeting_url: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    meeting_id: str | int | None = None
    transcription_tier: str | None = None

    @classmethod
    def parse(cls, message: str | bytes) -> Handshake:
        """Reads a client's first message.

        Raises:
            ProtocolError: (fatal) naming every wrong key.
        """
        if isinstance(message, bytes):
            raise ProtocolError("The first message must be a JSON object in a text frame, not binary.", fatal=True)
        try:
            data = json_object(message, "first message")
        except ProtocolError as error:
            raise ProtocolError(str(error), fatal=True) from None
        values: dict[str, Any] = {}
        problems = []
        for key, read in _HANDSHAKE_KEYS.items():
            if data.get(key) is None:
                continue
            try:
                values[key] = read(data[key])
            except ProtocolError as error:
                problems.append(f"{key}: {error}")
        if data.get("uid") is None:
            problems.append("uid: missing (any text that is unique to this connection)")
        if problems:
            raise ProtocolError("Invalid first message. " + "; ".join(problems), fatal=True, uid=values.get("uid", ""))
        return cls(**values)

    def serialise(self) -> str:
        """The text frame to send. Keys that stock clients do not send appear only when set."""
        message = {key: getattr(self, key) for key in _STOCK_KEYS}
        message |= {key: value for key in _FORK_KEYS if (value := getattr(self, key)) is not None}
        if self.audio_format != "float32":
            message["audio_format"] = self.audio_format
        if self.extensions:
            message["extensions"] = sorted(self.extensions)
        if self.allowed_languages:
            message["allowed_languages"] = sorted(self.allowed_languages)
        if self.resume:
            message["resume"] = {"uid": self.resume.uid, "sample": self.resume.sample}
        return json.dumps(message)


@dataclass(frozen=True, slots=True)
class WireWord:
    """One word with its times in seconds."""

    word: str
    start: float
    end: float
    probability: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """The JSON object."""
        times = {"start": f"{self.start:.3f}", "end": f"{self.end:.3f}"}
        return {"word": self.word, **times, "probability": round(self.probability, 3)}


@dataclass(frozen=True, slots=True)
class WireSegment:
    """One stretch of text. Times are seconds on the connection's clock; strings with 3 decimals on the wire."""

    start: float
    end: float
    text: str
    """With its leading space: stock clients merge equal neighbours that have none."""
    completed: bool
    segment_id: str | None = None
    language: str | None = None
    words: tuple[WireWord, ...] | None = None
    stable_len: int | None = None
    """Of a partial: so many characters of the text will not change."""
    doubtful: bool = False
    """Of a final: the model went astray each time it was asked, and this is the best of what it said."""

    @classmethod
    def parse(cls, data: object) -> WireSegment:
        """Reads one element of `segments`; unknown keys are fine. Raises ProtocolError."""
        segment = mapping(data)
        start = seconds(segment.get("start"))
        end = max(start, seconds(segment.get("end")))  # a starved whisper-live ends some 0.07 s before they start
        segment_id, language, words = (segment.get(key) for key in ("segment_id", "language", "words"))
        stable_len = segment.get("stable_len")
        return cls(
            start=start,
            end=end,
            text=text(segment.get("text")),
            completed=flag(segment.get("completed", False)),
            segment_id=None if segment_id is None else text(segment_id),
            language=None if language is None else language_code(text(language)),
            words=None if words is None else tuple(_word(word) for word in sequence(words)),
            stable_len=None if stable_len is None else index(stable_len),
            doubtful=flag(False if segment.get("doubtful") is None else segment["doubtful"]),
        )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object; keys that are None are left out."""
        wire: dict[str, Any] = {"start": f"{self.start:.3f}", "end": f"{self.end:.3f}"}
        wire |= {"text": self.text, "completed": self.completed}
        if self.words is not None:
            wire["words"] = [word.to_wire() for word in self.words]
        if self.segment_id is not None:
            wire["segment_id"] = self.segment_id
        if self.language is not None:
            wire["language"] = self.language
        if self.stable_len is not None:
            wire["stable_len"] = self.stable_len
        if self.doubtful:
            wire["doubtful"] = True
        return wire


def read_samples(frame: bytes, sample_format: np.dtype[Any]) -> Samples:
    """A binary frame as int16, shape (n,). Raises ProtocolError for odd lengths and values that are not audio."""
    if len(frame) % sample_format.itemsize:
        raise ProtocolError(f"A frame of {len(frame)} bytes is not a whole number of {sample_format.name} samples.")
    samples = np.frombuffer(frame, sample_format)
    if sample_format.kind == "f":
        if not (samples.max(initial=0) <= MAX_AMPLITUDE and samples.min(initial=0) >= -MAX_AMPLITUDE):  # NaN is neither
            raise ProtocolError("A frame holds NaN, infinity or absurd values: is it int16 sent as float32?")
        scaled = samples * np.float32(32768)
        return np.rint(scaled, out=scaled).clip(-32768, 32767, out=scaled).astype(np.int16)
    if sample_format.kind == "u":
        return (samples.astype(np.int16) - 128) << 8
    return samples.astype(np.int16)


def _word(value: object) -> WireWord:
    word = mapping(value)
    return WireWord(
        text(word.get("word")), seconds(word.get("start")), seconds(word.get("end")), number(word.get("probability", 0))
    )


def _name(value: object) -> str:
    name = text(value)
    return (
        name if 0 < len(name) <= 256 and name.isprintable() else wrong_setting(value, "1 to 256 printable characters")
    )


def _language(value: object) -> str | None:
    if text(value).lower() in ("", "auto"):
        return None
    return _code(value, LANGUAGE_FORMS + ", or null to have it found")


def _code(value: object, expected: str = LANGUAGE_FORMS) -> str:
    return language_code(text(value)) or wrong_setting(value, expected)


def _codes(value: object) -> frozenset[str]:
    return frozenset(_code(code) for code in sequence(value)[:MAX_TEXT_CHARACTERS])


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        return wrong_setting(value, "one of " + ", ".join(allowed))

    return read


def _whole(low: int, most: int) -> Callable[[object], int]:
    """More than we grant is cut to that, as stock servers set no limit."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value >= low:
            return min(value, most)
        return wrong(value, f"a whole number from {low} on")

    return read


def _share(value: object) -> float:
    result = number(value)
    return min(result, 1.0) if result >= 0 else wrong(value, "a number from 0 to 1")


def _vad_parameters(value: object) -> Mapping[str, float] | None:
    given = {key: setting for key, setting in mapping(value).items() if setting is not None}
    if given.get("max_speech_duration_s") == math.inf:  # no limit: the default of the model library
        del given["max_speech_duration_s"]
    if unknown := sorted(given.keys() - VAD_OPTIONS):
        raise ProtocolError(f"unknown {shown(', '.join(unknown))}; known: {', '.join(sorted(VAD_OPTIONS))}")
    return {key: seconds(setting) for key, setting in given.items()} or None


def _extensions(value: object) -> frozenset[str]:
    return frozenset(_start(name) for name in sequence(value)[:MAX_TEXT_CHARACTERS])


def _resume(value: object) -> Resume:
    resume = mapping(value)
    return Resume(_name(resume.get("uid")), index(resume.get("sample")))


def _meeting_id(value: object) -> str | int:
    return index(value) if isinstance(value, int) else _start(value)


def _start(value: object) -> str:
    return text(value)[:MAX_TEXT_CHARACTERS]


def _private(value: object) -> str:
    """Text that must not be quoted: errors are logged."""
    if not isinstance(value, str):
        raise ProtocolError("expected text")
    return value[:MAX_TEXT_CHARACTERS]


_FORK_KEYS: Mapping[str, Callable[[object], Any]] = {
    "platform": _start,
    "meeting_url": _private,
    "token": _private,
    "meeting_id": _meeting_id,
    "transcription_tier": _start,
}
_STOCK_KEYS: Mapping[str, Callable[[object], Any]] = {
    "uid": _name,
    "language": _language,
    "task": _one_of("transcribe", "translate"),
    "model": _start,
    "use_vad": flag,
    "send_last_n_segments": _whole(0, MAX_HISTORY_SEGMENTS),
    "no_speech_thresh": _share,
    "clip_audio": flag,
    "same_output_threshold": _whole(0, 1000),
    "enable_translation": flag,
    "target_language": _start,
    "hotwords": _private,
    "initial_prompt": _private,
    "vad_parameters": _vad_parameters,
    "word_timestamps": flag,
    "enable_diarization": flag,
    "max_speakers": _whole(1, 100),
}
_HANDSHAKE_KEYS: Mapping[str, Callable[[object], Any]] = {
    **_STOCK_KEYS,
    **_FORK_KEYS,
    "audio_format": _one_of(*AUDIO_FORMATS),
    "extensions": _extensions,
    "allowed_languages": _codes,
    "resume": _resume,
}
