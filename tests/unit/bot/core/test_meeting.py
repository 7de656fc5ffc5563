"""The meeting as a state machine, driven by hand; by hypothesis: `test_walks.py`."""

from __future__ import annotations

import pytest

from bot.core import effects as fx
from bot.core import events as ev
from bot.core import requests as rq
from bot.core.leave import LeaveSettings
from bot.core.meeting import MeetingCore
from bot.core.orders import Reconnect, Rejoin, Resubscribe
from bot.core.roster import Roster
from common.contracts.health import Hearing
from common.contracts.status import MEANINGS, State, SubCode

SETTINGS = LeaveSettings(lobby=300, no_one_joined=600, everyone_left=60, total=None, cap=3600)


def core(*history: tuple[float, ev.Event]) -> MeetingCore:
    """A meeting that has seen `history`, its effects taken."""
    meeting = MeetingCore(SETTINGS)
    for now, event in history:
        meeting.receive(event, now)
    meeting.effects()
    return meeting


def statuses(effects: list[fx.Effect]) -> list[State]:
    """The lifecycle changes among effects."""
    return [effect.status for effect in effects if isinstance(effect, fx.ReportStatus)]


ANA = ev.ParticipantJoined("ana", "Ana")
IN = (0.0, ev.Admitted())
LEAVE = ev.CommandReceived("leave", rq.Leave())
LEFT = fx.AnswerCommand("leave", True, "leaving")
HER_TRACK = (ev.TrackOpened("t", "ana"), ev.TrackMuted("t"))
"""Ana has a microphone, and it is off."""


def sound(speech: bool = False, level: float = -30.0, track: str = "t") -> ev.AudioHeard:
    """A second of audio."""
    return ev.AudioHeard(track, 16_000, level, speech, sent=16_000 * speech, clear=16_000 * speech)


def test_a_platform_without_lobby_still_passes_through_it() -> None:
    """Consumers of the older wire refuse joining → active."""
    meeting = MeetingCore(SETTINGS)
    assert meeting.next_timer() is None
    meeting.receive(ev.Admitted(), 1)
    effects = meeting.effects()
    assert statuses(effects) == [State.AWAITING_ADMISSION, State.ACTIVE]
    assert fx.StartSession() in effects


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
    meeting.tick(at - 0.1)
    assert fx.LeaveMeeting() not in meeting.effects()
    assert meeting.next_timer() == at
    meeting.tick(at)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), at + 1)
    assert fx.Finish(code) in meeting.effects()


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (LEAVE, SubCode.LEFT_BY_COMMAND),
        (ev.StopRequested(SubCode.TERMINATED), SubCode.TERMINATED),
    ],
)
def test_leaving_on_request(event: ev.Event, code: SubCode) -> None:
    """The first reason counts; asking twice leaves once; the platform's failing on the way out is no failure."""
    meeting = core(IN, (1, ANA))
    meeting.receive(event, 2)
    meeting.receive(ev.StopRequested(SubCode.INTERRUPTED), 2)
    assert [effect for effect in meeting.effects() if effect != LEFT] == [fx.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.CONNECTION_LOST, "gone"), 3)
    assert meeting.effects()[-1] == fx.Finish(code)
    meeting.receive(LEAVE, 4)
    meeting.tick(10**6)
    assert meeting.effects() == []
    assert meeting.next_timer() is None


def test_tracks_open_mute_and_close() -> None:
    """Mute and close end the utterance of the track; the roster knows the owner meanwhile."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    assert meeting.roster.speaks_for("t") == ("ana", "Ana")
    meeting.receive(ev.TrackMuted("t"), 2)
    assert meeting.effects() == [fx.CloseTrack("t")]
    meeting.receive(ev.TrackUnmuted("t"), 30)
    meeting.tick(37)
    assert meeting.effects() == []
    meeting.receive(ev.TrackClosed("t"), 37)
    assert meeting.effects() == [fx.CloseTrack("t")]
    assert meeting.roster.speaks_for("t") is None


def test_a_track_id_that_is_used_again_is_another_track() -> None:
    """What Ana says on it ends there, what was wrong with it is over, and what follows is Ben's voice."""
    shown = ev.TrackOpened("t", "ana", ev.TrackKind.SCREEN)
    meeting = core(IN, (1, ANA), (1, ev.ParticipantJoined("ben", "Ben")), (1, shown), (9, ev.PeopleCounted(2)))
    assert meeting.roster.speaks_for("t") == ("t", "Ana (screen)")
    meeting.receive(ev.TrackOpened("t", "ben"), 10)
    effects = meeting.effects()
    assert effects[:2] == [fx.CloseTrack("t"), fx.ReportHealth("track:t", True, "the track is closed")]
    assert meeting.roster.speaks_for("t") == ("ben", "Ben")
    assert meeting.roster.tracks_of("ana") == []


def test_who_turns_out_to_be_no_person_is_neither_owed_a_sound_nor_company() -> None:
    """An agent's track may be open before it is said to be an agent's: nothing is wrong when nothing comes of it."""
    meeting = core(IN, (1, ev.TrackOpened("t", "agent")), (1, ev.ParticipantJoined("agent", "Agent")))
    service = ev.ParticipantJoined("agent", "Agent", ev.ParticipantKind.SERVICE)
    meeting.receive(service, 2)
    assert meeting.effects() == [fx.CloseTrack("t")]
    assert (meeting.roster.speaks_for("t"), meeting.roster.people) == (None, 0)
    meeting.tick(40)
    assert meeting.effects() == []
    meeting.receive(ev.ParticipantJoined("agent", "Agent"), 41)
    meeting.receive(ev.TrackMuted("t"), 42)
    assert meeting.effects() == [fx.CloseTrack("t")]
    meeting.receive(ev.TrackUnmuted("t"), 43)
    meeting.tick(52)
    (track, _) = meeting.effects()
    assert isinstance(track, fx.ReportHealth)
    assert (track.subject, track.hearing) == ("track:t", Hearing.NO_PACKETS)
    meeting.receive(service, 53)
    assert meeting.effects()[:2] == [fx.CloseTrack("t"), fx.ReportHealth("track:t", True, "the track is closed")]


def test_deafness_is_said_and_healed() -> None:
    """Eight seconds without audio are reported, by timer; audio heals."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    timer = meeting.next_timer()
    assert timer == 9
    meeting.tick(timer)
    assert {e.subject for e in meeting.effects() if isinstance(e, fx.ReportHealth) and not e.healthy} == {
        "track:t",
        "room",
    }
    meeting.receive(sound(speech=True), 10)
    assert {e.subject for e in meeting.effects() if isinstance(e, fx.ReportHealth) and e.healthy} == {"track:t", "room"}


def test_a_dead_track_that_closes_is_reported() -> None:
    """The room goes on without it, and so does the list of what does not work."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")), (9, ev.PeopleCounted(1)))
    meeting.receive(ev.TrackClosed("t"), 10)
    assert fx.ReportHealth("track:t", True, "the track is closed") in meeting.effects()


def test_a_lost_connection_ends_utterances_and_a_rejoin_keeps_meeting_time() -> None:
    """What was being said is closed, both changes are reported, and no second session starts."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    meeting.receive(ev.TransportLost(), 5)
    effects = meeting.effects()
    assert fx.CloseTrack("t") in effects
    assert [e.healthy for e in effects if isinstance(e, fx.ReportHealth)] == [False]
    meeting.receive(ev.TransportBack(), 7)
    meeting.receive(ev.Admitted(), 7)
    effects = meeting.effects()
    assert [e.healthy for e in effects if isinstance(e, fx.ReportHealth)] == [True]
    assert fx.StartSession() not in effects
    assert meeting.roster.tracks == ()
    assert meeting.next_timer() == 67


def test_renames_reach_the_roster() -> None:
    """The name of the next segment is the new one."""
    meeting = core(IN, (1, ANA), (2, ev.ParticipantRenamed("ana", "Ana B.")))
    assert meeting.roster.name("ana") == "Ana B."


def test_people_that_are_only_counted_keep_the_bot_company() -> None:
    """A platform that names nobody and counts says by zero that the last one has left."""
    meeting = core(IN, (1, ev.PeopleCounted(2)), (1, ev.TrackOpened("mix", None)), (1, ev.TrackMuted("mix")))
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
    assert meeting.effects() == [fx.FollowFloor(frozenset({"ana"}), 3.0)]


def test_an_unknown_event_is_an_oddity_and_nothing_more() -> None:
    """A forgotten branch is a type error; at run time the meeting goes on."""
    meeting = core(IN)
    meeting.receive("no event", 1)  # type: ignore[arg-type]
    meeting.receive(ev.CommandReceived("x", "no request"), 1)  # type: ignore[arg-type]
    assert meeting.effects() == [fx.LogOddity("str is not handled")] * 2


def finish(meeting: MeetingCore, at: float) -> fx.Effect:
    """How it ends when the rule that is due at `at` has its way."""
    assert meeting.next_timer() == at
    meeting.tick(at)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), at + 1)
    return meeting.effects()[-1]


def test_no_rule_counts_people_while_the_connection_is_lost() -> None:
    """Alone since 10 s, lost at 60 s, back at 180 s: nobody knows who was there, and the rule begins anew."""
    meeting = core(IN, (1, ANA), (10, ev.ParticipantLeft("ana")), (60, ev.TransportLost()))
    meeting.receive(ev.TransportLost(), 61)
    meeting.receive(ev.ParticipantLeft("ana"), 65)
    for now in range(70, 180, 10):
        meeting.tick(now)
    assert fx.LeaveMeeting() not in meeting.effects()
    meeting.receive(ev.TransportBack(), 180)
    assert finish(meeting, 240) == fx.Finish(SubCode.LEFT_ALONE)


def test_a_platform_that_never_comes_back_is_given_up() -> None:
    """Platforms give up by themselves; one that does not has a deadline, and the end says what was lost."""
    assert finish(core(IN, (1, ANA), (10, ev.TransportLost())), 190) == fx.Finish(SubCode.CONNECTION_LOST)


def test_bots_keep_nobody_in_the_meeting() -> None:
    """When the people are gone and a bot with a known name is not, the rule for that leaves, under its own name."""
    meeting = MeetingCore(SETTINGS, Roster(["notes*"]))
    for now, event in (
        IN,
        (1.0, ANA),
        (2.0, ev.ParticipantJoined("n", "Notes by X")),
        (9.0, ev.ParticipantLeft("ana")),
    ):
        meeting.receive(event, now)
    meeting.receive(ev.TrackOpened("n", "n"), 9)
    meeting.receive(ev.TrackMuted("n"), 9)
    assert finish(meeting, 129) == fx.Finish(SubCode.ONLY_BOTS_LEFT)


def test_silence_counts_only_while_everything_is_heard() -> None:
    """From the last speech on, or from when hearing is well again; never while a track sends zeros."""
    meeting = MeetingCore(LeaveSettings(silence=100, silence_after=30))
    for now, event in (IN, (0.0, ANA), (0.0, ev.TrackOpened("t", "ana")), (1.0, sound(speech=True))):
        meeting.receive(event, now)
    meeting.receive(ev.UtteranceDecided("ana", 16_000), 2)
    for second in range(2, 20):
        meeting.receive(sound(level=-120), second)
    meeting.receive(sound(), 20)
    for second in range(21, 120):
        meeting.receive(sound(), second)
    assert fx.LeaveMeeting() not in meeting.effects()
    meeting.receive(sound(), 129)
    meeting.tick(130)
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 131)
    assert meeting.effects()[-1] == fx.Finish(SubCode.SILENCE_TIMEOUT)


def test_speech_without_text_is_said_within_ten_seconds() -> None:
    """Text for the speaker, or for whoever shares a mix, or a decision that nothing was said, is an answer."""
    meeting = core(IN, (0, ANA), (0, ev.TrackOpened("t", "ana")), (0, ev.TrackOpened("mix", None)))
    for second in range(1, 6):
        meeting.receive(sound(speech=True), second)
        meeting.receive(sound(speech=True, track="mix"), second)
        meeting.receive(ev.TextHeard("ana", is_final=False), second + 0.5)
        meeting.receive(ev.UtteranceDecided("ben", 16_000), second + 0.6)
    assert meeting.effects() == []
    for second in range(7, 15):
        meeting.receive(sound(speech=True), second)
        meeting.receive(sound(track="mix"), second)
    said = {effect.subject: effect.hearing for effect in meeting.effects() if isinstance(effect, fx.ReportHealth)}
    assert said == {"track:t": Hearing.NO_TEXT, "room": Hearing.NO_TEXT}


def talk(meeting: MeetingCore, seconds: range) -> list[float]:
    """Ana speaks and is sent; returns when the bot would leave, if it would."""
    left = []
    for second in seconds:
        meeting.receive(sound(speech=True), second)
        meeting.tick(second)
        left += [float(second) for effect in meeting.effects() if isinstance(effect, fx.LeaveMeeting)]
    return left


def test_where_no_transcriber_ever_answers_the_bot_does_not_stay() -> None:
    """Ten minutes from the first speech on; what was only assumed is no answer, and a noise is no speech."""
    meeting = core(IN, (0, ANA), (0, ev.TrackOpened("t", "ana")))
    assert talk(meeting, range(5, 10)) == []
    meeting.receive(ev.UtteranceDecided("ana", 80_000, is_assumed=True), 20)
    assert talk(meeting, range(300, 325)) == []
    meeting.receive(ev.UtteranceDecided("ana", 400_000, is_assumed=True), 330)
    assert talk(meeting, range(600, 700)) == [605]
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 701)
    assert meeting.effects()[-1] == fx.Finish(SubCode.TRANSCRIBER_MUTE)


@pytest.mark.parametrize("answer", [ev.TextHeard("ana", False), ev.UtteranceDecided("ana", 16_000)])
def test_a_transcriber_that_has_ever_answered_is_waited_for(answer: ev.Event) -> None:
    """It may come back: what it owes is said, and nobody leaves for it."""
    meeting = core(IN, (0, ANA), (0, ev.TrackOpened("t", "ana")), (5, sound(speech=True)), (6, answer))
    assert talk(meeting, range(7, 1000)) == []


def test_a_pause_gives_a_transcriber_its_time_again() -> None:
    """And so does a lost connection: nothing is sent meanwhile."""
    meeting = core(IN, (0, ANA), (0, ev.TrackOpened("t", "ana")))
    assert talk(meeting, range(5, 100)) == []
    for paused in (True, False):
        meeting.receive(ev.CommandReceived("x", rq.Pause(paused)), 100)
    assert talk(meeting, range(200, 799)) == []
    assert talk(meeting, range(799, 900)) == [800]


def test_links_are_health() -> None:
    """Their changes are said at once; a transcriber that stays away makes the room deaf."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    meeting.receive(ev.LinkChanged("redis", False, "gone"), 2)
    meeting.receive(ev.LinkChanged("transcriber", False, "gone"), 2)
    assert meeting.effects() == [
        fx.ReportHealth("redis", False, "gone"),
        fx.ReportHealth("transcriber", False, "gone"),
    ]
    meeting.receive(sound(), 9)
    meeting.tick(10)
    (room,) = meeting.effects()
    assert isinstance(room, fx.ReportHealth)
    assert (room.subject, room.hearing) == ("room", Hearing.NO_TRANSCRIBER)


def test_a_dead_track_is_subscribed_anew_and_a_dead_room_joined_anew() -> None:
    """The platform is ordered what it can do, while we are inside; sound ends it."""
    meeting = MeetingCore(SETTINGS, orders={Resubscribe, Reconnect, Rejoin})
    for now, event in (IN, (0.0, ANA), (0.0, ev.TrackOpened("t", "ana")), (0.0, ev.TrackOpened("u", "ana"))):
        meeting.receive(event, now)
    orders = []
    for now in range(1, 60):
        meeting.tick(now)
        orders += [(now, e.order) for e in meeting.effects() if isinstance(e, fx.GiveOrder)]
    assert orders[:4] == [(8, Resubscribe("t")), (8, Resubscribe("u")), (18, Reconnect()), (23, Resubscribe("t"))]
    assert orders[-1] == (38, Rejoin())
    meeting.receive(sound(), 60)
    meeting.receive(LEAVE, 61)
    meeting.effects()
    meeting.tick(200)
    assert not any(isinstance(effect, fx.GiveOrder) for effect in meeting.effects())


def test_an_encrypted_track_is_reported() -> None:
    """What the platform says of a track is said of the track and of the room."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")))
    meeting.receive(ev.TrackEncrypted("t"), 1)
    reports = [effect for effect in meeting.effects() if isinstance(effect, fx.ReportHealth)]
    assert [report.hearing for report in reports] == [Hearing.ENCRYPTED, Hearing.ENCRYPTED]


@pytest.mark.parametrize(
    "code", [SubCode.REMOVED, SubCode.CONNECTION_LOST, SubCode.INTERNAL_ERROR, SubCode.MEETING_ENDED]
)
def test_the_platform_ends_it(code: SubCode) -> None:
    """An end that nobody asked for keeps the platform's reason and detail."""
    meeting = core(IN)
    meeting.receive(ev.PlatformEnded(code, "why"), 2)
    report, finish = meeting.effects()
    assert finish == fx.Finish(code, "why")
    assert isinstance(report, fx.ReportStatus)
    assert report.status is (State.COMPLETED if MEANINGS[code].completed else State.FAILED)
    assert report.stage is State.ACTIVE


def test_joining_has_a_deadline() -> None:
    """A platform that neither comes in nor says that it waits is told to leave; the end is a timeout of the join."""
    meeting = MeetingCore(SETTINGS)
    meeting.begin(5)
    assert meeting.effects() == [fx.ReportStatus(State.JOINING)]
    assert meeting.next_timer() == 125
    meeting.tick(125)
    assert meeting.effects() == [fx.LeaveMeeting()]
    meeting.receive(ev.PlatformEnded(SubCode.LEFT_BY_COMMAND), 126)
    assert meeting.effects()[-1] == fx.Finish(SubCode.JOIN_TIMEOUT)


def test_a_failure_of_ours_is_the_end_whatever_was_going_on() -> None:
    """Also on the way out: a bug is not an orderly end."""
    meeting = core(IN, (1, LEAVE))
    meeting.receive(ev.BotFailed(SubCode.INTERNAL_ERROR, "a bug"), 2)
    assert meeting.effects() == [
        fx.ReportStatus(State.FAILED, SubCode.INTERNAL_ERROR, "a bug", State.ACTIVE),
        fx.Finish(SubCode.INTERNAL_ERROR, "a bug"),
    ]


@pytest.mark.parametrize(
    ("event", "state", "timeout"),
    [(ev.LobbyEntered(), State.AWAITING_ADMISSION, 300), (ev.HelpNeeded("login"), State.NEEDS_HELP, 300)],
)
def test_out_of_the_room_again(event: ev.PlatformEvent, state: State, timeout: float) -> None:
    """Put back into the lobby: tracks are closed, nobody is alone there, its timeout counts; time zero stays."""
    meeting = core(IN, (1, ANA), (1, ev.TrackOpened("t", "ana")), (2, ev.PeopleCounted(3)))
    meeting.receive(event, 10)
    meeting.receive(event, 11)
    effects = meeting.effects()
    assert effects[0] == fx.CloseTrack("t")
    assert statuses(effects) == [state]
    assert meeting.next_timer() == 10 + timeout
    meeting.receive(ev.Admitted(), 20)
    effects = meeting.effects()
    assert statuses(effects) == [State.ACTIVE]
    assert fx.StartSession() not in effects
    assert meeting.next_timer() == 20 + 60  # alone until the platform says who is there


def test_tracks_of_services_are_not_watched() -> None:
    """A recorder that sends nothing does not make the room deaf."""
    meeting = core(
        IN,
        (1, ANA),
        (1, ev.ParticipantJoined("r", "Recorder", ev.ParticipantKind.SERVICE)),
        (1, ev.TrackOpened("t", "r")),
        (1, ev.TrackOpened("a", "ana")),
        (1, ev.TrackMuted("a")),
    )
    meeting.tick(100)
    assert meeting.effects() == []
