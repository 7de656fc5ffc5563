"""Live words on real speech beside Whisper offline: `python -m bench.words SPEECH_FOLDER --model FOLDER`.

Writes a page and beside it the raw numbers and texts as JSON. Speech is as `bench/tracks.py` reads it, the model a
CTranslate2 Whisper.

The transcriber's own session, worker and engine hear each track as a stock client sends it, in frames of 20 ms, on a
virtual clock: a call takes the CPU time that it took here. Nothing goes over a socket, and there is one stream at a
time: this measures words, not load. A machine that has other things to do measures words alone, with `--keep-speed`:
each call then takes what a call of that track took on the average when its speed was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import structlog
from faster_whisper import WhisperModel
from numpy.typing import NDArray

from bench.hysteresis import BY_CHARACTER
from bench.recordings import errors
from bench.tracks import LEAD_S, MONOLOGUE_PAUSE_S, ROOM_DBFS, TURN_PAUSES_S, Track, tracks
from bench.transcriber.score import words
from common.audio.pcm import SAMPLE_RATE, to_float
from common.audio.silero import SileroModel
from common.whisperlive.protocol import Handshake, WireSegment
from tests.support.virtual_time import VirtualTimeLoop
from transcriber.core.limits import WarmUp, fitting
from transcriber.core.session import StreamSession
from transcriber.core.windows import Hypothesis, Window
from transcriber.engine.faster_whisper import FasterWhisper
from transcriber.metrics import Metrics
from transcriber.worker import Worker

HERE = Path(__file__).parent
RAW = HERE.resolve() / "words.json"
FRAME_SAMPLES = SAMPLE_RATE // 50
OFFLINE_LEAD_S, OFFLINE_TRAIL_S = 0.3, 0.5
"""Of silence around a clip that is decoded offline."""
OFFLINE_BEAMS = (1, 5)
STRETCH_WORDS = 10
"""Words of a transcript that are drawn together for intervals: errors come in clusters."""
DRAWS = 10_000
SPEED = ("cpu_s", "calls", "delays_s")
"""What is measured of speed."""


@dataclass
class Heard:
    """What a listener got of one track, and what it cost."""

    finals: list[tuple[float, WireSegment]] = field(default_factory=list)
    committed: dict[str | None, str] = field(default_factory=dict)
    changed: int = 0
    lost: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    def show(self, segments: list[WireSegment]) -> None:
        """Listens."""
        for segment in segments:
            before = self.committed.get(segment.segment_id, "")
            self.changed += not segment.text.startswith(before)
            self.committed[segment.segment_id] = segment.text[: segment.stable_len]
            if segment.completed:
                self.finals.append((asyncio.get_running_loop().time(), segment))

    def lose(self, start: float, end: float) -> None:
        """An utterance was given up."""
        self.lost += 1


class VirtualDecoder:
    """The engine, in this process; the clock goes on by the CPU time of each call.

    Args:
        engine: Decodes.
        call_s: What each call takes instead, in seconds: on a machine that is not idle CPU time says little.
    """

    parallel = full_batch = 1
    falls_together = False
    longest_window = 30.0
    is_up, is_failing = True, False
    limits = fitting(WarmUp(start=10, short=0.1, full=1.0))

    def __init__(self, engine: FasterWhisper, call_s: float | None = None) -> None:
        self._engine = engine
        self._call_s = call_s
        self.name, self.languages, self.batch = engine.name, engine.languages, 1
        self.heard = Heard()

    async def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        began = time.process_time()
        results = self._engine.transcribe(windows)
        seconds = time.process_time() - began
        self.heard.cpu_s += seconds
        for window in windows:
            self.heard.calls["full" if window.full else "careful" if window.careful else "partial"] += 1
        await asyncio.sleep(seconds if self._call_s is None else self._call_s)
        return results


async def live(
    spoken: Track, engine: FasterWhisper, silero: SileroModel, asked: Handshake, granted: frozenset[str] = frozenset(),
    call_s: float | None = None,
) -> Heard:  # fmt: skip
    """The track in real time, by a virtual clock, for a client that asked for this and was granted these extensions;
    `call_s` as `VirtualDecoder` has it."""
    loop = asyncio.get_running_loop()
    decoder = VirtualDecoder(engine, call_s)
    worker = Worker(decoder, Metrics())
    session = StreamSession(asked, silero.batched(), granted)
    worker.add(session, decoder.heard)
    working = asyncio.create_task(worker.run())
    began = loop.time()
    for first in range(0, len(spoken.sound) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        await asyncio.sleep(max(0.0, began + (first + FRAME_SAMPLES) / SAMPLE_RATE - loop.time()))
        if session.hear(first, spoken.sound[first : first + FRAME_SAMPLES], loop.time()):
            worker.poke(session)
    session.end(loop.time())
    worker.poke(session)
    while not session.is_settled:  # noqa: ASYNC110 - on a virtual clock that costs nothing
        await asyncio.sleep(0.1)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    heard = decoder.heard
    heard.finals = [(at - began, segment) for at, segment in heard.finals]
    return heard


def offline(spoken: Track, model: WhisperModel, beam: int) -> list[str]:
    """What is heard in each clip by itself with all the time: faster-whisper's own transcribe, fallbacks and all."""
    texts = []
    for turn in spoken.turns:
        first, last = (
            round(seconds * SAMPLE_RATE) for seconds in (turn.start - OFFLINE_LEAD_S, turn.end + OFFLINE_TRAIL_S)
        )
        texts.append(offline_text(model, beam, to_float(spoken.sound[first:last]), spoken.language))
    return texts


def offline_text(model: WhisperModel, beam: int, samples: NDArray[np.float32], language: str) -> str:
    """What is heard in one clip, float32 at 16 kHz, shape (n,)."""
    segments, _ = model.transcribe(samples, language=language, beam_size=beam, condition_on_previous_text=False)
    return " ".join(segment.text.strip() for segment in segments)


def offline_errors(
    model: WhisperModel, beam: int, samples: NDArray[np.float32], text: str, language: str
) -> tuple[int, int, int, int]:
    """Substitutions, deletions, insertions, words of one clip, float32 at 16 kHz, shape (n,)."""
    return errors(text, offline_text(model, beam, samples, language), language, plain)


def mistakes(said: str, heard: str, language: str) -> list[int]:
    """At each word that was said: whether it was misheard or left out, and how many were put in before it."""
    wanted, found = plain(said), plain(heard)
    if language in BY_CHARACTER:
        wanted, found = wanted.replace(" ", ""), found.replace(" ", "")
    measured: Any = (jiwer.process_characters if language in BY_CHARACTER else jiwer.process_words)(wanted, found)
    counts = [0] * (measured.hits + measured.substitutions + measured.deletions)
    for chunk in measured.alignments[0]:
        if chunk.type == "insert":
            counts[min(chunk.ref_start_idx, len(counts) - 1)] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            for place in range(chunk.ref_start_idx, chunk.ref_end_idx):
                counts[place] += 1
    return counts


def more_errors(rows: Sequence[Mapping[str, Any]], beam: int) -> tuple[float, float, float]:
    """Live errors beyond those offline, as a share of the words, and what it is in 95 % of draws of as many stretches:
    the same words are drawn of both. A clip that is in several tracks counts as several."""
    stretches: list[tuple[int, int]] = []
    for row in rows:
        live_text = " ".join(row["text"])
        ours = mistakes(" ".join(row["said"]), live_text, row["language"])
        theirs = [
            count
            for said, heard in zip(row["said"], row[f"offline_text_{beam}"], strict=True)
            for count in mistakes(said, heard, row["language"])
        ]
        more = [one - other for one, other in zip(ours, theirs, strict=True)]
        pieces = [more[first : first + STRETCH_WORDS] for first in range(0, len(more), STRETCH_WORDS)]
        stretches += [(sum(piece), len(piece)) for piece in pieces]
    counts = np.array(stretches)
    drawn = np.random.default_rng(1).integers(len(counts), size=(DRAWS, len(counts)))
    sums = counts[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5))
    return float(counts[:, 0].sum() / counts[:, 1].sum()), float(low), float(high)


def plain(text: str) -> str:
    """As words are compared: half of the transcripts have no punctuation."""
    return " ".join(words(text))


def delays(spoken: Track, heard: Heard) -> list[float]:
    """From the end of each clip's speech to the last final that has some of it; where clips have pauses between."""
    found = []
    for turn in spoken.turns:
        at = [at for at, segment in heard.finals if segment.start < turn.end and segment.end > turn.start]
        if at:
            found.append(max(at) - turn.speech_end)
    return found


def measure(
    spoken: Track,
    engine: FasterWhisper,
    model: WhisperModel,
    silero: SileroModel,
    speed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One row; its speed is measured, or known from before, and then a call takes what it took on the average."""
    call_s = speed["cpu_s"] / sum(speed["calls"].values()) if speed else None
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        asked = Handshake("u", language=spoken.language)
        heard = runner.run(live(spoken, engine, silero, asked, call_s=call_s))
    text = " ".join(segment.text.strip() for _, segment in heard.finals)
    said = [turn.text for turn in spoken.turns]
    row: dict[str, Any] = {
        "track": spoken.name, "language": spoken.language, "clips": len(spoken.turns),
        "speech_s": round(sum(turn.end - turn.start for turn in spoken.turns), 1),
        "live": errors(" ".join(said), text, spoken.language, plain),
        "finals": len(heard.finals), "lost": heard.lost, "changed": heard.changed, "calls": dict(heard.calls),
        "cpu_s": round(heard.cpu_s, 2), "delays_s": [round(delay, 2) for delay in delays(spoken, heard)],
        "said": said, "text": [segment.text for _, segment in heard.finals],
    }  # fmt: skip
    for beam in OFFLINE_BEAMS:
        texts = offline(spoken, model, beam)
        found = [errors(*pair, spoken.language, plain) for pair in zip(said, texts, strict=True)]
        row[f"offline_beam_{beam}"] = [sum(counts) for counts in zip(*found, strict=True)]
        row[f"offline_text_{beam}"] = texts
    return row | {key: speed[key] for key in SPEED} if speed else row


def report(results: Mapping[str, Any], raw: str) -> str:
    """The page; `raw` is the name of the file with the numbers."""
    rows: Sequence[Mapping[str, Any]] = results["rows"]
    english = [row for row in rows if row["language"] == "en"]
    lines = [
        "# Live words on real speech",
        "",
        f"Generated by `python -m bench.words SPEECH_FOLDER --model FOLDER`; raw numbers and texts in `{raw}`.",
        "Do not edit.",
        "",
        *(_headline(name, those) for name, those in (("All", rows), ("English", english)) if those),
        "",
        "Workload: real clips with the transcripts of their sources, one after the other on one track each:",
        f"{LEAD_S:g} s before them, pauses of {TURN_PAUSES_S[0]:g} to {TURN_PAUSES_S[1]:g} s, or of",
        f"{MONOLOGUE_PAUSE_S:g} s in the monologue, in pink room noise of {ROOM_DBFS:g} dBFS or as named. One stream,",
        "a virtual clock that goes on by the CPU seconds of each call (one thread), no socket. Offline:",
        "`WhisperModel.transcribe` of faster-whisper over each clip by itself, with its usual fallbacks, the same",
        "weights. The rehearsal's synthetic clips are not in it.",
        "",
        f"Windows: {json.dumps(results['windows'])}.",
        "",
        "* Live errors: words in finals against the transcripts: substituted, deleted, inserted. Signs in ja and zh.",
        "* Beam 1, beam 5: errors offline.",
        "* More: live errors beyond those of beam 1, in points, and what that is in 95 % of draws of as many stretches",
        f"  of {STRETCH_WORDS} words: how much of it may be chance. A clip in several tracks counts as several.",
        "* CPU: seconds of all calls per second of clips. Calls: partials, careful, full-window retries.",
        "* Delay: from a clip's last sound within 30 dB of its loud ones to the last final with some of it, p50 / p95.",
        "  Clips without pauses have none of their own.",
        "* Changed: partials or finals that took back a committed word.",
        *_about_speed(results),
        "",
        "| Track | words | live | sub, del, ins | beam 1 | beam 5 | more | CPU | calls | delay, s | lost | changed |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups = [(row["track"], [row]) for row in rows] + [("English", english), ("all", [*rows])]
    lines += [_line(name, those) for name, those in groups if those]
    return "\n".join(lines) + "\n"


def _headline(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    total = _sum(name, rows)
    ours, one, five = (_rate(total[key]) for key in ("live", "offline_beam_1", "offline_beam_5"))
    return (
        f"* {name}: {ours} of {total['live'][3]} words are wrong live, {one} offline with beam 1, {five} with beam 5: "
        f"{_more(rows)} points beyond beam 1.\n  Finals come {_delay(total)} s after the speech (p50 / p95), for "
        f"{total['cpu_s'] / total['speech_s']:.2f} CPU seconds per second."
    )


def _about_speed(results: Mapping[str, Any]) -> list[str]:
    if not results["speed_of"]:
        return []
    return [
        f"* CPU, calls and delay are those of commit {results['speed_of']}, measured on an idle machine. Words are of",
        "  a later run on a busy one: each call took what it took then on the average.",
    ]


def _line(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    total = _sum(name, rows)
    calls = total["calls"]
    return (
        f"| {name} | {total['live'][3]} | {_rate(total['live'])} | {', '.join(map(str, total['live'][:3]))} "
        f"| {_rate(total['offline_beam_1'])} | {_rate(total['offline_beam_5'])} | {_more(rows)} "
        f"| {total['cpu_s'] / total['speech_s']:.2f} "
        f"| {calls['partial']}, {calls['careful']}, {calls['full']} | {_delay(total)} "
        f"| {total['lost']} | {total['changed']} |"
    )


def _more(rows: Sequence[Mapping[str, Any]]) -> str:
    more, low, high = (100 * share for share in more_errors(rows, OFFLINE_BEAMS[0]))
    return f"{more:+.1f} ({low:+.1f} to {high:+.1f})"


def _delay(total: Mapping[str, Any]) -> str:
    if not total["delays_s"]:
        return "–"
    return f"{np.percentile(total['delays_s'], 50):.2f} / {np.percentile(total['delays_s'], 95):.2f}"


def _sum(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    calls: Counter[str] = Counter()
    for row in rows:
        calls.update(row["calls"])
    return {
        "track": name, "calls": calls,
        "delays_s": [delay for row in rows if "monologue" not in row["track"] for delay in row["delays_s"]],
        **{key: round(sum(row[key] for row in rows), 2) for key in ("speech_s", "cpu_s", "lost", "changed")},
        **{
            key: [sum(values) for values in zip(*(row[key] for row in rows), strict=True)]
            for key in ("live", "offline_beam_1", "offline_beam_5")
        },
    }  # fmt: skip


def _rate(counts: Sequence[int]) -> str:
    return f"{sum(counts[:3]) / counts[3]:.1%}"


def main() -> None:
    """Measures and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", type=Path, help="folder of speech")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument(
        "--track",
        action="append",
        metavar="NAME",
        help="only this one, such as 'turns' or 'language de'; again for more",
    )
    parser.add_argument(
        "--output", type=Path, default=HERE / "words.md", metavar="FILE.md",
        help="the page; the numbers go to FILE.json",
    )  # fmt: skip
    parser.add_argument(
        "--keep-speed", default="", metavar="COMMIT",
        help="this machine is not idle: CPU, calls and delays stay as words.json has them, measured with this commit",
    )  # fmt: skip
    asked = parser.parse_args()
    raw = asked.output.with_suffix(".json")
    if asked.track and raw.resolve() == RAW:
        parser.error("--track needs an --output of its own: words.md has all tracks")
    known = {row["track"]: row for row in json.loads(RAW.read_text())["rows"]} if asked.keep_speed else {}
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    engine = FasterWhisper(asked.model, "whisper", device="cpu")
    model = WhisperModel(str(asked.model), device="cpu", compute_type="int8", cpu_threads=1)
    silero = SileroModel()
    rows = []
    for spoken in chosen(tracks(asked.speech), asked.track):
        row = measure(spoken, engine, model, silero, known.get(spoken.name))
        rows.append(row)
        sys.stderr.write(f"{spoken.name}: live {_rate(row['live'])}, offline {_rate(row['offline_beam_1'])}\n")
    if not rows:
        parser.error(f"no such track: {', '.join(asked.track)}")
    results = {"windows": asdict(engine.sizes), "speed_of": asked.keep_speed, "rows": rows}
    raw.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    asked.output.write_text(report(results, raw.name))


def chosen(found: Iterable[Track], names: Sequence[str] | None) -> Iterator[Track]:
    """Those of these names; None: all."""
    return (each for each in found if not names or each.name in names)


if __name__ == "__main__":
    main()
