"""The control plane: one meeting as a state machine. Events in with `now`, effects out, next deadline asked for.

Shaped like aioquic's connection: `receive(event, now)` and `tick(now)` change state, `effects()` empties what is to be
done, `next_timer()` says when to come back. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from bot.core import effects as fx
from bot.core import events as ev
from bot.core import requests as rq
from bot.core.effects import Effect
from bot.core.events import Event
from bot.core.health import HearingHealth
from bot.core.leave import Facts, LeaveSettings, next_departure
from bot.core.lifecycle import Lifecycle
from bot.core.orders import Asked, Order
from bot.core.recovery import Recovery
from bot.core.roster import Roster
from bot.core.written import Written
from common.contracts.events import BotState
from common.contracts.status import MEANINGS, State, SubCode


@dataclass(slots=True)
class MeetingCore:
    """Everything the bot knows and decides about the meeting it attends.

    Args:
        leave: The leave rules.
        roster: Who is there, empty.
        speech: How speech is transcribed at first.
        orders: Those that the platform carries out.
    """

    leave: LeaveSettings
    roster: Roster = field(default_factory=Roster)
    speech: rq.SpeechSettings = field(default_factory=rq.SpeechSettings)
    orders: Collection[type[Order]] = ()
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    health: HearingHealth = field(default_factory=HearingHealth)
    _recovery: Recovery = field(init=False)
    _written: Written = field(default_factory=Written)
    _facts: Facts = field(default_factory=Facts)
    _paused: bool = False
    _counted: int | None = None  # people, from a platform that counts them
    _departing: SubCode | None = None  # on our way out, for this reason
    _effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._recovery = Recovery(self.orders)

    def effects(self) -> list[Effect]:
        """What is to be done now, in order; emptied by the call."""
        done, self._effects = self._effects, []
        return done

    def begin(self, now: float) -> None:
        """The platform starts to join."""
        self._facts = replace(self._facts, joining_since=now)
        self._effects.append(fx.ReportStatus(State.JOINING))

    def next_timer(self) -> float | None:
        """The next moment (monotonic seconds) at which `tick` has work to do."""
        if self.lifecycle.over:
            return None
        timers = [self.health.next_timer()]
        if self._departing is None:
            if self.lifecycle.state is State.ACTIVE:
                timers.append(self._recovery.next_timer())
            if due := next_departure(self.leave, self._known()):
                timers.append(due[0])
        return min((timer for timer in timers if timer is not None), default=None)

    def tick(self, now: float) -> None:
        """Time has passed: leave rules and health."""
        if self.lifecycle.over:
            return
        self._check(now)
        due = next_departure(self.leave, self._known())
        if due and due[0] <= now:
            self._depart(due[1])

    def _known(self) -> Facts:
        """The facts, and what hearing knows of them while we are inside."""
        if self.lifecycle.state is not State.ACTIVE:
            return self._facts
        return replace(self._facts, silent_since=self.health.silent_since, unheeded_since=self.health.unheeded_since)

    def _check(self, now: float) -> None:
        """What is heard, and what is to be done where it is not."""
        self._effects += self.health.check(now)
        self._effects += self._written.captions(self.health.is_soundless, now)
        if self._departing is None and self.lifecycle.state is State.ACTIVE:
            health = self.health
            self._effects += self._recovery.tend(health.dead, health.deaf, now, is_proved=health.is_proved)

    def receive(self, event: Event, now: float) -> None:
        """Takes one event. After the end nothing has an effect any more."""
        if self.lifecycle.over:
            return
        try:
            self._take(event, now)
        except ev.Unhandled as bug:
            self._effects.append(fx.LogOddity(str(bug)))
        if not self.lifecycle.over:
            self._check(now)

    def _take(self, event: Event, now: float) -> None:
        match event:
            case ev.LobbyEntered():
                self._wait(State.AWAITING_ADMISSION, now)
            case ev.HelpNeeded(reason):
                self._wait(State.NEEDS_HELP, now, reason)
            case ev.Admitted():
                self._admitted(now)
            case ev.ParticipantJoined():
                self._joined(event, now)
            case ev.ParticipantRenamed(participant_id, name):
                self.roster.rename(participant_id, name)
            case ev.ParticipantLeft(participant_id):
                self.roster.leave(participant_id)
                self._count_people(now)
            case ev.PeopleCounted(people):
                self._counted = people
                self._count_people(now)
            case ev.TrackOpened(track_id, participant_id, kind, by_turns):
                if track_id in self.roster.tracks:  # another one under its id: nothing of it is continued
                    self._close_track(track_id)
                self.roster.open_track(track_id, participant_id, kind)
                if self.roster.speaks_for(track_id) is not None:
                    self.health.opened(track_id, now, is_shared=by_turns or participant_id is None)
            case ev.TrackEncrypted(track_id):
                self.health.encrypted(track_id)
            case ev.TrackMuted(track_id):
                self.health.muted(track_id, True, now)
                self._effects.append(fx.CloseTrack(track_id))
            case ev.TrackUnmuted(track_id):
                self.health.muted(track_id, False, now)
            case ev.TrackClosed(track_id):
                self._close_track(track_id)
            case ev.ActiveSpeakers(participant_ids, at):
                self._effects.append(fx.FollowFloor(participant_ids, at))
                self.health.shown(bool(participant_ids), now)
            case ev.ChatReceived() | ev.CaptionHeard():
                if self.lifecycle.state is State.ACTIVE and not self._paused:
                    self._effects += self._written.take(event, now)
            case ev.TransportLost() | ev.TransportBack():
                self._transport(isinstance(event, ev.TransportBack), now)
            case ev.AudioHeard(track_id):
                if self.health.heard(event, now):
                    self._recovery.heard(track_id)
            case ev.TextHeard(speaker_id, is_final):
                self.health.text(self.roster.tracks_of(speaker_id), is_final, now)
            case ev.UtteranceDecided(speaker_id, samples, is_assumed):
                self.health.decided(self.roster.tracks_of(speaker_id), samples, now, is_assumed=is_assumed)
            case ev.LinkChanged(link, up, detail):
                if link == "transcriber":
                    self.health.link(up, now)
                self._effects.append(fx.ReportHealth(link, up, detail))
            case ev.SpeechSettled(speech, accepted, detail):
                self.speech = speech
                self._effects.append(fx.ReportHealth("reconfigure", accepted, detail))
            case ev.CommandReceived():
                self._command(event, now)
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
        if self.lifecycle.state is State.ACTIVE:  # put back: nobody is heard there, and nobody can be counted
            self._forget_room(now)
        self._found(now)
        if self.lifecycle.state is state:
            return
        self._facts = replace(
            self._facts.nobody_known(),
            joining_since=None,
            helpless_since=now if state is State.NEEDS_HELP else None,
            lobby_since=now if state is State.AWAITING_ADMISSION else None,
            outside_since=now if self._facts.outside_since is None else self._facts.outside_since,
        )
        self._move(state, reason)

    def _admitted(self, now: float) -> None:
        if self.lifecycle.state is State.ACTIVE:  # a rejoin: the platform tells again who is here
            self._forget_room(now)
            self._count_people(now)
            return
        if self.lifecycle.state is State.JOINING:
            self._wait(State.AWAITING_ADMISSION, now)
        self._found(now)
        is_first = self._facts.active_since is None
        self._facts = replace(self._facts, lobby_since=None, helpless_since=None, outside_since=None)
        if is_first:
            self._facts = replace(self._facts, active_since=now)
            self._effects.append(fx.StartSession())
        self._move(State.ACTIVE)
        self._count_people(now)

    def _forget_room(self, now: float) -> None:
        """The platform will tell anew who is there: it has a connection."""
        for track_id in self.roster.tracks:
            self._close_track(track_id)
        self.roster.clear()
        self._counted = None
        self.health.company(False)
        self._recovery.forget()
        self._found(now)

    def _count_people(self, now: float) -> None:
        if self.lifecycle.state is not State.ACTIVE or self._facts.lost_since is not None:
            return
        bots = self.roster.bots
        people = self.roster.people if self._counted is None else max(self._counted, 0)
        self._facts = self._facts.counted(max(people - bots, 0), bots if people else 0, now)
        self.health.company(people > 0)

    def _joined(self, event: ev.ParticipantJoined, now: float) -> None:
        """Somebody new, or known by now to be a person, or none: their tracks may be open already."""
        did_count = self.roster.is_person(event.participant_id)
        self.roster.join(event.participant_id, event.name, event.kind)
        does_count = self.roster.is_person(event.participant_id)
        for track_id in self.roster.owned_by(event.participant_id) if does_count is not did_count else ():
            if does_count:
                self.health.opened(track_id, now)
            else:
                self._effects += [fx.CloseTrack(track_id), *self.health.closed(track_id)]
        self._count_people(now)

    def _close_track(self, track_id: str) -> None:
        self._effects.append(fx.CloseTrack(track_id))
        self.roster.close_track(track_id)
        self._effects += self.health.closed(track_id)

    def _transport(self, back: bool, now: float) -> None:
        if back:
            self._found(now)
        elif self._facts.lost_since is None:
            self._facts = replace(self._facts.nobody_known(), lost_since=now)
            self.health.connection(True, now)
            # what was being said cannot be continued on the same clock
            self._effects += [fx.CloseTrack(track_id) for track_id in self.roster.tracks]
            lost = "connection to the meeting lost, trying to come back"
            self._effects.append(fx.ReportHealth("meeting", False, lost))

    def _found(self, now: float) -> None:
        """There is a connection to the meeting, and the rules about who is there count again, from now on."""
        if self._facts.lost_since is not None:
            self._facts = replace(self._facts, lost_since=None)
            self.health.connection(False, now)
            self._effects.append(fx.ReportHealth("meeting", True, "connected to the meeting again"))
            self._count_people(now)

    # --- commands: each is answered

    def _command(self, command: ev.CommandReceived, now: float) -> None:
        match command.request:
            case rq.Leave():
                self._answer(command, "leaving" if self._departing is None else "leaving already")
                self._depart(SubCode.LEFT_BY_COMMAND)
            case rq.ChangeSpeech(change):
                self.speech = replace(self.speech, **change)
                self._effects.append(fx.Reconfigure(self.speech))
                self._answer(command, "from the next utterance on", self._state(now))
            case rq.Pause(paused):
                if paused is not self._paused:
                    self._paused = paused
                    self.health.pause(paused, now)
                    self._effects.append(fx.PauseHearing(paused))
                self._answer(command, "not listening" if paused else "listening")
            case rq.TellState():
                self._answer(command, "", self._state(now))
            case rq.CarryOut(order):
                self._carry_out(command, order)
            case rq.Unusable(why):
                self._refuse(command, why)
            case _:
                ev.unhandled(command.request)

    def _carry_out(self, command: ev.CommandReceived, order: Asked) -> None:
        if type(order) not in self.orders:
            self._refuse(command, f"the bot cannot {order.does} on this platform")
        elif self.lifecycle.state is not State.ACTIVE:
            self._refuse(command, f"the bot is not in the meeting: {self.lifecycle.state}")
        else:
            self._effects.append(fx.GiveOrder(order, fx.AnswerCommand(command.action, True, "", command.command_id)))

    def _answer(self, command: ev.CommandReceived, detail: str, state: BotState | None = None) -> None:
        self._effects.append(fx.AnswerCommand(command.action, True, detail, command.command_id, state))

    def _refuse(self, command: ev.CommandReceived, why: str) -> None:
        self._effects.append(fx.AnswerCommand(command.action, False, why, command.command_id))

    def _state(self, now: float) -> BotState:
        return BotState(
            self.lifecycle.state,
            self.health.room(now),
            self._paused,
            self.roster.people if self._counted is None else self._counted,
            self.speech.language,
            self.speech.task,
            self.speech.allowed_languages,
        )

    def _depart(self, code: SubCode) -> None:
        if self._departing is None:  # the first reason counts
            self._departing = code
            self._effects.append(fx.LeaveMeeting())

    def _platform_ended(self, code: SubCode, detail: str, evidence: tuple[str, ...]) -> None:
        if self._departing is not None and code is not SubCode.INTERNAL_ERROR:
            code, detail = self._departing, ""  # it ended because we wanted it to, however the platform puts it
        self._finish(code, detail, evidence)

    def _finish(self, code: SubCode, detail: str, evidence: tuple[str, ...] = ()) -> None:
        stage = self.lifecycle.state
        terminal = State.COMPLETED if MEANINGS[code].completed else State.FAILED
        self.lifecycle.move(terminal)
        self._effects.append(fx.ReportStatus(terminal, code, detail, stage, evidence))
        self._effects.append(fx.Finish(code, detail))

    def _move(self, state: State, detail: str = "") -> None:
        self.lifecycle.move(state)
        self._effects.append(fx.ReportStatus(state, detail=detail))
