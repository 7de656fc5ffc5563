"""A lane's ledger: whose its samples are, and what is undecided on it."""

from __future__ import annotations

from bot.audio.ledger import Ledger
from bot.core.segments import Utterance


def spoken(ledger: Ledger, number: int, speaker: str, start: int, length: int, *, ended: bool = True) -> Utterance:
    """An utterance on the lane; its speech begins 10 samples after its audio."""
    utterance = Utterance(number, speaker, speaker, start + 10)
    ledger.begin(utterance)
    ledger.note(length, start)
    if ended:
        utterance.end = start + length
    return utterance


def test_text_is_whose_its_middle_is_within_the_utterance() -> None:
    """Bounds that lie in somebody else's samples are those of the utterance; times shift as its audio did."""
    ledger = Ledger()
    ana = spoken(ledger, 1, "ana", 5000, 1000)
    ben = spoken(ledger, 2, "ben", 4000, 1000, ended=False)  # it waited: later on the lane, earlier in the meeting
    found = ledger.find(100, 900)
    assert found is not None
    assert (found.utterance, found.start, found.end, found.shift) == (ana, 5100, 5900, 5000)
    found = ledger.find(500, 1400)
    assert found is not None
    assert (found.utterance, found.start, found.end) == (ana, 5500, ana.end)
    found = ledger.find(700, 1700)
    assert found is not None
    assert (found.utterance, found.start, found.end, found.shift) == (ben, ben.onset, 4700, 3000)
    found = ledger.find(1500, 1500)
    assert found is not None
    assert (found.start, found.end) == (4500, 4501)


def test_what_the_ledger_does_not_know_is_nobodys() -> None:
    """Before, after, and once it is forgotten: Ana's late words do not become Ben's. The last decided one is kept."""
    ledger = Ledger()
    assert ledger.find(0, 10) is None
    spoken(ledger, 1, "ana", 5000, 1000)
    ledger.decided(1000)
    late = ledger.find(100, 200)
    assert late is not None
    assert late.utterance.speaker == "ana"
    assert ledger.find(1000, 1200) is None
    spoken(ledger, 2, "ben", 9000, 1000)
    ledger.decided(1200)
    assert ledger.find(100, 200) is None
    assert ledger.find(900, 1050) is None
    assert ledger.find(-50, -10) is None


def test_an_utterance_is_complete_when_it_has_ended_and_all_is_decided() -> None:
    """In either order; the one that goes on is never."""
    ledger = Ledger()
    ana = spoken(ledger, 1, "ana", 0, 1000)
    more = spoken(ledger, 2, "ana", 2000, 1000, ended=False)
    assert ledger.decided(999) == []
    assert ledger.undecided == 1001
    assert ledger.decided(1000) == [ana]
    assert ledger.decided(2000) == []
    assert ledger.undecided_utterances == [more]
    more.end = 3000
    assert ledger.settle() == [more]
    assert ledger.undecided_utterances == []
    assert ledger.decided(99_999) == []
    assert ledger.undecided == 0


def test_what_is_given_up_is_not_undecided_any_more() -> None:
    """The drop says where the rest begins and when in the meeting it was; an utterance that is all gone is complete."""
    ledger = Ledger()
    ana = spoken(ledger, 1, "ana", 5000, 1000)
    spoken(ledger, 2, "ana", 8000, 1000)
    assert ledger.drop(400) == (400, 5000)
    assert ledger.settle() == []
    assert ledger.drop(700) == (1100, 5400)
    assert ledger.settle() == [ana]
    assert ledger.undecided == 900
