"""The guard at the door: an event loop whose connections are checked at the moment they are made, and by address.

The address that is checked is the one that is connected to, whichever client asked and however it found it: nobody can
answer a second look-up differently. Clients that open sockets of their own (LiveKit's SDK, Chromium) are not behind it.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from common.destinations.policy import literal, refusal


class ForbiddenAddress(OSError):
    """Nobody is sent to this address. Why stands where libraries look for the system's words."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.strerror = why


class GuardedLoop(asyncio.SelectorEventLoop):
    """An event loop that connects to no address that `common.destinations.policy` refuses."""

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connects. Raises ForbiddenAddress."""
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            where = literal(str(address[0]))
            why = refusal(where) if where is not None else None
            if why:
                raise ForbiddenAddress(why)
        await super().sock_connect(sock, address)


async def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a hosted platform's host, found by one look-up, all of them public: to be connected to as such.

    Raises:
        ForbiddenAddress: one of them is not.
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        where = literal(text)
        if where is not None and (why := refusal(where, public_only=True)):
            raise ForbiddenAddress(f"{host}: {why}")
    return addresses
