"""A room of Janus's video room plugin: a session, a handle that takes part, and a handle for each track that is heard.

Janus speaks JSON over a websocket (subprotocol `janus-protocol`); a transaction's `ack` says only that it was read. One
handle can subscribe to many feeds, but a feed that is taken back and published again would come under a new SSRC on the
old m-line, which aiortc does not route: so each track has a handle and a peer connection of its own.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

from bot.platforms.differences import Seen
from bot.platforms.janus.feeds import FeedId, Feeds
from bot.platforms.janus.settings import JanusSettings
from bot.platforms.sfu.line import LineBroken, Message
from bot.platforms.sfu.room import Encrypted, Refused, SfuRoom
from common.contracts.status import SubCode
from common.errors import EarshotError

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

    from bot.drivers.webrtc import TrackReceiver
    from bot.platforms.base import Invitation

KEEP_ALIVE_S = 25.0
"""Janus gives a session up after 60 s without a message (`session_timeout`)."""

_UNAUTHORIZED, _NO_PLUGIN = (403, 405), (460, 461)
_NO_SUCH_ROOM, _MISSING, _FULL, _NOT_ALLOWED = 426, 429, 432, 433


class JanusError(Refused):
    """Janus, or its plugin, refused a request."""

    def __init__(self, code: object, reason: object) -> None:
        super().__init__(f"{reason} ({code})")
        self.code, self.reason = code, str(reason)


class JanusRoom(SfuRoom):
    """One session (see `bot.platforms.sfu.room.SfuRoom`)."""

    def __init__(
        self,
        websocket: ClientConnection,
        invitation: Invitation,
        changed: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        super().__init__(websocket, invitation, changed, lost)
        self._settings: JanusSettings = invitation.settings
        secrets = {"apisecret": self._settings.api_secret, "token": self._settings.auth_token}
        self._keys: dict[str, Any] = {key: one.get_secret_value() for key, one in secrets.items() if one is not None}
        self._numbers = count(1)
        self._handle: object = None  # the one that takes part
        self._private_id: object = None
        self._feeds = Feeds(None)
        self._hearing: dict[str, object] = {}  # track → its handle

    def answers(self, message: Message) -> str | int | None:
        """See `SfuRoom`."""
        transaction = message.get("transaction")
        return transaction if isinstance(transaction, str) and message.get("janus") != "ack" else None

    def told(self, message: Message) -> None:
        """See `SfuRoom`. Raises LineBroken when the session, or our handle in it, is gone."""
        kind, sender = message.get("janus"), message.get("sender")
        if kind == "timeout" or (kind == "detached" and sender == self._handle):
            raise LineBroken("Janus has ended our session")
        if kind == "event" and sender == self._handle:
            ended = self._feeds.take(_data(message))
            self.ended = self.ended or ended  # whatever comes behind it
            self._changed()
        elif kind in ("hangup", "detached"):
            for track in [track for track, handle in self._hearing.items() if handle == sender]:
                self._lost(track)

    # --- in and out

    async def enter(self) -> None:
        """See `SfuRoom`."""
        try:
            self._handle = await self._begin()
            join = self._join("publisher", {"display": self._invitation.bot_name})
            data = _data(await self._ask_plugin(self._handle, join, heed=self._joined))
        except JanusError as error:
            raise self._refusal(error) from None
        if data.get("videoroom") != "joined":
            raise EarshotError(SubCode.ROOM_UNREACHABLE, f"{self._where} answered `join` with something else")

    async def _begin(self) -> object:
        """A session, and the first handle in it."""
        self._keys["session_id"] = _id((await self._ask({"janus": "create"})).get("data"))
        return await self._attach()

    async def try_out(self) -> str:
        """See `SfuRoom`: whether Janus lets us in, has video rooms, and has ours; not its pin or token."""
        try:
            asking = await self._begin()
            answer = await self._ask_plugin(asking, {"request": "exists", "room": self._settings.room})
            await self.leave()
        except JanusError as error:
            raise self._refusal(error) from None
        if _data(answer).get("exists") is not True:
            raise self._missing("no room of this name exists")
        return f"{self._where} is there"

    def _joined(self, answer: Message) -> None:
        """Who is there: what the room says next is about what changed since."""
        data = _data(answer)
        if data.get("videoroom") == "joined":
            self._private_id = data.get("private_id")
            self._feeds = Feeds(data.get("id"))
            self._feeds.joined(data)

    async def keep_alive(self) -> None:
        """See `SfuRoom`."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self._say({"janus": "keepalive"})

    async def leave(self) -> None:
        """See `SfuRoom`. Waits for the answer: Janus 1.1.2 may crash where a session and its connection end at once."""
        await self._ask({"janus": "destroy"})

    @property
    def _where(self) -> str:
        return f"the Janus video room {self._settings.room!r}"

    def _join(self, how: str, what: dict[str, Any]) -> dict[str, Any]:
        body = {"request": "join", "ptype": how, "room": self._settings.room, **what}
        if self._invitation.passcode is not None:
            body["pin"] = self._invitation.passcode
        if self._settings.room_token is not None:
            body["token"] = self._settings.room_token.get_secret_value()
        return body

    def _refusal(self, error: JanusError) -> EarshotError:
        """Why we are not let in, in words."""
        reason = error.reason.lower()
        if error.code in _UNAUTHORIZED:
            words = "Janus wants a key: check `janus.apiSecret` or `janus.authToken`"
            return EarshotError(SubCode.TOKEN_REFUSED, f"{words} (it says: {error})")
        if error.code in _NO_PLUGIN:
            return EarshotError(SubCode.JOIN_REFUSED, f"this Janus has no video rooms (it says: {error})")
        if error.code == _NO_SUCH_ROOM:
            return self._missing(error)
        if error.code in (_MISSING, _NOT_ALLOWED) and "pin" in reason:
            return EarshotError(SubCode.PASSCODE_REFUSED, f"{self._where} has another pin: check `passcode`")
        if error.code == _NOT_ALLOWED or (error.code == _MISSING and "token" in reason):
            return EarshotError(SubCode.TOKEN_REFUSED, f"{self._where} lets in whoever has a token: `janus.roomToken`")
        if error.code == _FULL:
            return EarshotError(SubCode.MEETING_FULL, f"{self._where} is full (it says: {error})")
        return EarshotError(SubCode.JOIN_REFUSED, f"{self._where} refused us: {error}")

    def _missing(self, said: object) -> EarshotError:
        words = f"{self._where} does not exist: check `janus.room`, a number or a text as the server has it"
        return EarshotError(SubCode.MEETING_NOT_FOUND, f"{words} (it says: {said})")

    # --- people and tracks

    def look(self) -> dict[str, Seen]:
        """See `SfuRoom`."""
        return self._feeds.look()

    def is_opus(self, track_id: str) -> bool:
        """See `SfuRoom`."""
        found = self._feeds.stream(track_id)
        return found is not None and found[2].codec.lower() == "opus"

    async def subscribe(self, track_id: str, receiver: TrackReceiver) -> None:
        """See `SfuRoom`."""
        found = self._feeds.stream(track_id)
        if found is None:
            raise Refused("it is not published any more")
        handle = self._hearing[track_id] = await self._attach()
        feed: FeedId = found[0]
        what: dict[str, Any] = {"streams": [{"feed": feed, "mid": found[1]}], "autoupdate": False}
        if self._private_id is not None:
            what["private_id"] = self._private_id
        offered = (await self._ask_plugin(handle, self._join("subscriber", what))).get("jsep")
        if not isinstance(offered, dict) or not isinstance(offered.get("sdp"), str):
            raise Refused("Janus offered nothing")
        if offered.get("e2ee") is True:
            raise Encrypted
        answer = {"type": "answer", "sdp": await receiver.answer(offered["sdp"])}
        await self._ask_plugin(handle, {"request": "start"}, answer)

    async def unsubscribe(self, track_id: str) -> None:
        """See `SfuRoom`."""
        handle = self._hearing.pop(track_id, None)
        if handle is not None:
            await self._say({"janus": "detach", "handle_id": handle})

    # --- requests

    async def _attach(self) -> object:
        attached = await self._ask({"janus": "attach", "plugin": "janus.plugin.videoroom"})
        return _id(attached.get("data"))

    async def _ask_plugin(
        self,
        handle: object,
        body: dict[str, Any],
        jsep: dict[str, str] | None = None,
        heed: Callable[[Message], None] | None = None,
    ) -> Message:
        message: Message = {"janus": "message", "handle_id": handle, "body": body}
        answer = await self._ask(message if jsep is None else message | {"jsep": jsep}, heed)
        data = _data(answer)
        if "error_code" in data or "error" in data:
            raise JanusError(data.get("error_code"), data.get("error"))
        return answer

    async def _ask(self, message: Message, heed: Callable[[Message], None] | None = None) -> Message:
        key = str(next(self._numbers))
        answer = await self.line.ask(key, message | self._keys | {"transaction": key}, heed)
        if answer.get("janus") == "error":
            error = answer.get("error")
            known = error if isinstance(error, dict) else {}
            raise JanusError(known.get("code"), known.get("reason"))
        return answer

    async def _say(self, message: Message) -> None:
        await self.line.say(message | self._keys | {"transaction": str(next(self._numbers))})


def _data(message: Message) -> dict[str, Any]:
    """What the plugin says in a message; empty where it is nothing."""
    plugin = message.get("plugindata")
    data = plugin.get("data") if isinstance(plugin, dict) else None
    return data if isinstance(data, dict) else {}


def _id(data: object) -> object:
    """The id of something that was made. Raises LineBroken: this is no Janus."""
    if not isinstance(data, dict) or not isinstance(data.get("id"), int):
        raise LineBroken("what it answers is not Janus's protocol")
    return data["id"]
