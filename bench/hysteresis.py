"""Hysteresis bench: at which speech probability should an open gate that has paused resume?

    python -m bench.hysteresis SPEECH_FOLDER [--model FOLDER]      writes bench/hysteresis.json and bench/hysteresis.md

SPEECH_FOLDER holds NAME.flac, the transcript NAME.txt and a table in SOURCES.md: name, seconds, language, kind. Every
 variant gates the same clips with the real Silero model;
with a CTranslate2 Whisper model each utterance is decoded alone (beam 1, as the transcriber's careful pass, but without
its filters) and the words are compared with the transcript. Noise is what tests/support/audio/noises.py makes.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av import AudioResampler
from av import open as open_media
from numpy.typing import NDArray

from common.audio.hysteresis import FRAME_SAMPLES
from common.audio.pcm import SAMPLE_RATE, to_float, to_int16
from common.audio.silero import SileroModel
from tests.support.audio import noises

FRAME = FRAME_SAMPLES
FRAME_S = FRAME / SAMPLE_RATE
LEVEL_DBFS = -35.0
SNRS_DB = (5, 0, -5)
ONSET, HANGOVER, PRE_ROLL, TAIL = 3, 15, 13, 7  # frames, as in the bot's gate


@dataclass(frozen=True)
class Variant:
    """Thresholds: to begin, to go on, to resume after a pause, and between the frames of an onset."""

    name: str
    resume: float
    onset_next: float
    start: float = 0.5
    keep: float = 0.35


VARIANTS = (
    Variant("resume at 0.5, onset by 0.35 (the bot's gate before)", 0.5, 0.35),
    Variant("resume at 0.35, onset by 0.5 (the transcriber's before)", 0.35, 0.5),
    Variant("resume at 0.35, onset by 0.35 (both now)", 0.35, 0.35),
    Variant("resume at 0.5, onset by 0.5", 0.5, 0.5),
)


def load(path: Path) -> NDArray[np.int16]:
    """The clip as 16 kHz mono int16."""
    resampler = AudioResampler("s16", "mono", SAMPLE_RATE)
    with open_media(str(path)) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames]).astype(np.int16)


def probabilities(model: SileroModel, pcm: NDArray[np.int16]) -> list[float]:
    """One per frame of 512 samples."""
    stream, samples = model.stream(), to_float(pcm)
    return [stream(samples[at : at + FRAME]) for at in range(0, len(samples) - FRAME + 1, FRAME)]


def utterances(values: list[float], variant: Variant) -> list[tuple[int, int]]:
    """First and one past the last frame of each utterance, pre-roll and tail included."""
    found, is_open, run, begin = [], False, 0, 0
    for at, value in enumerate([*values, *[0.0] * (HANGOVER + 1)]):
        if is_open:
            run = 0 if value >= (variant.resume if run else variant.keep) else run + 1
            if run >= HANGOVER:
                found.append((begin, min(at + 1 - run + TAIL, len(values))))
                is_open, run = False, 0
        else:
            run = run + 1 if value >= (variant.onset_next if run else variant.start) else 0
            if run >= ONSET:
                begin = max(at + 1 - run - PRE_ROLL, found[-1][1] if found else 0)
                is_open, run = True, 0
    return found


def words(text: str) -> list[str]:
    """For comparison: lower case, letters and digits only."""
    return re.sub(r"[^\w' ]+", " ", text.lower().replace("’", "'")).split()


def english(folder: Path) -> list[str]:
    """The clips in English with their source's own transcript, from the table in SOURCES.md."""
    rows = [line.split("|") for line in (folder / "SOURCES.md").read_text(encoding="utf-8").splitlines()]
    return [row[1].strip() for row in rows if len(row) > 5 and (row[3].strip(), row[4].strip()) == ("en", "official")]


def in_noise(pcm: NDArray[np.int16], snr_db: float) -> NDArray[np.int16]:
    """The clip with pink noise at this signal-to-noise ratio (of the whole clip's power)."""
    noise = to_float(noises.coloured(len(pcm) / SAMPLE_RATE + 0.1, LEVEL_DBFS, 1.0)[: len(pcm)])
    speech = to_float(pcm)
    gain = np.sqrt(np.mean(speech**2) / np.mean(noise**2) / 10 ** (snr_db / 10))
    return to_int16((speech + np.float32(gain) * noise).astype(np.float32))


def measure(folder: Path, model_folder: str | None) -> dict[str, Any]:
    """All variants over all clips."""
    silero = SileroModel()
    clean = {name: load(folder / f"{name}.flac") for name in english(folder)}
    clips = dict(clean)
    for snr_db in SNRS_DB:
        clips |= {f"{name} at {snr_db} dB": in_noise(pcm, snr_db) for name, pcm in clean.items()}
    spoken = {name: probabilities(silero, pcm) for name, pcm in clips.items()}
    sounds = {
        "white": noises.coloured(20.0, LEVEL_DBFS),
        "brown": noises.coloured(20.0, LEVEL_DBFS, 2.0),
        "keyboard": noises.keyboard(20.0, LEVEL_DBFS),
        "breathing": noises.breathing(20.0, LEVEL_DBFS),
    }
    quiet = {name: probabilities(silero, pcm) for name, pcm in sounds.items()}
    decode = None
    if model_folder is not None:
        from faster_whisper import WhisperModel

        decode = WhisperModel(model_folder, compute_type="int8", cpu_threads=1)
    cache: dict[tuple[str, int, int], str] = {}
    rows = []
    for variant in VARIANTS:
        cut = {name: utterances(values, variant) for name, values in spoken.items()}
        row: dict[str, Any] = {
            "variant": variant.name,
            "utterances": sum(map(len, cut.values())),
            "open_s": round(
                sum(end - begin for found in cut.values() for begin, end in found) * FRAME / SAMPLE_RATE, 1
            ),
            "openings_on_noise": {name: len(utterances(values, variant)) for name, values in quiet.items()},
        }
        if decode is not None:
            row |= _errors(decode, clips, cut, folder, cache)
        rows.append(row)
    seconds = round(sum(map(len, clips.values())) / SAMPLE_RATE, 1)
    return {"clips": len(clips), "seconds": seconds, "model": bool(model_folder), "rows": rows}


def _errors(decode: Any, clips: Any, cut: Any, folder: Path, cache: dict[tuple[str, int, int], str]) -> dict[str, Any]:
    import jiwer

    said, heard, by_clip = [], [], {}
    for name, found in cut.items():
        texts = []
        for begin, end in found:
            if (name, begin, end) not in cache:
                samples = to_float(clips[name][begin * FRAME : end * FRAME])
                segments, _ = decode.transcribe(samples, language="en", beam_size=1, condition_on_previous_text=False)
                cache[name, begin, end] = " ".join(segment.text for segment in segments)
            texts.append(cache[name, begin, end])
        reference = " ".join(words((folder / f"{name.partition(' at ')[0]}.txt").read_text(encoding="utf-8")))
        said.append(reference)
        heard.append(" ".join(words(" ".join(texts))))
        by_clip[name] = round(jiwer.wer(reference, heard[-1]), 4)
    return {
        "wer": round(jiwer.wer(said, heard), 4),
        "words": sum(len(text.split()) for text in said),
        "by_clip": by_clip,
    }


def report(result: dict[str, Any]) -> str:
    """The table."""
    lines = [
        "# Where an open speech gate resumes",
        "",
        f"{result['clips']} clips of real English speech, clean and in pink noise at 5, 0 and −5 dB,",
        f"{result['seconds']:g} s; the bot's gate (onset 96 ms, hangover 0.48 s, pre-roll 0.42 s, tail 0.22 s) on the",
        "real Silero v6. Words: Whisper base, int8, each utterance decoded alone with beam 1, against the transcript.",
        "Noise: 20 s each, made by `tests/support/audio/noises.py`. Raw numbers: `hysteresis.json`.",
        "",
        "| variant | utterances | open, s | WER | openings on noise |",
        "|---|---:|---:|---:|---|",
    ]
    for row in result["rows"]:
        noise = ", ".join(f"{name} {count}" for name, count in row["openings_on_noise"].items())
        wer = f"{row['wer']:.1%}" if "wer" in row else "–"
        lines.append(f"| {row['variant']} | {row['utterances']} | {row['open_s']:g} | {wer} | {noise} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--model")
    given = parser.parse_args()
    result = measure(given.speech, given.model)
    here = Path(__file__).parent
    (here / "hysteresis.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (here / "hysteresis.md").write_text(report(result), encoding="utf-8")
    print(report(result))


if __name__ == "__main__":
    main()
