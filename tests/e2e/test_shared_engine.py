"""Two transcribers: one has the model, the other asks it over HTTP. Clients of the second hear no difference."""

from __future__ import annotations

import signal
from pathlib import Path

import jiwer
import numpy as np
import pytest

from common.whisperlive.protocol import EXTENSIONS, Handshake
from tests.integration.transcriber.test_demo_model import clips
from tests.integration.transcriber.test_process import ready, transcriber
from tests.support.processes import engines
from tests.support.transcribing import talking

pytestmark = [pytest.mark.model, pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(60)]
KEY = "canary-k3y-0123"
PORTS = ("--port", "0", "--http-port", "0")


@pytest.mark.parametrize("extensions", [EXTENSIONS, frozenset[str]()], ids=["ours", "stock"])
async def test_words_of_a_transcriber_that_has_no_model(extensions: frozenset[str], tmp_path: Path) -> None:
    """Real speech, real sockets, the demo model behind its own `/v1`: the word error rate is what it is without the
    detour; words have times; the key and what was said are in neither log."""
    (key := tmp_path / "key").write_text(KEY, encoding="ascii")
    spoken = clips()[:6]
    async with transcriber(*PORTS, "--log-level", "debug", "--api-key-file", str(key)) as owner:
        _, http_port = await ready(owner)
        remote = (
            "--engine-url",
            f"http://127.0.0.1:{http_port}",
            "--engine-key-file",
            str(key),
            "--engine-model",
            "demo",
        )
        async with transcriber(*PORTS, "--log-level", "debug", "--engine", "openai", *remote) as front:
            url, _ = await ready(front)
            hello = Handshake("u", language="en", extensions=extensions, word_timestamps=True)
            async with talking(url, hello) as client:
                await client.dictate(samples for _, samples in spoken)
            assert not engines(front.pid)
            logs = ""
            for process in (front, owner):
                process.send_signal(signal.SIGTERM)
                _, log = await process.communicate()
                logs += log.decode()
                assert process.returncode == 0
    assert len(client.finals) == len(spoken)
    assert jiwer.wer([text for text, _ in spoken], client.text) <= 0.05
    for final in client.finals:
        assert final.words
        times = [time for word in final.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert final.start <= times[0] <= times[-1] <= final.end
        assert np.ptp(times) > 0.3
    assert "decoding.done" in logs
    assert KEY not in logs
    assert not any(word in logs for text, _ in spoken for word in text.split() if len(word) > 6)


async def test_a_wrong_key_ends_it_at_once_with_what_to_do(tmp_path: Path) -> None:
    """Exit 3 and one line, that names the option and not the key."""
    (key := tmp_path / "key").write_text(KEY, encoding="ascii")
    (wrong := tmp_path / "wrong").write_text(f"{KEY}-not", encoding="ascii")
    async with transcriber(*PORTS, "--api-key-file", str(key)) as owner:
        _, http_port = await ready(owner)
        remote = ("--engine-url", f"http://127.0.0.1:{http_port}/v1", "--engine-key-file", str(wrong))
        async with transcriber(*PORTS, "--engine", "openai", *remote) as front:
            output, log = await front.communicate()
    assert (front.returncode, output) == (3, b"")
    said = log.decode().strip().splitlines()[-1]
    assert said.startswith(
        f"earshot-transcriber: The engine at http://127.0.0.1:{http_port}/v1 cannot be used: HTTP 401"
    )
    assert "--engine-key-file" in said
    assert KEY not in log.decode()
