"""Checks of the network: names that resolve, ports that answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from bot.doctor.findings import Finding, Verdict
from common.contracts.status import SubCode
from common.problems import reason

LOOKUP_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443, "redis": 6379, "rediss": 6379} | {
    "rtmp": 1935,
    "rtmps": 443,
}
ENCRYPTED = ("wss", "https", "rediss", "rtmps")
NETWORK_REMEDY = "check the name, and that the bot's container is on the same Docker network: on the default bridge "
NETWORK_REMEDY += "service names do not resolve"
NAME_SERVER_REMEDY = "check the name, the name server of this machine or container, and the way out of its network"


async def names(settings: Sequence[tuple[str, str, SubCode]]) -> list[Finding]:
    """Looks up the host of each URL: (setting, URL, how a bot ends without it); URLs without a host are left out."""
    hosts: dict[str, tuple[str, SubCode]] = {}
    for setting, url, code in settings:
        if host := urlsplit(url).hostname:
            hosts.setdefault(host, (setting, code))
    return list(await asyncio.gather(*(_name(host, setting, code) for host, (setting, code) in hosts.items())))


async def _name(host: str, setting: str, code: SubCode) -> Finding:
    subject = f"name {host}"
    loop, began = asyncio.get_running_loop(), time.monotonic()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        why = f"{setting}: no answer of the name server within {LOOKUP_TIMEOUT_S:g} s"
        return Finding(subject, Verdict.FAILS, why, NAME_SERVER_REMEDY, code)
    except (OSError, UnicodeError) as error:
        remedy = NAME_SERVER_REMEDY if "." in host else NETWORK_REMEDY  # a service's name has no dots
        return Finding(subject, Verdict.FAILS, f"{setting}: {reason(error)}", remedy, code)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    took = (time.monotonic() - began) * 1000
    return Finding(subject, Verdict.WORKS, f"{', '.join(addresses[:3])} ({took:.0f} ms)")


async def reach(subject: str, url: str, code: SubCode, remedy: str) -> Finding:
    """Opens a connection to the host and port of a URL, with TLS where its scheme says so, and closes it again."""
    scheme = urlsplit(url).scheme.rpartition("+")[2]
    host, port = urlsplit(url).hostname, urlsplit(url).port or DEFAULT_PORTS.get(scheme)
    if host is None or port is None:
        return Finding(subject, Verdict.SKIPPED, "its URL names no host to reach")
    tls = ssl.create_default_context() if scheme in ENCRYPTED else None
    began = time.monotonic()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port, ssl=tls)
    except TimeoutError:
        why = f"no answer within {CONNECT_TIMEOUT_S:g} s: a firewall, or another network"
        return Finding(subject, Verdict.FAILS, f"{host}:{port}: {why}", remedy, code)
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted ({error.verify_message})"
        more = "SSL_CERT_FILE may name a private authority's"
        return Finding(subject, Verdict.FAILS, f"{host}:{port}: {why}", more, code)
    except (OSError, UnicodeError) as error:
        why = reason(error) or "the connection was closed"
        return Finding(subject, Verdict.FAILS, f"{host}:{port}: {why}", remedy, code)
    writer.close()
    took = (time.monotonic() - began) * 1000
    return Finding(subject, Verdict.WORKS, f"{host}:{port} takes connections ({took:.0f} ms)")
