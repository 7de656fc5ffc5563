"""Joining and leaving a LiveKit room through its SDK: within their time, and never half."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from livekit import rtc

from bot.platforms.livekit.access import ask_server
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.redact import Redactor, redact_url

CONNECT_TIMEOUT_S = 11.0
"""With the 8 s of `ask_server`: an answer within 20 s."""
LANDING_TIMEOUT_S = 1.0
HANG_UP_TIMEOUT_S = 0.8
"""Both together stay below the 2 s in which a platform has to leave."""


class _SdkLog(logging.Filter):
    """The SDK logs the server's refusals, which quote the token, and at each leaving a warning that means nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._redact = Redactor()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redact(record.getMessage()), ()
        return "Attempted to drop unknown FFI handle" not in record.msg


logging.getLogger("livekit").addFilter(_SdkLog())


async def before(leave: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether the work was finished before `leave` was set; if not, it is cancelled."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(leave.wait())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
        return not leave.is_set()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def join(room: rtc.Room, url: str, token: str, key: str | None) -> None:
    """Enters a room, subscribed to nothing yet. Raises EarshotError.

    Args:
        room: A new one.
        url: Of the server.
        token: Opens the room.
        key: Decrypts what is end-to-end encrypted; None: there is none.
    """
    await ask_server(url, token)
    options = rtc.RoomOptions(auto_subscribe=False, connect_timeout=CONNECT_TIMEOUT_S / 2)
    if key is not None:
        options.encryption = rtc.E2EEOptions(rtc.KeyProviderOptions(shared_key=key.encode()))
    dialling = asyncio.create_task(room.connect(url, token, options))
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.shield(dialling)
    except TimeoutError:
        detail = f"{redact_url(url)} answered, but no media connection came up: check its UDP and TCP media ports"
        raise EarshotError(SubCode.JOIN_TIMEOUT, detail) from None
    except rtc.ConnectError as error:
        words = Redactor((token,))(error.message)
        raise EarshotError(SubCode.JOIN_REFUSED, f"joining the room at {redact_url(url)} failed: {words}") from None
    finally:
        # Given up in mid-air the SDK would go on alone and enter the room, and nobody could make it leave.
        if not dialling.done():
            await asyncio.wait([dialling], timeout=LANDING_TIMEOUT_S)
            dialling.cancel()
            await asyncio.gather(dialling, return_exceptions=True)


async def hang_up(room: rtc.Room) -> None:
    """Leaves the room; a server that does not answer is not waited for."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(room.disconnect(), HANG_UP_TIMEOUT_S)
