"""Clients that send nonsense, die, flood, dawdle or do not read, beside honest ones that must not notice."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import ssl
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from common.tls import server_context
from common.whisperlive.protocol import EXTENSIONS, ClientProtocol, Handshake
from tests.support.fakes.scripted_engine import ScriptedEngine, silence, tone
from tests.support.servers.certificates import write_pair
from tests.support.transcribing import Client, Serving, serving, talking
from transcriber.core.session import StreamSession
from transcriber.websocket.admission import GuardedConnection

pytestmark = pytest.mark.slow
SECRET = "canary-73fa"
WORDS = ["alpha", "bravo", "charlie", "delta"] * 2
ELSEWHERE: dict[str, Any] = {"proxy": None, "ping_interval": None, "compression": None, "local_addr": ("127.0.0.2", 0)}
GONE = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError)


async def speak(client: Client) -> None:
    """All words, an utterance each, at four times real time."""
    for word in WORDS:
        for samples in np.split(tone(word, 0.4), 4):
            await client.say(samples)
            await asyncio.sleep(0.025)
        await client.acked(await client.end_utterance())


@asynccontextmanager
async def beside_honest(running: Serving) -> AsyncIterator[None]:
    """While the block runs, two clients talk: one says where utterances end, one leaves that to the server."""
    async with (
        talking(running.url, Handshake("ours", language="en", extensions=EXTENSIONS)) as ours,
        talking(running.url, Handshake("stock", language="en")) as stock,
    ):
        speaking = asyncio.create_task(speak(ours))
        listening = asyncio.create_task(stock.rest(timeout=60))  # while a crowd comes and goes
        for word in WORDS[:3]:
            await stock.say(tone(word, 0.4), silence(0.7))
        try:
            yield
            await speaking
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            await stock.socket.send(stock.protocol.end_of_audio())
            code = await listening
        assert ours.text == WORDS
        assert (stock.text, code) == (WORDS[:3], 1000)


async def replies(peer: ClientConnection) -> list[dict[str, Any]]:
    """Everything that the server says until it closes."""
    said = []
    with contextlib.suppress(ConnectionClosed):
        async for message in peer:
            said.append(json.loads(message))  # noqa: PERF401 - what came before the close counts
    return said


def hello(**more: Any) -> str:
    """A first message with something wrong in it."""
    return json.dumps({"uid": "bad", "language": "en", "task": "transcribe", "model": "small", "use_vad": True} | more)


BAD_HANDSHAKES = {
    "unknown vad key": hello(vad_parameters={"onsett": 0.5}),
    "vad value": hello(vad_parameters={"onset": "loud"}),
    "vad NaN": '{"uid": "bad", "vad_parameters": {"onset": NaN}}',
    "language": hello(language="klingon"),
    "task": hello(task="summarise"),
    "format": hello(audio_format="mp3"),
    "audio first": b"\0" * 4096,
    "not JSON": "hello",
    "deep": "[" * 100_000,
    "huge number": '{"uid": "bad", "send_last_n_segments": 1e999}',
    "thousands of vad keys": hello(vad_parameters={f"onset{n}": 0.5 for n in range(10_000)}),
    "prompt that is no text": hello(initial_prompt=[SECRET], hotwords={SECRET: 1}),
}


@pytest.mark.parametrize("first", BAD_HANDSHAKES.values(), ids=list(BAD_HANDSHAKES))
async def test_a_bad_handshake_costs_one_error(first: str | bytes) -> None:
    """What is wrong is said once, then the connection is closed."""
    async with serving() as running, beside_honest(running), connect(running.url, **ELSEWHERE) as peer:
        await peer.send(first)
        [reply] = await replies(peer)
        assert (reply["status"], peer.close_code) == ("ERROR", 1008)
        assert 10 < len(reply["message"]) < 350
        assert SECRET not in reply["message"]  # which is logged


BAD_MESSAGES = {
    "odd frame": b"abc",
    "NaN": np.array([0, np.nan], "<f4").tobytes(),
    "infinite": np.array([np.inf], "<f4").tobytes(),
    "text": "END_OF_AUDIO",
    "control": '{"utterance": "end", "sample": 5}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("bad", BAD_MESSAGES.values(), ids=list(BAD_MESSAGES))
async def test_a_bad_message_costs_one_warning(bad: str | bytes) -> None:
    """It is dropped, and its sender is transcribed all the same."""
    async with serving() as running, beside_honest(running), connect(running.url, **ELSEWHERE) as peer:
        await peer.send(hello())
        await peer.send((tone("echo").astype("<f4") / 32768).tobytes())
        await peer.send(bad)
        await peer.send(b"END_OF_AUDIO")
        said = await replies(peer)
        assert [message["status"] for message in said if "status" in message][1:] == ["WARNING"]
        assert [segment["text"] for segment in said[-1]["segments"] if segment["completed"]] == [" echo"]


async def test_ten_megabytes_in_one_message_are_not_read() -> None:
    """Close code 1009 as soon as its length is known; nothing of it is kept."""
    async with serving() as running, beside_honest(running), connect(running.url, **ELSEWHERE) as peer:
        await peer.send(hello())
        peer.transport.write(b"\x82\xff" + (10_000_000).to_bytes(8, "big") + bytes(4))  # the head of a masked frame
        await replies(peer)
        assert peer.close_code == 1009


async def test_a_hundred_pings_are_answered_whenever_they_come() -> None:
    """Some clients are nervous."""
    async with serving() as running, connect(running.url, **ELSEWHERE) as peer:
        answers = count_pongs(peer)
        await peer.send(hello())
        peer.transport.write(b"\x89\x80\0\0\0\0" * 90)
        await peer.send(b"END_OF_AUDIO")
        await replies(peer)
        assert (peer.close_code, answers["pong"]) == (1000, 90)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize(
    ("first", "frame"), [(b"", b"\x89"), (b"", b"\x8a"), (b"\x02\x80\0\0\0\0", b"\0")], ids=["ping", "pong", "fragment"]
)
async def test_a_flood_of_what_is_no_message_ends_its_connection(
    first: bytes, frame: bytes, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 300 frames, however many come at once."""
    read, may_send = Counter[str](), GuardedConnection._may_send_more

    def counted(self: GuardedConnection) -> bool:
        read["frames"] += 1
        return may_send(self)

    monkeypatch.setattr(GuardedConnection, "_may_send_more", counted)
    tls, trusting = None, None
    if scheme == "wss":
        pair = write_pair(tmp_path)
        tls, trusting = server_context(*pair), ssl.create_default_context(cafile=pair[0])
    async with serving(tls=tls) as running, connect(running.url, ssl=trusting, **ELSEWHERE) as peer:
        await peer.send(hello())
        with contextlib.suppress(*GONE):
            peer.transport.write(first)
            for _ in range(10):
                peer.transport.write((frame + b"\x80\0\0\0\0") * 50_000)
                await asyncio.sleep(0.05)
        await replies(peer)
        assert peer.close_code == 1006
        assert 300 < read["frames"] < 500
        assert b'transcriber_closed_total{reason="flood"} 1.0' in running.metrics.render()


async def test_a_message_in_fragments_is_a_message() -> None:
    """As clients in other languages send what is longer than their buffer."""
    sound = (tone("echo").astype("<f4") / 32768).tobytes()
    async with serving() as running, connect(running.url, **ELSEWHERE) as peer:
        await peer.send(hello())
        await peer.send(sound[first : first + 400] for first in range(0, len(sound), 400))
        await peer.send(b"END_OF_AUDIO")
        said = await replies(peer)
        assert [segment["text"] for segment in said[-1]["segments"] if segment["completed"]] == [" echo"]


async def test_of_one_connection_little_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is worked through before anybody else's turn, and 256 KiB may be 40,000 messages."""
    sizes, receive = [], GuardedConnection.data_received

    def noted(self: GuardedConnection, data: bytes) -> None:
        sizes.append(len(data))
        receive(self, data)

    monkeypatch.setattr(GuardedConnection, "data_received", noted)
    async with serving() as running, connect(running.url, **ELSEWHERE) as peer:
        await peer.send(hello())
        await peer.send(bytes(1 << 20))
        await peer.send(b"END_OF_AUDIO")
        await replies(peer)
        assert peer.close_code == 1000
        assert sum(sizes) > 1 << 20
        assert max(sizes) <= 16 * 1024


def count_pongs(peer: ClientConnection) -> Counter[str]:
    """Grows as they come."""
    seen: Counter[str] = Counter()
    process = peer.process_event

    def note(event: Any) -> None:
        seen[event.opcode.name.lower()] += 1
        process(event)

    peer.process_event = note  # type: ignore[method-assign]
    return seen


async def test_pings_of_a_client_that_does_not_read_are_not_answered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly they come, and though its silence says that it is alive."""
    monkeypatch.setattr("transcriber.websocket.admission.MAX_UNREAD_BYTES", 10_000)
    monkeypatch.setattr("transcriber.websocket.admission.MAX_EXTRA_FRAMES", 1_000_000)
    async with serving(buffer=4096) as running, talking(running.url, Handshake("deaf", language="en"), 4096) as client:
        client.socket.transport.pause_reading()
        for _ in range(500):
            client.socket.transport.write((b"\x89\xfd" + bytes(4) + bytes(125)) * 10)
            await asyncio.sleep(0.005)
            if not running.server.clients:
                break
        assert not running.server.clients
        client.socket.transport.abort()


async def test_a_prompt_of_a_megabyte_costs_no_more_than_a_short_one() -> None:
    """Its start is used, as much as any model takes; a model that read all of it would be busy for half a minute."""
    engine = ScriptedEngine()
    long = Handshake("long", language="en", extensions=EXTENSIONS, initial_prompt="budget, " * 125_000)
    async with serving(engine) as running, talking(running.url, long) as client:
        await client.say(tone("echo"))
        await client.acked(await client.end_utterance())
        assert client.text == ["echo"]
    assert {len(window.prompt or "") for window in engine.windows} == {1000}


async def test_compression_is_not_granted() -> None:
    """So nothing can be sent that grows when it is unpacked."""
    async with serving() as running, connect(running.url, **ELSEWHERE | {"compression": "deflate"}) as peer:
        assert peer.protocol.extensions == []
        assert peer.response
        assert "Sec-WebSocket-Extensions" not in peer.response.headers


async def test_a_thousand_clients_that_come_and_die_leave_nothing_behind() -> None:
    """In every state: connecting, silent, in mid-word, at the end. No task, no session, no file, and words go on."""
    sessions: weakref.WeakSet[StreamSession] = weakref.WeakSet()
    tasks = len(asyncio.all_tasks())
    async with serving() as running, beside_honest(running):
        add = running.worker.add

        def note(session: Any, listener: Any) -> None:
            sessions.add(session)
            add(session, listener)

        running.worker.add = note  # type: ignore[method-assign]

        async def come_and_die(number: int) -> None:
            with contextlib.suppress(*GONE):
                async with connect(running.url, **ELSEWHERE) as peer:
                    if number % 4:
                        await peer.send(hello())
                    if number % 4 > 1:
                        await peer.send((tone("echo", 0.9).astype("<f4") / 32768).tobytes())
                    if number % 4 > 2:
                        await peer.send(b"END_OF_AUDIO")
                    await asyncio.sleep(0.001 * (number % 5))
                    peer.transport.abort()

        for first in range(0, 1000, 10):
            await asyncio.gather(*(come_and_die(first + n) for n in range(10)))
        assert len(asyncio.all_tasks()) < tasks + 60
        for _ in range(300):
            if running.server.clients <= 2:
                break
            await asyncio.sleep(0.01)
        assert running.server.clients <= 2
        gc.collect()
        assert len(sessions) <= 1  # the last one that was decoded is still a name in the worker
        assert len(running.worker._listeners) <= 2


async def test_connections_that_never_say_anything_keep_nobody_out() -> None:
    """Five hundred from one address, silent or with endless headers: few of them are kept, and others come in."""

    loop = asyncio.get_running_loop()
    async with serving(max_clients=16) as running, beside_honest(running):
        port = int(running.url.rpartition(":")[2])
        opening = (
            loop.create_connection(asyncio.Protocol, "127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(500)
        )
        transports = [transport for transport, _ in await asyncio.gather(*opening)]
        for n in range(10):
            for transport in transports[::2]:
                transport.write(b"X-A: b\r\n" if n else b"GET / HTTP/1.1\r\n")
            await asyncio.sleep(0.05)
        assert 1 <= running.server.waiting <= 32
        async with talking(running.url, Handshake("newcomer", language="en", extensions=EXTENSIONS)) as newcomer:
            await newcomer.say(tone("echo"))
            await newcomer.acked(await newcomer.end_utterance())
            assert newcomer.text == ["echo"]
        for transport in transports:
            transport.abort()


async def test_clients_of_one_address_that_say_nothing_do_not_keep_every_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """All slots are theirs, they answer pings and send a sample now and then: newcomers from elsewhere get in."""
    async with serving(max_clients=4) as running, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connect(running.url, **ELSEWHERE)) for _ in range(4)]
        for peer in silent:
            await peer.send(hello())
            await peer.recv()
        async with connect(running.url) as early:
            await early.send(hello())
            assert json.loads(await early.recv())["status"] == "WAIT"
        monkeypatch.setattr("transcriber.core.slots.IDLE_S", 0.2)
        for _ in range(5):
            await asyncio.sleep(0.1)
            for peer in silent:
                await peer.send(bytes(4))
        async with connect(running.url, **ELSEWHERE) as neighbour:  # of the same address: it waits as the others do
            await neighbour.send(hello())
            assert json.loads(await neighbour.recv())["status"] == "WAIT"
        async with talking(running.url, Handshake("newcomer", language="en", extensions=EXTENSIONS)) as newcomer:
            await newcomer.say(tone("echo"))
            await newcomer.acked(await newcomer.end_utterance())
            assert newcomer.text == ["echo"]
            assert running.server.clients == 4
        assert b'transcriber_closed_total{reason="idle"} 1.0' in running.metrics.render()
        codes = [peer.close_code for peer in silent]
        assert sorted(map(str, codes)) == ["1013", "None", "None", "None"]


async def test_ten_times_real_time_is_slowed_down_and_heard() -> None:
    """All of what it said arrives, and those who speak as people do notice nothing."""
    async with serving() as running, beside_honest(running), connect(running.url, **ELSEWHERE) as peer:
        client = Client(peer, ClientProtocol(Handshake("hurried", language="en", extensions=EXTENSIONS)))
        await peer.send(client.protocol.hello())
        while not client.protocol.ready:
            await client.hear()
        started = asyncio.get_running_loop().time()
        for n in range(16):
            await client.say(tone(WORDS[n % 4], 1))
            end = await client.end_utterance()
        await client.acked(end, timeout=10)
        assert client.text == [WORDS[n % 4] for n in range(16)]
        assert asyncio.get_running_loop().time() - started > 1.4  # 10 s at once, the other 6 at four times real time


async def test_clients_that_read_nothing_are_nobody_elses_problem() -> None:
    """Ten of them speak and leave their sockets full."""
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(serving(buffer=4096))
        deaf = Handshake("d" * 256, language="en", extensions=EXTENSIONS)
        clients = [await stack.enter_async_context(talking(running.url, deaf, 4096)) for _ in range(10)]
        async with beside_honest(running):
            for client in clients:
                client.socket.transport.pause_reading()
            for _ in range(20):
                for client in clients:
                    await client.say(tone("echo", 0.2))
                    await client.end_utterance()
                await asyncio.sleep(0.02)
        for client in clients:
            client.socket.transport.abort()
