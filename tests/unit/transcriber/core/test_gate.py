"""The gate opens before speech and closes after it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.audio.hysteresis import FRAME_SAMPLES
from transcriber.core.gate import Edge, GateSettings, SpeechGate

QUICK = GateSettings(onset=2 * FRAME_SAMPLES, pre_roll=3 * FRAME_SAMPLES, hangover=2 * FRAME_SAMPLES)


def edges(gate: SpeechGate, probabilities: list[float]) -> list[Edge]:
    """What the gate says to each frame."""
    return [edge for p in probabilities if (edge := gate.feed(p))]


def test_it_opens_before_the_onset_and_closes_after_the_hangover() -> None:
    """The pre-roll reaches back before the first frame of speech."""
    gate = SpeechGate(0, QUICK)
    assert edges(gate, [0] * 10 + [0.9, 0.9, 0.4, 0.1, 0.9, 0.1, 0.1]) == [
        Edge(True, 7 * FRAME_SAMPLES), Edge(False, 17 * FRAME_SAMPLES),
    ]  # fmt: skip


def test_a_click_does_not_open_it() -> None:
    """One frame of speech is no speech."""
    gate = SpeechGate(0, QUICK)
    assert edges(gate, [0.9, 0.0, 0.9, 0.0]) == []
    assert not gate.is_open


def test_the_pre_roll_never_reaches_into_the_last_utterance() -> None:
    """Utterances do not overlap, nor begin before the stream."""
    gate = SpeechGate(100, QUICK)
    assert edges(gate, [0.9, 0.9]) == [Edge(True, 100)]
    assert gate.close() == Edge(False, 100 + 2 * FRAME_SAMPLES)
    assert edges(gate, [0.9, 0.9]) == [Edge(True, 100 + 2 * FRAME_SAMPLES)]


def test_it_says_how_early_the_next_utterance_may_begin() -> None:
    """Everything before that is decided."""
    gate = SpeechGate(0, QUICK)
    edges(gate, [0.0] * 10)
    assert gate.earliest == 7 * FRAME_SAMPLES
    gate.feed(0.9)
    assert gate.earliest == 7 * FRAME_SAMPLES


@given(st.lists(st.floats(0, 1), max_size=200))
def test_edges_alternate_and_move_on(probabilities: list[float]) -> None:
    """Open, close, open, close; each no earlier than the one before."""
    found = edges(SpeechGate(), probabilities)
    assert [edge.opened for edge in found] == [n % 2 == 0 for n in range(len(found))]
    assert [edge.sample for edge in found] == sorted(edge.sample for edge in found)


def test_it_says_when_it_may_be_about_to_close() -> None:
    """After each frame of silence while open."""
    gate = SpeechGate(0, QUICK)
    seen = []
    for probability in (0.0, 0.9, 0.9, 0.1, 0.9, 0.1, 0.1):
        gate.feed(probability)
        seen.append(gate.is_closing)
    assert seen == [False, False, False, True, False, True, False]


def test_its_frames_begin_where_it_is_told() -> None:
    """Less than a frame is passed over, and nothing else changes."""
    gate = SpeechGate(0, QUICK)
    edges(gate, [0.9, 0.9, 0.9])
    gate.align(3 * FRAME_SAMPLES + 100)
    assert (gate.position, gate.is_open) == (3 * FRAME_SAMPLES + 100, True)
