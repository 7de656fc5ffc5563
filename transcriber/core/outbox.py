"""Outbox of one client: messages that wait until it has read those before, in order and only so many bytes of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

MAX_OUTBOX_BYTES = 256 * 1024
"""Bytes that may wait when more is posted: texts of a minute for most clients, of seconds for who wants all. What is
posted at once may be as long as it is: that a client wants much each time does not make it slow."""
MESSAGE_OVERHEAD_BYTES = 128
"""What a message takes beside its characters, in this process."""


class Outbox:
    """Messages in ASCII. A partial is replaced by the next, if nothing came between them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bool]] = deque()
        self.size = 0
        """Bytes."""

    def post(self, messages: Sequence[str], *, replaceable: bool = False) -> bool:
        """Adds messages, all or none. False: the client is too slow, too much waits already."""
        if replaceable and self._waiting and self._waiting[-1][1]:
            self.size -= _cost(self._waiting.pop()[0])
        if self.size > MAX_OUTBOX_BYTES:
            return False
        for message in messages:
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
