"""Recorded speech for rehearsals: bundled clips by name, WAV files by path, and a script with all of its clips."""

from __future__ import annotations

import json
import wave
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.problems import Problem, reason, shown
from rehearsal.script import Script, ScriptError, parse_script

CLIP_RATE = 48_000
"""Sample rate of a loaded clip: that of Opus on the wire."""
MAX_CLIP_S = 600.0  # seconds; a clip is held in memory as a whole (58 MB at this length)


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech ready to be sent.

    Args:
        pcm: int16 mono samples at 48 kHz, shape (n,).
        text: What is said, if known.
        speech: Index of the first and one past the last sample that is speech.
    """

    pcm: NDArray[np.int16]
    text: str | None
    speech: tuple[int, int]


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """The bundled clips: name → text, voice, start, end (seconds of the speech inside the clip)."""
    text = files("rehearsal").joinpath("clips/manifest.json").read_text(encoding="utf-8")
    return {clip["name"]: clip for clip in json.loads(text)["clips"]}


def load_clip(name: str, folder: Path) -> Clip:
    """A bundled clip, or a WAV file (16-bit PCM, any rate, any channel count), its path relative to `folder`.

    Raises:
        ValueError: With what is allowed, when there is no such clip or the file cannot be used.
    """
    if name in manifest():
        data = files("rehearsal").joinpath(f"clips/{name}.wav")
        with data.open("rb") as file, wave.open(file) as audio:
            pcm = _read(audio)
        return Clip(pcm, manifest()[name]["text"], speech_bounds(pcm, CLIP_RATE))
    if not name.lower().endswith(".wav"):
        raise ValueError(f"a bundled clip ({', '.join(sorted(manifest()))}) or the path of a .wav file")
    try:
        with wave.open(str(folder / name), "rb") as audio:
            pcm = _read(audio)
    except (OSError, wave.Error, EOFError) as error:
        raise ValueError(f"a readable 16-bit PCM WAV file ({reason(error)})") from None
    return Clip(pcm, None, speech_bounds(pcm, CLIP_RATE))


def load_script(path: Path) -> tuple[Script, dict[str, Clip]]:
    """Reads a script file and the clips it names.

    Raises:
        ScriptError: With every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError([Problem("script", shown(str(path)), f"a readable JSON file ({reason(error)})")]) from None
    script, problems = parse_script(text), list[Problem]()
    clips: dict[str, Clip] = {}
    speaking: dict[str, tuple[float, str]] = {}  # who → until when, and what
    for action in script.timeline:
        if action.do != "speak" or action.clip is None or action.who is None:
            continue
        where = f"timeline: speak {action.who} at {action.at:g}"
        try:
            clips.setdefault(action.clip, load_clip(action.clip, path.parent))
        except ValueError as error:
            problems.append(Problem(where, shown(action.clip), str(error)))
            continue
        until, former = speaking.get(action.who, (0.0, ""))
        if action.at < until:
            problems.append(Problem(where, shown(action.at), f"at least {until:g}, when {former} has ended"))
        speaking[action.who] = action.at + clips[action.clip].pcm.size / CLIP_RATE, action.clip
    if problems:
        raise ScriptError(problems)
    return script, clips


def _read(audio: wave.Wave_read) -> NDArray[np.int16]:
    rate, channels, frames = audio.getframerate(), audio.getnchannels(), audio.getnframes()
    if audio.getsampwidth() != 2:
        raise wave.Error(f"{audio.getsampwidth() * 8} bits per sample")
    if not 4_000 <= rate <= 192_000 or not 0 < frames <= MAX_CLIP_S * rate:
        raise wave.Error(f"{frames} frames at {rate} Hz; 4 to 192 kHz, at most {MAX_CLIP_S:g} s")
    pcm = np.frombuffer(audio.readframes(frames), "<i2").reshape(-1, channels)
    mono = pcm[:, 0] if channels == 1 else pcm.mean(axis=1).astype(np.int16)
    return to_rate(mono, rate, CLIP_RATE)


def to_rate(pcm: NDArray[np.int16], rate: int, wanted: int) -> NDArray[np.int16]:
    """Changes the sample rate through the spectrum of the whole clip: exact for band-limited audio."""
    if rate == wanted:
        return pcm.astype(np.int16)
    edge = rate  # a second of silence around it: the transform takes the clip for periodic
    padded = np.concatenate([np.zeros(edge), pcm.astype(np.float64), np.zeros(edge + (-len(pcm)) % rate)])
    size = len(padded) * wanted // rate
    changed = np.fft.irfft(np.fft.rfft(padded), size) * (size / len(padded))
    first = edge * wanted // rate
    kept = changed[first : first + round(len(pcm) * wanted / rate)]
    return np.clip(np.rint(kept), -32768, 32767).astype(np.int16)


def speech_bounds(pcm: NDArray[np.int16], rate: int, below_peak_db: float = 40.0) -> tuple[int, int]:
    """First and one past the last sample of speech: where 10 ms pieces are within `below_peak_db` of the loudest one.

    A clip without any sound counts as a whole.
    """
    size = rate // 100
    pieces = np.pad(pcm.astype(np.float64), (0, -len(pcm) % size)).reshape(-1, size)
    power = (pieces**2).mean(axis=1)
    if power.max(initial=0.0) == 0.0:
        return 0, len(pcm)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below_peak_db / 10))
    return int(loud[0]) * size, min((int(loud[-1]) + 1) * size, len(pcm))
