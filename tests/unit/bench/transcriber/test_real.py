"""Which cells real weights get, and how the page says what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.transcriber import gpu
from bench.transcriber.cells import AROUND_S, write
from bench.transcriber.headline import Row, held, render, render_gpu, rows, targets
from bench.transcriber.real import LONG_S, ONCE_S, SHORT_S, Plan
from bench.transcriber.results import REAL, Cell, Raw, Results, read
from bench.transcriber.servers import variant_of
from tests.unit.bench.transcriber.test_results import raw
from transcriber.cli import app

OFFLINE = [{"beam": 1, "errors": [3, 1, 0], "words": 100, "cpu_per_speech_s": 0.4}]
ABOUT: Raw = {
    "date": "2026-01-01", "cpu": "a CPU, 2 cores", "system": "Linux", "numpy": "2.0", "weights": "whisper-base",
    "fingerprint": "abc", "windows_s": [8.0, 15.0, 1.5], "clips": ["one", "two"], "clip_words": 100, "clip_s": 60.0,
    "offline": OFFLINE,
}  # fmt: skip


def cell(load: str, streams: int, variant: str, seconds: float = SHORT_S, repetition: int = 0) -> Cell:
    """With real weights on two cores."""
    return Cell(REAL, load, 0.0, streams, variant, repetition, 2, seconds)


def real(of: Cell, final: list[int | None], errors: tuple[int, int, int] = (1, 0, 0), **metrics: Any) -> Raw:
    """Results of a cell: its finals in milliseconds."""
    lost = final.count(None)
    late = {"final_p95": max(value for value in final if value is not None) / 1000}
    return raw(of, errors=[*errors], never_final=lost, utterances=len(final), **late, **metrics) | {
        "cell": {
            "model": of.model, "load": of.load, "talk": of.talk, "streams": of.streams, "variant": of.variant,
            "repetition": of.repetition, "cores": of.cores, "length": of.length,
        },
        "words": 50, "final": final, "wait": [], "first": [500], "cpu_s": 10.0, "speech_s": 40.0,
    }  # fmt: skip


def test_a_plan_fits_forty_minutes() -> None:
    """With the two cells of five minutes, on a machine where sixteen streams are held."""
    folder = Path("/nowhere")
    cells = [*Plan(folder, 2).everything(), cell("turns", 16, "ours", LONG_S)]
    assert sum(each.seconds + AROUND_S[REAL] for each in cells) < 40 * 60
    assert len({each.key for each in cells}) == len(cells)
    first = [(each.variant, each.repetition) for each in cells[:4]]
    assert first == [("ours", 0), ("tuned", 0), ("ours", 1), ("tuned", 1)]


def test_five_minutes_are_given_to_the_knee(tmp_path: Path) -> None:
    """The most streams that a minute held; where five do not, the next fewer."""
    for streams, last in ((8, 900), (12, 1000), (16, 1500), (20, 2500)):
        short = cell("turns", streams, "ours")
        write(short, real(short, [400, last]), tmp_path)
    plan = Plan(tmp_path, 2)
    found = plan.knee("turns", (8, 12, 16, 20))
    long = next(found)
    assert (long.streams, long.seconds) == (16, LONG_S)
    write(long, real(long, [400, 2500]), tmp_path)
    assert [each.streams for each in found] == [12]
    write(long, real(long, [400, 1900]), tmp_path)
    assert [each.streams for each in plan.knee("turns", (8, 12, 16, 20))] == [16]


def test_results_with_real_weights_are_read_apart(tmp_path: Path) -> None:
    """The demo model's conclusions do not see them."""
    mine, demo = cell("turns", 1, "ours"), Cell("demo", "speech", 1.0, 1, "ours")
    write(mine, real(mine, [400]), tmp_path)
    write(demo, raw(demo) | {"cell": {**real(demo, [1])["cell"]}}, tmp_path)
    found = read(tmp_path)
    assert [*found.real] == [mine]
    assert [*found.cells] == [demo]


def test_runs_of_a_row_are_pooled_and_the_page_says_what_was_lost() -> None:
    """Errors and utterances of both runs; what was lost is later than all that came."""
    cells = {cell("turns", 1, "tuned", ONCE_S, run): [400 + 1000 * run, 400, None] for run in (0, 1)}
    results = Results({}, {"real": ABOUT}, {each: real(each, final) for each, final in cells.items()})
    page = render(results)
    line = next(line for line in page.splitlines() if "| whisper-live, T=2 |" in line)
    assert line == (
        "| turns | 1 | whisper-live, T=2 | 2.0% (2, 0, 0 of 100) | 0.90 / never / never | – | 0.50 / 0.50 | 0.25 "
        "| 2 of 6 | 0 | 100% | 160 | 95 × 2 |"
    )
    assert "| each clip | – | offline, beam 1 | 4.0% (3, 1, 0 of 100) |" in page
    assert "whisper-live, T=2 0 of turns" in page
    assert "whisper-base on real speech, 2 cores" in page


def test_a_size_counts_by_its_longest_cell() -> None:
    """A minute that is held does not outweigh five that are not."""
    cells = {cell("turns", 12, "ours"): 1000, cell("turns", 16, "ours"): 1900, cell("turns", 16, "ours", LONG_S): 2100}
    found = rows({each: real(each, [last]) for each, last in cells.items()})
    assert held(found, "turns", "ours") == 12
    assert held(found, "monologue", "ours") is None


def test_a_few_lost_utterances_do_not_decide_and_a_refused_stream_does() -> None:
    """One of forty is within the 95 %, three are not, also inside a monologue; nor is a stream that was not served."""
    mine = cell("monologue", 4, "ours")
    good = real(mine, [400] * 39 + [None])
    assert Row(mine, [good]).holds
    assert not Row(mine, [real(mine, [400] * 37 + [None] * 3)]).holds
    assert not Row(mine, [good | {"wait": [5000] * 37 + [None] * 3}]).holds
    assert not Row(mine, [good | {"unserved": 1}]).holds


@pytest.mark.parametrize(("errors", "holds"), [((2, 0, 0), True), ((3, 0, 0), False)])
def test_words_are_held_against_offline_and_against_the_best_of_theirs(
    errors: tuple[int, int, int], holds: bool
) -> None:
    """Ours 4 and 6 % of 50 words; offline 4 %, T=2 4 %, T=0 20 %; what nobody ran is no target."""
    cells = {("ours", errors), ("tuned", (2, 0, 0)), ("t0", (10, 0, 0))}
    found = rows({each: real(each, [400], wrong) for key, wrong in cells if (each := cell("turns", 1, key))})
    verdicts = {target.text: target.holds for target in targets(found, OFFLINE)}
    assert verdicts["WER, 1 stream of turns ≤ offline, beam 1, + 1 point"] is holds
    assert verdicts["the same ≤ the best of whisper-live"] is holds
    assert verdicts["final p50 ≤ 0.45 s, 1 stream of turns"] is True
    assert not any("12 streams" in text or "monologue" in text for text in verdicts)


def test_without_results_the_page_says_how_to_get_them() -> None:
    """Both parts."""
    assert "make bench-real" in render(Results({}, {}))
    assert "make bench-gpu" in render_gpu(Results({}, {}))


def test_the_gpu_plan_climbs_and_then_tries_smaller_batches(tmp_path: Path) -> None:
    """Up to the size that is hopeless, then each batch at the most that was held; for both compute types."""
    cells = []
    for each in gpu.Plan(tmp_path, 15).everything():
        cells.append((each.streams, variant_of(each.variant).title))
        write(each, real(each, [400 if each.streams < 128 else 11_000]), tmp_path)
    titles = [f"Earshot, float16, batch ≤ {batch}" for batch in (1, 2, 4, 8, 16)]
    assert cells[:7] == [(32, titles[4]), (64, titles[4]), (128, titles[4]), *((64, title) for title in titles[:4])]
    assert len(cells) == 14
    about = ABOUT | {"gpu": "a GPU"}
    assert "| 64 | Earshot, int8_float16, batch ≤ 8 |" in render_gpu(Results({}, {"gpu": about}, read(tmp_path).real))


def test_the_gpu_variants_are_options_that_we_have() -> None:
    """The command line knows every option, and the engine that each names is there."""
    help_text = CliRunner().invoke(app, ["--help"], terminal_width=200).output
    for batch in gpu.BATCHES:
        options = variant_of(f"gpu-int8_float16-b{batch}").options
        assert all(f"{option} " in help_text for option in options[::2])
        assert hasattr(gpu, options[-1].rpartition(":")[2])
