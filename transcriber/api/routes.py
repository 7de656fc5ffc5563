"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`, as OpenAI has them, and `POST /process`: one chunk of a
room's audio."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from common.whisperlive.protocol import SAMPLE_RATE, Handshake
from transcriber.api.forms import MEGABYTE, Upload, authorise, read
from transcriber.api.jobs import Jobs, Run
from transcriber.audio_files import Recording
from transcriber.config import Settings
from transcriber.core import subtitles
from transcriber.core.subtitles import Line
from transcriber.core.uploads import AnswerCache, ApiError, ChunkForm, TranscriptionForm, requested_language
from transcriber.metrics import Metrics

RETRY_AFTER_S = "2"
"""Seconds, told to those for whom there is no room."""
CLIENT_GONE_STATUS = 499
"""Status in metrics and logs of a request whose client has left."""

Result = TypeVar("Result")
Serve = Callable[[Request, AsyncExitStack], Awaitable[Response]]
Start = Callable[[Recording, Handshake], Run]

log = structlog.get_logger(__name__)


class Api:
    """The routes.

    Args:
        settings: Key and limits.
        jobs: Decodes.
        metrics: Counts requests.
    """

    def __init__(self, settings: Settings, jobs: Jobs, metrics: Metrics) -> None:
        self._settings = settings
        self._jobs = jobs
        self._metrics = metrics
        self._answers = AnswerCache()
        self._under_way: dict[tuple[str, ...], asyncio.Event] = {}

    def routes(self) -> list[Route]:
        """For the application."""
        serve: dict[str, Serve] = {
            "/v1/audio/transcriptions": partial(self._transcribe, "transcribe"),
            "/v1/audio/translations": partial(self._transcribe, "translate"),
            "/process": self._process,
        }
        return [Route(path, partial(self._answer, route), methods=["POST"]) for path, route in serve.items()]

    async def _answer(self, serve: Serve, request: Request) -> Response:
        """Runs a route; whatever goes wrong is an answer in JSON."""
        started = time.monotonic()
        response: Response
        async with AsyncExitStack() as stack:
            try:
                authorise(request, self._settings.api_key, self._settings.allow_origins)
                response = await serve(request, stack)
            except ApiError as error:
                response = _refusal(error)
            except ClientDisconnect:
                response = Response(status_code=CLIENT_GONE_STATUS)
            except Exception:  # a bug in one request must not take the others along
                log.exception("request.failed", route=request.url.path)
                response = _refusal(ApiError(500, "Internal error: send it again; the log says more."))
            if isinstance(response, EventStream):
                response.stack = stack.pop_all()
        self._metrics.requests.labels(request.url.path, response.status_code).inc()
        seconds = time.monotonic() - started
        log.info("request.served", route=request.url.path, status=response.status_code, ms=round(1000 * seconds))
        return response

    # --- OpenAI's --------------------------------------------------------------------------------------------------

    async def _transcribe(self, task: str, request: Request, stack: AsyncExitStack) -> Response:
        decoder, start = stack.enter_context(self._jobs.admission())
        upload = await read(request, stack, file="file", largest=self._largest)
        models = {decoder.name, PurePath(decoder.name).name, "whisper-1"}
        form = TranscriptionForm.parse(upload.fields, upload.granularities, models, decoder.languages)
        hello = Handshake("http", language=form.language, task=task, initial_prompt=form.prompt)
        run = start(self._recording(upload, split=False), hello)
        lines = run.lines()
        stack.push_async_callback(lines.aclose)
        if form.stream:
            # Not before there is a line: a file that cannot be read gets its status.
            first = await _unless_gone(request, anext(lines, None))
            return EventStream(_events(first, lines), media_type="text/event-stream")
        said = await _unless_gone(request, _all(lines))
        return _written(form, said, run, task, form.language or _language(run, said))

    # --- chunks of rooms -------------------------------------------------------------------------------------------

    async def _process(self, request: Request, stack: AsyncExitStack) -> Response:
        decoder, start = stack.enter_context(self._jobs.admission())
        upload = await read(request, stack, file="audio", largest=self._largest)
        form = ChunkForm.parse(upload.fields)
        spoken = requested_language(upload.fields, decoder.languages)
        key = form.key(await asyncio.to_thread(_hash, upload))
        while waiting := self._under_way.get(key):  # if that one fails, this one is not in vain
            await waiting.wait()
        if answer := self._answers.find(key):
            return JSONResponse({**answer, "gate": "duplicate", "memory_state": self._answers.state(form.room)})
        done = self._under_way[key] = asyncio.Event()
        try:
            run = start(self._recording(upload, split=not form.mixed), Handshake("http", language=spoken))
            lines = run.lines(form.channel)
            stack.push_async_callback(lines.aclose)
            said = await _unless_gone(request, _all(lines))
            answer = _chunk(form, said, run, spoken or _language(run, said))
            self._answers.keep(key, form, answer)
        finally:
            del self._under_way[key]
            done.set()
        return JSONResponse({**answer, "memory_state": self._answers.state(form.room)})

    def _recording(self, upload: Upload, *, split: bool) -> Recording:
        return Recording(upload.file.file, split=split, longest=self._settings.longest_recording)

    @property
    def _largest(self) -> int:
        return self._settings.max_upload_mb * MEGABYTE


class EventStream(StreamingResponse):
    """Server-sent events; what they need stays open until the last one, or until the client is gone."""

    stack: AsyncExitStack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        async with self.stack:
            await super().__call__(scope, receive, send)


async def _events(first: Line | None, lines: AsyncGenerator[Line]) -> AsyncGenerator[str]:
    """OpenAI's event types, then `[DONE]`; an error that comes late is an event too."""
    said: list[Line] = []
    try:
        if first:
            yield _spoken(said, first)
            async for line in lines:
                yield _spoken(said, line)
        yield _event({"type": "transcript.text.done", "text": subtitles.plain(said)})
    except ApiError as error:
        yield _event(error.body)
    yield "data: [DONE]\n\n"


def _spoken(said: list[Line], line: Line) -> str:
    """The events of one more utterance: its text for clients that only put texts together, then all of it."""
    name, space = str(len(said)), subtitles.separator(len(said), line)
    delta = {"type": "transcript.text.delta", "delta": space + line.text, "segment_id": name}
    segment = {**subtitles.segment(len(said), line), "type": "transcript.text.segment", "id": name}
    said.append(line)
    return _event(delta) + _event(segment)


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _all(lines: AsyncGenerator[Line]) -> list[Line]:
    return sorted([line async for line in lines], key=lambda line: (line.start, line.channel))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Result] | Awaitable[Result]) -> Result:
    """The result of the work, which is cancelled if the client leaves. The body has been read."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _written(form: TranscriptionForm, said: list[Line], run: Run, task: str, spoken: str) -> Response:
    if known := subtitles.TEXT_FORMATS.get(form.format):
        write, media_type = known
        return Response(write(said), media_type=f"{media_type}; charset=utf-8")
    if form.format == "json":
        return JSONResponse({"text": subtitles.plain(said)})
    duration, language = run.recording.samples / SAMPLE_RATE, "en" if task == "translate" else spoken
    return JSONResponse(
        subtitles.verbose(
            said, duration=duration, language=language, task=task, segments=form.segments, words=form.words
        )
    )


def _chunk(form: ChunkForm, said: list[Line], run: Run, spoken: str) -> dict[str, Any]:
    """The answer without what changes: the state of the memory."""
    is_one = run.channels == 1

    def shown(line: Line) -> dict[str, Any]:
        channel = form.channel if is_one and form.channel is not None else line.channel
        times = {"start": round(line.start, 3), "end": round(line.end, 3)}
        return {
            **times,
            "text": line.text,
            "channel": channel,
            "role": form.role_of(channel),
            "language": line.language,
            "doubtful": line.is_doubtful,
        }

    return {
        "chunk_id": form.chunk_id,
        "gate": "pass" if said else "rejected" if run.decoded else "silence",
        "new_insights": [],
        "meta": {
            **form.meta,
            "timestamp": form.timestamp,
            "duration": round(run.recording.samples / SAMPLE_RATE, 3),
            "language": spoken,
            "channels": run.channels,
            "identical_channels": not is_one and form.channel is None and run.alike,
            "damaged_packets": run.recording.damaged,
        },
        "segments": [shown(line) for line in said],
    }


def _hash(upload: Upload) -> bytes:
    """SHA-256 of the file, which is rewound."""
    found, file = hashlib.sha256(), upload.file.file
    while block := file.read(MEGABYTE):
        found.update(block)
    file.seek(0)
    return found.digest()


def _language(run: Run, said: list[Line]) -> str:
    """What was found."""
    return run.detected or next((line.language for line in said), "")


def _refusal(error: ApiError) -> JSONResponse:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": RETRY_AFTER_S}}.get(error.status)
    return JSONResponse(error.body, error.status, headers)
