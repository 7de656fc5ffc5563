"""The control plane: one meeting as a state machine. Events in with `now`, effects out, next deadline asked for.

Shaped like aioquic's connection: `receive(event, now)` and `tick(now)` change state, `effects()` empties what is to be
done, `next_timer()` says when to come back. No I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bot.core import events as ev
from bot.core.events import Effect, Event
from bot.core.health import HearingHealth
from bot.core.leave import Facts, LeaveSettings, next_departure
from bot.core.lifecycle import Lifecycle
from bot.core.roster import Roster
from common.contracts.languages import LANGUAGE_FORMS, language_code
from common.contracts.status import MEANINGS, State, SubCode


@dataclass(slots=True)
class MeetingCore:
    """Everything the bot knows and decides about the meeting it attends.

    Args:
        leave: The leave rules.
    """

    leave: LeaveSettings
    roster: Roster = field(default_factory=Roster)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    health: HearingHealth = field(default_factory=HearingHealth)
    _facts: Facts = field(default_factory=Facts)
    _counted: int | None = None  # people, from a platform that counts them
    _departing: SubCode | None = None  # on our way out, for this reason
    _effects: list[Effect] = field(default_factory=list)

    def effects(self) -> list[Effect]:
        """What is to be done now, in order; emptied by the call."""
        done, self._effects = self._effects, []
        return done

    def begin(self, now: float) -> None:
        """The platform starts to join."""
        self._facts = replace(self._facts, joining_since=now)
        self._effects.append(ev.ReportStatus(State.JOINING))

    def next_timer(self) -> float | None:
        """The next moment (monotonic seconds) at which `tick` has work to do."""
        if self.lifecycle.over:
            return None
        timers = [self.health.next_timer()]
        if self._departing is None and (due := next_departure(self.leave, self._facts)):
            timers.append(due[0])
        return min((timer for timer in timers if timer is not None), default=None)

    def tick(self, now: float) -> None:
        """Time has passed: leave rules and health."""
        if self.lifecycle.over:
            return
        self._effects += self.health.check(now)
        due = next_departure(self.leave, self._facts)
        if due and due[0] <= now:
            self._depart(due[1])

    def receive(self, event: Event, now: float) -> None:
        """Takes one event. After the end nothing has an effect any more."""
        if self.lifecycle.over:
            return
        try:
            self._take(event, now)
        except ev.Unhandled as bug:
            self._effects.append(ev.LogOddity(str(bug)))
        self._effects += self.health.check(now)

    def _take(self, event: Event, now: float) -> None:
        match event:
            case ev.LobbyEntered():
                self._wait(State.AWAITING_ADMISSION, now)
            case ev.HelpNeeded(reason):
                self._wait(State.NEEDS_HELP, now, reason)
            case ev.Admitted():
                self._admitted(now)
            case ev.ParticipantJoined(participant_id, name, kind):
                self.roster.join(participant_id, name, kind)
                self._count_people(now)
            case ev.ParticipantRenamed(participant_id, name):
                self.roster.rename(participant_id, name)
            case ev.ParticipantLeft(participant_id):
                self.roster.leave(participant_id)
                self._count_people(now)
            case ev.PeopleCounted(people):
                self._counted = people
                self._count_people(now)
            case ev.TrackOpened(track_id, participant_id):
                self.roster.open_track(track_id, participant_id)
                if self.roster.speaks_for(track_id) is not None:
                    self.health.opened(track_id, now)
            case ev.TrackMuted(track_id):
                self.health.muted(track_id, True, now)
                self._effects.append(ev.CloseTrack(track_id))
            case ev.TrackUnmuted(track_id):
                self.health.muted(track_id, False, now)
            case ev.TrackClosed(track_id):
                self._close_track(track_id)
            case ev.ActiveSpeakers(participant_ids, at):
                self._effects.append(ev.FollowFloor(participant_ids, at))
            case ev.ChatReceived() | ev.CaptionHeard():
                pass  # nobody has asked for them yet
            case ev.TransportLost() | ev.TransportBack():
                self._transport(isinstance(event, ev.TransportBack), now)
            case ev.AudioHeard():
                self.health.heard(event, now)
            case ev.LinkChanged(link, up, detail):
                self._effects.append(ev.ReportHealth(link, up, detail))
            case ev.CommandReceived("leave"):
                self._depart(SubCode.LEFT_BY_COMMAND)
            case ev.CommandReceived("reconfigure", arguments):
                self._reconfigure(arguments)
            case ev.CommandReceived():
                pass  # other actions belong to later abilities (speak, chat); the link logs them once
            case ev.StopRequested(code):
                self._depart(code)
            case ev.PlatformEnded(code, detail, evidence):
                self._platform_ended(code, detail, evidence)
            case ev.BotFailed(code, detail):
                self._finish(code, detail)
            case _:
                ev.unhandled(event)

    def _wait(self, state: State, now: float, reason: str = "") -> None:
        """We are outside: in the lobby, or until somebody helps."""
        if self.lifecycle.state is state:
            return
        if self.lifecycle.state is State.ACTIVE:  # put back: nobody is heard there, and nobody can be counted
            self._forget_room()
        self._facts = replace(
            self._facts,
            joining_since=None,
            helpless_since=now if state is State.NEEDS_HELP else None,
            lobby_since=now if state is State.AWAITING_ADMISSION else None,
            outside_since=now if self._facts.outside_since is None else self._facts.outside_since,
            alone_since=None,
        )
        self._move(state, reason)

    def _admitted(self, now: float) -> None:
        if self.lifecycle.state is State.ACTIVE:  # a rejoin: the platform tells again who is here
            self._forget_room()
            self._count_people(now)
            return
        if self.lifecycle.state is State.JOINING:
            self._wait(State.AWAITING_ADMISSION, now)
        is_first = self._facts.active_since is None
        self._facts = replace(self._facts, lobby_since=None, helpless_since=None, outside_since=None)
        if is_first:
            self._facts = replace(self._facts, active_since=now)
            self._effects.append(ev.StartSession())
        self._move(State.ACTIVE)
        self._count_people(now)

    def _forget_room(self) -> None:
        for track_id in self.roster.tracks:
            self._close_track(track_id)
        self.roster.clear()
        self._counted = None

    def _count_people(self, now: float) -> None:
        if self.lifecycle.state is not State.ACTIVE:
            return
        if self.roster.people if self._counted is None else self._counted > 0:
            self._facts = replace(self._facts, alone_since=None, had_company=True)
        elif self._facts.alone_since is None:
            self._facts = replace(self._facts, alone_since=now)

    def _close_track(self, track_id: str) -> None:
        self._effects.append(ev.CloseTrack(track_id))
        self.roster.close_track(track_id)
        self.health.closed(track_id)

    def _transport(self, back: bool, now: float) -> None:
        self.health.restart(now)
        if not back:  # what was being said cannot be continued on the same clock
            self._effects += [ev.CloseTrack(track_id) for track_id in self.roster.tracks]
        detail = "connected to the meeting again" if back else "connection to the meeting lost, trying to come back"
        self._effects.append(ev.ReportHealth("meeting", back, detail))

    def _reconfigure(self, arguments: dict[str, object]) -> None:
        asked, task = arguments.get("language"), arguments.get("task")
        language = asked if asked in (None, "auto") else language_code(asked) if isinstance(asked, str) else None
        if language is None and asked is not None:
            why = f"`language` must be {LANGUAGE_FORMS}, or auto"
        elif task not in (None, "transcribe", "translate"):
            why = "`task` must be transcribe or translate"
        else:
            self._effects.append(ev.Reconfigure(language, task))
            return
        self._effects.append(ev.RefuseCommand("reconfigure", why))

    def _depart(self, code: SubCode) -> None:
        if self._departing is None:  # the first reason counts
            self._departing = code
            self._effects.append(ev.LeaveMeeting())

    def _platform_ended(self, code: SubCode, detail: str, evidence: tuple[str, ...]) -> None:
        if self._departing is not None and code is not SubCode.INTERNAL_ERROR:
            code, detail = self._departing, ""  # it ended because we wanted it to, however the platform puts it
        self._finish(code, detail, evidence)

    def _finish(self, code: SubCode, detail: str, evidence: tuple[str, ...] = ()) -> None:
        stage = self.lifecycle.state
        terminal = State.COMPLETED if MEANINGS[code].completed else State.FAILED
        self.lifecycle.move(terminal)
        self._effects.append(ev.ReportStatus(terminal, code, detail, stage, evidence))
        self._effects.append(ev.Finish(code, detail))

    def _move(self, state: State, detail: str = "") -> None:
        self.lifecycle.move(state)
        self._effects.append(ev.ReportStatus(state, detail=detail))
