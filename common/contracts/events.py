"""Events of a bot's status stream: lifecycle changes, health, and answers to commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from common.contracts.health import Hearing
from common.contracts.json_values import count, field, identity, member, moment, optional, read_object
from common.contracts.status import MEANINGS, State, SubCode


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """The lifecycle has moved.

    Args:
        connection_id: The bot.
        meeting_id: As configured: number or text.
        container_name: As configured.
        status: Where the lifecycle is now.
        timestamp: ISO 8601, UTC.
        detail: What happened, for people.
        code: Why it ended; None: it has not.
        stage: For terminal ones: the state in which the meeting ended.
        evidence: Paths of files that show what went wrong.
        not_stored: Entries that the end could not store.
    """

    connection_id: str
    meeting_id: int | str
    container_name: str | None
    status: State
    timestamp: str
    detail: str = ""
    code: SubCode | None = None
    stage: State | None = None
    evidence: tuple[str, ...] = ()
    not_stored: int = 0

    def as_json(self) -> dict[str, Any]:
        """The event as consumers read it; what an end has is left out of others."""
        value: dict[str, Any] = {
            "event": "status",
            "connection_id": self.connection_id,
            "meeting_id": self.meeting_id,
            "container_name": self.container_name,
            "status": self.status,
            "timestamp": self.timestamp,
        }
        if self.code is not None:
            value |= {"code": self.code, "exit_code": MEANINGS[self.code].exit_code, "stage": self.stage}
        if self.code is not None or self.detail:
            value["detail"] = self.detail
        if self.evidence:
            value["evidence"] = list(self.evidence)
        if self.not_stored:
            value["not_stored"] = self.not_stored
        return value


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """Something about hearing has changed.

    Args:
        connection_id: The bot.
        subject: What it is about, as docs/redis.md lists it: `room`, `redis`, …; `gap:…` is news and no state.
        healthy: Whether it works now.
        detail: What happened, for people.
        timestamp: ISO 8601, UTC.
        hearing: Of a track or the room: what it is like to the bot's ears; None: not about hearing.
    """

    connection_id: str
    subject: str
    healthy: bool
    detail: str
    timestamp: str
    hearing: Hearing | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as consumers read it."""
        value: dict[str, Any] = {
            "event": "health",
            "connection_id": self.connection_id,
            "subject": self.subject,
            "healthy": self.healthy,
            "detail": self.detail,
            "timestamp": self.timestamp,
        }
        return value if self.hearing is None else value | {"hearing": self.hearing}


@dataclass(frozen=True, slots=True)
class BotState:
    """How things are with a bot.

    Args:
        status: Where the lifecycle is.
        hearing: What the room is like to the bot's ears.
        paused: It was asked not to listen.
        people: Who is there beside it, bots among them.
        language: Of the speech; None: the transcriber detects it.
        task: `transcribe` or `translate`.
        allowed_languages: Languages to detect; empty: all.
    """

    status: State
    hearing: Hearing
    paused: bool
    people: int
    language: str | None
    task: str
    allowed_languages: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The state as consumers read it."""
        return asdict(self) | {"allowed_languages": list(self.allowed_languages)}


def _parse_state(value: Mapping[str, Any]) -> BotState:
    return BotState(
        status=member(value, "status", State),
        hearing=member(value, "hearing", Hearing),
        paused=field(value, "paused", bool),
        people=count(value, "people"),
        language=optional(value, "language", str),
        task=field(value, "task", str),
        allowed_languages=_texts(value, "allowed_languages"),
    )


@dataclass(frozen=True, slots=True)
class CommandEvent:
    """What became of a command.

    Args:
        connection_id: The bot.
        action: As it was sent; empty: the message was no command.
        accepted: Whether it is, or will be, carried out.
        detail: What follows from it, or why not; for people.
        timestamp: ISO 8601, UTC.
        command_id: The command's `id`, a text or a number, if it had one.
        state: How things are, if that was asked or has changed.
    """

    connection_id: str
    action: str
    accepted: bool
    detail: str
    timestamp: str
    command_id: int | str | None = None
    state: BotState | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as consumers read it."""
        value: dict[str, Any] = {
            "event": "command",
            "connection_id": self.connection_id,
            "action": self.action,
            "accepted": self.accepted,
            "detail": self.detail,
            "timestamp": self.timestamp,
        }
        if self.command_id is not None:
            value["id"] = self.command_id
        if self.state is not None:
            value["state"] = self.state.as_json()
        return value


def parse_event(payload: str | bytes) -> StatusEvent | HealthEvent | CommandEvent:
    """Reads an entry of a status stream; unknown keys are ignored. Raises ValueError."""
    value = read_object(payload)
    match value.get("event"):
        case "status":
            is_end = "code" in value
            code = member(value, "code", SubCode) if is_end else None
            if code and count(value, "exit_code") != MEANINGS[code].exit_code:
                raise ValueError(f"exit_code: {MEANINGS[code].exit_code} expected, that of {code}")
            return StatusEvent(
                connection_id=field(value, "connection_id", str),
                meeting_id=identity(value, "meeting_id"),
                container_name=optional(value, "container_name", str),
                status=member(value, "status", State),
                timestamp=moment(value, "timestamp"),
                detail=optional(value, "detail", str) or "",
                code=code,
                stage=member(value, "stage", State) if value.get("stage") is not None else None,
                evidence=_texts(value, "evidence"),
                not_stored=count(value, "not_stored") if "not_stored" in value else 0,
            )
        case "health":
            return HealthEvent(
                connection_id=field(value, "connection_id", str),
                subject=field(value, "subject", str),
                healthy=field(value, "healthy", bool),
                detail=field(value, "detail", str),
                timestamp=moment(value, "timestamp"),
                hearing=member(value, "hearing", Hearing) if value.get("hearing") is not None else None,
            )
        case "command":
            return CommandEvent(
                connection_id=field(value, "connection_id", str),
                action=field(value, "action", str),
                accepted=field(value, "accepted", bool),
                detail=field(value, "detail", str),
                timestamp=moment(value, "timestamp"),
                command_id=identity(value, "id") if value.get("id") is not None else None,
                state=_parse_state(field(value, "state", dict)) if value.get("state") is not None else None,
            )
    raise ValueError("event: status, health or command expected")


def _texts(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = optional(value, key, list) or []
    if not all(isinstance(text, str) for text in found):
        raise ValueError(f"{key}: texts expected")
    return tuple(found)
