"""The server on a real socket, with an engine that hears tones as words: the protocol, with and without extensions."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from common.whisperlive.messages import AUDIO_FORMATS
from common.whisperlive.protocol import EXTENSIONS, Acked, Handshake, LanguageDetected, Resume, Segments, Warned
from tests.support.fakes.scripted_engine import ScriptedEngine, silence, tone
from tests.support.fakes.stock_client import StockClient
from tests.support.transcribing import serving, talking
from tests.support.waiting import eventually
from transcriber.core.policy import FIRST_PARTIAL_SAMPLES

pytestmark = pytest.mark.slow
OURS = Handshake("u", language="en", extensions=EXTENSIONS)


async def test_an_utterance_is_final_as_soon_as_the_client_says_so() -> None:
    """Partials, one final with the same id, then the acknowledgement; no silence needed."""
    async with serving() as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha"), tone("bravo"))
        end = await client.end_utterance()
        await client.acked(end)
        assert client.text == ["alpha bravo"]
        assert {segment.segment_id for segment in client.segments} == {"u:1"}
        assert {segment.language for segment in client.segments} == {"en"}
        last_two = client.events[-2:]
        assert isinstance(last_two[0], Segments)
        assert last_two[1] == Acked(end)


async def test_partials_come_while_somebody_speaks() -> None:
    """The first after 0.4 s of speech; then one careful pass for the pause, and none without new speech."""
    engine = ScriptedEngine()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha", FIRST_PARTIAL_SAMPLES / 16_000 + 0.2))
        partial = await client.until(lambda event: isinstance(event, Segments))
        assert isinstance(partial, Segments)
        assert (partial.segments[0].text, partial.segments[0].completed) == (" alpha", False)
        await client.say(silence(3))
        await asyncio.sleep(0.2)
        assert [window.careful for window in engine.windows] == [False, True]


async def test_two_utterances_never_mix() -> None:
    """What was sent after an end belongs to the next segment, even if it came before the decoding."""
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        for word in ("alpha", "bravo", "charlie"):
            await client.say(tone(word))
            end = await client.end_utterance()
        engine.go.set()
        await client.acked(end)
        assert client.text == ["alpha", "bravo", "charlie"]
        assert [segment.segment_id for segment in client.finals] == ["u:1", "u:2", "u:3"]


async def test_silence_is_acknowledged_without_a_decoding() -> None:
    """Digital zeros between two ends are decided at once."""
    engine = ScriptedEngine()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(silence(2))
        await client.acked(await client.end_utterance())
        assert (client.segments, engine.windows) == ([], [])


async def test_long_speech_gives_several_segments() -> None:
    """Cut at the quiet point, as nothing after it was committed; nothing is lost between them."""
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as client:
        await client.say(tone("alpha", 11), silence(0.3), tone("bravo", 6))
        end = await client.end_utterance()
        await asyncio.sleep(2.5)  # the server reads on at four times real time
        engine.go.set()
        await client.acked(end)
        assert client.text == ["alpha", "bravo"]
        first, second = client.finals
        assert 11 <= first.end <= second.start + 0.001 <= 11.4


async def test_a_resumed_clock_goes_on() -> None:
    """Times and acknowledgements are on the clock of the connection before."""
    hello = Handshake("u2", language="en", extensions=EXTENSIONS, resume=Resume("u", 160_000))
    async with serving() as running, talking(running.url, hello) as client:
        await client.say(silence(0.5), tone("alpha"))
        end = await client.end_utterance()
        assert end == 160_000 + 17_600
        await client.acked(end)
        assert abs(client.finals[0].start - 10.5) < 0.1


async def test_without_the_extension_the_server_hears_the_end() -> None:
    """Silence ends an utterance; it is acknowledged as it passes."""
    hello = Handshake("u", language="en", extensions=frozenset({"ack"}))
    async with serving() as running, talking(running.url, hello) as client:
        await client.say(silence(1), tone("alpha"), silence(1), tone("bravo"), silence(1))
        await client.acked(3 * 16_000)
        assert client.text == ["alpha", "bravo"]
        assert abs(client.finals[0].start - 1) < 0.2
        assert all(segment.segment_id is None for segment in client.segments)


async def test_a_stock_client_that_stops_sending_has_finished_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a file, or a client that sends no silence: the final comes without END_OF_AUDIO, and it may go on."""
    monkeypatch.setattr("transcriber.websocket.connection.PAUSE_S", 0.3)
    async with serving() as running, talking(running.url, Handshake("u", language="en")) as client:
        for number, word in enumerate(("alpha", "bravo"), start=1):
            await client.say(tone(word))
            await client.until(lambda event: isinstance(event, Segments) and event.segments[-1].completed)
            assert len(client.finals) == number
        assert client.text == ["alpha", "bravo"]


async def test_a_stock_client_gets_every_word_once() -> None:
    """Its own rules, on our messages: both ready forms, string times, history, the tail at END_OF_AUDIO."""
    stock, raw = StockClient("s1"), []
    hello = Handshake("s1", language="en", model="small").serialise()
    async with serving() as running, connect(running.url, proxy=None, ping_interval=None) as socket:
        await socket.send(hello)
        raw += [str(await socket.recv()), str(await socket.recv())]
        for piece in (tone("alpha"), silence(0.8), tone("alpha"), silence(0.8), tone("bravo"), tone("charlie", 0.7)):
            await socket.send((piece.astype("<f4") / 32768).tobytes())
        await socket.send(b"END_OF_AUDIO")
        raw += [str(message) async for message in socket]
        assert socket.close_code == 1000
    for message in raw:
        stock.on_message(message)
    assert stock.ready
    assert stock.subtitles() == [" alpha", " alpha", " bravo charlie"]
    assert '"status": "SERVER_READY"' in raw[0]
    assert '"completed": false' in raw[-2]
    assert '"completed": true' in raw[-1]


@pytest.mark.parametrize("name", sorted(AUDIO_FORMATS))
async def test_each_format_of_samples_is_heard(name: str) -> None:
    """As the client names it in its first message; float32 if it names none."""
    pcm = np.concatenate((tone("alpha"), silence(0.7), tone("bravo")))
    formats: dict[str, Any] = {"float32": pcm / np.float32(32768), "int16": pcm, "uint8": (pcm >> 8) + 128}
    async with serving() as running, talking(running.url, Handshake("u", "en", audio_format=name)) as client:
        await client.socket.send(formats[name].astype(AUDIO_FORMATS[name]).tobytes())
        await client.socket.send(client.protocol.end_of_audio())
        assert await client.rest() == 1000
        assert client.text == ["alpha", "bravo"]


async def test_what_a_stock_client_asks_for_reaches_the_model() -> None:
    """All keys of its first message; of its last segments it gets as many as it wants again."""
    engine = ScriptedEngine()
    hello = Handshake(
        "u", "en", "transcribe", "small", hotwords="Ben", initial_prompt="Ana", word_timestamps=True,
        send_last_n_segments=1, no_speech_thresh=0.1, clip_audio=True, same_output_threshold=2, use_vad=False,
        vad_parameters={"onset": 0.6, "min_silence_duration_ms": 200},
    )  # fmt: skip
    async with serving(engine) as running, talking(running.url, hello) as client:
        for word in ("alpha", "bravo", "charlie"):
            await client.say(tone(word), silence(0.5))
        await client.socket.send(client.protocol.end_of_audio())
        assert await client.rest() == 1000
        assert client.text == ["alpha", "bravo", "charlie"]
        assert {(w.language, w.task, w.prompt, w.words) for w in engine.windows} == {
            ("en", "transcribe", "Ana Ben", True)
        }
        assert max(len(event.segments) for event in client.events if isinstance(event, Segments)) == 2


async def test_the_language_is_told_once_when_it_was_not_given() -> None:
    """After enough speech."""
    async with serving() as running, talking(running.url, Handshake("u", extensions=EXTENSIONS)) as client:
        for word in ("alpha", "bravo", "charlie"):
            await client.say(tone(word, 1.5))
            await client.acked(await client.end_utterance())
        assert [e for e in client.events if isinstance(e, LanguageDetected)] == [LanguageDetected("en", 1.0)]


async def test_a_stream_is_read_at_four_times_real_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst is free; then the reader slows down, and nothing is lost."""
    monkeypatch.setattr("transcriber.core.pace.BURST_S", 0.4)
    async with serving() as running, talking(running.url, OURS) as client:
        started = asyncio.get_running_loop().time()
        await client.say(tone("alpha", 4.4))
        await client.acked(await client.end_utterance())
        assert asyncio.get_running_loop().time() - started >= 0.95
        assert client.text == ["alpha"]


@pytest.mark.parametrize("light", [b"", b"\0\0\0\0", '{"type": "speaker_activity"}'])
async def test_tiny_messages_are_read_at_800_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch, light: str | bytes
) -> None:
    """They hold next to no audio, so its limit would let any number of them keep the loop from everybody else."""
    monkeypatch.setattr("transcriber.core.pace.BURST_S", 0.1)
    hello = Handshake("u", language="en", platform="p", meeting_url="m", token="t", meeting_id=1)
    async with serving() as running, talking(running.url, hello) as client:
        started = asyncio.get_running_loop().time()
        for _ in range(400):
            await client.socket.send(light)
        await client.say(tone("alpha"), silence(0.7))
        await client.until(lambda event: isinstance(event, Segments))
        assert asyncio.get_running_loop().time() - started >= 0.45
        assert client.segments[0].text == " alpha"


async def test_an_engine_that_does_not_keep_up_slows_the_reader_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More audio than the ring holds, while the engine hangs."""
    monkeypatch.setattr("transcriber.core.pace.MAX_READ_SPEED", 10_000)
    engine = ScriptedEngine()
    engine.go.clear()
    async with serving(engine) as running, talking(running.url, OURS) as client:

        async def speak() -> int:
            for n in range(16):
                await client.say(tone("alpha" if n % 2 else "bravo", 5))
                end = await client.end_utterance()
            return end

        speaking = asyncio.create_task(speak())
        await asyncio.sleep(0.5)
        engine.go.set()
        await client.until(lambda event: isinstance(event, Acked) and event.sample >= 80 * 16_000, timeout=15)
        assert await speaking == 80 * 16_000
        assert client.text == ["bravo", "alpha"] * 8


async def test_frames_may_be_of_any_size_up_to_the_limit() -> None:
    """One sample, or a whole megabyte."""
    async with serving() as running, talking(running.url, OURS) as client:
        for sample in tone("alpha", 0.01):
            await client.socket.send(client.protocol.audio(np.array([sample], np.int16)))
        await client.socket.send(
            client.protocol.audio(np.concatenate([tone("alpha", 1), silence(8), tone("bravo", 1)]))
        )
        await client.acked(await client.end_utterance())
        assert client.text == ["alpha bravo"]


async def test_what_is_not_to_be_had_is_said() -> None:
    """The stream goes on without."""
    async with (
        serving() as running,
        talking(running.url, Handshake("u", enable_translation=True, enable_diarization=True)) as client,
    ):
        for key in ("enable_translation", "enable_diarization"):
            assert str(await client.until(lambda event: isinstance(event, Warned))).count(key) == 1
        await client.say(tone("alpha"), silence(1))
        await client.until(lambda event: isinstance(event, Segments))


async def test_who_goes_on_while_a_pass_is_waiting_is_served_later() -> None:
    """The pause that was to be decoded is over before the engine is free: nothing is due any more, until the end."""
    engine = ScriptedEngine()
    engine.go.clear()
    async with (
        serving(engine) as running,
        talking(running.url, OURS) as busy,
        talking(running.url, Handshake("v", language="en", extensions=EXTENSIONS)) as client,
    ):
        await busy.say(tone("alpha", 0.6))
        await eventually(lambda: engine.asked)
        await client.say(tone("bravo", 0.2), silence(0.3))
        await eventually(lambda: running.worker.waiting)
        await client.say(tone("bravo", 0.1))
        await eventually(lambda: not running.worker.waiting)
        engine.go.set()
        await client.acked(await client.end_utterance())
        await busy.acked(await busy.end_utterance())
        assert (client.text, busy.text) == (["bravo"], ["alpha"])


async def test_small_messages_gather_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends 20 ms at a time in real time is looked at every 60 ms until it speaks; its words come."""
    loop = asyncio.get_running_loop()
    looks: list[float] = []
    async with serving() as running, talking(running.url, OURS) as client:
        [connection] = running.server._connections
        hear = connection._session.hear

        def listen(*given: Any) -> bool:
            looks.append(loop.time())
            return hear(*given)

        monkeypatch.setattr(connection._session, "hear", listen)
        said = np.concatenate([silence(1.0), tone("alpha", 0.5), tone("bravo", 0.5), silence(0.1)])
        began = loop.time()
        for first in range(0, len(said), 320):
            await asyncio.sleep(began + first / 16_000 - loop.time())
            await client.socket.send(client.protocol.audio(said[first : first + 320]))
        await client.acked(await client.end_utterance())
        assert client.text == ["alpha bravo"]
        assert len(looks) == len(said) / 320
        together = sum(later - before < 0.005 for before, later in pairwise(looks[:50]))
        assert together > 50 / 3
