"""Metrics for Prometheus: a registry that knows how each of its series is scraped, for the manual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

Kind = TypeVar("Kind", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric, for the manual."""

    name: str
    """As it is scraped, without a histogram's suffixes."""
    kind: str
    """counter, gauge or histogram."""
    labels: tuple[str, ...]
    meaning: str


class Registry:
    """The metrics of one process, and those that the client library has of every process.

    Args:
        prefix: Before each name: the program's.
        buckets: Of histograms that name none; seconds, for most are durations.
    """

    def __init__(self, prefix: str, buckets: tuple[float, ...]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # half as many series again, of little use
        self._prefix = prefix
        self._buckets = buckets
        self._registry = CollectorRegistry()
        self.series: list[Series] = []
        """Our own; those of the process come from its collector."""
        ProcessCollector(registry=self._registry)

    def new(self, kind: type[Kind], name: str, meaning: str, *labels: str, **options: Any) -> Kind:
        """A metric, listed in `series`."""
        if kind is Histogram:
            options.setdefault("buckets", self._buckets)
        full = f"{self._prefix}_{name}"
        scraped = f"{full}_total" if kind is Counter else full
        self.series.append(Series(scraped, kind.__name__.lower(), labels, meaning))
        return kind(full, meaning, labels, registry=self._registry, **options)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)


def total(metric: Counter | Histogram) -> float:
    """What was counted, or the sum of what was observed, over all labels."""
    suffix = "_sum" if isinstance(metric, Histogram) else "_total"
    return sum(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix))
