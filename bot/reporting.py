"""Reports: what the bot says about itself and the meeting, built once, and handed to every sink.

What it says about itself is redacted here; what people said is published as it is, with the consumers' token.

A sink stores or sends what it gets in its own time (`bot.sinks` says which there are). `flush` says how much is not
stored yet, so that an end can tell the truth about it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from bot.core import effects as fx
from common.contracts.events import CommandEvent, HealthEvent, StatusEvent
from common.contracts.live import live
from common.contracts.segments import Segment, SessionIdentity, Source, session_end, session_start, transcription
from common.contracts.times import iso_utc
from common.redact import Redactor

MAX_REFUSALS_KEPT = 100
"""Refusals of commands that are remembered, so that the log says each once; more are not logged."""
FLUSH_GRACE_S = 0.1
"""Seconds that a sink may take beyond the time that it was given to flush; then it is not waited for."""

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """Where reports go. Nothing of it waits but `flush`. What one raises is said once, and no other misses a thing."""

    stores: bool
    """Whether it keeps what it takes: only what such a one lost, or failed at, makes the end `not_stored`."""

    def status(self, event: Mapping[str, Any]) -> bool:
        """Takes a status or health event; False: there is no room, it is lost."""

    def publish_final(self, payload: str) -> bool:
        """Takes a payload of finals or a session mark, as consumers are to read it, their token in it: not redacted.
        False: there is no room, it is lost."""

    def publish_live(self, segment_id: str, message: str, final: bool) -> None:
        """Takes a message for those who watch now."""

    async def flush(self, timeout: float) -> int:
        """Waits until everything is out, `timeout` seconds at most; returns how many entries are not stored.

        A start that failed is told, too.
        """


class Reporting:
    """The reports of one bot.

    Args:
        identity: Which meeting and bot they are about.
        published: The same, as consumers of the segment stream want it; default: `identity`.
        container_name: Echoed in status events.
        sinks: Who gets them.
        secrets: Values that no report may contain.
        publishes: False: the transcriber stores finals and session marks itself.
        takes_chat: False: consumers would take what was written for speech, and are spared it.
        wall: Unix seconds.
    """

    def __init__(
        self,
        identity: SessionIdentity,
        container_name: str | None,
        sinks: Sequence[Sink],
        secrets: Iterable[str] = (),
        *,
        published: SessionIdentity | None = None,
        publishes: bool = True,
        takes_chat: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._published = published or identity
        self._container_name = container_name
        self.sinks = sinks
        self._redact = Redactor(secrets)
        self._publishes, self._takes_chat = publishes, takes_chat
        self._wall = wall
        self._refused: set[tuple[str, str]] = set()
        self._broken: set[tuple[int, str]] = set()  # which sink has failed at what: each is said once
        self.lost = 0
        """Entries for which one that stores had no room."""

    def status(self, report: fx.ReportStatus, not_stored: int = 0) -> None:
        """Says that the lifecycle has moved; `not_stored`: entries that the meeting's end could not store."""
        log.info("bot.status", status=report.status, code=report.code)
        self._tell(
            StatusEvent(
                connection_id=self._identity.connection_id,
                meeting_id=self._identity.meeting_id,
                container_name=self._container_name,
                status=report.status,
                timestamp=iso_utc(self._wall()),
                detail=report.detail,
                code=report.code,
                stage=report.stage,
                evidence=report.evidence,
                not_stored=not_stored,
            )
        )

    def health(self, report: fx.ReportHealth) -> None:
        """Says that something about hearing has changed."""
        level = log.info if report.healthy else log.warning
        level("bot.health", **dataclasses.asdict(report))
        now = iso_utc(self._wall())
        event = HealthEvent(
            self._identity.connection_id, report.subject, report.healthy, report.detail, now, report.hearing
        )
        self._tell(event)

    def command(self, answer: fx.AnswerCommand) -> None:
        """Says what became of a command; the log says each refusal once."""
        refusal = answer.action, answer.detail
        is_old = refusal in self._refused or len(self._refused) >= MAX_REFUSALS_KEPT
        level = log.info if answer.accepted else log.debug if is_old else log.warning
        if not answer.accepted and not is_old:
            self._refused.add(refusal)
        level("bot.command", action=answer.action, accepted=answer.accepted, detail=answer.detail)
        self._tell(
            CommandEvent(
                self._identity.connection_id,
                answer.action,
                answer.accepted,
                answer.detail,
                iso_utc(self._wall()),
                answer.command_id,
                answer.state,
            )
        )

    def session_start(self, at: float) -> None:
        """Says that meeting time zero was at `at`, Unix seconds."""
        self._publish(session_start(self._published, at))

    def session_end(self) -> None:
        """Says that no segment follows."""
        self._publish(session_end(self._published, self._wall()))

    def segment(self, segment: Segment) -> None:
        """Publishes a partial or a final."""
        if segment.source is Source.CHAT and not self._takes_chat:
            return
        # Of a mix drafts are nobody's, and the final that takes their place is somebody's: their ids say so.
        drafted_as = segment.segment_id.removeprefix(f"{self._identity.connection_id}:").rpartition(":")[0]
        message = live(self._identity.meeting_id, segment, self._wall(), drafted_as)
        self._each("publish_live", lambda sink: sink.publish_live(segment.segment_id, message, segment.completed))
        if segment.completed:
            self._publish(transcription(self._published, [segment]))

    async def flush(self, timeout: float) -> int:
        """Waits `timeout` seconds at most until every sink is done; returns what was not stored, left or lost.

        Of one that stores and fails, or does not return in time, nobody knows what is left: that counts as one.
        """
        left = await asyncio.gather(*(self._flushed(sink, max(timeout, 0.0)) for sink in self.sinks))
        return sum(left) + self.lost

    async def _flushed(self, sink: Sink, timeout: float) -> int:
        try:
            async with asyncio.timeout(timeout + FLUSH_GRACE_S):
                left = await sink.flush(timeout)
        except Exception as error:
            self.failed(sink, "flush", error)
            left = 1
        else:
            if left:
                log.warning("sink.not_stored", sink=type(sink).__name__, entries=left)
        return left if sink.stores else 0

    def _publish(self, payload: str) -> None:
        if self._publishes:
            self._each("publish_final", lambda sink: sink.publish_final(payload))

    def _tell(self, event: StatusEvent | HealthEvent | CommandEvent) -> None:
        redacted = self._redact.document(event.as_json())
        self._each("status", lambda sink: sink.status(redacted))

    def _each(self, what: str, tell: Callable[[Sink], bool | None]) -> None:
        """Every sink hears it; what one that stores has no room for, or fails at, is lost."""
        for sink in self.sinks:
            try:
                is_taken = tell(sink) is not False
            except Exception as error:
                self.failed(sink, what, error)
                is_taken = what == "publish_live"  # nobody stores those
            self.lost += sink.stores and not is_taken

    def failed(self, sink: Sink, what: str, error: Exception) -> None:
        """Says that a sink has failed, once for each step; without the error's words, which may be the meeting's."""
        if (id(sink), what) not in self._broken:
            self._broken.add((id(sink), what))
            where = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{where.filename}:{where.lineno}"
            log.error("sink.failed", sink=type(sink).__name__, step=what, problem=type(error).__name__, at=at)
