"""What a WHEP endpoint puts into headers, as it should be and as it should not."""

from __future__ import annotations

import random

import httpx
import pytest

from bot.platforms.whep.endpoint import Endpoint, IceServer, Resource, Unavailable, again, ice_servers
from bot.platforms.whep.settings import WhepSettings
from common.errors import EarshotError
from tests.support.examples import MALFORMED

SDP = {"content-type": "application/sdp; charset=utf-8"}


def test_ice_servers_in_link_headers() -> None:
    """STUN and TURN with their credentials, in one header or several; other links are passed over; eight at most."""
    links = [
        '<stun:stun.example.net>; rel="ice-server"',
        '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="a;b,c"',
        "<stun:>; rel=ice-server, <turns:turn.example.net:443>;rel=ice-server",
        *(
            '<https://example.net/events>; rel="urn:ietf:params:whep:ext"',
            "<stun:x>",
            "nothing",
            "<stun:>; rel=ice-server",
        ),
    ]
    assert ice_servers(links) == [
        IceServer("stun:stun.example.net"),
        IceServer("turn:turn.example.net?transport=udp", "user", "a;b,c"),
        IceServer("turns:turn.example.net:443"),
    ]
    assert len(ice_servers(links * 10)) == 8


def test_when_to_ask_again() -> None:
    """Seconds, a minute at most; a date or nothing is no number of seconds."""
    assert [again(value) for value in ("0", " 2 ", "3600")] == [0.0, 2.0, 60.0]
    assert [again(value) for value in (None, "", "-1", "1.5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 40)] == [
        None
    ] * 7


@pytest.mark.parametrize(
    ("location", "leads"),
    [
        ("/resource/1", "https://media.example.com/resource/1"),
        ("https://edge.example.com/1", "https://edge.example.com/1"),
        ("http://media.example.com/1", None),
        ("https://elsewhere.example.com/1", None),
        ("https://169.254.169.254/1", None),
        ("https://[::1", None),
        ("", None),
        (None, None),
    ],
)
async def test_where_a_resource_may_be(location: str | None, leads: str | None) -> None:
    """On the endpoint's host or one that the settings name; never from TLS to none."""
    settings = WhepSettings(redirect_hosts=("Edge.example.com", "169.254.169.254"))
    headers = SDP if location is None else {**SDP, "location": location}
    async with Endpoint("http://media.example.com/whep", settings) as endpoint:
        made = endpoint._resource(httpx.Response(201, headers=headers, text="v=0"), "https://media.example.com/whep")
    assert made == Resource(leads, "v=0", False, None)


async def test_garbage_is_refused() -> None:
    """Many answers of any status, with headers of chance: a resource, or one of the two errors."""
    chance = random.Random(1)
    signs = "<>;:,=\"'/ \\?#[]@%x1\t" + "stunrelic-v"
    async with Endpoint("http://media.example.com/whep", WhepSettings()) as endpoint:
        for _ in range(MALFORMED):
            text = "".join(chance.choices(signs, k=chance.randrange(40)))
            ice_servers([text, '<stun:x>; rel="ice-server"' + text])
            again(text)
            headers = {"location": text, "retry-after": text, "content-type": chance.choice([text, "application/sdp"])}
            response = httpx.Response(
                chance.choice([200, 201, 204, 307, 400, 401, 404, 406, 409, 503]), headers=headers
            )
            try:
                made = endpoint._resource(response, "http://media.example.com/whep")
            except (EarshotError, Unavailable):
                continue
            assert made.url is None or made.url.startswith("http://media.example.com")
