"""The wire between a page and the bot: what `worker.js` sends, checked as anything of a stranger is.

Text is one JSON object with a `type`; binary is a header of 16 bytes and a payload: kind, level, track (int16),
sequence number (uint16), payload type, 0, timestamp or position (uint32), SSRC (uint32), all big-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

MAX_MESSAGE_BYTES = 256 * 1024
"""A room of 500 people as a probe tells of it. `worker.js` leaves out what is longer: it would end the connection."""
MAX_TRACKS = 64
"""Open at once in all frames of a page. Policy: later ones wait until others have ended, and that is said once."""

Number = Annotated[int, Field(ge=1, le=100_000)]
Player = Annotated[int, Field(ge=-32_768, le=-1)]
"""Of the mix of one of the page's contexts."""
Short = Annotated[str, StringConstraints(max_length=256)]
Attributes = Annotated[dict[Short, Short], Field(max_length=64)]
Element = Annotated[list[Attributes], Field(max_length=8)]

_HEADER = struct.Struct(">BBhHBxII")


class WireError(ValueError):
    """Not a message of `worker.js`."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Track(_Message):
    """A remote audio track is there."""

    type: Literal["track"]
    track: Number
    id: Short
    streams: list[Short] = Field(max_length=16)
    mid: Short | None = None
    element: Element = []
    frame: Annotated[str, StringConstraints(max_length=4096)] = ""


class Closed(_Message):
    """It is not any more."""

    type: Literal["closed"]
    track: Number | Player


class Taken(_Message):
    """The page takes the frames of a track for itself, to decrypt them."""

    type: Literal["taken"]
    track: Number


class Codec(_Message):
    """The frames of a track are not Opus."""

    type: Literal["codec"]
    track: Number
    codec: Short


class Sources(_Message):
    """The contributing sources of a track's packets changed."""

    type: Literal["sources"]
    track: Number
    sources: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(max_length=15)


class ElementFound(_Message):
    """The media element that plays a track was found."""

    type: Literal["element"]
    track: Number
    element: Element


class Receiving(_Message):
    """Tracks for which packets arrived since the last time, with the level that they say (0 to 1), if they do."""

    type: Literal["receiving"]
    tracks: dict[Number, float | None] = Field(max_length=MAX_TRACKS)


class Plays(_Message):
    """The page plays something through WebAudio."""

    type: Literal["plays"]


class Signal(_Message):
    """A probe says something."""

    type: Literal["signal"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    payload: Any = None


class Failed(_Message):
    """Something of ours in the page raised."""

    type: Literal["failed"]
    what: Short


class Beat(_Message):
    """The worker lives."""

    type: Literal["beat"]


Message = Track | Closed | Taken | Codec | Sources | ElementFound | Receiving | Plays | Signal | Failed | Beat
_MESSAGES: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


class Kind(IntEnum):
    """What a binary message carries."""

    OPUS = 0
    RED = 1
    PCM = 2


@dataclass(frozen=True, slots=True)
class Sound:
    """A binary message.

    Args:
        kind: What `payload` is: an Opus packet, a RED one, or int16 PCM (little-endian, 16 kHz mono).
        level: dB below full scale (RFC 6464), 0 to 127; None: the packet does not say.
        track: Number of the track in its frame; negative: a mix.
        sequence_number: Of the RTP packet.
        payload_type: Of the RTP packet.
        timestamp: Of the RTP packet; PCM: index of the first sample on its context's clock.
        ssrc: Of the RTP packet.
        payload: Not empty.
    """

    kind: Kind
    level: int | None
    track: int
    sequence_number: int
    payload_type: int
    timestamp: int
    ssrc: int
    payload: bytes


def read_message(text: str) -> Message:
    """One text message. Raises WireError."""
    try:
        return _MESSAGES.validate_json(text)
    except ValidationError as error:
        raise WireError(f"{error.error_count()} fields are wrong") from None


def read_sound(data: bytes) -> Sound:
    """One binary message. Raises WireError."""
    if len(data) <= _HEADER.size:
        raise WireError(f"a sound of {len(data)} bytes")
    kind, level, track, sequence_number, payload_type, timestamp, ssrc = _HEADER.unpack_from(data)
    payload = data[_HEADER.size :]
    if kind not in Kind.__members__.values() or track == 0 or (kind == Kind.PCM and len(payload) % 2):
        raise WireError("a sound of no known kind")
    return Sound(
        Kind(kind), None if level > 127 else level, track, sequence_number, payload_type & 127, timestamp, ssrc, payload
    )
