"""The first part of the page: real weights on real speech, accuracy beside speed. Pure: results in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from bench.transcriber.results import LIMIT, Cell, Raw, Results, is_hopeless
from bench.transcriber.score import percentile
from bench.transcriber.servers import GPU, REAL_VARIANTS, variant_of
from bench.transcriber.targets import Target

LOADS = ("turns", "monologue")
THEIRS = tuple(key for key in REAL_VARIANTS if key != "ours")
HEAD = (
    *("speech", "streams", "server", "WER (sub, del, ins of words)", "final p50 / p95 / p99 s"),
    *("wait in monologue p50 / p95 s", "first text p50 / p95 s", "CPU-s per speech-s", "lost", "changed"),
    *("last words", "MiB", "audio s × runs"),
)

DEFINITIONS = """\
What the numbers are; `transcriber/score.py` does the counting, the same for all:

* **Workloads.** Turns: clips of real speech in random order, pauses of 0.8 to 2 s between them. Monologue: the same
  clips without their quiet edges, one right after the other for at least 30 s, then such a pause; clips of one word are
  left out. Under all a noise floor of -70 dBFS. Several streams begin within 3 s, each with an order of its own.
* **End of speech**: the last 10 ms of a clip that are at most 30 dB below its loud ones (the 95th percentile); its
  onset: the first 50 ms that all are.
* **Final latency**: from the end of speech until the clip's last word is in a segment with `completed`; where that word
  was not understood, until such a segment covers its end. Only where a pause follows: in a monologue at the ends of its
  stretches. Percentiles are over all utterances of all runs of a row; what is lost counts as later than all others.
* **Wait in monologue**: the same for the clips inside a stretch, where no server can know an end.
* **Lost**: utterances that were never final, though each stream goes on with noise for up to 15 s after its last one:
  whisper-live completes a segment when its text repeats often enough or another follows, and what it never completes is
  never final. Their words are deletions.
* **Last words**: share of the words of one more clip, right before END_OF_AUDIO, that were committed. Not in the WER.
* **First text**: from the onset of a clip to the first message with a segment, completed or not, that reaches into it.
* **Changed**: committed segments whose text was another later, or that vanished.
* **WER**: committed words against the transcripts of the clips' sources, lower case, no punctuation, one spelling of
  "six" and "mister". A word may only stand for one of a clip that its segment overlaps (within 0.4 s). Offline:
  `WhisperModel.transcribe` of faster-whisper over each clip by itself, no time limit, its usual fallbacks.
* **CPU**: seconds of all processes of the server per second of speech, from the first sample to the last message.
  Offline: of the whole process, one thread.
* **Streams held**: the most with p95 final < 2 s, lost ones included, and every stream served to its end, in the
  longest cell of that size.
* Servers: T is `same_output_threshold` of whisper-live's protocol; its client sends 10, the default. One shared model,
  `use_vad`, language `en`, float32 frames of 20 ms in real time, none of our extensions for anybody.
"""


@dataclass(frozen=True)
class Row:
    """All runs of one cell, pooled."""

    cell: Cell
    runs: Sequence[Raw]

    @property
    def holds(self) -> bool:
        """All streams are served, 95 % of all utterances are final, and where a pause follows in time."""
        served = all(raw["survived"] and not raw["unserved"] for raw in self.runs)
        final, wait = self.seconds("final", 95), self.seconds("wait", 95)
        return served and final is not None and final < LIMIT and wait != inf

    @property
    def errors(self) -> list[int]:
        """Substitutions, deletions, insertions, words."""
        counts = [[*raw["metrics"]["errors"], raw["words"]] for raw in self.runs]
        return [sum(column) for column in zip(*counts, strict=True)]

    @property
    def wer(self) -> float:
        """Of the words that were said."""
        *errors, words = self.errors
        return sum(errors) / words if words else 0.0

    @property
    def cpu(self) -> float:
        """Seconds per second of speech."""
        return self.total("cpu_s") / self.total("speech_s")

    def total(self, key: str) -> float:
        """A number of each run, summed up."""
        return float(sum(raw[key] for raw in self.runs))

    def count(self, metric: str) -> int:
        """A metric of each run, summed up."""
        return sum(raw["metrics"][metric] for raw in self.runs)

    def seconds(self, key: str, percent: float) -> float | None:
        """Percentile over all utterances of first, final or wait; infinite if that one never was, None without any."""
        found = percentile((inf if value is None else value for raw in self.runs for value in raw[key]), percent)
        return None if found is None else found / 1000


def rows(real: Mapping[Cell, Raw]) -> list[Row]:
    """In the order of the table."""
    groups: dict[Cell, list[Raw]] = {}
    for cell, raw in real.items():
        groups.setdefault(replace(cell, repetition=0), []).append(raw)
    order = [*REAL_VARIANTS]

    def place(row: Row) -> Any:
        key = row.cell.variant
        return (
            LOADS.index(row.cell.load),
            row.cell.streams,
            order.index(key) if key in order else 0,
            key,
            row.cell.length,
        )

    return sorted((Row(cell, runs) for cell, runs in groups.items()), key=place)


def longest(found: Iterable[Row], load: str, streams: int, variant: str) -> Row | None:
    """The row of this size with the longest cells; None: not measured."""
    mine = [row for row in found if (row.cell.load, row.cell.streams, row.cell.variant) == (load, streams, variant)]
    return max(mine, key=lambda row: row.cell.length, default=None)


def held(found: Sequence[Row], load: str, variant: str) -> int | None:
    """The most streams that the longest cell of a size held; 0: not one, None: not measured."""
    sizes = {row.cell.streams for row in found if (row.cell.load, row.cell.variant) == (load, variant)}
    kept = [size for size in sizes if (row := longest(found, load, size, variant)) and row.holds]
    return max(kept, default=0) if sizes else None


def render(results: Results) -> str:
    """The table, what was promised, what the numbers are, and under which circumstances they were found."""
    about = results.extra.get("real")
    found = [row for row in rows(results.real) if not row.cell.variant.startswith(GPU)]
    if about is None or not found:
        return "## Real weights on real speech\n\nNot measured: `make bench-real MODEL=FOLDER SPEECH=FOLDER`.\n"
    parts = [
        f"## {about['weights']} on real speech, {_cores(found)}",
        table(found, about["offline"]),
        capacities(found),
        targets_table(targets(found, about["offline"])),
        DEFINITIONS.rstrip(),
        conditions(about, found),
    ]
    return "\n\n".join(parts) + "\n"


def render_gpu(results: Results) -> str:
    """The table of the cells on a GPU."""
    about = results.extra.get("gpu")
    found = [row for row in rows(results.real) if row.cell.variant.startswith(GPU)]
    if about is None or not found:
        return (
            "## On a GPU\n\nNot measured: none was at hand. `make bench-gpu MODEL=FOLDER SPEECH=FOLDER` where one is.\n"
        )
    beside = f"{_cores(found)} of {about['cpu']}"
    return f"## On a GPU\n\n{about['gpu']}; {about['weights']}; turns; beside it {beside}.\n\n{table(found, [])}\n"


def table(found: Iterable[Row], offline: Sequence[Raw]) -> str:
    """A line for each row; offline first."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for raw in offline:
        wer = _wer([*raw["errors"], raw["words"]])
        cells = ["each clip", "–", f"offline, beam {raw['beam']}", wer, "–", "–", "–", f"{raw['cpu_per_speech_s']:.2f}"]
        lines.append(f"| {' | '.join([*cells, *['–'] * (len(HEAD) - len(cells))])} |")
    lines += [f"| {' | '.join(_cells(row))} |" for row in found]
    return "\n".join(lines)


def _cells(row: Row) -> list[str]:
    tails = [raw["metrics"]["tail"] for raw in row.runs if raw["metrics"]["tail"] is not None]
    refused = sum(raw["unserved"] for raw in row.runs)
    lost = f"{row.count('never_final')} of {row.count('utterances')}"
    lost += f", {refused} streams not served" * bool(refused) + ", it crashed" * (
        not all(r["survived"] for r in row.runs)
    )
    return [
        row.cell.load,
        str(row.cell.streams),
        variant_of(row.cell.variant).title,
        _wer(row.errors),
        _percentiles(row, "final", 50, 95, 99),
        _percentiles(row, "wait", 50, 95),
        _percentiles(row, "first", 50, 95),
        f"{row.cpu:.2f}",
        lost,
        str(row.count("changes")),
        f"{sum(tails) / len(tails):.0%}" if tails else "–",
        f"{max(raw['memory_mib'][1] for raw in row.runs):.0f}",
        f"{row.cell.seconds:g} × {len(row.runs)}",
    ]


def capacities(found: Sequence[Row]) -> str:
    """One sentence per server."""
    said = []
    for key, variant in REAL_VARIANTS.items():
        parts = [f"{held_text(found, load, key)} of {load}" for load in LOADS if held(found, load, key) is not None]
        if parts:
            said.append(f"{variant.title} {' and '.join(parts)}")
    return f"Streams held with p95 final < {LIMIT:g} s: {'; '.join(said)}."


def held_text(found: Sequence[Row], load: str, variant: str) -> str:
    """The same in words: at least so many, where no more were tried."""
    tried = [row.cell.streams for row in found if (row.cell.load, row.cell.variant) == (load, variant)]
    count = held(found, load, variant)
    return f"≥ {count}" if count == max(tried) else str(count)


def targets(found: Sequence[Row], offline: Sequence[Raw]) -> list[Target]:
    """What was promised of real words."""
    beam = next((raw for raw in offline if raw["beam"] == 1), None)
    one, twelve = longest(found, "turns", 1, "ours"), longest(found, "turns", 12, "ours")
    alone = {load: longest(found, load, 1, "ours") for load in LOADS}
    theirs = {load: [row for key in THEIRS if (row := longest(found, load, 1, key))] for load in LOADS}
    listed = []
    if one:
        if beam:
            wer = sum(beam["errors"]) / beam["words"]
            text = "WER, 1 stream of turns ≤ offline, beam 1, + 1 point"
            listed.append(Target(text, f"{one.wer:.1%} : {wer:.1%}", one.wer <= wer + 0.01))
        if theirs["turns"]:
            best = min(theirs["turns"], key=lambda row: row.wer)
            text = "the same ≤ the best of whisper-live"
            shown = f"{one.wer:.1%} : {best.wer:.1%} ({variant_of(best.cell.variant).title})"
            listed.append(Target(text, shown, one.wer <= best.wer))
        listed += [_within(one, 50, 0.45), _within(one, 95, 0.7)]
    if twelve:
        listed.append(_within(twelve, 95, 1.2))
    for load, most in (("turns", 0.35), ("monologue", 0.6)):
        if mine := alone[load]:
            listed.append(
                Target(f"CPU-s per speech-s ≤ {most:g}, 1 stream of {load}", f"{mine.cpu:.2f}", mine.cpu <= most)
            )
        if mine and theirs[load]:
            ratio = min(row.cpu for row in theirs[load]) / mine.cpu
            text = f"at least 5× less than any whisper-live, 1 stream of {load}"
            listed.append(Target(text, f"{ratio:.1f}×", ratio >= 5))
    for load, least in (("turns", 16), ("monologue", 4)):
        if (most_held := held(found, load, "ours")) is not None:
            listed.append(Target(f"≥ {least} streams of {load} held", str(most_held), most_held >= least))
    mine_all = [row for row in found if row.cell.variant == "ours"]
    for metric, text in (("changes", "0 changes of committed text"), ("never_final", "0 utterances lost")):
        count = sum(row.count(metric) for row in mine_all)
        listed.append(Target(f"{text}, in every cell", str(count), count == 0))
    return listed


def _within(row: Row, percent: float, limit: float) -> Target:
    value = row.seconds("final", percent)
    streams = f"{row.cell.streams} stream{'s' * (row.cell.streams > 1)} of {row.cell.load}"
    shown = "no final" if value is None else "never" if value == inf else f"{value:.2f} s"
    return Target(f"final p{percent:g} ≤ {limit:g} s, {streams}", shown, value is not None and value <= limit)


def targets_table(listed: Iterable[Target], how: str = "") -> str:
    """Promised, measured (how), kept or not."""
    verdict = {True: "yes", False: "**no**", None: "—"}
    lines = [f"| {target.text} | {target.measured} | {verdict[target.holds]} |" for target in listed]
    return "\n".join([f"| Target | measured{how} | holds |", "|---|---|---|", *lines])


def conditions(about: Raw, found: Sequence[Row]) -> str:
    """Under which these rows were found."""
    runs = [raw for row in found for raw in row.runs]
    cores = found[0].cell.cores
    partial, careful, margin = about["windows_s"]
    who = ", ".join(f"{name} {value}" for name, value in about.items() if name in PACKAGES)
    weights = (
        f"Weights: {about['weights']} (fingerprint {about['fingerprint']}), int8 for all. Ours has windows of "
        f"{partial:g} s for partials and {careful:g} s for finals, margin {margin:g} s."
    )
    speech = (
        f"Speech: {len(about['clips'])} English clips with the transcripts of their sources, {about['clip_s']:g} s, "
        f"{about['clip_words']} words: {', '.join(about['clips'])}. More streams and longer cells hear them again in "
        "another order; they are no more words than that."
    )
    servers = (
        f"Each server has {_cores(found)}. Ours: `--parallel {cores}`, as docs/transcriber.md recommends, one thread "
        f"each. whisper-live: `OMP_NUM_THREADS={cores}`, one decoding at a time. The load generator has a core of "
        "its own, or where there is none shares one. A fresh process per cell; of two runs, the servers took turns."
    )
    commits = ", ".join(sorted({raw["commit"] for raw in runs}))
    lines = [f"{about['date']}, {about['cpu']}, {about['system']}; {who}.", weights, speech, servers]
    lines += [f"Commit of Earshot: {commits}.", *circumstances(runs)]
    return "Conditions:\n\n" + "\n".join(f"* {line}" for line in lines)


def circumstances(runs: Sequence[Raw]) -> list[str]:
    """What else the machine did."""
    late = max((raw["late_s"] for raw in runs if not is_hopeless(raw)), default=0.0)
    driver, load = (max(raw[key] for raw in runs) for key in ("driver_core", "load_average"))
    lines = [f"load generator: at most {driver:.0%} of a core; frames ≤ {late:.2f} s late where nothing was lost"]
    for key, what in (("foreign_core", "used by other processes"), ("stolen_core", "taken by the hypervisor")):
        shares = sorted(max(0.0, raw[key]) for raw in runs)
        middle, worst = shares[len(shares) // 2], shares[-1]
        lines.append(f"{what}: {middle:.1%} of one core of the server's in the median cell, {worst:.0%} at worst")
    return [*lines, f"load average of the machine: at most {load:.1f}"]


PACKAGES = ("whisper-live", "faster-whisper", "ctranslate2", "onnxruntime", "websockets", "numpy")
"""Whose versions are told."""


def _cores(found: Sequence[Row]) -> str:
    count = found[0].cell.cores
    return f"{count} core{'s' * (count > 1)}"


def _wer(counts: Sequence[int]) -> str:
    *errors, words = counts
    return f"{sum(errors) / words:.1%} ({', '.join(map(str, errors))} of {words})" if words else "–"


def _percentiles(row: Row, key: str, *percents: float) -> str:
    found = [row.seconds(key, percent) for percent in percents]
    return " / ".join("never" if value == inf else f"{value:.2f}" for value in found if value is not None) or "–"
