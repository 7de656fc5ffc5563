"""What the transcriber counts."""

from __future__ import annotations

import pytest

from transcriber.metrics import REAL_TIME_WINDOW_S, Metrics


def scraped(metrics: Metrics) -> dict[str, float]:
    """Series with their labels → value."""
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_each_series_is_scraped_under_its_listed_name() -> None:
    """The list, which the manual shows, is what Prometheus sees."""
    metrics = Metrics()
    text = metrics.render().decode()
    for series in metrics.series:
        assert f"# TYPE {series.name} {series.kind}" in text
    assert len({series.name for series in metrics.series}) == len(metrics.series)


def test_the_memory_of_the_process_is_told() -> None:
    """By the client library's own collector."""
    assert scraped(Metrics())["process_resident_memory_bytes"] > 1_000_000


def test_the_real_time_factor_is_that_of_the_last_minute() -> None:
    """Decoding seconds of all kinds per second of audio; what is longer ago does not count."""
    now = 100.0
    metrics = Metrics(lambda: now)
    assert scraped(metrics)["transcriber_real_time_factor"] == 0

    def work(decoding: float, audio: float) -> None:
        metrics.decoding.labels("final").observe(decoding / 2)
        metrics.decoding.labels("partial").observe(decoding / 2)
        metrics.audio.inc(audio)

    work(5, 10)
    now += 1
    assert scraped(metrics)["transcriber_real_time_factor"] == pytest.approx(0.5)
    work(1, 10)
    now += REAL_TIME_WINDOW_S
    assert scraped(metrics)["transcriber_real_time_factor"] == pytest.approx(0.1)
    now += REAL_TIME_WINDOW_S
    assert scraped(metrics)["transcriber_real_time_factor"] == 0


def test_many_scrapes_need_no_more_memory() -> None:
    """At most one sample a second is kept."""
    now = 0.0
    metrics = Metrics(lambda: now)
    for _ in range(140):
        now += 0.5
        metrics.render()
    assert len(metrics._spent) <= REAL_TIME_WINDOW_S + 1


def test_reasons_are_counted_from_zero() -> None:
    """`rate` sees the first of them; and nothing is there that the manual does not name."""
    metrics = Metrics()
    text = metrics.render().decode()
    for reason in ("full", "load", "key", "origin", "connections", "handshake", "timeout"):
        assert f'transcriber_refused_total{{reason="{reason}"}} 0.0' in text
    for reason in ("silent", "too slow", "flood"):
        assert f'transcriber_closed_total{{reason="{reason}"}} 0.0' in text
    kinds = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE transcriber_")}
    assert kinds == {series.name for series in metrics.series}
