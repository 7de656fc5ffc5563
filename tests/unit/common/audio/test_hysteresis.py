"""One decision under every speech gate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.audio.hysteresis import Edge, SpeechHysteresis, Thresholds

LIMITS = Thresholds(onset_frames=2, hangover_frames=3)


def edges(values: list[float]) -> list[tuple[int, Edge]]:
    """Frame number and edge."""
    speech = SpeechHysteresis(LIMITS)
    return [(at, edge) for at, value in enumerate(values) if (edge := speech.feed(value)) is not None]


def test_speech_begins_at_one_threshold_and_goes_on_down_to_the_other() -> None:
    """A doubtful frame opens nothing, and keeps open what is."""
    assert edges([0.4, 0.4, 0.4]) == []
    assert edges([0.5, 0.35, 0.5]) == []
    assert edges([0.5, 0.5, *[0.35] * 10]) == [(1, Edge.OPENED)]


def test_it_closes_after_the_hangover_and_not_before() -> None:
    """A pause that is shorter ends with any frame of at least `release`: the next word may begin softly."""
    assert edges([0.9, 0.9, 0, 0, 0.35, 0, 0, 0]) == [(1, Edge.OPENED), (7, Edge.CLOSED)]


def test_reset_is_closed_as_at_the_beginning() -> None:
    """Whatever was going on."""
    speech = SpeechHysteresis(LIMITS)
    speech.feed(0.9)
    speech.feed(0.9)
    assert speech.is_open
    speech.reset()
    assert (speech.is_open, speech.run) == (False, 0)


@given(st.lists(st.floats(0, 1), max_size=200))
def test_edges_alternate(values: list[float]) -> None:
    """Open, close, open, close."""
    found = [edge for _, edge in edges(values)]
    assert found == [Edge.OPENED, Edge.CLOSED] * (len(found) // 2) + [Edge.OPENED] * (len(found) % 2)
