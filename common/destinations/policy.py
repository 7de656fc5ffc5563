"""Destinations: which addresses and which meeting URLs a bot may be sent to, whoever wrote them.

Operators name transcriber, Redis, callbacks and their own rooms: those are on private networks. Users paste URLs of
meetings on hosted platforms: those lead to the platform's own hosts, at public addresses. Nobody needs link-local
addresses, where clouds hand out the machine's credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

MAX_URL_CHARACTERS = 2_048
"""Of a hosted meeting's URL."""
METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
"""Where clouds answer a machine's questions about itself, outside the link-local networks."""
_NAT64 = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))
_COMPATIBLE = ip_network("::/96")
_HOSTED = re.compile(r"https://((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*)(?::443)?([/?#][!-~]*)?", re.I)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.I)


def refusal(address: Address, *, public_only: bool = False) -> str | None:
    """Why nobody is sent to an address; None: it may be used. An IPv4 address inside an IPv6 one counts as itself.

    Args:
        address: As it would be connected to.
        public_only: Private networks and this machine are refused, too.
    """
    for inner in (address, *_embedded(address)):
        if inner.is_link_local or inner in METADATA:
            return f"{inner} is a link-local address or a cloud's metadata service, which no bot is sent to"
        if inner.is_multicast or (inner.is_reserved and inner.version == 4):  # of IPv6, NAT64 is "reserved", too
            return f"{inner} is no address of one host"
        if public_only and (not inner.is_global or inner.is_private or inner.is_unspecified):
            return f"{inner} is not on the public internet"
    return None


def _embedded(address: Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to through one of the ways from the one to the other."""
    if isinstance(address, IPv4Address):
        return []
    last = IPv4Address(int(address) & 0xFFFFFFFF)
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        found.append(last)
    return [inner for inner in found if inner is not None]


def literal(host: str) -> Address | None:
    """The address that a host is, however it is spelled: 127.1, 0x7f000001, 017700000001, [::1]; None: it is a name."""
    host = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *first, last = [_number(part) for part in parts]
        if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
            return None
    except ValueError:  # 08
        return None
    value = sum(number << 8 * (3 - place) for place, number in enumerate(first))
    return IPv4Address(value + last)


def _number(text: str) -> int:
    """As inet_aton reads it: 0x is hexadecimal, a leading zero octal."""
    if text[:2].lower() == "0x":
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def hosted_host(url: str, hosts: Iterable[str]) -> str | None:
    """The host of a hosted platform's meeting URL; None: it is none of `hosts`, nor below one.

    Only `https://host/…` in ASCII, with no other port: no user, no address, no second URL inside. So whatever reads the
    URL after us finds the same host in it.
    """
    match = _HOSTED.fullmatch(url)
    if match is None or len(url) > MAX_URL_CHARACTERS or re.search(r":/|%3a%2f|[\\@]", match[2] or "", re.I):
        return None
    host = match[1].lower()
    return host if any(host == known or host.endswith(f".{known}") for known in hosts) else None
