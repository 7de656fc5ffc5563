"""The RTMP platform's rules: what names a stream, what opens it, and what is odd."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from bot.platforms.base import Invitation
from bot.platforms.rtmp import Rtmp
from bot.platforms.rtmp.access import key, with_key
from bot.platforms.rtmp.settings import RtmpSettings

SECRET = "0123456789abcdef0123"


@pytest.mark.parametrize(
    "url",
    ["rtmp://rtmp/live/standup", "rtmps://rtmp.example.com/live/a/b?key=x", "rtmp://[2001:db8::1]:1936/live/standup"],
)
def test_a_server_an_application_and_a_stream(url: str) -> None:
    """All three are in the URL."""
    assert Rtmp().claims(url)
    assert Rtmp().problems({"meetingUrl": url}) == []


@pytest.mark.parametrize(
    "url",
    [None, 5, "rtmp://rtmp", "rtmp://rtmp/live", "rtmp://rtmp/live/", "rtmp:///live/standup", "rtmp://me:key@rtmp/live/a",
     "rtmp://rtmp:0/live/a", "http://rtmp/live/a", "rtmp://rtmp/live/a#b", "rtmp://rtmp/live/a b"],
)  # fmt: skip
def test_what_is_missing_is_said(url: object) -> None:
    """With what is allowed, and without the key."""
    [problem] = Rtmp().problems({} if url is None else {"meetingUrl": url})
    assert problem.path == "meetingUrl"
    assert "rtmp://host[:port]/app/stream" in problem.allowed
    assert "key" not in problem.value


def invited(url: str = "rtmp://rtmp/live/standup", secret: str | None = SECRET) -> Invitation:
    """An invitation to a stream."""
    return Invitation(url, "bot-1", "Earshot", settings=RtmpSettings(secret=SecretStr(secret) if secret else None))


def test_warnings() -> None:
    """A short secret; one that is not used."""
    assert Rtmp().warnings(invited()) == []
    assert Rtmp().warnings(invited(secret=None)) == []
    assert Rtmp().warnings(Invitation("rtmp://rtmp/live/a", "bot-1", "Earshot")) == []
    assert "fewer than 16" in Rtmp().warnings(invited(secret="short"))[0]
    assert "key of the URL is used" in Rtmp().warnings(invited("rtmp://rtmp/live/standup?e=1&k=x"))[0]


def test_the_key_is_what_the_guide_says() -> None:
    """`printf 'play/live/standup 1767225600 SECRET' | openssl md5 -binary | openssl base64 | tr +/ -_ | tr -d =`."""
    assert key("play", "live", "standup", 1767225600, SECRET) == "Jowy3LocH3eDNrePnMQQxQ"
    assert key("publish", "live", "standup", 1767225600, SECRET) != key("play", "live", "standup", 1767225600, SECRET)


def test_a_key_joins_the_query() -> None:
    """After what is there; a URL that has a key keeps it."""
    made = with_key("rtmp://rtmp:1936/live/stand-up?a=b", "play", 1767225600, SECRET)
    assert made.startswith("rtmp://rtmp:1936/live/stand-up?a=b&e=1767225600&k=")
    assert parse_qs(urlsplit(made).query)["k"] == [key("play", "live", "stand-up", 1767225600, SECRET)]
    assert with_key(made, "play", 1, SECRET) == made
