"""The flow through a page, from its door to the meeting and out again: looks in with `now`, what to do out.

What the page says of itself counts once it has said it twice. What a person could solve is said to be so, and waited
for. What is done at the door: `door`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bot.platforms.pages.acts import Do, Help, InLobby, Inside, Lost, Over, Reopen, Wake
from bot.platforms.pages.door import Door, Guest
from bot.platforms.pages.look import Look
from bot.platforms.pages.stage import Stage
from common.contracts.status import SubCode

CONFIRM_S = 0.3
"""A stage counts when it was seen twice, so far apart: pages are rebuilt while they are looked at."""
ALARM_CONFIRM_S = 2.0
"""Likewise, for one that ends a meeting in which we were."""
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
WAKE_S = 4.0
"""Toolbars hide from a pointer that does not move."""
REJOINS = 3
REJOINS_WINDOW_S = 600.0


FAILURES = {
    Stage.DENIED: (SubCode.JOIN_REFUSED, "the host refused us: ask the host to admit the bot"),
    Stage.UNANSWERED: (SubCode.LOBBY_TIMEOUT, "nobody answered our request to join, and the page gave up"),
    Stage.NOT_FOUND: (SubCode.MEETING_NOT_FOUND, "there is no such meeting: check `meetingUrl` or `nativeMeetingId`"),
    Stage.FULL: (SubCode.MEETING_FULL, "the meeting is full"),
    Stage.BOTS_REFUSED: (SubCode.BOTS_NOT_ALLOWED, "the meeting lets no programs in through its web page"),
    Stage.ENDED: (SubCode.MEETING_ENDED, ""),
}
"""Stages that end it before we are in: why, in words for people."""
HELP = {
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
    Stage.NOT_FOUND: SubCode.MEETING_ENDED,  # when we came back
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
        self._door = Door(guest)
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
        self._door.forget()
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
        done = self._door.clear_the_way(look, now) if stage in _BUSY else []
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
        if stage in FAILURES:
            return [self._over(*FAILURES[stage])]
        if stage in (Stage.REMOVED, Stage.LEFT):  # never inside
            return [self._over(*FAILURES[Stage.DENIED])]
        if stage not in (Stage.UNKNOWN, Stage.BLOCKED):  # it goes on after all
            self._reopen_at = None
        if stage in HELP:
            return self._need(stage, now)
        if stage in (Stage.INSIDE, Stage.LOBBY):
            self._door.forget()
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
        code, reason = HELP[stage]
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
        if stage is Stage.DOOR and not self._is_inside:
            if self._door.wants(look) is not None:
                words = "the meeting has a passcode, and none was given (`passcode`)"
                done = self._ask(Stage.PASSCODE_REFUSED, SubCode.PASSCODE_REFUSED, words, now)
            else:
                done = self._door.step(look, now)
            if done:
                return done
        if self._was_inside and (self._wait is None or self._wait.stage is not stage):
            return self._come_back(stage, now)
        if stage is Stage.BLOCKED and self._settled is stage:
            return self._be_blocked(now)
        return self._run_out(stage, now)

    def _run_out(self, stage: Stage, now: float) -> list[Do]:
        """On our way in: what has lasted too long."""
        wait = self._wait
        if wait is not None and now >= wait.until:
            if self._was_inside and wait.stage is Stage.NOT_STARTED:  # it is over, and may begin another time
                return [Over(SubCode.MEETING_ENDED)]
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
        if stage is Stage.DOOR and self._door.is_shut:
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
