"""Events of a WhisperLive connection: what a client hears of its server, and what a server hears of its client."""

from __future__ import annotations

from dataclasses import dataclass

from common.whisperlive.messages import Handshake, Samples, WireSegment


@dataclass(frozen=True, slots=True)
class Ready:
    """The server takes audio now."""

    backend: str
    extensions: frozenset[str] = frozenset()
    """Granted; empty from a stock server."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Text. A stock server sends its last completed segments again every time."""

    segments: tuple[WireSegment, ...]


@dataclass(frozen=True, slots=True)
class Acked:
    """Everything before this sample is decided: its completed segments, if any, came before this."""

    sample: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The server is full and closes."""

    minutes: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The server will not serve this connection, and closes."""

    message: str


@dataclass(frozen=True, slots=True)
class Warned:
    """The server has something to say (a message it dropped, a backend it fell back to) and goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The server ends this connection; the client may open another."""


@dataclass(frozen=True, slots=True)
class LanguageDetected:
    """Once, when the server has made up its mind."""

    language: str
    probability: float


ClientEvent = Ready | Segments | Acked | Wait | Refused | Warned | Disconnected | LanguageDetected


@dataclass(frozen=True, slots=True)
class Opened:
    """The handshake is valid; answer with `ready`, `wait` or `refuse`."""

    handshake: Handshake


@dataclass(frozen=True, slots=True)
class Audio:
    """One frame: int16, shape (n,). A jump of `first_sample` is a frame that was malformed."""

    first_sample: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class UtteranceEnd:
    """Everything before this sample belongs to closed utterances."""

    sample: int


@dataclass(frozen=True, slots=True)
class EndOfAudio:
    """No more audio: flush and close."""


ServerEvent = Opened | Audio | UtteranceEnd | EndOfAudio
