"""Health: what the bot and the transcriber say on their `/health`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from dataclasses import field as attribute
from enum import StrEnum
from typing import Any

from common.contracts.json_values import count, field, member, optional, read_object

ZEROS_DBFS = -999.0
"""Stands in JSON, which has no infinity, for the level of digital zeros."""


class Hearing(StrEnum):
    """What a track, or the room as a whole, is like to the bot's ears; from the packets to the text."""

    NO_TRACKS = "no_tracks"
    """Nobody has an audio track."""
    MUTED = "muted"
    """Every track is muted."""
    PAUSED = "paused"
    """The bot was asked not to listen."""
    NO_PACKETS = "no_packets"
    """A track is open and nothing comes."""
    ZEROS = "zeros"
    """What comes is digital silence: a broken capture, a proxy, a microphone switched off in hardware."""
    ENCRYPTED = "encrypted"
    """It is end-to-end encrypted, and the bot has not its key."""
    NO_TRANSCRIBER = "no_transcriber"
    """There is sound and no transcriber to send it to."""
    NO_TEXT = "no_text"
    """Speech was sent and nothing comes back."""
    SILENT = "silent"
    """There is sound, and nobody speaks."""
    OK = "ok"

    @property
    def is_deaf(self) -> bool:
        """Whether somebody may be speaking and no text comes of it."""
        return self not in (Hearing.OK, Hearing.SILENT, Hearing.MUTED, Hearing.PAUSED)


@dataclass(slots=True)
class TrackCounters:
    """What has gone through one track so far, stage by stage; samples are of 16 kHz.

    Args:
        frames: Pieces of audio that the platform handed over.
        decoded: Samples in them.
        level_dbfs: RMS level of the last second of them; -999 for digital zeros.
        gated: Samples that the speech gate let through.
        sent: Samples that went on a lane to the transcriber.
        acknowledged: Samples about which the transcriber has decided.
        segments: Finals that came of them.
    """

    frames: int = 0
    decoded: int = 0
    level_dbfs: float = ZEROS_DBFS
    gated: int = 0
    sent: int = 0
    acknowledged: int = 0
    segments: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counters as consumers read them."""
        return asdict(self) | {"level_dbfs": round(self.level_dbfs, 1)}


def parse_track_counters(value: Mapping[str, Any]) -> TrackCounters:
    """Reads counters. Raises ValueError."""
    names = [item.name for item in fields(TrackCounters) if item.name != "level_dbfs"]
    return TrackCounters(**{name: count(value, name) for name in names}, level_dbfs=field(value, "level_dbfs", float))


@dataclass(frozen=True, slots=True)
class BotHealth:
    """Is this bot alive? A deaf one is: that it hears nothing is said on the status stream too.

    Args:
        status: The lifecycle's state.
        links: Whether each neighbour is connected.
        audio_age: Seconds since the last audio of any track; None before the first.
        ready: Whether Redis and a transcriber have answered, so that it joins or has joined.
        loop_lag: By how many seconds the event loop was late, last time it was measured.
        hearing: What the room is like to the bot's ears.
        tracks: What has gone through each open track.
    """

    status: str
    links: Mapping[str, bool]
    audio_age: float | None
    ready: bool = True
    loop_lag: float = 0.0
    hearing: Hearing = Hearing.NO_TRACKS
    tracks: Mapping[str, TrackCounters] = attribute(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The body."""
        age = None if self.audio_age is None else round(self.audio_age, 1)
        return {
            "status": self.status,
            "ready": self.ready,
            "links": dict(self.links),
            "seconds_since_audio": age,
            "loop_lag_s": round(self.loop_lag, 3),
            "hearing": self.hearing,
            "tracks": {track_id: counters.as_json() for track_id, counters in self.tracks.items()},
        }


def parse_bot_health(body: str | bytes) -> BotHealth:
    """Reads the body. Raises ValueError."""
    value = read_object(body)
    links, tracks = field(value, "links", dict), field(value, "tracks", dict)
    return BotHealth(
        field(value, "status", str),
        {str(name): field(links, name, bool) for name in links},
        optional(value, "seconds_since_audio", float),
        ready=optional(value, "ready", bool) is not False,
        loop_lag=optional(value, "loop_lag_s", float) or 0.0,
        hearing=member(value, "hearing", Hearing),
        tracks={str(track_id): parse_track_counters(field(tracks, track_id, dict)) for track_id in tracks},
    )


@dataclass(frozen=True, slots=True)
class TranscriberHealth:
    """Do results come back?

    Args:
        status: `ok`, `starting`, `draining`, `restarting`, `stalled` or `failing`.
        backend: The engine.
        model: Its model.
        clients: Connections being served.
        max_clients: More are told to wait.
        last_decode_s: Age of the last result, seconds.
        waiting: Streams with a pass due.
        oldest_wait_s: How long the oldest live pass has been due, seconds.
        unanswered_s: For how long the engine was asked and gave no result, seconds.
        engine: `up` or `restarting`.
        restarts: Engines replaced so far.
        level: Of load shedding; 0: none.
    """

    status: str
    backend: str
    model: str
    clients: int
    max_clients: int
    last_decode_s: float | None
    waiting: int
    oldest_wait_s: float
    engine: str
    restarts: int
    level: int
    unanswered_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The body."""
        last = None if self.last_decode_s is None else round(self.last_decode_s, 1)
        return {
            "status": self.status,
            "backend": self.backend,
            "model": self.model,
            "clients": self.clients,
            "max_clients": self.max_clients,
            "last_decode_s": last,
            "waiting": self.waiting,
            "oldest_wait_s": round(self.oldest_wait_s, 1),
            "engine": self.engine,
            "restarts": self.restarts,
            "level": self.level,
            "unanswered_s": round(self.unanswered_s, 1),
        }


def parse_transcriber_health(body: str | bytes) -> TranscriberHealth:
    """Reads the body. Raises ValueError."""
    value = read_object(body)
    return TranscriberHealth(
        status=field(value, "status", str),
        backend=field(value, "backend", str),
        model=field(value, "model", str),
        clients=count(value, "clients"),
        max_clients=count(value, "max_clients"),
        last_decode_s=optional(value, "last_decode_s", float),
        waiting=count(value, "waiting"),
        oldest_wait_s=field(value, "oldest_wait_s", float),
        engine=field(value, "engine", str),
        restarts=count(value, "restarts"),
        level=count(value, "level"),
        unanswered_s=optional(value, "unanswered_s", float) or 0.0,
    )
