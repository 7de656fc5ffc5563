"""SIGTERM while recordings are under way, with the real process."""

from __future__ import annotations

import asyncio
import signal
import time

import httpx
import numpy as np
import pytest

from tests.integration.transcriber.test_process import ready, transcriber
from tests.support.audio.recordings import clips, encode
from tests.support.measures import in_time

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow]
PATH = "/v1/audio/transcriptions"


async def test_a_recording_under_way_is_answered_and_half_an_upload_does_not_hold_the_process() -> None:
    """Exit 0 within seven seconds; the key is asked for."""
    text, samples = clips()[0]
    data = encode("ogg", np.tile(np.concatenate((samples, np.zeros(16_000, np.int16))), 12))
    async with transcriber("--port", "0", "--http-port", "0", "--api-key", "k") as process:
        _, port = await ready(process)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
            form = {"files": {"file": data}, "data": {"model": "whisper-1"}}
            assert (await client.post(PATH, **form)).status_code == 401  # type: ignore[arg-type]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: 1000\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode()
            )
            await writer.drain()
            key = {"Authorization": "Bearer k"}
            under_way = asyncio.create_task(client.post(PATH, headers=key, **form))  # type: ignore[arg-type]
            for _ in range(500):
                if 'kind="background",verdict="decoded"' in (await client.get("/metrics")).text:
                    break
                await asyncio.sleep(0.02)
            assert not under_way.done()
            process.send_signal(signal.SIGTERM)
            answer = await under_way
            answered = time.monotonic()
            assert await process.wait() == 0
            assert in_time(time.monotonic() - answered, 7)
            writer.close()
    assert answer.status_code == 200
    assert answer.json()["text"].count(text) >= 11
