"""A server with OpenAI's API without a model: tones are words. It does as its script says, then answers honestly."""

from __future__ import annotations

import asyncio
import io
import wave
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from common.http import http_server
from tests.support.fakes.scripted_engine import RATE, ScriptedEngine
from transcriber.core.windows import Window
from transcriber.service import listen

Step = Callable[["ScriptedOpenAI"], Awaitable[Response | None]]


class ScriptedOpenAI:
    """Each step of `script` has the next call; None from it: answered honestly after all.

    Attributes:
        formats: Response formats that it takes; others are 400.
        granularities: Whether it takes `word`.
        key: What it asks for.
        calls: The fields of each call, with its `seconds`, `task` and whether it was `probe` silence.
        script: What happens to the next calls.
    """

    def __init__(self) -> None:
        self.url = ""
        self.formats = {"json", "verbose_json"}
        self.granularities = True
        self.key: str | None = None
        self.language = ""
        """What it hears where no language is asked for; empty: it does not say."""
        self.calls: list[dict[str, Any]] = []
        self.script: deque[Step] = deque()
        self.always: Step | None = None
        """What happens to every call."""
        self.over = asyncio.Event()
        """It is being stopped."""

    @property
    def windows(self) -> list[dict[str, Any]]:
        """The calls with speech in them."""
        return [call for call in self.calls if not call["probe"]]

    async def answer(self, request: Request) -> Response:
        """One call."""
        form = await request.form()
        file = form["file"]
        assert isinstance(file, UploadFile)
        with wave.open(io.BytesIO(await file.read())) as audio:
            samples = np.frombuffer(audio.readframes(audio.getnframes()), "<i2").astype(np.int16)
        await form.close()
        call: dict[str, Any] = {name: form.getlist(name) for name in form if name != "file"}
        call = {name: values[0] if len(values) == 1 else values for name, values in call.items()}
        call |= {"seconds": len(samples) / RATE, "probe": not samples.any(), "task": request.path_params["task"]}
        self.calls.append(call)
        step = self.always or (self.script.popleft() if self.script else None)
        if step and (scripted := await step(self)):
            return scripted
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return refusal(401, f"Incorrect API key: {request.headers.get('authorization')}", "invalid_api_key")
        if call["response_format"] not in self.formats or not (
            self.granularities or "timestamp_granularities[]" not in call
        ):
            return refusal(400, "response_format is not compatible with this model", "unsupported_value")
        return JSONResponse(self._heard(call, samples))

    def _heard(self, call: dict[str, Any], samples: Any) -> dict[str, Any]:
        [heard] = ScriptedEngine().transcribe([Window(samples, language=call.get("language"))])
        body: dict[str, Any] = {"text": heard.text}
        if call["response_format"] == "verbose_json":
            segment = {
                "text": heard.text,
                "avg_logprob": -0.125,
                "no_speech_prob": 0.0625,
                "tokens": heard.text.split(),
            }
            body |= {"language": call.get("language", self.language), "segments": [segment]}
        if "timestamp_granularities[]" in call:
            words = heard.text.split()
            step = call["seconds"] / max(1, len(words))
            body["words"] = [{"word": w, "start": n * step, "end": (n + 1) * step} for n, w in enumerate(words)]
        return body


def refusal(status: int, message: str = "no", code: str | None = None, **headers: str) -> JSONResponse:
    """An error in OpenAI's shape; `retry_after` is a header."""
    error = {"message": message, "type": "error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, {name.replace("_", "-"): value for name, value in headers.items()})


def says(status: int, message: str = "no", code: str | None = None, **headers: str) -> Step:
    """A step: this error."""

    async def step(_: ScriptedOpenAI) -> Response:
        return refusal(status, message, code, **headers)

    return step


def sends(body: bytes) -> Step:
    """A step: 200 with this body."""

    async def step(_: ScriptedOpenAI) -> Response:
        return Response(body)

    return step


async def hangs(server: ScriptedOpenAI) -> None:
    """A step: no answer, as long as there is a server."""
    await server.over.wait()


def breaks() -> Step:
    """A step: the connection ends in the middle of the answer."""

    async def step(_: ScriptedOpenAI) -> Response:
        async def half() -> AsyncIterator[bytes]:
            yield b'{"text": "al'
            raise ConnectionAbortedError

        return StreamingResponse(half(), headers={"content-length": "100"})

    return step


def until(event: asyncio.Event) -> Step:
    """A step: an answer only after the event."""

    async def step(_: ScriptedOpenAI) -> None:
        await event.wait()

    return step


@asynccontextmanager
async def scripted_openai(port: int = 0) -> AsyncIterator[ScriptedOpenAI]:
    """On a free port, or this one, until the block ends."""
    server = ScriptedOpenAI()
    listener = listen("127.0.0.1", port, "port")
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    app = Starlette(routes=[Route("/v1/audio/{task}", server.answer, methods=["POST"])])
    guest = http_server(app, None)
    serving = asyncio.create_task(guest.serve(sockets=[listener]))
    try:
        yield server
    finally:
        server.over.set()
        guest.should_exit = True
        await serving
        listener.close()
