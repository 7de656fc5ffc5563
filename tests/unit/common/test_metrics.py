"""The registry of metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from common.metrics import Registry, Series, total


def test_each_series_is_scraped_under_its_listed_name() -> None:
    """The list, which the manual shows, is what Prometheus sees; with the program's name before each."""
    registry = Registry("program", (0.1, 1.0))
    registry.new(Counter, "calls", "Calls", "route", "status")
    registry.new(Gauge, "open", "Open calls")
    registry.new(Histogram, "seconds", "How long they take")
    assert registry.series == [
        Series("program_calls_total", "counter", ("route", "status"), "Calls"),
        Series("program_open", "gauge", (), "Open calls"),
        Series("program_seconds", "histogram", (), "How long they take"),
    ]
    text = registry.render().decode()
    for series in registry.series:
        assert f"# HELP {series.name} {series.meaning}" in text
        assert f"# TYPE {series.name} {series.kind}" in text
    assert "_created" not in text


def test_histograms_have_the_programs_buckets_or_their_own() -> None:
    """Durations need not say theirs."""
    registry = Registry("program", (0.1, 1.0))
    registry.new(Histogram, "seconds", "Durations")
    registry.new(Histogram, "sizes", "Sizes", buckets=(4, 8))
    text = registry.render().decode()
    assert 'program_seconds_bucket{le="0.1"}' in text
    assert 'program_sizes_bucket{le="8.0"}' in text
    assert 'program_sizes_bucket{le="0.1"}' not in text


def test_two_registries_do_not_share_anything() -> None:
    """Tests, and programs of two servers, have several in one process; each tells the process's memory."""
    first, second = Registry("program", (1.0,)), Registry("program", (1.0,))
    first.new(Counter, "calls", "Calls").inc()
    second.new(Counter, "calls", "Calls")
    assert "program_calls_total 1.0" in first.render().decode()
    assert "program_calls_total 0.0" in second.render().decode()
    assert "process_resident_memory_bytes" in second.render().decode()


def test_totals_are_over_all_labels() -> None:
    """What was counted, and the sum of what was observed."""
    registry = Registry("program", (1.0,))
    calls, seconds = registry.new(Counter, "calls", "Calls", "route"), registry.new(Histogram, "seconds", "Durations")
    assert (total(calls), total(seconds)) == (0, 0)
    calls.labels("a").inc(2)
    calls.labels("b").inc()
    seconds.observe(0.25)
    seconds.observe(1.5)
    assert (total(calls), total(seconds)) == (3, 1.75)
