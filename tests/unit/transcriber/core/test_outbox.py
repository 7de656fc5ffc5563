"""What waits for a client, and how much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from transcriber.core.outbox import MAX_OUTBOX_BYTES, MESSAGE_OVERHEAD_BYTES, Outbox


def drained(outbox: Outbox) -> list[str]:
    """All that waits."""
    return list(iter(outbox.take, None))


def test_messages_go_in_order() -> None:
    """And nothing is left of them."""
    outbox = Outbox()
    assert outbox.post(["a", "b"])
    assert outbox.post(["c"])
    assert drained(outbox) == ["a", "b", "c"]
    assert (outbox.size, outbox.take()) == (0, None)


def test_a_partial_replaces_the_one_before() -> None:
    """Not what is no partial, and not over something else."""
    outbox = Outbox()
    for message, replaceable in (("1", True), ("2", True), ("final", False), ("3", True), ("4", True), ("end", False)):
        outbox.post([message], replaceable=replaceable)
    assert drained(outbox) == ["2", "final", "4", "end"]


def test_the_last_partial_that_fits_makes_room_for_the_next() -> None:
    """A client that wants long ones is not slower for it."""
    outbox = Outbox()
    outbox.post(["final"])
    for _ in range(10):
        assert outbox.post(["x" * (MAX_OUTBOX_BYTES // 2)], replaceable=True)


def test_one_message_goes_in_whatever_its_size() -> None:
    """Nothing waits before it."""
    outbox = Outbox()
    assert outbox.post(["x" * MAX_OUTBOX_BYTES])
    assert not outbox.post(["y"])
    assert drained(outbox) == ["x" * MAX_OUTBOX_BYTES]


def test_what_is_posted_at_once_goes_in_whatever_its_size() -> None:
    """A client that has read everything is not slow because it wants two long messages for each final."""
    outbox = Outbox()
    final = ["x" * (MAX_OUTBOX_BYTES // 2), "y" * (MAX_OUTBOX_BYTES // 2)]
    assert outbox.post(final)
    assert drained(outbox) == final
    assert outbox.post(final)
    assert not outbox.post(["z"])


@given(st.lists(st.tuples(st.lists(st.integers(0, 100_000), max_size=3), st.booleans(), st.booleans()), max_size=60))
def test_no_more_waits_than_may(steps: list[tuple[list[int], bool, bool]]) -> None:
    """Beside what was posted last, whatever is posted and taken; each message counts with what Python needs for it."""
    outbox = Outbox()
    for lengths, replaceable, takes in steps:
        if outbox.post(["x" * length for length in lengths], replaceable=replaceable):
            assert outbox.size <= MAX_OUTBOX_BYTES + sum(length + MESSAGE_OVERHEAD_BYTES for length in lengths)
        if takes:
            outbox.take()
    size = outbox.size
    assert size == sum(len(message) + MESSAGE_OVERHEAD_BYTES for message in drained(outbox))
