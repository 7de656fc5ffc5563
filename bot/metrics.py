"""Metrics of a bot, for Prometheus: above all where the time goes between somebody's word and its place in Redis."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

from common.contracts.health import BotHealth, Hearing
from common.contracts.status import State
from common.metrics import Registry, Series

STAGE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
STAGES = ("sent", "decided", "published")
SEGMENT_KINDS = ("partial", "final", "chat", "captions")


class BotMetrics:
    """The counters of one bot."""

    def __init__(self) -> None:
        self._registry = Registry("bot", STAGE_BUCKETS_S)
        new = self._registry.new
        self.stage = new(
            Histogram, "stage_seconds", "`sent`: from the arrival of speech to its place on the transcriber's socket; "
            "`decided`: from the end of what was said to its final; `published`: from the final to Redis's word that "
            "it is stored. Speech to Redis is `decided` and `published` together", "stage",
        )  # fmt: skip
        self.audio = new(Counter, "audio_seconds", "Audio received, of all tracks")
        self.segments = new(
            Counter, "segments", "Segments made: `partial`, `final`, and what was not heard: `chat`, `captions`", "kind"
        )
        self.state = new(Gauge, "state", "1 for the lifecycle's state", "state")
        self.hearing = new(Gauge, "hearing", "1 for what the room is like to the bot's ears (docs/hearing.md)", "state")
        self.link_up = new(
            Gauge, "link_up", "1 while the neighbour is connected: `redis`, `transcriber` if there is one, "
            "`callback` once it has failed; `outbox`: 1 while there is room for finals", "link",
        )  # fmt: skip
        self.since_audio = new(Gauge, "since_audio_seconds", "Since the last audio of any track; -1 before the first")
        self.outbox = new(Gauge, "outbox_entries", "Finals and session marks that wait for Redis")
        self.outbox_age = new(Gauge, "outbox_age_seconds", "How long the oldest of them has waited")
        self.lanes = new(Gauge, "lanes", "Transcriber streams open")
        self.waiting = new(Gauge, "waiting_utterances", "Utterances that wait for one of them")
        self.lost = new(
            Gauge, "lost_speech_seconds", "Speech given up so far: more than 60 s of a track were undecided"
        )
        self.loop_lag = new(Gauge, "loop_lag_seconds", "By how much the event loop was late, last time it was measured")
        for stage in STAGES:
            self.stage.labels(stage)  # at 0 from the start, for `rate` does not see a series come
        for kind in SEGMENT_KINDS:
            self.segments.labels(kind)

    @property
    def series(self) -> list[Series]:
        """All of them, for the manual."""
        return self._registry.series

    def follow(self, lanes: Callable[[], tuple[int, int, float]]) -> None:
        """Asks for streams open, utterances that wait and seconds of speech lost whenever somebody scrapes."""
        self.lanes.set_function(lambda: lanes()[0])
        self.waiting.set_function(lambda: lanes()[1])
        self.lost.set_function(lambda: lanes()[2])

    def observer(self, stage: str) -> Callable[[float], None]:
        """What is to be called with the seconds that something spent in a stage."""
        return self.stage.labels(stage).observe

    def render(self, health: BotHealth, backlog: tuple[int, float]) -> bytes:
        """The text that Prometheus scrapes; `backlog`: entries that wait for Redis, and seconds of the oldest."""
        for state in State:
            self.state.labels(state).set(state == health.status)
        for hearing in Hearing:
            self.hearing.labels(hearing).set(hearing is health.hearing)
        for link, up in health.links.items():
            self.link_up.labels(link).set(up)
        self.since_audio.set(-1.0 if health.audio_age is None else health.audio_age)
        self.outbox.set(backlog[0])
        self.outbox_age.set(backlog[1])
        self.loop_lag.set(health.loop_lag)
        return self._registry.render()
