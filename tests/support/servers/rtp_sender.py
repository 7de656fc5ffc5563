"""Senders of plain RTP, as SFUs and gateways are: packets from sockets of their own and RTCP, in real time."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bot.codecs.formats import Format
from bot.codecs.rtcp import description, goodbye, sender_report
from bot.codecs.samples import decoded
from common.audio.opus import OpusEncoder

RATE = 16_000
FRAME_S = 0.02
OPUS = Format("opus")
_ssrcs = itertools.count(0x1000)


def free_port() -> int:
    """A UDP port of loopback that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def rtp(
    payload: bytes, payload_type: int, number: int, timestamp: int, ssrc: int, *, first: int = 0x80, head: bytes = b""
) -> bytes:
    """A packet; `head` is what stands between the fixed header and the payload."""
    return struct.pack("!BBHII", first, payload_type, number % 2**16, timestamp % 2**32, ssrc) + head + payload


def encoder(form: Format) -> Callable[[NDArray[np.int16]], bytes]:
    """What makes payloads of a format, of 20 ms of samples at its own rate (Opus: at 16 kHz)."""
    if form.codec == "opus":
        return OpusEncoder().encode
    if form.codec == "l16":
        return lambda pcm: np.repeat(pcm, form.channels).astype(">i2").tobytes()
    table = decoded(form, bytes(range(256))).astype(np.int32)
    order = np.argsort(table, kind="stable")
    middles = (table[order][1:] + table[order][:-1]) / 2
    return lambda pcm: order[np.searchsorted(middles, pcm)].astype(np.uint8).tobytes()


def sample_rate(form: Format) -> int:
    """Of the samples that `encoder` takes."""
    return RATE if form.codec == "opus" else form.clock_rate


def payloads(form: Format, pcm: NDArray[np.int16]) -> Iterator[bytes]:
    """Packets of 20 ms of samples at `sample_rate(form)`."""
    size, encode = round(sample_rate(form) * FRAME_S), encoder(form)
    for start in range(0, len(pcm) - size + 1, size):
        yield encode(pcm[start : start + size])


@dataclass
class RtpSender:
    """Somebody who sends a tone."""

    port: int
    form: Format = OPUS
    payload_type: int = 111
    hertz: float = 0.0
    cname: str = ""
    name: str = ""
    ssrc: int = field(default_factory=lambda: next(_ssrcs))
    number: int = 65_500
    timestamp: int = 2**32 - 9_600
    source: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def __post_init__(self) -> None:
        self.source.setblocking(False)
        self.source.bind(("127.0.0.1", 0))
        self._encode = encoder(self.form)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sends from now on."""
        self._task = asyncio.get_running_loop().create_task(self._send())

    def describe(self) -> None:
        """RTCP: a sender report, and who it is where it has a CNAME."""
        said = description(self.ssrc, self.cname, self.name) if self.cname else b""
        self.datagram(sender_report(self.ssrc, 0, self.timestamp % 2**32) + said)

    def datagram(self, data: bytes) -> None:
        """Anything at all."""
        self.source.sendto(data, ("127.0.0.1", self.port))

    def send(self, payload: bytes | None = None, payload_type: int | None = None) -> None:
        """The next packet: of the tone, unless there is another payload."""
        rate, size = sample_rate(self.form), round(sample_rate(self.form) * FRAME_S)
        ticks = round(self.form.clock_rate * FRAME_S)
        if payload is None:
            at = np.arange(size) + self.timestamp // ticks * size
            payload = self._encode((8000 * np.sin(2 * np.pi * self.hertz * at / rate)).astype(np.int16))
        kind = self.payload_type if payload_type is None else payload_type
        self.datagram(rtp(payload, kind, self.number, self.timestamp, self.ssrc))
        self.number += 1
        self.timestamp += ticks

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for count in itertools.count():
            if count % 10 == 0:
                self.describe()
            self.send()
            await asyncio.sleep(max(begun + (count + 1) * FRAME_S - loop.time(), 0))

    def pause(self) -> None:
        """Sends no more for now."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def leave(self) -> None:
        """Says goodbye, and sends no more."""
        self.pause()
        self.datagram(goodbye(self.ssrc))

    def close(self) -> None:
        """Is gone without a word."""
        self.pause()
        self.source.close()
