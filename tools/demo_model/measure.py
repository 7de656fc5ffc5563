"""Word error rate of a model on held-out sentences, through the transcriber's own engine.

    python tools/demo_model/measure.py [MODEL FOLDER] [SENTENCES PER VOICE]

Needs the programs flite and espeak-ng; nothing of the training environment.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import av
import jiwer
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from grammar import grammar_sentence, is_held_out  # noqa: E402

from transcriber.core.windows import Window  # noqa: E402
from transcriber.engine.faster_whisper import FasterWhisper  # noqa: E402
from transcriber.engine.models import DEMO_FOLDER  # noqa: E402

VOICES = (
    "flite slt", "flite rms", "flite awb", "flite kal16",
    "espeak-ng en-us", "espeak-ng en-gb", "espeak-ng en-us+m3", "espeak-ng en-us+f2",
    "espeak-ng en-us+f5", "espeak-ng en-us+m6",
)  # fmt: skip
"""The last two were never trained on."""


def speak(voice: str, text: str, folder: str) -> np.ndarray:
    """One sentence as float32 at 16 kHz, with faint noise and a little silence around it."""
    engine, name = voice.split(" ")
    path = f"{folder}/speech.wav"
    options = ["-voice", name, "-t", text, "-o", path] if engine == "flite" else ["-v", name, "-w", path, text]
    subprocess.run([engine, *options], check=True)
    with wave.open(path) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = rate
    speech = np.concatenate([f.to_ndarray()[0] for f in [*resampler.resample(frame), *resampler.resample(None)]])
    speech *= 0.6 / np.abs(speech).max()
    speech = np.pad(speech, (4800, 3200))
    return speech + np.random.default_rng(len(text)).normal(0, 0.0003, len(speech))


def noisy(speech: np.ndarray, decibels: float, seed: int) -> np.ndarray:
    """With white noise, so many decibels below the speech."""
    rng = np.random.default_rng(seed)
    loud = np.sqrt(np.mean(speech[np.abs(speech) > 0.02] ** 2))
    return speech + rng.normal(0, loud * 10 ** (-decibels / 20), len(speech))


def main() -> None:
    """Prints one line per voice."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO_FOLDER
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    engine = FasterWhisper(folder, folder.name, device="cpu")
    engine.warm_up()
    rng, texts = random.Random(77), list[str]()
    while len(texts) < count * len(VOICES):
        text = grammar_sentence(rng)
        if is_held_out(text) and text not in texts:
            texts.append(text)
    print(
        "| voice | clean, final | clean, partial's search | noise 20 dB, final | ms per final |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as workplace:
        for number, voice in enumerate(VOICES):
            spoken = texts[number * count : (number + 1) * count]
            audio = [speak(voice, text, workplace) for text in spoken]
            row = []
            for sounds, careful in (
                (audio, True),
                (audio, False),
                ([noisy(a, 20, n) for n, a in enumerate(audio)], True),
            ):
                started = time.perf_counter()
                windows = [Window(np.clip(s * 32768, -32768, 32767).astype(np.int16), careful=careful) for s in sounds]
                heard = [result.text for result in engine.transcribe(windows)]
                row.append((100 * jiwer.wer(spoken, heard), 1000 * (time.perf_counter() - started) / count))
            print(f"| {voice} | " + " | ".join(f"{wer:.1f}" for wer, _ in row) + f" | {row[0][1]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
