"""The composition root: engine, websocket and HTTP server in one TaskGroup, until a signal."""

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
from functools import partial

import structlog

from common import tls
from common.audio.silero import SileroModel
from common.http import http_server
from common.metrics import total
from transcriber.api.jobs import Jobs
from transcriber.api.routes import Api
from transcriber.api.server import Phase, ServiceHealth, application
from transcriber.config import Settings, SettingsError
from transcriber.core.limits import MAX_DRAIN_S, TimeLimits
from transcriber.engine.base import Decoder, ModelError, SupervisedDecoder
from transcriber.engine.process import EngineProcess
from transcriber.metrics import Metrics
from transcriber.sessions import Sessions
from transcriber.streaming import opened
from transcriber.websocket.admission import Admission
from transcriber.websocket.server import Server
from transcriber.windowed import WindowedSessions
from transcriber.worker import Worker

SEND_BUFFER_BYTES = 64 * 1024
"""Bytes that the system takes for a client before it has read those before; left alone it takes up to 4 MiB."""
M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES = -3, 128 * 1024
"""Blocks of this many bytes are the system's again as soon as they are free, as malloc(3) has it at first. By itself it
soon puts even a stream's two megabytes among small blocks, and a thousand short streams cost up to 10 MB for good."""

LOOK_INTERVAL_S = 0.5
"""Seconds between looks whether the engine is there, whether anybody asks for health or not."""
STREAM_LIMITS = TimeLimits(drain=MAX_DRAIN_S)
"""What is too long for a streaming engine, whose speed nobody has measured."""

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
        self._sessions: Sessions | None = None
        self._server: Server | None = None
        self._report: Callable[[float, ServiceHealth], ServiceHealth] = lambda _, health: health
        self._phase: Phase = "starting"
        self._down_since: float | None = None
        """When the engine was first seen to be gone, at one of the looks."""

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop`. Raises PortError, ModelError, in groups."""
        claim(self._http_listener, "--http-port")
        async with asyncio.TaskGroup() as tasks:
            api = Api(self._settings, self._jobs, self._metrics)
            http = http_server(application(self.health, self._metrics, api.routes()), self._tls)
            tasks.create_task(http.serve(sockets=[self._http_listener]))
            await self._serve(tasks, stop)
            http.should_exit = True

    async def _serve(self, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
        serve = self._serve_streams if self._settings.is_streaming else self._serve_windows
        serving, stopping = tasks.create_task(serve(stop)), tasks.create_task(stop.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if self._phase == "starting":
            serving.cancel()
        await asyncio.wait([serving])
        stopping.cancel()
        log.info("transcriber.stopped")

    async def _serve_windows(self, stop: asyncio.Event) -> None:
        """With an engine that decodes windows. Raises ModelError."""
        speech = await asyncio.to_thread(speech_model)
        decoder = supervised(self._settings, self._metrics.restarts.inc)
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(decoder.run())]
            await decoder.started()
            worker = Worker(decoder, self._metrics)
            working.append(tasks.create_task(worker.run()))
            self._jobs.start(decoder, worker, speech.batched)
            self._report = partial(_of_windows, decoder, worker)
            await self._serve_clients(
                WindowedSessions(decoder, worker, speech.batched), lambda: decoder.limits.drain, stop
            )
            for task in reversed(working):
                task.cancel()

    async def _serve_streams(self, stop: asyncio.Event) -> None:
        """With one that is fed audio and answers by itself. Raises ModelError."""
        self._jobs.decline()
        async with opened(self._settings) as sessions:
            self._report = self._of_streams
            await self._serve_clients(sessions, lambda: STREAM_LIMITS.drain, stop)

    async def _serve_clients(self, sessions: Sessions, drain: Callable[[], float], stop: asyncio.Event) -> None:
        """Until `stop`, and then for as many seconds as `drain` says by then."""
        admission = Admission(
            self._settings.api_key, self._settings.allow_origins, self._settings.max_clients, self._metrics
        )  # fmt: skip
        server = self._server = Server(sessions, self._settings.max_clients, admission, self._metrics)
        self._sessions = sessions
        claim(self._listener, "--port")
        with short_collections():
            async with server.listen(self._listener, self._tls) as websockets, asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(sessions))
                self._announce()
                await stop.wait()
                log.info("transcriber.draining", clients=server.clients)
                self._phase = "draining"
                websockets.close(close_connections=False)
                await asyncio.gather(server.drain(drain()), self._jobs.drain(drain()))
                watching.cancel()

    async def _watch(self, sessions: Sessions) -> None:
        while True:
            self._look(sessions, asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _look(self, sessions: Sessions, now: float) -> None:
        if sessions.is_up:
            self._down_since = None
        elif self._down_since is None:
            self._down_since = now

    def health(self) -> ServiceHealth:
        """What its endpoint says."""
        now, settings = asyncio.get_running_loop().time(), self._settings
        health = ServiceHealth(settings.model, settings.max_clients, settings.backend, phase=self._phase)
        if self._sessions is None or self._server is None:
            return health
        self._look(self._sessions, now)
        health = replace(
            health,
            model=self._sessions.name,
            clients=self._server.clients,
            down=None if self._down_since is None else now - self._down_since,
            restarts=round(total(self._metrics.restarts)),
        )
        return self._report(now, health)

    def _of_streams(self, now: float, health: ServiceHealth) -> ServiceHealth:
        """What can be seen of an engine that has the streams to itself."""
        assert self._server
        answers = self._server.answers
        return replace(
            health,
            last_decode=None if answers.last is None else now - answers.last,
            unanswered=answers.unanswered(now, owed=self._server.is_owed),
            is_failing=answers.is_failing(now),
            limits=STREAM_LIMITS,
        )

    def _announce(self) -> None:
        self._phase = "serving"
        assert self._sessions
        address = self._listener.getsockname()[0]
        if self._settings.api_key is None and not ipaddress.ip_address(address).is_loopback:
            log.warning(
                "transcriber.no_key",
                host=self._settings.host,
                consequence="whoever reaches this address is served: nobody is asked for a key",
                remedy="give it one with TRANSCRIBER_API_KEY_FILE, or let nobody else reach it",
            )
        ports = {"port": self._listener.getsockname()[1], "http_port": self._http_listener.getsockname()[1]}
        log.info("transcriber.ready", model=self._sessions.name, host=self._settings.host, **ports)
        # For whoever started us: one line on standard output, as `earshot room` has it.
        scheme = "wss" if self._tls else "ws"
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        sys.stdout.write(f"{scheme}://{host}:{ports['port']}\n")
        sys.stdout.flush()


def _of_windows(decoder: Decoder, worker: Worker, now: float, health: ServiceHealth) -> ServiceHealth:
    """What is known of an engine whose every call is ours."""
    return replace(
        health,
        last_decode=None if worker.last_done is None else now - worker.last_done,
        waiting=worker.waiting,
        oldest_wait=worker.oldest_wait(now),
        unanswered=worker.unanswered(now),
        is_failing=worker.is_failing,
        limits=decoder.limits,
        level=worker.level,
    )


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
    """The detector of speech. Raises ModelError: it is missing, or damaged."""
    try:
        return SileroModel()
    except (FileNotFoundError, ValueError) as error:
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
        raise _taken(host, port, option, error) from error
    return listener


def claim(listener: socket.socket, option: str) -> None:
    """Lets clients connect. Raises PortError: another process has bound the same port, as one may that listens to none
    yet, and was quicker."""
    try:
        listener.listen()
    except OSError as error:
        host, port, *_ = listener.getsockname()
        raise _taken(host, port, option, error) from error


def _taken(host: str, port: int, option: str, error: OSError) -> PortError:
    return PortError(f"Cannot listen on {host}:{port} ({error.strerror}): use another {option} or --host.")
