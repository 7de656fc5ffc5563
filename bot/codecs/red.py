"""RED (RFC 2198): Opus packets that carry the ones before them once more."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BLOCKS = 8
"""In one packet; WebRTC sends up to two redundant ones."""


class RedError(ValueError):
    """Not a RED payload."""


@dataclass(frozen=True, slots=True)
class Block:
    """One packet inside.

    Args:
        payload_type: 7 bits.
        age: Ticks of the RTP clock by which it is older than the packet around it; 0: the packet's own.
        payload: As it would have been sent without RED.
    """

    payload_type: int
    age: int
    payload: bytes


def unwrap(payload: bytes) -> list[Block]:
    """The blocks of a RED payload, the oldest first; the last one is the packet's own.

    Raises:
        RedError: Cut off, or of too many blocks.
    """
    headers: list[tuple[int, int, int]] = []  # payload type, age, bytes
    at = 0
    while at < len(payload) and payload[at] & 0x80:
        if at + 4 > len(payload) or len(headers) == MAX_BLOCKS - 1:
            raise RedError("headers that do not end")
        bits = int.from_bytes(payload[at + 1 : at + 4])
        headers.append((payload[at] & 0x7F, bits >> 10, bits & 0x3FF))
        at += 4
    if at >= len(payload):
        raise RedError("no primary block")
    primary = payload[at] & 0x7F
    at += 1
    blocks = []
    for payload_type, age, size in headers:
        if at + size > len(payload):
            raise RedError("a block is cut off")
        blocks.append(Block(payload_type, age, payload[at : at + size]))
        at += size
    return [*blocks, Block(primary, 0, payload[at:])]
