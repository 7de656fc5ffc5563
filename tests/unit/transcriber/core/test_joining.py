"""When a very short utterance is decoded together with the one before, and with how much of it."""

from __future__ import annotations

import numpy as np
import pytest

from common.audio.pcm import SAMPLE_RATE
from transcriber.core.joining import JOINED_SPEECH_SAMPLES, MAX_GAP_SAMPLES, MAX_SAID_SAMPLES, Said, joined
from transcriber.core.policy import PendingUtterance
from transcriber.core.ring import AudioRing

SECOND = SAMPLE_RATE


def listened(seconds: int, kept: int = 60) -> AudioRing:
    """So much audio, each sample its own number (modulo 30,000)."""
    ring = AudioRing(capacity=kept * SECOND)
    for first in range(0, seconds * SECOND, SECOND):
        ring.append((np.arange(first, first + SECOND) % 30_000).astype(np.int16))
    return ring


def utterance(start: float, speech: int = SECOND // 2) -> PendingUtterance:
    """One that begins there, in seconds."""
    return PendingUtterance(2, round(start * SECOND), 0.0, speech=speech)


def test_it_hears_the_one_before_and_a_little_of_the_pause() -> None:
    """And of a shorter pause all of it."""
    said = Said(SECOND, 3 * SECOND, " so it is", "en")
    for start, seconds in ((5.0, 2.3), (3.1, 2.1), (3.0, 2.0)):
        before = joined(said, utterance(start), "en", listened(6))
        assert before
        assert (before.text, len(before.samples), before.samples[0]) == ("so it is", round(seconds * SECOND), SECOND)


@pytest.mark.parametrize(
    ("said", "speech", "start", "language"),
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
    said: Said | None, speech: int, start: float, language: str | None
) -> None:
    """Where nothing was said before, or in another language, too much or too long ago; and where it says enough."""
    assert joined(said, utterance(start, speech), language, listened(20)) is None


def test_what_the_ring_has_lost_is_not_heard_again() -> None:
    """A text without its audio would be said for this one."""
    assert joined(Said(SECOND, 3 * SECOND, "so", "en"), utterance(5.0), "en", listened(6, kept=4)) is None
