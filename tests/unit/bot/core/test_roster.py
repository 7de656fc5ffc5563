"""Names, owners and who counts as a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import roster as roster_module
from bot.core.events import ParticipantKind, TrackKind
from bot.core.roster import MAX_NAME_CHARACTERS, MAX_NAMES, Roster, clean_name


@given(st.text())
def test_clean_names_are_one_harmless_line(name: str) -> None:
    """No display name can break a line, hide text or grow without bound."""
    cleaned = clean_name(name)
    assert len(cleaned) <= MAX_NAME_CHARACTERS
    assert cleaned == cleaned.strip()
    assert not set(cleaned) & set("\r\n\t\x1b\x00\u202e\u2066\ufeff")


def test_joiners_and_scripts_survive() -> None:
    """Emoji families and Persian joiners keep their shape; ANSI and bidi tricks do not."""
    assert clean_name("👩\u200d👧 می\u200cخواهم") == "👩\u200d👧 می\u200cخواهم"
    assert clean_name("  Ana\x1b[31m\r\n\u202eevil ") == "Ana[31m evil"


def test_names_that_look_alike_are_spelled_alike() -> None:
    """One letter and its accent are the letter with the accent, as everybody else writes it."""
    assert clean_name("Jose\u0301") == "José"


def test_remembered_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who joins ten thousand times a minute costs no memory; who is heard of lately keeps their name."""
    monkeypatch.setattr(roster_module, "MAX_NAMES", 3)
    roster = Roster()
    for number in range(10):
        roster.join("ana", "Ana", ParticipantKind.PERSON)
        roster.join(str(number), f"Guest {number}", ParticipantKind.PERSON)
        roster.leave(str(number))
    assert [roster.name(who) for who in ("ana", "9", "0")] == ["Ana", "Guest 9", "0"]


def test_people_and_services() -> None:
    """Agents and recorders have no vote; an unannounced owner of a track is taken for a person."""
    roster = Roster()
    roster.join("ana", "Ana", ParticipantKind.PERSON)
    roster.join("bot", "Recorder", ParticipantKind.SERVICE)
    assert roster.people == 1
    assert roster.is_person("ana")
    assert not roster.is_person("bot")
    assert roster.is_person("somebody")


def test_names_follow_renames_and_outlive_leaving() -> None:
    """Text that comes after its speaker left still carries the last name."""
    roster = Roster()
    roster.rename("ana", "Nobody yet")
    assert roster.name("ana") == "ana"
    roster.join("ana", "Ana", ParticipantKind.PERSON)
    roster.rename("ana", "Ana B.")
    roster.leave("ana")
    roster.leave("ana")
    assert roster.name("ana") == "Ana B."
    assert roster.people == 0


def test_tracks_have_owners() -> None:
    """A track belongs to its participant from opening to closing, and a rejoin forgets all."""
    roster = Roster()
    roster.open_track("t1", "ana")
    roster.open_track("t2", "ben")
    assert roster.speaks_for("t1") == ("ana", "ana")
    assert roster.tracks == ("t1", "t2")
    assert roster.owned_by("ben") == ["t2"]
    roster.close_track("t1")
    roster.close_track("t1")
    assert roster.speaks_for("t1") is None
    roster.clear()
    assert not roster.tracks


def test_a_mix_has_no_owner() -> None:
    """It speaks under its own id; a track that is not open, or of a service, under none."""
    roster = Roster()
    roster.open_track("mix", None)
    assert roster.is_mix("mix")
    assert not roster.is_mix("t")
    assert roster.speaks_for("mix") == ("mix", "")
    roster.join("bot", "Bot", ParticipantKind.SERVICE)
    roster.open_track("t", "bot")
    assert roster.speaks_for("t") is None


def test_bots_are_known_by_their_names() -> None:
    """Whole names, whatever their case; brackets mean themselves; services are no bots, they are nobody."""
    roster = Roster(["Notes*", "[bot] ?na"])
    for name in ("NOTES by X", "[BOT] Ana", "bAna", "My Notes", "Ana"):
        roster.join(name, name, ParticipantKind.PERSON)
    roster.join("s", "Notes", ParticipantKind.SERVICE)
    assert (roster.people, roster.bots) == (5, 2)
    roster.rename("Ana", "notes")
    assert roster.bots == 3
    plain = Roster()
    plain.join("x", "", ParticipantKind.PERSON)
    assert plain.bots == 0


@given(st.lists(st.text("a*?[]", min_size=1, max_size=128), max_size=4), st.text("ab", max_size=128))
def test_no_pattern_takes_long(patterns: list[str], name: str) -> None:
    """Many stars against a long name are no way to hold up the bot (hypothesis has a deadline)."""
    roster = Roster(patterns)
    roster.join("x", name, ParticipantKind.PERSON)
    assert roster.bots in (0, 1)


def test_speech_is_traced_to_tracks() -> None:
    """A speaker's own tracks; a mix under its own id, and for speakers who have none."""
    roster = Roster()
    for track_id, owner in (("t1", "ana"), ("t2", "ana"), ("t3", "ben"), ("mix", None)):
        roster.open_track(track_id, owner)
    assert roster.tracks_of("ana") == ["t1", "t2"]
    assert roster.tracks_of("mix") == ["mix"]
    assert roster.tracks_of("cleo") == ["mix"]


def test_shared_screens_are_speakers_of_their_own() -> None:
    """Under the track's id and their owner's present name, late text too; services' count for nobody."""
    roster = Roster()
    roster.join("ana", "Ana", ParticipantKind.PERSON)
    roster.join("agent", "Agent", ParticipantKind.SERVICE)
    roster.open_track("microphone", "ana")
    roster.open_track("shared", "ana", TrackKind.SCREEN)
    roster.open_track("its", "agent", TrackKind.SCREEN)
    assert roster.speaks_for("microphone") == ("ana", "Ana")
    assert roster.speaks_for("shared") == ("shared", "Ana (screen)")
    assert roster.speaks_for("its") is None
    assert (roster.tracks_of("ana"), roster.tracks_of("shared")) == (["microphone"], ["shared"])
    roster.rename("ana", "Dr. Ana")
    roster.close_track("shared")
    assert roster.speaks_for("shared") is None
    assert roster.name("shared") == "Dr. Ana (screen)"


def test_shared_screens_are_forgotten_in_the_end() -> None:
    """As many as names are remembered."""
    roster = Roster()
    for number in range(MAX_NAMES + 1):
        roster.open_track(f"t{number}", "ana", TrackKind.SCREEN)
    assert (roster.name("t0"), roster.name("t1")) == ("t0", "ana (screen)")
