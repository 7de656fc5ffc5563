"""Where meeting URLs lead, of hosted platforms and of servers of one's own."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bot.config import ConfigError, load_config
from bot.platforms import PLATFORMS
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.destination import checked, destination_problem
from bot.platforms.orders import Orders
from common.contracts.status import SubCode
from common.errors import EarshotError


class OwnServer(Platform):
    """A platform whose rooms are where the operator says."""

    def claims(self, url: str) -> bool:
        """Never asked here."""
        return False

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """Never joined here."""
        raise NotImplementedError


class Hosted(OwnServer):
    """A platform with hosts of its own."""

    hosts = ("meet.example.com",)


def invited(url: str | None) -> Invitation:
    """An invitation to a meeting there."""
    return Invitation(url, "bot-1", "Earshot")


@pytest.mark.parametrize("url", ["https://meet.example.com/abc", "https://eu.meet.example.com/abc"])
def test_a_hosted_meeting_is_at_its_platforms_hosts(url: str) -> None:
    """Or below one."""
    assert destination_problem(Hosted(), url) is None


@pytest.mark.parametrize("url", ["https://evil.com/", "http://meet.example.com/", "https://10.0.0.1/", ""])
def test_another_host_is_an_error_of_the_configuration(url: str) -> None:
    """Which says where meetings are."""
    problem = destination_problem(Hosted(), url)
    assert problem is not None
    assert "meet.example.com" in problem.allowed


@pytest.mark.parametrize(
    ("url", "is_wrong"),
    [
        ("ws://10.0.0.1:7880", False),
        ("wss://livekit.internal", False),
        ("rehearsal:script.json", False),
        ("ws://[bad", False),
        (7, False),
        (None, False),
        ("ws://169.254.169.254", True),
        ("rehearsal+ws://0xa9fea9fe:80", True),
    ],
)
def test_an_operators_room_is_anywhere_but_at_metadata(url: object, is_wrong: bool) -> None:
    """Private networks are where rooms are; what is no URL, the platform says itself."""
    assert (destination_problem(OwnServer(), url) is not None) == is_wrong


def test_the_configuration_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every platform alike."""
    monkeypatch.setitem(PLATFORMS, "hosted", f"{__name__}:Hosted")
    monkeypatch.setattr("bot.config.loading.load", lambda name: Hosted())
    text = '{"platform": "rehearsal", "meetingUrl": "https://evil.com/", "redisUrl": "redis://r", "whisperLiveUrl": "ws://t"}'
    with pytest.raises(ConfigError, match=r"meetingUrl.*meet\.example\.com"):
        load_config(text, {})


async def answering(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """A name server that knows these."""

    async def look_up(host: Any, port: Any, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)


async def test_addresses_are_looked_up_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platform gets those that were checked."""
    await answering(monkeypatch, "8.8.8.8")
    assert (await checked(Hosted(), invited("https://meet.example.com/a"))).addresses == ("8.8.8.8",)
    assert (await checked(OwnServer(), invited("ws://10.0.0.1"))).addresses == ()


@pytest.mark.parametrize("url", ["https://meet.example.com/a", "https://evil.com/", None])
async def test_a_name_that_leads_inside_is_not_joined(url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a URL that nobody has checked before."""
    await answering(monkeypatch, "10.0.0.1")
    with pytest.raises(EarshotError, match="meetingUrl") as caught:
        await checked(Hosted(), invited(url))
    assert caught.value.code is SubCode.ROOM_UNREACHABLE


async def test_a_name_that_nobody_knows_is_no_forbidden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the name server is the trouble, it is said so."""

    async def unknown(host: Any, port: Any, **_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    with pytest.raises(EarshotError, match=r"meet\.example\.com.* cannot be looked up: Name or service") as caught:
        await checked(Hosted(), invited("https://meet.example.com/a"))
    assert caught.value.code is SubCode.ROOM_UNREACHABLE
