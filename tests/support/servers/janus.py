"""Rooms of a real Janus, directed by tests."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import structlog
from pydantic import SecretStr
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bot.platforms.base import Invitation
from bot.platforms.janus.settings import JanusSettings
from bot.platforms.sfu.line import Line
from tests.support.servers.doors import Door
from tests.support.servers.guests import SfuGuest
from tests.support.servers.singing import Singer

ADDRESS = "198.51.100.1"
"""The address inside `tools/hermetic`: Janus and aiortc ignore the loopback interface."""
MISSING = "Janus is missing: apt install janus"
START_TIMEOUT_S = 15.0
TRANSPORTS = [f"libjanus_{name}.so" for name in ("http", "pfunix", "rabbitmq", "mqtt", "nanomsg")]
"""That the tests do not use."""
S = TypeVar("S", bound=Singer)
ADMIN_SECRET = "moderators-only"

log = structlog.get_logger(__name__)


def find_janus() -> str | None:
    """The binary to run."""
    return shutil.which("janus")


@dataclass(slots=True)
class JanusServer:
    """A Janus that may be killed and started again, on the same port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    keys: dict[str, str] = field(default_factory=dict)
    """What its API asks for."""

    @property
    def url(self) -> str:
        """Of its websocket."""
        return f"ws://{ADDRESS}:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        with (self.folder / "janus.log").open("ab") as output:
            command = ["janus", "-F", str(self.folder), "-C", str(self.folder / "janus.jcfg")]
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError):
                socket.create_connection((ADDRESS, self.port), timeout=0.5).close()
                return
            time.sleep(0.02)
        raise AssertionError(f"Janus did not come up: {(self.folder / 'janus.log').read_text()[-1000:]}")

    def stand_up(self) -> None:
        """Starts it again where it has crashed: Debian's 1.1.2 does, once in many runs (SIGSEGV in its video room)."""
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            log.warning("janus_crashed", code=code)
            self.start()

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def janus_server(api_secret: str | None = None) -> Iterator[JanusServer]:
    """Runs Janus with its websocket, the video room and the streaming plugin until the block ends."""
    with tempfile.TemporaryDirectory(prefix="earshot-janus-") as name, socket.socket() as taken:
        taken.bind((ADDRESS, 0))
        port = taken.getsockname()[1]
        taken.close()
        server = JanusServer(Path(name), port, keys={} if api_secret is None else {"apisecret": api_secret})
        for file, text in _configuration(port, api_secret).items():
            (server.folder / file).write_text(text)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _configuration(port: int, api_secret: str | None) -> dict[str, str]:
    libraries = next(Path("/usr/lib").glob("*/janus"), Path("/usr/lib/janus"))
    plugins = {path.name.split(".so")[0] for path in (libraries / "plugins").glob("*.so*")}
    others = ",".join(f"{name}.so" for name in plugins - {"libjanus_videoroom", "libjanus_streaming"})
    secret = "" if api_secret is None else f'api_secret = "{api_secret}"'
    return {
        "janus.jcfg": f"""
general: {{ plugins_folder = "{libraries}/plugins", transports_folder = "{libraries}/transports"
  events_folder = "{libraries}/events", loggers_folder = "{libraries}/loggers"
  interface = "{ADDRESS}", debug_level = 4, debug_timestamps = true, {secret} }}
media: {{ ipv6 = false }}
nat: {{ ice_tcp = false, ice_enforce_list = "{ADDRESS}" }}
plugins: {{ disable = "{others}" }}
transports: {{ disable = "{",".join(TRANSPORTS)}" }}
events: {{ broadcast = false }}
""",
        "janus.transport.websockets.jcfg": f"""
general: {{ json = "compact", ws = true, ws_port = {port}, ws_ip = "{ADDRESS}", wss = false }}
admin: {{ admin_ws = false, admin_wss = false }}
""",
        "janus.plugin.videoroom.jcfg": "general: { string_ids = true }\n",
        "janus.plugin.streaming.jcfg": "general: { string_ids = true }\n",
    }


class JanusHandle:
    """A plugin handle of a guest, or of whoever directs the room: a connection and a session of its own."""

    def __init__(self, line: Line, keys: dict[str, Any], told: asyncio.Queue[dict[str, Any]]) -> None:
        self._line, self._keys, self.told = line, keys, told
        self._numbers = count(1)

    async def ask(self, janus: str = "message", **content: Any) -> dict[str, Any]:
        """One transaction; its last answer."""
        key = f"guest-{next(self._numbers)}"
        answer = await self._line.ask(key, {"janus": janus, **content, **self._keys, "transaction": key})
        assert answer["janus"] != "error", answer
        return answer

    async def request(self, jsep: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
        """One request to the plugin; its answer, without whatever is around it."""
        content: dict[str, Any] = {"body": body} if jsep is None else {"body": body, "jsep": jsep}
        answer = await self.ask(**content)
        data: dict[str, Any] = answer["plugindata"]["data"]
        assert "error" not in data, data
        return data | {"jsep": answer.get("jsep")}


@asynccontextmanager
async def janus_handle(server: JanusServer, plugin: str = "videoroom") -> AsyncIterator[JanusHandle]:
    """A handle of a plugin."""
    async with connect(server.url, subprotocols=[Subprotocol("janus-protocol")], proxy=None) as websocket:
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        line = Line(websocket, lambda m: None if m["janus"] == "ack" else m.get("transaction"), told.put_nowait)
        reading = asyncio.create_task(line.run())
        handle = JanusHandle(line, dict(server.keys), told)
        try:
            handle._keys["session_id"] = (await handle.ask("create"))["data"]["id"]
            handle._keys["handle_id"] = (await handle.ask("attach", plugin=f"janus.plugin.{plugin}"))["data"]["id"]
            yield handle
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


class Guest(SfuGuest):
    """Somebody in a video room."""

    handle: JanusHandle

    @asynccontextmanager
    async def _entered(self, server: JanusServer, name: str, pin: str | None = None) -> AsyncIterator[None]:
        async with janus_handle(server) as self.handle:
            given: dict[str, Any] = {} if pin is None else {"pin": pin}
            await self.handle.request(
                request="join", ptype="publisher", room=self.room, id=self.who, display=name, **given
            )
            yield

    async def publish(self, kind: Callable[[], S] = Singer) -> S:  # type: ignore[assignment]
        """Opens the microphone; returns when the room is told of it."""
        self.singer = singer = kind()
        opened = self.singer.sender.opened
        offer = {"type": "offer", "sdp": await self.singer.sender.peer.offer()}
        answer = await self.handle.request(offer, request="publish")
        await self.singer.sender.peer.accept(answer["jsep"]["sdp"])
        async with asyncio.timeout(10):
            await opened.wait()
        await self._told("webrtcup")
        return singer

    async def unpublish(self) -> None:
        """Closes the microphone; returns when Janus has let go of it: what is published sooner may be hung up, too."""
        await self.handle.request(request="unpublish")
        await self._told("hangup")
        await self._silence()

    async def _told(self, what: str) -> None:
        async with asyncio.timeout(10):
            while (await self.handle.told.get())["janus"] != what:
                pass


class DirectedRoom:
    """A video room, directed step by step (`tests.platforms.contract.Room`)."""

    def __init__(self, server: JanusServer, door: Door, host: JanusHandle, pin: str | None) -> None:
        self.server = server
        self.name = f"room-{uuid4().hex[:8]}"
        self.guests: dict[str, Guest] = {}
        self._door, self._host, self._pin = door, host, pin

    def invitation(self) -> Invitation:
        """Through the door."""
        return invited(self._door.url, self.name, passcode=self._pin, **self.server.keys)

    async def create(self, **settings: Any) -> None:
        """Makes the room."""
        usual: dict[str, Any] = {"notify_joining": True, "publishers": 20, "secret": ADMIN_SECRET, "audiocodec": "opus"}
        given: dict[str, Any] = {} if self._pin is None else {"pin": self._pin}
        await self._host.request(request="create", room=self.name, **(usual | given | settings))

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        guest = self.guests[who] = Guest(self.name, who)
        await guest.join(self.server, name, self._pin)
        if publishes:
            await guest.publish()

    async def tone(self, who: str, hertz: float) -> None:
        singer = self.guests[who].singer
        assert singer is not None
        singer.hertz = hertz

    async def mute(self, who: str) -> None:
        await self._moderate(who, True)

    async def unmute(self, who: str) -> None:
        await self._moderate(who, False)

    async def _moderate(self, who: str, mute: bool) -> None:
        await self._as_host("moderate", id=who, mid="0", mute=mute)

    async def _as_host(self, request: str, **content: Any) -> dict[str, Any]:
        return await self._host.request(request=request, room=self.name, secret=ADMIN_SECRET, **content)

    async def rename(self, who: str, name: str) -> None:
        await self.guests[who].handle.request(request="configure", display=name)

    async def leave(self, who: str) -> None:
        await self.guests.pop(who).leave()

    async def admit(self) -> None:
        raise AssertionError("Janus has no lobby")

    async def cut(self, seconds: float) -> None:
        await self._door.shut(seconds)

    async def remove_bot(self) -> None:
        people = (await self._host.request(request="listparticipants", room=self.name))["participants"]
        (bot,) = (person["id"] for person in people if person["display"] == "Earshot")
        await self._as_host("kick", id=bot)

    async def end(self) -> None:
        await self._as_host("destroy")


def invited(url: str, room: str, passcode: str | None = None, **settings: Any) -> Invitation:
    """An invitation to a room; `apisecret` is the server's."""
    secret = settings.pop("apisecret", None)
    own = JanusSettings(room=room, api_secret=None if secret is None else SecretStr(secret))
    return Invitation(f"janus+{url}", f"bot-{secrets.token_hex(4)}", "Earshot", settings=own, passcode=passcode)


@asynccontextmanager
async def directed_room(
    server: JanusServer,
    pin: str | None = None,
    name: str | None = None,
    **settings: Any,
) -> AsyncIterator[DirectedRoom]:
    """A fresh, empty room; everybody leaves it at the end."""
    async with Door(server.url).standing() as door, janus_handle(server) as host:
        room = DirectedRoom(server, door, host, pin)
        room.name = name or room.name
        await room.create(**settings)
        try:
            yield room
        finally:
            for who in list(room.guests):
                await room.leave(who)
