"""Datagrams as they are read from real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from common.datagrams import MAX_DATAGRAM_BYTES, read_datagrams

LONGEST_BYTES = 65_507
"""Of IPv4: 64 KiB without the headers of IP and UDP."""


class Everything(asyncio.DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.came.put_nowait(data)


async def test_a_socket_asks_for_no_more_than_a_datagram_may_have() -> None:
    """asyncio's own amount, which the kernel is asked for each time, is replaced; the longest still comes whole."""
    loop = asyncio.get_running_loop()
    transport, everything = await loop.create_datagram_endpoint(Everything, local_addr=("127.0.0.1", 0))
    try:
        assert transport.max_size > MAX_DATAGRAM_BYTES, "asyncio reads otherwise now: is this still needed?"  # type: ignore[attr-defined]
        read_datagrams(transport)
        assert transport.max_size == MAX_DATAGRAM_BYTES  # type: ignore[attr-defined]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for length in (LONGEST_BYTES, 1, 0):
                sender.sendto(bytes(length), transport.get_extra_info("sockname"))
                async with asyncio.timeout(10):
                    assert len(await everything.came.get()) == length
    finally:
        transport.close()


def test_other_transports_are_left_as_they_are() -> None:
    """One without such a setting, of another event loop, gets none."""
    transport = asyncio.DatagramTransport()
    read_datagrams(transport)
    with pytest.raises(AttributeError):
        _ = transport.max_size  # type: ignore[attr-defined]
