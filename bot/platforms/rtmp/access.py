"""Access to streams of the server in docker/: keys that say what may be done with which stream, and until when.

nginx checks them by itself (`secure_link`), so that they are its: MD5 of what is allowed and a secret, in base64url. A
key to play is none to publish.
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, quote, unquote, urlsplit

KEY_LIFE_S = 60
"""Of a key to play: it is checked when we connect, and never again."""


def key(call: str, app: str, stream: str, expires: int, secret: str) -> str:
    """The key for `call` (`publish` or `play`) of `/app/stream` until `expires`, seconds since 1970."""
    allowed = f"{call}/{app}/{stream} {expires} {secret}"
    digest = hashlib.md5(allowed.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def with_key(url: str, call: str, expires: int, secret: str) -> str:
    """The URL of a stream with a key for `call` in its query; one that has a key stays as it is."""
    parts = urlsplit(url)
    if "k" in parse_qs(parts.query):
        return url
    app, _, stream = unquote(parts.path).lstrip("/").rpartition("/")
    added = f"e={expires}&k={key(call, app, stream, expires, secret)}"
    return (
        f"{parts.scheme}://{parts.netloc}{quote(unquote(parts.path))}?{f'{parts.query}&' if parts.query else ''}{added}"
    )
