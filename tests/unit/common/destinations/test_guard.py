"""The guard: what a loop connects to is what was checked, and one look-up is all there is."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest

from bot import process
from bot.config import load_config
from common.destinations.guard import ForbiddenAddress, GuardedLoop, public_addresses


class RebindingLoop(GuardedLoop):
    """A loop whose name server answers as scripted: another address at every look-up. Nothing is really connected."""

    def __init__(self, *answers: str) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked = 0

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """The next answer."""
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.answers.pop(0).split()]


def run(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine on this loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work)


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.internal"])
def test_a_forbidden_address_is_not_connected_to(host: str) -> None:
    """Spelled out or found by name."""
    with pytest.raises(ForbiddenAddress, match="metadata"):
        run(RebindingLoop("169.254.169.254"), asyncio.open_connection(host, 80))


def test_a_name_that_is_bound_anew_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was checked is the one that is used: the second answer is never asked for."""
    connected: list[Any] = []

    async def connect(_: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", connect)
    loop = RebindingLoop("10.0.0.5", "169.254.169.254")
    with pytest.raises(ConnectionRefusedError):
        run(loop, asyncio.open_connection("transcriber", 9090))
    assert connected == [("10.0.0.5", 9090)]
    assert loop.asked == 1


def test_a_real_connection_is_made() -> None:
    """To a private address, as operators need it; a unix socket has no address."""

    async def meet() -> bytes:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
            try:
                return await reader.read()
            finally:
                writer.close()

    assert run(GuardedLoop(), meet()) == b"hello"


@pytest.mark.parametrize("answers", ["10.0.0.1", "8.8.8.8 127.0.0.1", "8.8.8.8 169.254.169.254"])
def test_a_hosted_platforms_name_that_leads_elsewhere_is_refused(answers: str) -> None:
    """One address of several is enough."""
    with pytest.raises(ForbiddenAddress, match=r"meet\.example\.com: "):
        run(RebindingLoop(answers), public_addresses("meet.example.com", 443))


def test_a_hosted_platforms_addresses_are_given_to_be_used() -> None:
    """Each once, so that nobody has to look them up again."""
    assert run(RebindingLoop("8.8.8.8 8.8.4.4 8.8.8.8"), public_addresses("m", 443)) == ["8.8.8.8", "8.8.4.4"]


def test_the_bots_process_runs_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client in it is behind the guard."""
    seen: list[asyncio.AbstractEventLoop] = []

    async def bot(_: object) -> None:
        seen.append(asyncio.get_running_loop())
        raise ConnectionAbortedError

    monkeypatch.setattr(process, "_bot", bot)
    config, _ = load_config(
        '{"platform": "rehearsal", "meetingUrl": "rehearsal:x", "redisUrl": "redis://r", "whisperLiveUrl": "ws://t"}',
        {},
    )
    with pytest.raises(ConnectionAbortedError):
        process.run(config)
    assert isinstance(seen[0], GuardedLoop)
    seen[0].close()
