"""Connections to Redis with our own timeouts and no retries by the client, and its errors in words for people.

A client that retries by itself stores a segment twice when a reply is lost, and without our own timeout a frozen
server holds a command for a minute. Retrying belongs to the outbox, which knows what may be sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import redis.exceptions as errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

SOCKET_TIMEOUT_S = 1.0
"""Seconds for a connection, and for a reply. "Timed out" never means "not stored"."""
MIN_BACKOFF_S, MAX_BACKOFF_S = 0.1, 2.0
"""Seconds; doubling between tries, with full jitter."""

FAILURES = (errors.RedisError, OSError)
"""Whatever can go wrong with a command; all of it is worth another try while a meeting runs."""

REFUSALS = (
    errors.AuthenticationError,
    errors.AuthenticationWrongNumberOfArgsError,
    errors.AuthorizationError,
    errors.NoPermissionError,
    errors.InvalidResponse,
    errors.ResponseError,
)
"""What does not get better by trying again."""


def connect(url: str) -> Redis:
    """A client for `url` (pool of connections, opened when used). Replies are text."""
    client: Redis = Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return client


def backoff(tries: int, random: Callable[[], float]) -> float:
    """Seconds to wait after `tries` failures in a row; `random` gives numbers in [0, 1)."""
    return random() * min(MAX_BACKOFF_S, MIN_BACKOFF_S * 2.0 ** min(tries, 16))


def refused(error: Exception) -> bool:
    """Whether Redis answered and said no for good, so that waiting is pointless."""
    return isinstance(error, REFUSALS) and not isinstance(error, errors.ReadOnlyError | errors.BusyLoadingError)


def address(url: str) -> str:
    """`host:port` or the socket's path, without credentials."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def explain(error: Exception) -> str:
    """What went wrong, for people; server messages carry no credentials."""
    text = str(error).strip().rstrip(".") or type(error).__name__
    match error:
        case errors.AuthenticationError() if "required" in text:
            return "it wants a password; write it as redis://:password@host:port"
        case errors.AuthenticationError() | errors.AuthenticationWrongNumberOfArgsError():
            return f"it refused our user or password ({text}); write them as redis://user:password@host:port"
        case errors.NoPermissionError():
            return f"our user may not run what the bot needs ({text})"
        case errors.BusyLoadingError():
            return "it is still loading its data"
        case errors.ReadOnlyError():
            return "it is a read-only replica; use the primary"
        case errors.InvalidResponse():
            return "something answered that does not speak the Redis protocol"
        case errors.TimeoutError() | TimeoutError():
            return f"no answer within {SOCKET_TIMEOUT_S:g} s"
    return text
