"""What is promised, what was measured, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from bench.transcriber.results import BASE, LIMIT, TALKING, TWO_CORES, Raw, Results, holds
from bench.transcriber.servers import VARIANTS

SMALLEST = 16 * 1000 / 2**20
"""MiB per 1,000 clients if each leaves one object of the least size that Python has, 16 bytes. Below that it is none:
resident memory comes in pages, and which of them are touched is chance for a while."""
THEIRS = tuple(key for key in VARIANTS if key != "ours")


@dataclass(frozen=True)
class Target:
    """One promise."""

    text: str
    measured: str
    holds: bool | None
    """None: not measured."""


def targets(results: Results) -> list[Target]:
    """Promised, measured, kept or not."""
    middle, capacity = results.middle, results.capacity
    one, base = partial(middle, TALKING, 1, "ours"), partial(middle, BASE, 1, "ours")
    rows = []
    for work, least in ((TALKING, 10), (BASE, 5), (TWO_CORES, 10)):
        ours, best = capacity(work, "ours"), max(capacity(work, key) for key in THEIRS)
        tried = all(results.repetitions(work, 1, key) for key in ("ours", "tuned"))
        ratio = f"{ours} : {best}" + (f" = {ours / best:.0f}×" if best else " (no mode of it holds one stream)")
        held = ours >= least * max(1, best) if tried else None
        text = f"≥ {least}× the streams at p95 final < {LIMIT:g} s, {work.title}"
        rows.append(Target(text, ratio if tried else "not measured", held))
    rows += [
        _at_most("demo, 1 stream: final p50 ≤ 0.45 s", one("final_p50"), 0.45),
        _at_most("demo, 1 stream: final p95 ≤ 0.7 s", one("final_p95"), 0.7),
        _at_most("demo, 1 stream: first text p95 ≤ 0.7 s", one("first_p95"), 0.7),
        _at_most("base-shaped stand-in, 1 stream: final p95 ≤ 1.5 s", base("final_p95"), 1.5),
        _at_most("base-shaped stand-in, 1 stream: first text p95 ≤ 1.2 s", base("first_p95"), 1.2),
    ]
    return [*rows, _cpu(results), *_qualities(results), *_quiet(results), *_memory(results)]


def _cpu(results: Results) -> Target:
    """Against each of its modes; the least counts."""
    ratios = _ratios(results, "cpu_per_speech_s")
    shown = " · ".join(f"{ratio:.1f}× ({VARIANTS[key].title})" for key, ratio in ratios.items())
    text = "CPU per second of speech ≥ 10× lower, demo, 1 stream"
    return Target(text, shown or "not measured", min(ratios.values()) >= 10 if ratios else None)


def _ratios(results: Results, metric: str) -> dict[str, float]:
    """Theirs to ours, one stream of the demo model."""
    ours = results.middle(TALKING, 1, "ours", metric)
    theirs = {key: results.middle(TALKING, 1, key, metric) for key in THEIRS}
    return {key: value / ours for key, value in theirs.items() if value is not None and ours}


def _qualities(results: Results) -> list[Target]:
    mine = results.speech("ours")
    kept = [raw for raw in mine if holds(raw)]
    if not kept:
        return []
    changes = sum(raw["metrics"]["changes"] for raw in mine)
    erasure = max(raw["metrics"]["ne"] or 0.0 for raw in mine)
    wer, offline = _pooled_wer(kept), results.extra.get("offline", {}).get("wer")
    streams = sum(raw["cell"]["streams"] for raw in kept)
    tails = sum(raw["metrics"]["tail"] * raw["cell"]["streams"] for raw in kept) / streams
    rows = [
        Target("0 changes of committed text, in every cell", str(changes), changes == 0),
        Target("normalized erasure ≤ 0.2, in every cell", f"at most {erasure:.2f}", erasure <= 0.2),
        Target("every word before END_OF_AUDIO heard, all loads that hold", f"{tails:.1%}", tails > 0.99),
    ]
    if offline is not None:
        text = "demo model: WER within 1 point of offline decoding of its 24 synthetic clips, all loads that hold"
        rows.append(Target(text, f"{wer:.2%} : {offline:.2%}", wer <= offline + 0.01))
    if ratios := _ratios(results, "upwr"):
        least = min(ratios.values())
        rows.append(Target("UPWR at most half, demo, 1 stream", f"at least {least:.1f}× lower", least >= 2))
    if ratios := _ratios(results, "bytes_per_min"):
        shown = " · ".join(f"÷ {ratio:.1f} ({VARIANTS[key].title})" for key, ratio in ratios.items())
        rows.append(Target("bytes per minute ÷ 5, demo, 1 stream", shown, min(ratios.values()) >= 5))
    return rows


def _quiet(results: Results) -> list[Target]:
    rows = []
    for load in ("silence", "noise"):
        raw = next((r for c, r in results.cells.items() if (c.variant, c.load) == ("ours", load)), None)
        if raw is not None:
            said = raw["metrics"]["committed_words"] + raw["metrics"]["partial_words"]
            cost = raw["metrics"]["cpu_per_stream"]
            rows += [
                Target(f"0 words on {load}", str(said), said == 0),
                Target(f"a stream of {load} < 1 % of a core", f"{cost:.2%}", cost < 0.01),
            ]
    return rows


def _memory(results: Results) -> list[Target]:
    if (soak := results.extra.get("soak")) is None:
        return []
    hour, clients = soak["trends"]["mib_per_hour"], soak["trends"]["mib_per_1000_clients"]
    return [
        Target(
            f"memory does not grow over {soak['minutes']:g} min",
            f"{hour['slope']:+.2f} MiB per hour (95 %: {hour['low']:+.2f} … {hour['high']:+.2f})",
            hour["low"] <= 0.0,
        ),
        Target(
            f"memory does not grow over {soak['connects']:,} clients (0, or surely less than 16 bytes each)",
            f"{clients['slope']:+.3f} MiB per 1,000 clients (95 %: {clients['low']:+.3f} … {clients['high']:+.3f})",
            clients["low"] <= 0.0 or clients["high"] < SMALLEST,
        ),
    ]


def _pooled_wer(rows: Iterable[Raw]) -> float:
    errors = words = 0.0
    for raw in rows:
        errors += raw["metrics"]["wer"] * raw["words"]
        words += raw["words"]
    return errors / words if words else 0.0


def _at_most(text: str, value: float | None, limit: float) -> Target:
    return Target(
        text, "not measured" if value is None else f"{value:.2f} s", None if value is None else value <= limit
    )
