"""One client: its socket, its protocol, its session, and the pace between them."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import suppress
from dataclasses import replace

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from common.whisperlive.protocol import (
    SAMPLE_RATE,
    Audio,
    EndOfAudio,
    ProtocolError,
    ServerEvent,
    ServerProtocol,
    UtteranceEnd,
    WireSegment,
)
from transcriber.core.answers import StreamAnswers
from transcriber.core.outbox import Outbox
from transcriber.core.pace import Pace, overhead_samples
from transcriber.core.slots import Slot
from transcriber.engine.base import EngineLost
from transcriber.metrics import Metrics
from transcriber.sessions import Session
from transcriber.websocket.admission import network_of

KEEPALIVE_INTERVAL_S = 5.0
"""Seconds between pings, and until a client that neither answers nor sends is gone."""
LIFE_SIGN_INTERVAL_S = 5.0
"""Seconds between pongs that nobody asked for."""
PIECE_SAMPLES = SAMPLE_RATE
"""Samples taken at once, however large the message."""
GATHERING_S = 0.06
"""Seconds for which messages shorter than that gather: each wakes the process, which costs more than what is in it."""
TURN_SAMPLES = SAMPLE_RATE // 2
"""Samples after which other clients get their turn, if there was nothing to wait for."""
ACK_STEP_SAMPLES = SAMPLE_RATE // 2
"""Silence is acknowledged in steps of this many samples; the end of an utterance at once."""
WRITE_STALL_S = 10.0
"""Seconds in which a client that has something to read must take some of it."""
WRITE_CHECK_S = 1.0
"""Seconds between looks whether it does."""
CLOSE_TIMEOUT_S = 2.0
"""Seconds that a client which we give up may take to say goodbye."""
PAUSE_S = 1.5
"""Seconds without a message after which what a client was saying is over: its file has ended, or it sends no silence.
Clients that say where utterances end are not second-guessed."""
FLUSH_CHECK_S = 1.0
"""Seconds between looks whether the engine still gives results while the last finals are waited for."""

log = structlog.get_logger(__name__)


class Connection:
    """Serves one client from the ready message to the end."""

    def __init__(
        self,
        socket: ServerConnection,
        protocol: ServerProtocol,
        session: Session,
        answers: StreamAnswers,
        metrics: Metrics,
    ) -> None:
        self._socket = socket
        self._protocol = protocol
        self._session = session
        self._answers = answers
        self._has_ended = False  # what was said so far: the engine is to finish it
        self._metrics = metrics
        self._now = asyncio.get_running_loop().time
        self._outbox = Outbox()
        self._unsent = asyncio.Event()
        self._is_over = False
        self._progress = asyncio.Event()
        self._acked = protocol.clock_start
        self._told_language = bool(protocol.handshake and protocol.handshake.language)
        self._last_heard = self._now()
        self._slot = Slot(network_of(socket.transport), self._now())
        self._sounded_until = protocol.clock_start + SAMPLE_RATE
        self._pace = Pace(self._now())
        self._turn = 0
        self._reader: asyncio.Task[int] | None = None
        self._pong: asyncio.Future[float] | None = None

    async def serve(self) -> None:
        """Until the client is gone, or has ended its audio and got everything; or until the engine is lost to it."""
        try:
            async with self._session.serve(self):
                await self._converse()
        except* EngineLost as lost:
            error: BaseException = lost
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self._metrics.streams_lost.inc()
            self._answers.lose(self._now())
            log.error("client.engine_lost", uid=self._protocol.uid, problem=str(error))
            await self._socket.close(1011, "the engine is lost")

    async def _converse(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._reader = tasks.create_task(self._read())
                writer = tasks.create_task(self._write())
                watchers = [tasks.create_task(self._keep_alive()), tasks.create_task(self._show_life())]
                if "utterance" not in self._protocol.granted:
                    watchers.append(tasks.create_task(self._notice_pauses()))
                await asyncio.wait([self._reader])
                code = 1001 if self._reader.cancelled() else self._reader.result()
                await self._flush()
                self._is_over = True
                self._unsent.set()
                await writer
                for task in watchers:
                    task.cancel()
                await self._socket.close(code)
        except* ConnectionClosed as gone:
            traceback.clear_frames(gone.__traceback__)  # in one of them the group is a local: such a cycle keeps us
        finally:
            self._reader = None  # its error knows its frames, and they us

    @property
    def slot(self) -> Slot:
        """Whose it is, and for how long it has not been used."""
        return self._slot

    @property
    def is_owed(self) -> bool:
        """The client can do nothing but wait: it has ended what it said, or may send no more."""
        return (self._has_ended or self._session.is_full) and not self._session.is_settled

    async def give_way(self) -> None:
        """Closes: somebody else needs the slot."""
        await self._give_up("idle", 1013)

    def drain(self) -> None:
        """Reads no more; what was heard is decoded and sent, then the socket closes."""
        if self._reader:
            self._reader.cancel()

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _read(self) -> int:
        """Takes messages until the end of the audio; returns the close code."""
        while True:
            message = await self._socket.recv()
            self._last_heard = self._now()
            await self._yield(overhead_samples(message))
            try:
                for event in self._protocol.receive(message):
                    if isinstance(event, EndOfAudio):
                        return 1000
                    await self._take(event)
                    if isinstance(event, Audio):
                        await self._rest(len(event.samples))
            except ProtocolError as error:
                self._metrics.bad_messages.inc()
                log.warning("client.bad_message", uid=self._protocol.uid, problem=str(error), fatal=error.fatal)
                if error.fatal:
                    self._post([self._protocol.refuse(str(error))])
                    return 1008
                self._post([self._protocol.warn(str(error))])

    async def _take(self, event: ServerEvent) -> None:
        if isinstance(event, UtteranceEnd):
            self._session.end_utterance(event.sample, self._now())
            self._fed(has_ended=True)
            self._acknowledge()
        elif isinstance(event, Audio):
            self._metrics.audio.inc(len(event.samples) / SAMPLE_RATE)
            if self._protocol.received_until >= self._sounded_until:
                self._sounded_until = self._protocol.received_until + SAMPLE_RATE
                self._slot = replace(self._slot, sounded_at=self._now())
            for first in range(0, len(event.samples), PIECE_SAMPLES):
                piece = event.samples[first : first + PIECE_SAMPLES]
                await self._room_for(len(piece))
                is_news = self._session.hear(event.first_sample + first, piece, self._now())
                self._fed()
                if is_news:
                    self._acknowledge()

    def _fed(self, *, has_ended: bool = False) -> None:
        """The engine's turn, if that was not all silence."""
        self._has_ended = has_ended
        if not self._session.is_settled:
            self._answers.feed(self._now())

    async def _room_for(self, samples: int) -> None:
        """Holds a client back that is too fast, or whose audio the engine cannot keep up with."""
        await self._yield(samples)
        while self._session.is_full:
            self._progress.clear()
            await self._progress.wait()
        self._last_heard = self._now()

    async def _yield(self, samples: int) -> None:
        """Waits until so many samples may be taken; now and then also if they may at once, for the others' sake."""
        self._turn += samples
        if (early := self._pace.wait(samples, self._now())) > 0 or self._turn >= TURN_SAMPLES:
            self._turn = 0
            await asyncio.sleep(early)

    async def _rest(self, samples: int) -> None:
        """Lets small messages gather, if no other is there and nobody may just have stopped speaking."""
        is_last = not len(self._socket.recv_messages.frames)
        if is_last and samples < GATHERING_S * SAMPLE_RATE and not self._session.is_attentive:
            self._socket.transport.pause_reading()
            try:
                await asyncio.sleep(GATHERING_S)
            finally:
                self._socket.transport.resume_reading()

    async def _notice_pauses(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S / 3)
            now = self._now()
            if now - self._last_heard >= PAUSE_S and not self._session.is_full:
                self._session.end(now)
                self._fed(has_ended=True)
                self._acknowledge()

    # --- writing ---------------------------------------------------------------------------------------------------

    def show(self, segments: list[WireSegment]) -> None:
        """A pass is over, or a final was ready before its utterance ended."""
        self._answers.answer(self._now())
        if self._session.detected and not self._told_language:
            self._told_language = True
            self._post([self._protocol.language(*self._session.detected)])
        if segments:
            self._post(self._protocol.segments(segments), replaceable=not any(s.completed for s in segments))
        self._acknowledge(at_once=bool(segments))
        self._progress.set()

    def lose(self, start: float, end: float) -> None:
        """Says so: silence would look like nobody spoke."""
        self._post([self._protocol.warn(f"The speech from {start:.3f} to {end:.3f} s could not be transcribed.")])

    def _acknowledge(self, *, at_once: bool = False) -> None:
        decided = self._session.decided
        step = 1 if at_once or "utterance" in self._protocol.granted else ACK_STEP_SAMPLES
        if decided >= self._acked + step:
            self._acked = decided
            self._post(self._protocol.acked(decided))

    def _post(self, messages: list[str], *, replaceable: bool = False) -> None:
        if not messages:
            return
        if not self._outbox.post(messages, replaceable=replaceable):
            self._drop()
        self._unsent.set()

    async def _write(self) -> None:
        """Sends what is posted; returns once it is over and everything is sent."""
        while True:
            if (message := self._outbox.take()) is not None:
                await self._send(message)
            elif self._is_over:
                return
            else:
                self._unsent.clear()
                await self._unsent.wait()

    async def _send(self, message: str) -> None:
        """Returns once there is room for the next one; that may take long as long as the client takes anything."""
        unread, since = self._socket.transport.get_write_buffer_size() + len(message), self._now()
        sending = self._socket.send(message)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITE_CHECK_S):
                    return await sending
            if (left := self._socket.transport.get_write_buffer_size()) < unread:
                unread, since = left, self._now()
            elif self._now() - since >= WRITE_STALL_S:
                self._drop()
            sending = self._socket.drain()  # all of the message is in the buffer

    async def _flush(self) -> None:
        """Decodes what is left: a minute of audio at most, so it ends as long as anybody gets results."""
        self._session.end(self._now())
        self._fed(has_ended=True)
        while not self._session.is_settled:
            if self._session.is_stalled(self._now()):
                start, end = (at / SAMPLE_RATE for at in (self._session.decided, self._protocol.received_until))
                self._metrics.flush_timeouts.inc()
                log.warning("client.flush_timeout", uid=self._protocol.uid, lost_from_s=start, lost_until_s=end)
                self.lose(start, end)
                break
            self._progress.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_CHECK_S):
                    await self._progress.wait()
        self._acknowledge(at_once=True)

    async def _keep_alive(self) -> None:
        """Closes when a ping stays unanswered and nothing else came, unless we are the ones who do not read.

        Not the library's keepalive: its pongs queue behind audio that we read slowly on purpose.
        """
        while True:
            await asyncio.sleep(KEEPALIVE_INTERVAL_S)
            pinged_at = self._now()
            answered = await self._is_answering()
            if not answered and self._last_heard < pinged_at and not self._session.is_full:
                await self._give_up("silent", 1011)

    async def _show_life(self) -> None:
        """While we do not read, the client's pings stay unanswered, and ours must not pile up."""
        while True:
            await asyncio.sleep(LIFE_SIGN_INTERVAL_S)
            await self._socket.pong()

    async def _is_answering(self) -> bool:
        try:
            # Writing the ping already waits for a client that does not read. One on its way is enough: each is kept.
            async with asyncio.timeout(KEEPALIVE_INTERVAL_S):
                if self._pong is None or self._pong.done():
                    self._pong = asyncio.ensure_future(await self._socket.ping())
                await asyncio.wait([self._pong])
        except TimeoutError:
            return False
        return True

    def _drop(self) -> None:
        """Ends the connection with a client that does not read: nor would it read a goodbye."""
        if not self._socket.transport.is_closing():
            self._metrics.closed.labels("too slow").inc()
            log.warning("client.given_up", uid=self._protocol.uid, reason="too slow")
            self._socket.transport.abort()

    async def _give_up(self, reason: str, code: int) -> None:
        self._metrics.closed.labels(reason).inc()
        log.warning("client.given_up", uid=self._protocol.uid, reason=reason)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._socket.close(code, reason)
        except TimeoutError:
            self._socket.transport.abort()
