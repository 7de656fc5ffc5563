"""A lane's websocket against a transcriber that misbehaves: nothing lost, nothing doubled, clear errors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bot.links.transcriber.link import probe
from bot.links.transcriber.servers import Servers
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.tls import server_context
from tests.support.fakes.scripted_engine import tone
from tests.support.fakes.scripted_transcriber import ScriptedTranscriber, scripted_transcriber
from tests.support.lanes import free_port, hello, running_lane
from tests.support.servers.certificates import write_pair
from tests.support.transcribing import serving
from tests.support.waiting import eventually


def ramp(start: int, length: int) -> NDArray[np.int16]:
    """Samples that say their own position."""
    return (np.arange(start, start + length) % 30000).astype(np.int16)


async def test_an_utterance_is_heard_answered_and_decided() -> None:
    """Bit-exact audio there, text on the lane's clock back, and the lane is settled."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url) as (lane, notes):
        lane.append(ramp(0, 24000))
        lane.end_utterance()
        await lane.settled()
        assert np.array_equal(server.heard[0], ramp(0, 24000))
        assert [(t.start, t.end, t.wire.text) for t in notes.texts] == [(0, 24000, " 24000 samples")]
        assert notes.until == 24000


async def test_a_cut_in_mid_utterance_loses_and_doubles_nothing() -> None:
    """After a broken connection everything undecided is sent again, on the same clock, and there is one text."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url) as (lane, notes):
        lane.append(ramp(0, 8000))
        lane.end_utterance()
        await lane.settled()
        lane.append(ramp(8000, 8000))
        await eventually(lambda: len(server.heard.get(8000, [])) == 8000)
        await server.cut()
        lane.append(ramp(16000, 8000))
        lane.end_utterance()
        await lane.settled()
        assert np.array_equal(server.heard[8000], ramp(8000, 16000))
        assert [(t.start, t.end) for t in notes.texts] == [(0, 8000), (8000, 24000)]
        assert notes.links == [False, True]


async def test_a_server_that_is_away_is_waited_for_and_the_next_in_line_serves() -> None:
    """Audio waits while nobody listens; with a second URL that one is used at once."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server):
        async with running_lane(f"ws://127.0.0.1:{free_port()}", server.url) as (lane, notes):
            lane.append(ramp(0, 1600))
            lane.end_utterance()
            await lane.settled()
        assert notes.links == [False, True]
        port = free_port()
        async with running_lane(f"ws://127.0.0.1:{port}") as (lane, notes):
            lane.append(ramp(0, 1600))
            lane.end_utterance()
            await eventually(lambda: bool(notes.links))
            late = ScriptedTranscriber()
            async with scripted_transcriber(late, port):
                await lane.settled()
                assert np.array_equal(late.heard[0], ramp(0, 1600))


async def test_a_backlog_is_sent_at_four_times_real_time() -> None:
    """A replay does not drown the server: six seconds of audio take more than a second."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url) as (lane, _):
        started = asyncio.get_running_loop().time()
        lane.append(ramp(0, 96000))
        lane.end_utterance()
        await lane.settled()
        assert 1.2 < asyncio.get_running_loop().time() - started < 4


async def test_a_closed_lane_without_audio_just_ends() -> None:
    """No connection is made for nothing."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server), running_lane(server.url):
        await asyncio.sleep(0)
    assert server.connections == 0


async def test_probing_finds_the_first_that_is_ready() -> None:
    """A dead first URL is no obstacle."""
    server = ScriptedTranscriber()
    async with scripted_transcriber(server):
        dead = f"ws://127.0.0.1:{free_port()}"
        assert (
            await probe(
                Servers(
                    (
                        dead,
                        server.url,
                    )
                ),
                hello(0),
            )
            == server.url
        )


@pytest.mark.parametrize(
    ("server", "code", "words"),
    [
        (ScriptedTranscriber(refuse="no such model"), SubCode.TRANSCRIBER_REFUSED, "no such model"),
        (ScriptedTranscriber(full=True), SubCode.TRANSCRIBER_UNREACHABLE, "full"),
    ],
)
async def test_a_transcriber_that_says_no(server: ScriptedTranscriber, code: SubCode, words: str) -> None:
    """Refusal and a full server are told apart, in the server's own words."""
    async with scripted_transcriber(server):
        with pytest.raises(EarshotError, match=words) as caught:
            await probe(Servers((server.url,)), hello(0))
    assert caught.value.code is code
    assert server.url in str(caught.value)


async def test_nobody_there_is_said_with_every_url() -> None:
    """Connection refused and unknown host names are explained, in bounded time."""
    urls = (f"ws://127.0.0.1:{free_port()}", "ws://no-such-host.invalid:9090")
    async with asyncio.timeout(10):
        with pytest.raises(EarshotError) as caught:
            await probe(Servers(urls), hello(0))
    assert caught.value.code is SubCode.TRANSCRIBER_UNREACHABLE
    assert all(url in str(caught.value) for url in urls)
    assert "whisperLiveUrl" in str(caught.value)


async def test_a_password_in_a_url_is_said_to_nobody() -> None:
    """Neither by the probe nor by a lane, when it fails and when it works: servers are named without credentials."""
    dead = f"ws://bot:s3cret-word@127.0.0.1:{free_port()}/?key=s3cret-word"
    with pytest.raises(EarshotError, match=r"ws://\*\*\*@127") as caught:
        await probe(Servers((dead,)), hello(0))
    assert "s3cret" not in str(caught.value)
    async with serving() as server, running_lane(dead, server.url.replace("//", "//bot:s3cret-word@")) as (lane, notes):
        lane.append(tone("alpha"))
        lane.end_utterance()
    assert notes.links == [False, True]
    assert all("***@127.0.0.1" in detail and "s3cret" not in detail for _, detail, _ in notes.health)


async def test_the_key_is_sent_and_a_refusal_is_not_asked_again() -> None:
    """Our transcriber says 401 to no key and to a wrong one: refused, with the setting that is missing."""
    async with serving(key="k-1") as server:
        assert await probe(Servers((server.url,)), hello(0), "k-1") == server.url
        for key in (None, "k-2"):
            async with asyncio.timeout(2):
                with pytest.raises(EarshotError, match="whisperLiveApiKey") as caught:
                    await probe(Servers((server.url,)), hello(0), key)
            assert (caught.value.code, caught.value.exit_code) == (SubCode.TRANSCRIBER_REFUSED, 3)
            assert "k-" not in str(caught.value)
        async with running_lane(server.url, key="k-1") as (lane, notes):
            lane.append(np.concatenate([tone("alpha"), tone("bravo")]))
            lane.end_utterance()
        assert notes.texts[-1].wire.text.strip() == "alpha bravo"


async def test_a_private_certificate_is_trusted_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By OpenSSL's own variable; otherwise the refusal says so at once. There is no switch that trusts anybody."""
    certificate, key = write_pair(tmp_path)
    async with serving(tls=server_context(certificate, key)) as server:
        async with asyncio.timeout(2):
            with pytest.raises(EarshotError, match=r"self.signed.*SSL_CERT_FILE") as caught:
                await probe(Servers((server.url,)), hello(0))
        assert caught.value.code is SubCode.TRANSCRIBER_REFUSED
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert await probe(Servers((server.url,)), hello(0)) == server.url


async def test_a_server_without_room_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP 503 passes: unlike 401 it is no answer about us."""
    async with serving() as server:
        monkeypatch.setattr(server.server._admission, "_most_per_address", 0)
        probing = asyncio.create_task(probe(Servers((server.url,)), hello(0)))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(server.server._admission, "_most_per_address", 16)
        assert await probing == server.url
