"""States of a bot, and why it ended: one closed table of sub-codes, each with its exit code and what to do about it.

The table is the documentation: `docs/exit-codes.md` is generated from it. Codes may be added, never removed or renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Lifecycle states as the status wire spells them."""

    JOINING = "joining"
    AWAITING_ADMISSION = "awaiting_admission"
    NEEDS_HELP = "needs_help"
    ACTIVE = "active"
    COMPLETED = "completed"
    FAILED = "failed"


ENDS = frozenset({State.COMPLETED, State.FAILED})
"""States that no other follows."""


class SubCode(StrEnum):
    """The public reason of an end, as it appears in status events and logs."""

    LEFT_BY_COMMAND = "left_by_command"
    MEETING_ENDED = "meeting_ended"
    LEFT_ALONE = "left_alone"
    ONLY_BOTS_LEFT = "only_bots_left"
    STARTUP_ALONE = "startup_alone"
    SILENCE_TIMEOUT = "silence_timeout"
    LEAVE_TIMEOUT = "leave_timeout"
    MAX_DURATION = "max_duration"
    INTERNAL_ERROR = "internal_error"
    NOT_STORED = "not_stored"
    CONFIG_INVALID = "config_invalid"
    CONFIG_UNREADABLE = "config_unreadable"
    REDIS_UNREACHABLE = "redis_unreachable"
    TRANSCRIBER_UNREACHABLE = "transcriber_unreachable"
    TRANSCRIBER_REFUSED = "transcriber_refused"
    NOT_A_TRANSCRIBER = "not_a_transcriber"
    CALLBACK_UNREACHABLE = "callback_unreachable"
    ROOM_UNREACHABLE = "room_unreachable"
    TOKEN_REFUSED = "token_refused"
    TOKEN_EXPIRED = "token_expired"
    JOIN_REFUSED = "join_refused"
    JOIN_TIMEOUT = "join_timeout"
    LOBBY_TIMEOUT = "lobby_timeout"
    NEEDS_HELP_TIMEOUT = "needs_help_timeout"
    MEETING_NOT_FOUND = "meeting_not_found"
    MEETING_NOT_STARTED = "meeting_not_started"
    MEETING_FULL = "meeting_full"
    PASSCODE_REFUSED = "passcode_refused"
    AUTH_REQUIRED = "auth_required"
    CAPTCHA = "captcha"
    BOTS_NOT_ALLOWED = "bots_not_allowed"
    ENCRYPTED = "encrypted"
    NOT_INSTALLED = "not_installed"
    BROWSER_UNAVAILABLE = "browser_unavailable"
    PORT_TAKEN = "port_taken"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    EGRESS_UNAVAILABLE = "egress_unavailable"
    DUPLICATE_BOT = "duplicate_bot"
    REMOVED = "removed"
    DUPLICATE_IDENTITY = "duplicate_identity"
    CONNECTION_LOST = "connection_lost"
    BROWSER_CRASHED = "browser_crashed"
    TRANSCRIBER_MUTE = "transcriber_mute"
    INTERRUPTED = "interrupted"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of the table."""

    exit_code: int
    completed: bool
    """True: the terminal status is `completed`, else `failed`."""
    means: str
    remedy: str


MEANINGS: dict[SubCode, Meaning] = {
    SubCode.LEFT_BY_COMMAND: Meaning(0, True, "A `leave` command arrived.", "Nothing to do."),
    SubCode.MEETING_ENDED: Meaning(0, True, "The meeting was ended for everyone.", "Nothing to do."),
    SubCode.LEFT_ALONE: Meaning(0, True, "Everyone else left.", "See `automaticLeave.everyoneLeftTimeout`."),
    SubCode.ONLY_BOTS_LEFT: Meaning(
        0, True, "Everyone else but bots left.", "See `automaticLeave.onlyBotsLeftTimeout` and `botNames`."
    ),
    SubCode.STARTUP_ALONE: Meaning(0, True, "Nobody joined.", "See `automaticLeave.noOneJoinedTimeout`."),
    SubCode.SILENCE_TIMEOUT: Meaning(
        0, True, "Everything could be heard, and nobody spoke.", "See `automaticLeave.silenceTimeout`."
    ),
    SubCode.LEAVE_TIMEOUT: Meaning(0, True, "The planned time is over.", "See `automaticLeave.timeout`."),
    SubCode.MAX_DURATION: Meaning(0, True, "The absolute cap on a meeting was reached.", "See `maxDurationMs`."),
    SubCode.INTERNAL_ERROR: Meaning(1, False, "A bug in the bot.", "Report it with the log of the run."),
    SubCode.NOT_STORED: Meaning(
        1, False, "Not everything could be stored at the end; the log says how much.", "Check Redis and the network."
    ),
    SubCode.CONFIG_INVALID: Meaning(2, False, "The configuration has errors; each is printed.", "`earshot validate`."),
    SubCode.CONFIG_UNREADABLE: Meaning(2, False, "No configuration, or not JSON.", "Pass `--config` or `BOT_CONFIG`."),
    SubCode.REDIS_UNREACHABLE: Meaning(
        3, False, "Redis did not answer at the start.", "Check `redisUrl`, the network."
    ),
    SubCode.TRANSCRIBER_UNREACHABLE: Meaning(
        3, False, "No transcriber answered at the start.", "Check `whisperLiveUrl` and the network."
    ),
    SubCode.TRANSCRIBER_REFUSED: Meaning(
        3, False, "The transcriber answered and refused us.", "Read its message in the log: key, model or version."
    ),
    SubCode.NOT_A_TRANSCRIBER: Meaning(
        3,
        False,
        "Something else answered in the transcriber's place: an HTTP server, a bridge, a websocket never ready.",
        "`whisperLiveUrl` must name the transcriber itself: `ws://host:9090`.",
    ),
    SubCode.CALLBACK_UNREACHABLE: Meaning(
        3, False, "The status callback could not be reached at the start.", "Check the callback URL and the network."
    ),
    SubCode.ROOM_UNREACHABLE: Meaning(4, False, "The meeting server did not answer.", "Check `meetingUrl`."),
    SubCode.TOKEN_REFUSED: Meaning(
        4, False, "The meeting server refused the token.", "Check key, secret and room of the token."
    ),
    SubCode.TOKEN_EXPIRED: Meaning(4, False, "The room token has expired.", "Mint a new one."),
    SubCode.JOIN_REFUSED: Meaning(4, False, "We were refused entry.", "Ask the host to admit the bot."),
    SubCode.JOIN_TIMEOUT: Meaning(4, False, "Joining took too long.", "Check the network to the meeting server."),
    SubCode.LOBBY_TIMEOUT: Meaning(
        4, False, "Nobody admitted us from the lobby in time.", "See `automaticLeave.waitingRoomTimeout`."
    ),
    SubCode.NEEDS_HELP_TIMEOUT: Meaning(
        4, False, "A person was needed to go on, and nobody came in time.", "Look at the status `needs_help`."
    ),
    SubCode.MEETING_NOT_FOUND: Meaning(
        4, False, "There is no such meeting.", "Check `meetingUrl` or `nativeMeetingId`."
    ),
    SubCode.MEETING_NOT_STARTED: Meaning(
        4, False, "The meeting did not begin in time.", "Start the bot later; see `notStartedTimeout` of the platform."
    ),
    SubCode.MEETING_FULL: Meaning(4, False, "There is no room for us in the meeting.", "Ask the host."),
    SubCode.PASSCODE_REFUSED: Meaning(
        4, False, "The meeting has a passcode, and none was given or it is wrong.", "Check `passcode`."
    ),
    SubCode.AUTH_REQUIRED: Meaning(
        4, False, "The meeting lets in only those who are signed in.", "Sign the bot in: `earshot login`."
    ),
    SubCode.CAPTCHA: Meaning(
        4,
        False,
        "The page wanted proof that we are no robot, and nobody gave it.",
        "Sign the bot in: `earshot login`.",
    ),
    SubCode.BOTS_NOT_ALLOWED: Meaning(
        4, False, "The meeting lets no bots in through its web page.", "Ask the host; see the platform's guide."
    ),
    SubCode.ENCRYPTED: Meaning(
        4,
        False,
        "Everything in the meeting is end-to-end encrypted, and the bot has not its key.",
        "See the platform's guide.",
    ),
    SubCode.NOT_INSTALLED: Meaning(
        4, False, "A package that joining needs is not installed.", "Its message says what to install."
    ),
    SubCode.BROWSER_UNAVAILABLE: Meaning(
        4, False, "Chromium could not be started.", "Read its message in the log; see docs/browser.md."
    ),
    SubCode.PORT_TAKEN: Meaning(
        4, False, "A port to listen at is taken, or not ours to open.", "Give each bot ports of its own."
    ),
    SubCode.ENGINE_UNAVAILABLE: Meaning(
        4,
        False,
        "The program that is to decode is missing, or failed, and no other was to take its place.",
        "Install it, or allow the fallback; see the platform's guide.",
    ),
    SubCode.EGRESS_UNAVAILABLE: Meaning(
        4,
        False,
        "The meeting was to be heard as an egress, and there is none: refused, none free, or one without sound.",
        "Read the log and the guide of the platform, or let it choose: `mode` of its settings, `auto`.",
    ),
    SubCode.DUPLICATE_BOT: Meaning(
        4, False, "Another bot with this `connectionId` is running.", "Use a new `connectionId` per bot."
    ),
    SubCode.REMOVED: Meaning(5, False, "The host removed the bot.", "Nothing to do; it does not come back by itself."),
    SubCode.DUPLICATE_IDENTITY: Meaning(
        5, False, "Somebody joined with the bot's identity.", "Give each bot its own identity."
    ),
    SubCode.CONNECTION_LOST: Meaning(
        6, False, "The connection to the meeting was lost for good.", "Check the network; start a new bot."
    ),
    SubCode.BROWSER_CRASHED: Meaning(
        6, False, "Chromium, or the meeting's page, died again and again.", "Give the bot more memory; see the log."
    ),
    SubCode.TRANSCRIBER_MUTE: Meaning(
        6,
        False,
        "Speech was sent, and no transcriber ever answered.",
        "Check what `whisperLiveUrl` names, and its log; see `whisperLiveMuteTimeoutMs`.",
    ),
    SubCode.INTERRUPTED: Meaning(130, True, "SIGINT (Ctrl-C).", "Nothing to do."),
    SubCode.TERMINATED: Meaning(143, True, "SIGTERM (`docker stop`).", "Nothing to do."),
}
