"""Links to meetings: what of a URL, or of a platform's own id, leads to which page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from common.destinations.policy import hosted_host

MAX_PASSCODE_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Link:
    """One meeting on one host.

    Args:
        host: Where its page is.
        path: Of the page, as it is asked for.
        meeting_id: The platform's own id.
        query: Of the page; secrets may be in it.
        fragment: Of the page.
        passcode: To be typed, where the link has it.
    """

    host: str
    path: str
    meeting_id: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fragment: str = field(default="", repr=False)
    passcode: str | None = field(default=None, repr=False)

    def url(self, origin: str | None = None, **query: str) -> str:
        """The page's URL, at its host or at another origin, with more in its query."""
        asked = urlencode([*self.query, *query.items()])
        tail = (f"?{asked}" if asked else "") + (f"#{self.fragment}" if self.fragment else "")
        return f"{(origin or f'https://{self.host}').rstrip('/')}{self.path}{tail}"


def split(url: str, hosts: tuple[str, ...]) -> tuple[str, SplitResult, dict[str, str]] | None:
    """Host, parts and query of a URL of one of the hosts (see `hosted_host`); None: it is none."""
    host = hosted_host(url, hosts)
    if host is None:
        return None
    parts = urlsplit(url)
    return host, parts, dict(parse_qsl(parts.query, max_num_fields=100)) if parts.query.count("&") < 100 else {}


def digits(text: str, least: int, most: int) -> str | None:
    """An id of so many digits, however it is grouped; None: it is none."""
    bare = re.sub(r"[\s-]", "", text)
    return bare if bare.isascii() and bare.isdigit() and least <= len(bare) <= most else None


def passcode(text: str | None) -> str | None:
    """A passcode of a link, if it is one."""
    return text if text and len(text) <= MAX_PASSCODE_CHARACTERS and text.isprintable() else None
