"""Destinations: a corpus of URLs and addresses that try to lead a bot somewhere else."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.destinations.policy import hosted_host, literal, refusal

HOSTS = ("meet.example.com", "example.org")

ALLOWED = [
    ("https://meet.example.com/abc-defg-hij", "meet.example.com"),
    ("https://MEET.example.com/abc?authuser=0&pli=1#x", "meet.example.com"),
    ("https://meet.example.com:443/abc", "meet.example.com"),
    ("https://us05web.example.org/j/123?pwd=a.b-c_d~e", "us05web.example.org"),
    ("https://example.org", "example.org"),
    ("https://example.org?room=1", "example.org"),
]
REFUSED = [
    # another host, or a way to make one look like ours
    "https://evil.com/abc",
    "https://meet.example.com.evil.com/",
    "https://evilexample.org/",
    "https://notmeet.example.com/",
    "https://example.org.",
    "https://example.org@evil.com/",
    "https://evil.com@example.org/",
    "https://user:pass@example.org/",
    "https://example.org:pass@evil.com/",
    "https://example.org%40evil.com/",
    "https://evil.com#@example.org/",
    "https://evil.com?@example.org/",
    "https://evil.com\\@example.org/",
    "https://example.org\\.evil.com/",
    "https://example.org /",
    " https://example.org/",
    "https://example.org/\n",
    "https://exa\tmple.org/",
    "https:///example.org/",
    "https:example.org",
    "//example.org/",
    "example.org/abc",
    "https://.example.org/",
    "https://-.example.org/",
    "https://example..org/",
    # another scheme or port
    "http://example.org/",
    "ftp://example.org/",
    "file:///etc/passwd",
    "javascript:alert(1)//https://example.org/",
    "data:text/html,https://example.org/",
    "gopher://example.org/",
    "view-source:https://example.org/",
    "https://example.org:22/",
    "https://example.org:80/",
    "https://example.org:/",
    "https://example.org:443@evil.com/",
    # a second URL inside
    "https://example.org/?next=https://evil.com/",
    "https://example.org/https://evil.com/",
    "https://example.org/?u=https%3A%2F%2Fevil.com",
    "https://example.org/x@evil.com",
    # addresses, however spelled
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:7f00:1]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://localhost/",
    "https://metadata.google.internal/",
    "https://[fd00:ec2::254]/",
    # unicode that becomes ASCII somewhere else
    "https://example。org/",
    "https://ｅxample.org/",
    "https://ⓔxample.org/",
    "https://exаmple.org/",
    "https://xn--exmple-cua.org/",
    "https://example.org\u2044.evil.com/",
    "https://example.org\u200b/",
    "https://example.org/\x00",
    "",
    "https://",
    "https://example.org/" + "a" * 2_048,
]


def test_the_corpus_is_large_enough() -> None:
    """At least sixty, all different."""
    assert len(set(REFUSED)) == len(REFUSED) >= 60


@pytest.mark.parametrize(("url", "host"), ALLOWED)
def test_a_hosted_platforms_own_urls_pass(url: str, host: str) -> None:
    """Its hosts and those below them."""
    assert hosted_host(url, HOSTS) == host


@pytest.mark.parametrize("url", REFUSED)
def test_everything_else_is_refused(url: str) -> None:
    """Not one passes."""
    assert hosted_host(url, HOSTS) is None


@given(st.text("https:/@\\.?#%[]example.orgvilcom0x7f", max_size=60))
def test_what_passes_is_read_the_same_by_others(rest: str) -> None:
    """The standard library finds the host that we found."""
    host = hosted_host(f"https://{rest}", HOSTS)
    assert host is None or urlsplit(f"https://{rest}").hostname == host


NEVER = [
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "fe80::1", "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254",
    "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:5601:5601", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.18.0.2", "192.168.1.1", "100.64.0.1", "0.0.0.0", "::1", "::", "fc00::1",
    "fd12::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "192.0.2.1", "198.18.0.1", "2001:db8::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("text", NEVER)
def test_metadata_and_link_local_addresses_are_for_nobody(text: str) -> None:
    """Not for operators either, through whatever IPv6 they are reached."""
    assert refusal(ip_address(text)) is not None
    assert refusal(ip_address(text), public_only=True) is not None


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_for_operators(text: str) -> None:
    """Their transcriber and Redis live there; no hosted meeting does."""
    assert refusal(ip_address(text)) is None
    assert "public" in (refusal(ip_address(text), public_only=True) or "")


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_for_all(text: str) -> None:
    """Written as IPv4, as IPv6, or as the one in the other."""
    assert refusal(ip_address(text), public_only=True) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"), ("017700000001", "127.0.0.1"), ("0177.0.0.01", "127.0.0.1"), ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"), ("169.254.43518", "169.254.169.254"), ("0", "0.0.0.0"), ("0x", "0.0.0.0"),
        ("127.0.0.1.", "127.0.0.1"), ("[::1]", "::1"), ("fe80::1%eth0", "fe80::1"), ("::ffff:7f00:1", "::ffff:7f00:1"),
    ],
)  # fmt: skip
def test_an_address_is_one_however_it_is_spelled(host: str, address: str) -> None:
    """As the system's own inet_aton reads it."""
    assert literal(host) == ip_address(address)


@pytest.mark.parametrize(
    "host", ["", "redis", "a.b", "1.2.3.4.5", "256.0.0.1", "1.2.3.256", "4294967296", "08.0.0.1", "1..2", "0x1g"]
)
def test_a_name_is_none(host: str) -> None:
    """Nor a number that is too large."""
    assert literal(host) is None
