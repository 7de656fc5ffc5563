"""LiveKit's egress API: an egress is started, looked at and stopped, over Twirp in JSON.

Not `livekit-api`, whose import costs 24 MB (aiohttp, every protobuf): a token is three claims, and the three calls
are small JSON bodies, which the server's own Twirp takes as it takes protobuf. Names of fields are those of
livekit_egress.proto; what the server leaves out has its default there.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from bot.answers import answer_of, authorities
from bot.platforms.livekit.access import CLOCK_SKEW_S
from common.imports import without
from common.redact import Redactor

with without("cryptography"):  # for signatures that LiveKit does not know
    import jwt

CONNECT_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 15.0
"""Where no worker has room the server says nothing: it asks them again and again, for more than a minute."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Of a list of egresses; more is not read, and is no JSON."""
NO_WORKER = ". No egress worker is running, or none has room"
TOKEN_LIFE_S = 60
MARK = "earshot:"
"""Begins the layout of each egress of ours, which means nothing where there is only sound: by it we know it again."""


class EgressState(StrEnum):
    """As `EgressStatus` of livekit_egress.proto."""

    STARTING = "EGRESS_STARTING"
    ACTIVE = "EGRESS_ACTIVE"
    ENDING = "EGRESS_ENDING"
    COMPLETE = "EGRESS_COMPLETE"
    FAILED = "EGRESS_FAILED"
    ABORTED = "EGRESS_ABORTED"
    LIMIT_REACHED = "EGRESS_LIMIT_REACHED"

    @property
    def is_over(self) -> bool:
        """Nothing comes of it any more."""
        return self not in (EgressState.STARTING, EgressState.ACTIVE)


@dataclass(frozen=True, slots=True)
class Egress:
    """What the server says of one."""

    egress_id: str
    state: EgressState
    error: str = ""
    mark: str = ""
    """The layout it was started with."""


class EgressError(Exception):
    """The server refused a call, or did not answer.

    Args:
        words: For people.
        code: Twirp's (`unauthenticated`, `not_found`, `resource_exhausted`, `unavailable` …); `""`: no answer.
    """

    def __init__(self, words: str, code: str = "") -> None:
        super().__init__(words)
        self.code = code


class EgressApi:
    """The egress service of one server.

    Args:
        url: Of the server, as for rooms: ws:// or wss://, or http(s)://.
        key: Its API key.
        secret: What belongs to it.
    """

    def __init__(self, url: str, key: str, secret: str) -> None:
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        self._base = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/twirp/livekit.Egress/", "", ""))
        self._key, self._secret = key, secret
        self._redact = Redactor((secret,))
        verify = authorities() if scheme == "https" else False
        self._client = httpx.AsyncClient(
            trust_env=False, verify=verify, timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        )

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def start_room_composite(self, room: str, url: str, mark: str, webhooks: Sequence[str] = ()) -> Egress:
        """Asks for the sound of a whole room as one mix, pushed to an rtmp(s):// URL. Raises EgressError.

        Args:
            room: Its name; it must exist.
            url: Where to push.
            mark: To know it again by.
            webhooks: URLs that the server tells of what becomes of it, signed with our key.
        """
        body = {
            "room_name": room,
            "layout": MARK + mark,
            "audio_only": True,
            "stream_outputs": [{"protocol": "RTMP", "urls": [url]}],
            "webhooks": [{"url": hook, "signing_key": self._key} for hook in webhooks],
        }
        return read_egress(await self._call("StartRoomCompositeEgress", body))

    async def active(self, room: str) -> list[Egress]:
        """Those of a room that are not over. Raises EgressError."""
        answer = await self._call("ListEgress", {"room_name": room, "active": True})
        return [read_egress(item) for item in answer.get("items", ())]

    async def look(self, egress_id: str) -> Egress:
        """What has become of one. Raises EgressError."""
        answer = await self._call("ListEgress", {"egress_id": egress_id})
        items = answer.get("items") or ()
        if not items:
            raise EgressError(f"the server knows no egress {egress_id}", "not_found")
        return read_egress(items[0])

    async def stop(self, egress_id: str) -> None:
        """Ends one; one that is over already is none to end. Raises EgressError."""
        try:
            await self._call("StopEgress", {"egress_id": egress_id})
        except EgressError as error:
            if error.code not in ("failed_precondition", "not_found"):
                raise

    async def _call(self, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            given = {"json": body, "headers": headers}
            answer = await answer_of(
                self._client, "POST", self._base + name, seconds=CALL_TIMEOUT_S, most=MAX_ANSWER_BYTES, **given
            )
        except TimeoutError:
            busy = NO_WORKER if name.startswith("Start") else ""
            raise EgressError(f"LiveKit's egress API did not answer {name} within {CALL_TIMEOUT_S:g} s{busy}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            raise EgressError(f"LiveKit's egress API cannot be reached ({name}: {why})") from None
        said = _said(answer)
        if said is None:
            words = f"no LiveKit server answered {name}: {answer.status_code} and something that is not JSON"
            raise EgressError(words, "bad_route")
        if answer.status_code != httpx.codes.OK:
            words = self._redact(str(said.get("msg", "")))[:300]
            raise EgressError(
                f"LiveKit refused {name}: {answer.status_code} {words}{_advice(said)}", str(said.get("code", ""))
            )
        return said

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": self._key,
            "nbf": now - CLOCK_SKEW_S,
            "exp": now + TOKEN_LIFE_S,
            "video": {"roomRecord": True},
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the configuration has already warned about a short secret
            return jwt.encode(claims, self._secret, algorithm="HS256")


def _said(answer: httpx.Response) -> dict[str, Any] | None:
    """The JSON object of an answer; a bad token is refused before Twirp, in plain text."""
    try:
        said = answer.json()
    except ValueError:
        is_text = answer.headers.get("content-type", "").startswith("text/plain")
        is_refusal = answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)
        return {"code": "unauthenticated", "msg": answer.text.strip()} if is_text and is_refusal else None
    return said if isinstance(said, dict) else None


def _advice(said: Mapping[str, Any]) -> str:
    """What to do about a refusal."""
    code, words = said.get("code"), str(said.get("msg", ""))
    if code in ("unauthenticated", "permission_denied"):
        return ". Check `livekit.apiKey` and `livekit.apiSecret`; both clocks"
    if "redis required" in words:
        return ". The server has no Redis, without which it knows no egress"
    if code in ("unavailable", "resource_exhausted") or "no response" in words:
        return NO_WORKER
    return ""


def read_egress(info: Mapping[str, Any]) -> Egress:
    """An `EgressInfo` in JSON: names as in the proto file, or in camelCase; what is not there has its default."""
    composite = _value(info, "room_composite") or {}
    state = info.get("status", EgressState.STARTING)
    if isinstance(state, int):
        state = list(EgressState)[state] if 0 <= state < len(EgressState) else ""
    try:
        known = EgressState(state)
    except ValueError:
        raise EgressError(f"LiveKit told of an egress in a state that nobody here knows: {str(state)[:40]!r}") from None
    words = str(info.get("error") or info.get("details") or "")[:300]
    mark = str(composite.get("layout", "")) if isinstance(composite, Mapping) else ""
    return Egress(str(_value(info, "egress_id") or ""), known, words, mark.removeprefix(MARK) if MARK in mark else "")


def _value(info: Mapping[str, Any], name: str) -> Any:
    first, *rest = name.split("_")
    return info.get(name, info.get(first + "".join(word.capitalize() for word in rest)))
