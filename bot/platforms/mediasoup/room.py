"""A room of a mediasoup application: requests over its websocket, a transport and a consumer for each track heard."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

from bot.platforms.differences import Seen
from bot.platforms.mediasoup import sdp
from bot.platforms.mediasoup.peers import Peers
from bot.platforms.mediasoup.settings import MediasoupSettings
from bot.platforms.sfu.line import Message
from bot.platforms.sfu.room import Refused, SfuRoom
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

    from bot.drivers.webrtc import TrackReceiver
    from bot.platforms.base import Invitation

_REFUSALS = {
    "no_such_room": (SubCode.MEETING_NOT_FOUND, "does not exist: check `mediasoup.room`"),
    "unauthorized": (SubCode.TOKEN_REFUSED, "lets in whoever has a token: check `mediasoup.accessToken`"),
    "room_full": (SubCode.MEETING_FULL, "is full"),
}


class MediasoupError(Refused):
    """The application refused a request."""

    def __init__(self, code: object, words: object) -> None:
        super().__init__(f"{words} ({code})")
        self.code = code


class MediasoupRoom(SfuRoom):
    """One connection (see `bot.platforms.sfu.room.SfuRoom`)."""

    def __init__(
        self,
        websocket: ClientConnection,
        invitation: Invitation,
        changed: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        super().__init__(websocket, invitation, changed, lost)
        self._settings: MediasoupSettings = invitation.settings
        self._identity = self._settings.identity or invitation.connection_id
        self._numbers = count(1)
        self._peers = Peers(self._identity)
        self._capabilities: dict[str, Any] = {}
        self._transports: dict[str, str] = {}  # track → its transport

    def answers(self, message: Message) -> str | int | None:
        """See `SfuRoom`."""
        number = message.get("id")
        return number if isinstance(number, int) and message.get("type") == "response" else None

    def told(self, message: Message) -> None:
        """See `SfuRoom`."""
        ended = self._peers.take(message.get("type"), message.get("data"))
        self.ended = self.ended or ended
        self._changed()

    async def enter(self) -> None:
        """See `SfuRoom`."""
        join: dict[str, Any] = {"room": self._settings.room, "peerId": self._identity, "service": True}
        join["name"] = self._invitation.bot_name
        if self._settings.access_token is not None:
            join["token"] = self._settings.access_token.get_secret_value()
        room = f"the room {self._settings.room!r}"
        try:
            await self._ask("joinRoom", self._joined, **join)
            self._capabilities = sdp.opus_of((await self._ask("getRouterRtpCapabilities")).get("rtpCapabilities"))
        except MediasoupError as error:
            code, words = _REFUSALS.get(str(error.code), (SubCode.JOIN_REFUSED, "refused us"))
            raise EarshotError(code, f"{room} {words} (it says: {error})") from None
        except ValueError as error:
            words = f"{room} is in no mediasoup application that this bot can speak to: {error}"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words) from None

    async def try_out(self) -> str:
        """See `SfuRoom`: whether what answers speaks our protocol. Rooms and tokens it tells only who joins."""
        number = next(self._numbers)
        answer = await self.line.ask(number, {"id": number, "type": "getRouterRtpCapabilities", "data": {}})
        if not isinstance(answer.get("ok"), bool):
            words = "what answers there does not speak the protocol of docs/mediasoup.md: check `meetingUrl`"
            raise EarshotError(SubCode.ROOM_UNREACHABLE, words)
        return f"it speaks our protocol; whether the room {self._settings.room!r} lets us in, it tells only who joins"

    def _joined(self, answer: Message) -> None:
        """Who is there: what the room says next is about what changed since."""
        data = answer.get("data")
        if answer.get("ok") is True and isinstance(data, dict):
            self._peers.joined(data.get("peers"))

    async def keep_alive(self) -> None:
        """See `SfuRoom`; the websocket's own pings are enough."""
        await asyncio.Event().wait()

    def look(self) -> dict[str, Seen]:
        """See `SfuRoom`."""
        return self._peers.look()

    def is_opus(self, track_id: str) -> bool:
        """See `SfuRoom`; the application does not consume what our capabilities do not have."""
        return True

    async def subscribe(self, track_id: str, receiver: TrackReceiver) -> None:
        """See `SfuRoom`."""
        transport = await self._ask("createWebRtcTransport", direction="recv")
        transport_id = self._transports[track_id] = str(transport.get("id"))
        consumer = await self._ask(
            "consume", transportId=transport_id, producerId=track_id, rtpCapabilities=self._capabilities
        )
        parameters = consumer.get("rtpParameters")
        offer = sdp.offer(transport, parameters if isinstance(parameters, dict) else {})

        async def connect(answer: str) -> None:
            await self._ask("connectTransport", transportId=transport_id, dtlsParameters=sdp.dtls_parameters(answer))

        await receiver.answer(offer, connect)
        await self._ask("resumeConsumer", consumerId=consumer.get("id"))

    async def unsubscribe(self, track_id: str) -> None:
        """See `SfuRoom`."""
        transport_id = self._transports.pop(track_id, None)
        if transport_id is not None:
            await self._say("closeTransport", transportId=transport_id)

    async def leave(self) -> None:
        """See `SfuRoom`."""
        await self._say("leaveRoom")

    async def _ask(self, kind: str, heed: Callable[[Message], None] | None = None, /, **data: Any) -> dict[str, Any]:
        number = next(self._numbers)
        answer = await self.line.ask(number, {"id": number, "type": kind, "data": data}, heed)
        if answer.get("ok") is not True:
            error = answer.get("error")
            known = error if isinstance(error, dict) else {}
            raise MediasoupError(known.get("code"), known.get("message"))
        found = answer.get("data")
        return found if isinstance(found, dict) else {}

    async def _say(self, kind: str, **data: Any) -> None:
        await self.line.say({"id": next(self._numbers), "type": kind, "data": data})
