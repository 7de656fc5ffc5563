"""Waiting for admission, and how a meeting ends: what does not take a person inside to be shown."""

from __future__ import annotations

import pytest

from bot.core import effects as fx
from bot.core import events as ev
from bot.core.meeting import MeetingCore
from bot.core.orders import Reconnect, Rejoin
from common.contracts.status import State, SubCode
from tests.unit.bot.core.test_meeting import ANA, IN, LEAVE, SETTINGS, core, statuses


def test_lobby_then_admission() -> None:
    """The lobby is announced once and its timeout ends with admission."""
    meeting = MeetingCore(SETTINGS)
    meeting.receive(ev.LobbyEntered(), 0)
    meeting.receive(ev.LobbyEntered(), 1)
    assert statuses(meeting.effects()) == [State.AWAITING_ADMISSION]
    assert meeting.next_timer() == 300
    meeting.receive(ev.Admitted(), 5)
    assert statuses(meeting.effects()) == [State.ACTIVE]
    assert meeting.next_timer() == 605


def test_lobby_timeout_leaves_and_fails() -> None:
    """After the lobby timeout the bot leaves, and the end has the rule's reason, not the platform's."""
    meeting = core((0, ev.LobbyEntered()))
    meeting.tick(299.9)
    assert meeting.effects() == []
    meeting.tick(300)
    assert meeting.effects() == [fx.LeaveMeeting()]
    assert meeting.next_timer() is None
    meeting.tick(301)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 302)
    report, finish = meeting.effects()
    assert report == fx.ReportStatus(State.FAILED, SubCode.LOBBY_TIMEOUT, "", State.AWAITING_ADMISSION)
    assert finish == fx.Finish(SubCode.LOBBY_TIMEOUT)


def test_an_internal_error_is_never_dressed_up_as_a_leave() -> None:
    """A bug while leaving is still a bug."""
    meeting = core(IN, (1, LEAVE))
    meeting.receive(ev.PlatformEnded(SubCode.INTERNAL_ERROR, "bug"), 2)
    assert fx.Finish(SubCode.INTERNAL_ERROR, "bug") in meeting.effects()


@pytest.mark.parametrize("arrival", [ev.LobbyEntered(), ev.Admitted(), ev.HelpNeeded("a captcha")])
def test_the_deadline_for_joining_ends_with_any_answer(arrival: ev.PlatformEvent) -> None:
    """In the lobby, inside, or stuck: other rules count from there."""
    meeting = MeetingCore(SETTINGS)
    meeting.begin(0)
    meeting.receive(arrival, 100)
    meeting.effects()
    meeting.tick(120)
    assert meeting.effects() == []


def test_help_is_asked_for_once_and_has_its_own_timeout() -> None:
    """`needs_help` with its reason; admission ends the wait, nobody's help ends the bot."""
    meeting = core((0, ev.LobbyEntered()))
    meeting.receive(ev.HelpNeeded("a captcha"), 10)
    meeting.receive(ev.HelpNeeded("a captcha"), 11)
    assert meeting.effects() == [fx.ReportStatus(State.NEEDS_HELP, detail="a captcha")]
    assert meeting.next_timer() == 310
    meeting.tick(310)
    assert meeting.effects() == [fx.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 311)
    assert meeting.effects()[-1] == fx.Finish(SubCode.NEEDS_HELP_TIMEOUT)


def test_help_that_came_lets_the_bot_in() -> None:
    """From `needs_help` straight to active: the lobby was passed before."""
    meeting = core((0, ev.LobbyEntered()), (1, ev.HelpNeeded("consent")))
    meeting.receive(ev.Admitted(), 2)
    assert statuses(meeting.effects()) == [State.ACTIVE]


@pytest.mark.parametrize("before", [(), (IN, (1.0, ANA))])
def test_lobby_and_help_in_turns_end_all_the_same(before: tuple[tuple[float, ev.Event], ...]) -> None:
    """A page that flickers between both begins neither wait anew for ever: together they last as long as both may."""
    meeting = core(*before)
    for now in range(10, 610, 10):
        meeting.receive(ev.LobbyEntered() if now % 20 else ev.HelpNeeded("a captcha"), now)
    assert meeting.next_timer() == 610
    meeting.tick(610)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 611)
    assert meeting.effects()[-1] == fx.Finish(SubCode.NEEDS_HELP_TIMEOUT)


def test_admission_ends_the_wait_for_good() -> None:
    """Later put back into the lobby the bot waits as long as the first time."""
    meeting = core((0, ev.HelpNeeded("a captcha")), (290, ev.LobbyEntered()), (500, ev.Admitted()))
    meeting.receive(ev.LobbyEntered(), 700)
    assert meeting.next_timer() == 1000


def test_evidence_is_in_the_terminal_report() -> None:
    """A screenshot of a failed join is named where people look for the reason."""
    meeting = core()
    meeting.receive(ev.PlatformEnded(SubCode.JOIN_REFUSED, "no", ("shot.png",)), 1)
    report = meeting.effects()[0]
    assert isinstance(report, fx.ReportStatus)
    assert report.evidence == ("shot.png",)


def test_people_before_admission_do_not_start_the_alone_clock() -> None:
    """A roster told before the lobby opens the door counts no time."""
    meeting = core((0, ANA), (0, ev.ParticipantLeft("ana")), (0, ev.LobbyEntered()), (1, ANA))
    assert meeting.next_timer() == 300


@pytest.mark.parametrize("answers", [(), (ev.LobbyEntered(),), (ev.HelpNeeded("captcha"),)])
def test_admission_ends_a_lost_connection(answers: tuple[ev.PlatformEvent, ...]) -> None:
    """Who lets us in, or has us wait, has a connection with us: nobody leaves for a lost one, and people count."""
    meeting = core((0, ev.LobbyEntered()), (1, ev.TransportLost()))
    for event in (*answers, ev.Admitted(), ANA):
        meeting.receive(event, 2)
    assert [e.healthy for e in meeting.effects() if isinstance(e, fx.ReportHealth)] == [True]
    meeting.tick(200)
    assert fx.LeaveMeeting() not in meeting.effects()
    meeting.receive(ev.ParticipantLeft("ana"), 201)
    meeting.tick(261)
    assert fx.LeaveMeeting() in meeting.effects()


def test_a_lobby_that_answers_ends_a_lost_connection() -> None:
    """From then on the lobby's own rule counts."""
    meeting = core((0, ev.TransportLost()), (1, ev.LobbyEntered()))
    assert meeting.next_timer() == 301


def test_a_rejoin_that_ends_in_the_lobby_leaves_no_timer_behind() -> None:
    """A deaf room was left and joined anew, and we wait outside: the lobby has the next moment, not the past."""
    meeting = MeetingCore(SETTINGS, orders=(Reconnect, Rejoin))
    for event in (ev.Admitted(), ANA, ev.TrackOpened("t", "ana"), ev.TrackOpened("u", "ana")):
        meeting.receive(event, 0)
    for now in (8, 18, 38):
        meeting.tick(now)
    assert fx.GiveOrder(Rejoin()) in meeting.effects()
    meeting.receive(ev.LobbyEntered(), 39)
    for now in (99, 200):
        meeting.tick(now)
        assert meeting.next_timer() == 339
