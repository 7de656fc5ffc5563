"""Joining of a very short utterance with the one before: "six" or "ask not" by itself is often misheard, or lost.

The model hears both and is told what the first one was. Of 788 English words (Whisper base, the tracks of bench/words)
six fewer were wrong. Noise is not always told from a word: of 100 bursts after speech (hums, breaths, coughs, vowels,
clicks) 16 got a short one ("Oh"), by way of this or without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.audio.pcm import SAMPLE_RATE
from transcriber.core.policy import PendingUtterance
from transcriber.core.ring import AudioRing
from transcriber.core.windows import Before

JOINED_SPEECH_SAMPLES = SAMPLE_RATE
"""Speech from which an utterance is heard well by itself."""
MAX_SAID_SAMPLES, MAX_GAP_SAMPLES = 8 * SAMPLE_RATE, 10 * SAMPLE_RATE
"""The one before must be no longer, so that both fit half of Whisper's window, and no longer ago."""
KEPT_PAUSE_SAMPLES = SAMPLE_RATE * 3 // 10
"""Of the pause between them, as much as is kept."""


@dataclass(frozen=True, slots=True)
class Said:
    """A final: where it was heard, in samples of the stream, its text and language."""

    start: int
    end: int
    text: str
    language: str


def joined(said: Said | None, utterance: PendingUtterance, language: str | None, ring: AudioRing) -> Before | None:
    """What a pass over an utterance is to hear before it; None: it is heard by itself.

    Args:
        said: The final before, None where nothing was said.
        utterance: What is to be decoded.
        language: What it is spoken in, as far as is known.
        ring: The audio of the stream.
    """
    if said is None or said.language != language or utterance.speech >= JOINED_SPEECH_SAMPLES:
        return None
    if said.end - said.start > MAX_SAID_SAMPLES or utterance.start - said.end > MAX_GAP_SAMPLES:
        return None
    if not ring.start <= said.start < said.end <= utterance.start:
        return None
    return Before(ring.read(said.start, min(said.end + KEPT_PAUSE_SAMPLES, utterance.start)), said.text.strip())
