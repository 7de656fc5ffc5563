"""The flow through a page, from its door to the meeting and out again: looks in with `now`, what to do out.

At the door each step has a precondition (its control is there and free), an action, a proof and a bound on tries. What
the page says of itself counts once it has said it twice. What a person could solve is said to be so, and waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from bot.platforms.pages.look import Look, Spot
from bot.platforms.pages.stage import Stage
from common.contracts.status import SubCode

CONFIRM_S = 0.3
"""A stage counts when it was seen twice, so far apart: pages are rebuilt while they are looked at."""
ALARM_CONFIRM_S = 2.0
"""Likewise, for one that ends a meeting in which we were."""
PROOF_S = 2.0
"""An action has so long to show, then it is tried again."""
TRIES = 3
JOIN_S = 90.0
"""From the first look to the lobby, the meeting, or somebody's help."""
BLANK_S = 10.0
"""A page that has shown nothing at all that the pack knows is opened again, once: it may not have loaded."""
UNKNOWN_S = 20.0
"""Nothing that the pack knows, or a door that does not open: then a person has to look at it."""
GONE_S = 12.0
"""Inside, and nothing proves any more that we are: then we come back by ourselves."""
RECONNECT_S = 60.0
"""The page tries to get its connection back: then likewise."""
BLOCKED_PAUSE_S = 5.0
BLOCKED_TRIES = 2
"""Pages that say without a reason that we cannot join are opened again, so often."""
HELP_S = 120.0
"""Somebody is needed, and nobody can see the page: a challenge may still go away by itself."""
NOT_STARTED_S = 240.0
"""A meeting that has not begun is waited for."""
WAKE_S = 4.0
"""Toolbars hide from a pointer that does not move."""
REJOINS = 3
REJOINS_WINDOW_S = 600.0


@dataclass(frozen=True, slots=True)
class Click:
    """Click the control."""

    control: str
    spot: Spot


@dataclass(frozen=True, slots=True)
class Fill:
    """Type into the field, in place of what is in it."""

    control: str
    spot: Spot
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wake:
    """Move the pointer over the page."""


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open the meeting's page again."""


@dataclass(frozen=True, slots=True)
class InLobby:
    """Say so: we wait for somebody to let us in."""


@dataclass(frozen=True, slots=True)
class Inside:
    """Say so: we are in the meeting, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Say so: the connection to the meeting is gone, and on its way back."""


@dataclass(frozen=True, slots=True)
class Help:
    """Say so: a person has to do something."""

    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """It is over for us."""

    code: SubCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Worth a line in the log."""

    what: str
    control: str


Do: TypeAlias = Click | Fill | Wake | Reopen | InLobby | Inside | Lost | Help | Over | Note


@dataclass(frozen=True, slots=True)
class Guest:
    """Who joins.

    Args:
        name: Shown to the others.
        passcode: Of the meeting.
        can_be_helped: Somebody can see the page and act in it.
        not_started_s: How long a meeting that has not begun is waited for.
    """

    name: str
    passcode: str | None = field(default=None, repr=False)
    can_be_helped: bool = False
    not_started_s: float = NOT_STARTED_S


@dataclass(frozen=True, slots=True)
class Step:
    """One step at the door. It is due while its control is there; what it fills in must be in the field then."""

    control: str
    fill: Callable[[Guest], str | None] | None = None
    """What is typed; None: it is clicked, and proved by its control being gone, or the whole door."""
    is_needed: bool = False
    """Without it there is no joining."""


STEPS = (
    Step("name", lambda guest: guest.name, is_needed=True),
    Step("passcode", lambda guest: guest.passcode, is_needed=True),
    Step("camera"),
    Step("microphone"),
    Step("join", is_needed=True),
)
"""At the door, in this order; the first one that is due is taken."""

_FAILURES = {
    Stage.DENIED: (SubCode.JOIN_REFUSED, "the host refused us: ask the host to admit the bot"),
    Stage.UNANSWERED: (SubCode.LOBBY_TIMEOUT, "nobody answered our request to join, and the page gave up"),
    Stage.NOT_FOUND: (SubCode.MEETING_NOT_FOUND, "there is no such meeting: check `meetingUrl` or `nativeMeetingId`"),
    Stage.FULL: (SubCode.MEETING_FULL, "the meeting is full"),
    Stage.BOTS_REFUSED: (SubCode.BOTS_NOT_ALLOWED, "the meeting lets no programs in through its web page"),
    Stage.ENDED: (SubCode.MEETING_ENDED, ""),
}
"""Stages that end it before we are in: why, in words for people."""
_HELP = {
    Stage.CAPTCHA: (SubCode.CAPTCHA, "the page wants proof that we are no robot"),
    Stage.SIGN_IN: (SubCode.AUTH_REQUIRED, "the meeting lets in only those who are signed in (`earshot login`)"),
    Stage.CONSENT: (SubCode.NEEDS_HELP_TIMEOUT, "the page asks for a consent that only a person may give"),
    Stage.PASSCODE_REFUSED: (SubCode.PASSCODE_REFUSED, "the meeting did not take our `passcode`"),
}
"""Stages that a person can solve: what it is called when nobody does, and what to say."""
_ENDINGS = {
    Stage.REMOVED: SubCode.REMOVED,
    Stage.DENIED: SubCode.REMOVED,
    Stage.LEFT: SubCode.REMOVED,
    Stage.ENDED: SubCode.MEETING_ENDED,
}
"""Stages that end a meeting in which we were."""


_BUSY = (Stage.UNKNOWN, Stage.DOOR, Stage.LOBBY, Stage.NOT_STARTED, Stage.INSIDE, Stage.RECONNECTING)
"""Stages in which something may lie over the page; in others it may be what the page has to say."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """What we wait for, outside: until when, and what it is called when it does not come."""

    stage: Stage
    until: float
    code: SubCode
    reason: str


class Flow:
    """One stay in a meeting, as its page tells it. Nothing here knows the page but by looks.

    Args:
        guest: Who joins.
        platform: Name for words to people.
        now: Monotonic seconds.
    """

    def __init__(self, guest: Guest, platform: str, now: float) -> None:
        self._guest, self._platform = guest, platform
        self.stage = Stage.UNKNOWN
        """What was seen last."""
        self._seen_since = self._known_at = self._begun = self._woken = now
        self._settled: Stage | None = None  # what was seen long enough to count
        self._was_inside = self._is_inside = self._is_lost = False
        self._tries: dict[str, tuple[int, float]] = {}  # of each control: so many, the last one when
        self._given_up: set[str] = set()
        self._wait: _Wait | None = None
        self._blocked = 0
        self._is_blank = True  # nothing known was ever seen; once it has been opened again, that is not looked for
        self._reopen_at: float | None = None
        self._rejoins: deque[float] = deque(maxlen=REJOINS)

    @property
    def is_inside(self) -> bool:
        """Whether people, tracks and words in the page are those of the meeting."""
        return self._is_inside

    def reopened(self, now: float) -> None:
        """The page was opened anew, by us or because it had died: everything at the door comes again."""
        self.stage, self._settled = Stage.UNKNOWN, None
        self._seen_since = self._known_at = self._begun = now
        self._tries.clear()
        self._given_up.clear()
        self._reopen_at = self._wait = None
        self._is_inside = False
        self._is_lost = self._was_inside

    def rejoin(self) -> list[Do]:
        """We are told to leave the meeting and to come back."""
        return [*self._lose(), Reopen()]

    def see(self, look: Look, stage: Stage, now: float) -> list[Do]:
        """What is to be done after a look.

        Args:
            look: What was seen.
            stage: What it means (`bot.platforms.pages.stage`).
            now: Monotonic seconds.
        """
        if stage is not self.stage:
            self.stage, self._seen_since = stage, now
        if stage not in (Stage.UNKNOWN, Stage.BLOCKED):
            self._known_at = now
        self._is_blank = self._is_blank and stage is Stage.UNKNOWN and not look.controls
        done = self._clear_the_way(look, now) if stage in _BUSY else []
        if stage is not self._settled and now - self._seen_since >= self._patience(stage):
            self._settled = stage
            done += self._enter(stage, now)
        done += self._stay(look, stage, now)
        if stage in (Stage.UNKNOWN, Stage.LOBBY) and now - self._woken >= WAKE_S:
            self._woken = now
            done.append(Wake())
        return done

    def _patience(self, stage: Stage) -> float:
        if stage is Stage.UNKNOWN:
            return 0.0
        return ALARM_CONFIRM_S if self._is_inside and stage not in (Stage.INSIDE, Stage.RECONNECTING) else CONFIRM_S

    # --- a stage begins

    def _enter(self, stage: Stage, now: float) -> list[Do]:
        """The stage is certain now."""
        if self._was_inside and stage in _ENDINGS:
            return [Over(_ENDINGS[stage])]
        if stage in _FAILURES:
            return [self._over(*_FAILURES[stage])]
        if stage in (Stage.REMOVED, Stage.LEFT):  # never inside
            return [self._over(*_FAILURES[Stage.DENIED])]
        if stage in _HELP:
            return self._need(stage, now)
        if stage in (Stage.INSIDE, Stage.LOBBY):  # another door is another one
            self._tries.clear()
            self._given_up.clear()
        match stage:
            case Stage.INSIDE:
                self._was_inside = self._is_inside = True
                self._is_lost, self._wait = False, None
                return [Inside()]
            case Stage.LOBBY | Stage.NOT_STARTED:
                return self._wait_outside(stage, now)
            case Stage.DOOR:
                self._is_inside = False
                if self._wait is not None and self._wait.stage is not Stage.PASSCODE_REFUSED:
                    self._wait, self._begun = None, now
            case Stage.RECONNECTING if self._is_inside:
                return self._lose()
        return []

    def _wait_outside(self, stage: Stage, now: float) -> list[Do]:
        self._is_inside = self._is_lost = False
        if self._wait is None or self._wait.stage is not stage:
            patience = self._guest.not_started_s if stage is Stage.NOT_STARTED else float("inf")
            words = f"the meeting has not begun within {patience / 60:g} minutes"
            self._wait = _Wait(stage, now + patience, SubCode.MEETING_NOT_STARTED, words)
        return [InLobby()]

    def _lose(self) -> list[Do]:
        was_lost, self._is_lost = self._is_lost, True
        return [] if was_lost else [Lost()]

    def _need(self, stage: Stage, now: float) -> list[Do]:
        """A person is needed. Where nobody can see the page, an account does not come by itself."""
        code, reason = _HELP[stage]
        if stage is Stage.SIGN_IN and not self._guest.can_be_helped:
            return [self._over(code, reason)]
        self._is_inside = False
        return self._ask(stage, code, reason, now)

    def _ask(self, stage: Stage, code: SubCode, reason: str, now: float) -> list[Do]:
        """Asks for help, once, and waits for it."""
        if self._wait is not None and self._wait.stage is stage:
            return []
        patience = float("inf") if self._guest.can_be_helped else HELP_S
        self._wait = _Wait(stage, now + patience, code, f"{reason}, and nobody helped within {HELP_S:g} s")
        return [Help(f"{self._platform}: {reason}")]

    def _over(self, code: SubCode, detail: str) -> Over:
        return Over(code, f"{self._platform}: {detail}" if detail else "")

    # --- a stage goes on

    def _stay(self, look: Look, stage: Stage, now: float) -> list[Do]:
        if self._reopen_at is not None:
            if now < self._reopen_at:
                return []
            self._reopen_at = None
            return [Reopen()]
        if stage is Stage.DOOR and not self._is_inside and (done := self._at_the_door(look, now)):
            return done
        if self._was_inside:
            return self._come_back(stage, now)
        if stage is Stage.BLOCKED and self._settled is stage:
            return self._be_blocked(now)
        return self._run_out(stage, now)

    def _run_out(self, stage: Stage, now: float) -> list[Do]:
        """On our way in: what has lasted too long."""
        wait = self._wait
        if wait is not None and now >= wait.until:
            return [self._over(wait.code, wait.reason)]
        if wait is None and now - self._begun >= JOIN_S:
            return [
                self._over(
                    SubCode.JOIN_TIMEOUT, f"neither in the meeting nor in its lobby after {JOIN_S:g} s ({stage})"
                )
            ]
        if wait is not None and wait.stage not in (Stage.LOBBY, Stage.NOT_STARTED):
            return []
        if self._is_blank and now - self._known_at >= BLANK_S:
            self._is_blank = False
            return [Reopen()]
        if stage is Stage.UNKNOWN and now - self._known_at >= UNKNOWN_S:
            return self._ask(stage, SubCode.JOIN_TIMEOUT, "the page shows nothing that we know", now)
        if stage is Stage.DOOR and "join" in self._given_up:
            return self._ask(stage, SubCode.JOIN_TIMEOUT, "the page does not let us join", now)
        return []

    def _be_blocked(self, now: float) -> list[Do]:
        if self._blocked == BLOCKED_TRIES:
            return [
                self._over(SubCode.JOIN_REFUSED, "the page says that we cannot join, and not why; signed in we may")
            ]
        self._blocked += 1
        self._reopen_at = now + BLOCKED_PAUSE_S
        return []

    def _come_back(self, stage: Stage, now: float) -> list[Do]:
        """We were inside: a page that proves it no more is opened again."""
        patience = {Stage.UNKNOWN: GONE_S, Stage.BLOCKED: GONE_S, Stage.DOOR: JOIN_S, Stage.RECONNECTING: RECONNECT_S}
        if stage not in patience or now - self._seen_since < patience[stage]:
            return []
        while self._rejoins and now - self._rejoins[0] >= REJOINS_WINDOW_S:
            self._rejoins.popleft()
        if len(self._rejoins) == REJOINS:
            detail = f"the meeting was lost {REJOINS + 1} times within {REJOINS_WINDOW_S / 60:g} minutes"
            return [self._over(SubCode.CONNECTION_LOST, detail)]
        self._rejoins.append(now)
        self._seen_since = now
        return self.rejoin()

    # --- at the door

    def _clear_the_way(self, look: Look, now: float) -> list[Do]:
        """Whatever lies over the page and may be put away is."""
        spot = look.controls.get("dismiss")
        how = look.found.get("dismiss", "")
        return [Click("dismiss", spot)] if spot is not None and self._may_try(f"dismiss {how}", spot, now) else []

    def _at_the_door(self, look: Look, now: float) -> list[Do]:
        for step in STEPS:
            spot = look.controls.get(step.control)
            if spot is None or step.control in self._given_up:
                continue
            text = step.fill(self._guest) if step.fill is not None else None
            if step.fill is not None and text is None:
                words = "the meeting has a passcode, and none was given (`passcode`)"
                return self._ask(Stage.PASSCODE_REFUSED, SubCode.PASSCODE_REFUSED, words, now)
            if text is not None and spot.value == text:
                continue
            if self._may_try(step.control, spot, now):
                return [Fill(step.control, spot, text) if text is not None else Click(step.control, spot)]
            made, last = self._tries.get(step.control, (0, now))
            if made >= TRIES and now - last >= PROOF_S:
                self._given_up.add(step.control)
                return [Note("the page did not take it", step.control)]
            if step.is_needed or made:  # nothing is done before it is proved, or was tried often enough
                return []
        return []

    def _may_try(self, what: str, spot: Spot, now: float) -> bool:
        made, last = self._tries.get(what, (0, float("-inf")))
        if not spot.is_free or made >= TRIES or now - last < PROOF_S:
            return False
        self._tries[what] = made + 1, now
        return True
