"""Keys and channels in Redis: each name that parts share, in one table."""

from __future__ import annotations

SEGMENT_STREAM = "transcription_segments"
"""Stream: finals and session marks of every meeting, field `payload`."""

SPEAKER_STREAM = "speaker_events_relative"
"""Stream: who began and ended speaking, flat fields, for collectors that take names from nowhere else."""


def segment_sequence(connection_id: str) -> str:
    """The number of the last entry that a bot stored in `SEGMENT_STREAM` (same hash slot)."""
    return f"{{{SEGMENT_STREAM}}}:seq:{connection_id}"


def segment_fence(connection_id: str) -> str:
    """Which bot of this `connectionId` may store in `SEGMENT_STREAM`: the last that began (same hash slot)."""
    return f"{{{SEGMENT_STREAM}}}:fence:{connection_id}"


def meeting_zero(connection_id: str) -> str:
    """When the meeting began for a bot, Unix seconds as text: what its times and ids count from (same hash slot)."""
    return f"{{{SEGMENT_STREAM}}}:zero:{connection_id}"


def status_stream(connection_id: str) -> str:
    """Stream: what happens to a bot, field `payload`."""
    return f"earshot:status:{connection_id}"


def status_sequence(connection_id: str) -> str:
    """The number of the last entry that a bot stored in its status stream (same hash slot)."""
    return f"{{{status_stream(connection_id)}}}:seq"


def status_fence(connection_id: str) -> str:
    """Which bot may store in the status stream, likewise (same hash slot)."""
    return f"{{{status_stream(connection_id)}}}:fence"


def lock(connection_id: str) -> str:
    """Held by the one bot of this `connectionId`."""
    return f"earshot:lock:{connection_id}"


def heartbeat(connection_id: str) -> str:
    """Renewed while the bot lives."""
    return f"earshot:bot:{connection_id}"


def leases(name: str) -> tuple[str, ...]:
    """Of what all bots share a number of: who has one until when, by which token, for what; who waits since when, and
    until when they count as waiting; what those left behind who died (one hash slot)."""
    return tuple(
        f"{{earshot:lease:{name}}}:{part}" for part in ("until", "token", "for", "waiting", "patience", "left")
    )


def live_channel(meeting_id: int | str) -> str:
    """Pub/sub: partials and finals of a meeting as they come."""
    return f"tc:meeting:{meeting_id}:mutable"


def command_channels(connection_id: str, meeting_id: int | str) -> tuple[str, str]:
    """Pub/sub: commands to one bot, and to every bot in a meeting."""
    return f"bot_commands:{connection_id}", f"bot_commands:meeting:{meeting_id}"
