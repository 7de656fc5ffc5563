"""A small WHEP endpoint of the tests' before a real SFU (the mediasoup example): an offer comes, an answer goes.

It also says whatever HTTP may say that a real server rarely does: its answers are scripted before they are its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any
from uuid import uuid4

from bot.platforms.base import Invitation
from bot.platforms.sfu.line import LineBroken
from bot.platforms.whep.settings import WhepSettings
from tests.support.servers.doors import Door
from tests.support.servers.mediasoup import ADDRESS, Connection, Guest, MediasoupServer, agree, answer, connected

PUBLISHER = "ana"
SERVICE = "whep-front"


class Viewer:
    """Somebody who watches a room: a connection to the SFU for as long as there is something to hear."""

    def __init__(self, server: MediasoupServer, room: str) -> None:
        self._server, self._room = server, room
        self._answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None
        self._is_ending = False

    async def watch(self, offer: str) -> str | None:
        """The answer to an offer; None: nobody publishes there."""
        self._task = asyncio.create_task(self._stay(offer))
        both: set[asyncio.Future[Any]] = {self._task, self._answer}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not self._answer.done():
            await self._task
        return self._answer.result()

    async def _stay(self, offer: str) -> None:
        with suppress(LineBroken, OSError):
            async with connected(self._server) as connection:
                try:
                    await self._follow(connection, offer)
                finally:
                    self._is_ending = True

    async def _follow(self, connection: Connection, offer: str) -> None:
        joined = await connection.ask(
            "joinRoom", room=self._room, peerId=f"{SERVICE}-{uuid4().hex[:8]}", name=SERVICE, service=True
        )
        producers = [one["producerId"] for peer in joined["peers"] for one in peer["producers"]]
        if not producers:
            self._answer.set_result(None)
            return
        self._answer.set_result(await _consume(connection, producers[0], offer))
        while (await connection.told.get())["type"] not in ("producerClosed", "roomClosed"):
            pass

    async def close(self) -> None:
        """The stream ends: the SFU says so in DTLS. It is ended once, however often that is asked for and also where it
        ends by itself: a websocket that is cancelled while it closes stays open."""
        if self._task is None:
            return
        if not self._is_ending:
            self._is_ending = True
            self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()


async def _consume(connection: Connection, producer: str, offer: str) -> str:
    """What mediasoup makes of an offer of one audio track, as an SDP answer."""
    capabilities = (await connection.ask("getRouterRtpCapabilities"))["rtpCapabilities"]
    made = await agree(connection, offer, "recv")
    consumer = await connection.ask(
        "consume", transportId=made["id"], producerId=producer, rtpCapabilities={**capabilities, "headerExtensions": []}
    )
    await connection.ask("resumeConsumer", consumerId=consumer["id"])
    (codec,), (encoding,) = consumer["rtpParameters"]["codecs"], consumer["rtpParameters"]["encodings"]
    return answer(offer, made, codec["payloadType"], "a=sendonly", f"a=ssrc:{encoding['ssrc']} cname:ana")


class Front:
    """The endpoint `/whep/ROOM` of each room, and its resources."""

    def __init__(self, server: MediasoupServer | None) -> None:
        self._server = server
        self._numbers = count(1)
        self._viewers: dict[str, Viewer] = {}
        self.scripted: list[tuple[str, dict[str, str], str]] = []
        """Status, headers and body of the next answers, before it answers by itself."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, host: str = ADDRESS) -> AsyncIterator[Front]:
        """Answers until the block ends."""
        listening = await asyncio.start_server(self._serve, host, 0)
        self.port = listening.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listening.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self.end_all()

    async def end_all(self) -> None:
        """Every stream ends, and nobody is told over HTTP."""
        viewers, self._viewers = self._viewers, {}
        await asyncio.gather(*(viewer.close() for viewer in viewers.values()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._exchange(reader, writer)
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = first.split(" ")
            headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines if line)}
            body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
            self.asked.append((method, path, headers))
            status, given, text = self.scripted.pop(0) if self.scripted else await self._answer(method, path, body)
            fields = {"Content-Length": str(len(text.encode())), "Connection": "close", **given}
            head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
            writer.write(f"HTTP/1.1 {status}\r\n{head}\r\n{text}".encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _answer(self, method: str, path: str, body: str) -> tuple[str, dict[str, str], str]:
        if method == "DELETE":
            viewer = self._viewers.get(path)  # ours until it is closed, should the test be over before
            if viewer is not None:
                await viewer.close()
                self._viewers.pop(path, None)
            return ("200 OK" if viewer else "404 Not Found"), {}, ""
        if method != "POST" or self._server is None:
            return "405 Method Not Allowed", {}, ""
        resource = f"/resource/{next(self._numbers)}"
        viewer = self._viewers[resource] = Viewer(self._server, path.rpartition("/")[2])
        sdp = await viewer.watch(body)
        if sdp is None:
            await viewer.close()
            self._viewers.pop(resource, None)
            return "404 Not Found", {"Retry-After": "0"}, "nobody publishes here"
        return "201 Created", {"Content-Type": "application/sdp", "Location": resource, "ETag": '"1"'}, sdp


class DirectedStream:
    """A room with one publisher, behind the front: a `Room` of the contract, as far as WHEP goes."""

    def __init__(self, server: MediasoupServer, front: Front, door: Door) -> None:
        self._server, self._front, self._door = server, front, door
        self.name = f"stream-{uuid4().hex[:8]}"
        self.guests: dict[str, Guest] = {}

    def invitation(self) -> Invitation:
        """Through the door."""
        url = f"{self._door.url.replace('ws', 'http', 1)}/whep/{self.name}"
        return invited(url, participant=PUBLISHER, publisher_return_timeout=1_000)

    async def join(self, who: str, name: str, *, publishes: bool = True) -> None:
        guest = self.guests[who] = Guest(self.name, who)
        await guest.join(self._server, name)
        await guest.publish()

    async def tone(self, who: str, hertz: float) -> None:
        singer = self.guests[who].singer
        assert singer is not None
        singer.hertz = hertz

    async def mute(self, who: str) -> None:
        raise AssertionError("WHEP says nothing of mutes")

    async def unmute(self, who: str) -> None:
        raise AssertionError("WHEP says nothing of mutes")

    async def rename(self, who: str, name: str) -> None:
        raise AssertionError("WHEP says nothing of names")

    async def leave(self, who: str) -> None:
        await self.guests.pop(who).leave()

    async def admit(self) -> None:
        raise AssertionError("WHEP has no lobby")

    async def cut(self, seconds: float) -> None:
        self._door.close()
        await self._front.end_all()
        await self._door.shut(seconds)

    async def remove_bot(self) -> None:
        raise AssertionError("WHEP knows no removal")

    async def end(self) -> None:
        await self.leave(PUBLISHER)


def invited(url: str, **settings: Any) -> Invitation:
    """An invitation to an endpoint."""
    return Invitation(f"whep+{url}", "bot-1", "Earshot", settings=WhepSettings(**settings))


@asynccontextmanager
async def directed_stream(server: MediasoupServer) -> AsyncIterator[DirectedStream]:
    """A fresh stream that nobody publishes yet; everybody leaves at the end."""
    async with Front(server).serving() as front, Door(f"ws://{ADDRESS}:{front.port}").standing() as door:
        stream = DirectedStream(server, front, door)
        try:
            yield stream
        finally:
            for who in list(stream.guests):
                await stream.leave(who)
