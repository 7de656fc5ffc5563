"""Rules of single fields that need more than a type: each raises what pydantic turns into an error of that field."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from bot.platforms import PLATFORMS
from bot.settings import forbidden, is_url

REDIS_URL_FORM = "redis://[:password@]host:port[/db], rediss://… or unix:///path"


def check_platform_name(name: str) -> str:
    """The name, if it is built. Raises PydanticCustomError naming those that are."""
    if name not in PLATFORMS:
        raise PydanticCustomError("platform", "{text}", {"text": f"one of {', '.join(sorted(PLATFORMS))}"})
    return name


def check_transcriber_url(url: str) -> str:
    """The URL, if it is one of a websocket server. Raises PydanticCustomError."""
    if not is_url(url, "ws", "wss"):
        raise PydanticCustomError(
            "transcriber_url", "ws://host:port or wss://host:port, for example ws://transcriber:9090"
        )
    return _allowed(url)


def check_callback_url(url: str) -> str:
    """The URL, if a manager can be told something there. Raises PydanticCustomError."""
    if not is_url(url, "http", "https"):
        raise PydanticCustomError("callback_url", "http://host:port/path or https://host/path")
    return _allowed(url)


def check_process_url(url: str | None) -> str | None:
    """The URL, if chunks of audio can be posted there. Raises PydanticCustomError."""
    if url is None:
        return None
    if not is_url(url, "http", "https"):
        raise PydanticCustomError(
            "process_url", "http://host:port/process, for example http://transcriber:9091/process"
        )
    return _allowed(url)


def _allowed(url: str) -> str:
    if why := forbidden(url):
        raise PydanticCustomError("destination", "{text}", {"text": f"another host ({why})"})
    return url


def check_redis_url(url: SecretStr) -> SecretStr:
    """The URL, if redis-py can use it. Raises PydanticCustomError."""
    if not is_redis_url(url.get_secret_value()):
        raise PydanticCustomError("redis_url", REDIS_URL_FORM)
    _allowed(url.get_secret_value())
    return url


def check_header_value(secret: SecretStr | None) -> SecretStr | None:
    """The secret, if it fits into an HTTP header. Raises PydanticCustomError."""
    if secret is not None and not re.fullmatch(r"[!-~]+", secret.get_secret_value()):
        raise PydanticCustomError("header_value", "visible ASCII characters without spaces, at least one")
    return secret


def is_redis_url(url: str) -> bool:
    """Whether redis-py can use it."""
    if url.startswith("unix:///"):
        return True
    # Of a path redis-py takes whatever digits it has for the database, and without any the first one.
    return is_url(url, "redis", "rediss") and re.fullmatch(r"/?|/[0-9]{1,6}/?", urlsplit(url).path) is not None
