"""The outbox keeps order and every entry, within its bounds."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.core.outbox import KEEP_STORED_S, MAX_STORED_ENTRIES, LiveQueue, Outbox


def test_numbers_continue_after_what_is_stored() -> None:
    """A restarted bot goes on from the stored sequence number."""
    outbox = Outbox(after=41)
    assert [outbox.put("a", 0.0), outbox.put("b", 0.0)] == [42, 43]


def test_refuses_and_counts_when_full_of_entries() -> None:
    """The bound in entries refuses the newest and keeps what waits."""
    outbox = Outbox(max_entries=2)
    assert [outbox.put(text, 0.0) for text in "abc"] == [1, 2, None]
    assert (outbox.refused, outbox.accepted, len(outbox)) == (1, 2, 2)
    outbox.stored(1, 0.0)
    assert outbox.put("d", 0.0) == 3


def test_says_that_it_is_full_while_it_still_takes_what_is_on_its_way() -> None:
    """The producer is to hold back at nine tenths, of entries or of bytes."""
    outbox = Outbox(max_entries=10)
    fullness = [(outbox.put("a", 0.0), outbox.is_full) for _ in range(10)]
    assert fullness == [(number, number >= 9) for number in range(1, 11)]
    outbox.stored(2, 0.0)
    assert not outbox.is_full
    large = Outbox(max_bytes=100)
    assert [(large.put("x" * 45, 0.0), large.is_full) for _ in range(2)] == [(1, False), (2, True)]


def test_bytes_are_counted_as_utf8() -> None:
    """The bound in bytes is one of encoded bytes, not of characters."""
    outbox = Outbox(max_bytes=4)
    assert outbox.put("éé", 0.0) == 1
    assert outbox.put("x", 0.0) is None
    assert [entry.payload for entry in outbox.stored(1, 0.0)] == ["éé"]
    assert outbox.size == 0


def test_batches_are_bounded_and_never_empty_while_something_waits() -> None:
    """A batch keeps to both bounds, except that one large entry still goes alone."""
    outbox = Outbox()
    for text in ("aaaa", "b", "c", "d"):
        outbox.put(text, 0.0)
    assert [entry.sequence for entry in outbox.batch(10, 3)] == [1]
    assert [entry.sequence for entry in outbox.batch(3, 100)] == [1, 2, 3]
    assert [entry.sequence for entry in outbox.batch(10, 5)] == [1, 2]
    assert Outbox().batch(10, 10) == ()


def test_age_is_that_of_the_oldest() -> None:
    """The age shows how far Redis is behind."""
    outbox = Outbox()
    assert outbox.oldest_age(5.0) == 0.0
    outbox.put("a", 1.0)
    outbox.put("b", 4.0)
    assert outbox.oldest_age(5.0) == 4.0


def waiting(outbox: Outbox) -> list[int]:
    """The numbers that are to be sent."""
    return [entry.sequence for entry in outbox.batch(10_000, 10**9)]


def test_what_the_store_forgets_is_sent_again() -> None:
    """A store that stands lower than it had said gets the last seconds again, before what waits, as they were."""
    outbox = Outbox(after=7)
    for text in "abcd":
        outbox.put(text, 0.0)
    outbox.stored(10, 1.0)
    assert (outbox.stored_until, waiting(outbox)) == (10, [11])
    assert outbox.forgotten(8) == (2, 0)
    assert (outbox.stored_until, waiting(outbox), outbox.size) == (8, [9, 10, 11], 3)
    assert [entry.payload for entry in outbox.batch(9, 99)] == ["b", "c", "d"]
    outbox.stored(11, 2.0)
    assert outbox.forgotten(10) == (1, 0)


def test_what_was_stored_too_long_ago_is_gone() -> None:
    """Kept for some seconds, counted at the store's answers: an outage without answers ages nothing."""
    outbox = Outbox()
    for text in "abc":
        outbox.put(text, 0.0)
    outbox.stored(1, 0.0)
    outbox.stored(2, KEEP_STORED_S)
    outbox.stored(2, KEEP_STORED_S + 0.1)
    assert outbox.forgotten(0) == (1, 1)
    assert waiting(outbox) == [2, 3]


def test_what_is_kept_although_stored_is_bounded() -> None:
    """However much was stored within those seconds, so many entries are kept, the newest."""
    outbox = Outbox()
    for _ in range(MAX_STORED_ENTRIES + 2):
        outbox.put("a", 0.0)
    outbox.stored(MAX_STORED_ENTRIES + 2, 0.0)
    assert outbox.forgotten(0) == (MAX_STORED_ENTRIES, 2)


def test_live_queue_keeps_the_newest_of_each_segment() -> None:
    """A newer partial, or the final, replaces what waits of the same segment."""
    queue = LiveQueue()
    for segment, message in (("a", "1"), ("b", "1"), ("a", "2")):
        queue.put(segment, message, final=False)
    assert len(queue) == 2
    assert [queue.take(), queue.take(), queue.take()] == ["1", "2", None]


def test_live_queue_drops_the_oldest_partial_first() -> None:
    """When full, partials go before finals, and the count tells."""
    queue = LiveQueue(max_messages=2)
    queue.put("a", "final a", final=True)
    queue.put("b", "partial b", final=False)
    queue.put("c", "final c", final=True)
    queue.put("d", "final d", final=True)
    assert queue.dropped == 2
    assert [queue.take(), queue.take()] == ["final c", "final d"]


class OutboxMachine(RuleBasedStateMachine):
    """A store that sometimes loses replies must end up with every accepted payload once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(max_entries=5, max_bytes=40)
        self.accepted: list[str] = []
        self.store: list[str] = []
        self.stored_sequence = 0

    @rule(text=st.text(max_size=12))
    def put(self, text: str) -> None:
        if self.outbox.put(text, 0.0) is not None:
            self.accepted.append(text)

    @rule(limit=st.integers(1, 6), size=st.integers(1, 50), reply_lost=st.booleans())
    def send(self, limit: int, size: int, reply_lost: bool) -> None:
        for entry in self.outbox.batch(limit, size):
            if entry.sequence > self.stored_sequence:
                self.store.append(entry.payload)
                self.stored_sequence = entry.sequence
        if not reply_lost:
            self.outbox.stored(self.stored_sequence, 0.0)

    @rule(entries=st.integers(0, 3))
    def crash(self, entries: int) -> None:
        """The store forgets what it stored last, and says where it stands."""
        entries = min(entries, len(self.store))
        del self.store[len(self.store) - entries :]
        self.stored_sequence -= entries
        if self.stored_sequence < self.outbox.stored_until:
            assert self.outbox.forgotten(self.stored_sequence)[1] == 0

    @precondition(lambda self: len(self.outbox) == 0)
    @rule()
    def drained(self) -> None:
        assert self.store == self.accepted

    @invariant()
    def in_order_and_bounded(self) -> None:
        assert self.store == self.accepted[: len(self.store)]
        assert self.outbox.size == sum(entry.size for entry in self.outbox.batch(999, 99_999))


TestOutboxMachine = OutboxMachine.TestCase
