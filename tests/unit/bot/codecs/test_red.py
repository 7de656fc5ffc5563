"""RED payloads, taken apart."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.codecs.red import MAX_BLOCKS, Block, RedError, unwrap


def wrap(blocks: list[Block]) -> bytes:
    """What a sender makes of blocks (RFC 2198, section 3)."""
    heads = b"".join(
        bytes([0x80 | one.payload_type]) + (one.age << 10 | len(one.payload)).to_bytes(3) for one in blocks[:-1]
    )
    return heads + bytes([blocks[-1].payload_type]) + b"".join(one.payload for one in blocks)


@given(
    st.lists(
        st.builds(Block, st.integers(0, 127), st.integers(0, 2**14 - 1), st.binary(max_size=1023)),
        min_size=1,
        max_size=MAX_BLOCKS,
    )
)
def test_what_was_wrapped_comes_out(blocks: list[Block]) -> None:
    """Every block with its age, in order; the last one is the packet's own."""
    blocks[-1] = Block(blocks[-1].payload_type, 0, blocks[-1].payload)
    assert unwrap(wrap(blocks)) == blocks


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "no primary"),
        (b"\xef\x00\x00", "do not end"),
        (b"\xef\x00\x00\x00", "no primary"),
        (b"\xef\x00\x00\x05\x6fabc", "cut off"),
        (b"\xef\x00\x00\x00" * MAX_BLOCKS + b"\x6f", "do not end"),
    ],
)
def test_malformed(payload: bytes, why: str) -> None:
    """Cut off or endless: refused with what is wrong."""
    with pytest.raises(RedError, match=why):
        unwrap(payload)


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read(payload: bytes) -> None:
    """Whatever comes: blocks that are no longer than it, or RedError."""
    with suppress(RedError):
        assert sum(len(block.payload) for block in unwrap(payload)) <= len(payload)
