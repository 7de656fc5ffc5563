"""A stream from audio to segments, with a scripted detector and scripted results."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.audio.hysteresis import FRAME_SAMPLES
from common.whisperlive.protocol import EXTENSIONS, Handshake, WireSegment, WireWord
from tests.support.servers.served import (
    HELLO,
    SECOND,
    Served,
    check_acknowledged,
    check_audio,
    check_segments,
    loud,
    murmur,
    silence,
    speech,
)
from transcriber.core.gate import GateSettings
from transcriber.core.load import LADDER
from transcriber.core.policy import PassKind
from transcriber.core.session import MAX_UNDECIDED_SAMPLES, StreamSession, gate_settings
from transcriber.core.windows import Hypothesis, Word


def say(session: StreamSession, *pieces: npt.NDArray[np.int16], at: int = 0) -> int:
    """Feeds pieces one after the other; returns the next sample."""
    for piece in pieces:
        session.hear(at, piece, now=at / SECOND)
        at += len(piece)
    return at


def finals(session: StreamSession, text: str = "hello") -> list[WireSegment]:
    """Decodes all that is due, each with the same text."""
    shown = session.release()
    while session.next_request():
        shown += session.finish(session.begin(), Hypothesis(text))
    return [segment for segment in shown if segment.completed]


def test_the_gate_here_finds_utterances() -> None:
    """Without the extension: pre-roll, hangover, bounds of the speech, and silence is decided as it passes."""
    session = StreamSession(HELLO, loud)
    at = say(session, silence(1))
    assert 0.5 * SECOND < session.decided < at
    at = say(session, speech(1), at=at)
    assert session.decided < SECOND
    job = session.begin()
    assert job.work.kind is PassKind.FIRST_PARTIAL
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
    session = StreamSession(HELLO, loud, EXTENSIONS, clock_start=500)
    at = say(session, speech(1), silence(2), at=500)
    assert session.decided == 500
    session.end_utterance(at, now=3)
    [final] = finals(session)
    assert (final.segment_id, round(final.start, 2)) == ("u:1", 0.03)
    assert session.decided == at
    session.end_utterance(at, now=4)
    assert (session.is_settled, session.decided) == (True, at)
    later = say(session, speech(1), at=at)
    session.end_utterance(at + 2000, now=5)
    assert (session.is_settled, session.decided) == (False, at)
    assert [f.segment_id for f in finals(session)] == ["u:2"]
    assert session.decided == at + 2000
    session.end(now=6)
    assert [f.segment_id for f in finals(session)] == ["u:3"]
    assert session.decided == later


def test_the_end_of_audio_closes_what_is_open() -> None:
    """The tail is decoded."""
    session = StreamSession(HELLO, loud)
    at = say(session, speech(0.5))
    session.end(now=1)
    assert [f.text for f in finals(session)] == [" hello"]
    assert session.decided == at


def test_audio_after_an_end_is_a_new_utterance() -> None:
    """The client had only paused: what it says next begins where it stopped."""
    session = StreamSession(HELLO, loud)
    at = say(session, speech(0.51))
    session.end(now=1)
    session.end(now=1)
    say(session, speech(0.5), at=at)
    session.end(now=2)
    first, second = finals(session)
    assert first.end <= second.start == at / SECOND


def test_a_gap_is_silence() -> None:
    """A malformed frame leaves its time."""
    session = StreamSession(HELLO, loud)
    say(session, speech(1), at=3 * SECOND)
    session.end(now=4)
    [final] = finals(session)
    assert abs(final.start - 3) < 0.15


def test_faint_noise_is_no_speech_whatever_the_detector_says() -> None:
    """Silero alone passes some near-silence."""
    session = StreamSession(HELLO, lambda frames: [1.0] * len(frames))
    say(session, np.full(SECOND, 10, np.int16))
    assert session.is_settled


def test_long_speech_is_cut_into_several_segments() -> None:
    """Each with its own id, one after the other."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(10), silence(0.3), speech(15))
    session.end_utterance(at, now=25)
    shown = finals(session)
    assert [s.segment_id for s in shown] == ["u:1", "u:2", "u:3"]
    assert abs(shown[0].end - 10.1) < 0.2
    assert all(a.end <= b.start for a, b in pairwise(shown))
    assert session.decided == at


def test_nothing_said_shows_nothing() -> None:
    """A pass without result still decides its audio; a partial of an ended utterance is dropped."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(1))
    job = session.begin()
    session.end_utterance(at, now=1)
    assert session.finish(job, Hypothesis("late")) == []
    assert session.finish(session.begin(), None) == []
    assert session.decided == at


def test_a_client_that_says_where_utterances_end_is_attended_to_from_its_first_speech_on() -> None:
    """Until it has said so: the end may come any moment, not only after a pause."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    attentive = [session.is_attentive]
    at = 0
    for piece in (silence(0.2), speech(0.2), silence(1)):
        at = say(session, piece, at=at)
        attentive.append(session.is_attentive)
    session.end_utterance(at, now=1)
    assert [*attentive, session.is_attentive] == [False, False, True, True, False]


@pytest.mark.parametrize("odd", [0, 1, 100, 511])
def test_a_pause_is_noticed_wherever_the_utterance_before_ended(odd: int) -> None:
    """A client's 0.2 s of silence, seven frames, are seven frames here, too: else its final would begin only when it
    says that it has ended, a whole pass later."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(0.32), silence(0.5), np.zeros(odd, np.int16))
    session.end_utterance(at, now=1)
    finals(session)
    at = say(session, voiced := np.full(20 * FRAME_SAMPLES, 8000, np.int16), at=at)
    while session.next_request():
        session.finish(session.begin(), Hypothesis("hello"))
    at = say(session, np.zeros(6 * FRAME_SAMPLES, np.int16), at=at)
    assert session.next_request() is None
    say(session, np.zeros(FRAME_SAMPLES, np.int16), at=at)
    assert (request := session.next_request()) is not None
    assert request.kind is PassKind.EAGER_FINAL
    assert session.begin().work.certain == len(voiced)


def test_a_pause_makes_the_final_ready() -> None:
    """Shown as a partial first; when the utterance ends nothing is left to decode, and it is released."""
    session = StreamSession(HELLO, loud)
    at = say(session, speech(0.3))
    attentive = [session.is_attentive]
    at = say(session, silence(0.3), at=at)
    assert [*attentive, session.is_attentive] == [False, True]
    job = session.begin()
    assert (job.work.kind, job.window.careful) == (PassKind.EAGER_FINAL, True)
    [partial] = session.finish(job, Hypothesis("hello"))
    assert (partial.text, partial.completed, partial.stable_len) == (" hello", False, 0)
    assert session.release() == []
    at = say(session, silence(0.5), at=at)
    assert session.next_request() is None
    [final] = session.release()
    assert session.ended_at == pytest.approx(0.6, abs=0.1)
    assert (final.text, final.completed, final.stable_len, final.segment_id) == (" hello", True, None, "u:1")
    assert session.is_settled


def test_a_pause_in_which_nothing_was_understood_ends_without_a_segment() -> None:
    """And without another pass."""
    session = StreamSession(HELLO, loud)
    at = say(session, speech(0.3), silence(0.3))
    assert session.finish(session.begin(), None) == []
    say(session, silence(0.5), at=at)
    assert session.next_request() is None
    assert session.release() == []
    assert session.is_settled


def test_committed_words_are_in_the_final_whatever_it_says() -> None:
    """What three passes agreed on; an unchanged partial is not sent again."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at, shown = 0, []
    for said in ("we meat", "we meet", "we meet to", "we meet to"):
        at = say(session, speech(0.9), at=at)
        shown.append(session.finish(session.begin(), Hypothesis(said)))
    assert [[(s.text, s.stable_len) for s in segments] for segments in shown] == [
        [(" we meat", 0)],
        [(" we meet", 0)],
        [(" we meet to", 3)],
        [(" we meet to", 8)],
    ]
    at = say(session, speech(0.9), at=at)
    assert session.finish(session.begin(), Hypothesis("we meet to")) != []
    at = say(session, speech(0.9), at=at)
    assert session.finish(session.begin(), Hypothesis("we meet to")) == []
    session.end_utterance(at, now=2)
    [final] = session.finish(session.begin(), Hypothesis("she meets two day"))
    assert final.text == " we meet to day"


def test_what_was_committed_survives_a_final_that_fails_or_says_nothing() -> None:
    """Twice failed: given up, but for the committed words."""
    for fails in (True, False):
        session = StreamSession(HELLO, loud, EXTENSIONS)
        at = 0
        for _ in range(3):
            at = say(session, speech(0.9), at=at)
            session.finish(session.begin(), Hypothesis("we meet", language="de"))
        session.end_utterance(at, now=2)
        if fails:
            assert session.fail(session.begin(), now=3) == (None, [])
            given_up, [final] = session.fail(session.begin(), now=4)
            assert given_up
        else:
            [final] = session.finish(session.begin(), None)
        assert (final.text, final.completed, final.language) == (" we meet", True, "de")
        assert session.is_settled


def test_under_load_partials_begin_at_the_last_committed_words() -> None:
    """Known from its time; the text is whole all the same, and the final hears everything."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    session.adapt(LADDER[2])
    at = 0
    words = tuple(Word(f" {word}", n / 4, n / 4 + 0.25, 0.9) for n, word in enumerate("abcd"))
    for said in ("a b c d", "a b c d", "a b c x"):
        at = say(session, speech(1.1), at=at)
        job = session.begin()
        assert job.window.words
        partials = session.finish(job, Hypothesis(said, words=words))
    [partial] = partials
    assert partial.stable_len == len(" a b c")
    at = say(session, speech(1.1), at=at)
    job = session.begin()
    assert (job.base, job.first, len(job.window.samples), job.window.words) == (1, 2400, at - 2400, True)
    [partial] = session.finish(job, Hypothesis("b c d e"))
    assert partial.text == " a b c d e"
    session.end_utterance(at, now=5)
    assert len(session.begin().window.samples) == at


def test_a_long_utterance_is_cut_after_its_committed_words() -> None:
    """The quietest point before them is not the one."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(8), silence(0.19), speech(2.5))
    words = (Word(" a", 0, 0.5, 0.9), Word(" b", 9.8, 10.3, 0.9))
    for _ in range(3):
        session.finish(session.begin(), Hypothesis("a b", words=words))
        at = say(session, speech(0.9), at=at)
    say(session, speech(1.6), at=at)
    [first] = session.finish(session.begin(), Hypothesis("a b c"))
    assert first.completed
    assert first.end >= 10.5


def test_a_client_that_ends_an_utterance_before_its_committed_words_gets_them_again() -> None:
    """It knows better: what comes after its end belongs to the next utterance."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(2.0))
    words = (Word(" a", 0, 0.5, 0.9), Word(" b", 1, 1.4, 0.9))
    for _ in range(3):
        session.finish(session.begin(), Hypothesis("a b", words=words))
        at = say(session, speech(1.0), at=at)
    session.end_utterance(SECOND // 2, now=2)
    [first] = session.finish(session.begin(), Hypothesis("a"))
    assert first.text == " a"
    session.end_utterance(at, now=2)
    [second] = session.finish(session.begin(), Hypothesis("b"))
    assert second.text == " b"


def test_an_end_in_the_silence_after_committed_words_keeps_them() -> None:
    """Without word times they reach as far as their pass had heard: beyond the speech."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, speech(1.0), silence(0.1))
    for _ in range(2):
        session.finish(session.begin(), Hypothesis("we meet"))
        at = say(session, silence(0.2), at=at)
    session.end_utterance(SECOND + 1000, now=2)
    assert [final.text for final in session.release()] == [" we meet"]


def test_a_cut_is_news_also_where_nothing_was_listened_to() -> None:
    """What was due in the utterance that went on is due no more until the silence before it is released."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, silence(7), speech(5.99))
    assert session.next_request()
    while session.next_request():
        news = session.hear(at, speech(0.001), now=at)
        at += 16
    assert news
    assert session.release() == []
    assert session.next_request()


def test_a_client_waits_while_too_much_is_undecided() -> None:
    """The ring never loses audio that nobody decoded."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    say(session, *[speech(10)] * 5)
    full = [session.is_full]
    say(session, speech(0.1), at=MAX_UNDECIDED_SAMPLES)
    full.append(session.is_full)
    finals(session)
    assert [*full, session.is_full] == [False, True, False]


def test_windows_carry_what_the_client_asked_for() -> None:
    """Prompt, task, words; finals are decoded carefully."""
    hello = Handshake("u", initial_prompt="Ana", hotwords="Ben", word_timestamps=True)
    session = StreamSession(hello, loud, EXTENSIONS)
    at = say(session, speech(1))
    first = session.begin()
    partial = first.window
    assert (partial.prompt, partial.task, partial.careful, partial.words) == ("Ana Ben", "transcribe", False, True)
    session.finish(first, None)
    session.end_utterance(at, now=1)
    job = session.begin()
    assert (job.window.careful, job.window.words, job.window.language) == (True, True, None)
    [final] = session.finish(job, Hypothesis("a b", words=(Word(" a", -1, 0.5, 0.9), Word(" b", 0.5, 99, 0.8))))
    assert final.words == (WireWord(" a", final.start, 0.5, 0.9), WireWord(" b", 0.5, final.end, 0.8))


def test_a_translation_has_no_word_times_and_begins_with_its_utterance() -> None:
    """Its words are not said when its alignment puts them, and come in another order: also under load."""
    session = StreamSession(replace(HELLO, task="translate", word_timestamps=True), loud, EXTENSIONS)
    session.adapt(next(effort for effort in LADDER if effort.trim))
    at = 0
    for _ in range(3):
        at = say(session, speech(2.5), at=at)
        job = session.begin()
        assert (job.window.task, job.window.words, job.first) == ("translate", False, 0)
        session.finish(job, Hypothesis("a b", words=(Word(" a", 0.5, 0.9, 0.9), Word(" b", 1.5, 1.9, 0.9))))


def test_a_language_is_kept_once_it_is_sure() -> None:
    """A stock client's session stays in it; with segment_language each utterance is heard anew, with a prior."""
    for granted, expected in ((frozenset[str](), ("de", "de")), (EXTENSIONS, (None, "de"))):
        session = StreamSession(Handshake("u", allowed_languages=frozenset({"de", "en"})), loud, granted)
        at = 0
        for _ in range(3):
            at = say(session, speech(1), silence(1), at=at)
            session.end_utterance(at, now=1)
            job = session.begin()
            assert job.window.language is job.window.prior is None
            assert job.window.allowed == {"de", "en"}
            session.finish(job, Hypothesis("ja", language="de", language_probability=0.95))
        assert session.detected
        assert session.detected[0] == "de"
        say(session, speech(0.5), silence(1), at=at)
        session.end_utterance(at + SECOND, now=9)
        window = session.begin().window
        assert (window.language, window.prior) == expected


def test_vad_parameters_are_honoured_within_limits() -> None:
    """Both generations of names."""
    assert gate_settings(HELLO) == GateSettings()
    new = gate_settings(
        Handshake("u", vad_parameters={"threshold": 0.6, "min_silence_duration_ms": 800, "speech_pad_ms": 100})
    )
    assert (new.threshold, round(new.release, 2), new.hangover, new.pre_roll) == (0.6, 0.45, 12_800, 1600)
    old = gate_settings(Handshake("u", vad_parameters={"onset": 9, "offset": 0.2}))
    assert (old.threshold, old.release) == (0.95, 0.2)


def test_silence_before_the_speech_is_not_decoded() -> None:
    """A client may begin an utterance long before; the model hears the half second before the first word."""
    session = StreamSession(HELLO, loud, EXTENSIONS)
    at = say(session, silence(5), speech(1))
    job = session.begin()
    assert abs(len(job.window.samples) - 1.5 * SECOND) < 1000
    session.end_utterance(at, now=6)
    assert session.finish(job, Hypothesis("a")) == []
    [final] = finals(session)
    assert abs(final.start - 5) < 0.1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["speech", "speech", "murmur", "silence", "end", "load", "begin", "finish", "fail"]),
        st.sampled_from([2, 5, 9, 20, 60, 160]),
        st.text("abc", max_size=4).map(" ".join),
    ),
    min_size=12,
    max_size=40,
)


@pytest.mark.timeout(90)  # under coverage, beside another
@given(st.booleans(), STEPS)
def test_everything_is_decided_once_and_in_order(explicit: bool, steps: list[tuple[str, int, str]]) -> None:
    """All that is said is in the last pass over exactly one utterance, or reported lost; at last nothing is open."""
    served, decided = Served(explicit), 0
    for what, amount, text in steps:
        if what == "begin":
            served.begin()
        elif what in ("finish", "fail"):
            served.over(text, failed=what == "fail")
        elif what == "load":
            served.session.adapt(LADDER[amount % len(LADDER)])
            served.poke()
        elif what == "end" and explicit:
            served.end(max(decided, served.at - amount % 20 * 1000))
        elif what != "end":
            served.hear({"speech": speech, "murmur": murmur, "silence": silence}[what](amount / 20))
        assert decided <= served.session.decided <= served.at
        decided = served.session.decided
        check_acknowledged(served)
    served.drain()
    assert served.session.is_settled
    check_audio(served)
    check_segments(served.shown, served.cut_short)
