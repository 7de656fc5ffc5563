"""Recordings over HTTP with the scripted engine: formats, limits, faults, chunks of rooms."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import random
import threading
import wave
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from common.whisperlive.protocol import Handshake, Segments
from tests.support.audio.recordings import CODECS, RATE, Samples, Web, encode, slowed, web
from tests.support.fakes.scripted_engine import ScriptedEngine, silence, tone
from tests.support.transcribing import talking
from transcriber.audio_files import Recording
from transcriber.config import Settings
from transcriber.core.windows import Hypothesis, Window

PATH = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
CHATTER = ["alpha", *random.Random(1).choices(["alpha", "bravo", "charlie", "delta", "echo"], k=119)]
"""Two minutes of it do not repeat themselves."""


def spoken(*words: str) -> Samples:
    """Each word as an utterance of its own."""
    return np.concatenate([part for word in words for part in (silence(0.3), tone(word), silence(0.7))])


def header_only() -> bytes:
    """A WAV file without a sample."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    return target.getvalue()


async def until(done: Callable[[], bool]) -> None:
    """Looks every 10 ms, for thirty seconds."""
    for _ in range(3000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def transcribe(
    at: Web, data: bytes, fields: Mapping[str, str] | None = None, headers: Any = None
) -> httpx.Response:
    """One request as OpenAI's clients make it."""
    form = {"model": "whisper-1", **(fields or {})}
    return await at.http.post(PATH, files={"file": ("a.bin", data)}, data=form, headers=headers)


async def process(at: Web, data: bytes, **fields: Any) -> httpx.Response:
    """One chunk of room r."""
    form = {"roomId": "r", "timestamp": "1700000000", "seq": "1", **fields}
    return await at.http.post("/process", files={"audio": ("a.bin", data)}, data=form)


@pytest.mark.parametrize("kind", CODECS)
async def test_every_container_is_heard(kind: str) -> None:
    """Whatever the codec and rate."""
    async with web() as at:
        answer = await transcribe(at, encode(kind, spoken("alpha", "bravo")))
    assert (answer.status_code, answer.json()) == (200, {"text": "alpha bravo"})


async def test_every_response_format() -> None:
    """json, text, srt, vtt and verbose_json of the same recording."""
    data = encode("wav", spoken("alpha", "bravo"))
    async with web() as at:
        given = {form: await transcribe(at, data, {"response_format": form}) for form in ("text", "srt", "vtt")}
        verbose = (await transcribe(at, data, {"response_format": "verbose_json", "language": "en"})).json()
    assert given["text"].text == "alpha\nbravo\n"
    assert given["srt"].text.startswith("1\n00:00:00,")
    assert given["srt"].text.endswith("\nbravo\n\n")
    assert given["vtt"].text.startswith("WEBVTT\n\n00:00:00.")
    assert given["vtt"].headers["content-type"] == "text/vtt; charset=utf-8"
    assert (verbose["text"], verbose["language"], verbose["duration"]) == ("alpha bravo", "en", 3.2)
    first, second = verbose["segments"]
    assert first["start"] == pytest.approx(0.3, abs=0.1)
    assert second["end"] == pytest.approx(2.5, abs=0.15)


async def test_a_stream_of_events_comes_while_it_is_decoded() -> None:
    """The first segments are there although the engine has not decoded the last; each word is one, for it is alone."""
    engine = ScriptedEngine(timed=True)
    async with web(engine) as at:
        files = {"file": ("a.wav", encode("wav", spoken(*CHATTER)))}
        fields = {"model": "whisper-1", "stream": "true"}
        async with at.http.stream("POST", PATH, files=files, data=fields) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = (line async for line in answer.aiter_lines() if line)
            delta, first = [json.loads((await anext(lines)).removeprefix("data: ")) for _ in range(2)]
            decoded = len(engine.windows)
            rest = [line.removeprefix("data: ") async for line in lines]
    assert delta == {"type": "transcript.text.delta", "delta": "alpha", "segment_id": "0"}
    assert (first["type"], first["id"], first["text"]) == ("transcript.text.segment", "0", "alpha")
    assert decoded < len(engine.windows)
    assert all(len(window.samples) <= 30 * RATE for window in engine.windows)
    assert len(engine.windows) < 120 * 1.6 / 18
    assert rest[-1] == "[DONE]"
    events = [delta, *map(json.loads, rest[:-1])]
    text = " ".join(CHATTER)
    assert (events[-1]["type"], events[-1]["text"]) == ("transcript.text.done", text)
    assert "".join(event.get("delta", "") for event in events) == text


async def test_a_failed_decoding_is_an_error_not_a_gap() -> None:
    """500, also for a stream that has not begun; the next request is served."""
    engine = ScriptedEngine()
    engine.fail = 2  # a pass that fails is tried once more
    data = encode("wav", spoken("alpha", "bravo"))
    async with web(engine) as at:
        answer = await transcribe(at, data)
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "engine_failed"
        engine.fail = 2
        assert (await transcribe(at, data, {"stream": "true"})).status_code == 500
        assert (await transcribe(at, data)).json()["text"] == "alpha bravo"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "xx"}, "language"),
        ({"stream": "maybe"}, "stream"),
        ({"timestamp_granularities[]": "letter"}, "timestamp_granularities[]"),
        ({"prompt": "a" * 5000}, "prompt"),
    ],
)
async def test_wrong_fields_are_named(fields: dict[str, str], param: str) -> None:
    """400 in OpenAI's shape."""
    async with web() as at:
        answer = await transcribe(at, encode("wav", tone("alpha")), fields)
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["param"] == param


async def test_a_model_that_is_not_served_is_not_found() -> None:
    """404 in OpenAI's shape, on both of its routes."""
    files = {"file": ("a.wav", encode("wav", tone("alpha")))}
    async with web() as at:
        for path in (PATH, TRANSLATIONS):
            answer = await at.http.post(path, files=files, data={"model": "whisper-9"})
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
            assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


async def test_a_translation() -> None:
    """The engine is asked for one; the language of the answer is English, whatever was spoken."""
    engine = ScriptedEngine(timed=True)
    data = encode("wav", spoken("anton", "berta"))
    fields = {"model": "whisper-1", "response_format": "verbose_json"}
    async with web(engine) as at:
        body = (await at.http.post(TRANSLATIONS, files={"file": data}, data=fields)).json()
        srt = await at.http.post(TRANSLATIONS, files={"file": data}, data=fields | {"response_format": "srt"})
    assert (body["task"], body["language"], body["text"]) == ("translate", "en", "anton berta")
    assert srt.text.startswith("1\n00:00:00,")
    assert {(window.task, window.words) for window in engine.windows} == {("translate", False)}


async def test_bad_files_are_refused_with_a_reason() -> None:
    """Garbage, playlists, empty, no sound, no file, no form, too large by header and body, too long, absurdly slow."""
    settings = Settings(max_upload_mb=1, longest_recording=5)
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    big = b"x" * 3 * 1024 * 1024

    async def endless() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(48):
            yield big[:65536]

    async with web(settings=settings) as at:
        statuses = [
            (await transcribe(at, data)).status_code
            for data in (b"garbage" * 500, playlist, b"", header_only(), big, encode("ogg", silence(6)))
        ]
        assert statuses == [415, 415, 400, 422, 413, 413]
        for rate in (1, 8):
            bomb = await transcribe(at, slowed(encode("flac", silence(1), 96_001), rate))
            assert (bomb.status_code, f" {rate} Hz" in bomb.text) == (415, True)
        multipart = {"content-type": "multipart/form-data; boundary=b"}
        assert (await at.http.post(PATH, data={"model": "whisper-1"})).status_code == 415
        assert (await at.http.post(PATH, content=b"nonsense", headers=multipart)).status_code == 400
        assert (
            await at.http.post(PATH, content=b"--b", headers={"content-type": "multipart/form-data"})
        ).status_code == 400
        nothing = {"model": (None, "whisper-1")}
        assert (await at.http.post(PATH, files=nothing)).json()["error"]["param"] == "file"
        assert (await at.http.post(PATH, content=endless(), headers=multipart)).status_code == 413
        assert (await transcribe(at, encode("wav", spoken("alpha")))).json() == {"text": "alpha"}


async def test_a_full_disk_is_a_reason_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files above a megabyte are kept on it; smaller ones need none."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with web() as at:
        monkeypatch.setattr("tempfile.TemporaryFile", full)
        answer = await transcribe(at, bytes(2_000_000))
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_room")
        assert "Retry-After" in answer.headers
        answer = await transcribe(at, encode("wav", spoken("alpha")))
        assert answer.json() == {"text": "alpha"}


def test_a_recording_is_read_a_second_at_a_time() -> None:
    """However long its frames are: the sockets wait while somebody listens to a piece. Nothing is lost."""
    data = slowed(encode("flac", silence(2), 96_001), 4000)
    recording = Recording(io.BytesIO(data), split=False, longest=100)
    read = []
    while size := recording.read().shape[1]:
        read.append(size)
    recording.close()
    assert set(read[:-1]) == {RATE}
    assert sum(read) / RATE == pytest.approx(2 * 96_001 / 4000, abs=0.01)


async def test_a_damaged_file_gives_what_can_be_heard() -> None:
    """Its end is missing and a page in the middle is not what it was; the answer says so."""
    data = bytearray(encode("ogg", spoken("alpha", "bravo", "charlie", "delta")))
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    async with web() as at:
        answer = (await process(at, bytes(data[: len(data) * 9 // 10]))).json()
    assert answer["gate"] == "pass"
    assert answer["segments"][0]["text"] == "alpha"


async def test_the_key_is_asked_for() -> None:
    """Without it, or with another one, 401 before the body is read; health needs none."""
    data = encode("wav", spoken("alpha"))
    async with web(settings=Settings(api_key="s3cret")) as at:
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic s3cret"},
            {b"authorization": "Bearer ö".encode()},
        ):
            answer = await transcribe(at, data, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        answer = await transcribe(at, data, headers={"authorization": "Bearer s3cret"})
        assert answer.json() == {"text": "alpha"}
        assert (await process(at, data)).status_code == 401
        assert (await at.http.get("/health")).status_code == 200


async def test_a_browser_page_may_only_send_recordings_when_its_origin_is_listed() -> None:
    """403 before the body is read: a form on any page may post to any address."""
    data = encode("wav", spoken("alpha"))
    async with web(settings=Settings(allow_origins=("https://app.example.com",))) as at:
        answer = await transcribe(at, data, headers={"origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
        answer = await transcribe(at, data, headers={"origin": "https://app.example.com"})
        assert answer.json() == {"text": "alpha"}


async def test_no_more_than_allowed_at_once_and_a_client_that_leaves_makes_room() -> None:
    """503 with Retry-After while full; what the client that left wanted is dropped."""
    engine = ScriptedEngine()
    engine.go.clear()
    data = encode("wav", spoken("alpha"))
    async with web(engine, settings=Settings(max_requests=1)) as at:
        try:
            leaving = asyncio.create_task(transcribe(at, data))
            await until(lambda: bool(engine.asked))
            busy = await transcribe(at, data)
            assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            await until(lambda: at.jobs.admitted == 0)
        finally:
            engine.go.set()
        assert (await transcribe(at, data)).json() == {"text": "alpha"}


async def test_a_stream_whose_reader_leaves_is_dropped() -> None:
    """Its place is free again, and the worker has forgotten it."""
    async with web() as at:
        files = {"file": ("a.wav", encode("wav", spoken(*CHATTER * 5)))}
        fields = {"model": "whisper-1", "stream": "true"}
        async with at.http.stream("POST", PATH, files=files, data=fields) as answer:
            await anext(answer.aiter_lines())
        await until(lambda: at.jobs.admitted == 0)


async def test_an_engine_that_gives_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a remote server that is lost: 503 when the time is over in which it would have been replaced."""
    monkeypatch.setattr("transcriber.core.limits.TimeLimits.answer", 0.3)
    monkeypatch.setattr("transcriber.api.jobs.PROGRESS_CHECK_S", 0.05)
    engine = ScriptedEngine()
    engine.go.clear()
    async with web(engine) as at:
        answer = await asyncio.wait_for(transcribe(at, encode("wav", spoken("alpha"))), 10)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_stalled")
        assert "retry-after" in answer.headers
        engine.go.set()
        assert (await transcribe(at, encode("wav", spoken("alpha")))).json()["text"] == "alpha"


async def test_a_stream_that_fails_late_ends_with_an_error_event() -> None:
    """What was understood before stays; no text is called complete."""
    engine = ScriptedEngine(timed=True)
    async with web(engine) as at:
        files = {"file": ("a.wav", encode("wav", spoken(*CHATTER)))}
        fields = {"model": "whisper-1", "stream": "true"}
        async with at.http.stream("POST", PATH, files=files, data=fields) as answer:
            lines = (line.removeprefix("data: ") async for line in answer.aiter_lines() if line)
            assert json.loads(await anext(lines))["delta"] == "alpha"
            engine.fail = 2
            *events, error, done = [line async for line in lines]
    assert not any("transcript.text.done" in event for event in events)
    assert (json.loads(error)["error"]["code"], done) == ("engine_failed", "[DONE]")


@pytest.mark.parametrize("leaves", [True, False])
async def test_half_an_upload_holds_its_place_for_a_while_only(leaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its client leaves, or 408."""
    monkeypatch.setattr("transcriber.api.forms.UPLOAD_TIMEOUT_S", 60.0 if leaves else 0.3)
    async with web() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.http.base_url.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        writer.write(f"{head}Content-Length: 1000\r\n\r\n--b\r\n".encode())
        await until(lambda: at.jobs.admitted == 1)
        if not leaves:
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await until(lambda: at.jobs.admitted == 0)
        status = 499 if leaves else 408
        assert f'{{route="{PATH}",status="{status}"}} 1.0' in (await at.http.get("/metrics")).text


async def test_stopping_waits_for_what_is_under_way_and_then_says_so() -> None:
    """New requests are told to come back; one that the engine does not get done in time too."""
    engine = ScriptedEngine()
    data = encode("wav", spoken("alpha", "bravo"))
    async with web(engine) as at:
        engine.go.clear()
        slow = asyncio.create_task(transcribe(at, data))
        await until(lambda: bool(engine.asked))
        draining = asyncio.create_task(at.jobs.drain(0.3))
        await asyncio.sleep(0.05)
        assert (await transcribe(at, data)).json()["error"]["code"] == "not_ready"
        await draining
        answer = await slow
        engine.go.set()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")


async def test_before_the_model_is_there_clients_are_told_to_come_back() -> None:
    """503, not a crash."""
    async with web(working=False) as at:
        assert (await transcribe(at, b"x")).status_code == 503


async def test_windows_go_together_where_the_engine_batches_and_alone_where_it_does_not() -> None:
    """Those of one recording, too."""
    for batch in (1, 3):
        engine = ScriptedEngine(timed=True)
        engine.full_batch = batch
        engine.go.clear()
        async with web(engine) as at:
            try:
                asked = asyncio.create_task(transcribe(at, encode("wav", spoken(*CHATTER)), {"language": "en"}))
                await until(lambda at=at, batch=batch: at.worker.waiting == batch)  # type: ignore[misc]
            finally:
                engine.go.set()
            assert (await asked).json() == {"text": " ".join(CHATTER)}
        assert (engine.asked == len(engine.windows)) is (batch == 1)


class Deliberate(ScriptedEngine):
    """Takes its time for recordings."""

    def __init__(self) -> None:
        super().__init__(timed=True)
        self.goes_on = threading.Event()

    def transcribe(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis per window."""
        if windows[0].packed:
            self.asked += 1
            self.goes_on.wait(30)
        return super().transcribe(windows)


async def test_where_two_calls_are_made_at_once_one_is_left_for_those_who_are_live() -> None:
    """However many recordings there are; a window of 30 s takes seconds on a CPU."""
    engine = Deliberate()
    async with web(engine, parallel=2) as at, talking(at.ws_url, Handshake("live", language="en")) as client:
        try:
            data = encode("wav", spoken(*CHATTER[:20]))
            asked = [asyncio.create_task(transcribe(at, data)) for _ in range(3)]
            await until(lambda: (engine.asked, at.worker.waiting) == (1, 2))
            await client.say(spoken("bravo"), silence(1))
            final = await client.until(lambda event: isinstance(event, Segments) and event.segments[-1].completed)
            assert isinstance(final, Segments)
            assert final.segments[-1].text.strip() == "bravo"
        finally:
            engine.goes_on.set()
        assert {(await answer).json()["text"] for answer in asked} == {" ".join(CHATTER[:20])}


async def test_what_is_no_request_is_answered_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Anybody can send as much of it as they like; a websocket is told that none is here."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}  # fmt: skip
    async with web() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.http.base_url.port)
        writer.write(b"\x16\x03\x01\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        assert (await at.http.get("/", headers=upgrade)).status_code == 404
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


async def test_requests_are_counted() -> None:
    """By route and status."""
    async with web() as at:
        await transcribe(at, encode("wav", tone("alpha")))
        await process(at, b"garbage")
        text = (await at.http.get("/metrics")).text
    assert 'transcriber_requests_total{route="/v1/audio/transcriptions",status="200"} 1.0' in text
    assert 'transcriber_requests_total{route="/process",status="415"} 1.0' in text
