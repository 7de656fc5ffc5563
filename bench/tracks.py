"""Tracks of real speech: one participant each, clips with known texts one after the other, in a room or in noise.

The folder of speech holds NAME.flac (16 kHz mono), NAME.txt, and SOURCES.md with a table row
`| NAME | seconds | language | official … |` for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.hysteresis import Sound, clips
from common.audio.pcm import SAMPLE_RATE, dbfs
from tests.support.audio import noises

LEAD_S, TRAIL_S = 1.0, 3.0
ROOM_DBFS = -75.0
TURN_PAUSES_S = (0.8, 2.0)
MONOLOGUE_PAUSE_S = 0.1
NOISE_SNR_DB = 12.0
SPEECH_RANGE_DB = 30.0
"""What is at most this much below a clip's loud 10 ms is its speech."""
ONSET_STEPS = 5
ANSWERS = ("cv_no", "cv_six", "cv_firefox")
"""Clips of one word: left out of the monologue."""
OWN_NOISE = "n5_"
"""So begin the names of clips that have noise of their own."""
REHEARSAL = frozenset(path.stem for path in (Path(__file__).parents[1] / "rehearsal" / "clips").glob("*.wav"))


@dataclass(frozen=True)
class Turn:
    """A clip in a track; seconds from its start."""

    start: float
    end: float
    speech_end: float
    text: str


@dataclass(frozen=True)
class Track:
    """One participant."""

    name: str
    language: str
    sound: Sound
    turns: tuple[Turn, ...]


def tracks(folder: Path) -> Iterator[Track]:
    """Turns with pauses, the same 20 dB quieter, in noise, without pauses, clips with noise of their own, languages."""
    by_language = transcribed(folder)
    english = by_language.pop("en")
    own = {name: clip for name, clip in english.items() if name.startswith(OWN_NOISE)}
    real = quiet_room(english)
    yield track("turns", "en", real, TURN_PAUSES_S)
    yield track("turns, 20 dB quieter", "en", real, TURN_PAUSES_S, gain=0.1)
    yield track(f"turns, pink noise at {NOISE_SNR_DB:g} dB", "en", real, TURN_PAUSES_S, snr=NOISE_SNR_DB)
    yield track("turns, noise of their own at 5 dB", "en", own, TURN_PAUSES_S)
    talk = {name: clip for name, clip in real.items() if name not in ANSWERS}
    yield track("monologue without pauses", "en", talk, (MONOLOGUE_PAUSE_S, MONOLOGUE_PAUSE_S))
    for language, spoken in by_language.items():
        yield track(f"language {language}", language, spoken, (1.0, 1.0))


def transcribed(folder: Path) -> dict[str, dict[str, tuple[str, Sound]]]:
    """Text and samples by language and name, of clips with official transcripts."""
    by_language: dict[str, dict[str, tuple[str, Sound]]] = {}
    for name, language, text, sound in clips(folder):
        if text:
            by_language.setdefault(language, {})[name] = text, sound
    return by_language


def quiet_room(english: Mapping[str, tuple[str, Sound]]) -> dict[str, tuple[str, Sound]]:
    """Text and samples by name: without clips that have noise of their own, and without the rehearsal's."""
    return {name: clip for name, clip in english.items() if not name.startswith(OWN_NOISE) and name not in REHEARSAL}


def track(
    name: str, language: str, spoken: Mapping[str, tuple[str, Sound]], pauses: tuple[float, float], *,
    gain: float = 1.0, snr: float | None = None,
) -> Track:  # fmt: skip
    """Clips one after the other, in a quiet room or in pink noise so many dB below their speech."""
    draw = np.random.default_rng(1)
    pieces, turns, at = [np.zeros(round(LEAD_S * SAMPLE_RATE), np.int32)], [], LEAD_S
    for text, sound in spoken.values():
        end = at + len(sound) / SAMPLE_RATE
        turns.append(Turn(at, end, at + speech_bounds(sound)[1], text))
        pause = np.zeros(round(draw.uniform(*pauses) * SAMPLE_RATE), np.int32)
        pieces += [sound.astype(np.int32), pause]
        at = end + len(pause) / SAMPLE_RATE
    heard = np.concatenate([*pieces, np.zeros(round(TRAIL_S * SAMPLE_RATE), np.int32)])
    level = ROOM_DBFS
    if snr is not None:
        loud = heard[np.abs(heard) > 200] / 32768
        level = float(10 * np.log10(np.mean(loud**2))) - snr
    noise = noises.coloured(len(heard) / SAMPLE_RATE + 0.1, level, 1.0, seed=2)[: len(heard)]
    mixed = np.clip(np.round(heard * gain) + noise, -32768, 32767).astype(np.int16)
    return Track(name, language, mixed, tuple(turns))


def speech_bounds(sound: Sound) -> tuple[float, float]:
    """Seconds where its speech begins, the first `ONSET_STEPS` of 10 ms in a row that are loud (a click is none), and
    where it ends, the last 10 ms that are."""
    step = SAMPLE_RATE // 100
    levels = np.array([max(dbfs(piece), -100.0) for piece in sound[: len(sound) // step * step].reshape(-1, step)])
    loud = levels > np.percentile(levels, 95) - SPEECH_RANGE_DB
    onsets = np.convolve(loud, np.ones(ONSET_STEPS), "valid") == ONSET_STEPS
    return float(np.argmax(onsets)) / 100, float(np.flatnonzero(loud)[-1] + 1) / 100
