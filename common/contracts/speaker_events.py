"""Speaker events: who spoke when, for collectors (v0.6, v0.9) that take a segment's speaker from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from common.contracts.json_values import as_utf8, field

SpeakerEventType: TypeAlias = Literal["SPEAKER_START", "SPEAKER_END"]


@dataclass(frozen=True, slots=True)
class SpeakerEvent:
    """Somebody began or ended speaking.

    Args:
        uid: The bot's session, as its segments name it.
        event_type: Which of both.
        at_ms: Milliseconds since the session's start.
        name: Display name; what the collector shows.
        participant_id: What beginning and end are paired by.
    """

    uid: str
    event_type: SpeakerEventType
    at_ms: int
    name: str
    participant_id: str

    def fields(self) -> dict[str, str]:
        """The entry: flat fields, not JSON."""
        return {
            "uid": self.uid,
            "relative_client_timestamp_ms": str(self.at_ms),
            "event_type": self.event_type,
            "participant_name": as_utf8(self.name),
            "participant_id_meet": as_utf8(self.participant_id),
        }


def parse_speaker_event(fields: Mapping[str, str]) -> SpeakerEvent:
    """Reads an entry. Raises ValueError."""
    kind, at = field(fields, "event_type", str), field(fields, "relative_client_timestamp_ms", str)
    if kind not in ("SPEAKER_START", "SPEAKER_END"):
        raise ValueError("event_type: SPEAKER_START or SPEAKER_END expected")
    if not (at.isascii() and at.isdecimal()):
        raise ValueError("relative_client_timestamp_ms: milliseconds expected")
    return SpeakerEvent(
        uid=field(fields, "uid", str),
        event_type=cast(SpeakerEventType, kind),
        at_ms=int(at),
        name=field(fields, "participant_name", str),
        participant_id=fields.get("participant_id_meet", ""),
    )
