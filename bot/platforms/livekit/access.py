"""Access to a LiveKit room: tokens minted or checked, and a server that is asked before it is dialled."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from bot.answers import answer_of, authorities
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.imports import without
from common.redact import Redactor, redact_url

with without("cryptography"):  # for signatures that LiveKit does not know: 9 MB
    import jwt

if TYPE_CHECKING:
    from bot.platforms.base import Invitation
    from bot.platforms.livekit.settings import LiveKitSettings

TOKEN_LIFE_S = 6 * 3600
"""Long enough to join; while connected the server renews the token by itself."""
CLOCK_SKEW_S = 60
"""Hosts' clocks may differ by so much."""
PROBE_TIMEOUT_S = 8.0
MAX_ANSWER_BYTES = 4 * 1024
"""That are read of what the server says."""


def room_token(invitation: Invitation, now: float | None = None) -> str:
    """The JWT to enter with: the given one, checked as far as that is possible here, else one minted from `livekit`.

    Args:
        invitation: `token`, or `livekit` with key, secret and room.
        now: Seconds since the epoch; default: the wall clock.

    Raises:
        EarshotError: TOKEN_REFUSED or TOKEN_EXPIRED, saying why, without the token.
    """
    now = time.time() if now is None else now
    settings: LiveKitSettings | None = invitation.settings
    if invitation.token is not None:
        token = invitation.token
        _check(token, settings.room if settings else None, now)
        return token
    if settings is None or settings.room is None or settings.api_key is None or settings.api_secret is None:
        raise EarshotError(SubCode.TOKEN_REFUSED, "LiveKit needs `token`, or `livekit` with room, apiKey and apiSecret")
    claims = _claims(settings, settings.identity or invitation.connection_id, invitation.bot_name, now)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the configuration has already warned about a short secret
        return jwt.encode(claims, settings.api_secret.get_secret_value(), algorithm="HS256")


def room_name(token: str) -> str:
    """The room that a token, which `room_token` has checked, opens."""
    return str(jwt.decode(token, options={"verify_signature": False})["video"]["room"])


def _claims(settings: LiveKitSettings, identity: str, name: str, now: float) -> dict[str, Any]:
    """A token for one room: hidden, hears everything, says nothing, opens the door for `TOKEN_LIFE_S`."""
    return {
        "iss": settings.api_key,
        "sub": identity,
        "name": settings.name or name,
        "nbf": int(now) - CLOCK_SKEW_S,
        "exp": int(now) + TOKEN_LIFE_S - CLOCK_SKEW_S,
        "video": {
            "room": settings.room,
            "roomJoin": True,
            "canSubscribe": True,
            "canPublish": False,
            "canPublishData": False,
            "canUpdateOwnMetadata": False,
            "hidden": True,
        },
    }


def _check(token: str, room: str | None, now: float) -> None:
    """Refuses what no server would take. The signature is the server's to check: we have no key."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        raise EarshotError(SubCode.TOKEN_REFUSED, "`token` is not a JWT: a LiveKit room token was expected") from None
    grants = claims.get("video")
    if not isinstance(grants, dict) or not grants.get("roomJoin") or not grants.get("room"):
        raise EarshotError(SubCode.TOKEN_REFUSED, "`token` opens no room: it needs video.roomJoin and video.room")
    if grants.get("canSubscribe") is False:
        raise EarshotError(SubCode.TOKEN_REFUSED, "`token` forbids listening: video.canSubscribe is false")
    if room is not None and grants["room"] != room:
        raise EarshotError(
            SubCode.TOKEN_REFUSED, f"`token` is for the room {grants['room']!r}, but `livekit.room` is {room!r}"
        )
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires + CLOCK_SKEW_S < now:
        ago = int(now - expires)
        raise EarshotError(SubCode.TOKEN_EXPIRED, f"`token` expired {ago} s ago: mint a new one; check the clock")


async def ask_server(url: str, token: str) -> None:
    """Asks the server whether it would let this token in: structured answers, which the SDK's own errors are not.

    The connection is direct: no proxy of the environment is used.

    Raises:
        EarshotError: ROOM_UNREACHABLE within `PROBE_TIMEOUT_S`, TOKEN_REFUSED or JOIN_REFUSED.
    """
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    door = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/rtc/validate", "", ""))
    verify = authorities() if scheme == "https" else False
    try:
        async with httpx.AsyncClient(trust_env=False, verify=verify, timeout=None) as client:
            given = {"headers": {"Authorization": f"Bearer {token}"}}
            answer = await answer_of(client, "GET", door, seconds=PROBE_TIMEOUT_S, most=MAX_ANSWER_BYTES, **given)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise EarshotError(
            SubCode.ROOM_UNREACHABLE,
            f"no LiveKit server answered at {redact_url(url)} ({error or f'nothing within {PROBE_TIMEOUT_S:.0f} s'}):"
            " check `meetingUrl` and the network",
        ) from None
    if answer.headers.get("content-type", "").startswith("text/html"):
        raise EarshotError(
            SubCode.ROOM_UNREACHABLE,
            f"the server at {redact_url(url)} answered {answer.status_code} and a web page: it, or a proxy in front of "
            "it, is no LiveKit server. Check `meetingUrl`",
        )
    if answer.status_code != httpx.codes.OK:
        raise _refusal(url, answer.status_code, Redactor((token,))(answer.text.strip()[:300]))


def _refusal(url: str, status: int, words: str) -> EarshotError:
    where = f"the server at {redact_url(url)} answered {status}: {words or '(nothing)'}"
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        if "expired" in words:
            return EarshotError(SubCode.TOKEN_EXPIRED, f"{where}. Mint a new token; check both clocks")
        return EarshotError(SubCode.TOKEN_REFUSED, f"{where}. Check key, secret and grants of the token")
    if status == httpx.codes.NOT_FOUND:
        return EarshotError(SubCode.JOIN_REFUSED, f"{where}. No such room there, or `meetingUrl` is no LiveKit server")
    return EarshotError(SubCode.JOIN_REFUSED, where)
