"""A recording, channel by channel: packed, decoded window by window, after all live streams."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.whisperlive.protocol import Handshake
from transcriber.core.load import LADDER
from transcriber.core.policy import PassKind
from transcriber.core.recording import KeptAudio, RecordingChannel, RecordingWindow, are_alike
from transcriber.core.subtitles import plain
from transcriber.core.windows import Hypothesis, Phrase, Samples, Window, Word

SECOND = 16_000
HELLO = Handshake("u", language="en")


def loud(frames: npt.NDArray[np.float32]) -> list[float]:
    """Speech is what is loud."""
    return [float(level > 0.1) for level in np.abs(frames).max(axis=1)]


def sound(*parts: tuple[float, int]) -> Samples:
    """Seconds at constant levels."""
    return np.concatenate([np.full(round(seconds * SECOND), level, np.int16) for seconds, level in parts])


def channel(hello: Handshake = HELLO, *, start: int = 0) -> RecordingChannel:
    """The second one."""
    return RecordingChannel(hello, loud, channel=1, clock_start=start)


def feed(recording: RecordingChannel, samples: Samples) -> None:
    """A second at a time, to the end."""
    for first in range(0, len(samples), SECOND):
        recording.hear(samples[first : first + SECOND], 1.0)
    recording.end(1.0)


def decoded(window: RecordingWindow, *results: Hypothesis | None) -> list[Window]:
    """Gives these results to as many passes; what each asked for."""
    asked = []
    for result in results:
        request = window.next_request()
        assert request is not None
        assert request.kind is PassKind.BACKGROUND
        job = window.begin()
        assert window.next_request() is None
        asked.append(job.window)
        assert window.finish(job, result) == []
    return asked


def text(said: str, end: float | None = None, **more: float) -> Hypothesis:
    """A result of one phrase."""
    return Hypothesis(said, tokens=len(said.split()), phrases=(Phrase(said, 0.0, end),), **more)  # type: ignore[arg-type]


LOOP, LONGER_LOOP = text("no " * 30), text("no " * 40)


def test_speech_is_packed_and_decoded_with_the_full_window_after_all_live_streams() -> None:
    """Two sentences with a pause are one window; load changes nothing about it."""
    recording = channel(Handshake("u", language="de", initial_prompt="Ana"))
    feed(recording, sound((3, 0), (2, 8000), (1, 0), (2, 8000), (9, 0)))
    [window] = recording.open_windows()
    assert list(recording.open_windows()) == []
    window.adapt(LADDER[-1])
    assert window.release() == []
    assert not window.is_live
    [asked] = decoded(window, text("Eins. Zwei.", 6.5))
    assert (asked.language, asked.prompt, asked.careful, asked.words, asked.packed) == ("de", "Ana", True, True, True)
    assert len(asked.samples) / SECOND == pytest.approx(7, abs=0.1)
    assert (window.next_request(), window.is_done) == (None, True)


def test_lines_carry_what_was_decoded_and_are_taken_once() -> None:
    """Text, times in the recording, words, channel, language."""
    recording = channel(start=10 * SECOND)
    feed(recording, sound((2, 8000), (1, 0)))
    [window] = recording.open_windows()
    assert recording.take(2.0) == []
    words = (Word(" hi", 0.5, 1.0, 0.9),)
    decoded(window, Hypothesis("hi", "de", avg_logprob=-0.5, no_speech=0.25, words=words))
    [line] = recording.take(2.0)
    assert (line.text, line.channel, line.language, line.avg_logprob, line.no_speech) == ("hi", 1, "de", -0.5, 0.25)
    assert (line.start, line.end, line.temperature, line.is_doubtful) == (10.5, 11.0, 0.0, False)
    assert (recording.take(2.0), recording.decoded, recording.waiting) == ([], 1, 0)


def test_lines_come_in_the_order_of_the_recording() -> None:
    """Whichever window is done first."""
    recording = channel()
    feed(recording, sound(*[(5, 8000), (1, 0)] * 12))
    first, second, third = recording.open_windows()
    decoded(third, text("three"))
    decoded(second, text("two"))
    assert recording.take(2.0) == []
    decoded(first, text("one"))
    assert plain(recording.take(2.0)) == "one two three"


def test_while_the_language_is_unknown_one_window_goes_first() -> None:
    """What it is in is what the others expect; a channel that is asked for one language has nothing to find."""
    recording = channel(Handshake("u", allowed_languages=frozenset({"de", "en"})))
    feed(recording, sound(*[(5, 8000), (1, 0)] * 12))
    [first] = recording.open_windows()
    assert list(recording.open_windows()) == []
    [asked] = decoded(first, Hypothesis("eins", "de", language_probability=0.9))
    assert (asked.language, asked.prior, asked.allowed) == (None, None, frozenset({"de", "en"}))
    assert recording.detected == "de"
    second, _ = recording.open_windows()
    assert decoded(second, text("zwei"))[0].prior == "de"


def test_what_the_model_does_not_hear_is_a_window_without_a_line() -> None:
    """Counted, so that nothing said differs from nobody there."""
    for nothing in (None, Hypothesis(""), text("You", no_speech=0.9, avg_logprob=-1.5)):
        recording = channel()
        feed(recording, sound((1, 8000)))
        [window] = recording.open_windows()
        decoded(window, nothing)
        assert (recording.take(2.0), recording.decoded) == ([], 1)


def test_faint_sound_is_not_even_decoded() -> None:
    """Whatever the detector says; less than a frame is nothing."""
    recording = RecordingChannel(HELLO, lambda frames: [1.0] * len(frames))
    feed(recording, sound((1, 20)))
    assert list(recording.open_windows()) == []
    recording = channel()
    feed(recording, sound((0.01, 8000)))
    assert list(recording.open_windows()) == []


def test_what_goes_astray_is_asked_once_more_less_strictly_and_without_the_prompt() -> None:
    """The second answer counts, and says at which temperature it was given."""
    recording = channel(Handshake("u", language="en", initial_prompt="Ana"))
    feed(recording, sound((5, 8000), (1, 0)))
    [window] = recording.open_windows()
    first, second = decoded(window, LOOP, text("No, no.", 5.0))
    assert (first.temperature, first.prompt, second.temperature, second.prompt) == (0.0, "Ana", 0.4, None)
    [line] = recording.take(2.0)
    assert (line.text, line.temperature, line.is_doubtful) == ("No, no.", 0.4, False)


def test_a_long_window_that_goes_astray_twice_is_halved() -> None:
    """Its halves are decoded before what follows, each with its own audio."""
    recording = channel()
    feed(recording, sound((8, 8000), (1, 0), (8, 12000), (20, 0), (17, 8000)))
    first, last = recording.open_windows()
    decoded(first, LOOP, LONGER_LOOP)
    decoded(last, text("three"))
    assert recording.take(2.0) == []
    left, right = recording.open_windows()
    [asked] = decoded(left, text("one"))
    assert (asked.samples.max(), asked.temperature) == (8000, 0.0)
    [asked] = decoded(right, text("two"))
    assert asked.samples.max() == 12000
    assert plain(recording.take(2.0)) == "one two three"


def test_of_a_short_loop_one_repeat_is_kept_and_marked() -> None:
    """Nothing is dropped because it is doubtful; nor in a long window without a pause to halve it in."""
    for seconds in (5, 20):
        recording = channel()
        feed(recording, sound((seconds, 8000), (1, 0)))
        [window] = recording.open_windows()
        decoded(window, LOOP, LONGER_LOOP)
        [line] = recording.take(2.0)
        assert (line.text, line.is_doubtful) == ("no", True)


NO_SPEECH = text("we must", no_speech=0.7, avg_logprob=-1.2)


def test_a_loop_is_kept_once_where_the_second_pass_hears_nothing() -> None:
    """Its first words are real, and marked; what it echoes from the prompt says nothing."""
    loop = text("We decide today. " + "no " * 30)
    for nothing in (Hypothesis(""), NO_SPEECH):
        recording = channel(Handshake("u", language="en", initial_prompt="Ana Silva and Kubernetes"))
        feed(recording, sound((5, 8000), (1, 0), (1, 0), (5, 8000)))
        [window] = recording.open_windows()
        decoded(window, loop, nothing)
        [line] = recording.take(2.0)
        assert (line.text, line.is_doubtful, line.temperature) == ("We decide today. no", True, 0.0)
        recording = channel(Handshake("u", language="en", initial_prompt="Ana Silva and Kubernetes"))
        feed(recording, sound((5, 8000)))
        [window] = recording.open_windows()
        decoded(window, text("Ana Silva and Kubernetes"), nothing)
        assert recording.take(2.0) == []


def test_a_long_window_in_which_the_second_pass_hears_nothing_is_halved() -> None:
    """Whatever the first one said about it: astray or nothing at all."""
    for first in (LOOP, Hypothesis("")):
        recording = channel()
        feed(recording, sound((8, 8000), (1, 0), (8, 12000)))
        [window] = recording.open_windows()
        decoded(window, first, Hypothesis(""))
        assert recording.take(2.0) == []
        for half, said in zip(list(recording.open_windows()), ("one", "two"), strict=True):
            decoded(half, text(said))
        assert plain(recording.take(2.0)) == "one two"


def test_nothing_in_much_speech_is_asked_about_again() -> None:
    """The second answer counts; nothing twice is nothing, in no language."""
    sure = replace(text("So it is."), language="en", language_probability=1.0)
    for second, expected in ((sure, ["So it is."]), (Hypothesis(""), []), (NO_SPEECH, [])):
        recording = channel(Handshake("u"))
        feed(recording, sound((8, 8000)))
        [window] = recording.open_windows()
        [_, again] = decoded(window, Hypothesis(""), second)
        assert again.temperature == 0.4
        assert [line.text for line in recording.take(2.0)] == expected
        assert (recording.detected is None) == (not expected)


def test_what_is_said_again_and_again_is_kept() -> None:
    """If both passes hear it so often."""
    recording = channel()
    feed(recording, sound((5, 8000), (1, 0)))
    [window] = recording.open_windows()
    decoded(window, LOOP, LOOP)
    [line] = recording.take(2.0)
    assert (line.text, line.is_doubtful) == (LOOP.text.strip(), False)


def test_a_decoder_that_was_stopped_has_said_too_much_at_once() -> None:
    """Languages with many tokens per word: the halves fit."""
    recording = channel()
    feed(recording, sound((6, 8000), (1, 0), (6, 8000)))
    [window] = recording.open_windows()
    many = " ".join(f"{number}" for number in range(90))
    decoded(window, Hypothesis(many, tokens=220, phrases=(Phrase(many, 0.0, None),)))
    assert recording.take(2.0) == []
    assert len(list(recording.open_windows())) == 2


def test_what_the_model_leaves_out_is_decoded_again() -> None:
    """With the audio from where it stopped, before the next window."""
    recording = channel()
    feed(recording, sound((5, 8000), (1, 0), (6, 12000), (20, 0), (17, 8000)))
    first, last = recording.open_windows()
    decoded(first, text("one", 5.5))
    decoded(last, text("three"))
    assert plain(recording.take(2.0)) == "one"
    [rest] = recording.open_windows()
    [asked] = decoded(rest, text("two", 7.0))
    assert asked.samples[0] == 0
    assert len(asked.samples) == pytest.approx(7.5 * SECOND, abs=0.1 * SECOND)
    assert plain(recording.take(2.0)) == "two three"


def test_words_end_where_what_was_left_out_begins() -> None:
    """Whatever their alignment says: the last one is given all the rest of the window."""
    recording = channel()
    feed(recording, sound((5, 8000), (1, 0), (6, 12000), (1, 0)))
    [window] = recording.open_windows()
    words = (Word(" one", 1.0, 2.0, 0.9), Word(" two", 2.0, 11.5, 0.9))
    decoded(window, Hypothesis("one two", words=words, phrases=(Phrase("one two", 0.0, 5.5),)))
    [line] = recording.take(2.0)
    assert [(word.start, round(word.end, 1)) for word in line.words] == [(1.0, 2.0), (2.0, 5.0)]


def test_a_window_over_which_the_engine_fails_twice_is_lost() -> None:
    """The second time it is alone."""
    recording = channel()
    feed(recording, sound((3, 8000)))
    [window] = recording.open_windows()
    first = window.next_request()
    job = window.begin()
    assert window.fail(job, 5.0) == (None, [])
    second = window.next_request()
    assert first
    assert second
    assert (first.alone, second.alone, second.due, recording.is_lost) == (False, True, 5.0, False)
    job = window.begin()
    given_up, segments = window.fail(None, 6.0)
    assert given_up
    assert (given_up.start, given_up.end, segments) == (job.work.start, job.work.end, [])
    assert recording.is_lost
    assert (job.work.utterance.bounds(job.work.end)[0], window.next_request()) == (0, None)


def test_a_translation_has_no_word_times() -> None:
    """Its words are not said anywhere; it is in English."""
    recording = channel(Handshake("u", language="de", task="translate"))
    feed(recording, sound((3, 8000)))
    [window] = recording.open_windows()
    [asked] = decoded(window, Hypothesis("One.", "de"))
    assert (asked.task, asked.words) == ("translate", False)
    assert [(line.text, line.language) for line in recording.take(2.0)] == [("One.", "en")]


def test_a_model_that_knows_short_windows_only_gets_those() -> None:
    """The demo model hears one sentence at a time."""
    recording = RecordingChannel(HELLO, loud, longest=8 * SECOND)
    feed(recording, sound(*[(3, 8000), (0.5, 0)] * 4))
    assert [len(decoded(window, None)[0].samples) <= 8 * SECOND for window in recording.open_windows()] == [True] * 4


@given(st.lists(st.tuples(st.floats(0.1, 33), st.floats(0.1, 4)), max_size=3), st.integers(3000, 40_000))
def test_all_speech_is_decoded_once_with_its_own_audio(said: list[tuple[float, float]], step: int) -> None:
    """However it comes, and however far apart: every loud sample is in one window."""
    levels = [(seconds, 8000 + number) for number, (seconds, _) in enumerate(said)]
    pauses = [(seconds, 0) for _, seconds in said]
    samples = sound((0.0, 0), *[part for pair in zip(levels, pauses, strict=True) for part in pair])
    recording = channel()
    for first in range(0, len(samples), step):
        recording.hear(samples[first : first + step], 1.0)
    recording.end(1.0)
    heard = [decoded(window, None)[0].samples for window in recording.open_windows()]
    assert all(len(samples) <= 30 * SECOND for samples in heard)
    loudness = np.concatenate([np.zeros(0, np.int16), *heard])
    assert np.array_equal(loudness[loudness > 0], samples[samples > 0])


def test_audio_is_kept_as_long_as_it_is_needed() -> None:
    """And read at its place, also across blocks."""
    audio = KeptAudio(100)
    for number in range(5):
        audio.append(np.arange(number * 10, number * 10 + 10, dtype=np.int16))
    assert audio.end == 150
    audio.forget([(105, 112), (130, 131)])
    assert audio.read(105, 113).tolist() == [5, 6, 7, 8, 9, 10, 11, 12]
    assert audio.read(118, 133).tolist() == [18, 19, 30, 31, 32]
    audio.forget([])
    assert audio.read(100, 150).tolist() == []


def test_one_microphone_on_two_channels_is_recognised() -> None:
    """With coding noise, not with a second voice; one channel alone is like itself, and so is nothing."""
    left = (8000 * np.sin(np.arange(SECOND) / 10)).astype(np.int16)
    noise = np.random.default_rng(1).integers(-50, 50, SECOND).astype(np.int16)
    assert are_alike(np.stack((left, left + noise)))
    assert are_alike(np.stack((noise // 4, -(noise // 4))))
    assert not are_alike(np.stack((left, np.roll(left, 20))))
    assert not are_alike(np.stack((sound((1, 32767)), sound((1, -32768)))))
    assert are_alike(left[None])
    assert are_alike(np.zeros((2, 0), np.int16))
