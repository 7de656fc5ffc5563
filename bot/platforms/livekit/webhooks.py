"""LiveKit's webhooks: what the server tells of an egress, believed only as far as it is signed, and only once.

The server signs as `livekit/protocol/webhook` does: `Authorization` holds a JWT (HS256, issuer: the API key, valid for
five minutes) whose claim `sha256` is the base64 of the body's SHA-256; `Content-Type` is `application/webhook+json`.
It tells again what was not answered in time, under the same id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from bot.platforms.livekit.egress import Egress, EgressError, read_egress
from common.imports import without

with without("cryptography"):  # for signatures that LiveKit does not know
    import jwt

CONTENT_TYPE = "application/webhook+json"
LEEWAY_S = 60
"""By which clocks may differ, as LiveKit's own receiver allows."""
KEPT_IDS = 1000
"""Events that are known again; the oldest goes. They are valid for minutes, and a room has a few."""
MAX_HEAD_BYTES, MAX_BODY_BYTES = 16_384, 262_144
"""A larger request is refused."""
REQUEST_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 32
"""At once; another is refused."""

log = structlog.get_logger(__name__)


class WebhookRefused(Exception):
    """Not from our server, or not for the first time. The words say why, and quote nothing."""


@dataclass(frozen=True, slots=True)
class EgressEvent:
    """What the server told of an egress."""

    event: str
    """`egress_started`, `egress_updated` or `egress_ended`."""
    egress: Egress


class Webhooks:
    """Reads what one server tells.

    Args:
        key: Its API key, which it signs with.
        secret: What belongs to it.
    """

    def __init__(self, key: str, secret: str) -> None:
        self._key, self._secret = key, secret
        self._seen: OrderedDict[str, None] = OrderedDict()

    def read(self, content_type: str, authorization: str, body: bytes) -> EgressEvent | None:
        """An egress event; None: another one, or one that was told before.

        Raises:
            WebhookRefused: It is not signed, or not what was signed, or too old.
        """
        if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise WebhookRefused(f"it is not {CONTENT_TYPE}")
        claims = self._claims(authorization.removeprefix("Bearer ").strip())
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if not hmac.compare_digest(str(claims.get("sha256", "")).encode(), digest.encode()):
            raise WebhookRefused("its body is not what was signed")
        try:
            said = json.loads(body)
        except ValueError:
            raise WebhookRefused("it is not JSON") from None
        if not isinstance(said, dict) or not isinstance(said.get("id"), str):
            raise WebhookRefused("it is no event of LiveKit's")
        return None if self._is_known(said["id"]) else _egress_event(said)

    def _claims(self, token: str) -> dict[str, Any]:
        if not token:
            raise WebhookRefused("it is not signed")
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._secret, ["HS256"], issuer=self._key, leeway=LEEWAY_S, options={"require": ["exp", "iss"]}
            )
        except jwt.ExpiredSignatureError:
            raise WebhookRefused("its signature has expired: it is an old one, sent again") from None
        except jwt.InvalidTokenError as error:
            raise WebhookRefused(f"its signature is not our server's ({type(error).__name__})") from None
        return claims

    def _is_known(self, event_id: str) -> bool:
        if event_id in self._seen:
            return True
        self._seen[event_id] = None
        while len(self._seen) > KEPT_IDS:
            self._seen.popitem(last=False)
        return False


def _egress_event(said: dict[str, Any]) -> EgressEvent | None:
    name, info = said.get("event"), said.get("egressInfo", said.get("egress_info"))
    if not isinstance(name, str) or not name.startswith("egress_") or not isinstance(info, dict):
        return None
    try:
        return EgressEvent(name, read_egress(info))
    except EgressError as error:
        raise WebhookRefused(str(error)) from None


@asynccontextmanager
async def receiving(
    host: str, port: int, webhooks: Webhooks, take: Callable[[EgressEvent], None]
) -> AsyncIterator[int]:
    """Takes webhooks at `http://host:port/` until the block ends; gives the port. Raises OSError: it is taken.

    One request a connection: who answers with nothing but a yes or no needs no framework.
    """
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                status = await _answer(reader, webhooks, take)
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                await writer.drain()
        except (OSError, TimeoutError, ValueError, EOFError):
            pass  # who does not finish asking is owed no answer
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(serving) >= MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, host, port, limit=MAX_HEAD_BYTES)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _answer(reader: asyncio.StreamReader, webhooks: Webhooks, take: Callable[[EgressEvent], None]) -> str:
    request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if not request.startswith("POST "):
        return "405 Method Not Allowed"
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return "411 Length Required"
    if int(length) > MAX_BODY_BYTES:
        return "413 Content Too Large"
    body = await reader.readexactly(int(length))
    try:
        event = webhooks.read(headers.get("content-type", ""), headers.get("authorization", ""), body)
    except WebhookRefused as refusal:
        log.warning("livekit_webhook_refused", why=str(refusal))
        return "401 Unauthorized"
    if event is not None:
        take(event)
    return "200 OK"
