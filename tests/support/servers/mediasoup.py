"""Rooms of the example application on a real mediasoup worker, directed by tests."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import SecretStr
from websockets.asyncio.client import connect

from bot.codecs.levels import LEVEL_URI
from bot.platforms.base import Invitation
from bot.platforms.mediasoup.settings import MediasoupSettings
from bot.platforms.sfu.line import Line
from tests.support.servers.doors import Door
from tests.support.servers.guests import SfuGuest
from tests.support.servers.singing import Singer

ROOT = Path(__file__).parents[3]
EXAMPLE, BUILT = ROOT / "examples" / "mediasoup", ROOT / "build" / "mediasoup"
MISSING = "the mediasoup example is not built: make build/mediasoup (needs npm, g++ and libraries of Debian)"
ADDRESS = "198.51.100.1"
START_TIMEOUT_S = 20.0
LEVELS = {"uri": LEVEL_URI, "id": 2}
"""As aiortc offers them, which sends none by itself."""
S = TypeVar("S", bound=Singer)
ADMIN_TOKEN = "moderators-only"


def worker() -> Path | None:
    """The built worker."""
    path = BUILT / "mediasoup-worker"
    return path if path.exists() and shutil.which("node") else None


@dataclass(slots=True)
class MediasoupServer:
    """The example application, running."""

    url: str
    """Of its websocket; the page is at the same place over HTTP."""
    log: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL; its worker ends by itself."""
        self.process.kill()
        self.process.wait()


@contextmanager
def mediasoup_server(host: str = ADDRESS, port: int = 0, **environment: str) -> Iterator[MediasoupServer]:
    """Runs the example until the block ends. `environment` adds to its settings."""
    path = worker()
    assert path is not None
    with tempfile.TemporaryDirectory(prefix="earshot-mediasoup-") as name:
        folder, log = Path(name), Path(name) / "server.log"
        for item in ("server.js", "room.js", "egress.js", "package.json", "page"):
            copy = shutil.copytree if (EXAMPLE / item).is_dir() else shutil.copy
            copy(EXAMPLE / item, folder / item)
        (folder / "node_modules").symlink_to((BUILT / "node_modules").resolve())
        usual = {"HOST": host, "PORT": str(port), "LISTEN_IP": host, "ADMIN_TOKEN": ADMIN_TOKEN}
        settings = {**os.environ, **usual, "MEDIASOUP_WORKER_BIN": str(path), **environment}
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["node", "server.js"], cwd=folder, env=settings, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield MediasoupServer(_address(process, log), log, process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"rooms at http://(\S+)", log.read_text()):
            return f"ws://{found[1]}"
        time.sleep(0.02)
    raise AssertionError(f"the mediasoup example did not come up: {log.read_text()[-1000:]}")


class Connection:
    """One connection to the application."""

    def __init__(self, line: Line, told: asyncio.Queue[dict[str, Any]]) -> None:
        self._line, self.told = line, told
        self._numbers = count(1)

    async def ask(
        self, request: str, heed: Callable[[dict[str, Any]], None] | None = None, /, **data: Any
    ) -> dict[str, Any]:
        """A request that must be granted; `heed` is called with its answer before anything that comes behind it."""
        number = next(self._numbers)
        answer = await self._line.ask(number, {"id": number, "type": request, "data": data}, heed)
        assert answer["ok"], answer
        found: dict[str, Any] = answer["data"]
        return found


@asynccontextmanager
async def connected(server: MediasoupServer) -> AsyncIterator[Connection]:
    """A fresh connection."""
    async with connect(server.url, proxy=None) as websocket:
        told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        line = Line(websocket, lambda message: message.get("id"), told.put_nowait)
        reading = asyncio.create_task(line.run())
        try:
            yield Connection(line, told)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


class Guest(SfuGuest):
    """Somebody in a room of the application."""

    producer = ""
    connection: Connection

    @asynccontextmanager
    async def _entered(self, server: MediasoupServer, name: str) -> AsyncIterator[None]:
        async with connected(server) as self.connection:
            await self.connection.ask("joinRoom", room=self.room, peerId=self.who, name=name)
            yield

    async def publish(self, kind: Callable[[], S] = Singer, hertz: float = 0.0) -> S:  # type: ignore[assignment]
        """Opens the microphone: the answer that aiortc needs is made of what mediasoup says of the transport."""
        self.singer = singer = kind()
        singer.hertz = hertz
        offer = await singer.sender.peer.offer()
        made = await agree(self.connection, offer, "send")
        ssrc, payload_type = re.search(r"a=ssrc:(\d+)", offer), re.search(r"a=rtpmap:(\d+) opus", offer)
        assert ssrc
        assert payload_type
        codec = {"mimeType": "audio/opus", "payloadType": int(payload_type[1]), "clockRate": 48000, "channels": 2}
        parameters = {
            "mid": "0",
            "codecs": [codec],
            "headerExtensions": [LEVELS],
            "encodings": [{"ssrc": int(ssrc[1])}],
        }
        produced = await self.connection.ask("produce", transportId=made["id"], kind="audio", rtpParameters=parameters)
        self.producer = produced["id"]
        await singer.sender.peer.accept(answer(offer, made, int(payload_type[1]), "a=recvonly"))
        async with asyncio.timeout(10):
            await singer.sender.opened.wait()
        return singer

    async def unpublish(self) -> None:
        """Closes the microphone."""
        await self.connection.ask("closeProducer", producerId=self.producer)
        await self._silence()


async def agree(connection: Connection, offer: str, direction: str) -> dict[str, Any]:
    """A transport for whoever made the offer of one audio track: mediasoup knows its fingerprint."""
    made = await connection.ask("createWebRtcTransport", direction=direction)
    fingerprint = re.search(r"a=fingerprint:sha-256 (\S+)", offer)
    assert fingerprint
    dtls = {"role": "server", "fingerprints": [{"algorithm": "sha-256", "value": fingerprint[1]}]}
    await connection.ask("connectTransport", transportId=made["id"], dtlsParameters=dtls)
    return made


def answer(offer: str, transport: dict[str, Any], payload_type: int, *direction: str) -> str:
    """What mediasoup would answer to an offer of one audio track: it begins the DTLS handshake."""
    mid = re.search(r"a=mid:(\S+)", offer)
    assert mid
    ice, dtls = transport["iceParameters"], transport["dtlsParameters"]
    lines = [
        *("v=0", "o=mediasoup 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", f"a=group:BUNDLE {mid[1]}"),
        *(f"m=audio 7 UDP/TLS/RTP/SAVPF {payload_type}", "c=IN IP4 127.0.0.1"),
        *(f"a=rtpmap:{payload_type} opus/48000/2", "a=setup:active", f"a=mid:{mid[1]}", *direction),
        *(f"a=ice-ufrag:{ice['usernameFragment']}", f"a=ice-pwd:{ice['password']}"),
        *(
            f"a=candidate:{one['foundation']} 1 {one['protocol']} {one['priority']} {one['ip']} {one['port']} typ host"
            for one in transport["iceCandidates"]
            if one["protocol"] == "udp"
        ),
        *(f"a=fingerprint:{one['algorithm']} {one['value']}" for one in dtls["fingerprints"]),
        *("a=end-of-candidates", "a=rtcp-mux", ""),
    ]
    return "\r\n".join(lines)


class DirectedRoom:
    """A room, directed step by step (`tests.platforms.contract.Room`)."""

    def __init__(self, server: MediasoupServer, door: Door) -> None:
        self.server = server
        self.name = f"room-{uuid4().hex[:8]}"
        self.guests: dict[str, Guest] = {}
        self._door = door

    def invitation(self) -> Invitation:
        """Through the door."""
        return invited(self._door.url, self.name)

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        guest = self.guests[who] = Guest(self.name, who)
        await guest.join(self.server, name)
        if publishes:
            await guest.publish()

    async def tone(self, who: str, hertz: float) -> None:
        singer = self.guests[who].singer
        assert singer is not None
        singer.hertz = hertz

    async def mute(self, who: str) -> None:
        guest = self.guests[who]
        await guest.connection.ask("pauseProducer", producerId=guest.producer)

    async def unmute(self, who: str) -> None:
        guest = self.guests[who]
        await guest.connection.ask("resumeProducer", producerId=guest.producer)

    async def rename(self, who: str, name: str) -> None:
        await self.guests[who].connection.ask("rename", name=name)

    async def leave(self, who: str) -> None:
        await self.guests.pop(who).leave()

    async def admit(self) -> None:
        raise AssertionError("this application has no lobby")

    async def cut(self, seconds: float) -> None:
        await self._door.shut(seconds)

    async def remove_bot(self) -> None:
        await self._as_host("kick", peerId="bot-1", token=ADMIN_TOKEN)

    async def end(self) -> None:
        await self._as_host("closeRoom", token=ADMIN_TOKEN)

    async def _as_host(self, kind: str, **data: Any) -> None:
        async with connected(self.server) as host:
            await host.ask("joinRoom", room=self.name, peerId="host", name="Host")
            await host.ask(kind, **data)


def invited(url: str, room: str, token: str | None = None) -> Invitation:
    """An invitation to a room."""
    own = MediasoupSettings(room=room, access_token=None if token is None else SecretStr(token))
    return Invitation(f"mediasoup+{url}", "bot-1", "Earshot", settings=own)


@asynccontextmanager
async def directed_room(server: MediasoupServer) -> AsyncIterator[DirectedRoom]:
    """A fresh, empty room; everybody leaves it at the end."""
    async with Door(server.url).standing() as door:
        room = DirectedRoom(server, door)
        try:
            yield room
        finally:
            for who in list(room.guests):
                await room.leave(who)
