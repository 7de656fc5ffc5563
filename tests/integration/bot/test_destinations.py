"""Each client of the bot on the loop of its process: a name that leads to a cloud's metadata is not connected to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import typer

from bot.cli import doctor
from bot.links.callbacks import CallbackLink
from bot.links.redis.link import RedisLink
from bot.links.transcriber.link import probe
from bot.links.transcriber.servers import Servers
from bot.platforms.livekit.access import ask_server
from common.contracts.generations import callback_target
from common.destinations.guard import ForbiddenAddress, GuardedLoop
from common.errors import EarshotError
from common.whisperlive.protocol import Handshake

pytestmark = pytest.mark.slow


class MisledLoop(GuardedLoop):
    """A guarded loop whose name server says of every name that it is the metadata service."""

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """The same answer for all."""
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", int(port or 0)))]


async def redis() -> None:
    """The link to Redis opens."""
    link = RedisLink("redis://redis:6379", "bot-1", 42)
    try:
        await link.open()
    finally:
        await link.close()


async def transcriber() -> None:
    """A transcriber is looked for."""
    await probe(Servers(("ws://transcriber:9090",)), Handshake(uid="u"))


async def manager() -> None:
    """The manager is looked for."""
    target = callback_target(None, "http://manager:8080/lifecycle")
    assert target is not None
    link = CallbackLink(target)
    try:
        await link.open()
    finally:
        await link.close()


async def livekit() -> None:
    """A LiveKit server is asked."""
    await ask_server("ws://livekit:7880", "token")


@pytest.mark.parametrize("client", [redis, transcriber, manager, livekit])
def test_no_client_is_led_to_the_metadata_service(
    client: Callable[[], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused as a neighbour that cannot be reached; the reason is in the words or behind them."""
    monkeypatch.setattr("bot.links.callbacks.OPEN_TIMEOUT_S", 0.5)
    with asyncio.Runner(loop_factory=MisledLoop) as runner, pytest.raises(EarshotError) as caught:
        runner.run(client())
    assert "metadata service" in str(caught.value) or ForbiddenAddress in map(type, behind(caught.value))


def test_the_doctor_is_led_there_no_more_than_a_bot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it tries it tries as a bot would: each neighbour fails, for that reason."""
    monkeypatch.setattr("common.destinations.guard.GuardedLoop", MisledLoop)
    monkeypatch.setattr("bot.links.redis.link.OPEN_TIMEOUT_S", 0.5)
    monkeypatch.setattr("bot.links.transcriber.link.UNREACHABLE_TIMEOUT_S", 0.5)
    settings = tmp_path / "bot.json"
    urls = {"redisUrl": "redis://redis:6379", "whisperLiveUrl": "ws://transcriber:9090"}
    settings.write_text(json.dumps({"platform": "rehearsal", "meetingUrl": "rehearsal+ws://room:1", **urls}))
    with pytest.raises(typer.Exit) as ended:
        doctor(str(settings))
    assert ended.value.exit_code == 3
    assert capsys.readouterr().out.count("metadata service") >= 2


def behind(error: BaseException) -> list[BaseException]:
    """Every exception that led to one."""
    found, waiting = [], [error]
    while waiting:
        found.append(one := waiting.pop())
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        waiting += [cause for cause in (one.__cause__, one.__context__, *inner) if cause is not None]
    return found
