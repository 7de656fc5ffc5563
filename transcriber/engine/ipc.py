"""Messages between the transcriber and its engine's process, and their frames on the socket between them.

A frame is four bytes of length and a pickle. Pickles run code: they are safe here because the only peer is the process
that the transcriber itself started, on a socket pair that nobody else holds. Neither side trusts the other with less.

    transcriber ─▶ engine    Settings, then BatchRequest …
    engine ─▶ transcriber    EngineReady or EngineUnusable, then for each BatchRequest, in any order, a BatchResult or
                             BatchFailure; EngineBroken instead where nothing can be decoded any more
"""

from __future__ import annotations

import pickle
import struct
from asyncio import StreamReader
from dataclasses import dataclass
from typing import Any, BinaryIO

from transcriber.core.windows import Hypothesis, Window

_LENGTH_HEADER = struct.Struct(">I")
_PICKLE_PROTOCOL = 5
"""Pickle's: arrays go in as one copy of their bytes."""


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine is warm."""

    name: str
    languages: frozenset[str]
    batch: int
    full_batch: int
    longest_window: float
    fetching: float
    """Seconds of the start that went into fetching the model: the next one has it."""
    short: float
    """Seconds that the warm-up's call with a second of audio took."""
    full: float
    """The same for a full window, decoded carefully."""


@dataclass(frozen=True, slots=True)
class EngineUnusable:
    """There will be no engine: why, for people."""

    problem: str


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Windows to decode in one call."""

    number: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """One hypothesis per window of a request."""

    number: int
    hypotheses: list[Hypothesis]


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """What the engine raised over a request, without the text in it."""

    number: int
    problem: str


@dataclass(frozen=True, slots=True)
class EngineBroken:
    """What the engine raised over a request, and again over as much silence: it is of no use any more."""

    problem: str


def pack(message: object) -> bytes:
    """A frame."""
    body = pickle.dumps(message, _PICKLE_PROTOCOL)
    return _LENGTH_HEADER.pack(len(body)) + body


def read(stream: BinaryIO) -> Any:
    """The next message; None at the end, also in the middle of a frame."""
    header = stream.read(_LENGTH_HEADER.size)
    if len(header) < _LENGTH_HEADER.size:
        return None
    body = stream.read(length := _LENGTH_HEADER.unpack(header)[0])
    return pickle.loads(body) if len(body) == length else None


async def receive(reader: StreamReader) -> Any:
    """The next message. Raises IncompleteReadError at the end, and OSError."""
    [length] = _LENGTH_HEADER.unpack(await reader.readexactly(_LENGTH_HEADER.size))
    return pickle.loads(await reader.readexactly(length))
