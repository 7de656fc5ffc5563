"""The destination of a meeting URL, checked for every platform alike: in the configuration, and before joining."""

from __future__ import annotations

import socket
from dataclasses import replace

from bot.platforms.base import Invitation, Platform
from bot.settings import forbidden
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import Problem, reason, shown


def destination_problem(platform: Platform, url: object) -> Problem | None:
    """What is wrong with where a configuration's `meetingUrl` leads; what is no URL at all, the platform says."""
    if not isinstance(url, str):
        return None
    if platform.hosts and platform.host(url) is None:
        allowed = f"https://… at {' or '.join(platform.hosts)}, and nothing else"
        return Problem("meetingUrl", shown(url), allowed)
    if why := forbidden(url):
        return Problem("meetingUrl", shown(url), f"another host ({why})")
    return None


async def checked(platform: Platform, invitation: Invitation) -> Invitation:
    """The invitation with the addresses of a hosted platform's host, found by one look-up and all of them public.

    Raises:
        EarshotError: ROOM_UNREACHABLE.
    """
    url = platform.address(invitation) if platform.hosts else None
    if url is None:
        return invitation
    from common.destinations.guard import public_addresses

    host = platform.host(url)
    try:
        if host is None:
            raise OSError(f"only {' or '.join(platform.hosts)} is allowed")
        return replace(invitation, addresses=tuple(await public_addresses(host, 443)))
    except socket.gaierror as error:
        why = f"{host}, where `meetingUrl` leads, cannot be looked up: {reason(error)}. Check the name server"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, why) from None
    except OSError as error:
        why = f"`meetingUrl` leads nowhere that is allowed: {reason(error)}"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, why) from None
