"""What rooms, microphones and networks do to speech. Everything is float32 at 16 kHz in [-1, 1]."""

from __future__ import annotations

import io
import random

import av
import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

RATE = 16_000


def noise(count: int, rng: random.Random, numbers: np.random.Generator) -> np.ndarray:
    """White, pink or brown noise, or mains hum; any level."""
    kind = rng.choice(["white", "white", "pink", "pink", "brown", "hum"])
    white = numbers.standard_normal(count)
    if kind == "white":
        return white
    if kind == "hum":
        time, base = np.arange(count) / RATE, rng.choice([50, 60, 100, 120])
        return sum(np.sin(2 * np.pi * base * n * time + n) / n for n in range(1, 6)) + 0.1 * white
    spectrum = np.fft.rfft(white)
    return np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1) ** (0.5 if kind == "pink" else 1.0), count)


def reverb(samples: np.ndarray, rng: random.Random, numbers: np.random.Generator) -> np.ndarray:
    """A room with 0.1 to 0.5 s of echo."""
    count = int(rng.uniform(0.1, 0.5) * RATE)
    room = numbers.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    room *= 10 ** (-rng.uniform(3, 14) / 20) / np.sqrt(np.square(room).sum())
    room[0] = 1.0
    return fftconvolve(samples, room)[: len(samples)]


def opus(samples: np.ndarray, bit_rate: int) -> np.ndarray:
    """Through the codec of WebRTC and back, in memory."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = bit_rate
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE
        for piece in av.AudioResampler(format=stream.format.name, layout="mono", rate=RATE).resample(frame):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    buffer.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    with av.open(buffer) as source:
        pieces = [p.to_ndarray()[0] for frame in source.decode(audio=0) for p in resampler.resample(frame)]
    decoded = np.concatenate(pieces)[: len(samples)]
    return np.pad(decoded, (0, len(samples) - len(decoded)))


def speed(samples: np.ndarray, words: list, rng: random.Random) -> tuple[np.ndarray, list]:
    """Up to 15 % slower or faster, word times with it."""
    twentieths = rng.choice([17, 18, 19, 20, 20, 20, 21, 22, 23])
    if twentieths == 20:
        return samples, words
    ratio = twentieths / 20
    return resample_poly(samples, twentieths, 20), [(word, start * ratio, end * ratio) for word, start, end in words]


def degrade(samples: np.ndarray, rng: random.Random, numbers: np.random.Generator) -> np.ndarray:
    """Half of the time nothing but another level; else a mix of everything above."""
    if rng.random() < 0.5:
        return (samples * 10 ** (-rng.uniform(0, 12) / 20)).astype(np.float32)
    if rng.random() < 0.15:
        samples = reverb(samples, rng, numbers)
    if rng.random() < 0.1:
        samples = sosfilt(butter(4, rng.uniform(3000, 5500), "low", fs=RATE, output="sos"), samples)
    if rng.random() < 0.1:
        samples = sosfilt(butter(2, rng.uniform(80, 350), "high", fs=RATE, output="sos"), samples)
    samples = samples / max(1e-4, np.abs(samples).max())
    if rng.random() < 0.7:
        loud = np.sqrt(np.square(samples).sum() / max(1, (np.abs(samples) > 0.02).sum()) + 1e-9)
        added = noise(len(samples), rng, numbers)
        samples = samples + added / (added.std() + 1e-9) * loud * 10 ** (-rng.uniform(8, 50) / 20)
    samples = samples * 10 ** (-rng.uniform(0, 26) / 20) / max(1.0, np.abs(samples).max())
    if rng.random() < 0.03:
        samples = np.clip(samples * 4, -0.5, 0.5)
    if rng.random() < 0.15:
        samples = opus(samples.astype(np.float32), rng.choice([16_000, 24_000, 32_000, 48_000]))
    return samples.astype(np.float32)
