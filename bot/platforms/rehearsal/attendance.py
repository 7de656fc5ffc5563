"""Attendance of a rehearsal: joins a scripted meeting, a running one or one that is started for the occasion.

A room of our own is a child process. It says its URL on standard output, or why there is none: one line of JSON with
the sub-code and the words.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from bot.core import events as ev
from bot.core.orders import Reconnect, Rejoin
from bot.drivers.webrtc import TrackReceiver
from bot.platforms.orders import Orders, until_told
from common.contracts.status import SubCode
from common.errors import EarshotError
from common.interpreter import module_command
from common.webrtc import is_loopback

if TYPE_CHECKING:
    from bot.audio.frame import AudioFrame
    from bot.platforms.base import Invitation, Listener

REACH_TIMEOUT_S = 5.0
"""Until a room that does not answer counts as unreachable."""
ANSWER_TIMEOUT_S = 10.0
"""From the connection to `lobby` or `admitted`."""
RETURN_TIMEOUT_S = 120.0
"""Without a connection, until it counts as lost for good."""
START_TIMEOUT_S = 15.0
"""A room of our own may take so long to listen."""
FAREWELL_TIMEOUT_S = 0.5
"""For saying that we leave."""
CONNECT_PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between attempts to connect; the last one repeats."""

OWN_ROOM = ("rehearsal", "room", "--owned", "--listen", "127.0.0.1:0", "--")
"""Module and arguments that start a room of our own; the script's path follows."""
MAX_LINE_BYTES = 256 * 1024
"""Of a room's first line; the words of a failure are at most 20 000 characters."""
_UNANSWERED = (OSError, TimeoutError, InvalidHandshake, InvalidMessage, ConnectionClosed)


async def attend(invitation: Invitation, listener: Listener, orders: Orders) -> SubCode:
    """See `bot.platforms.base.Platform`."""
    return await until_told(_Attendance(invitation, listener, orders), orders)


@asynccontextmanager
async def _room_url(meeting_url: str) -> AsyncIterator[str]:
    """The websocket URL to join: given, or of a room of our own that ends with us."""
    if meeting_url.startswith("rehearsal+"):
        yield meeting_url.removeprefix("rehearsal+")
        return
    path = meeting_url.removeprefix("rehearsal:").removeprefix("//")
    # its standard input stays open as long as we live: the room ends with us even if we are killed
    process = await asyncio.create_subprocess_exec(
        *module_command(*OWN_ROOM, path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE_BYTES,
    )
    try:
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await process.stdout.readline() if process.stdout else b""
        yield _said_url(line.decode(), path).removeprefix("rehearsal+")
    finally:
        await _end(process)


def _said_url(line: str, path: str) -> str:
    """The URL in a room's first line. Raises EarshotError: what it says instead, or that it says nothing."""
    if line.startswith("{"):
        failure = json.loads(line)
        raise EarshotError(SubCode(failure["code"]), failure["message"])
    if not line.startswith("rehearsal+"):
        words = f"meetingUrl: no room could be started with {path}; its errors stand above"
        raise EarshotError(SubCode.ROOM_UNREACHABLE, words)
    return line.strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            async with asyncio.timeout(1.0):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@dataclass(slots=True)
class _Track:
    muted: bool = False
    receiver: TrackReceiver | None = None


class _Attendance:
    """One bot in one room, through as many connections as it takes."""

    def __init__(self, invitation: Invitation, listener: Listener, orders: Orders) -> None:
        self._invitation, self._listener, self._orders = invitation, listener, orders
        self._websocket: ClientConnection | None = None
        self._admitted = False
        self._is_put_back = False  # in the lobby again, where the bot has forgotten who is in the meeting
        self._names: dict[str, str] = {}
        self._tracks: dict[str, _Track] = {}
        self._receivers: set[TrackReceiver] = set()  # that are not closed yet
        self._group: asyncio.TaskGroup | None = None
        self.over = False
        """Nothing is reported any more."""

    async def farewell(self) -> None:
        """Tells the room that we leave, as far as that is possible."""
        if self._websocket is not None:
            await self._leave(self._websocket)

    @staticmethod
    async def _leave(websocket: ClientConnection) -> None:
        with suppress(ConnectionClosed, TimeoutError):
            async with asyncio.timeout(FAREWELL_TIMEOUT_S):
                await websocket.send('{"type": "leave"}')

    async def _obey(self, websocket: ClientConnection) -> None:
        """Either order ends this connection, and with it every media connection; `stay` comes back."""
        while True:
            match await self._orders.next():
                case Reconnect():
                    websocket.transport.abort()
                case Rejoin():
                    await self._leave(websocket)

    async def stay(self) -> SubCode:
        """Joins, and comes back after every break of the connection, until the meeting is over for us."""
        async with _room_url(self._invitation.meeting_url or "") as url:
            while True:
                async with await self._reach(url) as websocket:
                    self._websocket = websocket
                    try:
                        outcome = await self._attend(websocket)
                    finally:
                        self._websocket = None
                        await asyncio.gather(*map(self._close, set(self._receivers)))
                if outcome is not None:
                    return outcome
                if self._admitted:
                    self._report(ev.TransportLost())

    async def _reach(self, url: str) -> ClientConnection:
        """Connects, with patience: little at first, more when we are to come back."""
        shown = self._invitation.meeting_url
        try:
            async with asyncio.timeout(RETURN_TIMEOUT_S if self._admitted else REACH_TIMEOUT_S):
                for attempt in range(10_000):
                    try:
                        return await connect(
                            url,
                            proxy=None,
                            compression=None,
                            open_timeout=REACH_TIMEOUT_S,
                            close_timeout=FAREWELL_TIMEOUT_S,
                            ping_interval=5,
                            ping_timeout=5,
                        )
                    except _UNANSWERED:
                        await asyncio.sleep(CONNECT_PAUSES_S[min(attempt, len(CONNECT_PAUSES_S) - 1)])
        except TimeoutError:
            pass
        if self._admitted:
            raise EarshotError(
                SubCode.CONNECTION_LOST, f"the rehearsal room {shown} did not answer for {RETURN_TIMEOUT_S:g} s"
            )
        raise EarshotError(
            SubCode.ROOM_UNREACHABLE,
            f"no rehearsal room answers at meetingUrl {shown}; start one with: earshot room SCRIPT --listen HOST:PORT",
        )

    async def _attend(self, websocket: ClientConnection) -> SubCode | None:
        """One connection. Returns how the meeting ended for us, or None when the connection broke."""
        refusal: EarshotError | None = None
        outcome: SubCode | None = None
        async with asyncio.TaskGroup() as group:
            self._group = group
            obeying = group.create_task(self._obey(websocket))
            try:
                outcome = await self._converse(websocket)
            except ConnectionClosed:
                pass
            except EarshotError as error:
                refusal = error
            except (ValueError, KeyError, TypeError, AttributeError):
                refusal = EarshotError(
                    SubCode.ROOM_UNREACHABLE,
                    f"meetingUrl {self._invitation.meeting_url} is no rehearsal room of this version",
                )
            finally:
                self._group = None
                obeying.cancel()
        if refusal is not None:
            raise refusal
        return outcome

    async def _converse(self, websocket: ClientConnection) -> SubCode:
        join = {"type": "join", "identity": self._invitation.connection_id, "name": self._invitation.bot_name}
        await websocket.send(json.dumps(join))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                message = json.loads(await websocket.recv())
        except TimeoutError:
            raise EarshotError(
                SubCode.JOIN_TIMEOUT,
                f"the rehearsal room {self._invitation.meeting_url} did not answer `join` in {ANSWER_TIMEOUT_S:g} s",
            ) from None
        while (outcome := self._receive(message)) is None:
            message = json.loads(await websocket.recv())
        return outcome

    def _receive(self, message: dict[str, Any]) -> SubCode | None:
        """Takes one message of the room; returns the outcome when it is the last."""
        match message["type"]:
            case "lobby":
                self._is_put_back = self._admitted
                self._compare([])
                self._report(ev.LobbyEntered())
            case "admitted":
                self._enter(message["participants"])
            case "refused":
                raise EarshotError(
                    SubCode.JOIN_REFUSED, f"the rehearsal room {self._invitation.meeting_url} refused the bot entry"
                )
            case "joined":
                self._join(message["participant"], message["name"])
            case "renamed":
                self._join(message["participant"], message["name"])
            case "left":
                if self._names.pop(message["participant"], None) is not None:
                    self._report(ev.ParticipantLeft(message["participant"]))
            case "track_opened":
                self._open_track(message["track"], message["participant"], message["muted"])
            case "track_closed":
                self._close_track(message["track"])
            case "muted" | "unmuted":
                self._mute(message["track"], message["type"] == "muted")
            case "offer":
                self._take_offer(message["track"], message["sdp"])
            case "removed":
                return SubCode.REMOVED
            case "ended":
                return SubCode.MEETING_ENDED
            case "replaced":
                return SubCode.DUPLICATE_IDENTITY
        return None

    def _report(self, event: ev.PlatformEvent) -> None:
        if not self.over:
            self._listener.event(event)

    # --- people and tracks: what the room says against what we know

    def _enter(self, people: list[dict[str, Any]]) -> None:
        """Admitted, or back after a break: says what has changed since."""
        is_back = self._admitted and not self._is_put_back
        self._report(ev.TransportBack() if is_back else ev.Admitted())
        self._admitted, self._is_put_back = True, False
        self._compare(people)

    def _compare(self, people: list[dict[str, Any]]) -> None:
        """Says in what the room differs from what we knew of it."""
        here = {person["participant"]: person for person in people}
        tracks = {person["track"] for person in people if person["track"] is not None}
        for track in [track for track in self._tracks if track not in tracks]:
            self._close_track(track)
        for participant in [participant for participant in self._names if participant not in here]:
            del self._names[participant]
            self._report(ev.ParticipantLeft(participant))
        for participant, person in here.items():
            self._join(participant, person["name"])
            if person["track"] is not None:
                self._open_track(person["track"], participant, person["muted"])

    def _join(self, participant: str, name: str) -> None:
        former = self._names.get(participant)
        self._names[participant] = name
        if former is None:
            self._report(ev.ParticipantJoined(participant, name))
        elif former != name:
            self._report(ev.ParticipantRenamed(participant, name))

    def _open_track(self, track: str, participant: str, muted: bool) -> None:
        if track not in self._tracks:
            self._tracks[track] = _Track()
            self._report(ev.TrackOpened(track, participant))
        self._mute(track, muted)

    def _close_track(self, track: str) -> None:
        if closed := self._tracks.pop(track, None):
            if closed.receiver is not None and self._group is not None:
                self._group.create_task(self._close(closed.receiver))
            self._report(ev.TrackClosed(track))

    def _mute(self, track: str, muted: bool) -> None:
        known = self._tracks.get(track)
        if known is not None and known.muted != muted:
            known.muted = muted
            self._report(ev.TrackMuted(track) if muted else ev.TrackUnmuted(track))

    # --- media

    def _take_offer(self, track: str, sdp: str) -> None:
        known, websocket = self._tracks.get(track), self._websocket
        if known is None or websocket is None or self._group is None:
            return
        loopback = is_loopback(str(websocket.remote_address[0]))
        # without media we hear nothing: a new connection is the cure
        known.receiver = TrackReceiver(
            track, self._audio, loopback=loopback, lost=lambda reason: websocket.transport.abort()
        )
        self._receivers.add(known.receiver)
        self._group.create_task(self._answer(websocket, track, known.receiver, sdp))

    async def _answer(self, websocket: ClientConnection, track: str, receiver: TrackReceiver, sdp: str) -> None:
        try:
            answer = await receiver.answer(sdp)
            await websocket.send(json.dumps({"type": "answer", "track": track, "sdp": answer}))
        except (ConnectionClosed, ValueError):  # a track that was closed meanwhile, or no connection any more
            pass

    def _audio(self, frame: AudioFrame) -> None:
        track = self._tracks.get(frame.track_id)
        if track is not None and not track.muted and not self.over:
            self._listener.audio(frame)

    async def _close(self, receiver: TrackReceiver) -> None:
        await receiver.close()
        self._receivers.discard(receiver)
