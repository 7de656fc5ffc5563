"""Pulling: one stream played from its server once, from PyAV's thread to frames on the event loop."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import av
import structlog

from bot.audio.frame import AudioFrame
from bot.drivers.rtmp.decoding import Decoding, Piece
from bot.drivers.rtmp.options import LOW_LATENCY, PullOptions
from bot.drivers.rtmp.reasons import Reason, StreamError
from bot.drivers.rtmp.relay import HANDSHAKE_BYTES, Relay
from common.problems import reason

OPEN_TIMEOUT_S = 5.0
"""From the connection to the first packet. Servers may let us wait for a publisher that is not there yet."""
READ_TIMEOUT_S = 3.0
"""Without sound, until the stream counts as stalled: publishers send silence, too. What another connection finds may be
sound in another codec, of which this one would never hear."""
END_TIMEOUT_S = 1.0
"""For the thread to end after its connection was cut; then it is left behind, and heard of no more."""
MAX_UNHEARD_PIECES = 100
"""Pieces, about 2 s, that the thread may be ahead of the event loop. Policy: it waits, and so does the server."""
DEFAULT_PORTS = {"rtmp": 1935, "rtmps": 443}

_sources = itertools.count(1)
log = structlog.get_logger(__name__)


async def pull(
    url: str,
    track_id: str,
    audio: Callable[[AudioFrame], None],
    *,
    opened: Callable[[], None] = lambda: None,
    latency: float = 0.0,
    options: PullOptions = LOW_LATENCY,
) -> None:
    """Plays the stream until it ends. Cancelled, it ends within `END_TIMEOUT_S`, whatever FFmpeg and the server do.

    Args:
        url: `rtmp://host[:port]/app/stream[?key=…]`, or `rtmps://…`. Its path and query are never logged.
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop: 16 kHz mono, positions on the sender's clock.
        opened: Called once, before the first frame.
        latency: Seconds from a sound in the room to its arrival at the server, where that is known (a composite is
            mixed and encoded elsewhere first). Taken off `AudioFrame.arrival`, so that what was said is placed when it
            was said, and reports of who spoke fit.
        options: How FFmpeg reads; for measurements.

    Raises:
        StreamError: Always, with why it ended.
    """
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    where = f"{parts.hostname}:{port}"
    app, _, stream = parts.path.lstrip("/").rpartition("/")
    stream += f"?{parts.query}" if parts.query else ""
    try:
        tls = parts.scheme == "rtmps"
        async with Relay(parts.hostname or "", port, tls=tls, quick_ack=options.quick_ack) as relay:
            extra = {
                "rtmp_app": app,
                "rtmp_playpath": stream,
                "rtmp_tcurl": f"{parts.scheme}://{where}/{app}",
            }
            decoding = Decoding(f"rtmp://127.0.0.1:{relay.port}/", extra, options, (OPEN_TIMEOUT_S, READ_TIMEOUT_S))
            thread = _Thread(decoding, track_id, audio, opened, latency)
            try:
                await thread.run()
            except (OSError, EOFError, av.FFmpegError, ValueError) as error:
                raise _failure(where, error, relay, decoding, thread.heard) from None
            finally:
                relay.cut()
                await thread.end()
    except OSError as error:
        raise StreamError(Reason.UNREACHABLE, f"nobody answers at {where} ({reason(error)})") from None


def _failure(where: str, error: Exception, relay: Relay, decoding: Decoding, heard: bool) -> StreamError:
    """What FFmpeg's end of it means. It says `Input/output error` to most; who hung up on whom, the relay knows."""
    if heard and relay.hung_up is None:
        return StreamError(Reason.STALLED, f"no more sound comes from {where}")
    if heard:
        return StreamError(Reason.ENDED, f"the stream at {where} has ended, or its publisher is gone")
    if decoding.is_open:
        return StreamError(Reason.NO_SOUND, f"no sound has come from {where}")
    if not relay.received and relay.hung_up is None:
        return StreamError(Reason.UNREACHABLE, f"{where} took the connection and said nothing")
    if relay.received < HANDSHAKE_BYTES or relay.first_byte != b"\x03":
        return StreamError(Reason.NOT_RTMP, f"who answers at {where} does not speak RTMP")
    if isinstance(error, PermissionError) or relay.hung_up is None:
        return StreamError(Reason.NOT_PUBLISHED, f"nobody publishes this stream at {where}")
    return StreamError(Reason.REFUSED, f"{where} hung up when asked for the stream: is its key right, and not too old?")


class _Thread:
    """The thread of one pull, and its way to the event loop."""

    def __init__(
        self,
        decoding: Decoding,
        track_id: str,
        audio: Callable[[AudioFrame], None],
        opened: Callable[[], None],
        latency: float,
    ) -> None:
        self._decoding, self._track_id, self._audio, self._opened = decoding, track_id, audio, opened
        self._latency = latency
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._room = threading.Semaphore(MAX_UNHEARD_PIECES)
        self._closed = False
        self._restarts, self._source = -1, 0
        self._due = 0.0  # when the next sound must have come
        self.heard = False
        """Whether any sound has come."""

    async def run(self) -> None:
        """Runs until the stream ends, by the exception that ended it: TimeoutError, where no sound comes any more."""
        threading.Thread(target=self._work, name=f"rtmp-{self._track_id}", daemon=True).start()
        self._due = self._loop.time() + OPEN_TIMEOUT_S + READ_TIMEOUT_S
        while not self._over.done():
            if self._loop.time() > self._due:
                raise TimeoutError
            await asyncio.wait([self._over], timeout=READ_TIMEOUT_S / 10)
        self._over.result()

    async def end(self) -> None:
        """Waits until the thread, whose connection is gone, has ended; it says nothing any more."""
        self._closed = True
        self._room.release(MAX_UNHEARD_PIECES)
        await asyncio.wait([self._over], timeout=END_TIMEOUT_S)
        if not self._over.done():
            log.error("rtmp.thread_stuck", track=self._track_id)
        self._over.add_done_callback(lambda over: over.exception())  # nobody asks any more

    # --- on the thread

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            self._decoding.run(self._emit)
        except BaseException as raised:
            error = raised
        self._say(self._finish, error)

    def _emit(self, pieces: list[Piece]) -> bool:
        for piece in pieces:
            self._room.acquire()
            if self._closed:
                return False
            self._say(self._take, piece)
        return True

    def _say(self, call: Callable[..., None], argument: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, argument)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            self._closed = True

    # --- on the event loop

    def _finish(self, error: BaseException | None) -> None:
        if self._over.done():
            return
        if error is None or isinstance(error, KeyboardInterrupt | SystemExit):
            error = EOFError()
        self._over.set_exception(error)

    def _take(self, piece: Piece) -> None:
        self._room.release()
        if self._closed:
            return
        self._due = self._loop.time() + READ_TIMEOUT_S
        if not self.heard:
            self.heard = True
            self._opened()
        if piece.restarts != self._restarts:
            self._restarts, self._source = piece.restarts, next(_sources)
        arrival = piece.arrival - self._latency
        self._audio(AudioFrame(self._track_id, piece.pcm, piece.position, self._source, arrival, self._latency))
