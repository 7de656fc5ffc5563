"""What the transcriber counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        self.clients = Gauge("transcriber_clients", "Connections being served", registry=own)
        self.refused = Counter("transcriber_refused", "Connections refused", ["reason"], registry=own)
        self.closed = Counter("transcriber_closed", "Connections that we gave up", ["reason"], registry=own)
        self.bad_messages = Counter("transcriber_bad_messages", "Malformed messages", registry=own)
        self.audio = Counter("transcriber_audio_seconds", "Audio received", registry=own)
        self.passes = Counter("transcriber_passes", "Decodings, by what they were for and what came of them",
                              ["kind", "verdict"], registry=own)  # fmt: skip
        self.decoding = Histogram("transcriber_decoding_seconds", "Time of one decoding", ["kind"],
                                  buckets=SECONDS, registry=own)  # fmt: skip
        self.final_latency = Histogram("transcriber_final_latency_seconds", "From the end of an utterance to its final",
                                       buckets=SECONDS, registry=own)  # fmt: skip
        self.failures = Counter("transcriber_failures", "Decodings that raised an error", registry=own)
        self.requests = Counter("transcriber_requests", "HTTP requests with audio", ["route", "status"], registry=own)
        self.waiting = Gauge("transcriber_waiting", "Streams waiting for a decoding", registry=own)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
