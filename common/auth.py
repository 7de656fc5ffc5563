"""API keys and origins: whether a request brings the key, and comes from a page that may ask."""

from __future__ import annotations

import hmac
from collections.abc import Container, Iterable

BEARER = "bearer"
"""What a browser offers beside the key, because it cannot set headers: `new WebSocket(url, ["bearer", key])`."""


def is_key(given: str, key: str) -> bool:
    """Whether the key is right, in the same time whatever is wrong with it.

    Args:
        given: From a header: bytes outside ASCII as surrogates or Latin-1.
        key: The right one.
    """
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), key.encode())


def has_key(authorization: str, protocols: str, key: str) -> bool:
    """Whether one of two headers, `Authorization` and `Sec-WebSocket-Protocol`, brings the key."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer" and is_key(given.strip(), key):
        return True
    marker, _, given = protocols.partition(",")
    return marker.strip() == BEARER and is_key(given.strip(), key)


def is_allowed(origins: Iterable[str], allowed: Container[str], host: str, agent: str) -> bool:
    """Whether a request with these headers may be served: `Origin`, `Host` and `User-Agent`.

    Without this check any page that somebody opens could use a transcriber on their own machine or network. Browsers
    always send the page's origin; other clients send none, or, as the library of the stock client does, that of the
    server itself. Of browsers this is not enough: a page's host name may have been pointed to us after it was loaded.
    """
    if "*" in allowed:
        return True
    own = set() if agent.lower().startswith("mozilla/") else {f"http://{host}".lower(), f"https://{host}".lower()}
    return all((page := origin.strip().lower()) in allowed or page in own for origin in origins)
