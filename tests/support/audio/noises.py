"""Sounds that are not speech, made from numbers: int16 at 16 kHz, shape (n,)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Sound = NDArray[np.int16]
Signal = NDArray[np.float64]


def coloured(seconds: float, level: float, slope: float = 0.0, seed: int = 0) -> Sound:
    """Noise of `level` dBFS whose power falls with frequency to the `slope`: 0 white, 1 pink, 2 brown."""
    return _pcm(_noise(seconds, slope, seed), level)


def hum(seconds: float, level: float, mains: float = 50.0) -> Sound:
    """Mains hum: the fundamental and its harmonics up to 1 kHz."""
    time = _time(seconds)
    return _pcm(np.sum([np.sin(2 * np.pi * mains * k * time + k) / k for k in range(1, 21)], axis=0), level)


def keyboard(seconds: float, peak: float, seed: int = 0) -> Sound:
    """Keys, 3 to 12 a second: each a click as it goes down and a softer one as it comes up, over faint room noise."""
    rng = np.random.default_rng(seed)
    sound = 10 ** (-65 / 20) * rng.standard_normal(round(seconds * RATE))
    at = 0.2
    while at < seconds - 0.2:
        for when, loudness in ((at, 1.0), (at + rng.uniform(0.05, 0.1), 0.4)):
            length = round(rng.uniform(0.004, 0.02) * RATE)
            ring = np.sin(2 * np.pi * rng.uniform(1200, 4500) * np.arange(length) / RATE)
            click = (rng.standard_normal(length) + ring) * np.exp(-np.arange(length) / length * 5)
            first = round(when * RATE)
            sound[first : first + length] += click * loudness * rng.uniform(0.4, 1.0) * 10 ** (peak / 20) / 3
        at += rng.uniform(0.08, 0.33)
    return _samples(sound)


def breathing(seconds: float, level: float, seed: int = 0) -> Sound:
    """Pink noise that swells and fades, 15 breaths a minute."""
    time = _time(seconds)
    inwards, outwards = np.sin(2 * np.pi * 0.25 * time), 0.6 * np.sin(2 * np.pi * 0.25 * time + 3.6)
    return _pcm(_noise(seconds, 1.0, seed) * np.maximum(0, np.maximum(inwards, outwards)), level)


def impulses(seconds: float, peak: float, seed: int = 0) -> Sound:
    """Single samples, two a second: a bad cable."""
    sound = np.zeros(round(seconds * RATE))
    at = np.random.default_rng(seed).integers(0, len(sound), round(2 * seconds))
    sound[at] = 10 ** (peak / 20)
    return _samples(sound)


def offset(seconds: float, level: float) -> Sound:
    """A constant: a sound card without its capacitor."""
    return _samples(np.full(round(seconds * RATE), 10 ** (level / 20)))


def square(seconds: float, level: float, frequency: float = 110.0) -> Sound:
    """A square wave: full of odd harmonics, like a buzzer."""
    return _pcm(np.sign(np.sin(2 * np.pi * frequency * _time(seconds))), level)


def dial(seconds: float, level: float, seed: int = 0) -> Sound:
    """DTMF: a digit of 120 ms every 250 ms."""
    time, rng = _time(seconds), np.random.default_rng(seed)
    digits = rng.integers(0, 4, (2, len(time) // 4000 + 1))
    low = np.take((697, 770, 852, 941), digits[0]).repeat(4000)[: len(time)]
    high = np.take((1209, 1336, 1477, 1633), digits[1]).repeat(4000)[: len(time)]
    sound = np.sin(2 * np.pi * low * time) + np.sin(2 * np.pi * high * time)
    return _pcm(sound * (time % 0.25 < 0.12), level)


def ringing(seconds: float, level: float) -> Sound:
    """A ring-back tone: 440 and 480 Hz, 1 s of every 3."""
    time = _time(seconds)
    return _pcm((np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 480 * time)) * (time % 3 < 1), level)


def chords(seconds: float, level: float) -> Sound:
    """Plucked chords, two a second, with overtones: music on hold."""
    time = _time(seconds)
    sound = np.zeros(len(time))
    tunes = ((261.6, 329.6, 392.0), (220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7))
    for number, chord in enumerate(tunes):
        fade = np.exp(-(time % 0.5) * 4) * ((time // 0.5) % len(tunes) == number)
        sound += sum(np.sin(2 * np.pi * note * k * time) / k for note in chord for k in range(1, 6)) * fade
    return _pcm(sound, level)


def _time(seconds: float) -> Signal:
    return np.arange(round(seconds * RATE)) / RATE


def _noise(seconds: float, slope: float, seed: int) -> Signal:
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20.0)
    return np.fft.irfft(spectrum / frequency ** (slope / 2), count)


def _pcm(sound: Signal, level: float) -> Sound:
    """As loud as `level` says: root mean square, dB below full scale."""
    return _samples(sound / max(float(np.sqrt(np.mean(np.square(sound)))), 1e-12) * 10 ** (level / 20))


def _samples(sound: Signal) -> Sound:
    return np.asarray(np.clip(np.round(sound * 32767), -32768, 32767), np.int16)
