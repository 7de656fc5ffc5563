"""Links of Zoom: meetings and webinars by number, personal links by name; all lead to the web client."""

from __future__ import annotations

import re

from bot.platforms.pages.links import Link, digits, passcode, split

HOSTS = ("zoom.us", "zoom.com", "zoomgov.com")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{3,63}")
_KINDS = {"j", "s", "w", "wc"}
"""Of a path: joined, started, webinar, web client."""


def parse(url: str) -> Link | None:
    """`/j/123?pwd=…`, `/s/…`, `/w/…`, `/wc/123/join`, `/wc/join/123`, `/launch/jc/123`, `/my/name`, on any host below.

    Also what the application is started with, `zoommtg://…/join?confno=123&pwd=…`. None: another URL.
    """
    if re.match(r"zoom(mtg|us)://", url, re.IGNORECASE):
        url = "https://" + url.partition("://")[2]
    found = split(url, HOSTS)
    if found is None:
        return None
    host, parts, query = found
    pwd = passcode(query.get("pwd"))
    match [segment for segment in parts.path.split("/") if segment]:
        case ["my", name] if _NAME.fullmatch(name):
            return Link(host, f"/my/{name}", name, (("pwd", pwd),) if pwd else ())
        case ["join"]:
            number = query.get("confno", "")
        case ["wc", "join" | "start", number, *_] | ["launch", "jc" | "edl", number, *_]:
            pass
        case [kind, number, *_] if kind in _KINDS:
            pass
        case _:
            return None
    return _link(host, number, pwd)


def native(meeting_id: str) -> Link | None:
    """The meeting with this number, grouped or not; None: it is none."""
    return _link("zoom.us", meeting_id, None)


def _link(host: str, number: str, pwd: str | None) -> Link | None:
    """The page of the web client; a `pwd` opens it, a passcode is typed."""
    bare = digits(number, 9, 12)
    if bare is None:
        return None
    client = "app.zoomgov.com" if host.endswith("zoomgov.com") else "app.zoom.us"
    return Link(client, f"/wc/{bare}/join", bare, (("pwd", pwd),) if pwd else ())
