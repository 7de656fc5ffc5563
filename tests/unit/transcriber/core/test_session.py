"""A stream from audio to segments, with a scripted detector and scripted results."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.policy import Kind
from transcriber.core.session import FULL, Session, gate_settings
from transcriber.core.vad import GateSettings
from transcriber.core.windows import Hypothesis, Word
from transcriber.protocol import EXTENSIONS, Handshake, WireSegment, WireWord

SECOND = 16_000
HELLO = Handshake("u", language="en")


def loud(frame: npt.NDArray[np.float32]) -> float:
    """Speech is what is loud."""
    return 1.0 if float(np.abs(frame).max()) > 0.1 else 0.0


def speech(seconds: float) -> npt.NDArray[np.int16]:
    """Something loud."""
    return np.full(int(seconds * SECOND), 8000, np.int16)


def silence(seconds: float) -> npt.NDArray[np.int16]:
    """Digital silence."""
    return np.zeros(int(seconds * SECOND), np.int16)


def say(session: Session, *pieces: npt.NDArray[np.int16], at: int = 0) -> int:
    """Feeds pieces one after the other; returns the next sample."""
    for piece in pieces:
        session.hear(at, piece, now=at / SECOND)
        at += len(piece)
    return at


def finals(session: Session, text: str = "hello") -> list[WireSegment]:
    """Decodes all that is due, each with the same text."""
    shown: list[WireSegment] = []
    while session.want():
        shown += session.finish(session.begin(), Hypothesis(text))
    return [segment for segment in shown if segment.completed]


def test_the_gate_here_finds_utterances() -> None:
    """Without the extension: pre-roll, hangover, bounds of the speech, and silence is decided as it passes."""
    session = Session(HELLO, loud)
    at = say(session, silence(1))
    assert 0.5 * SECOND < session.decided < at
    at = say(session, speech(1), at=at)
    assert session.decided < SECOND
    job = session.begin()
    assert job.work.kind is Kind.FIRST_PARTIAL
    assert job.level > 0.2
    [partial] = session.finish(job, Hypothesis(" hel "))
    assert (partial.text, partial.completed, partial.segment_id) == (" hel", False, "u:1")
    at = say(session, silence(1), at=at)
    [final] = finals(session)
    assert (final.text, final.completed, final.segment_id) == (" hello", True, "u:1")
    assert abs(final.start - 1) < 0.15
    assert abs(final.end - 2) < 0.15
    assert session.is_settled
    assert session.decided > 2 * SECOND


def test_the_clients_word_is_taken_for_the_end() -> None:
    """With the extension: all audio between two ends is one utterance, whatever the gate here thinks."""
    session = Session(HELLO, loud, EXTENSIONS, clock_start=500)
    at = say(session, speech(1), silence(2), at=500)
    assert session.decided == 500
    session.end_utterance(at, now=3)
    [final] = finals(session)
    assert (final.segment_id, round(final.start, 2)) == ("u:1", 0.03)
    assert session.decided == at
    session.end_utterance(at, now=4)
    assert (session.is_settled, session.decided) == (True, at)
    later = say(session, speech(1), at=at)
    session.end_utterance(at + 100, now=5)
    assert (session.is_settled, session.decided) == (False, at)
    assert [f.segment_id for f in finals(session)] == ["u:2"]
    assert session.decided == at + 100
    session.end(now=6)
    assert [f.segment_id for f in finals(session)] == ["u:3"]
    assert session.decided == later


def test_the_end_of_audio_closes_what_is_open() -> None:
    """The tail is decoded."""
    session = Session(HELLO, loud)
    at = say(session, speech(0.5))
    session.end(now=1)
    assert [f.text for f in finals(session)] == [" hello"]
    assert session.decided == at


def test_audio_after_an_end_is_a_new_utterance() -> None:
    """The client had only paused: what it says next begins where it stopped."""
    session = Session(HELLO, loud)
    at = say(session, speech(0.51))
    session.end(now=1)
    session.end(now=1)
    say(session, speech(0.5), at=at)
    session.end(now=2)
    first, second = finals(session)
    assert first.end <= second.start == at / SECOND


def test_a_gap_is_silence() -> None:
    """A malformed frame leaves its time."""
    session = Session(HELLO, loud)
    say(session, speech(1), at=3 * SECOND)
    session.end(now=4)
    [final] = finals(session)
    assert abs(final.start - 3) < 0.15


def test_faint_noise_is_no_speech_whatever_the_detector_says() -> None:
    """Silero alone passes some near-silence."""
    session = Session(HELLO, lambda _: 1.0)
    say(session, np.full(SECOND, 10, np.int16))
    assert session.is_settled


def test_long_speech_is_cut_into_several_segments() -> None:
    """Each with its own id, one after the other."""
    session = Session(HELLO, loud, EXTENSIONS)
    at = say(session, speech(12), silence(0.3), speech(19))
    session.end_utterance(at, now=31)
    shown = finals(session)
    assert [s.segment_id for s in shown] == ["u:1", "u:2", "u:3"]
    assert abs(shown[0].end - 12.1) < 0.2
    assert all(a.end <= b.start for a, b in pairwise(shown))
    assert session.decided == at


def test_nothing_said_shows_nothing() -> None:
    """A pass without result still decides its audio; a partial of an ended utterance is dropped."""
    session = Session(HELLO, loud, EXTENSIONS)
    at = say(session, speech(1))
    job = session.begin()
    session.end_utterance(at, now=1)
    assert session.finish(job, Hypothesis("late")) == []
    assert session.finish(session.begin(), None) == []
    assert session.decided == at


def test_a_client_waits_while_too_much_is_undecided() -> None:
    """The ring never loses audio that nobody decoded."""
    session = Session(HELLO, loud, EXTENSIONS)
    say(session, *[speech(10)] * 5)
    full = [session.is_full]
    say(session, speech(0.1), at=FULL)
    full.append(session.is_full)
    finals(session)
    assert [*full, session.is_full] == [False, True, False]


def test_windows_carry_what_the_client_asked_for() -> None:
    """Prompt, task, words; finals are decoded carefully."""
    hello = Handshake("u", task="translate", initial_prompt="Ana", hotwords="Ben", word_timestamps=True)
    session = Session(hello, loud, EXTENSIONS)
    at = say(session, speech(1))
    first = session.begin()
    partial = first.window
    assert (partial.prompt, partial.task, partial.careful, partial.words) == ("Ana Ben", "translate", False, False)
    session.finish(first, None)
    session.end_utterance(at, now=1)
    job = session.begin()
    assert (job.window.careful, job.window.words, job.window.language) == (True, True, None)
    [final] = session.finish(job, Hypothesis("a", words=(Word(" a", -1, 0.5, 0.9), Word(" b", 0.5, 99, 0.8))))
    assert final.words == (WireWord(" a", final.start, 0.5, 0.9), WireWord(" b", 0.5, final.end, 0.8))


def test_a_language_is_kept_once_it_is_sure() -> None:
    """A stock client's session stays in it; with segment_language each utterance has its own."""
    for granted, expected in ((frozenset[str](), "de"), (EXTENSIONS, None)):
        session = Session(Handshake("u"), loud, granted)
        at = 0
        for probability in (0.4, 0.9, 0.8):
            at = say(session, speech(0.5), silence(1), at=at)
            session.end_utterance(at, now=1)
            session.finish(session.begin(), Hypothesis("ja", language="de", language_probability=probability))
        assert session.detected == ("de", 0.9)
        say(session, speech(0.5), silence(1), at=at)
        session.end_utterance(at + SECOND, now=9)
        assert session.begin().window.language == expected


def test_vad_parameters_are_honoured_within_limits() -> None:
    """Both generations of names."""
    assert gate_settings(HELLO) == GateSettings()
    new = gate_settings(
        Handshake("u", vad_parameters={"threshold": 0.6, "min_silence_duration_ms": 800, "speech_pad_ms": 100})
    )
    assert (new.threshold, round(new.release, 2), new.hangover, new.pre_roll) == (0.6, 0.45, 12_800, 1600)
    old = gate_settings(Handshake("u", vad_parameters={"onset": 9, "offset": 0.2}))
    assert (old.threshold, old.release) == (0.95, 0.2)


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(["speech", "silence", "end", "decode"]), st.integers(1, 40)), max_size=30),
)
def test_whatever_happens_everything_is_decided_once_and_in_order(explicit: bool, steps: list[tuple[str, int]]) -> None:
    """Segments never overlap, ids never come back after their final, and after the end nothing is open."""
    session = Session(HELLO, loud, EXTENSIONS if explicit else frozenset())
    at, decided, shown = 0, 0, list[WireSegment]()
    for what, amount in steps:
        if what == "decode" and session.want():
            shown += session.finish(session.begin(), Hypothesis("x"))
        elif what == "end" and explicit:
            session.end_utterance(at, now=at)
        elif what in ("speech", "silence"):
            at = say(session, speech(amount / 20) if what == "speech" else silence(amount / 20), at=at)
        assert decided <= session.decided <= at
        decided = session.decided
    session.end(now=at)
    while session.want():
        shown += session.finish(session.begin(), Hypothesis("x"))
    assert session.is_settled
    assert session.decided == at
    done = [s for s in shown if s.completed]
    assert all(a.end <= b.start for a, b in pairwise(done))
    ids = [s.segment_id for s in done]
    assert len(set(ids)) == len(ids)
    for n, segment in enumerate(shown):
        if segment.completed:
            assert segment.segment_id not in [later.segment_id for later in shown[n + 1 :]]
