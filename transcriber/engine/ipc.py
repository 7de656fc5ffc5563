"""What the transcriber and its engine's process say to each other, and how it lies on the socket between them.

A frame is four bytes of length and a pickle. Pickles run code: they are safe here because the only peer is the process
that the transcriber itself started, on a socket pair that nobody else holds. Neither side trusts the other with less.

    transcriber ─▶ engine    Settings, then Request …
    engine ─▶ transcriber    Ready or Unusable, then Result or Failure …, one for each Request, in any order
"""

from __future__ import annotations

import pickle
import struct
from asyncio import StreamReader
from dataclasses import dataclass
from typing import Any, BinaryIO

from transcriber.core.windows import Hypothesis, Window

_LENGTH = struct.Struct(">I")
_PROTOCOL = 5
"""Pickle's: arrays go in as one copy of their bytes."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine is warm."""

    name: str
    languages: frozenset[str]
    batch: int


@dataclass(frozen=True, slots=True)
class Unusable:
    """There will be no engine: why, for people."""

    problem: str


@dataclass(frozen=True, slots=True)
class Request:
    """Windows to decode in one call."""

    number: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One hypothesis per window of a request."""

    number: int
    hypotheses: list[Hypothesis]


@dataclass(frozen=True, slots=True)
class Failure:
    """What the engine raised over a request, without the text in it."""

    number: int
    problem: str


def pack(message: object) -> bytes:
    """A frame."""
    body = pickle.dumps(message, _PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def read(stream: BinaryIO) -> Any:
    """The next message; None at the end, also in the middle of a frame."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    body = stream.read(length := _LENGTH.unpack(header)[0])
    return pickle.loads(body) if len(body) == length else None


async def receive(reader: StreamReader) -> Any:
    """The next message. Raises IncompleteReadError at the end, and OSError."""
    [length] = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))
