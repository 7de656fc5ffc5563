"""Who speaks, as segments show it."""

from __future__ import annotations

from dataclasses import replace

from bot.core.segments import UNKNOWN_SPEAKER
from bot.core.speaking import MAX_OPEN_PIECES, Speaking
from common.contracts.segments import Segment
from common.contracts.speaker_events import SpeakerEvent

PARTIAL = Segment("b:ana:1480", 1.48, 2.0, "Good", "Ana", "ana", "en", False, "", "")


def told(speaking: Speaking, segment: Segment) -> list[tuple[str, int, str]]:
    """Events, shortened."""
    return [(event.event_type, event.at_ms, event.name) for event in speaking.events(segment)]


def test_a_start_with_the_first_partial_and_an_end_with_the_final() -> None:
    """Under the name that the speaker began with: the collector pairs them."""
    speaking = Speaking("bot-1")
    assert speaking.events(PARTIAL) == [SpeakerEvent("bot-1", "SPEAKER_START", 1480, "Ana", "ana")]
    assert told(speaking, replace(PARTIAL, end=2.5, text="Good morning")) == []
    final = replace(PARTIAL, end=3.02, speaker="Ana Silva", completed=True)
    assert told(speaking, final) == [("SPEAKER_END", 3020, "Ana")]


def test_a_final_without_partials_is_both() -> None:
    """Short answers have none."""
    final = replace(PARTIAL, completed=True)
    assert told(Speaking("b"), final) == [("SPEAKER_START", 1480, "Ana"), ("SPEAKER_END", 2000, "Ana")]


def test_of_a_mix_only_finals_say_who_spoke() -> None:
    """A start under one name and an end under another would never be paired."""
    speaking = Speaking("b")
    partial = replace(PARTIAL, speaker=UNKNOWN_SPEAKER, speaker_id="mix")
    assert told(speaking, partial) == []
    final = replace(PARTIAL, completed=True)
    assert told(speaking, final) == [("SPEAKER_START", 1480, "Ana"), ("SPEAKER_END", 2000, "Ana")]
    nobody = replace(partial, completed=True)
    assert [name for _, _, name in told(speaking, nobody)] == [UNKNOWN_SPEAKER, UNKNOWN_SPEAKER]


def test_a_partial_that_is_taken_back_ends_what_it_began() -> None:
    """And where nothing began, nothing ends."""
    speaking = Speaking("b")
    taken_back = replace(PARTIAL, start=1.48, end=1.48, text="")
    assert told(speaking, taken_back) == []
    speaking.events(PARTIAL)
    assert told(speaking, taken_back) == [("SPEAKER_END", 2000, "Ana")]


def test_open_pieces_are_bounded() -> None:
    """The oldest is forgotten."""
    speaking = Speaking("b")
    for number in range(MAX_OPEN_PIECES + 1):
        speaking.events(replace(PARTIAL, segment_id=str(number)))
    assert len(told(speaking, replace(PARTIAL, segment_id="0", completed=True))) == 2
    assert len(told(speaking, replace(PARTIAL, segment_id="2", completed=True))) == 1
