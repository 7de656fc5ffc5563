"""Generations of bot managers: which one started the bot, and what each understands, accepts and answers.

Three wires are in use, and the callback that a configuration names says which: `botManagerCallbackUrl` is v0.6 (v0.9
too), `meetingApiCallbackUrl` v0.10 where it ends in `/exited`, else v0.12. docs/managers.md tabulates them for people.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from common.contracts.json_values import read_object
from common.contracts.status import ENDS, MEANINGS, State, SubCode


class Generation(StrEnum):
    """A generation of managers, by the release that set its wire."""

    V6 = "v0.6"
    V10 = "v0.10"
    V12 = "v0.12"

    @property
    def knows_sources(self) -> bool:
        """Whether its collector tells what was written from what was said; the older ones take all for speech."""
        return self is Generation.V12


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Where status callbacks go, and in whose words."""

    generation: Generation
    url: str


def callback_target(bot_manager_url: str | None, meeting_api_url: str | None) -> CallbackTarget | None:
    """The wire that a configuration's two callback URLs ask for; the newer one counts. None: there are none."""
    if meeting_api_url is not None:
        generation = Generation.V10 if _path(meeting_api_url).endswith(_OLD_ROUTES) else Generation.V12
        return CallbackTarget(generation, _status_route(meeting_api_url))
    if bot_manager_url is not None:
        return CallbackTarget(Generation.V6, _status_route(bot_manager_url))
    return None


_OLD_ROUTES = ("/exited", "/status_change")


def _path(url: str) -> str:
    return url.partition("?")[0].rstrip("/")


def _status_route(url: str) -> str:
    """The older managers hand out their route for exits; the one that takes every status is beside it."""
    path, mark, query = url.partition("?")
    route = path.rstrip("/")
    return f"{route.removesuffix('/exited')}/status_change{mark}{query}" if route.endswith("/exited") else url


# --- what may follow what

_V6: dict[State | None, frozenset[State]] = {
    None: frozenset({State.JOINING}) | ENDS,
    State.JOINING: frozenset({State.AWAITING_ADMISSION}) | ENDS,
    State.AWAITING_ADMISSION: frozenset({State.ACTIVE}) | ENDS,
    State.ACTIVE: ENDS,
}
MOVES: dict[Generation, dict[State | None, frozenset[State]]] = {
    Generation.V6: _V6,
    Generation.V10: _V6
    | {
        State.JOINING: frozenset({State.AWAITING_ADMISSION, State.ACTIVE}) | ENDS,
        State.AWAITING_ADMISSION: frozenset({State.ACTIVE, State.NEEDS_HELP}) | ENDS,
        State.NEEDS_HELP: frozenset({State.ACTIVE}) | ENDS,
    },
    Generation.V12: {
        None: frozenset({State.JOINING}),
        State.JOINING: frozenset({State.AWAITING_ADMISSION, State.ACTIVE, State.FAILED}),
        State.AWAITING_ADMISSION: frozenset({State.ACTIVE, State.NEEDS_HELP, State.FAILED}),
        State.NEEDS_HELP: frozenset({State.ACTIVE, State.FAILED}),
        State.ACTIVE: ENDS,
    },
}
"""Generation → last state that the manager was told (None: nothing yet) → states that it takes next."""


def way(generation: Generation, told: State | None, to: State) -> list[State]:
    """The shortest legal way from what a manager was told; empty: it is told nothing, being there or having no way."""
    moves = MOVES[generation]
    waiting: deque[tuple[State | None, list[State]]] = deque([(told, [])])
    seen = {told}
    while waiting:
        state, path = waiting.popleft()
        if state is to:
            return path
        for following in State:  # in the order of a meeting, so that of two ways the same one is always taken
            if following in moves.get(state, ()) and following not in seen:
                seen.add(following)
                waiting.append((following, [*path, following]))
    return []


def spelled(generation: Generation, state: State) -> str:
    """A state in the manager's word."""
    return "needs_human_help" if (generation, state) == (Generation.V10, State.NEEDS_HELP) else state


# --- why it ended

_REASONS: dict[SubCode, str] = {
    SubCode.LEFT_ALONE: "left_alone",
    SubCode.ONLY_BOTS_LEFT: "left_alone",
    SubCode.STARTUP_ALONE: "startup_alone",
    SubCode.MAX_DURATION: "max_bot_time_exceeded",
    SubCode.REMOVED: "evicted",
    SubCode.DUPLICATE_IDENTITY: "evicted",
    SubCode.LOBBY_TIMEOUT: "awaiting_admission_timeout",
    SubCode.JOIN_REFUSED: "awaiting_admission_rejected",
    SubCode.CONFIG_INVALID: "validation_error",
    SubCode.CONFIG_UNREADABLE: "validation_error",
}
"""Sub-codes for which the managers have a word of their own. Without one a good end is `stopped`, a failure nothing."""
_OTHER_WORDS: dict[Generation, dict[str, str]] = {
    Generation.V6: {"startup_alone": "left_alone", "max_bot_time_exceeded": "stopped"},
    Generation.V10: {"startup_alone": "left_alone"},
    Generation.V12: {},
}
"""Words that a generation does not know (it answers 422, and its row stays as it was), and what comes closest."""
COMPLETION_REASONS: dict[Generation, frozenset[str]] = {
    Generation.V6: frozenset(
        {"stopped", "validation_error", "awaiting_admission_timeout", "awaiting_admission_rejected"}
        | {"left_alone", "evicted"}
    ),
}
COMPLETION_REASONS[Generation.V10] = COMPLETION_REASONS[Generation.V6] | {
    "max_bot_time_exceeded",
    "stopped_before_admission",
    "stopped_with_no_audio",
}
COMPLETION_REASONS[Generation.V12] = COMPLETION_REASONS[Generation.V6] | {
    "startup_alone",
    "join_failure",
    "auth_session_missing",
    "max_bot_time_exceeded",
}
"""Every word for a `completion_reason` that a generation takes."""


def ending(generation: Generation, code: SubCode, was_active: bool) -> tuple[State, str | None]:
    """An end in a manager's terms: state and `completion_reason` (None: it has no word for this failure).

    Args:
        generation: The manager's.
        code: Why the bot ended.
        was_active: Whether the manager was told that the bot is in the meeting.
    """
    state = State.COMPLETED if MEANINGS[code].completed else State.FAILED
    word = _REASONS.get(code, "stopped" if state is State.COMPLETED else None)
    reason = _OTHER_WORDS[generation].get(word or "", word)
    if generation is Generation.V6 and reason == "evicted":
        return State.COMPLETED, reason  # it keeps no reason of a failure
    if generation is Generation.V12 and not was_active:  # nothing is completed there that has not been active
        return State.FAILED, reason or "join_failure"
    return state, reason


# --- what it answers


class Verdict(StrEnum):
    """What became of a status that a manager was told."""

    TAKEN = "taken"
    LATER = "later"
    """It could not just now: worth another try for as long as there is time."""
    UNKNOWN = "unknown"
    """It knows no such bot, or not yet (it may write its row just now), or has been told already."""
    REFUSED = "refused"
    """Saying it again changes nothing."""


_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


def verdict(generation: Generation, code: int, body: bytes, sent: str) -> Verdict:
    """Reads an answer. Of these managers 200 proves nothing: what counts is the row's status in the body.

    Args:
        generation: The manager's.
        code: Of HTTP.
        body: Of the answer, as far as it was read.
        sent: The status as it was spelled.
    """
    if code >= 500 or code in _WORTH_ANOTHER_TRY:
        return Verdict.LATER
    if code == 404 and generation is Generation.V10:
        return Verdict.UNKNOWN
    if not 200 <= code < 300:
        return Verdict.REFUSED
    try:
        answer = read_object(body)
    except ValueError:  # somebody else's receiver, which says nothing
        return Verdict.TAKEN
    if answer.get("status") == "error":
        return Verdict.UNKNOWN
    if answer.get("status") == "ignored":  # somebody has stopped the bot there: only the end is still of interest
        return Verdict.TAKEN
    row = answer.get("status" if generation is Generation.V6 else "meeting_status", sent)
    return Verdict.TAKEN if row == sent else Verdict.REFUSED
