"""When a very short utterance is decoded together with the one before, and with how much of it."""

from __future__ import annotations

import numpy as np
import pytest

from common.whisperlive.protocol import Handshake
from tests.support.servers.served import SECOND, loud, silence, speech
from transcriber.core.joining import JOINED_SPEECH_SAMPLES, MAX_GAP_SAMPLES, MAX_SAID_SAMPLES, Said, joined
from transcriber.core.policy import PendingUtterance
from transcriber.core.ring import AudioRing
from transcriber.core.session import StreamSession
from transcriber.core.windows import Hypothesis


def listened(seconds: int, kept: int = 60) -> AudioRing:
    """So much audio, each sample its own number (modulo 30,000)."""
    ring = AudioRing(capacity=kept * SECOND)
    for first in range(0, seconds * SECOND, SECOND):
        ring.append((np.arange(first, first + SECOND) % 30_000).astype(np.int16))
    return ring


def utterance(start: float, heard: int = SECOND // 2) -> PendingUtterance:
    """One that begins there, in seconds."""
    return PendingUtterance(2, round(start * SECOND), 0.0, speech=heard)


def test_it_hears_the_one_before_and_a_little_of_the_pause() -> None:
    """And of a shorter pause all of it."""
    said = Said(SECOND, 3 * SECOND, " so it is", "en")
    for start, seconds in ((5.0, 2.3), (3.1, 2.1), (3.0, 2.0)):
        before = joined(said, utterance(start), "en", listened(6))
        assert before
        assert (before.text, len(before.samples), before.samples[0]) == ("so it is", round(seconds * SECOND), SECOND)


@pytest.mark.parametrize(
    ("said", "heard", "start", "language"),
    [
        (None, 1, 5.0, "en"),
        (Said(SECOND, 3 * SECOND, "so", "en"), JOINED_SPEECH_SAMPLES, 5.0, "en"),
        (Said(SECOND, 3 * SECOND, "so", "en"), 1, 5.0, "de"),
        (Said(SECOND, 3 * SECOND, "so", "en"), 1, 5.0, None),
        (Said(SECOND, SECOND + MAX_SAID_SAMPLES + 1, "so", "en"), 1, 12.0, "en"),
        (Said(SECOND, 3 * SECOND, "so", "en"), 1, 3.001 + MAX_GAP_SAMPLES / SECOND, "en"),
        (Said(SECOND, 3 * SECOND, "so", "en"), 1, 2.9, "en"),
        (Said(3 * SECOND, 3 * SECOND, "so", "en"), 1, 5.0, "en"),
    ],
    ids=[
        "nothing said",
        "long enough",
        "another language",
        "unknown language",
        "long",
        "long ago",
        "not yet over",
        "empty",
    ],
)
def test_it_is_heard_by_itself_where_that_would_not_help(
    said: Said | None, heard: int, start: float, language: str | None
) -> None:
    """Where nothing was said before, or in another language, too much or too long ago; and where it says enough."""
    assert joined(said, utterance(start, heard), language, listened(20)) is None


def test_what_the_ring_has_lost_is_not_heard_again() -> None:
    """A text without its audio would be said for this one."""
    assert joined(Said(SECOND, 3 * SECOND, "so", "en"), utterance(5.0), "en", listened(6, kept=4)) is None


def test_a_translation_is_heard_by_itself() -> None:
    """Which of its words belong to which sound no alignment knows: those of the utterance before could not be left
    out."""
    session = StreamSession(Handshake("u", language="es", task="translate"), loud)
    session.hear(0, np.concatenate((speech(2), silence(1), speech(0.6))), now=4)
    while session.next_request():
        session.finish(session.begin(), Hypothesis("so it is"))
    session.end(now=5)
    window = session.begin().window
    assert (window.careful, window.before) == (True, None)


def test_only_a_final_hears_the_utterance_before() -> None:
    """A partial would only take longer."""
    session = StreamSession(Handshake("u", language="en"), loud)
    sound = np.concatenate((speech(2), silence(1), speech(0.6)))
    session.hear(0, sound[: 3 * SECOND], now=3)
    while session.next_request():
        session.finish(session.begin(), Hypothesis("so it is"))
    session.hear(3 * SECOND, sound[3 * SECOND :], now=4)
    job = session.begin()
    assert (job.window.careful, job.window.before) == (False, None)
    session.finish(job, None)
    session.hear(len(sound), silence(0.3), now=5)
    before = session.begin().window.before
    assert before
    assert (before.text, round(len(before.samples) / SECOND, 1)) == ("so it is", 2.4)
