"""Orders: what a platform is told to do in the meeting, beside leaving it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class Speak:
    """Say this with our voice."""

    does: ClassVar[str] = "speak"
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendChat:
    """Write this into the meeting's chat."""

    does: ClassVar[str] = "write into the chat"
    message: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HearTracks:
    """Subscribe to exactly these tracks; None: to all that come."""

    track_ids: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Resubscribe:
    """Nothing is heard on this track: give it up and ask for it again."""

    track_id: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Nothing is heard at all: renew the connection; in the meeting we stay who and where we are."""


@dataclass(frozen=True, slots=True)
class Rejoin:
    """That did not help either: leave the meeting and come back under the same identity."""


Asked: TypeAlias = Speak | SendChat
"""Those that somebody may ask for; `does` stands in the answer where the platform cannot."""
Order: TypeAlias = Asked | HearTracks | Resubscribe | Reconnect | Rejoin
