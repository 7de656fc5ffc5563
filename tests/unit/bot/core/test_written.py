"""Chat and captions: cleaned, bounded, and captions only where no sound came."""

from __future__ import annotations

from bot.core.effects import PublishText, ReportHealth
from bot.core.events import CaptionHeard, ChatReceived
from bot.core.health import DEAF_TIMEOUT_S
from bot.core.written import (
    BURST_TEXTS,
    CAPTION_LAG_S,
    MAX_HELD_CAPTIONS,
    MAX_TEXT_CHARACTERS,
    TEXTS_PER_S,
    UNHEARD_S,
    Written,
)
from common.contracts.segments import Source


def caption(start: float, end: float, words: str = "so it is") -> CaptionHeard:
    """What captions say that Ana said."""
    return CaptionHeard("ana", "Ana", words, start, end)


def published(start: float, end: float) -> PublishText:
    """The same, as it is published."""
    return PublishText(Source.CAPTIONS, "ana", "Ana", "so it is", start, end)


def test_what_is_written_is_cleaned() -> None:
    """One line without control or bidi characters; nothing is no message; whoever has no name is unknown."""
    written = Written()
    hostile = "\x1b[31mred\x00\r\n \u202eevil <b> " + "x" * 1_000_000
    (said,) = written.take(ChatReceived(None, "\x07", hostile), 1)
    assert isinstance(said, PublishText)
    assert (said.speaker_id, said.speaker) == ("unknown", "unknown")
    assert said.text.startswith("[31mred evil <b> xxx")
    assert len(said.text) == MAX_TEXT_CHARACTERS
    assert written.take(ChatReceived("ana", "Ana", "\u200b \n"), 1) == []


def test_a_flood_is_dropped_and_said_once() -> None:
    """So many at once, so many a second; another flood is said again."""
    written = Written()
    came = [written.take(ChatReceived("a", "A", str(number)), 5.0) for number in range(BURST_TEXTS + 50)]
    assert [one for took in came[:BURST_TEXTS] for one in took if isinstance(one, PublishText)]
    assert [len(took) for took in came] == [1] * (BURST_TEXTS + 1) + [0] * 49
    (said,) = came[BURST_TEXTS]
    assert isinstance(said, ReportHealth)
    assert (said.subject, said.healthy) == ("gap:chat", False)
    assert len(written.take(ChatReceived("a", "A", "x"), 5.0 + 1 / TEXTS_PER_S)) == 1
    assert written.take(ChatReceived("a", "A", "x"), 5.0 + 1 / TEXTS_PER_S) == []
    again = [written.take(caption(0, 1), 1_000.0) for _ in range(BURST_TEXTS + 1)]
    assert isinstance(again[-1][0], ReportHealth)
    assert again[-1][0].subject == "gap:captions"


def test_captions_of_a_room_that_is_heard_are_forgotten() -> None:
    """None is published, and those that are older than the next silence can be are not kept."""
    written = Written()
    written.take(caption(1, 2), 2)
    assert written.captions(False, 3) == []
    assert written.captions(True, 1.5 + UNHEARD_S + 0.1) == []


def test_captions_from_before_the_silence_was_noticed() -> None:
    """Words that were certainly said after the last sound are published once it is known that there is none."""
    written = Written()
    for start in (10.0, 14.0, 15.0):
        written.take(caption(start, start + 1), start + 1)
    at = 12.0 + DEAF_TIMEOUT_S  # the last sound was at 12: what is shown by 14 may have been heard
    assert written.captions(True, at) == [published(14.0, 15.0), published(15.0, 16.0)]
    written.take(caption(16, 40), 40)
    assert written.captions(True, 40) == [published(16, 40)]  # long, and none of it heard
    assert written.captions(True, 41) == []


def test_captions_when_sound_is_back() -> None:
    """What was mostly said before is published, what came later was heard."""
    written = Written()
    assert written.captions(True, 20) == []
    assert written.captions(False, 30) == []
    written.take(caption(27, 33), 33)
    written.take(caption(30 + CAPTION_LAG_S, 33), 33)
    assert written.captions(False, 33) == [published(27, 33)]


def test_captions_that_wait_are_bounded() -> None:
    """The oldest go."""
    written = Written()
    for number in range(MAX_HELD_CAPTIONS + 5):
        written.take(caption(float(number), float(number)), float(number))
    assert len(written.captions(True, 0.0)) == MAX_HELD_CAPTIONS
