"""An RTMP server that plays what a test hands it, byte by byte: other formats than nginx passes on, and hostile ones.

A fake: it speaks as much of RTMP as FFmpeg's player needs to hear, and says what no server would.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import av
import numpy as np

CHUNK_BYTES = 60_000
AUDIO, VIDEO, DATA, COMMAND = 8, 9, 18, 20


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of FLV, and so a message of RTMP."""

    kind: int
    milliseconds: int
    body: bytes


def sounding_tags(codec: str, rate: int, layout: str, hertz: float, seconds: float, first: int = 0) -> list[Tag]:
    """A tone, encoded by FFmpeg, from millisecond `first` on."""
    made = io.BytesIO()
    with av.open(made, "w", format="flv") as flv:
        stream = flv.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        at = np.arange(round(seconds * rate)) / rate
        pcm = (8000 * np.sin(2 * np.pi * hertz * at)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(stream.format, stream.layout, rate, stream.codec_context.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            flv.mux(stream.encode(piece))
        flv.mux(stream.encode(None))
    return [Tag(tag.kind, tag.milliseconds + first, tag.body) for tag in _tags(made.getvalue())]


def _tags(flv: bytes) -> Iterator[Tag]:
    at = 13
    while at + 11 <= len(flv):
        kind, size, low, high = (
            flv[at],
            *struct.unpack(">I", b"\0" + flv[at + 1 : at + 4]),
            flv[at + 4 : at + 7],
            flv[at + 7],
        )
        yield Tag(kind, int.from_bytes(bytes([high]) + low, "big"), flv[at + 11 : at + 11 + size])
        at += 11 + size + 4


def message(
    kind: int, body: bytes, milliseconds: int = 0, *, stream: int = 1, channel: int = 4, length: int = -1
) -> bytes:
    """One message as chunks of `CHUNK_BYTES`; `length`: what its header says instead of how long it is."""
    size = len(body) if length < 0 else length
    late = milliseconds >= 0xFFFFFF
    head = bytes([channel]) + (0xFFFFFF if late else milliseconds).to_bytes(3, "big") + size.to_bytes(3, "big")
    head += bytes([kind]) + stream.to_bytes(4, "little") + (milliseconds.to_bytes(4, "big") if late else b"")
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, max(len(body), 1), CHUNK_BYTES)]
    return head + bytes([0xC0 | channel]).join(chunks)


def text(value: str) -> bytes:
    """A string of AMF0."""
    return b"\x02" + len(value).to_bytes(2, "big") + value.encode()


def number(value: float) -> bytes:
    """A number of AMF0."""
    return b"\x00" + struct.pack(">d", value)


def thing(**entries: bytes) -> bytes:
    """An object of AMF0."""
    inside = b"".join(len(key).to_bytes(2, "big") + key.encode() + value for key, value in entries.items())
    return b"\x03" + inside + b"\x00\x00\x09"


def status(code: str, level: str = "status") -> bytes:
    """A message `onStatus`."""
    body = text("onStatus") + number(0) + b"\x05" + thing(level=text(level), code=text(code), description=text(code))
    return message(COMMAND, body, channel=5)


GREETING = (
    message(5, (2_500_000).to_bytes(4, "big"), stream=0, channel=2)
    + message(6, (2_500_000).to_bytes(4, "big") + b"\x02", stream=0, channel=2)
    + message(1, CHUNK_BYTES.to_bytes(4, "big"), stream=0, channel=2)
    + message(
        COMMAND,
        text("_result")
        + number(1)
        + thing(fmsVer=text("FMS/3,0,1,123"), capabilities=number(31))
        + thing(level=text("status"), code=text("NetConnection.Connect.Success"), description=text("ok")),
        stream=0,
        channel=3,
    )
)
CREATED = message(COMMAND, text("_result") + number(2) + b"\x05" + number(1), stream=0, channel=3)
STARTED = status("NetStream.Play.Start")

Play = Callable[["Connection"], Awaitable[None]]


class Connection:
    """A player that has connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def shake_hands(self) -> None:
        """C0 to C2."""
        asked = await self.reader.readexactly(1537)
        self.writer.write(b"\x03" + bytes(1536) + asked[1:])
        await self.reader.readexactly(1536)

    async def asked_for(self, command: bytes) -> None:
        """Waits for a command."""
        seen = b""
        while command not in seen:
            more = await self.reader.read(65536)
            if not more:
                raise ConnectionResetError
            seen += more

    async def begin(self) -> None:
        """Until the stream plays."""
        await self.shake_hands()
        await self.asked_for(b"connect")
        self.writer.write(GREETING)
        await self.asked_for(b"createStream")
        self.writer.write(CREATED)
        await self.asked_for(b"play")
        self.writer.write(STARTED)

    async def send(self, tags: list[Tag], *, paced: bool = True) -> None:
        """Messages at their times, as if published now."""
        loop = asyncio.get_running_loop()
        begin = loop.time() - (tags[0].milliseconds / 1000 if tags else 0)
        for tag in tags:
            if paced:
                await asyncio.sleep(max(0.0, begin + tag.milliseconds / 1000 - loop.time()))
            self.writer.write(message(tag.kind, tag.body, tag.milliseconds, channel=4 if tag.kind == AUDIO else 6))
            await self.writer.drain()


@asynccontextmanager
async def scripted_rtmp(play: Play, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of a stream that is played as `play` says; then the connection is closed."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await play(Connection(reader, writer))
                if writer.can_write_eof():  # what the player still says must not be answered with a reset
                    writer.write_eof()
                    while await reader.read(65536):
                        pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"rtmp{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/live/standup"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
