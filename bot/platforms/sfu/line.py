"""A line to an SFU: requests and their answers, and what comes unasked, as JSON objects over one websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

ANSWER_TIMEOUT_S = 10.0
"""For the answer to a request."""
MAX_MESSAGE_BYTES = 1024 * 1024
"""Of a message; an SDP with hundreds of candidates is below 100 kB. What is longer ends the connection."""

Message = dict[str, Any]


class LineBroken(Exception):
    """The connection is gone, or what came over it was no JSON object."""


class Line:
    """One websocket: `run` reads it, `ask` and `say` write to it.

    Args:
        websocket: Open.
        answers: The key of the request that a message answers; None: it came unasked.
        told: Called with every message that nobody has asked for.
    """

    def __init__(
        self,
        websocket: ClientConnection,
        answers: Callable[[Message], str | int | None],
        told: Callable[[Message], None],
    ) -> None:
        self._websocket, self._answers, self._told = websocket, answers, told
        self._asked: dict[str | int, asyncio.Future[Message]] = {}
        self._heeds: dict[str | int, Callable[[Message], None]] = {}

    async def run(self) -> None:
        """Reads until the connection ends, then fails whatever is still asked. Raises LineBroken, always."""
        reason = "the connection was closed"
        try:
            async for text in self._websocket:
                message = json.loads(text)
                if not isinstance(message, dict):
                    raise TypeError
                self._take(message)
        except (ValueError, TypeError, RecursionError):
            reason = "what it sent is no JSON object"
        except ConnectionClosed:
            pass
        finally:
            for asked in self._asked.values():
                if not asked.done():
                    asked.set_exception(LineBroken(reason))
        raise LineBroken(reason)

    def _take(self, message: Message) -> None:
        key = self._answers(message)
        asked = self._asked.get(key) if isinstance(key, str | int) else None
        if key is None or asked is None:
            self._told(message)
        elif not asked.done():
            if heed := self._heeds.get(key):
                heed(message)
            asked.set_result(message)

    async def ask(
        self, key: str | int, message: Message, heed: Callable[[Message], None] | None = None
    ) -> Message:  # fmt: skip
        """Sends a request and returns its answer.

        Args:
            key: Of the request.
            message: What is sent.
            heed: Called with the answer before anything that came behind it is told: whoever asked runs only later.

        Raises:
            LineBroken: The connection is gone.
            TimeoutError: No answer within `ANSWER_TIMEOUT_S`.
        """
        self._asked[key] = asyncio.get_running_loop().create_future()
        if heed is not None:
            self._heeds[key] = heed
        try:
            await self.say(message)
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._asked[key]
        finally:
            self._asked.pop(key).cancel()
            self._heeds.pop(key, None)

    async def say(self, message: Message) -> None:
        """Sends what has no answer. Raises LineBroken."""
        try:
            await self._websocket.send(json.dumps(message))
        except ConnectionClosed:
            raise LineBroken("the connection was closed") from None
