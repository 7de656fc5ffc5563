"""The meeting as a state machine, driven by hand and by hypothesis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import events as ev
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from common.contracts.status import MEANINGS, State, SubCode

SETTINGS = LeaveSettings(lobby=300, no_one_joined=600, everyone_left=60, total=None, cap=3600)


def core(*history: tuple[float, ev.Event]) -> MeetingCore:
    """A meeting that has seen `history`, its effects taken."""
    meeting = MeetingCore(SETTINGS)
    for now, event in history:
        meeting.receive(event, now)
    meeting.effects()
    return meeting


def statuses(effects: list[ev.Effect]) -> list[State]:
    """The lifecycle changes among effects."""
    return [effect.status for effect in effects if isinstance(effect, ev.ReportStatus)]


ANA = ev.ParticipantJoined("ana", "Ana")
IN = (0.0, ev.Admitted())


def test_a_platform_without_lobby_still_passes_through_it() -> None:
    """Consumers of the older wire refuse joining → active."""
    meeting = MeetingCore(SETTINGS)
    meeting.receive(ev.Admitted(), 1)
    effects = meeting.effects()
    assert statuses(effects) == [State.AWAITING_ADMISSION, State.ACTIVE]
    assert ev.StartSession() in effects


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
    assert meeting.effects() == [ev.LeaveMeeting()]
    assert meeting.next_timer() is None
    meeting.tick(301)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 302)
    report, finish = meeting.effects()
    assert report == ev.ReportStatus(State.FAILED, SubCode.LOBBY_TIMEOUT, "", State.AWAITING_ADMISSION)
    assert finish == ev.Finish(SubCode.LOBBY_TIMEOUT)


@pytest.mark.parametrize(
    ("history", "at", "code"),
    [
        ((IN,), 600, SubCode.STARTUP_ALONE),
        ((IN, (1.0, ANA), (9.0, ev.ParticipantLeft("ana"))), 69, SubCode.LEFT_ALONE),
        ((IN, (1.0, ev.ParticipantJoined("x", "", ev.ParticipantKind.SERVICE))), 600, SubCode.STARTUP_ALONE),
        ((IN, (1.0, ANA)), 3600, SubCode.MAX_DURATION),
    ],
)
def test_leave_rules(history: tuple[tuple[float, ev.Event], ...], at: float, code: SubCode) -> None:
    """Each rule leaves at its time and says why."""
    meeting = core(*history)
    assert meeting.next_timer() == at
    meeting.tick(at)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), at + 1)
    assert ev.Finish(code) in meeting.effects()


def test_people_before_admission_do_not_start_the_alone_clock() -> None:
    """A roster told before the lobby opens the door counts no time."""
    meeting = core((0, ANA), (0, ev.ParticipantLeft("ana")), (0, ev.LobbyEntered()), (1, ANA))
    assert meeting.next_timer() == 300


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (ev.CommandReceived("leave"), SubCode.LEFT_BY_COMMAND),
        (ev.StopRequested(SubCode.TERMINATED), SubCode.TERMINATED),
    ],
)
def test_leaving_on_request(event: ev.Event, code: SubCode) -> None:
    """The first reason counts; asking twice leaves once; the platform's failing on the way out is no failure."""
    meeting = core(IN, (1, ANA))
    meeting.receive(event, 2)
    meeting.receive(ev.StopRequested(SubCode.INTERRUPTED), 2)
    assert meeting.effects() == [ev.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.CONNECTION_LOST, "gone"), 3)
    assert meeting.effects()[-1] == ev.Finish(code)
    meeting.receive(ev.CommandReceived("leave"), 4)
    meeting.tick(10**6)
    assert meeting.effects() == []
    assert meeting.next_timer() is None


@pytest.mark.parametrize(
    "code", [SubCode.REMOVED, SubCode.CONNECTION_LOST, SubCode.INTERNAL_ERROR, SubCode.MEETING_ENDED]
)
def test_the_platform_ends_it(code: SubCode) -> None:
    """An end that nobody asked for keeps the platform's reason and detail."""
    meeting = core(IN)
    meeting.receive(ev.PlatformEnded(code, "why"), 2)
    report, finish = meeting.effects()
    assert finish == ev.Finish(code, "why")
    assert isinstance(report, ev.ReportStatus)
    assert report.status is (State.COMPLETED if MEANINGS[code].completed else State.FAILED)
    assert report.stage is State.ACTIVE


def test_an_internal_error_is_never_dressed_up_as_a_leave() -> None:
    """A bug while leaving is still a bug."""
    meeting = core(IN, (1, ev.CommandReceived("leave")))
    meeting.receive(ev.PlatformEnded(SubCode.INTERNAL_ERROR, "bug"), 2)
    assert ev.Finish(SubCode.INTERNAL_ERROR, "bug") in meeting.effects()


def test_tracks_open_mute_and_close() -> None:
    """Mute and close end the utterance of the track; the roster knows the owner meanwhile."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    assert meeting.roster.speaks_for("t") == ("ana", "Ana")
    meeting.receive(ev.TrackMuted("t"), 2)
    assert meeting.effects() == [ev.CloseTrack("t")]
    meeting.receive(ev.TrackUnmuted("t"), 30)
    meeting.tick(37)
    assert meeting.effects() == []
    meeting.receive(ev.TrackClosed("t"), 37)
    assert meeting.effects() == [ev.CloseTrack("t")]
    assert meeting.roster.speaks_for("t") is None


def test_deafness_is_said_and_healed() -> None:
    """Eight seconds without audio are reported, by timer; audio heals."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    timer = meeting.next_timer()
    assert timer == 9
    meeting.tick(timer)
    assert {e.subject for e in meeting.effects() if isinstance(e, ev.ReportHealth) and not e.healthy} == {
        "track:t",
        "room",
    }
    meeting.receive(ev.AudioHeard("t", 16000, -30.0, True), 10)
    assert {e.subject for e in meeting.effects() if isinstance(e, ev.ReportHealth) and e.healthy} == {"track:t", "room"}


def test_tracks_of_services_are_not_watched() -> None:
    """A recorder that sends nothing does not make the room deaf."""
    meeting = core(
        IN,
        (1, ANA),
        (1, ev.ParticipantJoined("r", "Recorder", ev.ParticipantKind.SERVICE)),
        (1, ev.TrackOpened("t", "r")),
    )
    meeting.tick(100)
    assert meeting.effects() == []


def test_a_lost_connection_ends_utterances_and_a_rejoin_keeps_meeting_time() -> None:
    """What was being said is closed, both changes are reported, and no second session starts."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    meeting.receive(ev.TransportLost(), 5)
    effects = meeting.effects()
    assert ev.CloseTrack("t") in effects
    assert [e.healthy for e in effects if isinstance(e, ev.ReportHealth)] == [False]
    meeting.receive(ev.TransportBack(), 7)
    meeting.receive(ev.Admitted(), 7)
    effects = meeting.effects()
    assert [e.healthy for e in effects if isinstance(e, ev.ReportHealth)] == [True]
    assert ev.StartSession() not in effects
    assert meeting.roster.tracks == ()
    assert meeting.next_timer() == 67


def test_links_and_commands() -> None:
    """Link changes become health; reconfigure keeps what it does not name; unknown actions do nothing."""
    meeting = core(IN, (1, ANA))
    meeting.receive(ev.LinkChanged("redis", False, "gone"), 2)
    meeting.receive(ev.CommandReceived("reconfigure", {"language": "de-CH"}), 2)
    meeting.receive(ev.CommandReceived("reconfigure", {"task": "translate"}), 2)
    meeting.receive(ev.CommandReceived("reconfigure", {"language": "auto", "task": None}), 2)
    meeting.receive(ev.CommandReceived("dance"), 2)
    assert meeting.effects() == [
        ev.ReportHealth("redis", False, "gone"),
        ev.Reconfigure("de", None),
        ev.Reconfigure(None, "translate"),
        ev.Reconfigure("auto", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"language": "d\ud83d"}, "`language`"),
        ({"language": "klingon"}, "`language`"),
        ({"language": 7}, "`language`"),
        ({"language": ["de"]}, "`language`"),
        ({"language": "de", "task": "sing"}, "`task`"),
        ({"task": ["translate"]}, "`task`"),
    ],
)
def test_a_reconfiguration_that_no_transcriber_takes_is_refused(arguments: dict[str, object], named: str) -> None:
    """Handed on, every later lane would be turned away by the transcriber; nothing changes, and the reason is said."""
    meeting = core(IN, (1, ANA))
    meeting.receive(ev.CommandReceived("reconfigure", arguments), 2)
    (refusal,) = meeting.effects()
    assert isinstance(refusal, ev.RefuseCommand)
    assert refusal.why.startswith(named)


def test_renames_reach_the_roster() -> None:
    """The name of the next segment is the new one."""
    meeting = core(IN, (1, ANA), (2, ev.ParticipantRenamed("ana", "Ana B.")))
    assert meeting.roster.name("ana") == "Ana B."


EVENTS = st.one_of(
    st.sampled_from(
        [
            ev.LobbyEntered(),
            ev.Admitted(),
            ANA,
            ev.ParticipantLeft("ana"),
            ev.ParticipantRenamed("ana", "B"),
            ev.TrackOpened("t", "ana"),
            ev.TrackMuted("t"),
            ev.TrackUnmuted("t"),
            ev.TrackClosed("t"),
            ev.TransportLost(),
            ev.TransportBack(),
            ev.AudioHeard("t", 16000, -30.0, True),
            ev.CommandReceived("leave"),
            ev.StopRequested(SubCode.TERMINATED),
            ev.LinkChanged("redis", True),
        ]
    ),
    st.builds(ev.PlatformEnded, st.sampled_from(SubCode)),
)


@given(st.lists(st.tuples(st.floats(0, 500), EVENTS), max_size=40))
def test_any_order_of_events_ends_at_most_once(history: list[tuple[float, ev.Event]]) -> None:
    """Whatever happens in whatever order: legal moves, one leave order, one terminal status, one Finish."""
    meeting, now = MeetingCore(SETTINGS), 0.0
    effects: list[ev.Effect] = []
    for step, event in history:
        now += step
        meeting.tick(now)
        meeting.receive(event, now)
        effects += meeting.effects()
    finishes = [effect for effect in effects if isinstance(effect, ev.Finish)]
    assert sum(isinstance(effect, ev.LeaveMeeting) for effect in effects) <= 1
    assert sum(isinstance(effect, ev.StartSession) for effect in effects) <= 1
    assert len(finishes) == any(isinstance(event, ev.PlatformEnded) for _, event in history)
    assert sum(status in (State.COMPLETED, State.FAILED) for status in statuses(effects)) == len(finishes)


def test_joining_has_a_deadline() -> None:
    """A platform that neither comes in nor says that it waits is told to leave; the end is a timeout of the join."""
    meeting = MeetingCore(SETTINGS)
    meeting.begin(5)
    assert meeting.effects() == [ev.ReportStatus(State.JOINING)]
    assert meeting.next_timer() == 125
    meeting.tick(125)
    assert meeting.effects() == [ev.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 126)
    assert meeting.effects()[-1] == ev.Finish(SubCode.JOIN_TIMEOUT)


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
    assert meeting.effects() == [ev.ReportStatus(State.NEEDS_HELP, detail="a captcha")]
    assert meeting.next_timer() == 310
    meeting.tick(310)
    assert meeting.effects() == [ev.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 311)
    assert meeting.effects()[-1] == ev.Finish(SubCode.NEEDS_HELP_TIMEOUT)


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
    assert meeting.effects()[-1] == ev.Finish(SubCode.NEEDS_HELP_TIMEOUT)


def test_admission_ends_the_wait_for_good() -> None:
    """Later put back into the lobby the bot waits as long as the first time."""
    meeting = core((0, ev.HelpNeeded("a captcha")), (290, ev.LobbyEntered()), (500, ev.Admitted()))
    meeting.receive(ev.LobbyEntered(), 700)
    assert meeting.next_timer() == 1000


@pytest.mark.parametrize(
    ("event", "state", "timeout"),
    [(ev.LobbyEntered(), State.AWAITING_ADMISSION, 300), (ev.HelpNeeded("login"), State.NEEDS_HELP, 300)],
)
def test_out_of_the_room_again(event: ev.PlatformEvent, state: State, timeout: float) -> None:
    """Put back into the lobby: tracks are closed, nobody is alone there, its timeout counts; time zero stays."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")), (2, ev.PeopleCounted(3)))
    meeting.receive(event, 10)
    effects = meeting.effects()
    assert effects[0] == ev.CloseTrack("t")
    assert statuses(effects) == [state]
    assert meeting.next_timer() == 10 + timeout
    meeting.receive(ev.Admitted(), 20)
    effects = meeting.effects()
    assert statuses(effects) == [State.ACTIVE]
    assert ev.StartSession() not in effects
    assert meeting.next_timer() == 20 + 60  # alone until the platform says who is there


def test_people_that_are_only_counted_keep_the_bot_company() -> None:
    """A platform that names nobody and counts says by zero that the last one has left."""
    meeting = core(IN, (1, ev.PeopleCounted(2)))
    assert meeting.next_timer() == 3600
    meeting.receive(ev.PeopleCounted(0), 30)
    assert meeting.next_timer() == 90


def test_a_mix_belongs_to_nobody_and_is_watched() -> None:
    """Its sound is heard under the track's id; silence on it is said like that of any track."""
    meeting = core(IN, (1, ev.TrackOpened("mix", None)))
    assert meeting.roster.speaks_for("mix") == ("mix", "")
    assert meeting.health.next_timer() is not None


def test_the_floor_goes_to_the_audio_plane() -> None:
    """Who speaks in a mix is for those who map text to speakers."""
    meeting = core(IN)
    meeting.receive(ev.ActiveSpeakers(frozenset({"ana"}), 3.0), 3)
    assert meeting.effects() == [ev.FollowFloor(frozenset({"ana"}), 3.0)]


@pytest.mark.parametrize("event", [ev.ChatReceived("ana", "Ana", "hi"), ev.CaptionHeard(None, "Ana", "hi")])
def test_what_nobody_has_asked_for_changes_nothing(event: ev.PlatformEvent) -> None:
    """Chat and captions are understood; what was said is in no representation of them that could reach a log."""
    meeting = core(IN)
    meeting.receive(event, 1)
    assert meeting.effects() == []
    assert "hi" not in repr(event)


def test_an_unknown_event_is_an_oddity_and_nothing_more() -> None:
    """A forgotten branch is a type error; at run time the meeting goes on."""
    meeting = core(IN)
    meeting.receive("no event", 1)  # type: ignore[arg-type]
    assert meeting.effects() == [ev.LogOddity("str is not handled")]


def test_a_failure_of_ours_is_the_end_whatever_was_going_on() -> None:
    """Also on the way out: a bug is not an orderly end."""
    meeting = core(IN, (1, ev.CommandReceived("leave")))
    meeting.receive(ev.BotFailed(SubCode.INTERNAL_ERROR, "a bug"), 2)
    assert meeting.effects() == [
        ev.ReportStatus(State.FAILED, SubCode.INTERNAL_ERROR, "a bug", State.ACTIVE),
        ev.Finish(SubCode.INTERNAL_ERROR, "a bug"),
    ]


def test_evidence_is_in_the_terminal_report() -> None:
    """A screenshot of a failed join is named where people look for the reason."""
    meeting = core()
    meeting.receive(ev.PlatformEnded(SubCode.JOIN_REFUSED, "no", ("shot.png",)), 1)
    report = meeting.effects()[0]
    assert isinstance(report, ev.ReportStatus)
    assert report.evidence == ("shot.png",)
