"""A recording as a stream: finals only, after all live ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.whisperlive.protocol import Handshake
from transcriber.core.load import LADDER
from transcriber.core.policy import PassKind
from transcriber.core.recording import RecordingSession, are_alike
from transcriber.core.windows import Hypothesis, Word

SECOND = 16_000


def loud(frames: npt.NDArray[np.float32]) -> list[float]:
    """Speech is what is loud."""
    return [1.0 if float(np.abs(frame).max()) > 0.1 else 0.0 for frame in frames]


def session(start: int = 0) -> RecordingSession:
    """Of the second channel."""
    return RecordingSession(Handshake("u", word_timestamps=True), loud, channel=1, clock_start=start)


def sound(seconds: float, level: int) -> npt.NDArray[np.int16]:
    """A constant level."""
    return np.full(int(seconds * SECOND), level, np.int16)


def test_partials_are_not_wanted_and_finals_are_background_work() -> None:
    """However long somebody speaks."""
    recording = session()
    recording.hear(0, sound(3, 8000), 0.0)
    assert recording.next_request() is None
    recording.end(1.0)
    request = recording.next_request()
    assert request is not None
    assert request.kind is PassKind.BACKGROUND > PassKind.PARTIAL
    assert not recording.is_live


def test_lines_carry_what_was_decoded_and_are_taken_once() -> None:
    """Text, times in the recording, words, channel, language."""
    recording = session(start=10 * SECOND)
    recording.hear(10 * SECOND, sound(2, 8000), 0.0)
    recording.end(0.0)
    words = (Word(" hi", 0.5, 1.0, 0.9),)
    heard = Hypothesis("hi ", language="de", avg_logprob=-0.5, no_speech=0.25, words=words)
    assert recording.finish(recording.begin(), heard)
    [line] = recording.take()
    assert (line.text, line.channel, line.language, line.avg_logprob, line.no_speech) == ("hi", 1, "de", -0.5, 0.25)
    assert 10 <= line.start <= line.words[0].start < line.words[0].end <= line.end <= 12
    assert (line.words[0].text, recording.take(), recording.utterances) == (" hi", [], 1)


def test_what_the_model_does_not_hear_is_an_utterance_without_a_line() -> None:
    """Counted, so that nothing said differs from nobody there."""
    recording = session()
    recording.hear(0, sound(1, 8000), 0.0)
    recording.end(0.0)
    assert recording.finish(recording.begin(), None) == []
    assert (recording.take(), recording.utterances) == ([], 1)


def test_one_microphone_on_two_channels_is_recognised() -> None:
    """With coding noise, not with a second voice; one channel alone is like itself, and so is nothing."""
    left = (8000 * np.sin(np.arange(SECOND) / 10)).astype(np.int16)
    noise = np.random.default_rng(1).integers(-50, 50, SECOND).astype(np.int16)
    assert are_alike(np.stack((left, left + noise)))
    assert are_alike(np.stack((noise // 4, -(noise // 4))))
    assert not are_alike(np.stack((left, np.roll(left, 20))))
    assert not are_alike(np.stack((sound(1, 32767), sound(1, -32768))))
    assert are_alike(left[None])
    assert are_alike(np.zeros((2, 0), np.int16))


def test_what_is_lost_is_counted_and_load_changes_nothing() -> None:
    """Whoever sent the recording is told; it waits anyway."""
    recording = session()
    recording.adapt(LADDER[0])
    recording.hear(0, sound(3, 8000), 0.0)
    assert recording.next_request() is None
    recording.end(0.0)
    assert recording.fail(recording.begin(), 1.0) == (False, [])
    assert recording.lost == 0
    assert recording.fail(recording.begin(), 2.0) == (True, [])
    assert recording.lost == 1
