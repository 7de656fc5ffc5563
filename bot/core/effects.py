"""Effects: what the control plane tells the runner to do. Every value is frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from bot.core.orders import Order
from bot.core.requests import SpeechSettings
from common.contracts.events import BotState
from common.contracts.health import Hearing
from common.contracts.segments import Source
from common.contracts.status import State, SubCode


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """Publish a lifecycle change: once per change, the terminal one exactly once."""

    status: State
    code: SubCode | None = None
    detail: str = ""
    stage: State | None = None
    """For terminal ones: the state in which the meeting ended."""
    evidence: tuple[str, ...] = ()
    """Paths of files that show what went wrong."""


@dataclass(frozen=True, slots=True)
class ReportHealth:
    """Something about hearing changed: say it in the log and on the status stream within seconds."""

    subject: str
    """What it is about, as docs/redis.md lists it: `room`, `redis`, …; `gap:…` is news and no state."""
    healthy: bool
    detail: str
    hearing: Hearing | None = None
    """What a track or the room is like; None: not about hearing."""


@dataclass(frozen=True, slots=True)
class StartSession:
    """Meeting time zero is now: open the time base and announce `session_start`."""


@dataclass(frozen=True, slots=True)
class PublishText:
    """Publish what somebody wrote, or what captions say that somebody said; cleaned, and within its bounds."""

    source: Source
    speaker_id: str
    speaker: str
    text: str = field(repr=False)
    start: float
    """Monotonic seconds."""
    end: float


@dataclass(frozen=True, slots=True)
class CloseTrack:
    """The track will bring no more audio: end its utterance now."""

    track_id: str


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """Later utterances are transcribed like this; what is being said goes on as it began."""

    speech: SpeechSettings


@dataclass(frozen=True, slots=True)
class PauseHearing:
    """End what is being said and let no more audio out of the bot, or listen again."""

    paused: bool


@dataclass(frozen=True, slots=True)
class AnswerCommand:
    """Say what became of a command."""

    action: str
    accepted: bool
    detail: str
    command_id: int | str | None = None
    state: BotState | None = None
    """How things are now, where that was asked or has changed."""


@dataclass(frozen=True, slots=True)
class GiveOrder:
    """Hand an order to the platform."""

    order: Order
    answer: AnswerCommand | None = None
    """Owed to whoever asked for it; refused if the platform's queue is full."""


@dataclass(frozen=True, slots=True)
class FollowFloor:
    """These people hold the floor of the meeting's mixed tracks from now on."""

    participant_ids: frozenset[str]
    at: float


@dataclass(frozen=True, slots=True)
class LogOddity:
    """Something came that nobody here knows: a bug, to be logged; the meeting goes on."""

    what: str


@dataclass(frozen=True, slots=True)
class LeaveMeeting:
    """Tell the platform to leave; `PlatformEnded` follows."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Everything is said: flush, say the terminal status, exit with the code's exit status."""

    code: SubCode
    detail: str = ""


Effect: TypeAlias = (
    ReportStatus
    | ReportHealth
    | StartSession
    | PublishText
    | CloseTrack
    | Reconfigure
    | PauseHearing
    | AnswerCommand
    | GiveOrder
    | FollowFloor
    | LogOddity
    | LeaveMeeting
    | Finish
)
