"""Attendance of a room on an SFU: joined over a websocket, come back to after every break, a connection per track.

The server says what changed; we compare what its room looks like with what we have reported, and report the
difference. So a return after a break, with the same people or others, comes out as the few events that describe it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bot.core import events as ev
from bot.core.orders import Reconnect, Resubscribe
from bot.platforms.differences import Seen, differences
from bot.platforms.orders import Orders, until_told
from bot.platforms.sfu.line import MAX_MESSAGE_BYTES, LineBroken
from bot.platforms.sfu.room import Refused, SfuRoom
from bot.platforms.sfu.tracks import Tracks
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.problems import reason
from common.redact import Redactor, redact_url, url_secrets
from common.webrtc import is_loopback

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener

REACH_TIMEOUT_S = 5.0
"""Until a server that does not answer counts as unreachable."""
JOIN_TIMEOUT_S = 12.0
"""From the connection to being in the room."""
RETURN_TIMEOUT_S = 120.0
"""Without being in the room again, until the connection counts as lost for good."""
NO_ROOM_TIMEOUT_S = 20.0
"""A room that a server which came back does not have may be made again for so long; then the meeting is over."""
STEADY_S = 5.0
"""A server that takes us in and breaks sooner than this is come back to less and less often."""
FAREWELL_TIMEOUT_S = 0.5
"""For saying that we leave."""
CONNECT_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between attempts to connect; the last one repeats."""
MAX_TRACKS = 128
"""Heard at once, each by a connection of its own. Policy when there are more: those that are muted give way."""
PING_S = 5.0
"""Between pings, and for their answer: a server that froze is known after 10 s."""
_UNANSWERED = (OSError, TimeoutError, WebSocketException, ValueError)
T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """Where a room is, and how its server is spoken to.

    Args:
        title: Of the server's software.
        url: Of its websocket, ws:// or wss://.
        subprotocol: That it must speak; None: none is asked for.
        room: Makes the room of a fresh connection.
    """

    title: str
    url: str
    subprotocol: str | None
    room: Callable[[ClientConnection, Invitation, Callable[[], None], Callable[[str], None]], SfuRoom]

    @property
    def where(self) -> str:
        """The server, in words and without secrets."""
        return f"{self.title} at {redact_url(self.url)}"


async def attend(server: Server, invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    return await until_told(_Attendance(server, invitation, listener, orders), orders)


async def try_out(server: Server, invitation: Invitation) -> str:
    """See `bot.platforms.base.Platform`: asks as far as that goes without entering the room."""
    async with await _connect(server, asyncio.get_running_loop().time() + REACH_TIMEOUT_S) as websocket:
        room = server.room(websocket, invitation, lambda: None, lambda track: None)
        reading = asyncio.create_task(room.line.run())
        try:
            found = await _answered(server, room.try_out())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            websocket.transport.abort()
    return f"{server.where} answers: {found}"


async def _connect(server: Server, deadline: float) -> ClientConnection:
    """A websocket. Raises EarshotError: there is none, or not of such a server."""
    subprotocol = server.subprotocol
    try:
        async with asyncio.timeout_at(deadline):
            websocket = await connect(
                server.url,
                subprotocols=None if subprotocol is None else [Subprotocol(subprotocol)],
                proxy=None,
                compression=None,
                open_timeout=REACH_TIMEOUT_S,
                close_timeout=FAREWELL_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MAX_MESSAGE_BYTES,
            )
    except _UNANSWERED as error:
        why = Redactor(url_secrets(server.url))(reason(error)) or "nothing came within the time"
        words = f"no answer from {server.where} ({why}): check `meetingUrl` and the network"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None
    if websocket.subprotocol != subprotocol:
        websocket.transport.abort()
        words = f"what answers at {redact_url(server.url)} is no {server.title}: it does not speak"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, f"{words} {subprotocol}")
    return websocket


async def _answered(server: Server, asking: Awaitable[T]) -> T:
    """What the server answers to all that is asked. Raises EarshotError: nothing, or nothing that can be understood."""
    try:
        async with asyncio.timeout(JOIN_TIMEOUT_S):
            return await asking
    except TimeoutError:
        raise EarshotError(SubCode.JOIN_TIMEOUT, f"{server.where} did not answer in time") from None
    except LineBroken as error:
        words = f"{server.where} did not let us speak ({error}): check `meetingUrl`"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None


class _Attendance:
    """One bot in one room, through as many connections as it takes."""

    def __init__(self, server: Server, invitation: Invitation, listener: Listener, orders: Orders) -> None:
        self._server, self._invitation = server, invitation
        self._listener, self._orders = listener, orders
        self._room: SfuRoom | None = None
        self._seen: dict[str, Seen] = {}
        self._muted: dict[str, bool] = {}  # open tracks
        self._admitted = self._is_crowded = False
        self.over = False
        """Nothing is reported any more."""

    async def farewell(self) -> None:
        """Tells the server that we leave, as far as that is possible."""
        if self._room is not None:
            with suppress(LineBroken, Refused, TimeoutError):
                async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                    await self._room.leave()

    # --- connections

    async def stay(self) -> SubCode:
        """Enters, and comes back after every break of the connection, until the meeting is over for us."""
        loop = asyncio.get_running_loop()
        attempt, since, failure = 0, loop.time(), EarshotError(SubCode.ROOM_UNREACHABLE, "")
        while True:
            patience = RETURN_TIMEOUT_S if self._admitted else REACH_TIMEOUT_S
            if self._admitted and failure.code is SubCode.MEETING_NOT_FOUND:
                patience = NO_ROOM_TIMEOUT_S
            if attempt:  # no attempt begins after the time: it would fail for want of it, and not say why others did
                pause = CONNECT_PAUSES_S[min(attempt, len(CONNECT_PAUSES_S)) - 1]
                await asyncio.sleep(min(pause, max(0.0, since + patience - loop.time())))
            if loop.time() >= since + patience:
                return self._give_up(failure)
            attempt, began = attempt + 1, loop.time()
            try:
                ended = await self._visit(since + patience)
            except EarshotError as error:
                if not self._admitted and error.code is not SubCode.ROOM_UNREACHABLE:
                    raise
                failure = error
                continue
            if ended is not None:
                return ended
            since = loop.time()
            attempt = 0 if since >= began + STEADY_S else attempt
            self._report(ev.TransportLost())

    def _give_up(self, failure: EarshotError) -> SubCode:
        if not self._admitted:
            raise failure
        if failure.code is SubCode.MEETING_NOT_FOUND:
            return SubCode.MEETING_ENDED
        words = f"{self._server.where} did not have us back for {RETURN_TIMEOUT_S:g} s: {failure}"
        raise EarshotError(SubCode.CONNECTION_LOST, words)

    async def _visit(self, deadline: float) -> SubCode | None:
        """One connection. Why we are not in the room any more, or None: we were in it, and the connection broke.

        Raises:
            EarshotError: We did not come in.
        """
        async with await _connect(self._server, deadline) as websocket:
            tracks = Tracks(self._hear, self._encrypted, loopback=is_loopback(str(websocket.remote_address[0])))
            changed = asyncio.Event()
            room = self._server.room(websocket, self._invitation, changed.set, tracks.renew)
            reading = asyncio.create_task(room.line.run())
            try:
                await self._enter(room)
                return await self._follow(room, reading, changed, tracks)
            finally:
                self._room = None
                reading.cancel()
                await asyncio.gather(reading, tracks.close(), return_exceptions=True)
                websocket.transport.abort()  # whatever it still had to say, to us it does not matter

    async def _enter(self, room: SfuRoom) -> None:
        await _answered(self._server, room.enter())
        self._room = room
        self._report(ev.TransportBack() if self._admitted else ev.Admitted())
        self._admitted = True

    # --- the room

    async def _follow(
        self, room: SfuRoom, reading: asyncio.Task[None], changed: asyncio.Event, tracks: Tracks
    ) -> SubCode | None:
        """Reports what happens in the room until it is over for us, or the connection breaks."""
        tasks = {reading, *map(asyncio.create_task, (room.keep_alive(), self._obey(tracks), tracks.run(room)))}
        try:
            while room.ended is None:
                self._look(room, tracks)
                changed.clear()
                waiting = asyncio.create_task(changed.wait())
                try:
                    await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                for task in tasks:
                    if task.done():
                        await task
        except LineBroken:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return room.ended

    def _look(self, room: SfuRoom, tracks: Tracks) -> None:
        seen = room.look()
        for event in differences(self._seen, seen):
            self._report(event)
            if isinstance(event, ev.TrackOpened) and not room.is_opus(event.track_id):
                words = "only Opus is heard: let the room negotiate it"
                log.warning("track_is_not_opus", server=self._server.title, track=event.track_id, remedy=words)
        self._seen = seen
        self._muted = {track: muted for person in seen.values() for track, muted in person.tracks.items()}
        opus = sorted(filter(room.is_opus, self._muted), key=self._muted.__getitem__)  # those that are muted last
        tracks.want(set(opus[:MAX_TRACKS]))
        if len(opus) > MAX_TRACKS and not self._is_crowded:
            log.warning("too_many_tracks", server=self._server.title, published=len(opus), heard=MAX_TRACKS)
        self._is_crowded = len(opus) > MAX_TRACKS

    async def _obey(self, tracks: Tracks) -> None:
        """Carries out what is ordered beside leaving."""
        while True:
            match await self._orders.next():
                case Resubscribe(track_id):
                    tracks.renew(track_id)
                case Reconnect():
                    raise LineBroken

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)

    def _encrypted(self, track_id: str) -> None:
        if track_id in self._muted:
            self._report(ev.TrackEncrypted(track_id))

    def _hear(self, frame: AudioFrame) -> None:
        if self._muted.get(frame.track_id) is False and not self.over:
            self._listener.audio(frame)
