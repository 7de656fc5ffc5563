"""What clients, networks and engines can do wrong, and that nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from common.whisperlive.protocol import EXTENSIONS, Acked, Handshake, Refused, Wait, Warned
from tests.support.fakes.scripted_engine import ScriptedEngine, silence, tone
from tests.support.transcribing import Serving, serving, talking
from tests.support.waiting import eventually
from transcriber.core.outbox import MAX_OUTBOX_BYTES

pytestmark = pytest.mark.slow
OURS = Handshake("u", language="en", extensions=EXTENSIONS)


async def answer(url: str, first: str | bytes) -> tuple[dict[str, object], int | None]:
    """Sends a first message; the server's answer and close code."""
    async with connect(url, proxy=None, ping_interval=None) as peer:
        await peer.send(first)
        reply = json.loads(await peer.recv())
        await peer.wait_closed()
        return reply, peer.close_code


async def still_works(running: Serving) -> None:
    """A new client is served."""
    async with talking(running.url, Handshake("next", language="en", extensions=EXTENSIONS)) as client:
        await client.say(tone("echo"))
        await client.acked(await client.end_utterance())
        assert client.text == ["echo"]


async def left(running: Serving, clients: int = 0) -> None:
    """Waits until the server serves no more than these."""
    for _ in range(500):
        if running.server.clients <= clients:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"{running.server.clients} clients are still served")


@pytest.mark.parametrize(
    ("first", "named"),
    [
        ("hello?", "not JSON"),
        (b"\x00" * 64, "text frame"),
        ("[]", "not a JSON object"),
        ('{"language": "en"}', "uid"),
        ('{"uid": "u", "vad_parameters": {"onsett": 0.5}}', "onsett"),
        ('{"uid": "u", "audio_format": "mp3"}', "audio_format"),
        ('{"uid": "u", "language": "xx"}', "xx"),
    ],
)
async def test_a_bad_handshake_is_answered_with_what_is_wrong(first: str | bytes, named: str) -> None:
    """One message that names the key, then close 1008; the next client is served."""
    async with serving() as running:
        reply, code = await answer(running.url, first)
        assert (reply["status"], code) == ("ERROR", 1008)
        assert named in str(reply["message"])
        await still_works(running)


async def test_a_handshake_that_never_comes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one that comes byte by byte."""
    monkeypatch.setattr("transcriber.websocket.server.HANDSHAKE_TIMEOUT_S", 0.2)
    async with serving() as running, connect(running.url, proxy=None, ping_interval=None) as silent:

        async def trickle() -> None:
            async def letters() -> AsyncIterator[str]:
                for letter in OURS.serialise():
                    yield letter
                    await asyncio.sleep(0.02)

            async with connect(running.url, proxy=None, ping_interval=None) as slow:
                with pytest.raises(ConnectionClosed):
                    await slow.send(letters())

        await asyncio.gather(trickle(), silent.wait_closed())
        assert silent.close_code == 1008
        await still_works(running)


@pytest.mark.parametrize(
    "bad", [b"odd", np.array([np.nan, np.inf], "<f4").tobytes(), '{"utterance": "end"}', "[" * 9999]
)
async def test_bad_messages_are_answered_and_the_tenth_closes(bad: str | bytes) -> None:
    """Each is dropped with a warning; the stream goes on until there are too many."""
    async with serving() as running, talking(running.url, Handshake("u", language="en")) as client:
        await client.socket.send(bad)
        assert isinstance(await client.hear(), Warned)
        await client.say(tone("alpha"), silence(0.7))
        for _ in range(9):
            await client.socket.send(bad)
        assert await client.rest() == 1008
        assert client.text == ["alpha"]
        assert sum(isinstance(event, Warned) for event in client.events) == 9
        assert any(isinstance(event, Refused) for event in client.events)
        await still_works(running)


async def test_a_full_server_says_wait() -> None:
    """And takes the client once there is room."""
    async with serving(max_clients=1) as running:
        async with talking(running.url, OURS):
            reply, code = await answer(running.url, OURS.serialise())
            assert (reply, code) == ({"uid": "u", "status": "WAIT", "message": 1.0}, 1000)
        await left(running)
        await still_works(running)


async def test_a_client_that_is_gone_is_forgotten() -> None:
    """Killed in the middle of a word, also while its window is being decoded."""
    engine = ScriptedEngine()
    async with serving(engine) as running:
        for _ in range(20):
            async with talking(running.url, OURS) as client:
                await client.say(tone("alpha", 0.9))
                client.socket.transport.abort()
        engine.go.clear()
        async with talking(running.url, OURS) as client:
            await client.say(tone("alpha", 0.9))
            await asyncio.sleep(0.05)
            client.socket.transport.abort()
        await asyncio.sleep(0.05)
        engine.go.set()
        await left(running)
        assert not running.worker._listeners
        await still_works(running)


async def test_a_client_that_neither_answers_nor_sends_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen machine; one that answers pings stays, however silent."""
    monkeypatch.setattr("transcriber.websocket.connection.KEEPALIVE_INTERVAL_S", 0.1)
    async with serving() as running, talking(running.url, OURS) as quiet:
        async with talking(running.url, OURS) as frozen:
            frozen.socket.transport.pause_reading()
            await left(running, 1)
            frozen.socket.transport.abort()
        await quiet.say(tone("alpha"))
        await quiet.acked(await quiet.end_utterance())
        assert quiet.text == ["alpha"]


def unread(running: Serving) -> list[tuple[int, int]]:
    """Bytes that wait for each client, in its outbox and in its socket's buffer in this process."""
    return [
        (connection._outbox.size, connection._socket.transport.get_write_buffer_size())
        for connection in running.server._connections
    ]


async def test_a_client_that_does_not_read_costs_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps sending, so it is alive, and wants all its text again with each new one; then it is closed."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 10_000)
    greedy = Handshake("u" * 256, language="en", extensions=frozenset({"utterance"}), send_last_n_segments=100)
    most = (0, 0)
    async with serving(buffer=4096) as running, talking(running.url, greedy, 4096) as client:
        client.socket.transport.pause_reading()
        with contextlib.suppress(ConnectionClosed):
            for _ in range(5_000):
                await client.say(tone("alpha", 0.3))
                await client.end_utterance()
                await asyncio.sleep(0.001)
                most = max([most, *unread(running)])
                if not running.server.clients:
                    break
        client.socket.transport.abort()
        await left(running)
        assert b'transcriber_closed_total{reason="too slow"} 1.0' in running.metrics.render()
        posted_at_once = 2 * 100 * 500  # a final goes twice, each time with as many segments before it
        assert MAX_OUTBOX_BYTES / 2 < most[0] <= MAX_OUTBOX_BYTES + posted_at_once
        assert most[1] < 64 * 1024
        await still_works(running)


async def test_a_client_that_stops_reading_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though there is room for all that waits for it, and its sound says that it is alive."""
    monkeypatch.setattr("transcriber.websocket.connection.WRITE_CHECK_S", 0.1)
    monkeypatch.setattr("transcriber.websocket.connection.WRITE_STALL_S", 0.3)
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 10_000)
    async with serving(buffer=4096) as running, talking(running.url, Handshake("u" * 256), 4096) as client:
        client.socket.transport.pause_reading()
        most = 0
        with contextlib.suppress(ConnectionClosed):
            for _ in range(5_000):
                waits, _ = max(unread(running), default=(0, 0))
                most = max(most, waits)
                await client.say(*([silence(0.1)] if waits else [tone("alpha", 0.3), silence(0.7)]))
                await asyncio.sleep(0.005)
                if not running.server.clients:
                    break
        client.socket.transport.abort()
        await left(running)
        assert b'transcriber_closed_total{reason="too slow"} 1.0' in running.metrics.render()
        assert most < MAX_OUTBOX_BYTES / 2


async def test_an_engine_that_raises_is_asked_again() -> None:
    """Once; what fails twice is reported to its client as not transcribed, and the stream goes on."""
    engine = ScriptedEngine()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        engine.fail = 1
        await client.say(tone("alpha", 0.3))
        await client.acked(await client.end_utterance())
        engine.fail = 2
        await client.say(tone("bravo", 0.3))
        await client.acked(await client.end_utterance())
        await client.say(tone("charlie", 0.3))
        await client.acked(await client.end_utterance())
        assert client.text == ["alpha", "charlie"]
        [warning] = [event for event in client.events if isinstance(event, Warned)]
        assert warning.message == "The speech from 0.300 to 0.600 s could not be transcribed."
        assert b"transcriber_failures_total 3.0" in running.metrics.render()
        assert b"transcriber_utterances_lost_total 1.0" in running.metrics.render()


async def test_an_engine_that_hangs_is_noticed() -> None:
    """By there being no result, until there is one."""
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha"))
        end = await client.end_utterance()
        await asyncio.sleep(0.1)
        now = asyncio.get_running_loop().time()
        assert [running.worker.is_stalled(now), running.worker.is_stalled(now + 40)] == [False, True]
        engine.go.set()
        await client.acked(end)
        assert not running.worker.is_stalled(now + 1000)


async def test_the_last_words_are_waited_for_as_long_as_results_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that have ended their audio get all of them, or are told what is lost when the engine gives none."""
    monkeypatch.setattr("transcriber.websocket.connection.FLUSH_CHECK_S", 0.05)
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as one, talking(running.url, OURS) as other:
        for client in (one, other):
            await client.say(tone("alpha"))
            await client.socket.send(client.protocol.end_of_audio())
        await asyncio.sleep(0.3)
        assert running.server.clients == 2
        engine.go.set()
        assert [await client.rest() for client in (one, other)] == [1000] * 2
        assert [client.text for client in (one, other)] == [["alpha"]] * 2
        engine.go.clear()
        monkeypatch.setattr(running.worker, "is_stalled", lambda now: True)
        async with talking(running.url, OURS) as late:
            await late.say(tone("alpha"))
            await late.socket.send(late.protocol.end_of_audio())
            assert (await late.rest(), late.text) == (1000, [])
            assert "from 0.000 to 0.600 s" in next(said.message for said in late.events if isinstance(said, Warned))
        engine.go.set()


async def test_a_loop_is_decoded_once_more_with_the_full_window() -> None:
    """And dropped if that does not help; the audio is decided all the same."""

    class Looping(ScriptedEngine):
        def _hear(self, window):  # type: ignore[no-untyped-def]
            result = super()._hear(window)
            return result if window.full and "bravo" in result.text else type(result)("you " * 9)

    engine = Looping()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        for word in ("alpha", "bravo"):
            await client.say(tone(word, 0.3))
            await client.acked(await client.end_utterance())
        assert client.text == ["bravo"]
        assert [window.full for window in engine.windows] == [False, True, False, True]


async def test_what_says_nothing_together_with_the_utterance_before_is_decoded_by_itself() -> None:
    """The model may take it for the end of that: "that is", after a sentence. What loops there, too."""

    class Deaf(ScriptedEngine):
        said = ""

        def _hear(self, window):  # type: ignore[no-untyped-def]
            result = super()._hear(window)
            return type(result)(self.said) if window.before else result

    for said in ("", "you " * 9):
        engine = Deaf()
        engine.said = said
        async with serving(engine) as running, talking(running.url, replace(OURS, language="en")) as client:
            for word in ("alpha", "bravo"):
                await client.say(tone(word, 0.6))
                await client.acked(await client.end_utterance())
            assert client.text == ["alpha", "bravo"]
            heard = [bool(window.before) for window in engine.windows if window.careful]
            assert heard == [False, True, False]
            assert not any(window.full for window in engine.windows)


async def test_a_partial_that_goes_astray_is_not_decoded_again() -> None:
    """The next one comes soon; with a full window each would keep the model from finals."""

    class Astray(ScriptedEngine):
        def _hear(self, window):  # type: ignore[no-untyped-def]
            result = super()._hear(window)
            return result if window.careful else type(result)("you " * 9)

    engine = Astray()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha", 0.6))
        await eventually(lambda: engine.windows)
        await client.acked(await client.end_utterance())
        assert client.text == ["alpha"]
        assert not any(window.full for window in engine.windows)
        assert sum(not window.careful for window in engine.windows) == 1


async def test_a_final_that_loops_twice_is_shown_without_its_repeats() -> None:
    """After a try with the full window; where too little was said for any text to be likely, there is none."""

    class Looping(ScriptedEngine):
        def _hear(self, window):  # type: ignore[no-untyped-def]
            return type(super()._hear(window))(" ask what you can do" * 9)

    for seconds, shown in ((2.0, ["ask what you can do"]), (0.7, [])):
        engine = Looping()
        async with serving(engine) as running, talking(running.url, OURS) as client:
            await client.say(tone("alpha", seconds))
            await client.acked(await client.end_utterance())
            assert client.text == shown
            assert [window.full for window in engine.windows if window.careful][-2:] == [False, True]


@pytest.mark.parametrize(
    ("first", "second", "logprob", "shown"),
    [
        (" ask what you can do" * 9, "", -0.3, ["ask what you can do"]),
        ("we must decide", "we must", -1.7, ["we must decide"]),
        ("", "we must decide", -0.3, ["we must decide"]),
    ],
)
async def test_certain_speech_is_not_lost_because_the_model_doubts(
    first: str, second: str, logprob: float, shown: list[str]
) -> None:
    """Where nothing sane comes the better text is shown and counted; where nothing came the model is asked again."""

    class Doubting(ScriptedEngine):
        def _hear(self, window):  # type: ignore[no-untyped-def]
            text = second if window.full else first
            return type(super()._hear(window))(text, avg_logprob=logprob - window.full / 10)

    engine = Doubting()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha", 4.0))
        await client.acked(await client.end_utterance())
        assert client.text == shown
        assert [window.full for window in engine.windows if window.careful][-2:] == [False, True]


async def test_draining_sends_everybody_their_last_words() -> None:
    """Finals of what was heard, then close 1001; newcomers are sent away before they have said a word."""
    async with serving() as running, talking(running.url, OURS) as ours:
        async with talking(running.url, Handshake("stock", language="en")) as stock:
            for client, word in ((ours, "alpha"), (stock, "bravo")):
                await client.say(tone(word))
            await asyncio.sleep(0.1)
            draining = asyncio.create_task(running.server.drain(4))
            assert [await ours.rest(), await stock.rest()] == [1001, 1001]
            await draining
            assert [ours.text, stock.text] == [["alpha"], ["bravo"]]
            assert isinstance(ours.events[-1], Acked)
        with pytest.raises(InvalidStatus, match="503"):
            await connect(running.url, proxy=None)


async def test_a_drain_that_takes_too_long_ends_anyway() -> None:
    """An engine that hangs does not hold the process."""
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha"))
        await client.end_utterance()
        await asyncio.sleep(0.05)
        started = asyncio.get_running_loop().time()
        await running.server.drain(0.2)
        assert asyncio.get_running_loop().time() - started < 1
        engine.go.set()


def malformed(rng: random.Random) -> str | bytes:
    """Something that no client should send."""
    kind = rng.randrange(6)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 400) * 4 + rng.randrange(1, 4))
    if kind == 1:
        return np.full(rng.randrange(1, 100), rng.choice([np.nan, np.inf, -np.inf, 1e30]), "<f4").tobytes()
    if kind == 2:
        return "[" * rng.randrange(1, 5000)
    if kind == 3:
        return json.dumps(
            {"utterance": rng.choice([None, "end", 5]), "sample": rng.choice([-1, 1e300, "x", None, 10**30])}
        )
    if kind == 4:
        return "".join(chr(rng.randrange(1, 0xD800)) for _ in range(rng.randrange(1, 200)))
    hello = list(OURS.serialise())
    hello[rng.randrange(len(hello))] = rng.choice('{}[]",:0\x00')
    return "".join(hello)


async def send_bad(url: str, count: int, rng: random.Random) -> int:
    """One connection: a bad handshake, or a good one and bad messages. Returns how many were malformed."""
    async with connect(url, proxy=None, ping_interval=None, compression=None) as peer:
        sent = 0
        try:
            if rng.random() < 0.5:
                await peer.send(rng.choice([b"\x00binary", "{}", '{"uid": 1}', malformed(rng)]))
                sent += 1
            else:
                await peer.send(Handshake("bad", language="en").serialise())
                while sent < count:
                    await peer.send(malformed(rng))
                    sent += 1
            await drain_socket(peer)
        except ConnectionClosed:
            pass
        return sent


async def drain_socket(peer: ClientConnection) -> None:
    """Reads what the server has to say for a moment."""
    try:
        async with asyncio.timeout(0.02):
            async for _ in peer:
                pass
    except TimeoutError:
        peer.transport.abort()


async def test_waiting_clients_know_for_how_long() -> None:
    """The stock client rounds the number."""
    async with serving(max_clients=0) as running:
        reply, _ = await answer(running.url, OURS.serialise())
        assert Wait(float(str(reply["message"]))) == Wait(1.0)
