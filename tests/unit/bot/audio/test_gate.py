"""Cutting tracks into utterances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bot.audio.gate import WARM_UP_FRAMES, End, GateEvent, GateSettings, Onset, Speech, SpeechGate
from common.audio.hysteresis import FRAME_SAMPLES as FRAME

RATE = 16_000
SILENCE, MAYBE, SPEECH, SURE = 1, 4000, 8000, 9500
"""Sample values; `by_value` takes them for speech probabilities 0, 0.4, 0.8 and 0.95 (each above the energy floor)."""


def by_value(frame: NDArray[np.float32]) -> float:
    """A detector for scripted tracks: the mean amplitude is the probability."""
    return float(np.abs(frame).mean() * 32768 / 10_000)


def track(*parts: tuple[int, int]) -> NDArray[np.int16]:
    """Samples of (value, frames) after each other; each sample's lowest bits count, so that order shows."""
    values = np.concatenate([np.full(frames * FRAME, value) for value, frames in parts])
    return (values + np.arange(len(values)) % 7).astype(np.int16)


def gate(settings: GateSettings | None = None) -> SpeechGate:
    """With the scripted detector."""
    return SpeechGate(by_value, settings or GateSettings(floor_dbfs=-80))


def frames_of(seconds: float) -> int:
    """Whole frames that cover so many seconds."""
    return int(-(-seconds * RATE // FRAME))


def utterances(events: list[GateEvent]) -> list[tuple[Onset, NDArray[np.int16], End]]:
    """Checks the grammar of the events and puts each utterance together."""
    found: list[tuple[Onset, NDArray[np.int16], End]] = []
    onset: Onset | None = None
    pieces: list[Speech] = []
    for event in events:
        if isinstance(event, Onset):
            assert onset is None
            onset, pieces = event, []
            assert event.start <= event.speech
            assert not found or event.start >= found[-1][0].start + len(found[-1][1])
            assert not found or event.start >= found[-1][2].end - RATE // 20
        elif isinstance(event, Speech):
            assert onset is not None
            assert len(event.pcm) > 0
            assert event.start == (pieces[-1].start + len(pieces[-1].pcm) if pieces else onset.start)
            pieces.append(event)
        else:
            assert onset is not None
            pcm = np.concatenate([piece.pcm for piece in pieces])
            assert onset.speech < event.end <= onset.start + len(pcm)
            found.append((onset, pcm, event))
            onset = None
    assert onset is None
    return found


def test_one_utterance() -> None:
    """It begins with 0.4 s of pre-roll, carries 0.2 s after its end, and reports where the speech was."""
    sound = track((SILENCE, 40), (SPEECH, 30), (SILENCE, 40))
    events = gate().push(1000, sound)
    ((onset, pcm, end),) = utterances(events)
    speech = 1000 + 40 * FRAME
    assert onset == Onset(speech - frames_of(0.4) * FRAME, speech)
    assert end == End(speech + 30 * FRAME + RATE // 20)
    assert len(pcm) == (frames_of(0.4) + 30 + frames_of(0.2)) * FRAME
    first = onset.start - 1000
    assert np.array_equal(pcm, sound[first : first + len(pcm)])


def test_the_end_is_reported_a_third_of_a_second_after_the_last_speech() -> None:
    """Not later than the hangover, rounded up to a frame."""
    opened = gate()
    opened.push(0, track((SPEECH, 20)))
    waited = next(n for n in itertools.count(1) if opened.push((19 + n) * FRAME, track((SILENCE, 1))) and n > 7)
    assert waited == frames_of(0.32) == 10
    assert waited * FRAME / RATE <= 0.33


def test_what_is_speech_beyond_doubt_is_counted() -> None:
    """In each utterance by itself, its onset included; clicks before it, and what the end cuts off, are not."""
    sound = track(
        (SURE, 2), (SILENCE, 3), (SURE, 10), (SILENCE, 3), (SPEECH, 10), (SILENCE, 16), (SPEECH, 10), (SILENCE, 16)
    )  # fmt: skip
    hearing = gate()
    ends = [event for event in hearing.push(0, sound) if isinstance(event, End)]
    assert [end.clear for end in ends] == [10 * FRAME, 0]
    hearing.push(len(sound), track((SURE, 20)))
    assert [event.clear for event in hearing.flush() if isinstance(event, End)] == [20 * FRAME]
    hearing.push(10 * len(sound), track((SURE, 2)))
    hearing.flush()
    assert [event.clear for event in hearing.push(20 * len(sound), track((SPEECH, 9), (SILENCE, 16)))[-1:]] == [0]  # type: ignore[union-attr]


def test_a_pause_inside_a_sentence_is_bridged() -> None:
    """0.29 s of silence are sent once speech goes on."""
    sound = track((SPEECH, 10), (SILENCE, 9), (SPEECH, 10), (SILENCE, 20))
    ((_, pcm, _),) = utterances(gate().push(0, sound))
    assert np.array_equal(pcm[: 31 * FRAME], sound[: 31 * FRAME])


def test_two_utterances_share_no_sample() -> None:
    """The pre-roll of the second begins where the first ended."""
    sound = track((SPEECH, 10), (SILENCE, 16), (SPEECH, 10), (SILENCE, 20))
    first, second = utterances(gate().push(0, sound))
    assert len(first[1]) == (10 + frames_of(0.2)) * FRAME
    assert second[0] == Onset(17 * FRAME, 26 * FRAME)


def test_hysteresis() -> None:
    """A doubtful frame does not open the gate; once it is open, it is speech, also after a short pause."""
    assert gate().push(0, track((MAYBE, 50))) == []
    held = utterances(gate().push(0, track((SPEECH, 5), (MAYBE, 20), (SPEECH, 5), (SILENCE, 20))))
    assert [end.end for _, _, end in held] == [30 * FRAME + RATE // 20]
    paused = utterances(gate().push(0, track((SPEECH, 5), (SILENCE, 1), (MAYBE, 20), (SILENCE, 20))))
    assert [end.end for _, _, end in paused] == [26 * FRAME + RATE // 20]


@pytest.mark.parametrize(("frames", "opens"), [(2, False), (3, True)])
def test_clicks_open_nothing(frames: int, opens: bool) -> None:
    """Speech of under 0.09 s is none."""
    sound = track((SILENCE, 20), (SPEECH, frames), (SILENCE, 20))
    assert bool(gate().push(0, sound)) is opens


def test_too_quiet_to_be_speech() -> None:
    """Whatever the detector thinks of it."""
    whisper = np.full(FRAME * 20, 30, np.int16)  # -60.8 dBFS
    assert SpeechGate(lambda frame: 1.0).push(0, whisper) == []
    assert SpeechGate(lambda frame: 1.0).push(0, whisper * 2) != []


def test_the_detector_sees_silence_only_before_something_else() -> None:
    """And not more of it than it takes to be ready: the network is what an open silent microphone costs."""
    seen: list[int] = []

    def detector(frame: NDArray[np.float32]) -> float:
        seen.append(round(float(np.abs(frame).max()) * 32768))
        return 0.0

    one = SpeechGate(detector, GateSettings(floor_dbfs=-60))
    one.push(0, track((SILENCE, 300)))
    assert seen == []
    one.push(300 * FRAME, track((SPEECH, 2), (SILENCE, 3), (SPEECH, 1)))
    assert [value > 1000 for value in seen] == [False] * WARM_UP_FRAMES + [True, True, False, False, False, True]


def test_a_short_gap_is_silence() -> None:
    """What is sent stays aligned with the meeting's clock."""
    opened = gate()
    events = opened.push(0, track((SPEECH, 10)))
    events += opened.push(10 * FRAME + 4000, track((SPEECH, 10), (SILENCE, 20)))
    ((_, pcm, _),) = utterances(events)
    assert not pcm[10 * FRAME : 10 * FRAME + 4000].any()
    assert pcm[10 * FRAME + 4000] == SPEECH


@pytest.mark.parametrize("before", [10 * FRAME, 10 * FRAME + 17])
def test_a_correction_of_the_clock_does_not_click(before: int) -> None:
    """A gap of a few samples is a line between its neighbours."""
    opened = gate()
    sound = np.full(40 * FRAME, SPEECH, np.int16)
    events = opened.push(0, sound[:before]) + opened.push(before + 2, sound) + opened.flush()
    ((_, pcm, _),) = utterances(events)
    assert pcm[before - 1 : before + 3].tolist() == [SPEECH] * 4


def test_a_long_gap_ends_the_utterance() -> None:
    """The next one begins behind the gap; what was in hand is sent."""
    opened = gate()
    events = opened.push(0, track((SPEECH, 10))[:-100])
    events += opened.push(10 * FRAME + RATE, track((SPEECH, 10), (SILENCE, 20)))
    first, second = utterances(events)
    assert len(first[1]) == first[2].end == 10 * FRAME - 100
    assert second[0] == Onset(10 * FRAME + RATE, 10 * FRAME + RATE)


def test_overlap_is_trimmed() -> None:
    """Audio that was there already is dropped, wholly or in part."""
    opened, sound = gate(), track((SPEECH, 10), (SILENCE, 20))
    events = opened.push(0, sound[:3000]) + opened.push(1000, sound[1000:2000])
    events += opened.push(2500, sound[2500:])
    ((_, pcm, _),) = utterances(events)
    assert np.array_equal(pcm, sound[: len(pcm)])


def test_an_empty_piece_after_a_gap() -> None:
    """No audio, no harm."""
    opened = gate()
    opened.push(0, track((SILENCE, 1)))
    assert opened.push(FRAME + 5, np.empty(0, np.int16)) == []


class TestFlush:
    def test_while_speaking(self) -> None:
        """All that came is sent, up to the last sample."""
        opened, sound = gate(), track((SPEECH, 10))[:-200]
        ((_, pcm, end),) = utterances(opened.push(0, sound) + opened.flush())
        assert np.array_equal(pcm, sound)
        assert end == End(len(sound))
        assert opened.flush() == []

    def test_in_the_hangover(self) -> None:
        """The end is that of the speech."""
        opened = gate()
        events = opened.push(0, track((SPEECH, 10), (SILENCE, 10))[:-200]) + opened.flush()
        assert [end.end for _, _, end in utterances(events)] == [10 * FRAME + RATE // 20]

    def test_the_track_goes_on_later(self) -> None:
        """Not before where it ended, whatever its clock says."""
        opened = gate()
        opened.push(0, track((SPEECH, 10)))
        opened.flush()
        ((onset, pcm, _),) = utterances(opened.push(10 * FRAME - 50, track((SPEECH, 10), (SILENCE, 20))))
        assert onset.start == 10 * FRAME
        assert len(pcm) >= 9 * FRAME


class TestIdle:
    @pytest.mark.parametrize(("silent", "after"), [(0, 0.63), (5, 0.63), (7, 0.42), (9, 0.42)])
    def test_a_track_that_stops_sending(self, silent: int, after: float) -> None:
        """Its utterance ends 0.63 s after the last speech, sooner if silence had begun; what comes late is another."""
        opened = gate()
        events = opened.push(0, track((SPEECH, 10), (SILENCE, silent)))
        quiet = round(after * RATE) - silent * FRAME
        assert opened.idle(quiet) == []
        events += opened.idle(quiet + 1)
        assert isinstance(events[-1], End)
        events += opened.push((10 + silent) * FRAME + 3000, track((SPEECH, 10), (SILENCE, 20)))
        assert len(utterances(events)) == 2

    def test_nothing_to_end(self) -> None:
        """Outside an utterance, nothing happens."""
        opened = gate()
        opened.push(0, track((SILENCE, 10)))
        assert opened.idle(10**9) == []


@given(
    st.lists(st.tuples(st.sampled_from([SILENCE, MAYBE, SPEECH]), st.integers(1, 40)), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(1, 9000), st.sampled_from([0, 0, 0, 3, 500, 30_000])), max_size=12),
)
def test_any_track_in_any_pieces(parts: list[tuple[int, int]], cuts: list[tuple[int, int]]) -> None:
    """Utterances are contiguous, in order, and hold every run of speech that is long enough, sample for sample."""
    sound, opened = track(*parts), gate()
    taken = np.zeros(len(sound) + sum(gap for _, gap in cuts) + 1, np.int16)  # on the meeting's clock
    events: list[GateEvent] = []
    at = start = 0
    for size, gap in [*cuts, (len(sound), 0)]:
        piece = sound[at : at + size]
        events += opened.push(start, piece)
        taken[start : start + len(piece)] = piece
        at, start = at + size, start + len(piece) + gap
    inside = np.zeros(len(taken), bool)
    for onset, pcm, end in utterances(events + opened.flush()):
        original = taken[onset.start : onset.start + len(pcm)]
        assert np.array_equal(pcm[original > 0], original[original > 0])
        inside[onset.speech : end.end] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], taken >= SPEECH, [0]])))
    for first, last in edges.reshape(-1, 2):
        if last - first >= 5 * FRAME:  # certain to hold three whole frames, wherever frames begin
            assert inside[first + FRAME : last - FRAME].all()
