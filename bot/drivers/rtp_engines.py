"""Engines beside our own decoder: GStreamer or FFmpeg as a child process per track, which gives PCM on a pipe.

The socket stays ours: whose packets are taken, RTCP and payload types are decided before an engine sees them; what is
left it is sent on loopback. An engine that is missing, ends, or gives nothing although packets come is followed
by the next one: gst, ffmpeg, native. Children end with the bot, even if it is killed (`setpriv --pdeathsig`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import structlog

from bot.audio.frame import AudioFrame
from bot.codecs.formats import Format
from bot.codecs.rtp import RtpPacket
from bot.drivers.opus_track import next_source
from bot.drivers.rtp_decoder import Decoder, NativeDecoder
from bot.drivers.rtp_programs import COMMANDS, Engine, description, guard
from common.audio.pcm import SAMPLE_RATE
from common.contracts.status import SubCode
from common.errors import EarshotError

PIECE_BYTES = 2 * SAMPLE_RATE // 50
"""20 ms, the least that is read of a pipe at once; and at most ..."""
MAX_PIECE_BYTES = 6 * PIECE_BYTES
"""... 120 ms."""
MAX_HELD_PACKETS = 500
"""Packets (10 s) that an engine has made nothing of yet: they are the next one's, should it fail. Policy when full: the
oldest goes."""
MIN_OWED_PACKETS = 5
"""Packets of which nothing came: fewer may be behind a hole, when somebody has fallen silent."""
SUCCESSION_PACKETS = 5
"""In a row of another SSRC or codec: then an engine is started anew for it. A single one is a stray."""
PAUSE_S = 0.3
"""Of a sender's clock between two packets in a row: nobody sent, and engines leave it out of what they say."""
READY_POLL_S = 0.01
LINGER_S = 0.3
"""For a child to end after SIGTERM; then it is killed, and has ..."""
KILLED_S = 1.0
"""... so long to be gone, on a machine that is busy."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Engines:
    """What may decode the tracks of one bot.

    Args:
        programs: The engines to try, in their order, each with the path of its program (none for ours).
        timeout: Seconds with packets and without audio, after which an engine has failed.
    """

    programs: Mapping[Engine, str]
    timeout: float
    children: set[asyncio.Task[None]] = field(default_factory=set)
    """Those that live, also on their way out: they may outlive their tracks for a moment."""

    @property
    def first(self) -> Engine:
        """The one that is tried first."""
        return next(iter(self.programs))

    async def ended(self) -> None:
        """Waits until every child is gone, once all tracks are closed."""
        while self.children:
            await asyncio.wait(set(self.children))


def log_engine(track_id: str, engine: Engine, port: int, payload_type: int, program: str = "") -> None:
    """The one log line about what decodes a track."""
    log.info(
        "rtp.engine", track=track_id, engine=engine, rtp_port=port, payload_type=payload_type, program=program or None
    )


class EngineDecoder:
    """A track decoded by the first engine that does. Implements `bot.drivers.rtp_decoder.Decoder`.

    Args:
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        formats: By payload type; packets of other types are not heard.
        level_id: Id of the header extension with the audio level, for our own.
        engines: Those to try; owns their processes.
        on_failure: Called when the last of them has failed, with the reason.
        port: The port that packets come to, for the log.
    """

    def __init__(
        self,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        formats: Mapping[int, Format],
        level_id: int | None,
        engines: Engines,
        on_failure: Callable[[EarshotError], None],
        port: int,
    ) -> None:
        self._track_id, self._audio, self._formats, self._level_id = track_id, audio, formats, level_id
        self._engines, self._left = engines, dict(engines.programs)
        self._on_failure, self._port = on_failure, port
        self._decoder: Decoder | None = None
        self._sender: tuple[int, int] | None = None  # payload type and SSRC
        self._others: list[tuple[RtpPacket, float]] = []  # in a row that are not the sender's
        self._is_closed = False

    def packet(self, packet: RtpPacket, now: float) -> None:
        """See `Decoder`."""
        if self._is_closed:
            return
        if packet.payload_type in self._formats and not isinstance(self._decoder, NativeDecoder):
            sender = packet.payload_type, packet.ssrc
            if sender == self._sender or self._decoder is None:
                self._others.clear()
            else:
                self._others.append((packet, now))
                if len(self._others) >= SUCCESSION_PACKETS:  # an engine knows one codec and one clock
                    self._succeed(sender)
                return
            self._sender = sender
        if self._decoder is None and self._sender is not None:
            self._begin(self._sender[0])
        if self._decoder is not None:
            self._decoder.packet(packet, now)

    def _succeed(self, sender: tuple[int, int]) -> None:
        """Another sender from its first packet on: they were kept."""
        kept = [(packet, at) for packet, at in self._others if (packet.payload_type, packet.ssrc) == sender]
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None
        self._sender = sender
        for packet, at in kept:
            self.packet(packet, at)

    def _begin(self, payload_type: int) -> None:
        """Starts the first engine that is left."""
        engine, program = next(iter(self._left.items()))
        log_engine(self._track_id, engine, self._port, payload_type, program)
        if engine == "native":
            self._decoder = NativeDecoder(self._track_id, self._audio, self._formats, self._level_id)
            return
        self._decoder = child = _Child(
            engine, program, self._track_id, self._audio, payload_type, self._formats[payload_type],
            self._engines.timeout, partial(self._failed, engine),
        )  # fmt: skip
        self._engines.children.add(child.task)
        child.task.add_done_callback(self._engines.children.discard)

    def _failed(self, engine: Engine, why: str, unheard: Iterable[tuple[RtpPacket, float]]) -> None:
        """The engine is of no use: the next one, with what this one has made nothing of."""
        if self._is_closed:
            return
        log.warning("rtp.engine_failed", track=self._track_id, engine=engine, why=why)
        self._decoder = None
        self._left.pop(engine, None)
        if not self._left:
            self._is_closed = True
            words = f"`rtp.engine` {engine} failed ({why}), and no other is to take its place: see `engineFallback`"
            self._on_failure(EarshotError(SubCode.ENGINE_UNAVAILABLE, words))
        for packet, at in unheard:
            self.packet(packet, at)

    def finish(self) -> None:
        """See `Decoder`."""
        if isinstance(self._decoder, NativeDecoder):
            self._decoder.finish()
        self.close()

    def close(self) -> None:
        """See `Decoder`."""
        self._is_closed = True
        if self._decoder is not None:
            self._decoder.close()


class _Child:
    """One process: packets go to its port on loopback, PCM comes from its standard output."""

    def __init__(
        self, engine: Engine, program: str, track_id: str, audio: Callable[[AudioFrame], None], payload_type: int,
        form: Format, timeout: float, on_end: Callable[[str, Iterable[tuple[RtpPacket, float]]], None],
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._engine, self._program, self._track_id, self._audio = engine, program, track_id, audio
        self._payload_type, self._form = payload_type, form
        self._timeout, self._on_end = timeout, on_end
        self._unheard: deque[tuple[RtpPacket, float]] = deque(maxlen=MAX_HELD_PACKETS)
        self._unsent = 0  # of these, the last ones
        self._socket: socket.socket | None = None
        self._source, self._position = next_source(), 0
        self._last: RtpPacket | None = None
        self._has_paused = False
        self._is_ending = False
        self.task = self._loop.create_task(self._run(), name=f"rtp-{engine}")

    def packet(self, packet: RtpPacket, now: float) -> None:
        """Passes it on; before the engine listens it is held."""
        if packet.payload_type != self._payload_type:
            return
        self._has_paused |= self._last is not None and _is_pause(self._last, packet, self._form.clock_rate)
        self._last = packet
        self._unheard.append((packet, now))
        self._unsent = min(self._unsent + 1, MAX_HELD_PACKETS)
        self._send()

    def finish(self) -> None:
        """See `Decoder`: what is on its way through it is not waited for."""
        self.close()

    def close(self) -> None:
        """Ends it; what it still says is not heard. One that is on its way out is not kept from it."""
        if not self._is_ending:
            self.task.cancel()

    def _send(self) -> None:
        """Sends what is held, once somebody listens: on loopback a refusal is known at once."""
        while self._unsent and self._socket is not None:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._socket.send(self._unheard[-self._unsent][0].datagram)
            if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return
            self._unsent -= 1

    async def _run(self) -> None:
        why = "it could not be started"
        process: asyncio.subprocess.Process | None = None
        try:
            port = _free_port()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.connect(("127.0.0.1", port))
                process = await self._start(port)
                self._socket = sending
                why = await self._heed(process)
        except OSError as error:
            why = f"it could not be started: {error.strerror}"
        finally:
            self._socket, self._is_ending = None, True
            if process is not None:
                await _end(process)
        self._on_end(why, list(self._unheard))

    async def _start(self, port: int) -> asyncio.subprocess.Process:
        command = COMMANDS[self._engine](self._program, port, self._payload_type, self._form)
        process = await asyncio.create_subprocess_exec(
            *guard(), *command,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=MAX_PIECE_BYTES, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it has ended already
            process.stdin.write(description(port, self._payload_type, self._form).encode())
        process.stdin.close()
        return process

    async def _heed(self, process: asyncio.subprocess.Process) -> str:
        """Makes frames of what it says, until it says no more; returns what was wrong with it."""
        assert process.stdout is not None
        rest = b""
        while True:
            wait = READY_POLL_S if self._unsent else self._timeout
            try:
                async with asyncio.timeout(wait):
                    piece = await process.stdout.read(MAX_PIECE_BYTES - len(rest))
            except TimeoutError:
                self._send()
                if len(self._unheard) >= MIN_OWED_PACKETS and self._loop.time() - self._unheard[0][1] >= self._timeout:
                    return f"packets came, and no audio for {self._timeout:g} s"
                continue
            if not piece:
                return f"it ended with {await process.wait()}"
            rest += piece
            whole = len(rest) & ~1
            self._emit(rest[:whole])
            rest = rest[whole:]

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        while len(self._unheard) > self._unsent:
            self._unheard.popleft()
        if self._has_paused:  # a clock that goes on behind a hole of which it does not know
            self._source, self._position, self._has_paused = next_source(), 0, False
        pcm = np.frombuffer(data, "<i2").astype(np.int16)
        now = self._loop.time()
        self._audio(AudioFrame(self._track_id, pcm, self._position, self._source, now, engine=self._engine))
        self._position += len(pcm)


def _is_pause(before: RtpPacket, after: RtpPacket, clock_rate: int) -> bool:
    """Whether a sender that has lost nothing sent nothing for a while."""
    follows = (after.sequence_number - before.sequence_number) & 0xFFFF == 1
    return follows and PAUSE_S * clock_rate < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 1 << 31


async def _end(process: asyncio.subprocess.Process) -> None:
    """It is gone afterwards, and whatever it has started, which would hold its pipe open."""
    for how, within in ((signal.SIGTERM, LINGER_S), (signal.SIGKILL, KILLED_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                if process.stdout is not None:
                    while await process.stdout.read(MAX_PIECE_BYTES):
                        pass
                await process.wait()
                return


def _free_port() -> int:
    """An even UDP port of loopback that was free a moment ago, and the next one too: FFmpeg wants that for RTCP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
        ):
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port % 2:
                continue
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port + 1))
                return port
