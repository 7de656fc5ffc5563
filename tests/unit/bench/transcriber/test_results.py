"""What the benchmark concludes from its cells."""

from __future__ import annotations

from typing import Any

import pytest

from bench.transcriber.report import render
from bench.transcriber.results import TALKING, Cell, Raw, Results, holds, is_hopeless
from bench.transcriber.score import Score, summary
from bench.transcriber.targets import targets


def raw(cell: Cell, **metrics: Any) -> Raw:
    """Results of a cell in which all went well, but for these metrics."""
    good = {
        "utterances": 10, "first_p50": 0.5, "first_p95": 0.6, "final_p50": 0.4, "final_p95": 0.6, "final_p99": 0.65,
        "update_p95": 0.5, "ne": 0.1, "upwr": 0.1, "wer": 0.0, "deletions": 0.0, "committed_words": 60, "tail": 1.0,
        "cpu_per_speech_s": 0.1, "cpu_per_stream": 0.005, "partial_words": 90, "messages_per_min": 80.0,
        "bytes_per_min": 60_000.0,
    }  # fmt: skip
    names = summary(Score()).keys()
    return {
        "metrics": dict.fromkeys(names) | {"never_final": 0, "changes": 0, "insertions": 0} | good | metrics,
        "cell": {"streams": cell.streams}, "words": 60, "core": 2, "commit": "abc", "at": "2026-01-01 10:00:00",
        "survived": True, "unserved": 0, "memory_mib": [150, 160, 160], "audio_s": 50.0, "driver_core": 0.1,
        "foreign_core": 0.01, "stolen_core": 0.0, "load_average": 1.0, "late_s": 0.01,
    }  # fmt: skip


def test_a_load_is_held_when_all_finals_are_in_time() -> None:
    """Late, lost, refused or crashed: not held; more than ten seconds late, or lost: hopeless."""
    cell = Cell("demo", "speech", 1.0, 1, "ours")
    assert holds(raw(cell))
    assert not holds(late := raw(cell, final_p95=2.5))
    assert not is_hopeless(late)
    assert is_hopeless(raw(cell, final_p95=10.5))
    assert is_hopeless(raw(cell, final_p95=None))
    assert is_hopeless(raw(cell, never_final=1))
    assert is_hopeless(raw(cell) | {"unserved": 1})
    assert is_hopeless(raw(cell) | {"survived": False})


def test_capacity_wants_most_repetitions_and_every_size_below() -> None:
    """A size that is held by luck above one that is not does not count."""
    good, bad = {"final_p95": 1.0}, {"final_p95": 3.0}
    cells = [
        (Cell("demo", "speech", 1.0, 1, "ours"), good), (Cell("demo", "speech", 1.0, 2, "ours"), good),
        (Cell("demo", "speech", 1.0, 2, "ours", 1), bad), (Cell("demo", "speech", 1.0, 2, "ours", 2), good),
        (Cell("demo", "speech", 1.0, 4, "ours"), bad), (Cell("demo", "speech", 1.0, 8, "ours"), good),
    ]  # fmt: skip
    results = Results({cell: raw(cell, **metrics) for cell, metrics in cells}, {})
    assert results.capacity(TALKING, "ours") == 2
    assert results.capacity(TALKING, "tuned") == 0
    assert results.middle(TALKING, 2, "ours", "final_p95") == 1.0


def test_targets_say_what_holds_what_does_not_and_what_was_not_measured() -> None:
    """Ten streams against one hold; a slow final does not; a base model that nobody ran is neither."""
    ours = {Cell("demo", "speech", 1.0, size, "ours"): 0.8 for size in (1, 2, 4, 8, 16)}
    theirs = {Cell("demo", "speech", 1.0, size, "tuned"): 1.5 * size for size in (1, 2)}
    cells = {cell: raw(cell, final_p95=late) for cell, late in (ours | theirs).items()}
    found = {target.text: target for target in targets(Results(cells, {}))}
    assert found["≥ 10× the streams at p95 final < 2 s, demo model, 100% talk"].holds
    assert "16 : 1 = 16×" in found["≥ 10× the streams at p95 final < 2 s, demo model, 100% talk"].measured
    assert found["demo, 1 stream: final p95 ≤ 0.7 s"].holds is False
    assert found["demo, 1 stream: final p50 ≤ 0.45 s"].holds is True
    assert found["base-shaped stand-in, 1 stream: final p95 ≤ 1.5 s"].holds is None
    assert found["≥ 5× the streams at p95 final < 2 s, base-shaped model, 100% talk"].holds is None
    assert found["CPU per second of speech ≥ 10× lower, demo, 1 stream"].holds is False


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(-0.02, 0.3, True), (0.001, 0.012, True), (0.001, 0.02, False), (0.08, 0.1, False)]
)
def test_memory_per_client_is_none_or_surely_less_than_the_smallest_object(
    low: float, high: float, holds: bool
) -> None:
    """A page more now and then is no leak; 94 bytes of each client are one."""
    found = {"slope": (low + high) / 2, "low": low, "high": high}
    soak = {"minutes": 20, "connects": 4000, "trends": {"mib_per_hour": found, "mib_per_1000_clients": found}}
    [target] = (t for t in targets(Results({}, {"soak": soak})) if "clients" in t.text)
    assert target.holds is holds


def test_the_page_shows_every_cell() -> None:
    """With hardly any results there is a page as well."""
    cell = Cell("demo", "speech", 0.25, 4, "tuned")
    page = render(Results({cell: raw(cell, never_final=3)}, {}))
    assert "| 4 | whisper-live, T=2 | 0.40 / 0.60 / 0.65 | 0.50 / 0.60 | 0.50 | 3 of 10 |" in page
