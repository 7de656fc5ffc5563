"""Outbox of one client: messages that wait until it has read those before, in order and only so many bytes of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

MAX_OUTBOX_BYTES = 256 * 1024
"""Bytes that may wait, beside one message: texts of a minute for most clients, of seconds for who wants all."""
MESSAGE_OVERHEAD_BYTES = 128
"""What a message takes beside its characters, in this process."""


class Outbox:
    """Messages in ASCII. A partial is replaced by the next, if nothing came between them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bool]] = deque()
        self.size = 0
        """Bytes."""

    def post(self, messages: Sequence[str], *, replaceable: bool = False) -> bool:
        """Adds messages. False: the client is too slow, there is no room for them."""
        if replaceable and self._waiting and self._waiting[-1][1]:
            self.size -= _cost(self._waiting.pop()[0])
        for message in messages:
            if self._waiting and self.size + _cost(message) > MAX_OUTBOX_BYTES:
                return False
            self._waiting.append((message, replaceable))
            self.size += _cost(message)
        return True

    def take(self) -> str | None:
        """The oldest message, None without one."""
        if not self._waiting:
            return None
        message, _ = self._waiting.popleft()
        self.size -= _cost(message)
        return message


def _cost(message: str) -> int:
    return len(message) + MESSAGE_OVERHEAD_BYTES
