"""Sinks: where one bot's reports go, and in which dialect, as its configuration says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from bot.config import BotConfig
from bot.links.redis.collector import warn_of_collector
from bot.links.redis.link import RedisLink
from bot.links.redis.speaker_events import SpeakerEventLink
from bot.reporting import Reporting, Sink
from common.contracts.generations import Generation, callback_target
from common.contracts.segments import SessionIdentity
from common.redis import FAILURES

if TYPE_CHECKING:  # httpx: only where there is a manager
    from bot.links.callbacks import CallbackLink


TELL_RESERVE_S = 0.5
"""For telling a manager the end, once everything is stored."""


class Served(Sink, Protocol):
    """A sink with a task of its own, for as long as the bot lives."""

    async def run(self) -> None:
        """Serves it until cancelled, from when everybody has answered at the start. What it raises ends it alone."""

    async def close(self) -> None:
        """Closes its connections."""


class Sinks:
    """What one bot reports to, beside Redis, and its reporting to all of them.

    Args:
        config: Names the manager, if there is one.
        token: The consumers' token; None: there is none, or it opens the room.
        redis: The link that stores.
        on_change: Called with (up, detail) when the manager stops answering and when it answers again.
    """

    def __init__(
        self, config: BotConfig, token: str | None, redis: RedisLink, on_change: Callable[[bool, str], None]
    ) -> None:
        target = callback_target(config.bot_manager_callback_url, config.meeting_api_callback_url)
        generation = target.generation if target else None
        self._config, self._redis = config, redis
        identity = SessionIdentity(
            config.platform, config.meeting_id, config.native_meeting_id, config.connection_id, token
        )
        published = identity.read_by(generation)
        self.manager: CallbackLink | None = None
        if target is not None:
            from bot.links.callbacks import CallbackLink

            secret = config.internal_secret.get_secret_value() if config.internal_secret else None
            self.manager = CallbackLink(target, secret, config.secrets(), on_change=on_change)
        self.speakers: SpeakerEventLink | None = None
        if generation is Generation.V6 and config.publish == "bot":
            self.speakers = SpeakerEventLink(config.redis_url.get_secret_value(), config.connection_id)
        self.reporting = Reporting(
            identity,
            config.container_name,
            [redis, *self.served],
            [secret for secret in config.secrets() if secret != published.token],
            published=published,
            publishes=config.publish == "bot",
            takes_chat=generation is None or generation.knows_sources,
        )

    @property
    def served(self) -> Sequence[Served]:
        """Those with a task of their own."""
        return [sink for sink in (self.manager, self.speakers) if sink is not None]

    @property
    def reserve(self) -> float:
        """Seconds of the end that the manager needs."""
        return TELL_RESERVE_S if self.manager else 0.0

    async def open(self) -> None:
        """Looks whether the manager can be reached; without one, whether somebody else's collector is fooled by us.

        Raises:
            EarshotError: CALLBACK_UNREACHABLE.
        """
        if self.manager is not None:
            await self.manager.open()
        else:
            await warn_of_collector(self._config.redis_url.get_secret_value(), self._config.meeting_id)

    async def serve(self, sink: Served) -> None:
        """The life of one of them; a bug in it ends no meeting, and is said."""
        try:
            await sink.run()
        except Exception as error:
            self.reporting.failed(sink, "run", error)

    def without_redis(self) -> None:
        """Redis was never ours: whoever writes there is told nothing any more, all others are."""
        there = self._redis, self.speakers
        self.reporting.sinks = [sink for sink in self.reporting.sinks if sink not in there]

    async def close(self, timeout: float) -> None:
        """Closes every connection but those of Redis; within `timeout` seconds, no errors."""
        await asyncio.gather(*(self._close(sink, timeout) for sink in self.served))

    async def _close(self, sink: Served, timeout: float) -> None:
        """Each within its time, whatever another one does."""
        try:
            async with asyncio.timeout(timeout):
                await sink.close()
        except (TimeoutError, *FAILURES):
            pass
        except Exception as error:
            self.reporting.failed(sink, "close", error)
