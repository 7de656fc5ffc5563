"""The vocabulary of the control plane: what can happen to a meeting. Read this first, then `bot.core.effects`.

Every value is frozen. Audio is not here: samples walk the audio plane (`bot.audio`), and only what they *say* about the
meeting (`AudioHeard`) becomes an event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Never, NoReturn, TypeAlias

from bot.core.requests import Request, SpeechSettings
from common.contracts.status import SubCode


class ParticipantKind(StrEnum):
    """Who counts as a person: only they get a lane and a vote in the leave rules."""

    PERSON = "person"
    SERVICE = "service"
    """Agents, egress, ingress and hidden participants."""


class TrackKind(StrEnum):
    """What is on a track."""

    VOICE = "voice"
    """A microphone, or the mix of several."""
    SCREEN = "screen"
    """The sound of what somebody shares: whoever speaks there is not the one who shares it."""


# --- from the platform


@dataclass(frozen=True, slots=True)
class LobbyEntered:
    """The room knows of us and has not let us in yet; after `Admitted`: it has put us back there."""


@dataclass(frozen=True, slots=True)
class HelpNeeded:
    """A person has to do something before we can go on: a captcha, a login, a consent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """We are inside. The first one is meeting time zero; a later one follows a rejoin and keeps it."""


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    participant_id: str
    """The platform's stable identity; `speaker_id` of the segments."""
    name: str
    """Display name as the platform gives it; the roster cleans it."""
    kind: ParticipantKind = ParticipantKind.PERSON


@dataclass(frozen=True, slots=True)
class ParticipantRenamed:
    participant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    participant_id: str


@dataclass(frozen=True, slots=True)
class TrackOpened:
    """There is an audio track, which is owed to be heard from now on. Participants may have several.

    An id that is open already is that of another track now.
    """

    track_id: str
    participant_id: str | None
    """Whose it is; None: a mix of several, told apart by `ActiveSpeakers`."""
    kind: TrackKind = TrackKind.VOICE
    by_turns: bool = False
    """A stream for whoever speaks, theirs for now: its silence is that of a mix."""


@dataclass(frozen=True, slots=True)
class TrackEncrypted:
    """An open track is end-to-end encrypted, and we have not its key: nothing is heard on it unless that changes."""

    track_id: str


@dataclass(frozen=True, slots=True)
class TrackMuted:
    track_id: str


@dataclass(frozen=True, slots=True)
class TrackUnmuted:
    track_id: str


@dataclass(frozen=True, slots=True)
class TrackClosed:
    track_id: str


@dataclass(frozen=True, slots=True)
class TransportLost:
    """The connection to the room broke; the platform is trying to come back by itself."""


@dataclass(frozen=True, slots=True)
class TransportBack:
    """The connection to the room is back, with the participants it reports next. Through a lobby: `Admitted`."""


@dataclass(frozen=True, slots=True)
class ActiveSpeakers:
    """Who is speaking, as the platform shows it, from this moment until the next such event, but not for long without
    one (`bot.audio.floor`): a platform says it twice a second."""

    participant_ids: frozenset[str]
    at: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class PeopleCounted:
    """How many people are there beside us, from a platform that counts them and does not name each one."""

    people: int


@dataclass(frozen=True, slots=True)
class ChatReceived:
    """Somebody wrote into the meeting's chat."""

    participant_id: str | None
    name: str
    message: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CaptionHeard:
    """The platform's own captions say what somebody said: words that are final, each of them once."""

    participant_id: str | None
    name: str
    caption: str = field(repr=False)
    start: float
    """Monotonic seconds: when its first word was shown; captions come a second or two after what was said."""
    end: float
    """... its last one."""


PlatformEvent: TypeAlias = (
    LobbyEntered
    | HelpNeeded
    | Admitted
    | ParticipantJoined
    | ParticipantRenamed
    | ParticipantLeft
    | TrackOpened
    | TrackEncrypted
    | TrackMuted
    | TrackUnmuted
    | TrackClosed
    | TransportLost
    | TransportBack
    | ActiveSpeakers
    | PeopleCounted
    | ChatReceived
    | CaptionHeard
)


# --- from the rest of the bot

MIX_TRACK = "mix"
"""Id of the bot's own mix of all tracks (`audio.mode: mixed`), and `speaker_id` of what nobody in particular said."""


@dataclass(frozen=True, slots=True)
class AudioHeard:
    """What one track sounded like since the last report (about one a second per track)."""

    track_id: str
    samples: int
    """16 kHz samples received."""
    level_dbfs: float
    """RMS level of them; -inf for digital zeros."""
    speech: bool
    """The speech gate was open at some point."""
    frames: int = 0
    """Pieces in which they came."""
    gated: int = 0
    """Samples that the speech gate let through."""
    sent: int = 0
    """Samples that went on a lane to the transcriber."""
    clear: int = 0
    """Samples that were speech beyond doubt, of utterances of clear speech that were sent to their end."""


@dataclass(frozen=True, slots=True)
class TextHeard:
    """The transcriber said something about the speech of this speaker (or of a mixed track), a partial or a final."""

    speaker_id: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class UtteranceDecided:
    """The transcriber has no open question about an utterance of this speaker, whether it had words or not."""

    speaker_id: str
    samples: int
    """How long it was."""
    is_assumed: bool = False
    """No transcriber has ever answered: it had its time to say something, and that is all that is known."""


@dataclass(frozen=True, slots=True)
class PlatformEnded:
    """The platform adapter is done: it left, the meeting ended, we were removed, or it failed."""

    code: SubCode
    detail: str = ""
    evidence: tuple[str, ...] = ()
    """Paths of files that show what went wrong, such as a screenshot."""


@dataclass(frozen=True, slots=True)
class BotFailed:
    """Something of ours failed for good: a bug in a task, or Redis says that another bot has taken over."""

    code: SubCode
    detail: str


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """One message of the `bot_commands:*` channels."""

    action: str
    """As it was sent, for the answer."""
    request: Request
    command_id: int | str | None = None
    """The sender's own id, for the answer."""


@dataclass(frozen=True, slots=True)
class StopRequested:
    """SIGINT or SIGTERM."""

    code: SubCode


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link to a neighbour (`redis`, `transcriber`, `callback`) came up or broke; `outbox`: there is room, or none."""

    link: str
    up: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SpeechSettled:
    """These settings are in use: changed ones, which a transcriber took, or the old ones, because none did."""

    speech: SpeechSettings
    accepted: bool
    detail: str


Event: TypeAlias = (
    PlatformEvent
    | SpeechSettled
    | AudioHeard
    | TextHeard
    | UtteranceDecided
    | PlatformEnded
    | BotFailed
    | CommandReceived
    | StopRequested
    | LinkChanged
)


class Unhandled(Exception):
    """No branch of a `match` knows the value: a bug of ours."""


def unhandled(value: Never) -> NoReturn:
    """The last branch of a `match` that must be complete: mypy refuses one that is not.

    Raises:
        Unhandled: Unlike `assert_never`, for the one who can say so and go on: it must not end a meeting.
    """
    raise Unhandled(f"{type(value).__name__} is not handled")
