"""The composition root: model, worker, websocket and HTTP server in one TaskGroup, until a signal."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from common import tls
from common.audio.silero import SileroModel
from common.http import http_server
from common.metrics import total
from transcriber.api.jobs import Jobs
from transcriber.api.routes import Api
from transcriber.api.server import Phase, ServiceHealth, application
from transcriber.config import Settings, SettingsError
from transcriber.engine.base import Decoder, ModelError, SupervisedDecoder
from transcriber.engine.process import EngineProcess
from transcriber.metrics import Metrics
from transcriber.websocket.admission import Admission
from transcriber.websocket.server import Server
from transcriber.windowed import WindowedSessions
from transcriber.worker import Worker

SEND_BUFFER_BYTES = 64 * 1024
"""Bytes that the system takes for a client before it has read those before; left alone it takes up to 4 MiB."""
M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES = -3, 128 * 1024
"""Blocks of this many bytes are the system's again as soon as they are free, as malloc(3) has it at first. By itself it
soon puts even a stream's two megabytes among small blocks, and a thousand short streams cost up to 10 MB for good."""

log = structlog.get_logger(__name__)


class PortError(Exception):
    """A port cannot be listened on."""


async def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ModelError: no usable model.
        SettingsError: both ports are the same, or certificate or key cannot be used.
        PortError: a port is taken or not allowed.
    """
    if settings.port and settings.port == settings.http_port:
        raise SettingsError(f"--port and --http-port are both {settings.port}: they must differ.")
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    http_listener = listen(settings.host, settings.http_port, "--http-port")
    listener = listen(settings.host, settings.port, "--port")
    try:
        await Service(settings, listener, http_listener).run(stop)
    finally:
        listener.close()
        http_listener.close()


class Service:
    """One transcriber."""

    def __init__(self, settings: Settings, listener: socket.socket, http_listener: socket.socket) -> None:
        self._settings = settings
        try:
            self._tls = tls.server_context(settings.tls_certificate, settings.tls_key)
        except tls.CertificateError as error:
            raise SettingsError(str(error)) from error
        self._listener = listener
        self._http_listener = http_listener
        self._metrics = Metrics()
        self._jobs = Jobs(settings.max_requests, self._metrics)
        self._worker: Worker | None = None
        self._server: Server | None = None
        self._decoder: Decoder | None = None
        self._phase: Phase = "starting"
        self._down_since: float | None = None
        """When the engine was first seen to be gone."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`."""
        async with asyncio.TaskGroup() as tasks:
            api = Api(self._settings, self._jobs, self._metrics)
            http = http_server(application(self.health, self._metrics, api.routes()), self._tls)
            tasks.create_task(http.serve(sockets=[self._http_listener]))
            await self._serve(tasks, stop)
            http.should_exit = True

    async def _serve(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        speech = await asyncio.to_thread(speech_model)
        engine = supervised(self._settings, self._metrics.restarts.inc)
        running = tasks.create_task(engine.run())
        starting, stopping = tasks.create_task(engine.started()), tasks.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            self._decoder = engine
            with short_collections():
                await self._serve_clients(tasks, engine, speech, stop)
        for task in (starting, stopping, running):
            task.cancel()
        log.info("transcriber.stopped")

    async def _serve_clients(
        self, tasks: asyncio.TaskGroup, decoder: Decoder, speech: SileroModel, stop: asyncio.Event
    ) -> None:
        worker = self._worker = Worker(decoder, self._metrics)
        admission = Admission(
            self._settings.api_key, self._settings.allow_origins, self._settings.max_clients, self._metrics
        )  # fmt: skip
        sessions = WindowedSessions(decoder, worker, speech.batched)
        server = self._server = Server(sessions, self._settings.max_clients, admission, self._metrics)
        self._jobs.start(decoder, worker, speech.batched)
        working = tasks.create_task(worker.run())
        async with server.listen(self._listener, self._tls) as websockets:
            self._announce()
            await stop.wait()
            log.info("transcriber.draining", clients=server.clients)
            self._phase = "draining"
            websockets.close(close_connections=False)
            drain = decoder.limits.drain
            await asyncio.gather(server.drain(drain), self._jobs.drain(drain))
        working.cancel()

    def health(self) -> ServiceHealth:
        """What its endpoint says."""
        now, worker, decoder = asyncio.get_running_loop().time(), self._worker, self._decoder
        settings = self._settings
        backend = "openai" if settings.remote else settings.engine.partition(":")[0].rpartition(".")[2]
        health = ServiceHealth(settings.model, settings.max_clients, backend, phase=self._phase)
        if worker is None or decoder is None or self._server is None:
            return health
        self._down_since = None if decoder.is_up else self._down_since or now
        return replace(
            health,
            model=decoder.name,
            clients=self._server.clients,
            last_decode=None if worker.last_done is None else now - worker.last_done,
            waiting=worker.waiting,
            oldest_wait=worker.oldest_wait(now),
            unanswered=worker.unanswered(now),
            is_failing=decoder.is_failing,
            limits=decoder.limits,
            down=None if self._down_since is None else now - self._down_since,
            restarts=round(total(self._metrics.restarts)),
            level=worker.level,
        )

    def _announce(self) -> None:
        self._phase = "serving"
        address = self._listener.getsockname()[0]
        if self._settings.api_key is None and not ipaddress.ip_address(address).is_loopback:
            log.warning(
                "transcriber.no_key",
                host=self._settings.host,
                consequence="whoever reaches this address is served: nobody is asked for a key",
                remedy="give it one with TRANSCRIBER_API_KEY_FILE, or let nobody else reach it",
            )
        ports = {"port": self._listener.getsockname()[1], "http_port": self._http_listener.getsockname()[1]}
        log.info("transcriber.ready", model=self._settings.model, host=self._settings.host, **ports)
        # For whoever started us: one line on standard output, as `earshot room` has it.
        scheme = "wss" if self._tls else "ws"
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        sys.stdout.write(f"{scheme}://{host}:{ports['port']}\n")
        sys.stdout.flush()


@contextmanager
def short_collections() -> Iterator[None]:
    """Within the block full garbage collections pass over what is there now, and are made more often.

    A connection of websockets is a cycle of sixty objects. One that lives through two smaller collections waits for a
    full one, and that for a quarter more objects than there were at the last: with our 50,000 after the start, for
    thousands of clients. Then it holds all streams up for 30 ms; without those 50,000 for 1 or 2.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is left
    gc.set_threshold(before[0], before[1], 1)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def supervised(settings: Settings, on_restart: Callable[[], None]) -> SupervisedDecoder:
    """The decoder of the settings: a server elsewhere, or an engine in a process of its own.

    `on_restart` is called for each engine that replaces another.
    """
    if settings.remote is None:
        return EngineProcess(settings, on_restart=on_restart)
    from transcriber.engine.openai import OpenAIDecoder

    return OpenAIDecoder(settings, settings.remote, on_restart=on_restart)


def speech_model() -> SileroModel:
    """The detector of speech. Raises ModelError."""
    try:
        return SileroModel()
    except FileNotFoundError as error:
        raise ModelError(str(error)) from error


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket bound to the port; nobody can connect before it is served. Raises PortError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Only where the protocol is named asyncio sets TCP_NODELAY: else every second message waits 40 ms for an ACK.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listener.bind((host, port))
    except OSError as error:
        raise PortError(
            f"Cannot listen on {host}:{port} ({error.strerror}): use another {option} or --host."
        ) from error
    return listener
