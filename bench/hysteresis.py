"""How a speech gate should treat doubtful frames, measured: `python -m bench.hysteresis SPEECH_FOLDER --model FOLDER`.

Writes hysteresis.md and hysteresis.json. The folder of speech holds NAME.flac (16 kHz mono), NAME.txt, and SOURCES.md
with a table row `| NAME | seconds | language | official … |` for each; the model is a CTranslate2 Whisper. The bundled
rehearsal clips and synthetic noises come on top.

A frame is speech for certain from `open` 0.5 on, silence for certain below 0.35. The question is what a frame between
both does in two places: in a run of speech that has not opened the gate yet (*onset*), and in an open gate that has
paused (*resume*).
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from jiwer import process_characters, process_words
from numpy.typing import NDArray

from common.audio.pcm import SAMPLE_RATE, dbfs, to_float
from common.audio.silero import SileroModel
from tests.support.audio import noises
from transcriber.core.windows import Window
from transcriber.engine.faster_whisper import FasterWhisper

HERE = Path(__file__).parent
CLIPS = HERE.parent / "rehearsal" / "clips"
FRAME_SAMPLES = 512
OPEN, KEEP, FLOOR_DBFS = 0.5, 0.35, -60.0
LEAD_S, TRAIL_S = 1.0, 3.0
ROOM_DBFS = -75.0
QUIET = "20 dB quieter"
CHATTER = "ami_tst00"
"""The clip of a meeting that is the talk in the background."""
SPEECH_RANGE_DB = 30.0
"""Frames of a clip are speech for the count of what is lost if they are at most this much below its loud ones."""
LONGEST_WINDOW = 15 * SAMPLE_RATE
LONGEST_SENTENCE_S = 12.0
"""Clips up to this are one sentence: more than one utterance is a split inside it."""
LONGEST_SCORED_S = 16.0
"""Longer clips are not decoded: they would take most of the time."""
NOT_SCORED = ("white noise, 10 dB", "white noise, 5 dB", "20 dB quieter")
NOISE_S = 30.0
BY_CHARACTER = ("bo", "ja", "km", "lo", "my", "th", "yue", "zh")
"""Languages without spaces between words."""

Sound = NDArray[np.int16]
Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Gate:
    """The lengths of one of the two gates, in frames of 32 ms."""

    name: str
    onset: int
    hangover: int
    pre_roll: int
    tail: int


GATES = (Gate("bot", 3, 12, 13, 7), Gate("transcriber", 2, 12, 9, 12))


@dataclass(frozen=True)
class Rule:
    """What doubtful frames do: the probability that the second frame of an onset needs, and one that ends a pause."""

    onset: float
    resume: float

    @property
    def name(self) -> str:
        """For tables."""
        return f"onset {self.onset:g}, resume {self.resume:g}"


RULES = tuple(Rule(onset, resume) for onset, resume in itertools.product((OPEN, KEEP), (OPEN, KEEP)))


@dataclass(frozen=True)
class Track:
    """A clip as a participant's track, and what is in it."""

    name: str
    condition: str
    language: str
    text: str
    """Empty: no transcript, not scored."""
    sound: Sound
    is_speech: NDArray[np.bool_]
    """By frame."""
    seconds: float
    """Of the clip."""


def utterances(probabilities: list[float], gate: Gate, rule: Rule) -> tuple[Ranges, int]:
    """First and last frame (exclusive) of what is sent of each utterance, and the frame after which the last ended."""
    found: Ranges = []
    ended = len(probabilities)
    is_open, run, sent = False, 0, 0
    for index, probability in enumerate(probabilities):
        if is_open:
            run = 0 if probability >= (rule.resume if run else KEEP) else run + 1
            if run >= gate.hangover:
                begun, _ = found[-1]
                sent = index + 1 - run + min(gate.tail, run)
                found[-1], is_open, run, ended = (begun, sent), False, 0, index + 1
        else:
            run = run + 1 if probability >= (rule.onset if run else OPEN) else 0
            if run >= gate.onset:
                found.append((max(index + 1 - run - gate.pre_roll, sent), len(probabilities)))
                is_open, run, ended = True, 0, len(probabilities)
    return found, ended


def listen(silero: SileroModel, sound: Sound) -> list[float]:
    """The probability of each frame; what is too faint is no speech."""
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    heard = silero.batched()(to_float(frames))
    return [p if dbfs(frame) >= FLOOR_DBFS else 0.0 for p, frame in zip(heard, frames, strict=True)]


def clips(folder: Path) -> Iterator[tuple[str, str, str, Sound]]:
    """Name, language, text and samples of every clip."""
    rows = re.findall(r"^\| (\S+) \| [\d.]+ \| (\w+) \| (\w+) \|", (folder / "SOURCES.md").read_text(), re.MULTILINE)
    for name, language, kind in rows:
        text = (folder / f"{name}.txt").read_text().strip() if kind == "official" else ""
        with av.open(str(folder / f"{name}.flac")) as container:
            frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
        yield name, language, text, np.concatenate(frames).astype(np.int16)
    for row in json.loads((CLIPS / "manifest.json").read_text())["clips"]:
        with wave.open(str(CLIPS / f"{row['name']}.wav")) as file:
            yield row["name"], "en", row["text"], np.frombuffer(file.readframes(file.getnframes()), "<i2")


def tracks(folder: Path) -> Iterator[Track]:
    """Each clip clean, 20 dB quieter, and in noises that go on around it; clips with noise of their own as they are."""
    sounds = {name: sound for name, _, _, sound in clips(folder)}
    for name, language, text, sound in clips(folder):
        levels = _levels(sounds[name.removeprefix("n5_")])
        speech = levels > np.percentile(levels, 95) - SPEECH_RANGE_DB
        around = tuple(round(seconds * SAMPLE_RATE) // FRAME_SAMPLES for seconds in (LEAD_S, TRAIL_S))
        padded = np.pad(sound, [frames * FRAME_SAMPLES for frames in around]).astype(np.int32)
        is_speech = np.pad(speech, (around[0], around[1] + 1))[: len(padded) // FRAME_SAMPLES]
        noises_under = _backgrounds(len(padded), float(np.mean(levels[speech])), sounds[CHATTER])
        if name.startswith("n5_"):
            noises_under = {"noise of its own, 5 dB": noises_under["clean"]}
        for condition, noise in noises_under.items():
            gain = 0.1 if condition == QUIET else 1.0
            heard = np.clip(np.round(padded * gain) + noise, -32768, 32767).astype(np.int16)
            yield Track(name, condition, language, text, heard, is_speech, len(sound) / SAMPLE_RATE)


def _backgrounds(samples: int, level: float, chatter: Sound) -> dict[str, Sound]:
    """What is under speech of this level in dBFS, from before it to after it."""

    def coloured(dbfs: float, slope: float) -> Sound:
        return noises.coloured(samples / SAMPLE_RATE + 0.1, dbfs, slope, seed=1)[:samples]

    room = coloured(ROOM_DBFS, 1.0)
    made = {"clean": room, QUIET: room}
    for snr in (10, 5):
        made[f"pink noise, {snr} dB"] = coloured(level - snr, 1.0)
        made[f"white noise, {snr} dB"] = coloured(level - snr, 0.0)
    for snr in (30, 20):
        talk = np.resize(chatter, samples) * 10 ** ((level - snr - float(np.percentile(_levels(chatter), 75))) / 20)
        made[f"distant talk, {snr} dB"] = np.clip(np.round(talk) + room, -32768, 32767).astype(np.int16)
    return made


def _levels(sound: Sound) -> NDArray[np.float64]:
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    return np.array([max(dbfs(frame), -100.0) for frame in frames])


def noise_sounds() -> dict[str, Sound]:
    """What is not speech, each at several levels."""
    made = {
        f"{name}, {level} dBFS": noises.coloured(NOISE_S, level, slope, seed=3)
        for name, slope in (("white", 0.0), ("pink", 1.0), ("brown", 2.0))
        for level in (-25, -35, -45)
    }
    for level in (-25, -35, -45):
        made[f"hum, {level} dBFS"] = noises.hum(NOISE_S, level)
        made[f"breathing, {level} dBFS"] = noises.breathing(NOISE_S, level)
        made[f"chords, {level} dBFS"] = noises.chords(NOISE_S, level)
        made[f"keyboard, peak {level + 20} dBFS"] = noises.keyboard(NOISE_S, level + 20, seed=4)
    made["impulses"] = noises.impulses(NOISE_S, -6)
    made["dial tones"] = noises.dial(NOISE_S, -20)
    made["ring-back"] = noises.ringing(NOISE_S, -20)
    made["square wave"] = noises.square(NOISE_S, -20)
    return made


class Scorer:
    """Word errors of what the gate sent; utterances that several rules cut alike are decoded once."""

    def __init__(self, folder: Path) -> None:
        self._engine = FasterWhisper(folder, "whisper")
        self._texts: dict[tuple[str, str, int, int], str] = {}

    def errors(self, track: Track, sent: Ranges) -> tuple[int, int]:
        """Wrong words (characters, where there are no spaces) and words in the transcript."""
        said = " ".join(self._text(track, first, last) for first, last in sent)
        wanted, heard = _words(track.text), _words(said)
        if track.language in BY_CHARACTER:
            wanted, heard = wanted.replace(" ", ""), heard.replace(" ", "")
            scored: Any = process_characters(wanted, heard)
        else:
            scored = process_words(wanted, heard)
        wrong = scored.substitutions + scored.deletions + scored.insertions
        return wrong, scored.hits + scored.substitutions + scored.deletions

    def _text(self, track: Track, first: int, last: int) -> str:
        key = (track.name, track.condition, first, last)
        if key not in self._texts:
            pcm = track.sound[first * FRAME_SAMPLES : last * FRAME_SAMPLES]
            windows = [
                Window(piece, language=track.language, careful=True, full=True)
                for piece in np.array_split(pcm, -(-len(pcm) // LONGEST_WINDOW))
            ]
            self._texts[key] = " ".join(
                result.text for window in windows for result in self._engine.transcribe([window])
            )
        return self._texts[key]


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))


def measure(track: Track, probabilities: list[float], scorer: Scorer | None) -> Iterator[dict[str, Any]]:
    """A row for each gate and rule."""
    for gate, rule in itertools.product(GATES, RULES):
        sent, ended = utterances(probabilities, gate, rule)
        covered = np.zeros(len(probabilities), bool)
        for first, last in sent:
            covered[first:last] = True
        row: dict[str, Any] = {
            "clip": track.name, "condition": track.condition, "seconds": track.seconds,
            "gate": gate.name, "rule": rule.name, "utterances": len(sent),
            "sent_s": float(covered.sum() * FRAME_SAMPLES / SAMPLE_RATE),
            "speech_s": float(track.is_speech.sum() * FRAME_SAMPLES / SAMPLE_RATE),
            "end_delay_s": float(ended - np.flatnonzero(track.is_speech)[-1] - 1) * FRAME_SAMPLES / SAMPLE_RATE,
            "lost_s": float((track.is_speech & ~covered).sum() * FRAME_SAMPLES / SAMPLE_RATE),
        }  # fmt: skip
        if scorer and track.text and track.seconds <= LONGEST_SCORED_S and track.condition not in NOT_SCORED:
            row["wrong_words"], row["words"] = scorer.errors(track, sent)
        yield row


def measure_noise(name: str, probabilities: list[float]) -> Iterator[dict[str, Any]]:
    """A row for each gate and rule."""
    for gate, rule in itertools.product(GATES, RULES):
        sent, _ = utterances(probabilities, gate, rule)
        open_s = sum(last - first for first, last in sent) * FRAME_SAMPLES / SAMPLE_RATE
        yield {"noise": name, "gate": gate.name, "rule": rule.name, "openings": len(sent), "open_s": open_s}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}


def report(rows: list[dict[str, Any]], noise_rows: list[dict[str, Any]]) -> str:
    """The page."""
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    names = {row["clip"] for row in rows}
    lines = [
        "# Doubtful frames in the speech gate",
        "",
        "Generated by `python -m bench.hysteresis SPEECH_FOLDER --model FOLDER`; raw numbers in `hysteresis.json`.",
        "Do not edit.",
        "",
        f"Workload: {len(names)} clips (real speech, named in the JSON, and the 24 rehearsal clips), as tracks with",
        f"{LEAD_S:g} s before and {TRAIL_S:g} s after them in room noise of {ROOM_DBFS:g} dBFS; Silero v6;",
        f"{len({row['noise'] for row in noise_rows})} synthetic noises of {NOISE_S:g} s. Distant talk is another",
        "meeting, so far below the clip; its words count as errors. Errors: Whisper (beam 5, window of 30 s) over each",
        f"utterance sent, by itself; clips of at most {LONGEST_SCORED_S:g} s with an official transcript.",
        "",
        "* onset, resume: the probability that a frame needs to go on with an onset, and to end a pause (0.5 or 0.35).",
        f"* splits: utterances beyond the first in clips of at most {LONGEST_SENTENCE_S:g} s, a sentence each; in",
        "  brackets utterances in all.",
        f"* missed: clips without any utterance. Lost: speech (frames within {SPEECH_RANGE_DB:g} dB of the clip's loud",
        "  ones) that was not sent, of all speech.",
        "* end: from the clip's last speech to the end of the last utterance, mean and 95th percentile.",
        "",
    ]
    for gate in GATES:
        lines += [f"## Lengths of the {gate.name}'s gate", ""]
        lines += [
            "| Tracks | rule | splits | missed | lost | sent, s | end, s | errors |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for condition in (*conditions, "all"):
            lines += [_speech_line(rows, gate, rule, condition) for rule in RULES]
        lines += ["", "| Noise | rule | openings | open |", "|---|---|---|---|"]
        lines += [_noise_line(noise_rows, gate, rule) for rule in RULES]
        lines.append("")
    return "\n".join(lines)


def _speech_line(rows: list[dict[str, Any]], gate: Gate, rule: Rule, condition: str) -> str:
    mine = [
        r for r in rows if (r["gate"], r["rule"]) == (gate.name, rule.name) and condition in (r["condition"], "all")
    ]
    splits = sum(max(r["utterances"] - 1, 0) for r in mine if r["seconds"] <= LONGEST_SENTENCE_S)
    lost, speech = sum(r["lost_s"] for r in mine), sum(r["speech_s"] for r in mine)
    wrong, words = sum(r.get("wrong_words", 0) for r in mine), sum(r.get("words", 0) for r in mine)
    ends = [r["end_delay_s"] for r in mine]
    return (
        f"| {condition} ({len(mine)}) | {rule.name} | {splits} ({sum(r['utterances'] for r in mine)}) "
        f"| {sum(not r['utterances'] for r in mine)} | {lost / speech:.2%} | {sum(r['sent_s'] for r in mine):.0f} "
        f"| {np.mean(ends):.2f} / {np.percentile(ends, 95):.2f} "
        f"| {f'{wrong / words:.2%} ({wrong}/{words})' if words else '—'} |"
    )


def _noise_line(rows: list[dict[str, Any]], gate: Gate, rule: Rule) -> str:
    mine = [r for r in rows if (r["gate"], r["rule"]) == (gate.name, rule.name)]
    opened = ", ".join(f"{r['noise']} {r['open_s']:.1f} s" for r in mine if r["openings"])
    return (
        f"| {len(mine)} noises | {rule.name} | {sum(r['openings'] for r in mine)} "
        f"| {sum(r['open_s'] for r in mine):.1f} s{f' ({opened})' if opened else ''} |"
    )


def main() -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="folder with clips, transcripts and SOURCES.md")
    parser.add_argument("--model", type=Path, help="folder of a Whisper model; without it no errors are counted")
    arguments = parser.parse_args()
    silero = SileroModel()
    scorer = Scorer(arguments.model) if arguments.model else None
    rows: list[dict[str, Any]] = []
    for track in tracks(arguments.speech):
        rows += measure(track, listen(silero, track.sound), scorer)
        print(f"{track.name}, {track.condition}", file=sys.stderr)
    noise_rows = [row for name, sound in noise_sounds().items() for row in measure_noise(name, listen(silero, sound))]
    lines = ",\n".join(json.dumps(_rounded(row)) for row in (*rows, *noise_rows))
    (HERE / "hysteresis.json").write_text(f"[\n{lines}\n]\n")
    (HERE / "hysteresis.md").write_text(report(rows, noise_rows))
    print(report(rows, noise_rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
