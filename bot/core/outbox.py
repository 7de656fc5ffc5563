"""The outbox: stream entries, in order until they are stored, and live messages, newest only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_ENTRIES = 10_000
MAX_BYTES = 20_000_000
MAX_LIVE_MESSAGES = 256
HEADROOM_SHARE = 0.1
KEEP_STORED_S = 5.0
"""Seconds for which a stored entry is kept, counted at each answer of the store. More than an append-only file that is
written every second can lose, and than a replica usually lags."""
MAX_STORED_ENTRIES = 1_000
"""Stored entries that are kept; the oldest go first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One payload on its way.

    Args:
        sequence: Its number in the stream; increasing, never used twice.
        payload: The text to store.
        size: UTF-8 bytes of `payload`.
        since: When it was put in, monotonic seconds.
    """

    sequence: int
    payload: str
    size: int
    since: float


class Outbox:
    """An ordered queue whose entries leave only once they are stored, and are kept a little longer even then.

    A store that crashed, or whose replica took over, may have forgotten its last seconds. What it said to be stored
    is therefore kept for `KEEP_STORED_S`; when the store stands lower than it had said (`forgotten`), it waits again.

    Bound: `max_entries` entries or `max_bytes` bytes of payload, beside `MAX_STORED_ENTRIES` that are stored. Policy
    when full: what waits is kept (its order is promised), the new entry is refused and counted; `is_full` is there so
    that the producer holds back before that.

    Args:
        after: Highest sequence number already stored; numbering continues from it.
        max_entries: Bound in entries.
        max_bytes: Bound in UTF-8 bytes.
    """

    def __init__(self, after: int = 0, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._stored: deque[tuple[float, Entry]] = deque(maxlen=MAX_STORED_ENTRIES)
        self._last = after
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.stored_until = after
        """The number up to which the store has everything, as far as it has said so."""
        self.size = 0
        """UTF-8 bytes waiting."""
        self.accepted = 0
        """Entries ever taken in."""
        self.refused = 0
        """Entries ever refused because the outbox was full: lost, unless the producer kept them."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Time to hold back: what is left, `HEADROOM_SHARE`, is for what is on its way already."""
        left = 1 - HEADROOM_SHARE
        return len(self._entries) >= self._max_entries * left or self.size >= self._max_bytes * left

    def put(self, payload: str, now: float) -> int | None:
        """Takes a payload in; returns its sequence number, or None when it was refused (full)."""
        size = len(payload.encode())
        if len(self._entries) >= self._max_entries or self.size + size > self._max_bytes:
            self.refused += 1
            return None
        self._last += 1
        self._entries.append(Entry(self._last, payload, size, now))
        self.size += size
        self.accepted += 1
        return self._last

    def batch(self, max_entries: int, max_bytes: int) -> tuple[Entry, ...]:
        """The oldest entries, in order: at most so many, and so many bytes unless the first alone is larger."""
        chosen: list[Entry] = []
        size = 0
        for entry in self._entries:
            size += entry.size
            if len(chosen) == max_entries or (chosen and size > max_bytes):
                break
            chosen.append(entry)
        return tuple(chosen)

    def stored(self, sequence: int, now: float) -> tuple[Entry, ...]:
        """The store has everything up to `sequence`: returns what leaves the queue thereby."""
        done: list[Entry] = []
        while self._entries and self._entries[0].sequence <= sequence:
            done.append(self._entries.popleft())
        self.size -= sum(entry.size for entry in done)
        self.stored_until = max(self.stored_until, sequence)
        while self._stored and self._stored[0][0] < now - KEEP_STORED_S:
            self._stored.popleft()
        self._stored.extend((now, entry) for entry in done)
        return tuple(done)

    def forgotten(self, sequence: int) -> tuple[int, int]:
        """The store has only what is up to `sequence`, less than it had said.

        Returns:
            How many entries wait again, and how many are gone: it had stored them too long ago.
        """
        gone = self.stored_until - sequence
        again: list[Entry] = []
        while self._stored and self._stored[-1][1].sequence > sequence:
            again.append(self._stored.pop()[1])
        self._entries.extendleft(again)
        self.size += sum(entry.size for entry in again)
        self.stored_until = sequence
        return len(again), gone - len(again)

    def oldest_age(self, now: float) -> float:
        """Seconds that the oldest entry has waited; 0 when nothing waits."""
        return now - self._entries[0].since if self._entries else 0.0


class LiveQueue:
    """Messages for those who watch now: late ones are worth nothing, so only the newest of each segment waits.

    Bound: `max_messages`. Policy when full: the oldest partial goes, or the oldest final if there are only finals
    (they are safe in the stream); counted in `dropped`.
    """

    def __init__(self, max_messages: int = MAX_LIVE_MESSAGES) -> None:
        self._messages: dict[str, tuple[str, bool]] = {}
        self._max_messages = max_messages
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, segment_id: str, message: str, final: bool) -> None:
        """Takes a message in; it replaces a waiting one of the same segment."""
        self._messages.pop(segment_id, None)
        if len(self._messages) >= self._max_messages:
            partials = (waiting for waiting, (_, is_final) in self._messages.items() if not is_final)
            del self._messages[next(partials, next(iter(self._messages)))]
            self.dropped += 1
        self._messages[segment_id] = (message, final)

    def take(self) -> str | None:
        """The oldest message, which leaves the queue; None when there is none."""
        if not self._messages:
            return None
        message, _ = self._messages.pop(next(iter(self._messages)))
        return message
