"""Plain RTP: streams that are forwarded to UDP ports. Guide: docs/rtp.md; example: configs/rtp.example.jsonc."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.codecs.sdp import SdpError, parse_sdp
from bot.platforms.base import Invitation, Listener, Platform
from bot.platforms.orders import Orders
from bot.platforms.rtp.plan import description_of, listening_address
from bot.platforms.rtp.settings import RtpSettings
from bot.settings import is_url
from common.contracts.status import SubCode
from common.problems import Problem, shown


class Rtp(Platform):
    """The platform `rtp`: `meetingUrl` is where the bot listens, `rtp` says what comes and whose it is."""

    settings_model = RtpSettings

    def claims(self, url: str) -> bool:
        """`rtp://address` or `rtp://address:port`."""
        return url.startswith("rtp://")

    def problems(self, given: Mapping[str, Any]) -> list[Problem]:
        """Where to listen must be said, and a session description be one of plain RTP."""
        found = []
        url = given.get("meetingUrl")
        if not is_url(url, "rtp"):
            allowed = "for rtp: where to listen, rtp://address:port or rtp://address, for example rtp://0.0.0.0:5004"
            found.append(Problem("meetingUrl", "(missing)" if url is None else shown(url), allowed))
        own = given.get("rtp")
        found += _shared_ports(url, own)
        for key in ("sdp", "sdpFile"):
            written = own.get(key) if isinstance(own, Mapping) else None
            if isinstance(written, str):
                try:
                    parse_sdp(description_of(*((written, None) if key == "sdp" else (None, written))) or "")
                except SdpError as error:
                    found.append(Problem(f"rtp.{key}", shown(written), f"a session description of plain RTP: {error}"))
        return found

    def prepare(self) -> None:
        """See `bot.platforms.base.Platform`: numpy."""
        import bot.platforms.rtp.attendance  # noqa: F401

    async def attend(self, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
        """See `bot.platforms.base.Platform`."""
        from bot.platforms.rtp.attendance import attend

        return await attend(invitation, listener, orders)


def _shared_ports(url: object, own: object) -> list[Problem]:
    """Streams that name no port, and others that name that of `meetingUrl`: packets would go to the first alone."""
    streams = own.get("streams") if isinstance(own, Mapping) and not {"sdp", "sdpFile"} & own.keys() else None
    if not isinstance(streams, list) or not isinstance(url, str) or not is_url(url, "rtp"):
        return []
    port = listening_address(url)[1]
    there = [each for each in streams if isinstance(each, Mapping) and each.get("port", port) in (port, None)]
    named = [each for each in there if each.get("port") is not None]
    ssrcs = [each.get("ssrc") for each in there]
    if not port or not named or len(named) == len(there) or (None not in ssrcs and len(set(ssrcs)) == len(ssrcs)):
        return []
    words = f"streams of one port with an ssrc of its own each (port {port}, that of meetingUrl, has {len(there)})"
    return [Problem("rtp.streams", f"{len(streams)} streams", words)]
