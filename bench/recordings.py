"""Recordings over HTTP beside Whisper offline: `python -m bench.recordings SPEECH_FOLDER --model FOLDER`.

Writes recordings.md and recordings.json. The folder of speech holds NAME.flac (16 kHz mono), NAME.txt, and SOURCES.md
with a table row `| NAME | seconds | language | official or pseudo | … |` for each; the model is a CTranslate2 Whisper.
Ours is asked through its own HTTP route; offline is faster-whisper's `WhisperModel.transcribe` with its defaults. One
thread each; CPU seconds of the whole process, since the machine may have other things to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import structlog
from faster_whisper import WhisperModel

from bench.hysteresis import BY_CHARACTER, noise_sounds
from bench.hysteresis import clips as speech_clips
from common.audio.silero import SileroModel
from rehearsal.clips import manifest
from tests.support.audio.recordings import RATE, Samples, Web, encode, web
from transcriber.engine.faster_whisper import FasterWhisper

HERE = Path(__file__).parent
OFFLINE_BEAMS = (1, 5)
OURS = "ours"
SYSTEMS = (OURS, *(f"offline, beam {beam}" for beam in OFFLINE_BEAMS))
MEETING = "meeting"
"""The short English clips one after another: other voices, a pause between them."""
PAUSE_S = 0.8
SHORT_S = 20.0
ROOM_LEVEL = 10.0
"""Noise in the pauses, in steps of 16 bits."""
KINDS = ("substitutions", "deletions", "insertions")
ROUTE = "/v1/audio/transcriptions"


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it."""

    name: str
    language: str
    text: str
    """Empty: nobody has written it down."""
    samples: Samples

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE

    @property
    def group(self) -> str:
        """Which row of the report it is in."""
        if not self.text:
            return "meetings (AMI), distance from offline, beam 5"
        if self.name == MEETING:
            return "meeting of the English clips"
        if self.seconds > SHORT_S:
            return f"a minute of {self.language}"
        if self.name.startswith("n5_"):
            return "English in noise, 5 dB"
        if self.name in manifest():
            return "English, synthetic"
        return "English" if self.language == "en" else "other languages"


@dataclass(frozen=True, slots=True)
class Row:
    """One clip, heard by one system."""

    clip: str
    group: str
    system: str
    language: str
    seconds: float
    substitutions: int
    deletions: int
    insertions: int
    words: int
    """Of the transcript; characters in scripts without spaces."""
    cpu: float
    """Seconds of processor time."""

    @property
    def errors(self) -> int:
        """All of them."""
        return sum(getattr(self, kind) for kind in KINDS)


def words(text: str) -> str:
    """As they are compared: lower case, no punctuation, one spelling of what is said alike."""
    return " ".join(re.findall(r"[\w']+", text.lower().replace("mr.", "mister").replace("-", "")))


def errors(
    said: str, heard: str, language: str, plain: Callable[[str], str] = words
) -> tuple[int, int, int, int]:  # fmt: skip
    """Substitutions, deletions, insertions, and the number of words that were said; `plain` makes texts comparable."""
    wanted, found = plain(said), plain(heard)
    if language in BY_CHARACTER:
        wanted, found = wanted.replace(" ", ""), found.replace(" ", "")
    measured: Any = (jiwer.process_characters if language in BY_CHARACTER else jiwer.process_words)(wanted, found)
    total = measured.hits + measured.substitutions + measured.deletions
    return measured.substitutions, measured.deletions, measured.insertions, total


def read(folder: Path) -> list[Clip]:
    """The clips of a folder and the bundled ones, and the meeting made of the English ones."""
    found = [Clip(*clip) for clip in speech_clips(folder)]
    english = [clip for clip in found if clip.group == "English"]
    return [*found, Clip(MEETING, "en", " ".join(clip.text for clip in english), joined(c.samples for c in english))]


def joined(pieces: Iterable[Samples]) -> Samples:
    """One after another, with a pause around each."""
    pause = np.random.default_rng(1).normal(0, ROOM_LEVEL, round(PAUSE_S * RATE)).astype(np.int16)
    return np.concatenate([pause, *(part for piece in pieces for part in (piece, pause))])


async def ask(at: Web, samples: Samples, language: str | None = None) -> dict[str, Any]:
    """What our route answers."""
    fields = {
        "model": "whisper-1", "response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"],
        **({"language": language} if language else {}),
    }  # fmt: skip
    answer = await at.http.post(
        ROUTE, files={"file": ("a.flac", encode("flac", samples, RATE))}, data=fields, timeout=600
    )
    body: dict[str, Any] = answer.raise_for_status().json()
    times = [time for word in body["words"] for time in (word["start"], word["end"])]
    if times != sorted(times):
        raise AssertionError("word times are not in order")
    return body


async def measure(folder: Path, recordings: Sequence[Clip]) -> tuple[list[Row], dict[str, Any]]:
    """All clips by all systems; and what is counted beside: languages found, words heard in noise."""
    engine = FasterWhisper(folder, "whisper", device="cpu")
    speech = SileroModel()
    offline: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
    rows: list[Row] = []
    found_languages, noise_words = 0, 0
    async with web(engine, speech=speech.batched) as at:
        for clip in recordings:
            texts, cpu = {}, {}
            for system, beam in zip(SYSTEMS, (None, *OFFLINE_BEAMS), strict=True):
                began = time.process_time()
                if beam is None:
                    texts[system] = (await ask(at, clip.samples, clip.language))["text"]
                else:
                    texts[system] = transcribe(offline, clip, beam)
                cpu[system] = time.process_time() - began
            said = clip.text or texts[SYSTEMS[-1]]
            for system, text in texts.items():
                counted = errors(said, text, clip.language)
                rows.append(
                    Row(clip.name, clip.group, system, clip.language, clip.seconds, *counted, round(cpu[system], 2))
                )
            found_languages += (await ask(at, clip.samples))["language"] == clip.language
            print(clip.name, [(row.errors, row.cpu) for row in rows[-len(SYSTEMS) :]], file=sys.stderr)
        noises = noise_sounds()
        for sound in noises.values():
            noise_words += len(words((await ask(at, joined([sound]), "en"))["text"]).split())
    return rows, {
        "languages": found_languages,
        "clips": len(recordings),
        "noises": len(noises),
        "noise_words": noise_words,
    }


def transcribe(model: Any, clip: Clip, beam: int) -> str:
    """What faster-whisper makes of it."""
    segments, _ = model.transcribe(clip.samples.astype(np.float32) / 32768, language=clip.language, beam_size=beam)
    return " ".join(segment.text for segment in segments)


def report(rows: Sequence[Row], beside: dict[str, Any]) -> str:
    """The page."""
    groups = list(dict.fromkeys(row.group for row in rows))
    written = [row for row in rows if not row.group.startswith("meetings")]
    lines = [
        "# Recordings, beside Whisper offline",
        "",
        "Generated by `python -m bench.recordings SPEECH_FOLDER --model FOLDER`; raw numbers in `recordings.json`.",
        "Do not edit.",
        "",
        f"Workload: {beside['clips']} recordings, each with its language given: real speech with transcripts by",
        "others (named in the JSON), the bundled rehearsal clips, and the short English clips in one file with pauses",
        f"of {PAUSE_S:g} s between their voices. Model {beside['model']}, int8, one thread, {beside['versions']}.",
        "Ours: the HTTP route, one recording at a time; offline: `WhisperModel.transcribe` with its defaults. Word",
        "errors by jiwer, without case and punctuation (characters in Japanese and Chinese): substituted + left out +",
        "put in. CPU: seconds of the process per second of audio, our HTTP included.",
        "",
        "| Recordings | words | " + " | ".join(SYSTEMS) + " | CPU: " + " | CPU: ".join(SYSTEMS) + " |",
        "|---|---|" + "---|" * 2 * len(SYSTEMS),
        *(_line(group, [row for row in rows if row.group == group]) for group in groups),
        _line("**all with a transcript**", written),
        "",
        f"Language found without being told: {beside['languages']} of {beside['clips']}.",
        f"Words heard in {beside['noises']} noises of 30 s: {beside['noise_words']}.",
        "",
    ]
    return "\n".join(lines)


def _line(name: str, rows: Sequence[Row]) -> str:
    shares, costs = [], []
    for system in SYSTEMS:
        mine = [row for row in rows if row.system == system]
        total = sum(row.words for row in mine)
        parts = " + ".join(str(sum(getattr(row, kind) for row in mine)) for kind in KINDS)
        shares.append(f"{sum(row.errors for row in mine) / total:.1%} ({parts})")
        costs.append(f"{sum(row.cpu for row in mine) / sum(row.seconds for row in mine):.2f}")
    clips = len({row.clip for row in rows})
    total = sum(row.words for row in rows) // len(SYSTEMS)
    return f"| {name} ({clips}) | {total} | " + " | ".join([*shares, *costs]) + " |"


def main() -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="folder with clips, transcripts and SOURCES.md")
    parser.add_argument("--model", type=Path, required=True, help="folder of a Whisper model")
    parser.add_argument("--name", default="base", help="what to call it")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows, beside = asyncio.run(measure(arguments.model, read(arguments.speech)))
    beside["model"] = arguments.name
    beside["versions"] = ", ".join(f"{name} {version(name)}" for name in ("faster-whisper", "ctranslate2"))
    lines = ",\n".join(json.dumps(row) for row in [beside, *map(asdict, rows)])
    (HERE / "recordings.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (HERE / "recordings.md").write_text(page := report(rows, beside), encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
