"""Links of Jitsi Meet: a room, on a server of one's own or a public one, where it may belong to a tenant."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from bot.platforms.pages.links import Link, split

PUBLIC_HOSTS = ("meet.jit.si", "8x8.vc")
_PAGES = {
    "static",
    "libs",
    "images",
    "sounds",
    "css",
    "fonts",
    "lang",
    "http-bind",
    "xmpp-websocket",
    "colibri-ws",
    "about",
}
"""First parts of a path that are no rooms."""
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
MAX_ROOM_CHARACTERS = 200


def parse(url: str, hosts: tuple[str, ...] = PUBLIC_HOSTS) -> Link | None:
    """`https://host/Room` and `https://host/tenant/Room`; what stands behind `#` is dropped. None: another URL."""
    found = split(url, hosts)
    if found is None:
        return None
    host, parts, query = found
    segments = [segment for segment in parts.path.split("/") if segment]
    if not 1 <= len(segments) <= 2 or segments[0] in _PAGES or not all(map(_is_name, segments)):
        return None
    jwt = query.get("jwt", "")
    token = (("jwt", jwt),) if _JWT.fullmatch(jwt) and len(jwt) <= 4_096 else ()
    names = [unquote(segment) for segment in segments]
    return Link(host, "/" + "/".join(quote(name, safe="") for name in names), "/".join(names), token)


def native(meeting_id: str, host: str) -> Link | None:
    """The room `Room` or `tenant/Room` of a host; None: it is none."""
    return parse(f"https://{host}/{quote(meeting_id, safe='/')}", (host,))


def _is_name(segment: str) -> bool:
    name = unquote(segment)
    is_text = 0 < len(name) <= MAX_ROOM_CHARACTERS and name.isprintable() and not set(name) & set("/?#:\\<>")
    return is_text and not re.search(r"^\.+$|\.(js|json|html|txt|ico|png|map)$", name, re.IGNORECASE)
