"""Is the bot hearing?"""

from __future__ import annotations

import pytest

from bot.core.effects import ReportHealth
from bot.core.events import MIX_TRACK, AudioHeard
from bot.core.health import DEAF_TIMEOUT_S, WORDLESS_SAMPLES, HearingHealth
from bot.core.unheeded import MUTE_SAMPLES, MUTE_WINDOW_S
from common.contracts.health import ZEROS_DBFS, Hearing, TrackCounters

ZEROS = float("-inf")


def subjects(health: HearingHealth, now: float) -> dict[str, bool]:
    """What is said at `now`, by subject."""
    return {report.subject: report.healthy for report in health.check(now)}


def test_a_silent_track_is_said_within_ten_seconds() -> None:
    """No packets at all: the track and, being the only one, the room are reported once."""
    health = HearingHealth()
    health.opened("t", 0)
    assert health.next_timer() == DEAF_TIMEOUT_S <= 10
    assert subjects(health, DEAF_TIMEOUT_S - 0.1) == {}
    assert subjects(health, DEAF_TIMEOUT_S) == {"track:t": False, "room": False}
    assert subjects(health, DEAF_TIMEOUT_S + 1) == {}
    assert health.next_timer() is None


@pytest.mark.parametrize("level", [ZEROS, -112.4])
def test_digital_zeros_are_not_hearing(level: float) -> None:
    """Packets full of zeros count as deaf, also after a lossy codec, and a signal heals."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(1, 9):
        health.heard(AudioHeard("t", 16000, level, False), second)
    reports = health.check(8)
    assert [(r.subject, r.healthy) for r in reports] == [("track:t", False), ("room", False)]
    assert "zeros" in reports[0].detail
    health.heard(AudioHeard("t", 16000, -60.0, False), 9)
    assert subjects(health, 9) == {"track:t": True, "room": True}


def test_an_encrypted_track_that_is_heard_after_all_has_its_key() -> None:
    """What other people's key encrypted may become ours to hear."""
    health = HearingHealth()
    health.opened("t", 0.0)
    health.encrypted("t")
    health.check(0.0)
    assert health.heard(AudioHeard("t", 16000, -30.0, False), 1.0)
    assert subjects(health, 1.0)["track:t"]


def test_an_encrypted_track_is_said_at_once() -> None:
    """It is not heard and cannot be: no time is given, nothing is tried; muted it is muted, unknown it is ignored."""
    health = HearingHealth()
    health.encrypted("t")
    health.opened("t", 0)
    health.encrypted("t")
    reports = health.check(0)
    assert [(r.subject, r.healthy, r.hearing) for r in reports] == [
        ("track:t", False, Hearing.ENCRYPTED),
        ("room", False, Hearing.ENCRYPTED),
    ]
    assert "on any of 1 open tracks: end-to-end encrypted" in reports[1].detail
    assert (health.dead, health.deaf, health.next_timer()) == ({}, False, None)
    health.muted("t", True, 1)
    assert health.room(1) is Hearing.ENCRYPTED
    assert subjects(health, 1) == {"track:t": True, "room": True}
    assert health.room(1) is Hearing.MUTED


def test_one_healthy_track_keeps_the_room_healthy() -> None:
    """A participant who never sends does not make the room deaf while another is heard."""
    health = HearingHealth()
    health.opened("quiet", 0)
    health.opened("loud", 0)
    health.heard(AudioHeard("loud", 16000, -40.0, True), 7)
    assert subjects(health, 8) == {"track:quiet": False}


def test_muted_and_closed_tracks_owe_nothing() -> None:
    """Mute stops the clock, unmute starts it anew, a closed track is forgotten; unknown tracks are ignored."""
    health = HearingHealth()
    health.opened("t", 0)
    health.muted("t", True, 1)
    assert health.next_timer() is None
    assert subjects(health, 100) == {}
    health.muted("t", False, 100)
    assert health.next_timer() == 100 + DEAF_TIMEOUT_S
    health.connection(True, 104)
    health.connection(False, 106)
    assert subjects(health, 113) == {}
    assert health.next_timer() == 114
    health.closed("t")
    health.closed("t")
    health.muted("t", False, 1)
    assert not health.heard(AudioHeard("t", 1, -1.0, False), 1)
    health.text(["t"], True, 1)
    assert subjects(health, 200) == {}


def test_a_dead_track_that_closes_is_said_to_be_over() -> None:
    """Nobody keeps a list of what is wrong with tracks that are gone; of one that was heard nothing is said."""
    health = HearingHealth()
    health.opened("dead", 0)
    health.opened("well", 0)
    health.heard(AudioHeard("well", 16_000, -30.0, False), 7)
    assert set(subjects(health, 8)) == {"track:dead"}
    assert health.closed("dead") == [ReportHealth("track:dead", True, "the track is closed")]
    assert health.closed("well") == []


def spoke(health: HearingHealth, first: int, last: int, track: str = "t") -> None:
    """Speech on a track, with its reports."""
    for second in range(first, last + 1):
        health.heard(AudioHeard(track, 16_000, -30.0, True, 50, 16_000, 16_000, 16_000), second)
        health.check(second)


def test_speech_without_an_answer_is_said_within_ten_seconds() -> None:
    """By timer, of the track and of the room; words heal."""
    health = HearingHealth()
    health.opened("t", 0)
    spoke(health, 1, 2)
    health.heard(AudioHeard("t", 16_000, -60.0, False), 6)
    assert health.next_timer() == 8 <= 1 + 10
    assert subjects(health, 7.9) == {}
    assert [(r.subject, r.hearing) for r in health.check(8)] == [
        ("track:t", Hearing.NO_TEXT),
        ("room", Hearing.NO_TEXT),
    ]
    health.text(["t"], False, 9)
    assert subjects(health, 9) == {"track:t": True, "room": True}


def test_an_answer_is_owed_once() -> None:
    """A report that looks back on what is answered already owes nothing; speech that goes on does."""
    health = HearingHealth()
    health.opened("t", 0)
    spoke(health, 1, 3)
    health.decided(["t", "gone"], 20_000, 3.5)
    spoke(health, 4, 4)
    health.heard(AudioHeard("t", 16_000, -60.0, False), 10)
    assert subjects(health, 14) == {}
    health.heard(AudioHeard("t", 16_000, -30.0, True, 50, 16_000, 0), 15)
    assert health.next_timer() == 23  # of the signal: what waits for a lane is not owed an answer
    spoke(health, 16, 16)
    assert health.next_timer() == 23
    health.heard(AudioHeard("t", 16_000, -60.0, False), 17)
    assert subjects(health, 23) == {"track:t": False, "room": False}


def test_speech_that_is_always_taken_for_none_is_said() -> None:
    """A server that decides again and again that there were no words is mute, too; a word makes up for it."""
    health = HearingHealth()
    health.opened("t", 0)
    last = WORDLESS_SAMPLES // 16_000
    for second in range(1, last):
        spoke(health, second, second)
        health.decided(["t"], 9_000, second)
    assert health.room(last - 1) is Hearing.OK
    spoke(health, last, last)
    assert health.room(last) is Hearing.NO_TEXT
    health.text(["t"], True, last)
    health.check(last)
    assert health.room(last) is Hearing.OK


def test_text_for_one_speaker_excuses_no_other() -> None:
    """With a lane each, one can be stuck: that track and the room are said, the other track is well."""
    health = HearingHealth()
    for track in ("t", "u"):
        health.opened(track, 0)
    reports = []
    for second in range(1, 10):
        for track in ("t", "u"):
            health.heard(AudioHeard(track, 16_000, -30.0, True, sent=16_000), second)
        health.text(["t"], False, second)
        reports += health.check(second)
    assert [(report.subject, report.healthy) for report in reports] == [("track:u", False), ("room", False)]


def test_without_a_transcriber_the_room_is_deaf() -> None:
    """Not at once: it may come back; and not where there is nothing to be heard anyway."""
    health = HearingHealth()
    health.opened("t", 0)
    health.link(False, 1)
    health.link(False, 2)
    health.heard(AudioHeard("t", 16_000, -60.0, False), 7)
    assert health.next_timer() == 9
    assert {r.hearing for r in health.check(9)} == {Hearing.NO_TRANSCRIBER}
    assert health.silent_since is None
    health.link(True, 10)
    assert {r.hearing for r in health.check(10)} == {Hearing.SILENT}


def test_company_without_a_track_is_said() -> None:
    """People are there and nothing of them can be heard: said after as long as a silent track is; a track heals."""
    health = HearingHealth()
    assert subjects(health, 100) == {}
    health.company(True)
    assert subjects(health, 100) == {}
    assert health.next_timer() == 108
    assert [(r.subject, r.hearing) for r in health.check(108)] == [("room", Hearing.NO_TRACKS)]
    health.opened("t", 109)
    assert subjects(health, 109) == {"room": True}


def test_a_muted_room_is_well() -> None:
    """Deafness that ends because everybody mutes is over; the words say how."""
    health = HearingHealth()
    health.opened("t", 0)
    assert subjects(health, 8) == {"track:t": False, "room": False}
    health.muted("t", True, 9)
    assert [(r.subject, r.detail) for r in health.check(9)] == [("track:t", "muted"), ("room", "every track is muted")]
    assert health.room(9) is Hearing.MUTED
    assert health.silent_since == 9


def test_a_pause_excuses_everything() -> None:
    """Nothing is owed and no silence counts; what was deaf before is deaf until it is heard."""
    health = HearingHealth()
    health.opened("t", 0)
    health.opened("u", 0)
    health.heard(AudioHeard("u", 16_000, -60.0, False), 8)
    assert subjects(health, 8) == {"track:t": False}
    health.pause(True, 9)
    assert subjects(health, 100) == {}
    assert (health.room(100), health.silent_since, health.dead) == (Hearing.PAUSED, None, {})
    health.pause(False, 101)
    assert subjects(health, 101) == {}
    assert health.dead == {"t": Hearing.NO_PACKETS}
    assert health.next_timer() == 109


def test_a_lost_connection_is_said_as_that() -> None:
    """The room is not reported in its stead, and nobody is silent meanwhile."""
    health = HearingHealth()
    health.opened("t", 0)
    health.company(True)
    health.connection(True, 1)
    assert subjects(health, 100) == {}
    assert (health.room(100), health.silent_since) == (Hearing.NO_PACKETS, None)


def test_silence_counts_from_the_last_speech_or_from_when_all_was_well() -> None:
    """Whichever was later."""
    health = HearingHealth()
    health.opened("t", 0)
    health.check(0)
    assert (health.silent_since, health.room(0)) == (0, Hearing.SILENT)
    spoke(health, 3, 3)
    health.decided(["t"], 1, 3)
    assert (health.silent_since, health.room(3)) == (3, Hearing.OK)


@pytest.mark.parametrize(
    ("levels", "deaf"),
    [([ZEROS], False), ([ZEROS, ZEROS], True), ([None], True), ([None, ZEROS], True), ([None, -30.0], False)],
)
def test_one_microphone_switched_off_is_no_deaf_room(levels: list[float | None], deaf: bool) -> None:
    """A single track of zeros is no reason to renew the connection: with hardware switches that is how mute sounds."""
    health = HearingHealth()
    for number, level in enumerate(levels):
        health.opened(str(number), 0)
        for second in range(1, 9):
            if level is not None:
                health.heard(AudioHeard(str(number), 16_000, level, False), second)
    health.check(8)
    assert health.deaf is deaf


def test_each_stage_is_counted() -> None:
    """From the frames to the finals: the stage at which nothing goes on is the one to look at."""
    health = HearingHealth()
    health.opened("t", 0)
    spoke(health, 1, 2)
    health.decided(["t"], 25_000, 3)
    health.text(["t"], True, 3)
    health.text(["t"], False, 3)
    assert health.counters == {"t": TrackCounters(100, 32_000, -30.0, 32_000, 32_000, 25_000, 1)}
    health.heard(AudioHeard("t", 1, ZEROS, False), 4)
    assert health.counters["t"].level_dbfs == ZEROS_DBFS


def test_noise_now_and_then_is_no_mute_transcriber() -> None:
    """What passes for speech a second in five minutes, and is decided to be none, is not held against it."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(0, 12_000, 5):
        if second % 300 == 0:
            spoke(health, second, second)
            health.decided(["t"], 16_000, second)
        health.heard(AudioHeard("t", 16_000, -60.0, False), second)
        assert subjects(health, second) == {}


def test_muting_pays_no_debt() -> None:
    """Who speaks and mutes before the answer was due would hide a mute transcriber for ever."""
    health = HearingHealth()
    health.opened("t", 0)
    spoke(health, 1, 3)
    health.muted("t", True, 4)
    assert subjects(health, 4) == {}
    assert health.next_timer() == 8
    assert subjects(health, 8) == {"track:t": False, "room": False}
    health.text(["t"], True, 9)
    assert [report.detail for report in health.check(9)] == ["muted", "every track is muted"]


def test_a_mix_that_no_text_comes_of_is_said() -> None:
    """Speech is detected on the mix alone, and it alone owes text; text and decisions about anybody pay."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(1, 12):
        health.heard(AudioHeard("t", 16000, -20.0, False), second)
        health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), second)
        said = subjects(health, second)
        assert said == ({"track:mix": False, "room": False} if second == 8 else {})
    assert (health.room(11), health.silent_since) == (Hearing.NO_TEXT, None)
    health.text(["t"], True, 12)
    assert subjects(health, 12) == {"track:mix": True, "room": True}
    assert health.room(12) is Hearing.OK
    assert health.counters[MIX_TRACK].sent == 11 * 16000
    health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), 20)
    health.decided([], 16000, 21)
    health.heard(AudioHeard("t", 16000, -50.0, False), 29)
    assert subjects(health, 29) == {}
    assert health.counters[MIX_TRACK].acknowledged == 16000


def test_speech_that_nobody_ever_answered_is_timed_from_its_beginning() -> None:
    """Once it is more than a noise, until anything is an answer; a break or a pause begins it anew."""
    health = HearingHealth()
    health.opened("t", 0)
    since = []
    for second in range(1, 61):
        health.heard(AudioHeard("t", 16000, -20.0, True, sent=16000, clear=16000), second)
        health.decided(["t"], 16000, second, is_assumed=True)
        health.check(second)
        since.append(health.unheeded_since)
    assert since == [None] * (MUTE_SAMPLES // 16000 - 1) + [1] * (61 - MUTE_SAMPLES // 16000)
    health.connection(True, 61)
    health.connection(False, 62)
    since = [health.unheeded_since]
    spoke(health, 63, 100)
    since.append(health.unheeded_since)
    health.decided([], 16000, 101)
    since.append(health.unheeded_since)
    spoke(health, 102, 150)
    assert [*since, health.unheeded_since] == [None, 63, None, None]


def test_music_on_hold_is_no_mute_transcriber() -> None:
    """Hours of what passes for speech and is none beyond doubt, to which a stock server is right to say nothing; and of
    what is, in any quarter of an hour, too little: nobody leaves for it. People who come then are another matter."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(4 * 3600):
        clear = 16_000 if second % 40 == 0 else 0
        health.heard(AudioHeard("t", 16_000, -30.0, True, sent=16_000, clear=clear), second)
        health.decided(["t"], 16_000, second, is_assumed=True)
        health.check(second)
        assert health.unheeded_since is None, second
    spoke(health, 4 * 3600, 4 * 3600 + 60)
    assert health.unheeded_since is not None
    health.check(4 * 3600 + 61 + MUTE_WINDOW_S)
    assert health.unheeded_since is None


def test_a_mix_ends_with_its_last_track() -> None:
    """What it owed is over then, what it still reports is nobody's; with the next track it begins anew."""
    health = HearingHealth()
    for track in ("t", "u"):
        health.opened(track, 0)
    for second in range(1, 10):
        for track in ("t", "u"):
            health.heard(AudioHeard(track, 16000, -20.0, False), second)
        health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), second)
        health.check(second)
    assert health.closed("t") == []
    assert health.room(9) is Hearing.NO_TEXT
    assert health.closed("u") == [ReportHealth("track:mix", True, "the track is closed")]
    assert health.closed("u") == []
    health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), 10)
    assert health.counters == {}
    assert health.next_timer() is None
    health.opened("t", 20)
    health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), 21)
    assert health.counters[MIX_TRACK].sent == 16000


def test_muting_everybody_pays_no_debt_of_a_mix() -> None:
    """All microphones off, and no text for what was said before: that is not a quiet room."""
    health = HearingHealth()
    health.opened("t", 0)
    health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), 1)
    health.muted("t", True, 2)
    assert subjects(health, 5) == {}
    assert health.room(5) is Hearing.MUTED
    assert subjects(health, 8) == {"track:mix": False, "room": False}
    assert health.room(8) is Hearing.NO_TEXT
    health.text([], True, 9)
    assert subjects(health, 9) == {"track:mix": True, "room": True}
    assert health.room(9) is Hearing.MUTED


def test_whoever_speaks_in_a_mix_keeps_the_bot_in_the_meeting() -> None:
    """Silence begins with the last speech of the mix; a mix that is quiet is not deaf, however long it is."""
    health = HearingHealth()
    health.opened("t", 0)
    for second in range(1, 100):
        health.heard(AudioHeard("t", 16000, -50.0, False), second)
        if second == 40:
            health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True), second)
        assert subjects(health, second) == {}
    assert health.silent_since == 40


def test_a_break_pays_what_a_mix_owes() -> None:
    """After a lost connection it has its time again, as every track has."""
    health = HearingHealth()
    health.opened("t", 0)
    health.heard(AudioHeard(MIX_TRACK, 16000, -20.0, True, sent=16000), 1)
    health.connection(True, 2)
    health.connection(False, 9)
    health.heard(AudioHeard("t", 16000, -50.0, False), 10)
    assert subjects(health, 12) == {}


def test_no_sound_of_the_room_is_known_when_it_is_said() -> None:
    """Neither a quiet room nor a transcriber that says nothing is one without sound."""
    health = HearingHealth()
    health.opened("t", 0)
    assert not health.is_soundless
    health.check(DEAF_TIMEOUT_S)
    assert health.is_soundless
