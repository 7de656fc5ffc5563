"""Metrics of the transcriber, for Prometheus."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from common.metrics import Registry, Series, total

DURATION_BUCKETS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
BATCH_BUCKETS_WINDOWS = (1, 2, 4, 8, 16, 32)
REFUSAL_REASONS = ("full", "load", "key", "origin", "connections", "handshake", "timeout")
CLOSE_REASONS = ("silent", "too slow", "idle", "flood")
REAL_TIME_WINDOW_S = 60.0
"""Seconds over which the real-time factor is taken."""


class Metrics:
    """The counters of one server. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._registry = Registry("transcriber", DURATION_BUCKETS_S)
        new = self._registry.new
        self.clients = new(Gauge, "clients", "Connections being served")
        self.refused = new(
            Counter, "refused", "Connections refused: `full` or draining, `load` (finals are late already), `key`, "
            "`origin`, `connections` (too many in their handshake), `handshake` (a first message that cannot be "
            "granted), `timeout` (none)", "reason",
        )  # fmt: skip
        self.closed = new(
            Counter,
            "closed",
            "Connections that we gave up: `silent` (no answer), `too slow` (to read), `idle` (somebody else needed the "
            "place), `flood` (of pings or fragments)",
            "reason",
        )
        for counter, reasons in ((self.refused, REFUSAL_REASONS), (self.closed, CLOSE_REASONS)):
            for reason in reasons:
                counter.labels(reason)  # at 0 from the start, for `rate` does not see a series come
        self.bad_messages = new(Counter, "bad_messages", "Malformed messages")
        self.audio = new(Counter, "audio_seconds", "Audio received")
        self.requests = new(Counter, "requests", "HTTP requests with audio", "route", "status")

        self.passes = new(
            Counter, "passes", "Decodings, by what they were for and what came of them", "kind", "verdict"
        )
        self.decoding = new(
            Histogram, "decoding_seconds", "Time of one call of the model, by the most urgent pass in it", "kind"
        )
        self.batch = new(Histogram, "batch_size", "Windows decoded together", buckets=BATCH_BUCKETS_WINDOWS)
        self.queue_wait = new(Histogram, "queue_wait_seconds", "From the moment a pass was due to its start", "kind")
        self.first_partial = new(
            Histogram, "first_partial_seconds", "From the start of an utterance to its first partial"
        )
        self.final_latency = new(
            Histogram, "final_latency_seconds", "From the end of an utterance, as heard, to its final"
        )
        self.failures = new(Counter, "failures", "Decodings that raised an error")
        self.lost = new(Counter, "utterances_lost", "Utterances given up because the model failed on them twice")
        self.restarts = new(
            Counter, "engine_restarts", "Times the model's process was replaced, or a lost server was there again"
        )
        self.streams_lost = new(
            Counter, "streams_lost", "Streams that a streaming engine could not go on with (closed with 1011)"
        )
        self.flush_timeouts = new(
            Counter, "flush_timeouts", "Ends of streams whose last finals did not come: the engine gave no results"
        )

        self.waiting = new(Gauge, "waiting", "Streams with a pass due")
        self.backlog = new(
            Gauge, "backlog_seconds", "Audio received and not decided, of the stream with most; open utterances count"
        )
        self.level = new(Gauge, "level", "Load shedding: 0 none; the higher, the fewer and shorter the partials")
        self.shed = new(Counter, "partials_shed", "Partials left out to keep finals in time")
        self._factor = new(
            Gauge, "real_time_factor", "Decoding seconds per second of audio, over the last minute of scrapes"
        )
        self._spent = deque([(clock(), 0.0, 0.0)], maxlen=int(REAL_TIME_WINDOW_S) + 1)
        """Monotonic time, decoding seconds and audio seconds, at most one a second."""

    @property
    def series(self) -> list[Series]:
        """Each of them, for the manual."""
        return self._registry.series

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        self._factor.set(self._recent(self._clock()))
        return self._registry.render()

    def _recent(self, now: float) -> float:
        decoding, audio = total(self.decoding), total(self.audio)
        while len(self._spent) > 1 and self._spent[1][0] <= now - REAL_TIME_WINDOW_S:
            self._spent.popleft()
        _, decoding_before, audio_before = self._spent[0]
        if now - self._spent[-1][0] >= 1:
            self._spent.append((now, decoding, audio))
        return (decoding - decoding_before) / heard if (heard := audio - audio_before) > 0 else 0.0
