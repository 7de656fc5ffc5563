"""How a stock server's texts decide utterances: more of `test_conversation.py`."""

from __future__ import annotations

from bot.links.transcriber.conversation import STOCK_DECISION_TIMEOUT_S, LaneDecided
from common.audio.pcm import SAMPLE_RATE
from tests.support.wire import THRESHOLD, finals, hears, segment, stock


def test_a_partial_of_the_next_utterance_leaves_the_first_decided() -> None:
    """It lies behind the end, so nothing of the first is left."""
    wire = stock(1, 1)
    news = hears(wire, segment(0.0, 0.9), segment(4.1, 4.9, " more", completed=False))
    assert [n for n in news if isinstance(n, LaneDecided)] == [LaneDecided(SAMPLE_RATE)]


def test_each_end_is_decided_by_a_segment_near_it() -> None:
    """Also when later ends have been told meanwhile."""
    wire = stock(1, 1)
    assert hears(wire, segment(0.0, 0.9))[-1] == LaneDecided(SAMPLE_RATE)
    assert hears(wire, segment(4.0, 4.9))[-1] == LaneDecided(2 * SAMPLE_RATE)


def test_a_partial_that_came_and_went_is_not_completed() -> None:
    """Nor one whose text kept changing: the server had not made up its mind."""
    wire = stock(1, 1)
    done = segment(0.0, 0.9)
    hears(wire, done)
    for count in range(THRESHOLD + 1):
        hears(wire, done, segment(4.0, 4.9, f" {count}", completed=False))
    assert hears(wire, done) == []
    assert wire.due(0.0) == []
    assert wire.due(2.0 + STOCK_DECISION_TIMEOUT_S) == [LaneDecided(2 * SAMPLE_RATE, assumed=True)]


def test_a_repetition_that_a_slow_server_showed_once_is_completed() -> None:
    """It counts what it showed of the same sentence before, then goes on without completing the second."""
    wire = stock(1, 1)
    done = segment(0.0, 0.9, " Yes.")
    hears(wire, done)
    hears(wire, done, segment(4.0, 4.9, " yes.", completed=False))
    assert finals(hears(wire, done)) == [(SAMPLE_RATE, 2 * SAMPLE_RATE - 1600, " yes.")]
    assert hears(wire, done) == []


def test_a_busy_stock_server_has_time_as_long_as_partials_come() -> None:
    """Patience begins again with each; a final after it is still told."""
    wire = stock(1)
    for now in range(0, 30, 5):
        wire.now = now
        hears(wire, segment(0.0, 0.5 + now / 100, f" hi {now}", completed=False))
        assert wire.due(float(now)) == []
    assert wire.due(25.0 + STOCK_DECISION_TIMEOUT_S) == [LaneDecided(SAMPLE_RATE, assumed=True)]
    assert finals(hears(wire, segment(0.0, 0.9))) == [(0, 14400, " hi")]
