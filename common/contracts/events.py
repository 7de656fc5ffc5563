"""Events of a bot's status stream: lifecycle changes and health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
        subject: `track:<id>`, `room`, `meeting`, `redis`, `transcriber`,
            `lanes`, or `gap:<track id>` (news, not a state).
        healthy: Whether it works now.
        detail: What happened, for people.
        timestamp: ISO 8601, UTC.
    """

    connection_id: str
    subject: str
    healthy: bool
    detail: str
    timestamp: str

    def as_json(self) -> dict[str, Any]:
        """The event as consumers read it."""
        return {
            "event": "health",
            "connection_id": self.connection_id,
            "subject": self.subject,
            "healthy": self.healthy,
            "detail": self.detail,
            "timestamp": self.timestamp,
        }


def parse_event(payload: str | bytes) -> StatusEvent | HealthEvent:
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
                evidence=_texts(optional(value, "evidence", list) or []),
                not_stored=count(value, "not_stored") if "not_stored" in value else 0,
            )
        case "health":
            return HealthEvent(
                connection_id=field(value, "connection_id", str),
                subject=field(value, "subject", str),
                healthy=field(value, "healthy", bool),
                detail=field(value, "detail", str),
                timestamp=moment(value, "timestamp"),
            )
    raise ValueError("event: status or health expected")


def _texts(values: list[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise ValueError("evidence: texts expected")
    return tuple(values)
