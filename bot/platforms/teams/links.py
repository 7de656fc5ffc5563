"""Links of Microsoft Teams: meetings by number, and by the thread of their invitation, in all their wrappings."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from bot.platforms.pages.links import Link, digits, passcode, split

HOSTS = (
    "teams.microsoft.com",
    "teams.live.com",
    "teams.cloud.microsoft",
    "gov.teams.microsoft.us",
    "dod.teams.microsoft.us",
)
_THREAD = re.compile(r"19:[A-Za-z0-9_+/=.-]{8,200}@thread\.(?:v2|skype|tacv2)")
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
MAX_WRAPPINGS = 3
"""A link inside the fragment or the query of another."""


def parse(url: str) -> Link | None:
    """`/meet/123?p=…`, `/l/meetup-join/19:…@thread.v2/0?context=…`, also behind `#` or a launcher. None: neither."""
    found = split(url.replace("@", "%40"), HOSTS)  # as browsers show it; in a host there is none then, either
    return (
        None if found is None else _unwrap(found[0], url[url.index("/", 8) :] if "/" in url[8:] else "/", MAX_WRAPPINGS)
    )


def _unwrap(host: str, address: str, wrappings: int) -> Link | None:
    """What a path with query and fragment leads to."""
    if wrappings == 0:
        return None
    try:
        parts = urlsplit(f"https://{host}{address}")
        query = dict(parse_qsl(parts.query, max_num_fields=50))
    except ValueError:
        return None
    path = unquote(unquote(parts.path))
    if match := re.fullmatch(r"/(?:v2/)?meet/([\d\s-]+)/?", path):
        return _numbered(host, match[1], query.get("p"))
    if match := re.fullmatch(rf"/(?:v2/)?(?:_/)?l/meetup-join/({_THREAD.pattern})/(\d{{1,20}})/?", path):
        return _threaded(host, match[1], match[2], query.get("context"))
    for inner in (parts.fragment, query.get("url", "").removeprefix("/_#")):
        if inner.startswith("/") and (link := _unwrap(host, inner, wrappings - 1)):
            return link
    return None


def native(meeting_id: str, code: str | None = None) -> Link | None:
    """The meeting with this number (and passcode), or thread; None: it is neither."""
    if _THREAD.fullmatch(meeting_id):
        return _threaded("teams.microsoft.com", meeting_id, "0", None)
    return _numbered("teams.microsoft.com", meeting_id, code)


def _numbered(host: str, number: str, code: str | None) -> Link | None:
    bare = digits(number, 9, 20)
    if bare is None:
        return None
    code = passcode(code)
    return Link(host, f"/meet/{bare}", bare, (("p", code),) if code else (), passcode=code)


def _threaded(host: str, thread: str, message: str, context: str | None) -> Link:
    """Of the context only tenant and organiser are passed on."""
    query: tuple[tuple[str, str], ...] = ()
    try:
        given = json.loads(context or "{}")
    except (ValueError, RecursionError):
        given = {}
    if isinstance(given, dict):
        known = {key: given[key] for key in ("Tid", "Oid") if _GUID.fullmatch(str(given.get(key, "")))}
        query = (("context", json.dumps(known, separators=(",", ":"))),) if known else ()
    return Link(host, f"/l/meetup-join/{quote(thread, safe='')}/{message}", thread, query)
