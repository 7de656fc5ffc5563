"""Audio files of every kind, made in memory, and a transcriber with its HTTP routes on real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from common.http import http_server
from tests.support.fakes.scripted_engine import ScriptedEngine, speech_probabilities
from tests.support.servers.threaded import Threaded
from transcriber.api.jobs import Jobs
from transcriber.api.routes import Api
from transcriber.api.server import ServiceHealth, application
from transcriber.config import Settings
from transcriber.core.session import SpeechProbabilities
from transcriber.engine.base import Engine
from transcriber.metrics import Metrics
from transcriber.service import listen
from transcriber.websocket.admission import Admission
from transcriber.websocket.server import Server
from transcriber.windowed import WindowedSessions
from transcriber.worker import Worker

RATE = 16_000
CLIPS = Path(__file__).parents[3] / "rehearsal" / "clips"
Samples = npt.NDArray[np.int16]
CODECS = {"wav": "pcm_s16le", "ogg": "libopus", "webm": "libopus", "mp4": "aac", "mp3": "libmp3lame", "flac": "flac"}


def clips() -> list[tuple[str, Samples]]:
    """Sentences that the demo model was not trained on: text and samples."""
    listed = json.loads((CLIPS / "manifest.json").read_text(encoding="utf-8"))["clips"]
    return [(clip["text"], _samples(CLIPS / f"{clip['name']}.wav")) for clip in listed]


def _samples(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def encode(kind: str, samples: Samples, rate: int = 48_000, **options: str) -> bytes:
    """A file of this kind with 16 kHz samples of shape (n,), or (2, n) for stereo, at another rate; `options` are the
    muxer's."""
    planes = np.atleast_2d(samples)
    layout = "stereo" if len(planes) == 2 else "mono"
    target = io.BytesIO()
    with av.open(target, "w", format=kind, options=options) as container:
        stream = container.add_stream(CODECS[kind], rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        resampler = AudioResampler(context.format.name, layout, rate, frame_size=context.frame_size or 960)
        for first in range(0, planes.shape[1], 8000):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes[:, first : first + 8000]), "s16p", layout)
            frame.sample_rate = RATE
            for out in resampler.resample(frame):
                container.mux(stream.encode(out))
        for out in resampler.resample(None):
            container.mux(stream.encode(out))
        container.mux(stream.encode(None))
    return target.getvalue()


def slowed(flac: bytes, rate: int) -> bytes:
    """A FLAC file that says another sample rate, where it was made with one that only its head says (96,001 Hz)."""
    head, place = bytearray(flac), 18  # "fLaC", the head's own head, block and frame sizes; then 20 bits
    rest = int.from_bytes(head[place : place + 3]) & 0xF
    head[place : place + 3] = (rate << 4 | rest).to_bytes(3)
    return bytes(head)


@dataclass(slots=True)
class Web:
    """A running transcriber."""

    http: httpx.AsyncClient
    ws_url: str
    jobs: Jobs
    worker: Worker
    metrics: Metrics


@asynccontextmanager
async def web(
    engine: Engine | None = None,
    *,
    speech: Callable[[], SpeechProbabilities] | None = None,
    settings: Settings | None = None,
    working: bool = True,
    parallel: int = 1,
) -> AsyncIterator[Web]:
    """Websocket and HTTP on free ports until the block ends; `working`: with an engine that takes jobs."""
    settings, metrics = settings or Settings(), Metrics()
    hears = speech or (lambda: speech_probabilities)
    decoder = Threaded(engine or ScriptedEngine(timed=True), parallel)
    worker = Worker(decoder, metrics)
    sessions = WindowedSessions(decoder, worker, hears)
    server = Server(sessions, 64, Admission(None, (), 64, metrics), metrics)
    jobs = Jobs(settings.max_requests, metrics)
    if working:
        jobs.start(decoder, worker, hears)
    status = ServiceHealth("m", max_clients=1, phase="serving")
    guest = http_server(application(lambda: status, metrics, Api(settings, jobs, metrics).routes()), None)
    socket, http_socket = listen("127.0.0.1", 0, "--port"), listen("127.0.0.1", 0, "--http-port")
    tasks = [asyncio.create_task(worker.run()), asyncio.create_task(guest.serve(sockets=[http_socket]))]
    base = f"http://127.0.0.1:{http_socket.getsockname()[1]}"
    try:
        async with (
            server.listen(socket),
            httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client,
        ):
            yield Web(client, f"ws://127.0.0.1:{socket.getsockname()[1]}", jobs, worker, metrics)
    finally:
        guest.should_exit = True
        await tasks[1]
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        http_socket.close()
