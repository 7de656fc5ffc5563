"""Health: what the bot and the transcriber say on their `/health`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.contracts.json_values import count, field, optional, read_object


@dataclass(frozen=True, slots=True)
class BotHealth:
    """Is this bot alive? A deaf one is: that it hears nothing is said on the status stream.

    Args:
        status: The lifecycle's state.
        links: Whether each neighbour is connected.
        audio_age: Seconds since the last audio of any track; None before the first.
        ready: Whether Redis and a transcriber have answered, so that it joins or has joined.
        loop_lag: By how many seconds the event loop was late, last time it was measured.
    """

    status: str
    links: Mapping[str, bool]
    audio_age: float | None
    ready: bool = True
    loop_lag: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The body."""
        age = None if self.audio_age is None else round(self.audio_age, 1)
        return {
            "status": self.status,
            "ready": self.ready,
            "links": dict(self.links),
            "seconds_since_audio": age,
            "loop_lag_s": round(self.loop_lag, 3),
        }


def parse_bot_health(body: str | bytes) -> BotHealth:
    """Reads the body. Raises ValueError."""
    value = read_object(body)
    links = field(value, "links", dict)
    return BotHealth(
        field(value, "status", str),
        {str(name): field(links, name, bool) for name in links},
        optional(value, "seconds_since_audio", float),
        ready=optional(value, "ready", bool) is not False,
        loop_lag=optional(value, "loop_lag_s", float) or 0.0,
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
