"""A stream that is stayed with: waited for until somebody publishes it, and played again after every break."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NoReturn, Protocol

import structlog

from bot.audio.frame import AudioFrame
from bot.drivers.rtmp.options import CAREFUL, LOW_LATENCY
from bot.drivers.rtmp.patience import RETURNS_WITHIN_S, Patience
from bot.drivers.rtmp.pulling import pull
from bot.drivers.rtmp.reasons import Reason, StreamError

log = structlog.get_logger(__name__)


class StreamListener(Protocol):
    """Who hears how it is with a stream. Both are called from the event loop, and once for each change."""

    def playing(self) -> None:
        """It is heard, or heard again: the first frame follows."""

    def missing(self, error: StreamError) -> None:
        """It is not heard, for this reason, or for another one than before; it is tried again."""


class Stream:
    """One published stream, which may not be there yet, and may break and come back.

    Its meeting time goes on meanwhile: what comes after a break has another `AudioFrame.source`, and is placed by when
    it arrives. The hole stays one.

    Args:
        url: Says `rtmp://host[:port]/app/stream[?…]`, or `rtmps://…`, for each connection: keys in it may expire.
        track_id: What the frames are labelled with.
        audio: Called with every frame, from the event loop.
        listener: Told of changes.
        latency: See `bot.drivers.rtmp.pull`.
        returns_within: Seconds after which a publisher that was heard counts as gone for good. Whoever knows when it
            ends (an egress's owner) waits for that, and cancels `follow`.
    """

    def __init__(
        self,
        url: Callable[[], str],
        track_id: str,
        audio: Callable[[AudioFrame], None],
        listener: StreamListener,
        *,
        latency: float = 0.0,
        returns_within: float = RETURNS_WITHIN_S,
    ) -> None:
        self._url, self._track_id, self._audio, self._listener = url, track_id, audio, listener
        self._latency = latency
        self._patience = Patience(time.monotonic(), returns_within)
        self._missing: Reason | None = None  # as the listener was told
        self._pulling: asyncio.Task[None] | None = None
        self._is_renewed = False

    @property
    def was_heard(self) -> bool:
        """Whether any sound has come."""
        return self._patience.was_heard

    def reconnect(self) -> None:
        """Begins a connection anew, as if the stream had broken."""
        if self._pulling is not None:
            self._is_renewed = True
            self._pulling.cancel()

    async def follow(self) -> NoReturn:
        """Plays the stream whenever it can be had. Cancelled, it leaves nothing behind within a second.

        Raises:
            StreamError: It is not tried again: REFUSED; UNREACHABLE or NOT_RTMP; else its publisher is gone for good.
        """
        while True:
            error = await self._pull()
            pause = self._patience.failed(error.reason, time.monotonic())
            if error.reason is not self._missing:
                self._missing = error.reason
                log.info("rtmp.missing", track=self._track_id, reason=error.reason, detail=str(error))
                self._listener.missing(error)
            if pause is None:
                raise error
            await asyncio.sleep(pause)

    async def _pull(self) -> StreamError:
        """One pull, and why it ended."""
        options = CAREFUL if self._missing is Reason.NO_SOUND else LOW_LATENCY
        self._pulling = asyncio.create_task(
            pull(self._url(), self._track_id, self._audio, opened=self._opened, latency=self._latency, options=options),
            name=f"rtmp-{self._track_id}",
        )
        try:
            await asyncio.wait([self._pulling])
            if self._pulling.cancelled() and self._is_renewed:
                return StreamError(Reason.ENDED, "a new connection was ordered")
            self._pulling.result()
        except StreamError as error:
            return error
        finally:
            self._is_renewed = False
            self._pulling.cancel()
            await asyncio.wait([self._pulling])
            self._pulling = None
        raise AssertionError("a pull ends by saying why")

    def _opened(self) -> None:
        self._patience.playing()
        self._missing = None
        log.info("rtmp.playing", track=self._track_id)
        self._listener.playing()
