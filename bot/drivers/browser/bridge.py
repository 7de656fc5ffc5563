"""The bridge: a websocket on loopback, guarded by a token, over which a page's frames hand us what they hear.

A page is a stranger: what comes is checked, counted and bounded, and a flood slows itself down. How a track is captured
follows evidence: encoded frames first; where those cannot be heard, what the page itself decoded (`element`); and where
no track has sound, what the page plays (the mix).
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import secrets
from collections.abc import Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bot.drivers.browser import wire
from bot.drivers.browser.capture import Allowance, CapturedTrack
from bot.drivers.browser.tracks import MIX_ID, CapturedKind, CaptureListener, TrackInfo
from bot.drivers.browser.wire import MAX_MESSAGE_BYTES, MAX_TRACKS, Kind, Sound, WireError, read_message, read_sound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.http11 import Request, Response

MAX_FRAMES = 32
"""Frames of a page that may be connected at once; more are refused."""
SLOWLY_S = 0.05
"""A pause before the next message of a frame that sends too many: its own buffer fills, and it drops."""
MAX_MALFORMED = 10
"""Malformed messages after which a frame is cut off (1008)."""
MIX_AFTER_S = 3.0
"""For so long no track has had sound, and the page plays something: then the mix is captured."""
MIX_YIELDS_S = 5.0
"""For so long after a track had sound the mix is not heard: it would be the same once more."""

_frames = itertools.count(1)  # never the same twice, so that no track has the id of one of a page that died

log = structlog.get_logger(__name__)


class _Frame:
    """One frame of the page: its connection, and its tracks by their number in the page."""

    def __init__(self, bridge: Bridge, connection: ServerConnection, number: int, now: float) -> None:
        self._bridge, self.connection, self._number = bridge, connection, number
        self._tracks: dict[int, CapturedTrack] = {}
        self._generations = itertools.count(1)
        self._texts = Allowance(now)
        self._malformed = 0
        self.heard_at = now
        """When anything came last, on the loop's clock."""
        self.plays_since: float | None = None
        self._mixing = False
        self._ended: set[int] = set()  # mixes whose players are closed; the page uses a number once

    def take(self, message: str | bytes, now: float) -> bool:
        """Takes a message; False: it was one too many."""
        self.heard_at = now
        try:
            if isinstance(message, bytes):
                return self._take_sound(read_sound(message), now)
            if not self._texts.take(now, len(message)):
                for number in self._tracks:  # it may have said whose voices come now
                    self._say("contributing_sources", number, sources=[])
                return False
            self._take_message(read_message(message), now)
        except WireError as error:
            self._malformed += 1
            if self._malformed > MAX_MALFORMED:
                raise
            log.warning("browser_malformed_message", error=str(error))
        return True

    def close(self) -> None:
        """Nothing comes any more."""
        for number in list(self._tracks):
            self._close(number)

    def tell(self, **order: object) -> None:
        """Tells the page what to do."""
        broadcast([self.connection], json.dumps(order))

    @property
    def tracks(self) -> int:
        """How many are open."""
        return len(self._tracks)

    def _take_sound(self, sound: Sound, now: float) -> bool:
        track = self._mix(sound, now) if sound.track < 0 else self._tracks.get(sound.track)
        if track is None:
            return True  # closed already, refused, or a mix that nobody needs
        if not track.allowance.take(now):
            self._bridge.dropped += 1
            return False
        if why := track.sound(sound, now):
            self._change_way(sound.track, track, why)
        if track.info.kind is not CapturedKind.MIX and track.sounded_at == now:
            self._bridge.sounded_at = now
        return True

    def _mix(self, sound: Sound, now: float) -> CapturedTrack | None:
        if sound.kind is not Kind.PCM or not self._mixing or now < self._bridge.sounded_at + MIX_YIELDS_S:
            return None
        if sound.track in self._ended:  # it was on its way
            return None
        track = self._tracks.get(sound.track)
        if track is None and self._bridge.has_room():
            info = TrackInfo(self._bridge.mix_id(), kind=CapturedKind.MIX)
            track = self._open(sound.track, info, now)
        return track

    def _open(self, number: int, info: TrackInfo, now: float) -> CapturedTrack:
        track = self._tracks[number] = CapturedTrack(info, self._bridge.listener.audio, now)
        self._bridge.listener.track_opened(info)
        return track

    def _close(self, number: int) -> None:
        if track := self._tracks.pop(number, None):
            track.close()
            self._bridge.listener.track_closed(track.info.track_id)

    def _take_message(self, message: wire.Message, now: float) -> None:
        match message:
            case wire.Track():
                self._close(message.track)
                if self._bridge.has_room():
                    track_id = f"{self._number}.{message.track}.{next(self._generations)}"
                    streams, element = tuple(message.streams), tuple(message.element)
                    info = TrackInfo(
                        track_id, message.id, streams, message.mid, element=element, frame_url=message.frame
                    )
                    self._open(message.track, info, now)
            case wire.Closed():
                if message.track < 0:
                    self._ended.add(message.track)
                self._close(message.track)
            case wire.Taken() | wire.Codec():
                if track := self._tracks.get(message.track):
                    codec = message.codec if isinstance(message, wire.Codec) else None
                    reason = f"its codec is {codec}" if codec else "the page transforms its frames itself: encrypted"
                    self._change_way(message.track, track, reason)
            case wire.Receiving():
                for number, level in message.tracks.items():
                    if (track := self._tracks.get(number)) and (why := track.received(level, now)):
                        self._change_way(number, track, why)
            case wire.Sources():
                self._say("contributing_sources", message.track, sources=message.sources)
            case wire.ElementFound():
                self._say("track_element", message.track, element=message.element)
            case wire.Plays():
                self.plays_since = self.plays_since or now
            case wire.Signal():
                self._bridge.listener.signal(message.name, message.payload)
            case wire.Failed():
                log.warning("browser_probe_failed", what=message.what)
            case wire.Beat():
                self._mix_if_needed(now)

    def _say(self, name: str, number: int, **payload: object) -> None:
        if track := self._tracks.get(number):
            self._bridge.listener.signal(name, {"track_id": track.info.track_id, **payload})

    def _change_way(self, number: int, track: CapturedTrack, why: str) -> None:
        track.listen_to_element()
        self.tell(element=number)
        log.info("browser_track_captured_from_element", track=track.info.track_id, why=why)
        self._say("capture", number, way="element", why=why)

    def _mix_if_needed(self, now: float) -> None:
        if not self._bridge.wants_mix or self._mixing or self.plays_since is None:
            return
        if now >= max(self.plays_since, self._bridge.sounded_at) + MIX_AFTER_S:
            self._mixing = True
            self.tell(mix=True)


class Bridge:
    """What all frames of one page share. Made by `open_bridge`.

    Args:
        listener: Hears the page.
        wants_mix: Whether the mix is captured where no track has sound.
    """

    def __init__(self, listener: CaptureListener, wants_mix: bool) -> None:
        self.listener, self.wants_mix = listener, wants_mix
        self.token = secrets.token_urlsafe(24)
        self.authority = ""
        """host:port."""
        self.sounded_at = -1e9
        """When a track that is no mix had sound last, on the loop's clock."""
        self.dropped = 0
        """Messages beyond what a track is allowed."""
        self.refused = 0
        """Tracks beyond MAX_TRACKS."""
        self.failure: Callable[[BaseException], None] = lambda error: None
        """Called with what a listener raised."""
        self._frames: set[_Frame] = set()
        self._mixes = itertools.count(1)

    @property
    def heard_at(self) -> float | None:
        """When anything came last from the frame that was heard of the longest ago, on the loop's clock; None: there
        is no frame."""
        return min((frame.heard_at for frame in self._frames), default=None)

    def has_room(self) -> bool:
        """Whether one more track may be opened; says so once if not."""
        if sum(frame.tracks for frame in self._frames) < MAX_TRACKS:
            return True
        if not self.refused:
            log.warning("browser_too_many_tracks", heard=MAX_TRACKS)
        self.refused += 1
        return False

    def mix_id(self) -> str:
        """The next mix's; a page usually has one."""
        number = next(self._mixes)
        return MIX_ID if number == 1 else f"{MIX_ID}-{number}"

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuses whoever does not know the token, before anything is upgraded."""
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if not any(hmac.compare_digest(one.strip().encode(), self.token.encode()) for one in offered):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        if len(self._frames) >= MAX_FRAMES:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """One frame, until its connection ends."""
        loop = asyncio.get_running_loop()
        frame = _Frame(self, connection, next(_frames), loop.time())
        self._frames.add(frame)
        try:
            async for message in connection:
                if not frame.take(message, loop.time()):
                    await asyncio.sleep(SLOWLY_S)
        except ConnectionClosed:
            pass
        except WireError:
            log.warning("browser_frame_cut_off", malformed=MAX_MALFORMED)
            await connection.close(1008)
        except Exception as error:
            self.failure(error)
        finally:
            self._frames.discard(frame)
            try:
                frame.close()
            except Exception as error:
                self.failure(error)


def _subprotocol(_: ServerConnection, __: object) -> Subprotocol:
    return Subprotocol("earshot")


@asynccontextmanager
async def open_bridge(listener: CaptureListener, wants_mix: bool) -> AsyncIterator[Bridge]:
    """Listens on a free port of 127.0.0.1 until the end, when every track has been closed."""
    bridge = Bridge(listener, wants_mix)
    async with serve(
        bridge.serve,
        "127.0.0.1",
        0,
        process_request=bridge.admit,
        select_subprotocol=_subprotocol,
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        ping_interval=None,
        close_timeout=0.2,
        server_header=None,
        start_serving=False,  # by asyncio itself it would leave its socket open when it is cancelled there
    ) as server:
        await server.start_serving()
        bridge.authority = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield bridge
