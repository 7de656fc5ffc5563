"""The whole control plane on random walks: every event in every order, and what must hold whatever happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.core import effects as fx
from bot.core import events as ev
from bot.core import requests as rq
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.core.orders import Order, Reconnect, Rejoin, Resubscribe, SendChat, Speak
from bot.core.roster import Roster
from common.contracts.status import MEANINGS, State, SubCode

EVERY_RULE = LeaveSettings(silence=60, silence_after=30, total=2000, cap=3600)
ORDERS: set[type[Order]] = {Resubscribe, Reconnect, Rejoin, SendChat}
WHO, TRACKS = st.sampled_from(["ana", "ben", "Notes"]), st.sampled_from(["t", "u", "mix"])
REQUESTS = st.sampled_from(
    [
        rq.Leave(),
        rq.ChangeSpeech({"language": None}),
        rq.Pause(True),
        rq.Pause(False),
        rq.TellState(),
        rq.CarryOut(Speak("hi")),
        rq.CarryOut(SendChat("hi")),
        rq.Unusable("no"),
    ]
)
LEVELS = st.sampled_from([-30.0, -112.0, float("-inf")])
HARMLESS = st.one_of(
    st.just(ev.LobbyEntered()),
    st.just(ev.HelpNeeded("a captcha")),
    st.just(ev.Admitted()),
    st.builds(ev.ParticipantJoined, WHO, WHO, st.sampled_from(ev.ParticipantKind)),
    st.builds(ev.ParticipantRenamed, WHO, WHO),
    st.builds(ev.ParticipantLeft, WHO),
    st.builds(ev.TrackOpened, TRACKS, st.none() | WHO),
    st.builds(ev.TrackEncrypted, TRACKS),
    st.builds(ev.TrackMuted, TRACKS),
    st.builds(ev.TrackUnmuted, TRACKS),
    st.builds(ev.TrackClosed, TRACKS),
    st.just(ev.TransportLost()),
    st.just(ev.TransportBack()),
    st.builds(ev.ActiveSpeakers, st.frozensets(WHO), st.floats(0, 9)),
    st.builds(ev.PeopleCounted, st.integers(0, 3)),
    st.just(ev.ChatReceived("ana", "Ana", "hi")),
    st.just(ev.CaptionHeard("ana", "Ana", "hi", 0.0, 1.0)),
    st.builds(ev.AudioHeard, TRACKS, st.just(16_000), LEVELS, st.booleans(), sent=st.sampled_from([0, 16_000])),
    st.builds(ev.TextHeard, WHO | TRACKS, st.booleans()),
    st.builds(ev.UtteranceDecided, WHO | TRACKS, st.integers(0, 99), st.booleans()),
    st.builds(ev.CommandReceived, st.just("x"), REQUESTS),
    st.builds(ev.LinkChanged, st.sampled_from(["redis", "transcriber"]), st.booleans()),
)
ENDS = st.one_of(
    st.builds(ev.PlatformEnded, st.sampled_from(SubCode)),
    st.builds(ev.BotFailed, st.sampled_from(SubCode), st.just("why")),
    st.builds(ev.StopRequested, st.sampled_from([SubCode.TERMINATED, SubCode.INTERRUPTED])),
)
WALKS = st.lists(st.tuples(st.sampled_from([0.0, 0.4, 1.0, 5.0, 30.0, 200.0]), HARMLESS | ENDS | HARMLESS), max_size=60)


class Walk:
    """One meeting, ticked whenever it asks for it, as the runner does."""

    def __init__(self) -> None:
        self.core = MeetingCore(EVERY_RULE, Roster(["notes"]), orders=ORDERS)
        self.now = 0.0
        self.effects: list[fx.Effect] = []
        self.core.begin(0.0)

    def wait(self, seconds: float) -> None:
        """Time passes: each timer is kept, and none asks for a moment that is over."""
        until = self.now + seconds
        for _ in range(10_000):
            timer = self.core.next_timer()
            if timer is None or timer > until:
                break
            self.now = max(self.now, timer)
            self.core.tick(self.now)
            assert (later := self.core.next_timer()) is None or later > self.now, "a timer that would spin"
            self.effects += self.core.effects()
        else:
            raise AssertionError("the timers never end")
        self.now = until

    def take(self, event: ev.Event) -> None:
        """Something happens, and is answered at once where it is an order of ours."""
        self.core.receive(event, self.now)
        self.core.tick(self.now)
        self.effects += self.core.effects()

    def of(self, kind: type[fx.Effect]) -> list[fx.Effect]:
        """The effects of one kind."""
        return [effect for effect in self.effects if isinstance(effect, kind)]


@given(WALKS)
def test_whatever_happens_it_ends_once_and_says_why(walk: list[tuple[float, ev.Event]]) -> None:
    """Legal moves, one order to leave, one terminal status with a reason of the table, and then nothing more."""
    meeting = Walk()
    for seconds, event in walk:
        meeting.wait(seconds)
        meeting.take(event)
    meeting.wait(10_000)  # every meeting comes to an end, if only at its cap ...
    meeting.take(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND))  # ... where the platform does as it is told
    meeting.wait(10_000)
    (finish,) = meeting.of(fx.Finish)
    terminal = [effect for effect in meeting.of(fx.ReportStatus) if effect.code is not None]  # type: ignore[union-attr]
    (report,) = terminal
    assert isinstance(finish, fx.Finish)
    assert isinstance(report, fx.ReportStatus)
    assert report.code is finish.code
    assert report.status is (State.COMPLETED if MEANINGS[finish.code].completed else State.FAILED)
    assert meeting.effects[-1] is finish
    assert len(meeting.of(fx.LeaveMeeting)) <= 1
    assert len(meeting.of(fx.StartSession)) <= 1
    assert not meeting.of(fx.LogOddity)
    assert meeting.core.next_timer() is None


@given(WALKS)
def test_every_command_is_answered_once(walk: list[tuple[float, ev.Event]]) -> None:
    """Accepted or refused: until the end each has exactly one answer."""
    meeting, asked = Walk(), 0
    for seconds, event in walk:
        meeting.wait(seconds)
        asked += isinstance(event, ev.CommandReceived) and not meeting.core.lifecycle.over
        meeting.take(event)
    promised = [effect for effect in meeting.of(fx.GiveOrder) if effect.answer is not None]  # type: ignore[union-attr]
    assert len(meeting.of(fx.AnswerCommand)) + len(promised) == asked


@given(WALKS)
def test_nobody_is_left_behind_while_the_connection_is_lost(walk: list[tuple[float, ev.Event]]) -> None:
    """Without a connection no rule about who is there, or who speaks, can say leave."""
    meeting = Walk()
    meeting.take(ev.Admitted())
    for seconds, event in walk:
        meeting.wait(seconds)
        meeting.take(event)
    meeting.take(ev.TransportLost())
    was_over = meeting.core.lifecycle.over or bool(meeting.of(fx.LeaveMeeting))
    meeting.wait(100)
    meeting.take(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND))
    blind = {SubCode.LEFT_ALONE, SubCode.STARTUP_ALONE, SubCode.ONLY_BOTS_LEFT, SubCode.SILENCE_TIMEOUT}
    if not was_over:
        assert not {effect.code for effect in meeting.of(fx.Finish)} & blind  # type: ignore[union-attr]
