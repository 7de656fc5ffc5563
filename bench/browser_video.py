"""What nine remote videos cost a bot: `python -m bench.browser_video` writes browser_video.md and browser_video.json.

A real Chromium (headless shell) opens a page with nine WebRTC connections from an aiortc sender in its own process:
nine participants with a microphone each (two speak), and in some cells a camera each: 1280 x 720, 25 frames a second,
VP8 at 1.5 Mbit/s, a key frame every two seconds, played in a <video> each. The videos are encoded once, beforehand, and
sent as they are.

Cells: `audio` (microphones alone), `dropped` (with cameras, as a bot takes the page: video dropped before the decoder),
`decoded` (the same, nothing dropped). CPU is of Chromium's processes, of one core. Promise: dropped <= 1.5 x audio.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from bench.browser import FRAME, SETTLE_S, SPEAKERS, cpu_seconds, is_driver, pss_mib, speech

HERE = Path(__file__).parent
CELLS = ("audio", "dropped", "decoded")
PARTICIPANTS = 9
WIDTH, HEIGHT, RATE, BITS_PER_S, SECONDS = 1280, 720, 25, 1_500_000, 4
WINDOW_S = 15.0
PROMISE = 1.5

PAGE = """<!doctype html><body><script>
const connections = [];
const join = async (number) => {
  const connection = new RTCPeerConnection();
  connections.push(connection);
  connection.ontrack = ({ track }) => {
    const element = document.createElement(track.kind);
    element.srcObject = new MediaStream([track]);
    element.autoplay = element.muted = true;
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
for (let number = 0; number < 9; number += 1) join(number);
</script>"""
STATS = """async () => {
  const stats = await Promise.all(connections.map((one) => one.getStats()));
  const all = stats.flatMap((one) => [...one.values()]);
  const videos = all.filter(({ type, kind }) => type === "inbound-rtp" && kind === "video");
  const sum = (key) => videos.reduce((total, one) => total + (one[key] || 0), 0);
  return { videos: videos.length, decoded: sum("framesDecoded"), bytes: sum("bytesReceived"), asked: sum("pliCount") };
}"""


def picture() -> list[tuple[bytes, bool]]:
    """Encoded VP8 frames of something that moves, each with whether it is a key frame."""
    from av import CodecContext, VideoFrame

    encoder = CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.bit_rate, encoder.time_base, encoder.gop_size = BITS_PER_S, Fraction(1, RATE), 2 * RATE
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    noise = np.random.default_rng(1).integers(60, 190, (HEIGHT, WIDTH), np.uint8)
    packets = []
    for number in range(RATE * SECONDS):
        rows = np.roll(noise, number * 4, axis=1).copy()
        rows[HEIGHT // 3 :, :] = rows[HEIGHT // 3, 0]  # most of a camera's picture stands still
        yuv = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        yuv[:HEIGHT] = rows
        frame = VideoFrame.from_ndarray(yuv, "yuv420p")
        frame.pts = number
        packets += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(frame)]
    return packets


async def send(cameras: int) -> None:
    """Serves the page and the tracks until its input ends."""
    from aiortc import MediaStreamTrack, RTCSessionDescription
    from av import AudioFrame, Packet

    from common.webrtc import Peer

    said, seen = speech(), picture() if cameras else []

    class Microphone(MediaStreamTrack):
        kind = "audio"

        def __init__(self, speaks: bool) -> None:
            super().__init__()
            self.speaks, self.sent, self.began = speaks, 0, 0.0

        async def recv(self) -> AudioFrame:
            self.began = self.began or time.monotonic()
            await asyncio.sleep(self.began + self.sent * 0.02 - time.monotonic())
            at = np.arange(self.sent * FRAME, (self.sent + 1) * FRAME) % len(said)
            pcm = said[at] if self.speaks else np.zeros(FRAME, np.int16)
            frame = AudioFrame.from_ndarray(pcm[np.newaxis], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, self.sent * FRAME, Fraction(1, 48_000)
            self.sent += 1
            return frame

    class Camera(MediaStreamTrack):
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self.sent, self.began = 0, 0.0

        async def recv(self) -> Any:
            self.began = self.began or time.monotonic()
            await asyncio.sleep(self.began + self.sent / RATE - time.monotonic())
            data, is_key = seen[self.sent % len(seen)]
            packet = Packet(data)
            packet.pts, packet.time_base, packet.is_keyframe = self.sent, Fraction(1, RATE), is_key
            self.sent += 1
            return packet

    peers = [Peer(loopback=True) for _ in range(PARTICIPANTS)]
    for number, peer in enumerate(peers):
        peer.connection.addTrack(Microphone(number < SPEAKERS))
        if number < cameras:
            peer.connection.addTrack(Camera())
        await peer.connection.setLocalDescription(await peer.connection.createOffer())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path, kind, body = head.split(" ")[1], "application/json", "{}"
        if path == "/":
            kind, body = "text/html", PAGE
        elif path.startswith("/offer/"):
            local = peers[int(path.rpartition("/")[2])].connection.localDescription
            body = json.dumps({"type": local.type, "sdp": local.sdp})
        elif path.startswith("/answer/"):
            lines = [line.partition(":") for line in head.lower().splitlines()]
            size = next(int(value) for name, _, value in lines if name == "content-length")
            given = json.loads(await reader.readexactly(size))
            connection = peers[int(path.rpartition("/")[2])].connection
            await connection.setRemoteDescription(RTCSessionDescription(given["sdp"], given["type"]))
        data = body.encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


async def cell(way: str) -> dict[str, Any]:
    """One run: opens the page, waits until it is settled, measures for WINDOW_S."""
    from bot.drivers.browser import page as engine
    from bot.drivers.browser.launch import processes
    from tests.support.servers.pages import ON_ONE_MACHINE, Heard, chromium_settings

    sender = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.browser_video", "--send", str(0 if way == "audio" else PARTICIPANTS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdout is not None
    assert sender.stdin is not None
    url = f"http://127.0.0.1:{int(await sender.stdout.readline())}/"
    own = tempfile.TemporaryDirectory(prefix="earshot-")  # Chromiums of others on this machine are not ours
    tempfile.tempdir = own.name
    script = engine.init_script
    if way == "decoded":
        engine.init_script = lambda *given: script(*given).replace('"dropVideo": true', '"dropVideo": false')
    async with engine.open_page(chromium_settings(), Heard(), arguments=ON_ONE_MACHINE, mix=False) as page:
        await page.goto(url)
        await asyncio.sleep(SETTLE_S)
        all_of_it = processes(Path(own.name, os.listdir(own.name)[0]))
        chromium = {one for one in all_of_it if not is_driver(one)}
        seen, before, began = await page.evaluate(STATS), cpu_seconds(chromium), time.monotonic()
        await asyncio.sleep(WINDOW_S)
        took = time.monotonic() - began
        cpu = 100 * (cpu_seconds(chromium) - before) / took
        now = await page.evaluate(STATS)
        row = {"way": way, "cpu": cpu, "pss": pss_mib(chromium), "load": os.getloadavg()[0], "videos": now["videos"]}
        row |= {f"{key}_per_s": (now[key] - seen[key]) / took for key in ("decoded", "bytes", "asked")}
    sender.stdin.close()
    await sender.wait()
    own.cleanup()
    return row


def report(rows: list[dict[str, Any]]) -> str:
    """The page."""
    costs = {row["way"]: row["cpu"] for row in rows}
    ratio, decoded = (costs[way] / costs["audio"] for way in ("dropped", "decoded"))
    verdict = (
        f"Nine videos that are dropped cost **{ratio:.2f} x** the CPU of the same page with audio only (promise: "
        f"{PROMISE:g} x); decoded they cost {decoded:.2f} x."
    )
    lines = [
        "# What remote videos cost",
        "",
        "Written by `python -m bench.browser_video`; what is measured and how stands at its top. Percent of one core.",
        "",
        verdict,
        "",
        "| Cell | Videos | Mbit/s | Frames decoded a second | Key frames asked for a second | Chromium | PSS | load |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['way']} | {row['videos']} | {row['bytes_per_s'] * 8e-6:.1f} | {row['decoded_per_s']:.1f} |"
        f" {row['asked_per_s']:.2f} | {row['cpu']:.1f} % | {row['pss']:.0f} MiB | {row['load']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """See the module's docstring; returns 1 where the promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.browser_video")
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.send is not None:
        asyncio.run(send(given.send))
        return 0
    if given.cell is not None:
        print(json.dumps(asyncio.run(cell(given.cell))))
        return 0
    rows = []
    for way in CELLS:
        command = [sys.executable, "-m", "bench.browser_video", "--cell", way]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    (HERE / "browser_video.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE / "browser_video.md").write_text(report(rows))
    return int(rows[1]["cpu"] > PROMISE * rows[0]["cpu"])


if __name__ == "__main__":
    sys.exit(main())
