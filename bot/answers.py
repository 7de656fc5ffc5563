"""Answers of HTTP servers: whom to believe that it is one, and its answer within a time and a size.

By itself httpx reads whatever comes, for as long as it comes.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # httpx: only where somebody is asked
    import httpx

_OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")


@cache
def authorities() -> ssl.SSLContext:
    """Who may vouch for a server: those of the system, or of `SSL_CERT_FILE`. Read once: it takes 25 ms, and whoever
    makes a client holds up the event loop for as long."""
    return ssl.create_default_context()


async def answer_of(
    client: httpx.AsyncClient, method: str, url: str, *, seconds: float, most: int, **given: Any
) -> httpx.Response:
    """Sends a request and returns the answer, of whose body no more than its beginning is read.

    Args:
        client: To be asked with; redirects are for whoever asks to follow.
        method: Of HTTP.
        url: Of what is asked for.
        seconds: From the first byte sent to the last one read.
        most: Bytes of the body that are read; whoever must know that there was more asks for one more.
        given: As `httpx.AsyncClient.stream` takes it; `headers` as a dictionary.

    Raises:
        TimeoutError: Not within `seconds`.
        httpx.HTTPError, httpx.InvalidURL: As httpx says it.
    """
    import httpx

    headers = {"Accept-Encoding": "identity", **given.pop("headers", {})}
    body = b""
    async with asyncio.timeout(seconds), client.stream(method, url, headers=headers, **given) as answer:
        is_packed = "content-encoding" in answer.headers  # although nobody asked for it: it may unpack to anything
        async for piece in answer.aiter_raw() if is_packed else answer.aiter_bytes():
            body += piece
            if len(body) >= most:
                break
    kept = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in _OF_THE_BODY]
    return httpx.Response(answer.status_code, headers=kept, content=body[:most])
