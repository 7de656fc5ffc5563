"""API keys and origins."""

from __future__ import annotations

import pytest

from common.auth import has_key, is_allowed

KEY = "s3cret-k3y"


@pytest.mark.parametrize(
    ("authorization", "protocols", "granted"),
    [
        (f"Bearer {KEY}", "", True),
        (f"bearer  {KEY} ", "", True),
        ("", f"bearer, {KEY}", True),
        ("", f"bearer,{KEY}", True),
        ("Bearer wrong", f"bearer, {KEY}", True),
        ("", "", False),
        ("Bearer", "bearer", False),
        ("Bearer ", "bearer, ", False),
        (KEY, KEY, False),
        (f"Basic {KEY}", f"chat, {KEY}", False),
        (f"Bearer {KEY}x", f"bearer, x{KEY}", False),
        (f"Bearer {KEY}, Bearer {KEY}", f"bearer, other, {KEY}", False),
        ("Bearer \udce9\xe9", "bearer, \udce9", False),
    ],
)
def test_the_key_comes_in_one_of_two_headers(authorization: str, protocols: str, granted: bool) -> None:
    """Whole and alone; whatever else comes is no error."""
    assert has_key(authorization, protocols, KEY) is granted


@pytest.mark.parametrize(
    ("origins", "allowed", "granted"),
    [
        ([], (), True),
        (["https://app.example.com"], (), False),
        (["https://app.example.com"], ("https://app.example.com",), True),
        (["HTTPS://App.Example.com "], ("https://app.example.com",), True),
        (["https://app.example.com.evil.example"], ("https://app.example.com",), False),
        (["https://app.example.com:8443"], ("https://app.example.com",), False),
        (["http://app.example.com"], ("https://app.example.com",), False),
        (["https://app.example.com", "https://evil.example"], ("https://app.example.com",), False),
        (["null"], ("https://app.example.com",), False),
        (["null"], ("null",), True),
        ([""], (), False),
        (["https://anything.example"], ("*",), True),
    ],
)
def test_a_page_may_connect_if_its_origin_is_listed(
    origins: list[str], allowed: tuple[str, ...], granted: bool
) -> None:
    """Scheme, host and port, all the same; who sends no origin is no browser."""
    assert is_allowed(origins, allowed, "127.0.0.1:9090", "") is granted


@pytest.mark.parametrize(
    ("origin", "host", "agent", "granted"),
    [
        ("http://whisper:9090", "whisper:9090", "", True),
        ("https://Whisper", "whisper", "python-something/1.0", True),
        ("http://whisper:9091", "whisper:9090", "", False),
        ("http://evil.example:9090", "evil.example:9090", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", False),
        ("http://127.0.0.1:9090", "127.0.0.1:9090", "Mozilla/5.0", False),
    ],
)
def test_the_stock_clients_library_sends_our_own_origin(origin: str, host: str, agent: str, granted: bool) -> None:
    """It may; a browser may not: the name of its page may lead to us now and to somebody else before."""
    assert is_allowed([origin], (), host, agent) is granted
