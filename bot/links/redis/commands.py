"""Commands from Redis pub/sub: subscribed before joining, and again after every loss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import redis.exceptions as errors
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from common.cancellation import checkpoint
from common.redis import FAILURES, SOCKET_TIMEOUT_S, backoff

log = structlog.get_logger(__name__)

IDLE_TIMEOUT_S = 2.0
"""After so much silence the connection is tested; a broken one is noticed within twice that."""


class CommandListener:
    """Hears channels and hands each message to a callback; what it says is not the link's business.

    Commands that are published while the connection is down are lost: that is how pub/sub works.
    """

    def __init__(self, channels: tuple[str, ...], on_command: Callable[[str], None]) -> None:
        self._channels = channels
        self._on_command = on_command
        self._pubsub: PubSub | None = None

    async def subscribe(self, client: Redis) -> None:
        """Subscribes and waits until Redis has confirmed every channel."""
        await self.close()
        self._pubsub = client.pubsub()
        await self._pubsub.subscribe(*self._channels)
        checkpoint()
        confirmed = 0
        while confirmed < len(self._channels):
            message = await self._pubsub.get_message(timeout=SOCKET_TIMEOUT_S)
            if message is None:
                raise errors.TimeoutError("no confirmation of the subscription")
            confirmed += message["type"] == "subscribe"
            self._handle(message)

    async def run(self, client: Redis, random: Callable[[], float]) -> None:
        """Listens until cancelled; subscribes again after every loss."""
        tries = 0
        while True:
            checkpoint()
            try:
                if self._pubsub is None:
                    await self.subscribe(client)
                    log.info("commands_subscribed_again")
                await self._listen()
            except FAILURES as error:
                await self.close()
                if tries == 0:
                    log.warning("commands_lost", error=str(error))
                await asyncio.sleep(backoff(tries, random))
                tries += 1
            else:
                tries = 0

    async def _listen(self) -> None:
        """Handles one message, or tests the connection after `IDLE_TIMEOUT_S` without any."""
        assert self._pubsub is not None
        message = await self._pubsub.get_message(timeout=IDLE_TIMEOUT_S)
        if message is None:
            await self._pubsub.ping()
            checkpoint()
            message = await self._pubsub.get_message(timeout=IDLE_TIMEOUT_S)
            if message is None:
                raise errors.TimeoutError("the subscription does not answer")
        self._handle(message)

    def _handle(self, message: dict[str, Any]) -> None:
        if message["type"] == "message":
            self._on_command(message["data"])

    async def close(self) -> None:
        """Ends the subscription."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
