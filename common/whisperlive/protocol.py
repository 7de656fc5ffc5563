"""The WhisperLive wire format, both sides, without I/O: messages in, events out; methods return what to send.

Stock clients (whisper-live 0.10 and its older fork) work against `ServerProtocol`, and `ClientProtocol` works against
stock servers. What goes beyond them is negotiated: the client's first message may ask for `extensions`, the ready
message answers with the ones granted, and nothing changes for a peer that does not ask.

Extensions: `int16` (binary frames are little-endian int16), `utterance` (the client says where an utterance ends),
`ack` (the server says up to which sample everything is decided), `resume` (the sample clock starts where an earlier
connection stopped), `segment_id`, `segment_language` (those keys in every segment), `stable_len` (how many characters
of a partial's text will not change), `doubtful` (which finals the model may have got wrong).

The sample clock counts mono samples at 16 kHz since the first one of the connection, or from `resume.sample` on.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.whisperlive.events import (
    Acked,
    Audio,
    ClientEvent,
    Disconnected,
    EndOfAudio,
    LanguageDetected,
    Opened,
    Ready,
    Refused,
    Segments,
    ServerEvent,
    UtteranceEnd,
    Wait,
    Warned,
)
from common.whisperlive.fields import ProtocolError, index, json_object, number, sequence, text
from common.whisperlive.messages import (
    AUDIO_FORMATS,
    SAMPLE_RATE,
    Handshake,
    Resume,
    Samples,
    WireSegment,
    WireWord,
    read_samples,
)

__all__ = [
    "BACKEND",
    "END_OF_AUDIO",
    "EXTENSIONS",
    "FORK_CONTROL_TYPES",
    "MAX_BAD_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "SAMPLE_RATE",
    "Acked",
    "Audio",
    "ClientEvent",
    "ClientProtocol",
    "Disconnected",
    "EndOfAudio",
    "Handshake",
    "LanguageDetected",
    "Opened",
    "ProtocolError",
    "Ready",
    "Refused",
    "Resume",
    "Samples",
    "Segments",
    "ServerEvent",
    "ServerProtocol",
    "UtteranceEnd",
    "Wait",
    "Warned",
    "WireSegment",
    "WireWord",
]

END_OF_AUDIO = b"END_OF_AUDIO"
MAX_MESSAGE_BYTES = 1 << 20
"""The largest message a stock peer accepts."""
MAX_BAD_MESSAGES = 10
"""Malformed messages after the handshake before a server gives a client up (close code 1008)."""
EXTENSIONS = frozenset(
    {"int16", "utterance", "ack", "resume", "segment_id", "segment_language", "stable_len", "doubtful"}
)
BACKEND = "faster_whisper"
"""What the ready message must say: a stock client records no completed segment otherwise."""
FORK_CONTROL_TYPES = ("speaker_activity", "audio_chunk_metadata", "session_control")
"""Control messages that bots of the older fork send; nothing here depends on them."""


class ClientProtocol:
    """The client's side of one connection."""

    def __init__(self, handshake: Handshake) -> None:
        self.handshake = handshake
        self.granted: frozenset[str] = frozenset()
        self.ready = False
        self.clock_start = 0
        """The index of the first sample sent, known once ready (0 unless `resume` was granted)."""
        self.sent_until = 0
        """The index of the next sample to send."""

    def hello(self) -> str:
        """The first message to send."""
        return self.handshake.serialise()

    def receive(self, message: str | bytes) -> list[ClientEvent]:
        """Reads one message of the server. Messages for another uid, and unknown ones, give nothing.

        Raises:
            ProtocolError: the message is malformed; it changed nothing.
        """
        if isinstance(message, bytes):
            raise ProtocolError("the server sent a binary message")
        data = json_object(message, "server message")
        if data.get("uid") not in (None, "", self.handshake.uid):
            return []
        if "status" in data:
            return _status(data)
        events: list[ClientEvent] = []
        if data.get("message") == "SERVER_READY":
            events.append(self._ready(data))
        elif data.get("message") == "DISCONNECT":
            events.append(Disconnected())
        if "language" in data:
            events.append(LanguageDetected(text(data["language"]), number(data.get("language_prob", 0.0))))
        if "segments" in data and (segments := tuple(WireSegment.parse(s) for s in sequence(data["segments"]))):
            events.append(Segments(segments))
        if "acked" in data:
            events.append(Acked(index(data["acked"])))
        return events

    def audio(self, samples: Samples) -> bytes:
        """The binary frame for int16 samples, shape (n,); only once ready."""
        if not self.ready:
            raise RuntimeError("audio before the server is ready")
        self.sent_until += len(samples)
        if "int16" in self.granted:
            return samples.astype("<i2").tobytes()
        return (samples.astype("<f4") / np.float32(32768)).tobytes()

    def end_utterance(self, sample: int) -> str:
        """Says that everything before `sample` belongs to closed utterances; only with `utterance` granted."""
        if "utterance" not in self.granted:
            raise RuntimeError("the server did not grant `utterance`: a text frame would break a stock server")
        return json.dumps({"utterance": "end", "sample": sample})

    def end_of_audio(self) -> bytes:
        """The last message: a server with a tail to decode sends it, then closes."""
        return END_OF_AUDIO

    def _ready(self, data: Mapping[str, Any]) -> Ready:
        extensions = frozenset(text(name) for name in sequence(data.get("extensions", [])))
        backend = text(data.get("backend", BACKEND))
        if not self.ready:
            self.ready, self.granted = True, extensions & self.handshake.extensions
            if "resume" in self.granted and self.handshake.resume:
                self.clock_start = self.sent_until = self.handshake.resume.sample
        return Ready(backend, self.granted)


def _status(data: Mapping[str, Any]) -> list[ClientEvent]:
    match data["status"]:
        case "WAIT":
            return [Wait(number(data.get("message")))]
        case "ERROR":
            return [Refused(text(data.get("message", "")))]
        case "WARNING":
            return [Warned(text(data.get("message", "")))]
    return []  # among them the older fork's SERVER_READY, which the other form always follows


class ServerProtocol:
    """The server's side of one connection."""

    def __init__(self, offered: frozenset[str] = EXTENSIONS) -> None:
        self._offered = offered
        self.handshake: Handshake | None = None
        """The client's first message, once it came."""
        self._format = AUDIO_FORMATS["float32"]
        self._ended = False
        self._bad_messages = 0
        self._refused_uid = ""
        self._closed_until = 0
        self._history: deque[WireSegment] = deque(maxlen=0)  # at most 100 completed segments; the oldest goes
        self._last_partial = ""
        self.granted: frozenset[str] = frozenset()
        self.clock_start = 0
        self.received_until = 0
        """The index of the next sample to come."""

    @property
    def uid(self) -> str:
        """The client's uid, empty before the handshake and if a malformed one names none."""
        return self.handshake.uid if self.handshake else self._refused_uid

    def receive(self, message: str | bytes) -> list[ServerEvent]:
        """Reads one message of the client; after END_OF_AUDIO everything is ignored.

        Raises:
            ProtocolError: malformed. Not fatal: the message is dropped (its samples count as silence) and the
                client should be told with `warn`. Fatal: say it with `refuse` and close with code 1008.
        """
        if self._ended:
            return []
        if self.handshake is None:
            try:
                return [self._open(Handshake.parse(message))]
            except ProtocolError as error:
                self._refused_uid = error.uid
                raise
        try:
            return self._control(message) if isinstance(message, str) else self._binary(message)
        except ProtocolError as error:
            self._bad_messages += 1
            if self._bad_messages >= MAX_BAD_MESSAGES:
                raise ProtocolError(f"{error} This was malformed message {self._bad_messages}.", fatal=True) from None
            raise

    def ready(self) -> list[str]:
        """Both ready forms: the older fork's clients wait for the first, stock clients for the second."""
        message: dict[str, Any] = {"message": "SERVER_READY", "backend": BACKEND}
        if self.handshake and self.handshake.extensions:
            message["extensions"] = sorted(self.granted)
        return [self._message(status="SERVER_READY"), self._message(**message)]

    def segments(self, segments: Sequence[WireSegment]) -> list[str]:
        """The messages for new text: completed segments in order, then at most one partial.

        A client that knows `segment_id` gets them as they are. A stock client also gets its last completed ones again,
        and each completed text once as a partial before (its subtitle writer would otherwise add the last partial).
        """
        if not segments:
            return []
        dressed = [self._dress(segment) for segment in segments]
        if "segment_id" in self.granted:
            return [self._message(segments=[segment.to_wire() for segment in dressed])]
        messages = []
        for segment in dressed:
            if segment.text != self._last_partial or not segment.completed:
                messages.append(self._history_and(replace(segment, completed=False)))
                self._last_partial = segment.text
            if segment.completed:
                messages.append(self._history_and(segment))
                self._history.append(segment)
                self._last_partial = ""
        return messages

    def acked(self, sample: int) -> list[str]:
        """Everything before `sample` is decided. Nothing for a client without `ack`."""
        return [self._message(acked=sample)] if "ack" in self.granted else []

    def language(self, language: str, probability: float) -> str:
        """The language detected."""
        return self._message(language=language, language_prob=round(probability, 3))

    def wait(self, minutes: float) -> str:
        """The server is full; close after it."""
        return self._message(status="WAIT", message=minutes)

    def refuse(self, reason: str) -> str:
        """The connection cannot go on; close after it."""
        return self._message(status="ERROR", message=reason)

    def warn(self, reason: str) -> str:
        """A message was dropped; the connection goes on."""
        return self._message(status="WARNING", message=reason)

    def disconnect(self) -> str:
        """The server ends the connection; close after it with code 1000."""
        return self._message(message="DISCONNECT")

    @property
    def _is_fork(self) -> bool:
        """The client speaks the older fork's dialect: nobody else says which platform it is on."""
        return bool(self.handshake and self.handshake.platform)

    def _open(self, handshake: Handshake) -> Opened:
        self.handshake = handshake
        self.granted = handshake.extensions & self._offered
        self._format = AUDIO_FORMATS["int16" if "int16" in self.granted else handshake.audio_format]
        if "resume" in self.granted and handshake.resume:
            self.clock_start = self.received_until = self._closed_until = handshake.resume.sample
        self._history = deque(maxlen=handshake.send_last_n_segments)
        return Opened(handshake)

    def _binary(self, message: bytes) -> list[ServerEvent]:
        if message == END_OF_AUDIO:
            self._ended = True
            return [EndOfAudio()]
        first_sample = self.received_until
        self.received_until += len(message) // self._format.itemsize
        samples = read_samples(message, self._format)
        return [Audio(first_sample, samples)] if len(samples) else []

    def _control(self, message: str) -> list[ServerEvent]:
        if "utterance" not in self.granted and not self._is_fork:
            raise ProtocolError("Text after the first message means nothing here: audio is binary frames.")
        data = json_object(message, "control message")
        if data.get("type") in FORK_CONTROL_TYPES:
            return []
        if "utterance" not in self.granted or data.get("utterance") != "end":
            raise ProtocolError('Unknown control message. Known: {"utterance": "end", "sample": N}, if granted.')
        sample = index(data.get("sample"))
        if not self._closed_until <= sample <= self.received_until:
            raise ProtocolError(
                f"sample: {sample} is outside {self._closed_until}…{self.received_until}, "
                "the audio sent and not yet closed."
            )
        self._closed_until = sample
        return [UtteranceEnd(sample)]

    def _dress(self, segment: WireSegment) -> WireSegment:
        """Only what was granted or asked for goes out, and the language to the older fork's clients."""
        return replace(
            segment,
            segment_id=segment.segment_id if "segment_id" in self.granted else None,
            language=segment.language if "segment_language" in self.granted or self._is_fork else None,
            words=segment.words if self.handshake and self.handshake.word_timestamps else None,
            stable_len=segment.stable_len if "stable_len" in self.granted else None,
            doubtful=segment.doubtful and "doubtful" in self.granted,
        )

    def _history_and(self, segment: WireSegment) -> str:
        return self._message(segments=[s.to_wire() for s in (*self._history, segment)])

    def _message(self, **content: Any) -> str:
        return json.dumps({"uid": self.uid, **content})
