"""The receiver of LiveKit's webhooks, on a real socket: what is believed, refused, or no request at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from bot.platforms.livekit import webhooks as module
from bot.platforms.livekit.webhooks import CONTENT_TYPE, EgressEvent, Webhooks, receiving
from tests.unit.bot.platforms.livekit.test_webhooks import KEY, SECRET, _event, _signed


async def test_requests() -> None:
    """A signed one is taken once; unsigned, changed, of another kind or too large it is answered, and no more."""
    taken: list[EgressEvent] = []
    async with receiving("127.0.0.1", 0, Webhooks(KEY, SECRET), taken.append) as port:  # noqa: SIM117
        async with httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
            body = _event()
            headers = {"Content-Type": CONTENT_TYPE, "Authorization": _signed(body)}
            for content, given, status in [
                (body, headers, 200),
                (body, headers, 200),  # told again, as the server does without an answer
                (_event(id="EV_2"), headers, 401),
                (body, {"Content-Type": CONTENT_TYPE}, 401),
                (body, headers | {"Content-Type": "application/json"}, 401),
                (b"x" * (module.MAX_BODY_BYTES + 1), headers, 413),
            ]:
                assert (await client.post("/", content=content, headers=given)).status_code == status
            assert (await client.get("/")).status_code == 405
            chunks = await client.post("/", content=_chunks(), headers=headers)
            assert chunks.status_code == 411
    assert [(event.event, event.egress.egress_id) for event in taken] == [("egress_ended", "EG_1")]


async def _chunks() -> AsyncIterator[bytes]:
    yield b"{}"


@pytest.mark.parametrize(
    "request_", [b"", b"\0" * 100, b"POST / HTTP/1.1\r\n", b"x" * 40_000, b"GET / HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_request(request_: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not ask in time, or at all, is hung up on; the next one is answered."""
    monkeypatch.setattr(module, "REQUEST_TIMEOUT_S", 0.2)
    async with receiving("127.0.0.1", 0, Webhooks(KEY, SECRET), lambda event: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 405") or not answer
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).status_code == 405


async def test_nobody_who_has_not_asked_yet_is_left_behind() -> None:
    """With the end of the block a connection that is open is closed, and its task has ended (the runner of the tests
    fails one that leaves a task)."""
    async with receiving("127.0.0.1", 0, Webhooks(KEY, SECRET), lambda event: None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\n")
        await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        assert await reader.read() == b""
    writer.close()
