"""A lane at work against any server, and what it says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.links.transcriber.conversation import EXTENSIONS, LaneText
from bot.links.transcriber.lane import Lane
from bot.links.transcriber.link import TranscriberLink
from common.whisperlive.protocol import Handshake, Resume


def hello(sample: int) -> Handshake:
    """A bot's first message."""
    resume = Resume("bot", sample) if sample else None
    return Handshake("bot", language="en", same_output_threshold=2, extensions=EXTENSIONS, resume=resume)


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class LaneNotes:
    """Writes down what lanes say, with the loop's time where that matters."""

    texts: list[LaneText] = field(default_factory=list)
    until: int = 0
    granted_sets: list[frozenset[str]] = field(default_factory=list)
    """One for each connection."""
    health: list[tuple[bool, str, float]] = field(default_factory=list)

    def granted(self, lane: int, extensions: frozenset[str]) -> None:
        """A connection."""
        self.granted_sets.append(extensions)

    def text(self, lane: int, text: LaneText) -> None:
        """A segment."""
        self.texts.append(text)

    def decided(self, lane: int, sample: int) -> None:
        """A decision."""
        self.until = max(self.until, sample)

    def transcriber(self, healthy: bool, detail: str) -> None:
        """The links have changed."""
        self.health.append((healthy, detail, asyncio.get_running_loop().time()))

    @property
    def finals(self) -> list[str]:
        """The completed texts."""
        return [text.wire.text.strip() for text in self.texts if text.wire.completed]

    @property
    def links(self) -> list[bool]:
        """Each change of health."""
        return [healthy for healthy, *_ in self.health]


@asynccontextmanager
async def running_lane(
    *urls: str, handshake: Callable[[int], Handshake] = hello, **settings: Any
) -> AsyncIterator[tuple[Lane, LaneNotes]]:
    """A lane with its link and its probe at work; closed and settled at the end."""
    notes = LaneNotes()
    link = TranscriberLink(urls, handshake, notes, **({"last_backoff": 0.1} | settings))
    lane = link.lane(1)
    probing = asyncio.create_task(link.run())
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
            yield lane, notes
            lane.close()
    finally:
        probing.cancel()
        await asyncio.gather(probing, return_exceptions=True)
