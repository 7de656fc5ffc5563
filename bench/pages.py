"""Pages for the browser's benchmarks: a sender of microphones and cameras, and what a Chromium that hears them costs.

The sender is a process of its own that serves a page on loopback and offers it aiortc connections. Who speaks says
clips over and over; the others send silence, 50 packets a second each (an open microphone without DTX). A camera is
1280 x 720, 25 frames a second, VP8 at 1.5 Mbit/s, encoded once and sent as it is; as of a real one a key frame comes
when a receiver asks for it (and every ten seconds, where the picture begins anew).
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
SPEAKERS = 2
SETTLE_S = 6.0
FRAME = 960
WIDTH, HEIGHT, PICTURES_PER_S, BITS_PER_S, SECONDS = 1280, 720, 25, 1_500_000, 10

PAGE = """<!doctype html><body><script>
const connections = [];
const join = async (number) => {
  const connection = new RTCPeerConnection();
  connections.push(connection);
  connection.ontrack = ({ track }) => {
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.autoplay = true;
    element.style.width = "300px";
    document.body.append(element);
  };
  await connection.setRemoteDescription(await (await fetch(`/offer/${number}`)).json());
  await connection.setLocalDescription();
  await new Promise((done) => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
    if (connection.iceGatheringState === "complete") done();
  });
  await fetch(`/answer/${number}`, { method: "POST", body: JSON.stringify(connection.localDescription) });
};
for (let number = 0; number < CONNECTIONS; number += 1) join(number);
</script>"""


def speech() -> NDArray[np.int16]:
    """Clips one after the other, 48 kHz."""
    from rehearsal.clips import load_clip

    return np.concatenate([load_clip(f"ana{n}", HERE).pcm for n in range(1, 9)])


def pictures() -> list[tuple[bytes, bool]]:
    """Encoded VP8 frames of something that moves, each with whether it is a key frame."""
    from av import CodecContext, VideoFrame

    encoder = CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.bit_rate, encoder.time_base = BITS_PER_S, Fraction(1, PICTURES_PER_S)
    encoder.gop_size = PICTURES_PER_S * SECONDS
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    noise = np.random.default_rng(1).integers(60, 190, (HEIGHT, WIDTH), np.uint8)
    packets = []
    for number in range(PICTURES_PER_S * SECONDS):
        rows = np.roll(noise, number * 4, axis=1).copy()
        rows[HEIGHT // 3 :, :] = rows[HEIGHT // 3, 0]  # most of a camera's picture stands still
        yuv = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        yuv[:HEIGHT] = rows
        frame = VideoFrame.from_ndarray(yuv, "yuv420p")
        frame.pts = number
        packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    return packets


# --- the sender's process


def _sources(times: list[float]) -> tuple[Callable[[bool, bool], Any], Callable[[], Any]]:
    """How to make a microphone and a camera."""
    from aiortc import MediaStreamTrack
    from av import AudioFrame, Packet

    said = speech()
    seen: list[tuple[bytes, bool]] = []

    class Source(MediaStreamTrack):
        per_s = 0

        def __init__(self) -> None:
            super().__init__()
            self.sent, self.began = 0, 0.0

        async def next(self) -> int:
            """Waits until the next one is due; returns its number."""
            self.began = self.began or time.monotonic()
            await asyncio.sleep(self.began + self.sent / self.per_s - time.monotonic())
            self.sent += 1
            return self.sent - 1

    class Microphone(Source):
        kind, per_s = "audio", 50

        def __init__(self, speaks: bool, is_timed: bool) -> None:
            super().__init__()
            self.speaks, self.is_timed = speaks, is_timed

        async def recv(self) -> AudioFrame:
            number = await self.next()
            at = np.arange(number * FRAME, (number + 1) * FRAME) % len(said)
            pcm = said[at] if self.speaks else np.zeros(FRAME, np.int16)
            frame = AudioFrame.from_ndarray(pcm[np.newaxis], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, number * FRAME, Fraction(1, 48_000)
            if self.is_timed:
                times.append(time.monotonic())
            return frame

    class Camera(Source):
        kind, per_s = "video", PICTURES_PER_S

        def __init__(self) -> None:
            super().__init__()
            self.first = 0

        def begin(self) -> None:
            """The next picture is a key frame."""
            self.first = self.sent

        async def recv(self) -> Any:
            number = await self.next()
            data, is_key = seen[(number - self.first) % len(seen)]
            packet = Packet(data)
            packet.pts, packet.time_base, packet.is_keyframe = number, Fraction(1, PICTURES_PER_S), is_key
            return packet

    def camera() -> Camera:
        seen.extend([] if seen else pictures())
        return Camera()

    return Microphone, camera


async def send(connections: Sequence[Sequence[str]]) -> None:
    """Serves the page and the tracks; says its port, and at the end of its input when each frame was handed over.

    Args:
        connections: Of each connection its tracks: `speaker` (the first one's times are kept), `listener`, `camera`.
    """
    from aiortc import RTCSessionDescription

    from common.webrtc import Peer

    times: list[float] = []
    microphone, camera = _sources(times)
    peers = []
    for number, tracks in enumerate(connections):
        peer = Peer(loopback=True)
        for at, track in enumerate(tracks):
            source = camera() if track == "camera" else microphone(track == "speaker", number == at == 0)
            sender: Any = peer.connection.addTrack(source)
            if track == "camera":
                sender._send_keyframe = source.begin
        await peer.connection.setLocalDescription(await peer.connection.createOffer())
        peers.append(peer)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        what, _, number = head.split(" ")[1].removeprefix("/").partition("/")
        kind, body = "application/json", "{}"
        if what == "":
            kind, body = "text/html", PAGE.replace("CONNECTIONS", str(len(peers)))
        elif what == "offer":
            local = peers[int(number)].connection.localDescription
            body = json.dumps({"type": local.type, "sdp": local.sdp})
        elif what == "answer":
            lines = [line.partition(":") for line in head.lower().splitlines()]
            size = next(int(value) for name, _, value in lines if name == "content-length")
            given = json.loads(await reader.readexactly(size))
            description = RTCSessionDescription(given["sdp"], given["type"])
            await peers[int(number)].connection.setRemoteDescription(description)
        data = body.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(json.dumps(times), flush=True)
    os._exit(0)


# --- its counterpart


@asynccontextmanager
async def sending(connections: Sequence[Sequence[str]]) -> AsyncIterator[tuple[str, list[float]]]:
    """A sender; yields its page's URL and a list that has, after the end, when each frame was handed to the encoder."""
    sender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.pages", json.dumps(connections)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    assert sender.stdout is not None
    assert sender.stdin is not None
    times: list[float] = []
    try:
        yield f"http://127.0.0.1:{int(await sender.stdout.readline())}/", times
    finally:
        sender.stdin.close()
        times += json.loads(await sender.stdout.readline())
        await sender.wait()


def run_cell(module: str, *arguments: str) -> dict[str, Any]:
    """The row that `python -m module --cell arguments` prints last, in a process of its own; printed here, too."""
    command = [sys.executable, "-m", module, "--cell", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row, flush=True)
    return row


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for what is started meanwhile: Chromiums of others on this machine are not ours."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as name:
        before, tempfile.tempdir = tempfile.tempdir, name
        try:
            yield Path(name)
        finally:
            tempfile.tempdir = before


def cpu_seconds(processes: set[int]) -> float:
    """User and system time of these processes."""
    return sum(cpu_seconds_by_kind(processes).values())


def cpu_seconds_by_kind(processes: set[int]) -> dict[str, float]:
    """The same, by the kind of Chromium's process (`renderer`, `gpu-process`, …; `browser`: it has none)."""
    total: defaultdict[str, float] = defaultdict(float)
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode()
        except OSError:
            continue
        kind = command.partition("--utility-sub-type=")[2] or command.partition("--type=")[2] or "browser"
        used = int(fields[11]) + int(fields[12])
        total[kind.replace("\0", " ").split()[0]] += used / os.sysconf("SC_CLK_TCK")
    return dict(total)


def pss_mib(processes: set[int]) -> float:
    """Proportional set size of these processes."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def is_driver(process: int) -> bool:
    """Whether it is Playwright's."""
    return b"run-driver" in Path(f"/proc/{process}/cmdline").read_bytes()


if __name__ == "__main__":
    asyncio.run(send(json.loads(sys.argv[1])))
