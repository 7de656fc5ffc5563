"""Links of Google Meet: codes of three, four and three letters, and names that its organisation looks up."""

from __future__ import annotations

import re

from bot.platforms.pages.links import Link, split

HOST = "meet.google.com"
_CODE = re.compile(r"([a-z]{3})-?([a-z]{4})-?([a-z]{3})", re.IGNORECASE)
_LOOKUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}")


def parse(url: str) -> Link | None:
    """`https://meet.google.com/abc-defg-hij` and `…/lookup/name`, whatever query follows; None: another URL."""
    found = split(url, (HOST,))
    if found is None or found[0] != HOST:
        return None
    segments = [segment for segment in found[1].path.split("/") if segment]
    match segments:
        case ["lookup", name] if _LOOKUP.fullmatch(name):
            return Link(HOST, f"/lookup/{name}", name)
        case [code] | ["_meet", code]:
            return native(code)
    return None


def native(meeting_id: str) -> Link | None:
    """The meeting with this code, with or without its dashes; None: it is none."""
    match = _CODE.fullmatch(meeting_id.strip())
    if match is None:
        return None
    code = "-".join(match.groups()).lower()
    return Link(HOST, f"/{code}", code)
