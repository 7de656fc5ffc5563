"""Languages and word times on real speech: `python -m bench.languages SPEECH_FOLDER --model FOLDER`.

Writes languages.md and languages.json. Folder, clock and session are those of `bench.words`: one stream, no socket. It
measures words and their times, not speed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer

from bench.hysteresis import FRAME_SAMPLES, GATES, KEEP, OPEN, Rule, Sound, clips, listen, utterances
from bench.recordings import errors
from bench.tracks import Track, track
from bench.words import Heard, live
from common.audio.pcm import SAMPLE_RATE, to_float
from common.audio.silero import SileroModel
from common.whisperlive.protocol import Handshake, WireSegment
from rehearsal.clips import manifest
from tests.support.virtual_time import VirtualTimeLoop
from transcriber.core.agreement import units
from transcriber.core.languages import MIN_LANGUAGE_SHARE, SURE_LANGUAGE_SHARE
from transcriber.core.windows import Window, Word
from transcriber.core.words import letters
from transcriber.engine.faster_whisper import FasterWhisper

HERE = Path(__file__).parent
PREFIXES_S = (0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
PAUSES_S = (0.8, 1.2)
SHORT_S = 2.1
"""Utterances up to this length are short."""
MAX_PIECES, MAX_SHORT_PIECES = 5, 3
"""Utterances of each language."""
AROUND_S = 0.5
SUMMED = ("utterances", "wrong", "errors", "changed")
PER_UTTERANCE = frozenset({"segment_language"})
TOLD, IN_TURN, SHORT_IN_TURN = "told", "all in turn", f"up to {SHORT_S:g} s, in turn"


@dataclass(frozen=True)
class Piece:
    """One utterance of a clip, as the transcriber's gate cuts it."""

    language: str
    sound: Sound
    text: str
    """What Whisper makes of it offline, told the language: full window, beam search."""
    english: str
    """The same of its translation."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.sound) / SAMPLE_RATE


def pieces(folder: Path, engine: FasterWhisper, silero: SileroModel) -> Iterator[Piece]:
    """The utterances of real clips without noise of their own."""
    synthetic, taken = set(manifest()), Counter[tuple[str, bool]]()
    for name, language, text, sound in clips(folder):
        if not text or name in synthetic or name.startswith("n5_"):
            continue
        around = np.pad(sound, round(AROUND_S * SAMPLE_RATE))
        cut, _ = utterances(listen(silero, around), GATES[1], Rule(OPEN, KEEP))
        for first, last in cut:
            said = around[first * FRAME_SAMPLES : last * FRAME_SAMPLES]
            is_short = len(said) <= SHORT_S * SAMPLE_RATE
            if taken[language, is_short] >= (MAX_SHORT_PIECES if is_short else MAX_PIECES):
                continue
            taken[language, is_short] += 1
            asked = Window(said, language=language, careful=True, full=True)
            heard, english = engine.transcribe([asked, replace(asked, task="translate")])
            if letters(heard.text) and letters(english.text):
                yield Piece(language, said, heard.text, english.text)


# --- detection by length ---------------------------------------------------------------------------------------------


def prefixes(said: Sequence[Piece], engine: FasterWhisper, allowed: frozenset[str]) -> Iterator[dict[str, Any]]:
    """What the beginnings of utterances are taken for."""
    for seconds in PREFIXES_S:
        long = [piece for piece in said if piece.seconds >= seconds]
        found = [
            engine.transcribe([Window(piece.sound[: round(seconds * SAMPLE_RATE)], allowed=allowed)])[0]
            for piece in long
        ]
        right = [heard.language == piece.language for heard, piece in zip(found, long, strict=True)]
        row: dict[str, Any] = {
            "seconds": seconds,
            "allowed": bool(allowed),
            "utterances": len(long),
            "right": sum(right),
        }
        for name, least in (("likely", MIN_LANGUAGE_SHARE), ("sure", SURE_LANGUAGE_SHARE)):
            those = [
                is_right for is_right, heard in zip(right, found, strict=True) if heard.language_probability > least
            ]
            row |= {name: len(those), f"{name}_wrong": len(those) - sum(those)}
        yield row


# --- streams ---------------------------------------------------------------------------------------------------------


def streams(said: Sequence[Piece]) -> dict[str, list[Piece]]:
    """Who speaks on one stream: a language each, then all of them in turn, long and short."""
    alone: dict[str, list[Piece]] = {}
    for piece in said:
        alone.setdefault(piece.language, []).append(piece)
    short = {language: [piece for piece in its if piece.seconds <= SHORT_S] for language, its in alone.items()}
    return {**alone, IN_TURN: _in_turn(alone), SHORT_IN_TURN: _in_turn(short)}


def _in_turn(alone: Mapping[str, Sequence[Piece]]) -> list[Piece]:
    return [piece for turn in itertools.zip_longest(*alone.values()) for piece in turn if piece]


class Streams:
    """Runs streams.

    Args:
        engine: Decodes.
        silero: Finds speech.
    """

    def __init__(self, engine: FasterWhisper, silero: SileroModel) -> None:
        self._engine = engine
        self._silero = silero

    def hear(
        self, said: Sequence[Piece], asked: Handshake, granted: frozenset[str] = frozenset()
    ) -> tuple[Track, Heard]:
        """These utterances, one after the other."""
        spoken = track("", "", {str(n): (piece.text, piece.sound) for n, piece in enumerate(said)}, PAUSES_S)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            return spoken, runner.run(live(spoken, self._engine, self._silero, asked, granted))

    def score(self, said: Sequence[Piece], asked: Handshake, granted: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Utterances in another language than theirs, and words that are not those of the offline decode."""
        spoken, heard = self.hear(said, asked, granted)
        is_english = asked.task == "translate"
        total, wrong = np.zeros(4, int), 0
        for piece, segments in zip(said, by_turn(spoken, heard), strict=True):
            wrong += any(segment.language != piece.language for segment in segments)
            text = " ".join(segment.text.strip() for segment in segments)
            total += errors(*((piece.english, text, "en") if is_english else (piece.text, text, piece.language)))
        return {
            "utterances": len(said), "wrong": wrong, "errors": total.tolist(), "changed": heard.changed,
            "finals": [(segment.language, segment.text.strip()) for _, segment in heard.finals],
        }  # fmt: skip

    def told(self, said: Sequence[Piece], task: str = "transcribe") -> dict[str, Any]:
        """The same with the language told: where there are several, on a stream each."""
        alone = (
            [piece for piece in said if piece.language == language]
            for language in dict.fromkeys(piece.language for piece in said)
        )
        return added([self.score(its, Handshake("u", language=its[0].language, task=task)) for its in alone])


def added(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several streams as one row."""
    sums = {key: np.sum([row[key] for row in rows], axis=0).tolist() for key in SUMMED}
    return {**sums, "finals": [final for row in rows for final in row["finals"]]}


def by_turn(spoken: Track, heard: Heard) -> list[list[WireSegment]]:
    """The finals of each turn: those that have more of it than of any other."""
    finals: list[list[WireSegment]] = [[] for _ in spoken.turns]
    for _, segment in heard.finals:
        shared = [min(segment.end, turn.end) - max(segment.start, turn.start) for turn in spoken.turns]
        finals[int(np.argmax(shared))].append(segment)
    return finals


def stream_rows(said: Sequence[Piece], runs: Streams) -> Iterator[dict[str, Any]]:
    """Each stream in each way to ask."""
    known = frozenset(piece.language for piece in said)
    ways = {"found once": ((), ()), "per utterance": ((), PER_UTTERANCE), "and allowed": (known, PER_UTTERANCE)}
    alone: list[dict[str, Any]] = []
    for name, its in streams(said).items():
        told = added(alone) if name == IN_TURN else runs.told(its)
        alone.append(told)
        yield {"stream": name, "language": TOLD, **told}
        for way, (allowed, granted) in ways.items():
            asked = Handshake("u", allowed_languages=frozenset(allowed))
            yield {"stream": name, "language": way, **runs.score(its, asked, frozenset(granted))}


def translation_rows(said: Sequence[Piece], runs: Streams) -> Iterator[dict[str, Any]]:
    """Translations into English."""
    for name, its in streams([piece for piece in said if piece.language != "en"]).items():
        if name not in (IN_TURN, SHORT_IN_TURN):
            yield {"stream": name, "language": TOLD, **runs.told(its, "translate")}
            asked = Handshake("u", task="translate")
            yield {"stream": name, "language": "per utterance", **runs.score(its, asked, PER_UTTERANCE)}


# --- word times ------------------------------------------------------------------------------------------------------


def word_rows(said: Sequence[Piece], runs: Streams, model: WhisperModel) -> Iterator[dict[str, Any]]:
    """A row for each language."""
    for name, its in streams(said).items():
        if name not in (IN_TURN, SHORT_IN_TURN):
            yield word_row(name, its, runs, model)


def word_row(language: str, said: Sequence[Piece], runs: Streams, model: WhisperModel) -> dict[str, Any]:
    """How far the words of finals begin from where an alignment of the same text to its utterance in a full window has
    them, clamped to the segment as ours are."""
    spoken, heard = runs.hear(said, Handshake("u", language=language, word_timestamps=True))
    apart, faults, untimed = list[float](), 0, 0
    for _, segment in heard.finals:
        if segment.words is None:
            untimed += 1
            continue
        first = max(0.0, segment.start - AROUND_S)
        audio = spoken.sound[round(first * SAMPLE_RATE) : round((segment.end + AROUND_S) * SAMPLE_RATE)]
        wanted = units(segment.text, aligned(model, audio, language, segment.text), first)
        for word, unit in zip(segment.words, wanted, strict=True):
            if unit.start is not None:
                apart.append(word.start - min(max(unit.start, segment.start), segment.end))
        edges = [segment.start, *(time for word in segment.words for time in (word.start, word.end)), segment.end]
        faults += edges != sorted(edges) or any(word.start == word.end for word in segment.words)
    milliseconds = [round(1000 * seconds) for seconds in apart]
    finals = len(heard.finals)
    return {"stream": language, "finals": finals, "untimed": untimed, "faults": faults, "apart_ms": milliseconds}


def aligned(model: Any, audio: Sound, language: str, text: str) -> list[Word]:
    """Word times of a text in one full window, by faster-whisper's own alignment."""
    tokenizer = Tokenizer(model.hf_tokenizer, True, task="transcribe", language=language)
    features = model.feature_extractor(to_float(audio))[:, :-1]
    frames = features.shape[-1]
    encoded = model.encode(pad_or_trim(features))
    [words] = model.find_alignment(tokenizer, [tokenizer.encode(" " + text.strip())], encoded, frames)
    return [Word(word["word"], float(word["start"]), float(word["end"]), float(word["probability"])) for word in words]


# --- page ------------------------------------------------------------------------------------------------------------


def report(results: Mapping[str, Any]) -> str:
    """The page."""
    lines = [
        "# Languages and word times on real speech",
        "",
        "Generated by `python -m bench.languages SPEECH_FOLDER --model FOLDER`; raw numbers and texts in",
        "`languages.json`. Do not edit.",
        "",
        "Workload: real clips in six languages, cut into utterances by the transcriber's gate, of each",
        f"language at most {MAX_PIECES}, and {MAX_SHORT_PIECES} of up to {SHORT_S:g} s. In streams they are",
        f"{PAUSES_S[0]:g} to {PAUSES_S[1]:g} s apart, as in [words.md](words.md). Words are held against",
        "what the same weights make of each utterance offline (full window, beam 5) when they are told its language.",
        f"The machine: {results['machine']}; the clock of the streams goes on",
        "by the CPU time that each call took there.",
        "",
        "## By length",
        "",
        "Beginnings of utterances, each by itself. Likely: more than half of the probability; sure: more than",
        f"{SURE_LANGUAGE_SHARE:g}. Allowed: only the six languages.",
        "",
        "| seconds | utterances | right | likely, wrong | sure, wrong | allowed: right | likely, wrong | sure, wrong |",
        "|---|---|---|---|---|---|---|---|",
    ]
    free, allowed = ([row for row in results["prefixes"] if row["allowed"] is asked] for asked in (False, True))
    for one, other in zip(free, allowed, strict=True):
        cells = [
            f"{row['right']} | {row['likely']}, {row['likely_wrong']} | {row['sure']}, {row['sure_wrong']}"
            for row in (one, other)
        ]
        lines.append(f"| {one['seconds']:g} | {one['utterances']} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        "## Streams",
        "",
        "Told: each language on a stream of its own whose client names it. Found once: stock clients, whose language",
        "stays. Per utterance: clients that asked for `segment_language`. Allowed: only the six may be found. Wrong:",
        "utterances with a final in another language. Words: differences from the offline decode.",
        "",
        "| Stream | language | utterances | wrong | words that differ | changed |",
        "|---|---|---|---|---|---|",
        *map(_stream_line, results["streams"]),
        "",
        "## Translation",
        "",
        "`task` translate: differences from the offline translation of each utterance, which is no better than ours:",
        "two translations may both be right, and of a model of this size often none is.",
        "",
        "| Stream | language | utterances | wrong | words that differ | changed |",
        "|---|---|---|---|---|---|",
        *map(_stream_line, results["translations"]),
        "",
        "## Word times",
        "",
        "Start of each word of a final, from where faster-whisper's alignment of the same text to the utterance in a",
        f"full window ({AROUND_S:g} s around it) has it. Faults: finals with words out of order, outside, or of no",
        "length.",
        "",
        "| Stream | finals | without times | faults | words | median, ms | p95, ms | most, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    every = {key: sum(row[key] for row in results["words"]) for key in ("finals", "untimed", "faults")}
    every |= {"stream": "all", "apart_ms": [apart for row in results["words"] for apart in row["apart_ms"]]}
    for row in (*results["words"], every):
        apart = np.abs(row["apart_ms"])
        lines.append(
            f"| {row['stream']} | {row['finals']} | {row['untimed']} | {row['faults']} | {len(apart)} "
            f"| {np.median(apart):.0f} | {np.percentile(apart, 95):.0f} | {apart.max()} |"
        )
    return "\n".join(lines) + "\n"


def _stream_line(row: Mapping[str, Any]) -> str:
    differ = f"{sum(row['errors'][:3]) / row['errors'][3]:.1%} of {row['errors'][3]}"
    return (
        f"| {row['stream']} | {row['language']} | {row['utterances']} | {row['wrong']} | {differ} | {row['changed']} |"
    )


def main() -> None:
    """Measures and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="folder of speech")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    engine, silero = FasterWhisper(asked.model, "whisper", device="cpu"), SileroModel()
    model = WhisperModel(str(asked.model), device="cpu", compute_type="int8", cpu_threads=1)
    said, runs = list(pieces(asked.speech, engine, silero)), Streams(engine, silero)
    known = frozenset(piece.language for piece in said)
    parts = {
        "prefixes": itertools.chain(prefixes(said, engine, frozenset()), prefixes(said, engine, known)),
        "streams": stream_rows(said, runs),
        "translations": translation_rows(said, runs),
        "words": word_rows(said, runs, model),
    }
    load = f"a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores when it began"
    results: dict[str, Any] = {"machine": load, **{name: [] for name in parts}}
    for name, rows in parts.items():
        for row in rows:
            results[name].append(row)
            sys.stderr.write(f"{name}: { ({**row, 'finals': ..., 'apart_ms': ...}) }\n")
    (HERE / "languages.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (HERE / "languages.md").write_text(report(results))


if __name__ == "__main__":
    main()
